"""The gate: the rate, the places, the pause with its probe, patience."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

import anyio
import pytest

from loader.errors import NotNowError
from loader.events import (
    CallPushedBack,
    CreditsCounted,
    CreditsRanOut,
    CreditsReturned,
    Event,
    GatePaused,
    GateReopened,
    LimitLowered,
    LimitRaised,
    PlacesShared,
    ServiceUnreachable,
)
from loader.throttle.credits import CALL_CREDITS_MAX
from loader.throttle.gate import CREDITS_TOLD_S, Gate, GateClosedError, GateSettings
from tests import virtual_time
from tests.throttle_fakes import FakeBudget, FakePlaces

NOW_S = 1_767_268_800.0
"""Unix seconds when a test begins; they do not go on."""


def make_gate(
    events: list[Event] | None = None,
    *,
    concurrency: int = 10,
    rate: float | None = None,
    patience_s: float = 300,
    wait_s: float = 0.0,
    budget: FakeBudget | None = None,
    places: FakePlaces | None = None,
) -> Gate:
    settings = GateSettings(concurrency, rate, patience_s, "api.example", wait_s, start=concurrency)
    seen = [] if events is None else events
    return Gate(
        settings, observe=seen.append, budget=budget, places=places, jitter=lambda: 1.0, wall=lambda: NOW_S
    )


async def call(gate: Gate, took_s: float = 1.0, *, credits: int = 1) -> None:
    """A call that passes."""
    async with gate.admit(credits) as place:
        await anyio.sleep(took_s)
        place.passed()


async def fail_for_ever(gate: Gate) -> None:
    """Until there is no patience left."""
    while True:
        async with gate.admit() as place:
            place.failed("connection refused")


async def refused_after(gate: Gate, took_s: float) -> None:
    """A call that gets a 429."""
    async with gate.admit() as place:
        await anyio.sleep(took_s)
        place.pushed_back()


async def most_of(gate: Gate, calls: int) -> int:
    """How many of so many calls were in flight at once, at most."""
    most = 0

    async def counted() -> None:
        nonlocal most
        async with gate.admit() as place:
            most = max(most, gate.in_flight)
            await anyio.sleep(1)
            place.passed()

    async with anyio.create_task_group() as tasks:
        for _ in range(calls):
            tasks.start_soon(counted)
    return most


def test_no_more_calls_are_in_flight_than_there_are_places() -> None:
    async def main() -> None:
        gate = make_gate(concurrency=3)
        assert await most_of(gate, 10) == 3
        assert gate.in_flight == 0
        assert anyio.current_time() == pytest.approx(4)

    virtual_time.run(main)


def test_no_window_of_one_second_holds_more_calls_than_the_rate_even_when_places_come_free_at_once() -> None:
    async def main() -> None:
        gate = make_gate(concurrency=4, rate=5)
        begun: list[float] = []

        async def call() -> None:
            async with gate.admit() as place:
                begun.append(anyio.current_time())
                await anyio.sleep(3)
                place.passed()

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(call)
        for start in begun:
            assert sum(start <= at < start + 0.999 for at in begun) <= 5

    virtual_time.run(main)


def test_a_push_back_pauses_everybody_and_then_lets_one_probe_go_first() -> None:
    async def main() -> None:
        events: list[Event] = []
        gate = make_gate(events, concurrency=3)
        begun: list[float] = []

        async def noted() -> None:
            async with gate.admit() as place:
                begun.append(anyio.current_time())
                await anyio.sleep(1)
                place.passed()

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(refused_after, gate, 1)
            await anyio.sleep(0.1)
            for _ in range(4):
                tasks.start_soon(noted)
        paused = [event for event in events if isinstance(event, GatePaused)]
        assert len(paused) == 1, "one pause for one round trip, however many calls were refused in it"
        probe, *others = begun
        assert probe == pytest.approx(1 + paused[0].pause_s)
        assert all(at >= probe + 1 for at in others), "nobody follows before the probe has passed"
        assert [type(event) for event in events].count(GateReopened) == 1

    virtual_time.run(main)


def test_while_a_probe_is_out_nobody_follows_it_though_there_are_places() -> None:
    async def main() -> None:
        gate = make_gate(concurrency=6)
        begun: list[float] = []
        limits: list[int] = []

        async def noted() -> None:
            async with gate.admit() as place:
                begun.append(anyio.current_time())
                limits.append(gate.limit)
                await anyio.sleep(1)
                place.passed()

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(call, gate, 1.1)
            await anyio.sleep(0.1)
            tasks.start_soon(refused_after, gate, 0.9)
            await anyio.sleep(0.1)
            for _ in range(3):
                tasks.start_soon(noted)
        probe, *others = begun
        assert limits[0] == 3, "it is not for want of places that the others wait"
        assert all(at >= probe + 1 for at in others), "nobody follows before the probe has passed"

    virtual_time.run(main)


def test_the_pause_that_the_server_asks_for_is_kept() -> None:
    async def main() -> None:
        gate = make_gate()
        async with gate.admit() as place:
            place.pushed_back(7)
        async with gate.admit() as place:
            assert anyio.current_time() == pytest.approx(7)
            place.passed()

    virtual_time.run(main)


def test_a_failed_probe_lengthens_the_pause() -> None:
    async def main() -> None:
        events: list[Event] = []
        gate = make_gate(events)
        for _ in range(4):
            async with gate.admit() as place:
                place.pushed_back()
        pauses = [event.pause_s for event in events if isinstance(event, GatePaused)]
        assert pauses == pytest.approx([0.5, 1.0, 2.0, 4.0])

    virtual_time.run(main)


def test_a_pause_says_what_the_last_call_met() -> None:
    async def main() -> None:
        events: list[Event] = []
        gate = make_gate(events, concurrency=1)
        for reason in ("HTTP 503", "no connection (Connection refused)"):
            async with gate.admit() as place:
                place.failed(reason)
        async with gate.admit() as place:
            place.pushed_back()
        told = [(event.push_back, event.reason) for event in events if isinstance(event, GatePaused)]
        assert told[:2] == [(False, "HTTP 503"), (False, "no connection (Connection refused)")]
        assert told[2][0]

    virtual_time.run(main)


def test_a_few_failures_among_successes_pause_nothing() -> None:
    async def main() -> None:
        events: list[Event] = []
        gate = make_gate(events, concurrency=3)
        for _ in range(20):
            for word in ("failed", "failed", "passed"):
                async with gate.admit() as place:
                    place.passed() if word == "passed" else place.failed("HTTP 500")
        assert events == []

    virtual_time.run(main)


def test_as_many_failures_in_a_row_as_places_pause_everybody() -> None:
    async def main() -> None:
        events: list[Event] = []
        gate = make_gate(events, concurrency=3)
        for _ in range(3):
            async with gate.admit() as place:
                place.failed("HTTP 503")
        assert [type(event) for event in events] == [ServiceUnreachable, GatePaused]

    virtual_time.run(main)


def test_a_service_out_of_reach_is_told_once_a_second_at_most_and_never_as_patience_ends() -> None:
    async def main() -> None:
        events: list[Event] = []
        gate = make_gate(events, concurrency=1, patience_s=20)
        with pytest.raises(NotNowError):
            await fail_for_ever(gate)
        left = [event.gives_up_in_s for event in events if isinstance(event, ServiceUnreachable)]
        assert left[0] == 20
        assert left[-1] > 0
        assert len(left) >= 3
        assert all(earlier - later >= 0.999 for earlier, later in pairwise(left))

    virtual_time.run(main)


def test_a_place_that_is_given_up_counts_as_failed_so_that_a_lost_probe_cannot_wedge_the_gate() -> None:
    async def main() -> None:
        gate = make_gate(concurrency=2)
        async with gate.admit() as place:
            place.pushed_back()
        with pytest.raises(ValueError, match="broken"):
            async with gate.admit():
                raise ValueError("broken")
        async with gate.admit() as place:
            place.passed()
        assert gate.in_flight == 0

    virtual_time.run(main)


def test_a_service_out_of_reach_beyond_patience_ends_the_load_with_a_way_on() -> None:
    async def main() -> None:
        gate = make_gate(concurrency=1, patience_s=20)
        with pytest.raises(NotNowError, match=r"api\.example is out of reach") as raised:
            await fail_for_ever(gate)
        assert 20 < anyio.current_time() < 21, "the last try comes as patience ends"
        assert "connection refused" in raised.value.why
        assert "again later" in raised.value.hint

    virtual_time.run(main)


def test_a_service_that_refuses_every_call_beyond_patience_ends_the_load_and_names_both_reasons() -> None:
    async def main() -> None:
        gate = make_gate(patience_s=20)

        async def refuse_for_ever() -> None:
            while True:
                await refused_after(gate, 0.1)

        with pytest.raises(NotNowError, match=r"api\.example refuses every call") as raised:
            await refuse_for_ever()
        assert 20 < anyio.current_time() < 60
        assert "credits" in raised.value.hint
        assert "other programs" in raised.value.hint

    virtual_time.run(main)


def test_one_success_gives_patience_back() -> None:
    async def main() -> None:
        gate = make_gate(concurrency=1, patience_s=5)
        for _ in range(10):
            async with gate.admit() as place:
                place.failed("HTTP 500")
            await anyio.sleep(4)
            async with gate.admit() as place:
                place.passed()

    virtual_time.run(main)


def test_a_closed_gate_refuses_those_that_wait_and_those_that_come() -> None:
    async def main() -> None:
        gate = make_gate(concurrency=1)
        refused = 0

        async def wait() -> None:
            nonlocal refused
            try:
                async with gate.admit():
                    raise AssertionError("admitted")
            except GateClosedError:
                refused += 1

        async with anyio.create_task_group() as tasks, gate.admit() as place:
            for _ in range(3):
                tasks.start_soon(wait)
            await anyio.sleep(1)
            gate.close()
            await anyio.sleep(0.05)
            assert refused == 3, "those that wait are told at once, not when a place comes free"
            place.passed()
        with pytest.raises(GateClosedError):
            await gate.rest(60)
        assert anyio.current_time() < 2

    virtual_time.run(main)


def test_who_waits_for_the_rate_is_told_at_once_that_the_gate_closes() -> None:
    async def main() -> None:
        gate = make_gate(rate=0.01)
        await call(gate)
        refused: list[float] = []

        async def wait() -> None:
            with pytest.raises(GateClosedError):
                async with gate.admit():
                    raise AssertionError("admitted")
            refused.append(anyio.current_time())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            tasks.start_soon(wait)
            await anyio.sleep(5)
            gate.close()
        assert refused == pytest.approx([6, 6], abs=0.1), "not at 100 s, when the rate allows a call"

    virtual_time.run(main)


def test_who_waits_for_the_rate_when_a_pause_begins_waits_out_the_pause_too() -> None:
    async def main() -> None:
        gate = make_gate(rate=0.1)
        begun: list[float] = []

        async def refused() -> None:
            async with gate.admit() as place:
                await anyio.sleep(1)
                place.pushed_back(60)

        async def call() -> None:
            async with gate.admit() as place:
                begun.append(anyio.current_time())
                place.passed()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(refused)
            await anyio.sleep(0.5)
            tasks.start_soon(call)
        assert begun[0] >= 61, "the rate would have let it go at 10 s, in the middle of the pause"

    virtual_time.run(main)


def test_a_time_without_calls_uses_up_no_patience() -> None:
    async def main() -> None:
        gate = make_gate(patience_s=5)
        async with gate.admit() as place:
            place.failed("HTTP 500")
        await anyio.sleep(1000)
        async with gate.admit() as place:
            place.passed()

    virtual_time.run(main)


def test_a_pause_that_the_server_asks_for_and_patience_does_not_cover_ends_the_load_at_once() -> None:
    async def main() -> None:
        gate = make_gate(patience_s=300)
        async with gate.admit() as place:
            place.pushed_back(86_400)
        with pytest.raises(NotNowError, match="takes no call for the next 86400 s") as raised:
            async with gate.admit():
                raise AssertionError("admitted")
        assert anyio.current_time() < 1
        assert "--patience" in raised.value.hint

    virtual_time.run(main)


def test_those_that_were_in_flight_when_a_pause_began_do_not_end_it() -> None:
    async def main() -> None:
        events: list[Event] = []
        gate = make_gate(events, concurrency=2)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, gate, 2)
            await anyio.sleep(0.1)
            async with gate.admit() as place:
                place.pushed_back(30)
        async with gate.admit() as place:
            assert anyio.current_time() == pytest.approx(30.1, abs=0.01)
            place.passed()
        assert [type(event) for event in events] == [CallPushedBack, LimitLowered, GatePaused, GateReopened]

    virtual_time.run(main)


def test_the_limit_starts_low_and_rises_while_calls_wait_for_places() -> None:
    async def main() -> None:
        events: list[Event] = []
        gate = Gate(GateSettings(4, None, 300, "api.example"), observe=events.append)
        async with anyio.create_task_group() as tasks:
            for _ in range(12):
                tasks.start_soon(call, gate)
        assert events == [LimitRaised(3), LimitRaised(4)]
        assert anyio.current_time() == pytest.approx(1 + 3, abs=0.01), "2, 4, 4, 2 calls"

    virtual_time.run(main)


def test_a_lone_refusal_pauses_nobody() -> None:
    async def main() -> None:
        events: list[Event] = []
        gate = make_gate(events, concurrency=3)

        async with anyio.create_task_group() as tasks:
            await call(gate)
            for work in (call, call):
                tasks.start_soon(work, gate)
            await anyio.sleep(0.1)
            tasks.start_soon(refused_after, gate, 0.1)
            await anyio.sleep(0.2)
            assert (gate.limit, gate.in_flight) == (2, 2)
            tasks.start_soon(call, gate)
        assert events == [CallPushedBack(3), LimitLowered(2, 3)]
        assert anyio.current_time() == pytest.approx(3, abs=0.01)

    virtual_time.run(main)


def test_a_refusal_that_asks_for_a_pause_pauses_everybody() -> None:
    async def main() -> None:
        gate = make_gate(concurrency=3)
        async with anyio.create_task_group() as tasks:
            await call(gate)
            tasks.start_soon(call, gate)
            await anyio.sleep(0.1)
            async with gate.admit() as place:
                place.pushed_back(5)
            await call(gate)
        assert anyio.current_time() == pytest.approx(1.1 + 5 + 1, abs=0.01)

    virtual_time.run(main)


def test_the_first_pause_takes_about_a_round_trip_and_no_longer_than_five_seconds() -> None:
    async def main() -> None:
        for round_trip_s, pause_s in ((0.001, 0.05), (0.2, 0.2), (30.0, 5.0)):
            events: list[Event] = []
            gate = make_gate(events)
            await call(gate, round_trip_s)
            async with gate.admit() as place:
                place.pushed_back()
            paused = [event.pause_s for event in events if isinstance(event, GatePaused)]
            assert paused == pytest.approx([pause_s])

    virtual_time.run(main)


def test_a_pause_that_the_server_asks_for_again_and_again_grows_if_it_is_too_short() -> None:
    async def main() -> None:
        events: list[Event] = []
        gate = make_gate(events)
        for _ in range(5):
            async with gate.admit() as place:
                place.pushed_back(1)
        pauses = [event.pause_s for event in events if isinstance(event, GatePaused)]
        assert pauses == pytest.approx([1.0, 1.0, 2.0, 4.0, 8.0])

    virtual_time.run(main)


def test_a_call_that_is_not_charged_gives_its_credits_back() -> None:
    async def main() -> None:
        budget = FakeBudget()
        gate = make_gate(budget=budget)
        async with gate.admit(10) as place:
            place.passed()
        async with gate.admit(10) as place:
            place.failed("no answer in time")
        assert budget.given_back == []
        async with gate.admit(9) as place:
            place.passed(charged=False)
        async with gate.admit(8) as place:
            place.pushed_back()
        async with gate.admit(7) as place:
            place.failed("connection refused", reached=False)
        assert budget.taken == [10, 10, 9, 8, 7]
        assert budget.given_back == [9, 8, 7]

    virtual_time.run(main)


def test_a_call_that_is_given_up_may_have_been_charged() -> None:
    async def main() -> None:
        budget = FakeBudget()
        with pytest.raises(ValueError, match="broken"):
            async with make_gate(budget=budget).admit(10):
                raise ValueError("broken")
        assert budget.spent == 10

    virtual_time.run(main)


def test_what_the_server_says_is_left_reaches_the_budget() -> None:
    async def main() -> None:
        budget = FakeBudget()
        async with make_gate(budget=budget).admit(10) as place:
            place.credits_left(4321)
            place.passed()
        assert budget.corrected == [4321]

    virtual_time.run(main)


def test_what_is_left_is_told_now_and_then_by_the_budget_or_else_by_the_server() -> None:
    async def main() -> None:
        events: list[Event] = []
        budget = FakeBudget()
        gate = make_gate(events, budget=budget)
        for left in (4321, 4311):
            async with gate.admit(10) as place:
                place.credits_left(left)
                place.passed()
        assert events == [CreditsCounted(4321)]
        await anyio.sleep(CREDITS_TOLD_S)
        budget.known = CreditsCounted(4_000, 50_000)
        async with gate.admit(10) as place:
            place.credits_left(3_990)
            place.passed()
        assert events == [CreditsCounted(4321), CreditsCounted(4_000, 50_000)]

    virtual_time.run(main)


def test_credits_are_waited_for_without_a_place_and_the_wait_is_told_once() -> None:
    async def main() -> None:
        events: list[Event] = []
        budget = FakeBudget(wait_s=[150.0, 90.0, 30.0])
        gate = make_gate(events, budget=budget, wait_s=200)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, gate)
            await anyio.sleep(1)
            assert gate.in_flight == 0
        assert anyio.current_time() == pytest.approx(60 + 60 + 30 + 1), "the ledger is looked at each minute"
        assert events == [CreditsRanOut(150.0), CreditsReturned()]

    virtual_time.run(main)


def test_credits_that_do_not_come_back_within_the_wait_end_the_load_and_it_says_when_to_come_back() -> None:
    async def main() -> None:
        gate = make_gate(budget=FakeBudget(wait_s=[7_250.0]), wait_s=7_200)
        with pytest.raises(NotNowError, match="credits of the day are spent") as raised:
            await call(gate, credits=10)
        assert raised.value.exit_code == 7
        back = datetime.fromtimestamp(NOW_S + 7_250 + 60).astimezone()
        assert f"at {back:%H:%M on %Y-%m-%d} local time" in raised.value.hint
        assert "--wait 3h" in raised.value.hint
        assert "2 h 1 m" in raised.value.why

    virtual_time.run(main)


def test_a_probe_that_is_refused_while_the_ledger_is_spent_means_credits() -> None:
    async def main() -> None:
        events: list[Event] = []
        budget = FakeBudget()
        gate = make_gate(events, budget=budget, wait_s=10_000, patience_s=5)
        budget.out = True
        async with gate.admit(5) as place:
            place.pushed_back()
        assert budget.corrected == [], "a push-back by itself may be concurrency"
        async with gate.admit(5) as place:
            place.pushed_back()
        assert budget.corrected == [0]
        budget.waits = [3600.0 - 60 * minute for minute in range(60)]
        await call(gate)
        assert 3600 < anyio.current_time() < 3610
        assert CreditsReturned() in events

    virtual_time.run(main)


def test_a_whole_call_that_is_refused_takes_no_credits_from_the_small_ones() -> None:
    async def main() -> None:
        budget = FakeBudget()
        gate = make_gate(budget=budget)
        budget.out = True
        for _ in range(3):
            async with gate.admit(CALL_CREDITS_MAX) as place:
                place.pushed_back()
        assert budget.corrected == [], (
            "some may be left, and the ledger knows that they are too few for these"
        )

    virtual_time.run(main)


def test_a_probe_that_is_refused_while_the_ledger_has_credits_only_lengthens_the_pause() -> None:
    async def main() -> None:
        budget = FakeBudget()
        gate = make_gate(budget=budget)
        for _ in range(3):
            async with gate.admit(10) as place:
                place.pushed_back()
        assert budget.corrected == []
        assert budget.spent == 0

    virtual_time.run(main)


def test_a_long_pause_that_the_server_asks_for_is_kept_where_credits_are_waited_for() -> None:
    async def main() -> None:
        budget = FakeBudget()
        budget.out = True
        gate = make_gate(budget=budget, wait_s=10_000)
        async with gate.admit() as place:
            place.pushed_back(3600)
        await call(gate)
        assert anyio.current_time() == pytest.approx(3601)

    virtual_time.run(main)


def test_a_load_stays_within_the_places_that_other_loads_leave() -> None:
    async def main() -> None:
        events: list[Event] = []
        places = FakePlaces(2)
        gate = make_gate(events, concurrency=4, places=places)
        assert await most_of(gate, 4) == 2
        assert gate.limit == 2
        places.left = 4
        assert await most_of(gate, 4) == 4
        assert events == [PlacesShared(2, 4), PlacesShared(4, 4)]
        assert places.wanted[-1] is False, "nothing is in flight any more: the others may have them"

    virtual_time.run(main)


def test_a_load_that_waits_for_credits_leaves_its_places_to_the_others() -> None:
    async def main() -> None:
        places = FakePlaces(2)
        gate = make_gate(budget=FakeBudget(wait_s=[100.0]), wait_s=200, places=places)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, gate)
            await anyio.sleep(1)
            assert places.wanted[-1] is False

    virtual_time.run(main)
