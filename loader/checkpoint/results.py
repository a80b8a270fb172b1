"""One outcome for each record of a load, in input order, read from its log in flat memory.

Two passes. Outcomes come out of order only within what was in flight, but for a few: records that rested in
doubt, or were settled by a later run. The first pass keeps those few, so that the second never waits.
Where those that are asked for are few themselves, one pass holds them all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import msgspec

from loader.checkpoint import ranges
from loader.checkpoint.entries import (
    BatchEntry,
    Entry,
    Outcomes,
    WindowEntry,
    other_outcomes,
    record_outcomes,
)
from loader.checkpoint.ledger import Ledger
from loader.checkpoint.ranges import Ranges
from loader.checkpoint.scan import folding, scan
from loader.checkpoint.unsettled import OpenBatch
from loader.outcomes import Outcome, RecordOutcome

LAG_BATCHES = 256
"""An outcome that comes when so many later batches are cut already is one of the few."""
FEW_MAX = 10_000
"""So many outcomes may be held at once: some MiB, for a message has some hundreds of characters at most."""

Watch = Callable[[Entry], None]
"""Is given each entry of the log once, in order, by whoever reads it anyway."""


class _Stragglers(msgspec.Struct):
    """What the first pass found."""

    end: int
    """The second pass goes no further: a running load may have written more by then."""
    late: dict[int, list[Outcomes]]
    unsettled: dict[int, OpenBatch]


class _Waiting:
    """A batch of the second pass, and what is known of its records so far."""

    __slots__ = ("entry", "found", "missing")

    def __init__(self, entry: BatchEntry) -> None:
        self.entry = entry
        self.missing = ranges.count(entry.record_lines)
        self.found = _invalid_outcomes(entry)

    def add(self, outcomes: list[RecordOutcome]) -> None:
        self.found += outcomes
        self.missing -= len(outcomes)

    def settle(self, entry: Outcomes, *, plain: bool) -> None:
        """What a frame settles; its plain successes, which are most of it, only if they are wanted."""
        self.found += record_outcomes(entry) if plain else other_outcomes(entry)
        self.missing -= ranges.count(entry.lines) + len(entry.others)


def _unwatched(_: Entry) -> None:
    pass


def outcomes_in_order(
    path: Path,
    *,
    survived: bool = True,
    only: Collection[Outcome] | None = None,
    watch: Watch = _unwatched,
) -> Iterator[RecordOutcome]:
    """What became of each record of a window, by line; in_doubt or pending where nothing final is known.

    `only` these, if any are named; leaving the inserted ones out is much cheaper. `survived` is what the next
    OPEN would say: False where the machine has been restarted since the load stopped, which leaves records in
    doubt that else are pending. `watch` has seen the log when the first outcome comes.

    Raises:
        DamagedLogError: the log cannot be believed.
    """
    stragglers = _find_stragglers(path, survived=survived, watch=watch)
    plain = only is None or Outcome.INSERTED in only
    queue: deque[_Waiting] = deque()
    waiting: dict[int, _Waiting] = {}
    for offset, entry in scan(path):
        if offset >= stragglers.end:
            return
        if type(entry) is WindowEntry:
            for batch in entry.batches:
                one = _Waiting(batch)
                _add_stragglers(one, stragglers, plain=plain)
                queue.append(one)
                waiting[batch.number] = one
        elif type(entry) is Outcomes and entry.batch in waiting:
            # Never a straggler: before one of those comes, all that waited for less is known, and gone.
            waiting[entry.batch].settle(entry, plain=plain)
        while queue and not queue[0].missing:
            first = queue.popleft()
            del waiting[first.entry.number]
            found = first.found if only is None else [one for one in first.found if one.outcome in only]
            yield from sorted(found, key=_line)


def few_outcomes_in_order(
    path: Path, *, only: Collection[Outcome], watch: Watch = _unwatched
) -> Iterator[RecordOutcome]:
    """As `outcomes_in_order`, in one pass, where no more than `FEW_MAX` are expected and none is a success.

    All of them are held in memory: the caller knows their number.
    """
    ledger = Ledger()
    found: list[RecordOutcome] = []
    for _, entry in folding(path, ledger):
        watch(entry)
        if type(entry) is WindowEntry:
            for batch in entry.batches:
                found += (one for one in _invalid_outcomes(batch) if one.outcome in only)
        elif type(entry) is Outcomes and entry.others:
            found += (one for one in other_outcomes(entry) if one.outcome in only)
    ledger.stop(survived=True)
    for unsettled in ledger.open_batches():
        found += (one for one in _unsettled_outcomes(unsettled) if one.outcome in only)
    yield from sorted(found, key=_line)


def _line(one: RecordOutcome) -> int:
    return one.line


def _find_stragglers(path: Path, *, survived: bool, watch: Watch) -> _Stragglers:
    ledger = Ledger()
    late: dict[int, list[Outcomes]] = {}
    end = 0
    for offset, entry in folding(path, ledger):
        watch(entry)
        end = offset + 1
        if type(entry) is Outcomes and entry.batch < ledger.next_batch - LAG_BATCHES:
            late.setdefault(entry.batch, []).append(entry)
    ledger.stop(survived=survived)
    return _Stragglers(end, late, {batch.number: batch for batch in ledger.open_batches()})


def _add_stragglers(one: _Waiting, stragglers: _Stragglers, *, plain: bool) -> None:
    number = one.entry.number
    for entry in stragglers.late.get(number, ()):
        one.settle(entry, plain=plain)
    unsettled = stragglers.unsettled.get(number)
    if unsettled is not None:
        one.add(_unsettled_outcomes(unsettled))


def _invalid_outcomes(batch: BatchEntry) -> list[RecordOutcome]:
    return [
        RecordOutcome(one.line, Outcome.INVALID, "", one.code, one.message, one.field)
        for one in batch.invalid
    ]


def _unsettled_outcomes(batch: OpenBatch) -> list[RecordOutcome]:
    in_doubt = batch.in_doubt
    pending = ranges.difference(batch.open, in_doubt)
    parts = [(Outcome.IN_DOUBT, reason, lines) for reason, lines in why_in_doubt(batch)]
    parts.append((Outcome.PENDING, "", pending))
    return [
        RecordOutcome(line, outcome, message=reason)
        for outcome, reason, lines in parts
        for line in ranges.to_lines(lines)
    ]


def why_in_doubt(batch: OpenBatch) -> Iterator[tuple[str, Ranges]]:
    """The lines of a batch that are in doubt, by why they are; no words where no frame says it.

    There may be no line left of a reason.
    """
    unexplained = batch.in_doubt
    for reason, lines in batch.reasons:
        yield reason, ranges.intersection(lines, batch.in_doubt)
        unexplained = ranges.difference(unexplained, lines)
    yield "", unexplained
