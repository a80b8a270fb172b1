"""Where the loads of a test keep what they share: nowhere near the person who runs it, or another test.

A sandbox grants ten tokens in ten minutes, and a loader that shares its state keeps to that; so a test that
starts more loads than that gives each of them a state of its own.
"""

from __future__ import annotations

import tempfile
from itertools import count
from pathlib import Path

_numbers = count()
_base = Path(tempfile.gettempdir()) / "loader-tests-without-a-session"


def keep_below(folder: Path) -> None:
    """From here on, in there."""
    global _base  # noqa: PLW0603 - one for each process that runs tests
    _base = folder


def fresh() -> str:
    """A directory that nobody has used; nobody makes it before it is needed."""
    return str(_base / str(next(_numbers)))
