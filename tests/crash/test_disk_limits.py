"""Real limits, not injected ones: few open files, files that may not grow, a full disk, a read-only one.

Each is met as an operator meets it: the load does not begin or stops with its exit code, one screen says what
to do, and once that is done the same load comes to its end with every record once.
"""

from __future__ import annotations

import os
import random
import resource
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.crash import strace
from tests.crash.harness import (
    BATCH,
    LOADER,
    PYTHON,
    Crm,
    Desk,
    Finished,
    lead,
    sandbox,
    wait_for,
    write_leads,
)
from tests.crash.launcher import launched
from tests.crash.strace import Aim, Fault, Strike

KEYED = ("--concurrency", "2", "--key", "Email", "--quiet-period", "30ms")
IN_FLIGHT = 2 * BATCH
RECORDS = 600
REFUSED = 14_000
"""Records that the service refuses: each leaves some 90 bytes in the log, and all of them more than 1 MiB."""
STEP_BYTES = 1024 * 1024
"""What the log allocates ahead, as docs/reference/checkpoint-log.md says."""
ULIMIT_BLOCK_BYTES = 512


@pytest.fixture
def crm(tmp_path: Path) -> Iterator[Crm]:
    with sandbox(tmp_path, "--unique", "Leads.Email") as running:
        yield running


def limited(*limits: str) -> Sequence[str]:
    """The loader under a shell's limits; the shell becomes the loader, so its process id is the loader's."""
    return ("sh", "-c", f'ulimit {" ".join(limits)} && exec "$0" "$@"', *LOADER)


def desk_at(place: Path, crm: Crm, *, load_dir: Path | None = None) -> Desk:
    desk = Desk(place, crm, write_leads(place / "leads.ndjson", RECORDS, 1), KEYED)
    if load_dir is not None:
        desk.load_dir = load_dir
    return desk


def says_what_to_do(finished: Finished, *words: str) -> None:
    finished.ended(2, 7, 9)
    assert "error: " in finished.said, finished.stderr
    for word in words:
        assert word in finished.said, finished.stderr


def nothing_was_sent(crm: Crm) -> None:
    assert crm.database.insert_calls == 0


def ends_with_everything_once(desk: Desk) -> None:
    desk.load().ended(0)
    assert desk.judge() == {"inserted": RECORDS}


# --- open files ---


@pytest.mark.parametrize("files", [6, 12, 23])
def test_too_few_open_files_are_refused_before_anything_begins(tmp_path: Path, crm: Crm, files: int) -> None:
    desk = desk_at(tmp_path, crm)
    finished = desk.run(desk.load_command(), program=limited("-n", str(files)))
    finished.ended(2).is_one_screen()
    says_what_to_do(finished, f"only {files} files may be open", "ulimit -n 256")
    assert not desk.load_dir.exists()
    assert crm.database.calls == 0
    ends_with_everything_once(desk)


@pytest.mark.parametrize("flags", [("-n", "24"), ("-S", "-n", "12")], ids=["just-enough", "soft"])
def test_as_many_open_files_as_are_asked_for_are_enough(
    tmp_path: Path, crm: Crm, flags: tuple[str, ...]
) -> None:
    """The refusal above is not too timid either; a soft limit the loader raises by itself."""
    desk = desk_at(tmp_path, crm)
    desk.run(desk.load_command(), program=limited(*flags)).ended(0)
    assert desk.judge() == {"inserted": RECORDS}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(2))
def test_open_files_that_run_out_in_the_middle_lose_nothing(tmp_path: Path, seed: int) -> None:
    """Connections that the sandbox drops cannot be opened again, nor can the reports be written."""
    drops = ("--fault", "drop-after-apply=0.3", "--fault", "drop-before-apply=0.3")
    with sandbox(
        tmp_path, "--unique", "Leads.Email", "--latency", "20ms", "--seed", str(seed), *drops
    ) as crm:
        desk = desk_at(tmp_path, crm)
        with desk.spawned([*desk.load_command(), "--patience", "2s"]) as process:
            wait_for(lambda: crm.database.insert_calls > seed)
            _, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (3, hard))
            process.wait(timeout=60)
        stopped = desk.said(process).ended(7, 9)
        says_what_to_do(stopped, "Too many open files", "ulimit -n 4096", "again")
        ends_with_everything_once(desk)


# --- files that may not grow, and a full disk ---


