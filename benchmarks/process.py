"""Runs a client as a process of its own and says what it cost, by the operating system's accounting.

The peak of its memory is never below that of the process that starts it (Linux hands it down), so nothing
large is held here: the benchmarks' own process stays under 40 MiB.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from benchmarks.figures import Cost

POLL_S = 0.02
CLIENT_S_MAX = 1800


class Sink(msgspec.Struct, frozen=True):
    """A sink that serves."""

    url: str
    pid: int
    ca: Path | None = None
    """The certificate that a client has to trust."""
    said: IO[str] | None = None
    """What it prints after its URL: a line at the first insert."""

    def accepted(self) -> int:
        """Records so far."""
        return int(self._ask()["records"])

    def _ask(self) -> dict[str, int]:
        context = None
        if self.ca is not None:
            import ssl  # noqa: PLC0415 - 4 MiB that only this case needs

            context = ssl.create_default_context(cafile=str(self.ca))
        with urllib.request.urlopen(f"{self.url}/benchmark/records", context=context, timeout=30) as answer:
            return msgspec.json.decode(answer.read(), type=dict[str, int])

    def cpu_s(self) -> float:
        """CPU seconds that it has taken so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def sink(*flags: str, ca: Path | None = None) -> Iterator[Sink]:
    """A sink for as long as the context lasts; it does not share the clients' core where there are two."""
    command = [sys.executable, "-m", "benchmarks.sink", *flags]
    with on_core(-1):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, "the sink did not start"
        yield Sink(url, process.pid, ca, process.stdout)
    finally:
        process.terminate()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


@contextmanager
def on_core(place: int) -> Iterator[None]:
    """Processes started meanwhile stay on that core of those allowed; where there is one, nothing changes."""
    allowed = os.sched_getaffinity(0)
    if len(allowed) > 1:
        os.sched_setaffinity(0, {sorted(allowed)[place]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def measure(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    *,
    server: Sink | None = None,
    records: int | None = None,
    ends_itself: bool = True,
    output: int | None = None,
) -> Cost:
    """Run a client to its end and say what it cost; it shares a core with nothing that is measured.

    Where `records` is given, the sink has to have accepted exactly so many more. A client that does not end
    by itself is ended once it has.

    Raises:
        SystemExit: the client failed, or lost or doubled records.
    """
    accepted_before = server.accepted() if server and records is not None else 0
    server_before_s = server.cpu_s() if server else 0.0
    began = time.monotonic()
    with on_core(0):
        process = subprocess.Popen(command, env={**os.environ, **(environment or {})}, stdout=output)
    if not ends_itself:
        assert server is not None
        assert records is not None
        wall_s = _until(lambda: server.accepted() >= accepted_before + records, process, began)
        process.send_signal(signal.SIGTERM)
    _, status, usage = os.wait4(process.pid, 0)
    if ends_itself:
        wall_s = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in ((0,) if ends_itself else (0, -signal.SIGTERM)):
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    server_s = server.cpu_s() - server_before_s if server else 0.0
    if server is not None and records is not None:
        arrived = server.accepted() - accepted_before
        if arrived != records:
            raise SystemExit(f"{' '.join(command)} had {arrived:,} of {records:,} records accepted")
    return Cost(usage.ru_utime + usage.ru_stime, wall_s, usage.ru_maxrss / 1024, server_s)


def _until(done: Callable[[], bool], process: subprocess.Popen[bytes], began: float) -> float:
    while not done():
        if process.poll() is not None or time.monotonic() - began > CLIENT_S_MAX:
            process.kill()
            raise SystemExit(f"{process.args!r} did not get through")
        time.sleep(POLL_S)
    return time.monotonic() - began
