"""The entries of a log that takes a damaged one's place: what survived, and doubt where some may be lost.

Pure. Three rules make the new log safe to go on with:

- At each gap every open record falls in doubt, for the gap may have held its SENT. An OPEN that does not say
  `survived` says so to the ledger, which knows no other rule.
- Windows that are lost are cut from the input once more; whatever they hold is in doubt from there on.
- Behind the first gap no OPEN says `survived`, and none names a boot: what it claimed of the frames before it
  is no longer true of this file.

Batches cut once more need not be as many as there were, so frames behind them are addressed anew: those of
lost batches by their lines.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from loader.checkpoint import ranges
from loader.checkpoint.entries import (
    Answer,
    BatchEntry,
    Doubt,
    Entry,
    Head,
    Open,
    Outcomes,
    Resolved,
    Seal,
    Sent,
    WindowEntry,
    restricted,
)
from loader.checkpoint.ledger import DamagedLogError, Ledger
from loader.checkpoint.ranges import Ranges
from loader.checkpoint.salvage import Addressed, BeyondRepairError, Found, Gap, Region

REASON = "the checkpoint log was damaged"
BATCHES_PER_WINDOW = 500
"""Of a window that is cut once more: a frame stays far below its largest size."""


class Rebuilt(msgspec.Struct, frozen=True):
    """A region, and the batches that were cut from it, numbered as they will stand in the new log."""

    region: Region
    batches: Sequence[BatchEntry]


class Mending:
    """The new log, entry by entry; `ledger` is its fold, as of the last entry given."""

    def __init__(self, head: Head, rebuilt: Sequence[Rebuilt]) -> None:
        self.ledger = Ledger()
        self.refused: list[Gap] = []
        """Good frames that contradict the rest; they were left out like broken ones."""
        self._head = head
        self._addresses = _Addresses(rebuilt)
        self._to_insert = list(rebuilt)
        self._damaged = False

    def take(self, piece: Found | Gap) -> Iterator[Entry]:
        """The entries that stand in the place of this piece.

        Raises:
            BeyondRepairError: windows contradict each other.
            NewerLoaderError: an entry that a later version wrote.
        """
        if isinstance(piece, Gap):
            yield from self._bridge(piece)
            return
        for entry in self._as_it_is_now(piece.entry):
            try:
                self.ledger.apply(entry, offset=piece.offset)
            except DamagedLogError as error:
                if isinstance(entry, WindowEntry) and entry.batches:
                    raise BeyondRepairError(error.why) from None
                if not isinstance(entry, Seal):  # which is untrue now, and that is all
                    gap = Gap(piece.offset, piece.stop, piece.stop - piece.offset)
                    self.refused.append(gap)
                    yield from self._bridge(gap)
                continue
            yield entry

    def adopt(self, answers: Iterable[Answer]) -> Iterator[Entry]:
        """What a poisoned process wrote beside the log, as far as its lines are still open."""
        for answer in answers:
            for entry in self._addresses.of(answer):
                batch = self.ledger.batch(entry.batch)
                rest = None if batch is None else _only(entry, batch.open)
                if rest is not None:
                    yield self._applied(rest)

    def _applied(self, entry: Entry) -> Entry:
        self.ledger.apply(entry)
        return entry

    def _as_it_is_now(self, entry: Entry) -> Iterator[Entry]:
        if not self._damaged:
            yield entry
        elif isinstance(entry, Addressed):
            yield from self._addresses.of(entry)
        elif isinstance(entry, WindowEntry):
            yield from self._window(entry)
        elif isinstance(entry, Open):
            yield msgspec.structs.replace(entry, boot_id="", survived=False)
        else:
            yield entry

    def _window(self, entry: WindowEntry) -> Iterator[WindowEntry]:
        again = []
        for number, lines in entry.again:
            for batch, part in self._addresses.place(number, lines):
                view = self.ledger.batch(batch)
                # Where the word that these were not applied is lost, they stay in doubt.
                allowed = ranges.NONE if view is None else ranges.intersection(part, view.released)
                if allowed:
                    again.append((batch, allowed))
        batches = tuple(self._addresses.renumbered(batch) for batch in entry.batches)
        if batches or again:
            yield WindowEntry(batches, tuple(again))

    def _bridge(self, gap: Gap) -> Iterator[Entry]:
        """What may have been lost here, said in a way that errs on the safe side."""
        self._damaged = True
        while self._to_insert and self._to_insert[0].region.gap <= gap.start:
            batches = self._to_insert.pop(0).batches
            for first in range(0, len(batches), BATCHES_PER_WINDOW):
                part = tuple(batches[first : first + BATCHES_PER_WINDOW])
                yield self._applied(WindowEntry(part))
        yield self._applied(self._opened())
        for batch in list(self.ledger.open_batches()):
            if batch.released:  # a lost window may have let them leave again
                yield self._applied(Doubt(batch.number, batch.last_attempt, batch.released, REASON))

    def _opened(self) -> Open:
        before = self.ledger.last_open
        at = self._head.created_at if before is None else before.at + self.ledger.latest_run_s
        return Open(
            boot_id="",
            host="" if before is None else before.host,
            pid=0 if before is None else before.pid,
            at=at,
            input=self._head.input if before is None else before.input,
            resumes=self.ledger.resumes + (before is not None),
        )


class _Addresses:
    """Where lines of a batch of the damaged log stand in the new one."""

    def __init__(self, rebuilt: Sequence[Rebuilt]) -> None:
        self._batches = [batch for one in rebuilt for batch in one.batches]
        self._first_lines = [batch.first_line for batch in self._batches]
        self._shifts: list[tuple[int, int | None, int]] = []
        """(first number lost, first number behind, how much that one is moved), ascending."""
        shift = 0
        for one in rebuilt:
            region = one.region
            if region.stop_number is not None:
                shift += len(one.batches) - (region.stop_number - region.number)
            self._shifts.append((region.number, region.stop_number, shift))

    def of(self, entry: Addressed) -> Iterator[Addressed]:
        """The same said of the batches of the new log."""
        number = self._known(entry.batch)
        if number is not None:
            yield entry if number == entry.batch else msgspec.structs.replace(entry, batch=number)
            return
        lines = entry.lines
        if isinstance(entry, Outcomes):
            lines = ranges.union(lines, ranges.from_unordered(one.line for one in entry.others))
        for batch, part in self._by_lines(lines):
            rest = _only(entry, part)
            assert rest is not None, "the part is one of its lines"
            yield msgspec.structs.replace(rest, batch=batch)

    def place(self, number: int, lines: Ranges) -> Iterator[tuple[int, Ranges]]:
        """Numbers in the new log, with the lines that are in each."""
        known = self._known(number)
        if known is not None:
            yield known, lines
        else:
            yield from self._by_lines(lines)

    def renumbered(self, batch: BatchEntry) -> BatchEntry:
        """A batch whose window survived."""
        number = self._known(batch.number)
        assert number is not None, "its window survived"
        return batch if number == batch.number else msgspec.structs.replace(batch, number=number)

    def _known(self, number: int) -> int | None:
        """Its number in the new log; None where its window is lost."""
        moved = 0
        for lost, behind, shift in self._shifts:
            if number < lost:
                break
            if behind is None or number < behind:
                return None
            moved = shift
        return number + moved

    def _by_lines(self, lines: Ranges) -> Iterator[tuple[int, Ranges]]:
        while lines:
            at = bisect_right(self._first_lines, lines[0][0]) - 1
            batch = self._batches[at] if at >= 0 else None
            part = ranges.NONE
            if batch is not None:
                span: Ranges = ((batch.first_line, batch.first_line + batch.line_count),)
                part = ranges.intersection(lines, span)
            if batch is None or not part or not ranges.covers(batch.record_lines, part):
                raise BeyondRepairError(
                    f"a frame names lines from {lines[0][0]:,} on, and in the input as it is now"
                    " not all of them are records"
                )
            yield batch.number, part
            lines = ranges.difference(lines, part)


def _only(entry: Addressed, lines: Ranges) -> Addressed | None:
    """The part of `entry` that concerns `lines`; None where nothing does."""
    if not isinstance(entry, Sent | Resolved):
        return restricted(entry, lines)
    left = ranges.intersection(entry.lines, lines)
    return msgspec.structs.replace(entry, lines=left) if left else None
