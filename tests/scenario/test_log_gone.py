"""The checkpoint log deleted, moved or replaced under a load: noticed, and nothing that it said is lost.

Real files, a real load in another process; the sandbox's own list says what was sent.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from loader.checkpoint import presence, scan
from loader.checkpoint.entries import NotApplied, Sent, WindowEntry, batch_entry
from loader.checkpoint.log import CheckpointLog
from loader.errors import DiskError, LockedError
from tests.crash.harness import CONCURRENCY, Desk, Finished, sandbox, wait_for, write_leads
from tests.unit.checkpoint_samples import HEAD, OPENING, window

SEED = int(os.environ.get("CRASH_SEED", "1"))
FLAGS = ("--concurrency", str(CONCURRENCY))
COUNT = 2_000


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with sandbox(tmp_path, "--latency", "250ms", "--seed", str(SEED)) as crm:
        yield Desk(tmp_path, crm, write_leads(tmp_path / "leads.ndjson", COUNT, SEED), FLAGS)


def load_and(desk: Desk, deed: Callable[[Path], object]) -> Finished:
    """The load, during which somebody does something to its log."""
    with desk.spawned(desk.load_command()) as process:
        wait_for(lambda: desk.crm.database.insert_calls >= 5 or process.poll() is not None)
        assert process.poll() is None, "the load ended before anything was done to its log"
        deed(desk.load_dir / "checkpoint.log")
        process.wait(timeout=25)
    stopped = desk.said(process).ended(9)
    assert desk.crm.database.insert_calls < COUNT / 100, "it went on as if nothing had happened"
    return stopped


def named(command: str, stopped: Finished) -> bool:
    """Whether the screen has the command, on however many lines."""
    return "".join(command.split()) in "".join(stopped.stderr.split())


def goes_on(desk: Desk) -> None:
    """Nothing is in doubt, for every answer is in the log; the rest is loaded, each record once."""
    assert b'"in_doubt"' not in b"".join(desk.results())
    desk.resume().ended(0)
    assert desk.judge() == {"inserted": COUNT}
    assert desk.crm.database.records_taken == COUNT


def test_a_deleted_log_is_put_back_with_the_answers_that_came_after(desk: Desk) -> None:
    stopped = load_and(desk, Path.unlink)
    assert "was deleted during the load" in stopped.said
    assert named(f"loader resume {desk.load_dir}", stopped)
    assert (desk.load_dir / "checkpoint.log").stat().st_mode & 0o777 == 0o600
    assert not list(desk.load_dir.glob("*rescued*"))
    goes_on(desk)


def test_a_deleted_load_directory_is_made_again(desk: Desk) -> None:
    load_and(desk, lambda log: shutil.rmtree(log.parent))
    assert desk.load_dir.stat().st_mode & 0o777 == 0o700
    goes_on(desk)


def test_a_log_that_was_replaced_is_kept_beside_what_replaced_it(desk: Desk) -> None:
    def replace(log: Path) -> None:
        other = log.with_name("other")
        other.write_bytes(b"something else")
        other.rename(log)

    stopped = load_and(desk, replace)
    log, rescued = desk.load_dir / "checkpoint.log", desk.load_dir / "checkpoint.log.rescued-1"
    assert "was replaced during the load" in stopped.said
    assert log.read_bytes() == b"something else"
    commands = (f"mv {log} {log}.other", f"mv {rescued} {log}", f"loader resume {desk.load_dir}")
    assert all(named(command, stopped) for command in commands)
    for command in commands[:2]:
        subprocess.run(command.split(), check=True)
    goes_on(desk)


def test_a_load_directory_that_was_moved_goes_on_where_it_is(desk: Desk) -> None:
    elsewhere = desk.directory / "elsewhere"
    stopped = load_and(desk, lambda log: log.parent.rename(elsewhere))
    assert "was moved during the load" in stopped.said
    assert named(f"loader resume {elsewhere}", stopped)
    assert not (desk.load_dir / "checkpoint.log").exists(), "two logs of one load"
    desk.load_dir = elsewhere
    goes_on(desk)


# --- the log by itself ---


def begin(path: Path) -> CheckpointLog:
    log = CheckpointLog.create(path, HEAD, OPENING, boot="boot-1")
    entry = WindowEntry(tuple(batch_entry(one) for one in window(1).batches))
    log.ledger.apply(entry)
    log.append(entry)
    return log


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "load" / "checkpoint.log"


async def test_a_sync_that_finds_the_log_deleted_allows_nothing_and_answers_are_kept(path: Path) -> None:
    log = begin(path)
    path.unlink()
    with pytest.raises(DiskError, match="was deleted during the load"):
        await log.sync()
    content = path.read_bytes()
    with pytest.raises(DiskError):
        log.append(Sent(1, 1, ((1, 2),), 2000.0))
    log.append(NotApplied(1, 1, ((1, 2),), "refused"))
    log.close()
    assert path.read_bytes().startswith(content)
    assert [type(entry).__name__ for _, entry in scan.scan(path)] == [
        "Head",
        "Open",
        "WindowEntry",
        "NotApplied",
    ]


async def test_a_log_at_rest_is_looked_after_each_second(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loader.checkpoint.log.SYNC_EVERY_S", 0.01)
    log = begin(path)
    await log.sync()
    path.unlink()
    with anyio.fail_after(10):
        await log.keep_synced()
    assert log.poisoned is not None
    assert path.exists()
    log.close()


def test_a_log_that_was_deleted_at_the_very_end_is_put_back_and_said(path: Path) -> None:
    log = begin(path)
    path.unlink()
    with pytest.raises(DiskError, match="was deleted during the load"):
        log.close()
    assert len(list(scan.scan(path))) == 3
    CheckpointLog.open(path).close()  # it is locked no more


def test_the_copy_is_locked_as_the_log_was(path: Path) -> None:
    log = begin(path)
    path.unlink()
    log._notice_absence()
    with pytest.raises(LockedError):
        CheckpointLog.open(path)
    log.close()
    CheckpointLog.open(path).close()


def test_where_the_directory_cannot_be_made_again_the_copy_goes_elsewhere(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    log = begin(path)
    shutil.rmtree(path.parent)
    path.parent.write_bytes(b"a file where the directory was")
    with pytest.raises(DiskError) as raised:
        log.close()
    (copy,) = tmp_path.glob("load-*/checkpoint.log.rescued-1")
    assert str(copy) in raised.value.why
    assert len(list(scan.scan(copy))) == 3


def test_where_no_copy_can_be_written_it_says_that_the_record_is_lost(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    log = begin(path)
    shutil.rmtree(path.parent)
    path.parent.write_bytes(b"a file where the directory was")
    with pytest.raises(DiskError, match="no copy of it could be written") as raised:
        log.close()
    assert "recorded nowhere" in raised.value.hint


def test_a_file_system_without_links_gets_its_copy_by_another_way(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(presence, "_link", refuse)
    log = begin(path)
    path.unlink()
    log._notice_absence()
    assert path.exists()
    assert not list(path.parent.glob("*rescued*"))
    log.close()


def test_a_log_under_another_name_is_named_with_the_command_that_brings_it_back(path: Path) -> None:
    log = begin(path)
    moved = path.with_name("old.log")
    path.rename(moved)
    with pytest.raises(DiskError, match="was moved during the load") as raised:
        log.close()
    assert f"mv {moved} {path}" in raised.value.hint
    assert len(list(scan.scan(moved))) == 3


def test_a_directory_that_was_deleted_is_made_again(path: Path) -> None:
    log = begin(path)
    shutil.rmtree(path.parent)
    with pytest.raises(DiskError, match="was deleted during the load"):
        log.close()
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert len(list(scan.scan(path))) == 3


@pytest.mark.parametrize("links", [True, False])
def test_copies_never_take_a_name_that_something_has(
    path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    if not links:
        monkeypatch.setattr(presence, "_link", refuse)
    log = begin(path)
    path.unlink()
    taken = (path, path.with_name("checkpoint.log.rescued-1"))
    for one in taken:
        one.write_bytes(b"somebody else's")
    with pytest.raises(DiskError, match="was replaced during the load") as raised:
        log.close()
    assert [one.read_bytes() for one in taken] == [b"somebody else's"] * 2
    copy = path.with_name("checkpoint.log.rescued-2")
    assert f"mv {copy} {path}" in raised.value.hint
    assert len(list(scan.scan(copy))) == 3


def test_a_log_in_a_directory_that_was_moved_is_gone_on_with_there(path: Path) -> None:
    log = begin(path)
    elsewhere = path.parent.with_name("elsewhere")
    path.parent.rename(elsewhere)
    with pytest.raises(DiskError, match="was moved during the load") as raised:
        log.close()
    assert raised.value.hint == f"To go on:\nloader resume {elsewhere}"
    assert not path.parent.exists()


def test_where_the_system_does_not_tell_the_log_counts_as_there(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = begin(path)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", refuse)
        log._notice_absence()
    assert log.poisoned is None
    log.close()


def test_a_copy_that_does_not_become_whole_is_not_left_behind(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    log = begin(path)
    path.unlink()
    os.ftruncate(log._descriptor, log.end - 1)
    log._notice_absence()
    assert log.poisoned is not None
    assert "no copy of it could be written" in log.poisoned.what
    assert "could be read" in log.poisoned.why
    assert not list(tmp_path.rglob("checkpoint.log*"))
    log.close()


async def test_an_answer_that_the_copy_cannot_take_goes_into_a_side_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = begin(path)
    path.unlink()
    with pytest.raises(DiskError):
        await log.sync()
    written = log._filesystem.write

    def full(descriptor: int, data: bytes | memoryview, offset: int) -> int:
        if descriptor == log._descriptor:
            raise OSError(28, "No space left on device")
        return written(descriptor, data, offset)

    monkeypatch.setattr(log._filesystem, "write", full)
    log.append(NotApplied(1, 1, ((1, 2),), "refused"))
    log.close()
    (side,) = path.parent.glob("checkpoint.log.side-1")
    assert [type(entry).__name__ for _, entry in scan.scan(side)] == ["Head", "NotApplied"]
