"""The one place that waits before a call: the rate, the places in flight, the pause after a push-back.

Nothing sleeps while it holds a place. Callers pass a turnstile one by one; whoever stands in it waits until
the gate is open, a place is free and the rate allows a call, and only then takes the place. So the rate is
kept exactly, however the places come free.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum
from typing import Protocol

import anyio
import msgspec
from aiolimiter import AsyncLimiter

from loader.errors import NotNowError
from loader.events import GatePaused, GateReopened, Observer, ServiceUnreachable

PAUSE_FIRST_S = 0.5
PAUSE_MAX_S = 60.0


class GateClosedError(Exception):
    """The load is stopping: no call may begin. Never shown to a person."""


class Budget(Protocol):
    """The organisation's credits, as all its loads on this machine spend them."""

    def take(self, credits: int) -> float:
        """0.0: they are spent now. Else nothing was spent, and the seconds until so many are free."""
        ...

    def give_back(self, credits: int) -> None:
        """A call that the server did not charge: a 429, or it never reached the server."""
        ...

    def spent_out(self) -> bool:
        """By the ledger, the day's credits are (nearly) gone."""
        ...

    def correct(self, remaining: int) -> None:
        """The server says how many remain: X-API-CREDITS-REMAINING, or 0 where a lone call got a 429 while
        `spent_out`: then `take` says how long to wait."""
        ...


class Places(Protocol):
    """Places in flight, shared by the loads of one organisation on this machine."""

    def share(self, ceiling: int, *, wants: bool) -> int:
        """How many of `ceiling` this load may use now, at least 1; `wants`: it would use more of them."""
        ...


class NoBudget:
    """Nobody counts credits."""

    def take(self, credits: int) -> float:  # noqa: ARG002 - the protocol's
        return 0.0

    def give_back(self, credits: int) -> None:
        pass

    def spent_out(self) -> bool:
        return False

    def correct(self, remaining: int) -> None:
        pass


class AllPlaces:
    """No other load is known of."""

    def share(self, ceiling: int, *, wants: bool) -> int:  # noqa: ARG002 - the protocol's
        return ceiling


class GateSettings(msgspec.Struct, frozen=True):
    """How fast, and how long to put up with a service that does not answer."""

    concurrency: int
    """Calls in flight at once, at most."""
    rate: float | None
    """Calls a second; None: as many as there are places."""
    patience_s: float
    host: str
    """For messages."""
    wait_s: float = 0.0
    """How long to wait for credits before the load stops."""


class _State(Enum):
    OPEN = 0
    PAUSED = 1
    PROBING = 2


class Place:
    """A place in flight. Its holder says how the call went; a place left without a word counts as failed."""

    def __init__(self, gate: Gate, *, epoch: int, probe: bool) -> None:
        self._gate = gate
        self.epoch = epoch
        self.probe = probe
        self.reported = False

    def passed(self) -> None:
        """The service answered and took the call in."""
        self.reported = True
        self._gate._passed(self)

    def pushed_back(self, retry_after_s: float | None = None) -> None:
        """429: too many at once, or out of credits."""
        self.reported = True
        self._gate._pushed_back(self, retry_after_s)

    def failed(self, reason: str) -> None:
        """The service did not answer, or answered with an error of its own."""
        self.reported = True
        self._gate._failed(self, reason)


