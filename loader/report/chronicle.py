"""How a load went, from the frames of its checkpoint log: a fold of fixed size, whatever the load's length.

Pure, and made of the log alone: it survives a kill and goes on over any number of runs. Time is working time:
the runs stand end to end, for the nights between them say nothing about the load.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec

from loader.checkpoint import ranges
from loader.checkpoint.entries import (
    Doubt,
    Entry,
    Head,
    NotApplied,
    Open,
    OtherOutcome,
    Outcomes,
    Resolved,
    Seal,
    Sent,
    WindowEntry,
    known_outcome,
)
from loader.checkpoint.tally import ERROR_KINDS_MAX, OTHER_ERRORS
from loader.outcomes import Outcome

Kind = tuple[Outcome, str, str]
"""Outcome, code and field."""

SLICES_MAX = 120
SLICE_S_LEAST = 0.125
EXAMPLES_MAX = 3
RUNS_KEPT = 100
PAUSES_KEPT = 20
PAUSE_S_LEAST = 1.0
"""Nothing in flight for less than this is no pause worth a word."""

_FASTEST_S = 0.001
_STEPS_A_DOUBLING = 8
_STEPS = 160
"""Latencies from a millisecond to a thousand seconds, each step 9 % wider than the one before."""


class Slice(msgspec.Struct):
    """What happened in one slice of the load's working time."""

    settled: int = 0
    """Records that got their outcome."""
    flight_s: float = 0.0
    """Calls in flight, times how long."""
    in_flight_most: int = 0
    pushed_back: int = 0
    """Calls refused with 429."""
    doubtful: int = 0
    """Calls after which records were in doubt."""

    def add(self, other: Slice) -> None:
        self.settled += other.settled
        self.flight_s += other.flight_s
        self.in_flight_most = max(self.in_flight_most, other.in_flight_most)
        self.pushed_back += other.pushed_back
        self.doubtful += other.doubtful


class RunSpan(msgspec.Struct):
    """One run of the load, from its OPEN to the last thing that its log says."""

    at: float
    """When it began; Unix seconds."""
    host: str
    begins_s: float
    """In working time."""
    seconds: float = 0.0
    calls: int = 0
    settled: int = 0


class Pause(msgspec.Struct, frozen=True):
    """A stretch of working time in which no call was in flight, between two calls of one run."""

    begins_s: float
    seconds: float
    pushed_back: bool
    """It followed a 429."""


class Example(msgspec.Struct, frozen=True, order=True):
    """One record that was refused, or was there already."""

    line: int
    message: str
    id: str = ""


class Latencies(msgspec.Struct, frozen=True):
    """How long answered calls took. The percentiles are exact to 5 %, `longest_s` to the digit."""

    calls: int = 0
    p50_s: float = 0.0
    p90_s: float = 0.0
    p99_s: float = 0.0
    longest_s: float = 0.0


