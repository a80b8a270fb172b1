"""Instructions a record, counted by valgrind's callgrind: a figure that a busy machine cannot move.

A client is run with two counts of records; the difference, divided by the records between them, is what one
record more costs. Hash seeds are fixed. Small differences stay: how often an event loop looks around depends
on when the answers come.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

INSTALL: Final = "apt-get install valgrind"
RUN_S_MAX: Final = 600
_COLLECTED: Final = re.compile(r"Collected : (\d+)")


def missing() -> str:
    """What to type to have valgrind; empty: it is there."""
    return "" if shutil.which("valgrind") else INSTALL


class Counted:
    """A client that runs under callgrind, which writes what it counted into a file."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        callgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", f"--log-file={log}"]
        self._log = log
        self._process = subprocess.Popen(
            [*callgrind, *command],
            env={**os.environ, **environment, "PYTHONHASHSEED": "0"},
            stdout=subprocess.DEVNULL,
        )

    def total(self) -> int:
        """Its instructions, once it has ended.

        Raises:
            SystemExit: it failed.
        """
        code = self._process.wait(RUN_S_MAX)
        said = self._log.read_text()
        if code != 0:
            raise SystemExit(f"{self._process.args!r} ended with {code}:\n{said[-1000:]}")
        found = _COLLECTED.search(said)
        assert found is not None, "callgrind says what it collected"
        return int(found[1])

    def end(self) -> None:
        """At once, where it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def a_record(totals: Mapping[int, int]) -> float:
    """By count of records the instructions of a whole run -> those of one record more."""
    few, many = min(totals), max(totals)
    return (totals[many] - totals[few]) / (many - few)
