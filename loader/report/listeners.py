"""Streams on which nobody may be listening any more: a pipe whose reader went away, a terminal that closed.

What cannot be said there is no reason to stop a load; its files and its exit code say the same.
"""

from __future__ import annotations

import io
import os
import select
import sys
from contextlib import suppress
from typing import TextIO


def let_go(stream: TextIO) -> None:
    """Nobody listens: what is still in the stream's buffer goes nowhere, without a complaint at exit."""
    with suppress(OSError, ValueError):
        descriptor = stream.fileno()
        devnull = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(devnull, descriptor)
        os.close(devnull)


def unread(stream: TextIO) -> bool:
    """Whether the stream is a pipe whose reader has gone."""
    poll = select.poll()
    try:
        poll.register(stream.fileno(), select.POLLOUT)
        return any(events & select.POLLERR for _, events in poll.poll(0))
    except (OSError, ValueError):
        return False


def fill_closed_streams() -> None:
    """Makes sure that 0, 1 and 2 are taken, where the process was started with some of them closed (`2>&-`).

    Else the next file to be opened gets the number: what is meant for stderr would be written into the
    checkpoint log. stdin stays unreadable, so that nobody takes it for empty.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_WRONLY)
            assert opened == descriptor, "the lowest free number is given"
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def accept_everything(stream: TextIO) -> None:
    """What the encoding of the stream has no letter for is escaped, as on stderr. Data are bytes."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


class Patient(io.TextIOBase):
    """A text stream that takes everything: what cannot be written is dropped, from then on all of it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    def write(self, text: str, /) -> int:
        try:
            self._stream.write(text)
        except (OSError, ValueError):
            let_go(self._stream)
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            let_go(self._stream)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()
