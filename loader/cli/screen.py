"""Where words go: data to stdout, all else to stderr."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable

from loader.errors import DiskError
from loader.report.listeners import let_go
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
        let_go(sys.stderr)


def give(data: bytes) -> None:
    """One line of data for a program; whether it arrives changes nothing about the exit code."""
    try:
        sys.stdout.buffer.write(data + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        let_go(sys.stdout)  # as its reader wanted it
    except OSError as error:
        let_go(sys.stdout)
        show([f"warning: the summary could not be written to stdout: {error.strerror}"])


def give_text(text: str) -> None:
    """Text that was asked for, to stdout.

    Raises:
        DiskError: it cannot be written.
    """
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        let_go(sys.stdout)
    except OSError as error:
        let_go(sys.stdout)
        raise DiskError(
            "what was asked for could not be printed", why=error.strerror or str(error)
        ) from error


def color_wanted(*, no_color: bool) -> bool:
    """NO_COLOR counts where it is set to anything but nothing (no-color.org)."""
    return not (no_color or os.environ.get("NO_COLOR"))
