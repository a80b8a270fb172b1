"""The credits of an organisation: what was spent in the last 24 hours, and when it comes back. Pure.

A spent credit comes back 24 hours after it was spent (limits page: a rolling window). They are counted by the
minute, and a minute counts until everything in it is 24 hours old: so the window never says that more is free
than there is, and each credit comes back at most a minute late. Where the minutes are kept is the caller's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from loader.wire.limits import CREDITS_WINDOW_S, RECORDS_PER_CALL_MAX, credits_for

MINUTE_S: Final = 60
WINDOW_MINUTES: Final = CREDITS_WINDOW_S // MINUTE_S

CALL_CREDITS_MAX: Final = credits_for(RECORDS_PER_CALL_MAX)
"""What the dearest call costs."""

AHEAD_MINUTES: Final = 90
"""A clock that is set back leaves minutes that are still to come. These are more than the hour of a mistaken
time zone; and few, for they come back only when the clock has passed them by a day, and where the minutes are
kept there is room for a day and these.
"""

UNDER_WAY_MINUTES: Final = 2
"""Calls that began so many minutes ago may still be on their way: the service has not counted them yet."""


class Minute(msgspec.Struct, frozen=True, gc=False):
    """What was spent in one minute."""

    minute: int
    """Unix time in whole minutes."""
    own: int = 0
    """By loads on this machine."""
    others: int = 0
    """By other programs: what the service counts beyond that."""


class Standing(msgspec.Struct, frozen=True):
    """Where an organisation stands at one moment."""

    spent: int
    """In the last 24 hours, as far as is known here."""
    total: int | None
    """Credits a day; None: not known."""
    kept: int
    """Of these, left to other programs."""
    coming_back: tuple[tuple[float, int], ...]
    """What was spent comes back: in so many seconds so much, the soonest first."""

    @property
    def usable(self) -> int | None:
        """What loads may spend in 24 hours; None: nothing is known of an end."""
        return None if self.total is None else max(self.total - self.kept, 0)


class Window:
    """The minutes of the last 24 hours. Each change returns the minutes that are not as they were."""

    def __init__(self, minutes: Iterable[Minute] = ()) -> None:
        self._minutes: dict[int, Minute] = {}
        self._spent = 0
        self._swept = 0
        for one in minutes:
            self.put(one)

    def put(self, minute: Minute) -> None:
        """Takes over what somebody else knows of a minute."""
        before = self._minutes.get(minute.minute)
        if before is not None:
            self._spent -= before.own + before.others
        self._minutes[minute.minute] = minute
        self._spent += minute.own + minute.others

    def at(self, minute: int) -> Minute:
        return self._minutes.get(minute) or Minute(minute)

    def minutes(self) -> tuple[Minute, ...]:
        return tuple(self._minutes.values())

    def spent(self, now: float) -> int:
        """Credits that have not come back yet."""
        self._sweep(now)
        return self._spent

    def own(self, now: float) -> int:
        """Those of them that loads on this machine spent."""
        self._sweep(now)
        return sum(one.own for one in self._minutes.values())

    def spend(self, credits: int, now: float) -> Minute:
        """Counts credits as spent now."""
        self._sweep(now)
        one = self.at(minute_of(now))
        changed = Minute(one.minute, one.own + credits, one.others)
        self.put(changed)
        return changed

    def give_back(self, credits: int, now: float) -> list[Minute]:
        """Credits of a call that was not charged; calls are short, so the last minutes lose them."""
        self._sweep(now)
        changed = []
        for minute in sorted(self._minutes, reverse=True):
            one = self._minutes[minute]
            less = min(one.own, credits)
            if less:
                credits -= less
                changed.append(Minute(minute, one.own - less, one.others))
        for each in changed:
            self.put(each)
        return changed

    def correct(self, spent: int, now: float) -> list[Minute]:
        """The service counts `spent`. What it counts beyond ours was spent by other programs, now at latest.

        Where it counts less, credits of other programs have come back earlier than was assumed. Our own are
        never taken back this way: a call may be on its way, and one whose answer was lost counts as charged.
        """
        more = spent - self.spent(now)
        if more > 0:
            one = self.at(minute_of(now))
            changed = [Minute(one.minute, one.own, one.others + more)]
        else:
            changed = self._without(-more - self._under_way(now))
        for each in changed:
            self.put(each)
        return changed

    def free_again_at(self, credits: int, now: float) -> float:
        """When so many of those spent will have come back; with none spent, now."""
        self._sweep(now)
        at = now
        for minute in sorted(self._minutes):
            if credits <= 0:
                break
            one = self._minutes[minute]
            credits -= one.own + one.others
            at = (minute + 1) * MINUTE_S + CREDITS_WINDOW_S
        return max(at, now)

    def coming_back(self, now: float) -> tuple[tuple[float, int], ...]:
        """In how many seconds how much of what was spent comes back, the soonest first."""
        self._sweep(now)
        return tuple(
            (max((minute + 1) * MINUTE_S + CREDITS_WINDOW_S - now, 0.0), one.own + one.others)
            for minute, one in sorted(self._minutes.items())
            if one.own + one.others
        )

    def _without(self, credits: int) -> list[Minute]:
        """The minutes without so many credits of other programs, the oldest first."""
        changed = []
        for minute in sorted(self._minutes):
            one = self._minutes[minute]
            less = min(one.others, credits)
            if less > 0:
                credits -= less
                changed.append(Minute(minute, one.own, one.others - less))
        return changed

    def _under_way(self, now: float) -> int:
        last = minute_of(now)
        return sum(self.at(minute).own for minute in range(last - UNDER_WAY_MINUTES, last + 1))

    def _sweep(self, now: float) -> None:
        """Forgets what does not count any more; once a minute, for nothing changes in between."""
        present = minute_of(now)
        if present == self._swept:
            return
        self._swept = present
        for minute in [one for one in self._minutes if not counts(one, present)]:
            gone = self._minutes.pop(minute)
            self._spent -= gone.own + gone.others


def minute_of(now: float) -> int:
    """Unix seconds in whole minutes."""
    return int(now // MINUTE_S)


def counts(minute: int, present: int) -> bool:
    """Whether what was spent in that minute still counts; one far ahead of the clock is no minute."""
    return present - WINDOW_MINUTES <= minute <= present + AHEAD_MINUTES


def wait_s(window: Window, credits: int, *, usable: int | None, now: float) -> float:
    """0.0: so many credits are free; else the seconds until they are.

    `usable`: what may be spent in 24 hours; None: nothing is known of an end. Never more than a day and a
    minute: who asks for more than there ever is waits a day at a time.
    """
    if usable is None:
        return 0.0
    missing = window.spent(now) + credits - usable
    if missing <= 0:
        return 0.0
    if credits > usable:
        return float(CREDITS_WINDOW_S + MINUTE_S)
    # Not zero, however late the clock: that would mean that they are spent.
    return min(max(window.free_again_at(missing, now) - now, 0.001), float(CREDITS_WINDOW_S + MINUTE_S))
