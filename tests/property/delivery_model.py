"""What is known of each line, said as simply as possible: ledger, log and resolver are held to it.

Sets of line numbers in place of ranges, one line at a time in place of batches, a copy in place of a fold. It
shares no code with the loader. `Crm` is the truth that no process knows: what the server has applied.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field


@dataclass
class Line:
    """What is known of one line that is in a window, or was."""

    batch: int
    in_doubt: bool = False
    held: bool = False
    released: bool = False
    """Resolved as not applied, and in no window since."""
    flights: set[int] = field(default_factory=set)
    """Attempts without an answer."""
    final: str = ""

    @property
    def kind(self) -> str:
        if self.final:
            return "final"
        if self.in_doubt:
            return "in doubt"
        if self.released:
            return "released"
        return "sent" if self.flights else "allowed"


@dataclass
class Model:
    """Every line that the log has named."""

    lines: dict[int, Line] = field(default_factory=dict)
    invalid: set[int] = field(default_factory=set)
    recovered: int = 0
    sealed: bool = False

    def copy(self) -> Model:
        return copy.deepcopy(self)

    def of_kind(self, *kinds: str, batch: int | None = None) -> list[int]:
        return sorted(
            number
            for number, line in self.lines.items()
            if line.kind in kinds and batch in (None, line.batch)
        )

    def intend(self, batch: int, records: list[int], invalid: list[int]) -> None:
        self.lines.update({number: Line(batch) for number in records})
        self.invalid.update(invalid)
        self.sealed = False

    def send(self, attempt: int, numbers: list[int]) -> None:
        for line in map(self.lines.__getitem__, numbers):
            line.in_doubt |= bool(line.flights)  # nobody said what became of the attempt before
            line.flights = {attempt}
            line.held = False

    def not_applied(self, attempt: int, numbers: list[int]) -> None:
        for line in map(self.lines.__getitem__, numbers):
            line.flights.discard(attempt)

    def doubt(self, attempt: int, numbers: list[int], *, held: bool) -> None:
        for line in map(self.lines.__getitem__, numbers):
            line.flights.discard(attempt)
            line.in_doubt, line.released = True, False
            line.held |= held

    def settle(self, ends: dict[int, str], *, recovered: bool = False) -> None:
        for number, end in ends.items():
            assert not self.lines[number].final, "a final outcome never changes"
            self.lines[number] = Line(self.lines[number].batch, final=end)
        self.recovered += len(ends) if recovered else 0

    def resolve(self, numbers: list[int]) -> None:
        for number in numbers:
            self.lines[number] = Line(self.lines[number].batch, released=True)

    def intend_again(self, numbers: list[int]) -> None:
        for number in numbers:
            self.lines[number].released = False
        self.sealed = False

    def crash(self, *, survived: bool) -> None:
        """The process is gone; `survived`: every frame that it wrote is still there."""
        for line in self.lines.values():
            if not line.final:
                line.in_doubt |= bool(line.flights) or not (survived or line.released)
                line.flights = set()


@dataclass
class Crm:
    """The server: applies what is sent, whatever the sender learns of it."""

    unique: bool
    """It refuses a second record with the same key."""
    ids: dict[int, str] = field(default_factory=dict)

    def apply(self, numbers: list[int], *, fresh: bool) -> list[int]:
        """Lines that were there before."""
        there = [number for number in numbers if number in self.ids]
        assert self.unique or not there, f"lines {there} were inserted twice"
        assert not (fresh and there), f"lines {there} were sent as if for the first time, and are there"
        self.ids.update({number: str(10_000 + number) for number in numbers if number not in self.ids})
        return there
