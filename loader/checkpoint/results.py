"""One outcome for each record of a load, in input order, read from its log in flat memory.

Two passes. Outcomes come out of order only within what was in flight, but for a few: records that rested in
doubt, or were settled by a later run. The first pass keeps those few, so that the second never waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec

from loader.checkpoint import ranges
from loader.checkpoint.entries import BatchEntry, Outcomes, WindowEntry, other_outcomes, record_outcomes
from loader.checkpoint.ledger import Ledger
from loader.checkpoint.scan import scan
from loader.checkpoint.unsettled import OpenBatch
from loader.outcomes import Outcome, RecordOutcome

LAG_BATCHES = 256
"""An outcome that comes when so many later batches are cut already is one of the few."""


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
        self.found = [
            RecordOutcome(one.line, Outcome.INVALID, "", one.code, one.message, one.field)
            for one in entry.invalid
        ]

    def add(self, outcomes: list[RecordOutcome]) -> None:
        self.found += outcomes
        self.missing -= len(outcomes)

    def settle(self, entry: Outcomes, *, plain: bool) -> None:
        """What a frame settles; its plain successes, which are most of it, only if they are wanted."""
        self.found += record_outcomes(entry) if plain else other_outcomes(entry)
        self.missing -= ranges.count(entry.lines) + len(entry.others)


def outcomes_in_order(
    path: Path, *, survived: bool = True, only: Collection[Outcome] | None = None
) -> Iterator[RecordOutcome]:
    """What became of each record of a window, by line; in_doubt or pending where nothing final is known.

    `only` these, if any are named; leaving the inserted ones out is much cheaper. `survived` is what the next
    OPEN would say: False where the machine has been restarted since the load stopped, which leaves records in
    doubt that else are pending.

    Raises:
        DamagedLogError: the log cannot be believed.
    """
    stragglers = _find_stragglers(path, survived=survived)
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


def _line(one: RecordOutcome) -> int:
    return one.line


def _find_stragglers(path: Path, *, survived: bool) -> _Stragglers:
    ledger = Ledger()
    late: dict[int, list[Outcomes]] = {}
    end = 0
    for offset, entry in scan(path):
        ledger.apply(entry, offset=offset)
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
        in_doubt = unsettled.in_doubt
        one.add([RecordOutcome(line, Outcome.IN_DOUBT) for line in ranges.to_lines(in_doubt)])
        pending = ranges.difference(unsettled.open, in_doubt)
        one.add([RecordOutcome(line, Outcome.PENDING) for line in ranges.to_lines(pending)])
