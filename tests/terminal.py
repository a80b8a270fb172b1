"""A terminal as a person sees it: a pseudo-terminal, and an emulator that says what stands on its screen.

Whatever is started here is ended here. Nothing waits for a time, only for what is seen.
"""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyte

from tests.crash.harness import end

TIMEOUT_S = 50.0
PROMPT = "$ loader ..."
ERASURE = b"\r\x1b["
"""Back to where the last picture began: that is how each one is wiped out, and nothing else."""
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Cutting(pyte.Screen):
    """A screen that cuts written lines off where it gets narrower, as the Linux console does."""


class Reflowing(pyte.Screen):
    """A screen that breaks written lines anew where it gets narrower, as most terminals of a desktop do."""

    def resize(self, lines: int | None = None, columns: int | None = None) -> None:
        written = [row.rstrip() for row in self.display[: self.cursor.y]]
        super().resize(lines, columns)
        self.erase_in_display(2)
        self.cursor_position()
        for row in written:
            for begin in range(0, max(len(row), 1), self.columns):
                self.draw(row[begin : begin + self.columns])
                self.linefeed()
                self.carriage_return()


class Watched:
    """A command on a terminal of its own."""

    def __init__(self, process: subprocess.Popen[bytes], master: int, screen: pyte.Screen) -> None:
        self.process = process
        self.screen = screen
        self.raw = b""
        self.frames: list[list[str]] = []
        """What stood on the screen each time just before a part of it was wiped out."""
        self._master = master
        self._stream = pyte.ByteStream(screen)
        self._unfed = b""

    @property
    def rows(self) -> list[str]:
        """What stands on the screen, without the empty rows at its end."""
        return _rows(self.screen)

    @property
    def lines(self) -> list[str]:
        """All that was ever written, line by line, however it was drawn."""
        return _ESCAPE.sub("", self.raw.decode().replace("\r", "")).split("\n")

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Reads on until it holds."""
        deadline = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < deadline, "\n".join(self.rows)
            assert self._read() or condition(), "\n".join(self.rows)

    def frame(self, pattern: str) -> list[str]:
        """The first frame with a row like this, waited for."""
        wanted = re.compile(pattern)

        def seen() -> list[list[str]]:
            return [frame for frame in self.frames if any(map(wanted.search, frame))]

        self.wait_for(lambda: bool(seen()))
        return seen()[0]

    def ended(self) -> int:
        """Reads to the end; returns the exit code, negative for a signal."""
        deadline = time.monotonic() + TIMEOUT_S
        while self._read():
            assert time.monotonic() < deadline, "\n".join(self.rows)
        return self.process.wait(timeout=TIMEOUT_S)

    def resize(self, *, columns: int, rows: int = 24) -> None:
        self.screen.resize(rows, columns)
        termios.tcsetwinsize(self._master, (rows, columns))
        self.process.send_signal(signal.SIGWINCH)

    def close(self) -> None:
        end(self.process)
        os.close(self._master)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._master], [], [], 0.2)
        if not ready:
            return True
        try:
            data = os.read(self._master, 65_536)
        except OSError:  # EIO: nobody has the terminal open any more
            data = b""
        if not data:
            self._stream.feed(self._unfed)
            self._unfed = b""
            return False
        self.raw += data
        data = self._unfed + data
        # An erasure may be cut in two between reads.
        cut = next((end for end in (b"\r\x1b", b"\r") if data.endswith(end)), b"")
        self._unfed = cut
        first, *pictures = data[: len(data) - len(cut)].split(ERASURE)
        self._stream.feed(first)
        for picture in pictures:
            self.frames.append(_rows(self.screen))
            self._stream.feed(ERASURE + picture)
        return True


def _rows(screen: pyte.Screen) -> list[str]:
    rows = [row.rstrip() for row in screen.display]
    while rows and not rows[-1]:
        rows.pop()
    return rows


@contextmanager
def watched(
    command: Sequence[str],
    *,
    cwd: Path,
    environ: Mapping[str, str],
    columns: int = 80,
    rows: int = 24,
    kind: type[pyte.Screen] = Reflowing,
) -> Iterator[Watched]:
    """Starts the command on a terminal of that size, below a line that was there before."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (rows, columns))
    try:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(environ),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
    finally:
        os.close(slave)
    screen = kind(columns, rows)
    screen.draw(PROMPT)
    screen.linefeed()
    screen.carriage_return()
    terminal = Watched(process, master, screen)
    try:
        yield terminal
    finally:
        terminal.close()