@pytest.mark.parametrize("blocks", [0, 4, 2_047])
def test_a_log_that_cannot_be_allocated_stops_the_load_before_the_first_record(
    tmp_path: Path, crm: Crm, blocks: int
) -> None:
    desk = desk_at(tmp_path, crm)
    finished = desk.run(desk.load_command(), program=limited("-f", str(blocks))).ended(9)
    if blocks > 1:  # else what it says does not fit either: the limit counts for its stderr too
        says_what_to_do(finished, "no room for the checkpoint log", "ulimit -f unlimited", "loader resume /")
    nothing_was_sent(crm)
    ends_with_everything_once(desk)


def write_refused(path: Path) -> Path:
    """Leads of which the service refuses all but every tenth: they have no last name."""
    random_ = random.Random(1)
    with path.open("wb") as stream:
        for number in range(1, REFUSED + 1):
            if number % 10 == 0:
                stream.write(lead(number, random_) + b"\n")
            else:
                stream.write(b'{"Company":"Company %d","Email":"lead.%d@example.com"}\n' % (number, number))
    return path


def stops_in_the_middle_and_keeps_each_answer(desk: Desk, room: Callable[[], Finished]) -> None:
    """No answer is lost: although nothing protects from doubles but the log, nothing is in doubt."""
    stopped = room().ended(9)
    says_what_to_do(stopped, "no room for the checkpoint log", "loader resume /")
    outcomes = [line for line in desk.results() if b'"in_doubt"' in line]
    assert outcomes == [], "answers that had come were not kept"
    taken = desk.crm.database.records_taken
    assert 0 < taken < REFUSED, "the load was to stop in its middle"


def full_desk(place: Path, crm: Crm) -> Desk:
    flags = ("--concurrency", "4", "--no-check")
    return Desk(place, crm, write_refused(place / "leads.ndjson"), flags)


