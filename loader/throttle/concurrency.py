"""The adaptive limit: how many calls may be in flight, found from which calls pass and which are refused.

Pure: `now` is handed in. Nothing here waits; the gate asks and obeys. The rule and what was refused in its
place: `docs/design/pace.md`.
"""

from __future__ import annotations

from enum import Enum, auto

import msgspec

START = 2
QUIET_ROUNDS_FIRST = 10
"""Round trips without a push-back before a refused level is tried again; doubled each time it is refused."""
QUIET_ROUNDS_MAX = 160
"""A load that runs for days still notices within minutes that another program has gone; and a try costs one
refused call in so many round trips."""
ROUND_TRIP_WEIGHT = 0.125
"""Of the latest call in the smoothed round trip, as in TCP (RFC 6298)."""


class Flight(msgspec.Struct, frozen=True):
    """A call in flight, as the limit saw it begin."""

    level: int
    """Calls in flight as it began, itself included."""
    began: float
    first: bool
    """Nobody was at this level before it, so its answer is what tells whether the level holds. Those that
    follow prove nothing: had it been refused, one call fewer than they count would be with the server."""
    epoch: int


class PushBack(Enum):
    """What a push-back means for the limit."""

    EXPECTED = auto()
    """A try at a level above one that is known to hold: the limit is one below it now, and that is all."""
    UNEXPECTED = auto()
    """No level below is known to hold: the limit is halved, and all that was known is doubtful."""
    LATE = auto()
    """Its call began before the last halving: the same piece of news."""


class Limit:
    """The limit for one load; `value` is never below 1.

    Before the first push-back it grows by one with each call that passes; after it, by one each round trip.
    It grows only while it is what holds the load back.
    """

    def __init__(self, ceiling: int, *, start: int = START) -> None:
        self.value = min(start, ceiling)
        self.refused: int | None = None
        """The lowest level that was refused, until it is found to hold."""
        self.round_trip_s: float | None = None
        """Of calls that passed, smoothed."""
        self._held = 0
        """The highest level known to hold; 0: none is."""
        self._tried = 0
        self._epoch = 0
        self._pushed_back = False
        self._lowered_at = float("-inf")
        self._quiet_rounds = 0
        self._round_began = float("-inf")
        self._wait_rounds = QUIET_ROUNDS_FIRST

    def began(self, now: float, *, in_flight: int) -> Flight:
        """A call begins beside so many others."""
        level = in_flight + 1
        first = level > max(self._tried, self._held)
        self._tried = max(self._tried, level)
        return Flight(level, now, first, self._epoch)

    def passed(self, flight: Flight, now: float, *, held_back: bool, ceiling: int) -> None:
        """The service took the call in.

        `held_back`: somebody waits for a place. `ceiling`: the limit grows no higher.
        """
        self._time(now - flight.began)
        if flight.began >= self._round_began:
            self._quiet_rounds += 1
            self._round_began = now
        if flight.epoch != self._epoch:
            return
        if flight.first:
            self._holds(flight.level)
        if held_back and self.value < ceiling and self._may_grow():
            self.value += 1

    def pushed_back(self, flight: Flight, now: float) -> PushBack:
        """429."""
        if flight.epoch != self._epoch:
            self._keep_below(flight.level)
            return PushBack.LATE
        expected = flight.level > self._held >= 1
        if flight.level > 1:
            self._note_wait(flight)
        self._lowered_at = self._round_began = now
        self._quiet_rounds = 0
        if expected:
            self._keep_below(flight.level)
            return PushBack.EXPECTED
        self._epoch += 1
        self._held = self._tried = 0
        # A refused level 1 says nothing about levels: the credits are spent, or others have every place.
        self.refused = flight.level if flight.level > 1 else None
        self.value = max(1, min(self.value, flight.level) // 2)
        return PushBack.UNEXPECTED

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
        if not self._pushed_back:
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

    def _note_wait(self, flight: Flight) -> None:
        """How long to keep away from the refused level: once for each round trip, however many 429s."""
        if self._pushed_back and flight.began >= self._lowered_at:
            soon = self._quiet_rounds <= 2 * self._wait_rounds + 2
            self._wait_rounds = min(2 * self._wait_rounds, QUIET_ROUNDS_MAX) if soon else QUIET_ROUNDS_FIRST
        self._pushed_back = True
