"""Faults at single system calls of the loader, by `strace`: kill it before a call, or refuse the call.

`strace` counts the calls of each thread by itself. The loader writes its log from the main thread and syncs
it from another, so "the second fdatasync" would name two calls. Therefore it is attached either to the main
thread or to the others, never to both, and every call can be aimed at.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

import pytest

from tests.crash.harness import end, wait_for

NOT_ALLOWED = "SYSTEM CALLS NOT TESTED: "
"""Begins the reason of a test that cannot have strace; `pytest_terminal_summary` looks for it."""
SECONDS_MAX = 20


class Fault(StrEnum):
    """What happens at a call, in strace's words."""

    KILL = "signal=SIGKILL"
    EIO = "error=EIO"
    ENOSPC = "error=ENOSPC"
    EROFS = "error=EROFS"


@dataclass(frozen=True, order=True)
class Aim:
    """One system call of a load: the so-many-th of its kind that the main thread makes, or another one."""

    call: str
    main: bool
    number: int

    def __str__(self) -> str:
        return f"{self.call} {self.number} of {'the main thread' if self.main else 'another thread'}"


@dataclass(frozen=True)
class Strike:
    """What strace does to a process: it traces the calls on `paths`, and puts a fault at one of them."""

    traces: Path
    """A directory for what it writes: a file for each thread."""
    paths: Sequence[Path]
    aim: Aim | None = None
    """None: nothing is struck."""
    fault: Fault = Fault.KILL
    for_good: bool = False
    """All calls of this kind from there on."""

    @property
    def main(self) -> bool:
        """The main thread is traced."""
        return self.aim is None or self.aim.main

    @property
    def others(self) -> bool:
        """The threads beside it are traced."""
        return self.aim is None or not self.aim.main

    def words(self, thread: int | str) -> list[str]:
        """The command that attaches to one thread."""
        words = ["strace", "-q", "-o", str(self.traces / f"{thread}"), "-p", f"{thread}"]
        words += ["-e", "trace=%file,%desc"]
        for path in self.paths:
            words += ["-P", str(path)]
        if self.aim is not None:
            when = f"{self.aim.number}{'+' if self.for_good else ''}"
            words += ["-e", f"inject={self.aim.call}:{self.fault}:when={when}"]
        return words

    def read(self, main: int) -> list[Aim]:
        """The calls that were traced, once the process has ended, those of the main thread first."""
        found: list[Aim] = []
        for trace in sorted(self.traces.iterdir(), key=lambda path: int(path.name)):
            found += _calls_in(trace, main=trace.name == str(main))
        return found


@cache
def refusal() -> str:
    """Why strace cannot be used here, found by using it; empty where it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    with subprocess.Popen(["sleep", str(SECONDS_MAX)]) as other:
        command = ["strace", "-f", "-qq", "-o", os.devnull, "-p", str(other.pid)]
        tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            while tracer.poll() is None and not is_traced(other.pid):
                time.sleep(0.001)
        finally:
            other.kill()
        said = tracer.communicate(timeout=SECONDS_MAX)[1]
    return f"strace may not trace here: {said.strip()}" if tracer.returncode not in (0, -9) else ""


def require() -> None:
    """Skips the test where the system does not let one process trace another."""
    if why := refusal():
        pytest.skip(NOT_ALLOWED + why)


@contextmanager
def attached(thread: int, strike: Strike) -> Iterator[None]:
    """strace on a thread that waits, and until that has ended."""
    tracer = subprocess.Popen(strike.words(thread), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: is_traced(thread) or tracer.poll() is not None)
        assert tracer.poll() is None, "strace could not attach"
        yield
        tracer.wait(timeout=SECONDS_MAX)
    finally:
        end(tracer)


def is_traced(thread: int) -> bool:
    """Whether a tracer has attached itself to the thread."""
    return "\nTracerPid:\t0\n" not in Path(f"/proc/{thread}/status").read_text()


_CALL = re.compile(r"^(\w+)\(")
_ENDED = re.compile(r"^\+\+\+ ", re.MULTILINE)


def _calls_in(trace: Path, *, main: bool) -> list[Aim]:
    # A thread's tracer may outlive the process by a moment.
    wait_for(lambda: _ENDED.search(trace.read_text(errors="replace")) is not None)
    counted: Counter[str] = Counter()
    found: list[Aim] = []
    for line in trace.read_text(errors="replace").splitlines():
        if match := _CALL.match(line):
            counted[match[1]] += 1
            found.append(Aim(match[1], main, counted[match[1]]))
    return found


def refused_in(traces: Path) -> bool:
    """Whether a call was refused."""
    return any("(INJECTED)" in trace.read_text(errors="replace") for trace in traces.iterdir())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says loudly what was not tested: a line among the skipped is soon overlooked."""
    skipped: Sequence[pytest.TestReport] = terminalreporter.stats.get("skipped", [])
    reasons = {str(one.longrepr[2]) for one in skipped if isinstance(one.longrepr, tuple)}
    for reason in sorted(one for one in reasons if NOT_ALLOWED in one):
        terminalreporter.write_sep("!", "WARNING", red=True, bold=True)
        terminalreporter.write_line(reason.removeprefix("Skipped: "), red=True, bold=True)
        terminalreporter.write_line(
            "No fault was put at any system call. Run the tests where ptrace is allowed"
            " (in a container: --cap-add=SYS_PTRACE), with strace installed.",
            red=True,
        )
