"""The one place that waits before a call: rate, places in flight, credits, the pause after a push-back.

Nothing sleeps while it holds a place. Callers pass a turnstile one by one; whoever stands in it waits until
the gate is open, a place is free, the rate allows a call and its credits are there, and only then takes the
place. So the rate is kept exactly, however the places come free. How many places there are is decided in
`concurrency`, how many credits in `credits`.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from enum import Enum

import anyio
import msgspec
from aiolimiter import AsyncLimiter

from loader.events import (
    CallPushedBack,
    CreditsCounted,
    CreditsRanOut,
    CreditsReturned,
    GatePaused,
    GateReopened,
    LimitLowered,
    LimitRaised,
    Observer,
    PlacesShared,
    ServiceUnreachable,
)
from loader.throttle.allowances import AllPlaces, Budget, NoBudget, Places, out_of_credits
from loader.throttle.concurrency import START, Flight, Limit, PushBack
from loader.throttle.credits import CALL_CREDITS_MAX
from loader.throttle.patience import PAUSE_MAX_S, Patience

PAUSE_FIRST_S = 0.5
"""Where no round trip has been measured, and where the service does not answer."""
PAUSE_LEAST_S = 0.05
PAUSE_AT_PUSH_BACK_MAX_S = 5.0
"""The first one after a push-back, which is about a round trip, however long that is."""
UNREACHABLE_TOLD_S = 1.0
"""That a service does not answer is told no more often."""
CREDITS_TOLD_S = 2.0
"""What is left of the credits is told no more often."""
CREDITS_LOOK_S = 60.0
"""While the load waits for credits, the ledger is looked at this often: another load may give some back."""


class GateClosedError(Exception):
    """The load is stopping: no call may begin. Never shown to a person."""


class GateSettings(msgspec.Struct, frozen=True):
    """How fast, and how long to put up with a service that does not answer."""

    concurrency: int
    """Calls in flight at once, at most; how many there are within that is found out."""
    rate: float | None
    """Calls a second; None: as many as there are places."""
    patience_s: float
    host: str
    """For messages."""
    wait_s: float = 0.0
    """How long to wait for credits before the load stops."""
    start: int = START
    """Places at the beginning."""


class _State(Enum):
    OPEN = 0
    PAUSED = 1
    PROBING = 2


class Place:
    """A place in flight. Its holder says how the call went; a place left without a word counts as failed."""

    def __init__(self, gate: Gate, flight: Flight, *, credits: int, epoch: int, probe: bool) -> None:
        self._gate = gate
        self.flight = flight
        self.credits = credits
        self.epoch = epoch
        self.probe = probe
        self.reported = False

    def passed(self, *, charged: bool = True) -> None:
        """The service answered and took the call in. `charged`: its credits are spent."""
        self.reported = True
        self._gate._passed(self, charged=charged)

    def pushed_back(self, retry_after_s: float | None = None) -> None:
        """429: too many at once, or out of credits."""
        self.reported = True
        self._gate._pushed_back(self, retry_after_s)

    def failed(self, reason: str, *, reached: bool = True) -> None:
        """The service did not answer, or answered with an error of its own.

        `reached`: False only where it is proved that the service never had anything of the call.
        """
        self.reported = True
        self._gate._failed(self, reason, reached=reached)

    def credits_left(self, remaining: int) -> None:
        """X-API-CREDITS-REMAINING said so."""
        self._gate._budget.correct(remaining)
        self._gate._remaining_said(remaining)


class _Admission:
    """The place of one call, for as long as the context lasts.

    A class, because a generator as a context costs each call three times as much.
    """

    __slots__ = ("_credits", "_gate", "_place")

    def __init__(self, gate: Gate, credits: int) -> None:
        self._gate = gate
        self._credits = credits

    async def __aenter__(self) -> Place:
        gate = self._gate
        try:
            # Who finds it free goes through at once: the wait that lets others run is the call itself.
            gate._turnstile.acquire_nowait()
        except anyio.WouldBlock:
            await gate._turnstile.acquire()
        try:
            self._place = await gate._take(self._credits)
        finally:
            gate._turnstile.release()
        return self._place

    async def __aexit__(self, *error: object) -> None:
        self._gate._leave(self._place)


class Gate:
    """Admits calls to the service.

    After a push-back that was no mere try at one call more, or after as many failures in a row as there may
    be places, everything pauses; then one call, the probe, goes alone, and the others follow only if it
    passed. A service that stays away for longer than `patience_s`, or credits that do not come back within
    `wait_s`, end the load.
    """

    def __init__(
        self,
        settings: GateSettings,
        *,
        observe: Observer,
        budget: Budget | None = None,
        places: Places | None = None,
        clock: Callable[[], float] = anyio.current_time,
        wall: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._observe = observe
        self._budget: Budget = budget or NoBudget()
        self._places: Places = places or AllPlaces()
        self._clock = clock
        self._wall = wall
        self._jitter = jitter
        # One call in each 1/R seconds: a bucket of R would let 2R - 1 calls into one second.
        self._rate = AsyncLimiter(1, 1 / settings.rate) if settings.rate else None
        self._limit = Limit(settings.concurrency, start=settings.start)
        self._share = settings.concurrency
        self._turnstile = anyio.Lock()
        self._changed: anyio.Event | None = None
        """Made by who stands in the turnstile and waits for a place, or for the probe."""
        self._closed = anyio.Event()
        self._rate_wait = anyio.CancelScope()
        """Whoever stands in the turnstile waits in it for the rate."""
        self._in_flight = 0
        self._credits_due_at = 0.0
        self._remaining: int | None = None
        """Credits, as the service said last."""
        self._held_back = False
        """Whoever stands in the turnstile waits for a place."""
        self._state = _State.OPEN
        self._epoch = 0
        self._paused_until = 0.0
        self._pauses = 0
        self._failures = 0
        self._patience = Patience(settings.patience_s, settings.host)
        self._unreachable_told_at = -math.inf

    @property
    def in_flight(self) -> int:
        return self._in_flight

    @property
    def limit(self) -> int:
        """Calls that may be in flight at this moment."""
        return min(self._limit.value, self._share)

    def close(self) -> None:
        """Let no further call begin, from this moment on."""
        self._closed.set()
        self._rate_wait.cancel()
        self._wake()

    async def rest(self, seconds: float) -> None:
        """Wait without a place.

        Raises:
            GateClosedError: the load began to stop meanwhile.
        """
        with anyio.move_on_after(seconds):
            await self._closed.wait()
        self._refuse_if_closed()

    def admit(self, credits: int = 1) -> AbstractAsyncContextManager[Place]:
        """A place in flight, as soon as there may be one more call that costs so many credits.

        Raises:
            GateClosedError: the load is stopping.
            NotNowError: the service has been out of reach for longer than `patience_s`, or credits are
                spent for longer than `wait_s`.
        """
        return _Admission(self, credits)

    def _leave(self, place: Place) -> None:
        self._in_flight -= 1
        if not place.reported:
            self._failed(place, "the call was given up", reached=True)
        if not self._in_flight and not self._turnstile.locked():
            self._look_at_share(wants=False)
        self._wake()

    async def _take(self, credits: int) -> Place:
        due = self._rate is None
        waited = False
        while True:
            self._refuse_if_closed()
            self._patience.require_some(self._clock())
            self._look_at_share(wants=True)
            if self._state is _State.PAUSED and (left := self._paused_until - self._clock()) > 0:
                credits_s = self._settings.wait_s if self._budget.spent_out() else 0.0
                self._patience.require_covers(left, wait_s=credits_s)
                await self.rest(left)
                due = self._rate is None
            elif self._state is _State.PROBING or self._in_flight >= self.limit:
                self._held_back = True
                self._changed = anyio.Event()
                await self._changed.wait()
            elif self._rate is not None and not due:
                # The gate may close or pause meanwhile, so everything is looked at again.
                with anyio.CancelScope() as self._rate_wait:
                    await self._rate.acquire()
                due = True
            elif (wait_s := self._budget.take(credits)) > 0:
                await self._wait_for_credits(credits, wait_s, first=not waited)
                waited = True
            else:
                break
        if waited:
            self._observe(CreditsReturned())
        self._held_back = False
        probe = self._state is _State.PAUSED
        if probe:
            self._state = _State.PROBING
        now = self._clock()
        flight = self._limit.began(now, in_flight=self._in_flight)
        self._in_flight += 1
        self._tell_credits(now)
        return Place(self, flight, credits=credits, epoch=self._epoch, probe=probe)

    def _remaining_said(self, remaining: int) -> None:
        if self._remaining is None:
            self._credits_due_at = 0.0
        self._remaining = remaining
        self._tell_credits(self._clock())

    def _tell_credits(self, now: float) -> None:
        """By the budget; else by what the service has said. Now and then, for to look is not cheap."""
        if now < self._credits_due_at:
            return
        self._credits_due_at = now + CREDITS_TOLD_S
        counted = self._budget.counted()
        if counted is None and self._remaining is not None:
            counted = CreditsCounted(self._remaining)
        if counted is not None:
            self._observe(counted)

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    def _look_at_share(self, *, wants: bool) -> None:
        share = self._places.share(self._settings.concurrency, wants=wants)
        if share != self._share:
            self._share = share
            self._observe(PlacesShared(share, self._settings.concurrency))

    async def _wait_for_credits(self, credits: int, wait_s: float, *, first: bool) -> None:
        if wait_s > self._settings.wait_s:
            raise out_of_credits(credits, wait_s, now=self._wall())
        if first:
            self._observe(CreditsRanOut(wait_s))
        if not self._in_flight:
            self._look_at_share(wants=False)
        await self.rest(min(wait_s, CREDITS_LOOK_S))
        # It answers: that is no service out of reach.
        self._patience.restore()

    def _refuse_if_closed(self) -> None:
        if self._closed.is_set():
            raise GateClosedError

    def _passed(self, place: Place, *, charged: bool) -> None:
        self._failures = 0
        self._patience.restore()
        if not charged:
            self._budget.give_back(place.credits)
        before = self._limit.value
        self._limit.passed(
            place.flight,
            self._clock(),
            held_back=self._held_back,
            ceiling=min(self._share, self._settings.concurrency),
        )
        if self._limit.value > before:
            self._observe(LimitRaised(self._limit.value))
            self._wake()
        if place.probe:
            self._state = _State.OPEN
            self._pauses = 0
            self._observe(GateReopened())
            self._wake()

    def _pushed_back(self, place: Place, retry_after_s: float | None) -> None:
        self._patience.failed(self._clock(), "429, too many calls at once or out of credits", refused=True)
        self._budget.give_back(place.credits)
        self._observe(CallPushedBack(place.flight.level))
        before = self._limit.value
        meaning = self._limit.pushed_back(place.flight)
        if self._limit.value < before:
            self._observe(LimitLowered(self._limit.value, self._limit.refused or place.flight.level))
        if place.epoch != self._epoch:
            return
        if place.probe and place.credits < CALL_CREDITS_MAX and self._budget.spent_out():
            # Alone, and refused: it was not concurrency. (That a whole call is too dear is known by then.)
            self._budget.correct(0)
        if place.probe or retry_after_s is not None or meaning is PushBack.HALVED:
            round_trip_s = self._limit.round_trip_s
            first_s = PAUSE_FIRST_S if round_trip_s is None else round_trip_s
            first_s = min(max(first_s, PAUSE_LEAST_S), PAUSE_AT_PUSH_BACK_MAX_S)
            self._pause(first_s, asked_s=retry_after_s, push_back=True)

    def _failed(self, place: Place, reason: str, *, reached: bool) -> None:
        self._patience.failed(self._clock(), reason)
        self._limit.failed(place.flight)
        if not reached:
            self._budget.give_back(place.credits)
        self._failures += 1
        in_a_row = self._failures >= self._settings.concurrency
        if place.epoch == self._epoch and (place.probe or in_a_row):
            self._tell_unreachable(reason)
            self._pause(PAUSE_FIRST_S, asked_s=None, push_back=False)

    def _tell_unreachable(self, reason: str) -> None:
        """Once in a while; that patience is over is the error's to say."""
        now = self._clock()
        left_s = self._patience.left_s(now)
        if left_s > 0 and now - self._unreachable_told_at >= UNREACHABLE_TOLD_S:
            self._unreachable_told_at = now
            self._observe(ServiceUnreachable(self._settings.host, reason, left_s))

    def _pause(self, first_s: float, *, asked_s: float | None, push_back: bool) -> None:
        """Pause all; those that were in flight when it began neither lengthen the pause nor end it."""
        pause_s = min(PAUSE_MAX_S, first_s * 2**self._pauses) * (0.5 + self._jitter() / 2)
        if asked_s is not None:
            # Kept to the letter, until the probe shows that it was too short.
            pause_s = max(asked_s, pause_s) if self._pauses else asked_s
        else:
            # The last try comes as patience ends, not a long pause behind it.
            pause_s = min(pause_s, max(self._patience.left_s(self._clock()), 0.0) + PAUSE_LEAST_S)
        self._pauses += 1
        self._failures = 0
        self._epoch += 1
        self._state = _State.PAUSED
        self._paused_until = self._clock() + pause_s
        self._observe(GatePaused(pause_s, push_back, self._patience.last_reason))
        self._wake()
