"""The checkpoint log alone: what writing the log of a finished load costs, and how soon a load comes back.

`python -m benchmarks.log replay DIR` writes the log of the load in DIR once more, entry by entry as the
recorder is told them, and prints the CPU seconds of that. `python -m benchmarks.log resume [--records N]`
makes a log of N records, begins a loader on it, and prints the seconds until its first insert.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import anyio

from benchmarks.credentials import BENCHMARK
from benchmarks.process import sink
from loader.checkpoint.entries import FORMAT_VERSION, Head, Outcomes, Sent, WindowEntry, record_outcomes
from loader.checkpoint.filesystem import LocalFilesystem
from loader.checkpoint.log import CheckpointLog, Opening
from loader.checkpoint.ranges import to_lines
from loader.checkpoint.recorder import Recorder
from loader.checkpoint.scan import scan
from loader.outcomes import Settlement
from loader.recall import recorded
from loader.records import Attempt, Batch, Span, Window
from loader.source.fingerprint import InputIdentity

BATCH = 100
WINDOW = 10
Step = Callable[[Recorder], object]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.log", description=__doc__)
    commands = made.add_subparsers(required=True, dest="command")
    commands.add_parser("replay").add_argument("load_dir", type=Path)
    commands.add_parser("resume").add_argument("--records", type=int, default=10_000_000)
    return made


def main() -> int:
    """Read the arguments, measure, print."""
    arguments = parser().parse_args()
    if arguments.command == "replay":
        print(anyio.run(replay, arguments.load_dir))
        return 0
    return time_resume(arguments.records)


# --- what the log of a load costs ---


async def replay(load_dir: Path) -> float:
    """CPU seconds of writing that load's log, its syncs among them."""
    path = load_dir / "checkpoint.log"
    entries = [entry for _, entry in scan(path)]
    head = next(entry for entry in entries if isinstance(entry, Head))
    steps = list(steps_of(entries))
    with tempfile.TemporaryDirectory(dir=load_dir) as folder:
        log = CheckpointLog.create(Path(folder) / "checkpoint.log", head, Opening(head.input, 1.0))
        recorder = Recorder(log, lambda _event: None)
        began = time.process_time()
        for step in steps:
            waiting = step(recorder)
            if waiting is not None:
                await waiting  # type: ignore[misc]
        cpu_s = time.process_time() - began
        log.close()
    return cpu_s


def steps_of(entries: Sequence[object]) -> Iterator[Step]:
    """What the recorder was told, in the values that it is told them in."""
    for entry in entries:
        if isinstance(entry, WindowEntry):
            window = Window(
                [Batch(one.number, one.span, to_lines(one.record_lines), ()) for one in entry.batches]
            )
            yield partial(Recorder.intend, window=window)
        elif isinstance(entry, Sent):
            attempt = Attempt(entry.batch, entry.attempt, to_lines(entry.lines), ())
            yield partial(Recorder.sent, attempt=attempt, at=entry.at)
        elif isinstance(entry, Outcomes):
            ids = [one.id for one in record_outcomes(entry)]
            lines = to_lines(entry.lines)
            attempt = Attempt(entry.batch, entry.attempt, lines, ())
            yield partial(Recorder.settle, attempt=attempt, settlement=Settlement(lines, ids))


# --- how soon a load comes back ---


class _NeverSynced(LocalFilesystem):
    """Nothing is measured while the log is made."""

    def sync_data(self, descriptor: int) -> None:
        """Skipped."""


def time_resume(records: int) -> int:
    """Seconds from the start of a process to its first insert, on a log with so many outcomes."""
    with tempfile.TemporaryDirectory(prefix="loader-benchmark-") as folder:
        data, load_dir = Path(folder) / "leads.ndjson", Path(folder) / "load"
        write_lines(data, records + BATCH * WINDOW)
        with sink() as server:
            assert server.said is not None
            anyio.run(make_log, data, load_dir / "checkpoint.log", server.url, records)
            log_bytes = (load_dir / "checkpoint.log").stat().st_size
            began = time.monotonic()
            command = [sys.executable, "-m", "loader", "resume", str(load_dir), "-q", "--no-progress"]
            with subprocess.Popen(command, env={**os.environ, **BENCHMARK}) as resumed:
                assert server.said.readline().strip() == "first insert"
                first_s = time.monotonic() - began
                code = resumed.wait(120)
    print(
        f"{records:,} outcomes, {log_bytes / records:.2f} bytes each: first insert after {first_s:.2f} s,"
        f" exit {code}"
    )
    return code


def write_lines(path: Path, count: int) -> None:
    """Leads that differ, quickly."""
    with path.open("wb", buffering=1 << 20) as stream:
        for start in range(0, count, BATCH):
            stream.write(lines_from(start))


def lines_from(start: int) -> bytes:
    """A batch of lines."""
    return b"".join(
        b'{"Last_Name":"Lead %08d","Email":"l%08d@example.com"}\n' % (n, n)
        for n in range(start, start + BATCH)
    )


async def make_log(data: Path, path: Path, url: str, records: int) -> None:
    """The log of a load that was stopped after `records` of them."""
    identity = recorded(InputIdentity.of_path(str(data)))
    head = Head(
        FORMAT_VERSION, "BENC-HMRK", 1.0, "Leads", url, "5725767000000000001", "", None, None, True,
        {"accounts_url": url}, identity,
    )  # fmt: skip
    log = CheckpointLog.create(path, head, Opening(identity, 1.0), filesystem=_NeverSynced())
    recorder = Recorder(log, lambda _event: None)
    at = 0
    for first in range(0, records, BATCH * WINDOW):
        batches = []
        for start in range(first, first + BATCH * WINDOW, BATCH):
            raw = lines_from(start)
            span = Span(start + 1, BATCH, at, at + len(raw), zlib.crc32(raw))
            at += len(raw)
            batches.append(Batch(start // BATCH + 1, span, range(start + 1, start + BATCH + 1), ()))
        await recorder.intend(Window(batches))
        for batch in batches:
            attempt = Attempt(batch.number, 1, batch.lines, ())
            recorder.sent(attempt, 2.0)
            ids = [str(5725767000000000000 + line) for line in batch.lines]
            recorder.settle(attempt, Settlement(batch.lines, ids))
    log.close()


if __name__ == "__main__":
    raise SystemExit(main())
