"""Where words go: data to stdout, all else to stderr."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable

from loader.cli.errors import close_stdout
from loader.report.text import printable

WIDTH_MAX = 100


def width() -> int:
    """The columns that a screen may have; 80 where nobody says."""
    return max(40, min(shutil.get_terminal_size((80, 24)).columns, WIDTH_MAX))


def show(lines: Iterable[str]) -> None:
    """Lines for a person; nothing in them that a terminal would obey."""
    try:
        sys.stderr.write("".join(f"{printable(line)}\n" for line in lines))
        sys.stderr.flush()
    except OSError:
        pass  # nobody listens; files and exit code say the same


def give(data: bytes) -> None:
    """One line of data for a program; a reader that went away changes nothing about the exit code."""
    try:
        sys.stdout.buffer.write(data + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        close_stdout()


def color_wanted(*, no_color: bool) -> bool:
    """NO_COLOR counts where it is set to anything but nothing (no-color.org)."""
    return not (no_color or os.environ.get("NO_COLOR"))
