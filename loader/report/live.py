"""The live block on a terminal: a few lines that are drawn over and over in their place.

The cursor stands below the block and stays visible, so a loader that is killed leaves a terminal to type in.
The event loop never waits for the terminal: what is to be told is kept for the thread that draws.
"""

from __future__ import annotations

import io
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self, TextIO

from loader.report import progress, text
from loader.report.listeners import Patient
from loader.report.telling import CLOSE_S, TOLD_KEPT

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from loader.events import Event
    from loader.report.progress import Progress

DRAWS_PER_S = 4


class LiveBlock:
    """Draws how a load stands. `told` are the words for an event that is worth a line; none: no line.

    `size`: columns and rows of the terminal at this moment.
    """

    def __init__(
        self,
        state: Progress,
        out: TextIO,
        *,
        told: Callable[[Event], str],
        size: Callable[[], tuple[int, int]],
        color: bool = True,
        ascii_only: bool = False,
        reflows: bool = True,
        clock: Callable[[], float] = time.monotonic,
        close_s: float = CLOSE_S,
    ) -> None:
        self._state = state
        self._out = Patient(out)
        self._told = told
        self._size = size
        self._color = color
        self._ascii_only = ascii_only
        self._reflows = reflows
        self._clock = clock
        self._close_s = close_s
        self._waiting: deque[str] = deque(maxlen=TOLD_KEPT)
        self._drawn: list[str] = []
        self._console: Console | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._repeat, name="progress", daemon=True)

    def __call__(self, event: Event, /) -> None:
        self._state.apply(event)
        if line := self._told(event):
            self._waiting.append(line)

    def __enter__(self) -> Self:
        self._state.look(self._clock())
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join(self._close_s)
        if self._thread.is_alive():
            return  # the terminal takes nothing (Ctrl-S), not even that the block goes
        self._write(self._erasure(*self._size()) + self._news())
        self._drawn = []

    def _repeat(self) -> None:
        while not self._ended.wait(1 / DRAWS_PER_S):
            self.draw()

    def draw(self) -> None:
        """One picture of the load, in the place of the last one; what happened meanwhile stands above it."""
        self._state.look(self._clock())
        columns, rows = self._size()
        # One row is the cursor's; the first lines say most.
        lines = progress.block(self._state, width=columns, ascii_only=self._ascii_only)[: max(rows - 1, 1)]
        self._write(self._erasure(columns, rows) + self._news() + self._styled(lines))
        self._drawn = lines

    def _erasure(self, columns: int, rows: int) -> str:
        """Back to the first row of the last picture, and everything from there on gone.

        Row by row: where a whole screen is cleared at once, tmux keeps what was on it, picture after picture.
        """
        height = rows_of(self._drawn, columns) if self._reflows else len(self._drawn)
        height = min(height, rows - 1)
        return f"\r\x1b[{height}A" + "\x1b[2K\n" * height + f"\x1b[{height}A" if height > 0 else ""

    def _news(self) -> str:
        lines = []
        while self._waiting:
            line = self._waiting.popleft()
            lines.append(f"{text.in_ascii(line) if self._ascii_only else line}\n")
        return "".join(lines)

    def _write(self, picture: str) -> None:
        if picture:
            self._out.write(picture)
            self._out.flush()

    def _styled(self, lines: Sequence[str]) -> str:
        if not self._color:
            return "".join(f"{line}\n" for line in lines)
        if self._console is None:
            from rich.console import Console  # noqa: PLC0415 - 45 ms that other displays need not pay

            self._console = Console(file=io.StringIO(), force_terminal=True, highlight=False)
        with self._console.capture() as captured:
            for line in lines:
                self._console.print(_colored(line), soft_wrap=True)
        return captured.get()


def rows_of(lines: Sequence[str], columns: int) -> int:
    """How many rows these lines take where they are broken at so many columns."""
    return sum(max(1, -(-text.cells(line) // max(columns, 1))) for line in lines)


def _colored(line: str) -> Text:
    """The line with what matters in colour; it says the same without."""
    from rich.text import Text  # noqa: PLC0415 - as above

    colored = Text(line)
    if line.startswith(progress.ERRORS_LABEL):
        colored.stylize("red", len(progress.ERRORS_LABEL))
    colored.highlight_regex("[━=]{2,}|╺", "cyan")
    colored.highlight_regex("(?<=╺)━+|-{3,}", "bright_black")
    colored.highlight_regex("in doubt [1-9][0-9,]*", "yellow")
    return colored
