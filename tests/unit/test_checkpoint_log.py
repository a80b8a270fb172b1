"""The writer: what is on the disk when, and what happens when the disk fails."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import msgspec
import pytest

from loader.checkpoint import log as log_module
from loader.checkpoint.entries import (
    Entry,
    NotApplied,
    Open,
    Outcomes,
    Sent,
    WindowEntry,
    batch_entry,
    encode_frame,
    outcomes_of,
)
from loader.checkpoint.ledger import DamagedLogError
from loader.checkpoint.log import SYNC_EVERY_S, CheckpointLog, boot_id
from loader.checkpoint.scan import Scan, fold, scan
from loader.errors import DiskError, ExitCode, LockedError, UsageError
from loader.outcomes import Settlement
from tests.unit.checkpoint_samples import HEAD, LOG, OPENING, MemoryDisk, batch, create, ids, reopen

WINDOW = WindowEntry((batch_entry(batch(1)), batch_entry(batch(2))))
SENT = Sent(1, 1, ((1, 101),), 5.0)
OUTCOMES = outcomes_of(1, 1, Settlement(range(1, 101), ids(range(1, 101))))


def names(disk: MemoryDisk) -> list[str]:
    return [name for name, _ in disk.calls]


def read(disk: MemoryDisk, path: Path) -> list[Entry]:
    return [entry for _, entry in Scan(lambda at, size: bytes(disk.files[path][at : at + size]))]


# --- on a real disk ---


def test_a_new_log_is_private_and_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "leads.load" / "checkpoint.log"
    log = CheckpointLog.create(path, HEAD, OPENING)
    log.append(WINDOW)
    log.reserve(10)
    assert path.stat().st_size >= 1024 * 1024
    end = log.end
    log.close()
    log.close()
    assert path.stat().st_size == end
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    head, opened, window = (entry for _, entry in scan(path))
    assert (head, window) == (HEAD, WINDOW)
    assert isinstance(opened, Open)
    assert (opened.pid, opened.boot_id, opened.survived) == (os.getpid(), boot_id(), False)


def test_a_second_process_is_refused_and_told_who_holds_the_log(tmp_path: Path) -> None:
    path = tmp_path / "leads.load" / "checkpoint.log"
    log = CheckpointLog.create(path, HEAD, OPENING)
    code = (
        "import sys; from pathlib import Path; from loader.checkpoint.log import CheckpointLog\n"
        "from loader.errors import LockedError\n"
        "try: CheckpointLog.open(Path(sys.argv[1]))\n"
        "except LockedError as error: print(error); sys.exit(error.exit_code)\n"
    )
    second = [sys.executable, "-c", code, str(path)]
    ran = subprocess.run(second, capture_output=True, text=True, timeout=30, check=False)
    assert ran.returncode == ExitCode.LOCKED, ran.stderr
    assert f"Process {os.getpid()} on " in ran.stdout
    assert "1970-01-01 00:01:40" in ran.stdout
    log.close()
    assert subprocess.run(second, capture_output=True, timeout=30, check=False).returncode == 0


def test_the_same_boot_is_known_again(tmp_path: Path) -> None:
    path = tmp_path / "leads.load" / "checkpoint.log"
    CheckpointLog.create(path, HEAD, OPENING).close()
    log = CheckpointLog.open(path)
    before = path.read_bytes()
    log.close()
    assert path.read_bytes() == before  # opened, not begun: nothing was written
    log = CheckpointLog.open(path)
    log.begin(OPENING)
    log.close()
    opened = fold(path).last_open
    assert opened is not None
    assert (opened.resumes, opened.survived) == (1, bool(boot_id()))


def test_a_load_that_exists_is_not_created_again(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.log"
    CheckpointLog.create(path, HEAD, OPENING).close()
    before = path.read_bytes()
    with pytest.raises(UsageError, match="a load has begun here"):
        CheckpointLog.create(path, HEAD, OPENING)
    assert path.read_bytes() == before


def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.log"
    path.write_bytes(b"my diary")
    with pytest.raises(UsageError, match="is no checkpoint log"):
        CheckpointLog.create(path, HEAD, OPENING)
    assert path.read_bytes() == b"my diary"


@pytest.mark.parametrize("content", [None, b"", b"\0" * 100])
def test_without_a_head_there_is_no_load(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "checkpoint.log"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match="there is no load"):
        CheckpointLog.open(path)
    CheckpointLog.create(path, HEAD, OPENING).close()
    assert fold(path).head == HEAD


def test_a_directory_that_cannot_be_made_is_a_disk_error(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="cannot be created"):
        CheckpointLog.create(tmp_path / "missing" / "load" / "checkpoint.log", HEAD, OPENING)


# --- order of what reaches the disk ---


def test_head_is_durable_with_its_directories_before_anything_else() -> None:
    disk = MemoryDisk()
    create(disk)
    assert names(disk)[-5:] == ["write", "write", "sync", "sync_directory", "sync_directory"]
    assert disk.durable[LOG] == bytes(disk.files[LOG])


def test_a_directory_that_was_there_is_synced_all_the_same() -> None:
    disk = MemoryDisk()
    disk.directories.add(LOG.parent)  # whoever made it may have crashed before it was synced
    create(disk)
    assert names(disk)[-3:] == ["sync", "sync_directory", "sync_directory"]


def test_what_was_read_is_synced_before_it_is_read() -> None:
    disk = MemoryDisk()
    create(disk).close()
    disk.calls.clear()
    CheckpointLog.open(LOG, filesystem=disk)
    assert names(disk)[:3] == ["open", "lock", "sync_data"]


def test_frames_say_how_far_the_log_is_synced() -> None:
    disk = MemoryDisk()
    log = create(disk)
    after_open = log.end

    async def run() -> None:
        await log.sync(log.append(WINDOW))
        log.append(SENT)

    anyio.run(run)
    scanned = Scan(lambda at, size: bytes(disk.files[LOG][at : at + size]))
    seen = []
    for offset, _ in scanned:
        seen.append((offset, scanned.synced))
    assert [synced for _, synced in seen] == [0, 0, after_open, seen[-1][0]]


def test_short_writes_are_finished() -> None:
    disk = MemoryDisk()
    disk.write_max = 7
    log = create(disk)
    log.append(OUTCOMES)
    disk.kill()
    assert read(disk, LOG)[-1] == OUTCOMES


class SlowDisk(MemoryDisk):
    """A disk whose syncs wait until they are let go."""

    def __init__(self) -> None:
        super().__init__()
        self.started = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.slow = False

    def sync_data(self, descriptor: int) -> None:
        if self.slow:
            self.started.release()
            assert self.go.acquire(timeout=10)
        super().sync_data(descriptor)


async def _started(disk: SlowDisk) -> None:
    assert await anyio.to_thread.run_sync(lambda: disk.started.acquire(timeout=10))


async def test_those_who_come_during_a_sync_share_the_next_one() -> None:
    disk = SlowDisk()
    log = create(disk)
    disk.slow = True
    disk.calls.clear()
    done: list[str] = []

    async def wait(name: str) -> None:
        await log.sync(log.append(NotApplied(1, 1, ((1, 2),), name)))
        done.append(name)

    async with anyio.create_task_group() as group:
        group.start_soon(wait, "first")
        await _started(disk)
        for name in ("second", "third", "fourth"):
            group.start_soon(wait, name)
        await anyio.wait_all_tasks_blocked()
        assert done == []
        disk.go.release()
        await _started(disk)
        assert done == ["first"]
        disk.go.release()
    assert sorted(done) == ["first", "fourth", "second", "third"]
    assert names(disk).count("sync_data") == 2


async def test_a_sync_outlives_the_cancellation_of_whoever_led_it() -> None:
    disk = SlowDisk()
    log = create(disk)
    disk.slow = True
    end = log.append(WINDOW)
    async with anyio.create_task_group() as group:
        group.start_soon(log.sync)
        await _started(disk)
        group.cancel_scope.cancel()
        disk.go.release()
    assert log.synced == end


async def test_a_sync_of_what_is_synced_costs_nothing() -> None:
    disk = MemoryDisk()
    log = create(disk)
    disk.calls.clear()
    await log.sync()
    assert disk.calls == []


async def test_what_nobody_waits_for_is_synced_each_second(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = MemoryDisk()
    log = create(disk)
    slept: list[float] = []
    checkpoint = anyio.lowlevel.checkpoint

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await checkpoint()
        if len(slept) == 2:
            assert log.synced == end
            disk.fail_on["sync_data"] = errno.EIO
            log.append(SENT)

    monkeypatch.setattr(anyio, "sleep", sleep)
    end = log.append(WINDOW)
    await log.keep_synced()  # ends by itself when the disk fails
    assert slept == [SYNC_EVERY_S] * 2
    assert log.poisoned is not None


# --- when the disk fails ---


def test_no_room_stops_new_windows_and_loses_nothing() -> None:
    disk = MemoryDisk()
    log = create(disk)
    log.append(WINDOW)
    log.append(SENT)
    disk.fail_on["allocate"] = errno.ENOSPC
    with pytest.raises(DiskError, match="no room") as caught:
        log.reserve(10)
    assert caught.value.exit_code is ExitCode.DISK
    assert log.poisoned is None
    log.append(OUTCOMES)
    log.close()
    assert reopen(disk).ledger.tally().inserted == 100


def test_space_is_taken_in_steps_and_only_when_needed() -> None:
    disk = MemoryDisk()
    log = create(disk)
    for _ in range(5):
        log.reserve(1000)
    assert names(disk).count("allocate") == 1
    log.reserve(1024 * 1024)
    assert names(disk).count("allocate") == 2
    assert len(disk.files[LOG]) == 2 * 1024 * 1024


def poisoned_load(disk: MemoryDisk) -> CheckpointLog:
    """A log whose write of an attempt failed, with batch 1 in flight."""
    log = create(disk)
    log.append(WINDOW)
    log.append(SENT)
    disk.fail_on["write"] = errno.EIO
    with pytest.raises(DiskError, match="can no longer be written"):
        log.append(Sent(2, 1, ((101, 201),), 6.0))
    del disk.fail_on["write"]
    return log


def test_after_a_failed_write_the_log_is_never_touched_again() -> None:
    disk = MemoryDisk()
    log = poisoned_load(disk)
    before = bytes(disk.files[LOG])
    for refused in (WINDOW, SENT):
        with pytest.raises(DiskError, match="Nothing new is sent"):
            log.append(refused)
    with pytest.raises(DiskError):
        log.reserve(1)
    log.append(OUTCOMES)
    log.close()
    assert bytes(disk.files[LOG]) == before
    marker, side = disk.side_files(LOG)  # the first could not be filled: the disk refused every write then
    assert (read(disk, marker), read(disk, side)) == ([], [HEAD, OUTCOMES])


def test_answers_beside_a_poisoned_log_come_back_and_nothing_else_is_believed() -> None:
    disk = MemoryDisk()
    log = poisoned_load(disk)
    log.append(OUTCOMES)
    disk.kill()
    again = reopen(disk)
    assert again.ledger.tally().inserted == 100
    (second,) = again.ledger.open_batches()
    assert second.number == 2
    assert second.allowed == ()  # it was never sent, but after a failed write nothing proves that
    assert second.in_doubt == ((101, 201),)
    assert list(disk.files) == [LOG]


@pytest.mark.parametrize("call", range(1, 40))
def test_a_crash_at_any_call_of_the_adoption_is_repeated_without_harm(call: int) -> None:
    disk = MemoryDisk()
    log = poisoned_load(disk)
    log.append(OUTCOMES)
    disk.kill()
    disk.calls.clear()
    disk.fail_at[call] = errno.EIO
    try:
        reopen(disk)
    except DiskError:
        disk.kill()
        again = reopen(disk)
        assert again.ledger.tally().inserted == 100
        (second,) = again.ledger.open_batches()
        assert second.allowed == ()
    else:
        assert len(disk.calls) < call or names(disk)[call - 1] == "close"  # a close does not fail here


def test_a_side_file_of_another_load_is_refused() -> None:
    disk = MemoryDisk()
    log = create(disk)
    other = MemoryDisk()
    foreign = CheckpointLog.create(
        LOG, msgspec.structs.replace(HEAD, load_id="other"), OPENING, filesystem=other, boot="b"
    )
    foreign.close()
    log.close()
    disk.files[LOG.with_name("checkpoint.log.side-1")] = other.files[LOG]
    with pytest.raises(DamagedLogError, match="belongs to another load"):
        reopen(disk)


@pytest.mark.parametrize("kind", ["a broken frame", "a window twice"])
def test_a_damaged_log_names_its_own_directory_in_what_to_type(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "of the night.load" / "checkpoint.log"
    log = CheckpointLog.create(path, HEAD, OPENING)
    for _ in range(2):
        log.append(WindowEntry((batch_entry(batch(1)),)))
    log.close()
    if kind == "a broken frame":
        content = bytearray(path.read_bytes())
        content[50] ^= 1
        path.write_bytes(content)
    for read_it in (CheckpointLog.open, fold, lambda at: list(scan(at))):
        if kind == "a window twice" and read_it not in (CheckpointLog.open, fold):
            continue  # its frames are sound
        with pytest.raises(DamagedLogError) as raised:
            read_it(path)
        assert raised.value.hint.endswith(f"loader repair '{path.parent}'")


async def test_a_failed_sync_is_never_tried_again_and_believed() -> None:
    disk = MemoryDisk()
    log = create(disk)
    synced = log.synced
    end = log.append(WINDOW)
    disk.fail_on["sync_data"] = errno.EIO
    with pytest.raises(DiskError, match="a sync failed"):
        await log.sync(end)
    disk.fail_on.clear()
    disk.calls.clear()
    with pytest.raises(DiskError, match="a sync failed"):
        await log.sync(end)
    assert disk.calls == []
    assert log.synced == synced
    log.close()
    assert names(disk) == ["close", "close"]  # the log and the side file


async def test_all_who_wait_learn_of_a_failed_sync() -> None:
    disk = SlowDisk()
    log = create(disk)
    disk.slow = True
    failed: list[str] = []

    async def wait(name: str) -> None:
        try:
            await log.sync(log.append(SENT))
        except DiskError:
            failed.append(name)

    async with anyio.create_task_group() as group:
        group.start_soon(wait, "leader")
        await _started(disk)
        group.start_soon(wait, "waiter")
        await anyio.wait_all_tasks_blocked()
        disk.fail_on["sync_data"] = errno.EIO
        disk.go.release()
    assert sorted(failed) == ["leader", "waiter"]


async def test_the_first_failure_is_the_one_that_is_told() -> None:
    disk = SlowDisk()
    log = create(disk)
    disk.slow = True
    log.append(WINDOW)
    async with anyio.create_task_group() as group:

        async def sync() -> None:
            with pytest.raises(DiskError, match="a write failed"):
                await log.sync()

        group.start_soon(sync)
        await _started(disk)
        disk.fail_on.update(write=errno.ENOSPC, sync_data=errno.EIO)
        with pytest.raises(DiskError, match="a write failed"):
            log.append(SENT)
        disk.go.release()
    assert log.poisoned is not None
    assert "a write failed: No space left" in log.poisoned.why


async def test_the_keeper_ends_when_a_write_poisons_the_log() -> None:
    disk = MemoryDisk()
    log = create(disk)
    disk.fail_on["write"] = errno.EIO
    with pytest.raises(DiskError):
        log.append(WINDOW)
    disk.calls.clear()
    with anyio.fail_after(5):
        await log.keep_synced()
    assert disk.calls == []


def test_a_system_without_a_boot_id_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "_BOOT_ID", tmp_path / "missing")
    assert boot_id() == ""
    path = tmp_path / "load" / "checkpoint.log"
    CheckpointLog.create(path, HEAD, OPENING).close()
    again = CheckpointLog.open(path)
    again.begin(OPENING)
    again.close()
    last = fold(path).last_open
    assert last is not None
    assert (last.boot_id, last.survived) == ("", False)


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS])
def test_a_file_system_that_cannot_allocate_ahead_holds_a_log_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(code, os.strerror(code))

    log = CheckpointLog.create(tmp_path / "load" / "checkpoint.log", HEAD, OPENING)
    monkeypatch.setattr(os, "posix_fallocate", refuse)
    log.reserve(10)
    log.append(WINDOW)
    log.close()
    assert list(fold(log.path).open_batches()) != []


def test_a_full_disk_is_no_file_system_that_cannot_allocate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    log = CheckpointLog.create(tmp_path / "load" / "checkpoint.log", HEAD, OPENING)
    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(DiskError, match="no room"):
        log.reserve(10)
    log.close()


def test_side_files_are_adopted_in_their_order_and_removed_on_a_real_disk(tmp_path: Path) -> None:
    path = tmp_path / "load" / "checkpoint.log"
    log = CheckpointLog.create(path, HEAD, OPENING)
    log.append(WINDOW)
    log.append(SENT)
    log.close()
    others = ("checkpoint.log.side-x", "checkpoint.log.side-0", "checkpoint.log.side-")
    for name in others:
        path.with_name(name).write_bytes(b"somebody's")
    for number, lines in ((10, range(51, 101)), (9, range(1, 51))):
        frames = encode_frame(HEAD, offset=0, synced=0)
        answer = outcomes_of(1, 1, Settlement(lines, ids(lines)))
        frames += encode_frame(answer, offset=len(frames), synced=0)
        path.with_name(f"checkpoint.log.side-{number}").write_bytes(frames)
    again = CheckpointLog.open(path)
    again.begin(OPENING)
    again.close()
    assert sorted(one.name for one in path.parent.iterdir()) == sorted(("checkpoint.log", *others))
    outcomes = [entry for _, entry in scan(path) if isinstance(entry, Outcomes)]
    assert [one.lines for one in outcomes] == [((1, 51),), ((51, 101),)]


def test_a_side_file_that_cannot_be_written_either_is_a_disk_error() -> None:
    disk = MemoryDisk()
    log = create(disk)
    disk.fail_on["write"] = errno.ENOSPC
    with pytest.raises(DiskError, match="side file cannot be written either"):
        log.append(OUTCOMES)


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
@pytest.mark.parametrize("call", range(1, 16))
def test_creation_fails_cleanly_at_every_call_and_can_be_repeated(call: int, code: int) -> None:
    disk = MemoryDisk()
    disk.fail_at[call] = code
    try:
        create(disk)
    except DiskError:
        assert disk.descriptors == {}
        disk.kill()
        try:
            again = create(disk)
        except UsageError:  # HEAD is whole: then the load can be continued instead
            again = reopen(disk)
        assert again.ledger.head == HEAD
    else:
        assert len(disk.calls) < call


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
@pytest.mark.parametrize("call", range(1, 16))
def test_a_close_that_fails_still_lets_go(call: int, code: int) -> None:
    disk = MemoryDisk()
    log = create(disk)
    disk.calls.clear()
    disk.fail_at[call] = code
    if call > 2:
        log.close()
    else:
        with pytest.raises(DiskError, match="cannot be closed"):
            log.close()
    assert disk.locked == {}


def test_a_locked_log_is_refused_while_it_is_created() -> None:
    disk = MemoryDisk()
    create(disk)
    with pytest.raises(LockedError):
        CheckpointLog.create(LOG, HEAD, OPENING, filesystem=disk, boot="b")
    with pytest.raises(LockedError, match="Process"):
        CheckpointLog.open(LOG, filesystem=disk, boot="b")
    disk.files[LOG] = bytearray()
    with pytest.raises(LockedError, match="just beginning"):
        CheckpointLog.open(LOG, filesystem=disk, boot="b")
