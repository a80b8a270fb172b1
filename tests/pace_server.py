"""A server's limits in virtual time, and a load that meets them through the real gate.

No records and no HTTP: a call takes a place or is refused, lasts for a while, and passes. What is measured is
how well the load fills the places that there are, and what it costs to find them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import anyio
import msgspec

from loader.errors import NotNowError
from loader.events import CreditsCounted, Event, GatePaused, GateReopened
from loader.throttle.gate import Gate, GateClosedError, GateSettings
from tests import virtual_time

WARM_UP_S = 10.0
"""Left out of the throughput: the places are being found."""

Steps = Sequence[tuple[float, float]]
"""From a second on, a value; the first is at 0."""


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ranges that a scenario has to stay within."""

    of_ideal_min: float
    """Calls passed after the warm-up, as a share of what the server's places allow."""
    refused_max: float
    """Calls refused, as a share of all calls."""
    paused_max: float
    """Time in pause, as a share of all time."""
    stopped: bool = False
    """The load ends before its time, with NotNowError."""


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A server and a load."""

    about: str
    expected: Expected
    cap: Steps
    """Calls that it takes at once."""
    latency_s: Steps
    link_s: float = 0.0
    """There and back; a call holds no place of the server meanwhile."""
    refusal_s: float = 0.005
    spread: float = 0.0
    """Of the latency, to either side."""
    storm: Steps = ((0.0, 0.0),)
    """Share of calls that get a 429 whatever the places."""
    errors: float = 0.0
    """Share of calls that end in an error that is no push-back."""
    others: Steps = ((0.0, 0.0),)
    """Places that another program has."""
    credits: int | None = None
    """Credits of the day, which the load counts too; each call costs 10."""
    credits_return_s: float = 86_400.0
    """A spent credit comes back after so long."""
    retry_after_s: float | None = None
    """What each 429 asks for."""
    ceiling: int = 25
    rate: float | None = None
    wait_s: float = 0.0
    seconds: float = 60.0


class Measured(msgspec.Struct, frozen=True):
    """What a scenario came to."""

    of_ideal: float
    refused: float
    paused: float
    most_in_flight: int
    calls: int
    limit: int
    spent: int
    counted: int
    """Credits of the last window: as the server counts them, and as the load does."""
    stopped: NotNowError | None


COST = 10


def read(path: Path) -> Scenario:
    """A scenario from its file."""
    return msgspec.toml.decode(path.read_bytes(), type=Scenario)


def play(scenario: Scenario, *, seed: int = 1) -> Measured:
    """The scenario in virtual time."""

    async def main() -> Measured:
        return await _Play(scenario, seed).play()

    return virtual_time.run(main)


class RollingBudget:
    """Credits of this load and of no other, in memory."""

    def __init__(self, total: int, back_after_s: float) -> None:
        self.total = total
        self.back_after_s = back_after_s
        self.spent: list[tuple[float, int]] = []

    def take(self, credits: int) -> float:
        now = anyio.current_time()
        self.spent = [one for one in self.spent if one[0] > now - self.back_after_s]
        if sum(cost for _, cost in self.spent) + credits <= self.total:
            self.spent.append((now, credits))
            return 0.0
        return max(self.spent[0][0] + self.back_after_s - now, 0.001)

    def give_back(self, credits: int) -> None:
        self.spent.pop()

    def counted(self) -> CreditsCounted | None:
        return None

    def spent_out(self) -> bool:
        return sum(cost for _, cost in self.spent) + COST > self.total

    def correct(self, remaining: int) -> None:
        """The server's word counts for more than our own count."""
        left = self.total - sum(cost for _, cost in self.spent)
        if remaining < left:
            self.spent.append((anyio.current_time(), left - remaining))


