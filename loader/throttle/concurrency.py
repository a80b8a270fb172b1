"""The adaptive limit: how many calls may be in flight, found from which calls pass and which are refused.

Pure: `now` is handed in. Nothing here waits; the gate asks and obeys. The rule and what was refused in its
place: `docs/design/pace.md`.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto

import msgspec

from loader.wire.limits import LARGE_CALLS_IN_FLIGHT_MAX

START = 2
QUIET_ROUNDS_FIRST = 10
"""Round trips without a push-back before a refused level is tried again; doubled each time it is refused."""
QUIET_ROUNDS_MAX = 160
"""A load that runs for days still notices within minutes that another program has gone; and a try costs one
refused call in so many round trips."""
REFUSALS_IN_A_ROW_MAX = 2
"""Refusals at levels that held, one after another, before they are no chance any more. Two, for a try that
found a place which had just come free makes a level look as if it held, and takes the next one along."""
ROUND_TRIP_WEIGHT = 0.125
"""Of the latest call in the smoothed round trip, as in TCP (RFC 6298)."""


class Flight(msgspec.Struct, frozen=True):
    """A call in flight, as the limit saw it begin."""

    number: int
    """Counted from 0."""
    began: float
    level: int
    """Calls in flight as it began, itself included."""
    first: bool
    """Nobody was at this level before it, so its answer is what tells whether the level holds. Those that
    follow prove nothing: had it been refused, one call fewer than they count would be with the server."""
    epoch: int


class PushBack(Enum):
    """What a push-back means for the limit."""

    STEP_BACK = auto()
    """A try at a level above one that is known to hold, or a lone refusal: the limit is one below the refused
    level now, and that is all."""
    HALVED = auto()
    """No level below is known to hold, or the next calls were refused too: all that was known is doubtful."""
    LATE = auto()
    """Its call began before the last halving: the same piece of news."""


class Limit:
    """The limit for one load; `value` is never below 1.

    It grows only while it is what holds the load back: by one with each call that passes up to `fast_to` and
    until the first push-back, then by one each round trip.
    """

    def __init__(self, ceiling: int, *, start: int = START, fast_to: int = LARGE_CALLS_IN_FLIGHT_MAX) -> None:
        self.value = min(start, ceiling)
        self.refused: int | None = None
        """The lowest level that was refused, until it is found to hold."""
        self.round_trip_s: float | None = None
        """Of calls that passed, smoothed."""
        self._fast_to = fast_to
        self._next = 0
        """The number of the next flight."""
        self._epoch = 0
        """Counts halvings."""
        self._held = 0
        """The highest level known to hold; 0: none is."""
        self._tried = 0
        self._round_from = 0
        """A call of this number or a later one that passes ends the round trip."""
        self._quiet_rounds = 0
        self._wait_rounds = QUIET_ROUNDS_FIRST
        self._last_refused = 0
        """The level of the last push-back; 0: there was none."""
        self._lowered_from = 0
        """Calls of this number and later ones began after the limit was lowered."""
        self._in_a_row = 0
        """Push-backs, each for a call that began after the one before, with no round trip between."""
        self._refusals: deque[range] = deque(maxlen=64)
        """Of each refused call the flights that began while it was out."""

    def began(self, now: float, *, in_flight: int) -> Flight:
        """A call begins beside so many others."""
        level = in_flight + 1
        flight = Flight(self._next, now, level, level > max(self._tried, self._held), self._epoch)
        self._tried = max(self._tried, level)
        self._next += 1
        return flight

    def passed(self, flight: Flight, now: float, *, held_back: bool, ceiling: int) -> None:
        """The service took the call in.

        `held_back`: somebody waits for a place. `ceiling`: the limit grows no higher.
        """
        self._time(now - flight.began)
        if flight.number >= self._round_from:
            self._quiet_rounds += 1
            self._round_from = self._next
        if flight.epoch != self._epoch:
            return
        if flight.first:
            self._holds(flight.level)
        if held_back and self.value < ceiling and self._may_grow():
            self.value += 1

    def pushed_back(self, flight: Flight) -> PushBack:
        """429."""
        # Calls that were refused as well took no place of the server's from this one.
        level = flight.level - sum(flight.number in others for others in self._refusals)
        level = max(level, 1)
        self._refusals.append(range(flight.number + 1, self._next))
        if flight.epoch != self._epoch:
            self._keep_below(level)
            return PushBack.LATE
        afresh = flight.number >= self._lowered_from
        if afresh:
            self._note_refusal(level)
            self._lowered_from = self._next
        self._round_from = self._next
        self._quiet_rounds = 0
        # At a level that held so far a refusal may be chance: somebody in the CRM's own pages took a place
        # for a moment. One after another, with no call between that passed, they are none.
        chance = self._in_a_row <= REFUSALS_IN_A_ROW_MAX
        if self._held >= 1 and level > 1 and (level > self._held or chance):
            self._keep_below(level)
            return PushBack.STEP_BACK
        self._epoch += 1
        self._held = self._tried = 0
        # A refused level 1 says nothing about levels: the credits are spent, or others have every place.
        self.refused = level if level > 1 else None
        self.value = max(1, min(self.value, level) // 2)
        return PushBack.HALVED

    def failed(self, flight: Flight) -> None:
        """No answer, or an error that is no push-back: nothing is learnt; another call may try the level."""
        if flight.first and flight.epoch == self._epoch:
            self._tried = min(self._tried, flight.level - 1)

    def _time(self, took_s: float) -> None:
        if self.round_trip_s is None:
            self.round_trip_s = took_s
        else:
            self.round_trip_s += ROUND_TRIP_WEIGHT * (took_s - self.round_trip_s)

    def _holds(self, level: int) -> None:
        if self.refused is not None and level > self.refused:
            # It found a place that had just come free: the lower level that was refused is the better word.
            level = self.refused - 1
        elif level == self.refused:
            self.refused = None
        self._held = max(self._held, level)

    def _may_grow(self) -> bool:
        if not self._last_refused and self.value < self._fast_to:
            return True
        if self._held < self.value:
            return False
        known_refused = self.refused is not None and self.value + 1 >= self.refused
        return not known_refused or self._quiet_rounds >= self._wait_rounds

    def _keep_below(self, level: int) -> None:
        if level <= 1:
            return
        self.refused = level if self.refused is None else min(self.refused, level)
        self.value = max(1, min(self.value, self.refused - 1))
        self._held = min(self._held, self.refused - 1)
        self._tried = min(self._tried, self.refused - 1)

    def _note_refusal(self, level: int) -> None:
        """How long to keep away from the refused level: twice as long if it had just been tried again."""
        if self._quiet_rounds == 0 and self._last_refused:
            self._in_a_row += 1
        else:
            self._in_a_row = 1
            # A try that passes by luck is refused one level higher.
            tried = self._last_refused <= level <= self._last_refused + 2
            soon = self._quiet_rounds <= 2 * self._wait_rounds + 2
            longer = min(2 * self._wait_rounds, QUIET_ROUNDS_MAX)
            self._wait_rounds = longer if tried and soon and self._last_refused else QUIET_ROUNDS_FIRST
        if level > 1:
            self._last_refused = level
