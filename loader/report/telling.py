"""Lines for a stream, written by a thread of their own: the event loop never waits for whoever reads them.

A pipe that is full and not read would else hold the whole load, and answers under way would time out.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Self, TextIO

from loader.report import terminal, text
from loader.report.listeners import let_go

TOLD_KEPT = 10_000
"""Lines that wait for their reader; of one that stopped reading for long, the oldest go."""
CLOSE_S = 5.0
"""So long the end of a load waits for its last lines to be taken."""


class Telling:
    """Takes lines at once and writes them when they are taken; a context manager, whose end writes the rest.

    `tick` is called every `tick_s` seconds in the same thread.
    """

    def __init__(
        self,
        out: TextIO,
        *,
        tick: Callable[[], None] | None = None,
        tick_s: float = 1.0,
        close_s: float = CLOSE_S,
    ) -> None:
        self._out = out
        self._tick = tick
        self._tick_s = tick_s
        self._close_s = close_s
        self._waiting: deque[str] = deque(maxlen=TOLD_KEPT)
        self._news = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._repeat, name="progress", daemon=True)

    def add(self, line: str) -> None:
        self._waiting.append(line)
        self._news.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._news.set()
        self._thread.join(self._close_s)

    def _repeat(self) -> None:
        ticks_at = time.monotonic() + self._tick_s
        while not self._ended.is_set():
            self._news.wait(None if self._tick is None else max(ticks_at - time.monotonic(), 0.0))
            self._news.clear()
            self._write()
            if self._tick is not None and time.monotonic() >= ticks_at:
                ticks_at = time.monotonic() + self._tick_s
                self._tick()
        self._write()

    def _write(self) -> None:
        while self._waiting:
            say(self._out, self._waiting.popleft())


def say(out: TextIO, line: str) -> None:
    """One line; a stderr that nobody reads any more is no reason to stop a load."""
    try:
        out.write((line if line.isascii() or terminal.takes_unicode(out) else text.in_ascii(line)) + "\n")
        out.flush()
    except (OSError, ValueError):
        let_go(out)