class _Play:
    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.scenario = scenario
        self.budget = RollingBudget(scenario.credits, scenario.credits_return_s) if scenario.credits else None
        self.rng = random.Random(seed)
        self.events: list[tuple[float, Event]] = []
        self.gate = Gate(
            GateSettings(scenario.ceiling, scenario.rate, 300.0, "api.example", scenario.wait_s),
            observe=self.observe,
            budget=self.budget,
            jitter=self.rng.random,
        )
        self.at_server = 0
        self.calls = self.refused = self.passed = self.most = 0
        self.spent: list[float] = []
        self.stopped: NotNowError | None = None

    def observe(self, event: Event) -> None:
        self.events.append((anyio.current_time(), event))

    async def play(self) -> Measured:
        scenario = self.scenario
        with anyio.move_on_after(scenario.seconds):
            async with anyio.create_task_group() as tasks:
                for _ in range(scenario.ceiling):
                    tasks.start_soon(self.work)
        ran_s = max(anyio.current_time(), 1e-9)
        return Measured(
            of_ideal=self.passed / self.ideal(),
            refused=self.refused / max(self.calls, 1),
            paused=self.paused_s(ran_s) / ran_s,
            most_in_flight=self.most,
            calls=self.calls,
            limit=self.gate.limit,
            spent=len(self.spent) * COST,
            counted=sum(cost for _, cost in self.budget.spent) if self.budget else len(self.spent) * COST,
            stopped=self.stopped,
        )

    async def work(self) -> None:
        try:
            while True:
                await self.call()
        except GateClosedError:
            pass
        except NotNowError as error:
            self.stopped = error
            self.gate.close()

    async def call(self) -> None:
        scenario = self.scenario
        async with self.gate.admit(COST) as place:
            self.calls += 1
            self.most = max(self.most, self.gate.in_flight)
            await anyio.sleep(scenario.link_s / 2)
            taken = self.take()
            if taken:
                latency_s = at(scenario.latency_s) * (1 + scenario.spread * (2 * self.rng.random() - 1))
                try:
                    await anyio.sleep(latency_s)
                finally:
                    self.at_server -= 1
            else:
                await anyio.sleep(scenario.refusal_s)
            await anyio.sleep(scenario.link_s / 2)
            if not taken:
                self.refused += 1
                place.pushed_back(scenario.retry_after_s)
            elif self.rng.random() < scenario.errors:
                place.failed("HTTP 500")
            else:
                place.passed()
                self.passed += anyio.current_time() > WARM_UP_S

    def take(self) -> bool:
        scenario, now = self.scenario, anyio.current_time()
        if self.at_server >= at(scenario.cap) - at(scenario.others):
            return False
        if self.rng.random() < at(scenario.storm):
            return False
        if scenario.credits is not None:
            self.spent = [one for one in self.spent if one > now - scenario.credits_return_s]
            if (len(self.spent) + 1) * COST > scenario.credits:
                return False
            self.spent.append(now)
        self.at_server += 1
        return True

    def ideal(self) -> float:
        """Calls that pass after the warm-up if each place is always taken."""
        scenario = self.scenario
        edges = [WARM_UP_S, scenario.seconds]
        edges += [one for steps in (scenario.cap, scenario.latency_s, scenario.others) for one, _ in steps]
        points = sorted(one for one in set(edges) if WARM_UP_S <= one <= scenario.seconds)
        total = 0.0
        for start, stop in pairwise(points):
            places = min(at(scenario.cap, start) - at(scenario.others, start), scenario.ceiling)
            # A place counts as taken on the way too: a load that never has more in flight is never refused.
            per_s = places / (at(scenario.latency_s, start) + scenario.link_s)
            if scenario.credits is not None:
                per_s = min(per_s, scenario.credits / COST / scenario.credits_return_s)
            total += min(per_s, scenario.rate or per_s) * (stop - start)
        return max(total * (1 - scenario.errors), 1e-9)

    def paused_s(self, ran_s: float) -> float:
        """From a pause's beginning until its probe has passed."""
        total, since = 0.0, None
        for when, event in self.events:
            if when >= self.scenario.seconds:
                break  # the end itself, where each call is given up
            if isinstance(event, GatePaused) and since is None:
                since = when
            elif isinstance(event, GateReopened) and since is not None:
                total += when - since
                since = None
        return total + (ran_s - since if since is not None else 0.0)


def at(steps: Steps, now: float | None = None) -> float:
    """The value of the last step that has begun."""
    moment = anyio.current_time() if now is None else now
    return next(value for since, value in reversed(steps) if since <= moment)
