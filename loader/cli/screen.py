"""Where words go: data to stdout, all else to stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from loader.errors import DiskError
from loader.report import terminal
from loader.report.listeners import let_go
from loader.report.text import in_ascii, printable
from loader.report.wrapping import wrapped

WIDTH_MIN, WIDTH_MAX = 40, 100


def width() -> int:
    """The columns that a screen may have; 80 where nobody says."""
    return max(WIDTH_MIN, min(terminal.size(sys.stderr)[0], WIDTH_MAX))


def show(lines: Iterable[str]) -> None:
    """Lines for a person; nothing in them that a terminal would obey, or that it cannot show."""
    shown = "".join(f"{printable(line)}\n" for line in lines)
    try:
        if not (shown.isascii() or terminal.takes_unicode(sys.stderr)):
            shown = in_ascii(shown)
        sys.stderr.write(shown)
        sys.stderr.flush()
    except OSError:
        let_go(sys.stderr)


def say(*sentences: str) -> None:
    """Sentences for a person, each broken where the screen ends."""
    for sentence in sentences:
        show(wrapped(printable(sentence), width=width(), first=""))


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
