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


def begun(command: Sequence[str], environment: Mapping[str, str], counted: Path) -> subprocess.Popen[bytes]:
    """A client under callgrind, which writes what it counted into a file."""
    callgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", f"--log-file={counted}"]
    fixed = {"PYTHONHASHSEED": "0"}
    return subprocess.Popen(
        [*callgrind, *command], env={**os.environ, **environment, **fixed}, stdout=subprocess.DEVNULL
    )


def total(process: subprocess.Popen[bytes], counted: Path) -> int:
    """The instructions of such a client, once it has ended.

    Raises:
        SystemExit: it failed.
    """
    if process.wait(RUN_S_MAX) != 0:
        raise SystemExit(f"{process.args!r} ended with {process.returncode}:\n{counted.read_text()[-1000:]}")
    found = _COLLECTED.search(counted.read_text())
    assert found is not None, "callgrind says what it collected"
    return int(found[1])


def a_record(totals: Mapping[int, int]) -> float:
    """By count of records the instructions of a whole run -> those of one record more."""
    few, many = min(totals), max(totals)
    return (totals[many] - totals[few]) / (many - few)