class Gate:
    """Admits calls to the service.

    After a push-back, or after as many failures in a row as there are places, everything pauses; then one
    call, the probe, goes alone, and the others follow only if it passed. A service that stays away for
    longer than `patience_s` ends the load.
    """

    def __init__(
        self,
        settings: GateSettings,
        *,
        observe: Observer,
        budget: Budget | None = None,
        places: Places | None = None,
        clock: Callable[[], float] = anyio.current_time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._observe = observe
        self._budget: Budget = budget or NoBudget()
        self._places: Places = places or AllPlaces()
        self._clock = clock
        self._jitter = jitter
        # One call in each 1/R seconds: a bucket of R would let 2R - 1 calls into one second.
        self._rate = AsyncLimiter(1, 1 / settings.rate) if settings.rate else None
        self._turnstile = anyio.Lock()
        self._changed = anyio.Event()
        self._closed = anyio.Event()
        self._in_flight = 0
        self._state = _State.OPEN
        self._epoch = 0
        self._paused_until = 0.0
        self._pauses = 0
        self._failures = 0
        self._failing_since: float | None = None
        self._failed_at = 0.0
        self._last_reason = ""

    @property
    def in_flight(self) -> int:
        return self._in_flight

    def close(self) -> None:
        """Let no further call begin, from this moment on."""
        self._closed.set()
        self._wake()

    async def rest(self, seconds: float) -> None:
        """Wait without a place.

        Raises:
            GateClosedError: the load began to stop meanwhile.
        """
        with anyio.move_on_after(seconds):
            await self._closed.wait()
        self._refuse_if_closed()

    @asynccontextmanager
    async def admit(self, credits: int = 1) -> AsyncIterator[Place]:  # noqa: ARG002
        """A place in flight, as soon as there may be one more call that costs so many credits.

        Raises:
            GateClosedError: the load is stopping.
            NotNowError: the service has been out of reach for longer than `patience_s`.
        """
        async with self._turnstile:
            place = await self._take()
        try:
            yield place
        finally:
            self._in_flight -= 1
            if not place.reported:
                self._failed(place, "the call was given up")
            self._wake()

    async def _take(self) -> Place:
        due = self._rate is None
        while True:
            self._refuse_if_closed()
            self._refuse_if_out_of_patience()
            if self._state is _State.PAUSED and (left := self._paused_until - self._clock()) > 0:
                self._refuse_if_beyond_patience(left)
                await self.rest(left)
                due = self._rate is None
            elif self._state is _State.PROBING or self._in_flight >= self._settings.concurrency:
                await self._changed.wait()
            elif self._rate is not None and not due:
                # The gate may close or pause meanwhile, so everything is looked at again.
                await self._rate.acquire()
                due = True
            else:
                break
        probe = self._state is _State.PAUSED
        if probe:
            self._state = _State.PROBING
        self._in_flight += 1
        return Place(self, epoch=self._epoch, probe=probe)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    def _refuse_if_closed(self) -> None:
        if self._closed.is_set():
            raise GateClosedError

    def _refuse_if_out_of_patience(self) -> None:
        since = self._failing_since
        # Up to the last failure, not to now: a quiet period or a silent input uses up no patience.
        if since is None or self._failed_at - since <= self._settings.patience_s:
            return
        raise NotNowError(
            f"{self._settings.host} is out of reach",
            why=f"no call has passed for {self._clock() - since:.0f} s; the last one: {self._last_reason}",
            hint="Nothing is lost. Run the same command again later; if the host is wrong, look at --dc or"
            " --api-domain.",
        )

    def _refuse_if_beyond_patience(self, pause_s: float) -> None:
        if pause_s > max(self._settings.patience_s, PAUSE_MAX_S):
            raise NotNowError(
                f"{self._settings.host} takes no call for the next {pause_s:.0f} s",
                why=f"it said so itself; the last answer: {self._last_reason}",
                hint="Nothing is lost. Run the same command again later, or raise --patience.",
            )

    def _passed(self, place: Place) -> None:
        self._failures = 0
        self._failing_since = None
        if place.probe:
            self._state = _State.OPEN
            self._pauses = 0
            self._observe(GateReopened())
            self._wake()

    def _pushed_back(self, place: Place, retry_after_s: float | None) -> None:
        self._note_failure("429, too many calls at once or out of credits")
        if place.epoch == self._epoch:
            self._pause(retry_after_s)

    def _failed(self, place: Place, reason: str) -> None:
        self._note_failure(reason)
        self._failures += 1
        in_a_row = self._failures >= self._settings.concurrency
        if place.epoch == self._epoch and (place.probe or in_a_row):
            left = self._settings.patience_s - (self._clock() - (self._failing_since or self._clock()))
            self._observe(ServiceUnreachable(self._settings.host, reason, max(0.0, left)))
            self._pause(None)

    def _note_failure(self, reason: str) -> None:
        self._last_reason = reason
        self._failed_at = self._clock()
        if self._failing_since is None:
            self._failing_since = self._clock()

    def _pause(self, retry_after_s: float | None) -> None:
        """Pause all; those that were in flight when it began neither lengthen the pause nor end it."""
        grown = min(PAUSE_MAX_S, PAUSE_FIRST_S * 2**self._pauses) * (0.5 + self._jitter() / 2)
        pause_s = grown if retry_after_s is None else max(retry_after_s, 0.0)
        self._pauses += 1
        self._failures = 0
        self._epoch += 1
        self._state = _State.PAUSED
        self._paused_until = self._clock() + pause_s
        self._observe(GatePaused(pause_s))
        self._wake()