class Chronicle:
    """Add the entries of a log in order; read it at any time."""

    def __init__(self) -> None:
        self.head: Head | None = None
        self.last_open: Open | None = None
        self.seal: Seal | None = None
        self.slice_s = SLICE_S_LEAST
        self.slices: list[Slice] = [Slice()]
        self.runs: list[RunSpan] = []
        """The first, and of the later ones the last hundred."""
        self.run_count = 0
        self.pauses: list[Pause] = []
        """The longest."""
        self.examples: dict[Kind, list[Example]] = {}
        self.latest_at = 0.0
        self._since = 0.0
        """Unix time at which the present run's part of working time begins, less what was before it."""
        self._flights: dict[tuple[int, int], float | None] = {}
        """When each began. None for records in doubt: their answer is recorded after the CRM was asked about
        them, which says nothing of a call's latency."""
        self._idle_since: float | None = None
        self._pushed_back = False
        self._steps = [0] * (_STEPS + 1)
        self._longest_s = 0.0
        self._fold: dict[type[Entry], Callable[[Any], None]] = {
            Head: self._begin,
            Open: self._open,
            WindowEntry: self._window,
            Sent: self._sent,
            NotApplied: self._not_applied,
            Outcomes: self._outcomes,
            Doubt: self._doubt,
            Resolved: lambda entry: self._advance(entry.at),
            Seal: self._sealed,
        }

    def apply(self, entry: Entry) -> None:
        """Adds one entry of a log that has been found sound."""
        self._fold[type(entry)](entry)

    @property
    def seconds(self) -> float:
        """Working time of all runs."""
        return max(0.0, self.latest_at - self._since) if self.runs else 0.0

    def latencies(self) -> Latencies:
        calls = sum(self._steps)
        if not calls:
            return Latencies()
        half, most, nearly_all = (self._at_share(calls, share) for share in (0.5, 0.9, 0.99))
        return Latencies(calls, half, most, nearly_all, self._longest_s)

    def _at_share(self, calls: int, share: float) -> float:
        wanted, seen = math.ceil(calls * share), 0
        for step, count in enumerate(self._steps):
            seen += count
            if seen >= wanted:
                middle = _FASTEST_S * 2 ** ((step + 0.5) / _STEPS_A_DOUBLING)
                return min(middle, self._longest_s)
        raise AssertionError("the last step has seen all calls")

    # --- time ---

    def _advance(self, at: float) -> None:
        """Goes on to `at`; what has no time, or an earlier one, happened at the latest time known."""
        if at <= self.latest_at:
            return
        begin_s, end_s = self.latest_at - self._since, at - self._since
        self.latest_at = at
        self._reach(end_s)
        if not self._flights:
            return
        flying, width_s = len(self._flights), self.slice_s
        for number in range(int(begin_s / width_s), int(end_s / width_s) + 1):
            start_s = number * width_s
            part_s = min(end_s, start_s + width_s) - max(begin_s, start_s)
            if part_s > 0:
                self.slices[number].flight_s += flying * part_s
                self.slices[number].in_flight_most = max(self.slices[number].in_flight_most, flying)

    def _reach(self, end_s: float) -> None:
        """Makes room up to `end_s`: pairs of slices become one, as often as it takes."""
        while end_s >= self.slice_s * SLICES_MAX:
            self.slice_s *= 2
            merged = []
            for first, second in zip(self.slices[::2], [*self.slices[1::2], Slice()], strict=False):
                first.add(second)
                merged.append(first)
            self.slices = merged
        wanted = int(end_s / self.slice_s) + 1
        self.slices += [Slice() for _ in range(wanted - len(self.slices))]

    @property
    def _now_s(self) -> float:
        return self.latest_at - self._since

    @property
    def _present(self) -> Slice:
        return self.slices[-1]

    # --- the fold ---

    def _begin(self, entry: Head) -> None:
        self.head = entry

    def _open(self, entry: Open) -> None:
        # What the process before had in flight, nobody waits for any more.
        self._flights.clear()
        self._idle_since = None
        self._since = entry.at - self.seconds
        self.latest_at = entry.at
        self.last_open = entry
        self.run_count += 1
        self.runs.append(RunSpan(entry.at, entry.host, self._now_s))
        if len(self.runs) > RUNS_KEPT + 1:
            del self.runs[1]

    def _window(self, entry: WindowEntry) -> None:
        for batch in entry.batches:
            for one in batch.invalid:
                self._example(Outcome.INVALID, one.code, one.field, Example(one.line, one.message))
            self._settle(len(batch.invalid))
        self.seal = None

    def _sent(self, entry: Sent) -> None:
        self._advance(entry.at)
        self._end_pause()
        self._flights[entry.batch, entry.attempt] = None if entry.in_doubt else entry.at
        self._present.in_flight_most = max(self._present.in_flight_most, len(self._flights))
        self.runs[-1].calls += 1
        self._keep_run()

    def _land(self, entry: NotApplied | Outcomes | Doubt) -> float | None:
        """Ends the flight of an attempt; how long it took, where that is known."""
        self._advance(entry.at)
        self._keep_run()
        flew = (entry.batch, entry.attempt) in self._flights
        sent_at = self._flights.pop((entry.batch, entry.attempt), None)
        if flew and not self._flights:
            self._idle_since, self._pushed_back = self._now_s, False
        return entry.at - sent_at if sent_at is not None and entry.at else None

    def _not_applied(self, entry: NotApplied) -> None:
        self._land(entry)
        if entry.pushed_back:
            self._present.pushed_back += 1
            self._pushed_back = True

    def _outcomes(self, entry: Outcomes) -> None:
        took_s = self._land(entry)
        if took_s is not None:
            ratio = max(took_s, _FASTEST_S) / _FASTEST_S
            self._steps[min(int(math.log2(ratio) * _STEPS_A_DOUBLING), _STEPS)] += 1
            self._longest_s = max(self._longest_s, took_s)
        self._settle(ranges.count(entry.lines) + len(entry.others))
        for one in entry.others:
            self._other(one)

    def _other(self, one: OtherOutcome) -> None:
        outcome = known_outcome(one.outcome)
        if outcome is not Outcome.INSERTED:
            self._example(outcome, one.code, one.field, Example(one.line, one.message, one.id))

    def _doubt(self, entry: Doubt) -> None:
        self._land(entry)
        self._present.doubtful += 1

    def _sealed(self, entry: Seal) -> None:
        self._advance(entry.at)
        self._keep_run()
        self.seal = entry

    # --- what is kept ---

    def _settle(self, records: int) -> None:
        self._present.settled += records
        self.runs[-1].settled += records

    def _keep_run(self) -> None:
        run = self.runs[-1]
        run.seconds = self._now_s - run.begins_s

    def _end_pause(self) -> None:
        if self._idle_since is None:
            return
        seconds = self._now_s - self._idle_since
        if seconds >= PAUSE_S_LEAST:
            self.pauses.append(Pause(self._idle_since, seconds, self._pushed_back))
            if len(self.pauses) > PAUSES_KEPT:
                self.pauses.remove(min(self.pauses, key=lambda one: one.seconds))
        self._idle_since = None

    def _example(self, outcome: Outcome, code: str, field: str, one: Example) -> None:
        kind = (outcome, code, field)
        if kind not in self.examples and len(self.examples) >= ERROR_KINDS_MAX:
            kind = (outcome, *OTHER_ERRORS)
        kept = self.examples.setdefault(kind, [])
        if len(kept) < EXAMPLES_MAX:
            kept.append(one)