def ends_after_there_is_room(desk: Desk) -> None:
    desk.resume().ended(3)
    assert desk.judge() == {"inserted": REFUSED // 10, "rejected": REFUSED - REFUSED // 10}
    assert desk.crm.database.records_taken == REFUSED, "nothing is sent twice"


@pytest.mark.timeout(180)
def test_a_log_that_may_not_grow_stops_new_sends_and_loses_no_answer(tmp_path: Path) -> None:
    with sandbox(tmp_path) as crm:
        desk = full_desk(tmp_path, crm)
        program = limited("-f", str(STEP_BYTES // ULIMIT_BLOCK_BYTES))
        stops_in_the_middle_and_keeps_each_answer(
            desk, lambda: desk.run([*desk.load_command(), "--quiet"], program=program)
        )
        ends_after_there_is_room(desk)


def without_allocation(file_bytes_max: int) -> Sequence[str]:
    """The loader on a disk that cannot allocate ahead and is full at that byte of a file."""
    limit = f"resource.setrlimit(resource.RLIMIT_FSIZE, ({file_bytes_max}, {file_bytes_max}))"
    start = f"import os, resource, sys; {limit}; os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    refuse = ("-e", "trace=fallocate", "-e", "inject=fallocate:error=ENOSYS")
    return ("strace", "-f", "-qq", "-o", os.devnull, *refuse, PYTHON, "-c", start, *LOADER[1:])


@pytest.mark.timeout(120)
@pytest.mark.parametrize("file_bytes_max", [2_601, 3_533, 5_077])
def test_a_frame_that_no_longer_fits_whole_is_cut_away_and_no_answer_is_lost(
    tmp_path: Path, file_bytes_max: int
) -> None:
    """Nothing was allocated ahead; beside the log there is room for two answers of some 900 bytes."""
    strace.require()
    count = 1_200
    with sandbox(tmp_path, "--latency", "5ms") as crm:
        source = write_leads(tmp_path / "leads.ndjson", count, 1)
        desk = Desk(tmp_path, crm, source, ("--concurrency", "2"))
        stopped = desk.run(desk.load_command(), program=without_allocation(file_bytes_max)).ended(9)
        says_what_to_do(stopped, "a write failed: File too large", "loader resume /")
        assert 0 < crm.database.records_taken < count
        desk.resume().ended(0, 4)
        # Windows of a log that failed prove nothing, so what they allow is held, though it never left.
        outcomes = desk.judge(held_max=2 * IN_FLIGHT)
        assert outcomes["inserted"] == crm.database.rows == crm.database.records_taken, "an answer was lost"


class Mount:
    """A small file system of its own, and what an operator does with it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def remount(self, options: str) -> None:
        _mount("-o", f"remount,{options}", str(self.path))


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True, text=True)


@contextmanager
def mounted(place: Path, options: str) -> Iterator[Mount]:
    path = place / "disk"
    path.mkdir()
    try:
        _mount("-t", "tmpfs", "-o", options, "tmpfs", str(path))
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        pytest.skip(
            "no file system may be mounted here; the same refusals come from limits and from strace"
            f" in this module: {getattr(error, 'stderr', error)}"
        )
    try:
        yield Mount(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.mark.timeout(180)
def test_a_disk_that_fills_up_in_the_middle_stops_new_sends_and_loses_no_answer(tmp_path: Path) -> None:
    with mounted(tmp_path, f"size={STEP_BYTES * 3 // 2}") as disk, sandbox(tmp_path) as crm:
        desk = full_desk(tmp_path, crm)
        desk.load_dir = disk.path / "load"
        stops_in_the_middle_and_keeps_each_answer(desk, desk.load)
        says_what_to_do(desk.resume().ended(9), "no room", "loader resume /")  # still full
        disk.remount("size=32m")
        ends_after_there_is_room(desk)


@pytest.mark.parametrize("free_bytes", [0, 4_096, 65_536])
def test_a_disk_that_is_full_from_the_beginning_is_named_and_nothing_is_sent(
    tmp_path: Path, crm: Crm, free_bytes: int
) -> None:
    with mounted(tmp_path, "size=256k") as disk:
        desk = desk_at(tmp_path, crm, load_dir=disk.path / "load")
        with (disk.path / "ballast").open("wb") as ballast:
            ballast.write(bytes(256 * 1024 - free_bytes))
        finished = desk.load().ended(9)
        says_what_to_do(finished, "No space left on device", "same command" if free_bytes == 0 else "loader ")
        nothing_was_sent(crm)
        (disk.path / "ballast").unlink()
        disk.remount("size=4m")
        ends_with_everything_once(desk)


# --- a read-only disk ---


def test_a_load_directory_on_a_read_only_disk_is_named_and_nothing_is_sent(tmp_path: Path, crm: Crm) -> None:
    with mounted(tmp_path, "ro") as disk:
        desk = desk_at(tmp_path, crm, load_dir=disk.path / "load")
        says_what_to_do(desk.load().ended(9), "Read-only file system", "same command")
        nothing_was_sent(crm)
        disk.remount("rw")
        ends_with_everything_once(desk)


def test_a_load_whose_disk_became_read_only_goes_on_once_it_can_be_written(tmp_path: Path) -> None:
    with (
        mounted(tmp_path, "size=4m") as disk,
        sandbox(tmp_path, "--unique", "Leads.Email", "--latency", "100ms") as crm,
    ):
        desk = desk_at(tmp_path, crm, load_dir=disk.path / "load")
        with desk.spawned(desk.load_command()) as process:
            wait_for(lambda: crm.database.insert_calls >= 2)
            process.kill()
            process.wait()
        time.sleep(0.15)  # what the sandbox had read of the killed calls, it now has applied
        calls = crm.database.insert_calls
        disk.remount("ro")
        for command in (desk.resume_command(), desk.load_command()):
            says_what_to_do(desk.run(command).ended(9), "Read-only file system", "same command")
        assert crm.database.insert_calls == calls
        disk.remount("rw")
        ends_with_everything_once(desk)


@pytest.mark.parametrize("call", ["mkdir", "openat"])
def test_a_directory_or_a_log_that_may_not_be_written_is_named(tmp_path: Path, crm: Crm, call: str) -> None:
    """The same without a mount: the refusal comes from strace."""
    strace.require()
    traces = tmp_path / "traces"
    traces.mkdir()
    desk = desk_at(tmp_path, crm)
    paths = [desk.load_dir, desk.load_dir / "checkpoint.log"]
    strike = Strike(traces, paths, Aim(call, main=True, number=1), Fault.EROFS, for_good=True)
    with launched() as loaders:
        finished = loaders.run(desk, desk.load_command(), strike=strike)
    says_what_to_do(finished.ended(9), "Read-only file system", "same command")
    assert strace.refused_in(traces)
    nothing_was_sent(crm)
    ends_with_everything_once(desk)
