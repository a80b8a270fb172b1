"""One batch with unsettled records: which of its lines are allowed, in flight, in doubt or held.

Pure. The ledger keeps one of these for each open batch and drops it with the last outcome.
"""

from __future__ import annotations

import msgspec

from loader.checkpoint import ranges
from loader.checkpoint.entries import BatchEntry
from loader.checkpoint.ranges import NONE, Ranges
from loader.records import Span


class Doubtful(msgspec.Struct, frozen=True):
    """Lines that an attempt at or after `since` may have inserted."""

    lines: Ranges
    since: float


class OpenBatch(msgspec.Struct, frozen=True):
    """A batch with unsettled records: `open` is `allowed`, `released`, `sent` and the lines of `doubts`."""

    number: int
    span: Span
    open: Ranges
    allowed: Ranges
    """Certainly not applied: these may be sent as if for the first time."""
    released: Ranges
    """Not applied either, but in no window: one has to name them before they may be sent."""
    sent: Ranges
    """In flight: no earlier attempt is in doubt, the present one has no answer yet."""
    doubts: tuple[Doubtful, ...]
    """In doubt, in flight again or not."""
    held: Ranges
    """Those of `doubts` that only a person can settle."""
    last_attempt: int
    reasons: tuple[tuple[str, Ranges], ...] = ()
    """Why lines came into doubt, or stayed there, when that was last said; some may be settled since."""

    @property
    def in_doubt(self) -> Ranges:
        return all_lines(self.doubts)


class Unsettled:
    """The mutable state of one open batch; only the ledger changes it."""

    __slots__ = (
        "doubts",
        "entry",
        "flights",
        "held",
        "last_attempt",
        "not_before",
        "open",
        "reasons",
        "released",
    )

    def __init__(self, entry: BatchEntry, *, not_before: float) -> None:
        self.entry = entry
        self.open = entry.record_lines
        self.flights: dict[int, tuple[Ranges, float]] = {}
        self.doubts: tuple[Doubtful, ...] = ()
        self.held: Ranges = NONE
        self.released: Ranges = NONE
        """RESOLVED as not applied, and not in a window since."""
        self.reasons: dict[str, Ranges] = {}
        self.last_attempt = 0
        self.not_before = not_before
        """No attempt that the log does not show can have been made before this time."""

    def doubt(self, lines: Ranges, *, since: float) -> None:
        """Marks `lines`; those that are in doubt already keep their earlier time."""
        fresh = ranges.difference(lines, all_lines(self.doubts))
        if fresh:
            self.doubts += (Doubtful(fresh, since),)
        self.released = ranges.difference(self.released, lines)

    def explain(self, lines: Ranges, reason: str) -> None:
        """Keeps why `lines` are in doubt; what was said of them before is forgotten."""
        left = ((other, ranges.difference(known, lines)) for other, known in self.reasons.items())
        self.reasons = {other: rest for other, rest in left if rest}
        self.reasons[reason] = ranges.union(self.reasons.get(reason, NONE), lines)

    def release(self, lines: Ranges) -> None:
        """Takes `lines` out of doubt and out of their window: they are not applied."""
        self._clear(lines)
        self.released = ranges.union(self.released, lines)

    def _clear(self, lines: Ranges) -> None:
        self.held = ranges.difference(self.held, lines)
        if self.doubts:
            left = ((ranges.difference(one.lines, lines), one.since) for one in self.doubts)
            self.doubts = tuple(Doubtful(rest, since) for rest, since in left if rest)

    def land(self, lines: Ranges, *, attempt: int | None = None) -> list[tuple[Ranges, float]]:
        """Takes `lines` out of one flight, or of all; returns what was taken, with the flight's time."""
        landed: list[tuple[Ranges, float]] = []
        for number, (flying, at) in list(self.flights.items()):
            if attempt is not None and number != attempt:
                continue
            taken = ranges.intersection(flying, lines)
            if not taken:
                continue
            landed.append((taken, at))
            left = ranges.difference(flying, taken)
            if left:
                self.flights[number] = (left, at)
            else:
                del self.flights[number]
        return landed

    def settle(self, lines: Ranges) -> None:
        self.open = ranges.difference(self.open, lines)
        self.land(lines)
        self._clear(lines)
        self.released = ranges.difference(self.released, lines)

    def crash(self, *, survived: bool) -> None:
        """The process that had this batch is gone: what it knew beyond the log is lost."""
        for lines, since in self.land(self.open):
            self.doubt(lines, since=since)
        if not survived:
            self.doubt(ranges.difference(self.open, self.released), since=self.not_before)

    def view(self) -> OpenBatch:
        doubtful = all_lines(self.doubts)
        flying: Ranges = NONE
        for lines, _ in self.flights.values():
            flying = ranges.union(flying, lines)
        elsewhere = ranges.union(ranges.union(doubtful, flying), self.released)
        return OpenBatch(
            number=self.entry.number,
            span=self.entry.span,
            open=self.open,
            allowed=ranges.difference(self.open, elsewhere),
            released=self.released,
            sent=ranges.difference(flying, doubtful),
            doubts=self.doubts,
            held=self.held,
            last_attempt=self.last_attempt,
            reasons=tuple(self.reasons.items()),
        )


def all_lines(doubts: tuple[Doubtful, ...]) -> Ranges:
    """Every line that is in doubt."""
    if len(doubts) == 1:
        return doubts[0].lines
    lines: Ranges = NONE
    for one in doubts:
        lines = ranges.union(lines, one.lines)
    return lines
