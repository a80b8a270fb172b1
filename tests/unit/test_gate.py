"""The gate: the rate, the places, the pause with its probe, patience."""

from __future__ import annotations

import anyio
import pytest

from loader.errors import NotNowError
from loader.events import CallPushedBack, Event, GatePaused, GateReopened, LimitLowered, ServiceUnreachable
from loader.throttle.gate import Gate, GateClosedError, GateSettings
from tests import virtual_time


def make_gate(
    events: list[Event] | None = None,
    *,
    concurrency: int = 10,
    rate: float | None = None,
    patience_s: float = 300,
) -> Gate:
    settings = GateSettings(concurrency, rate, patience_s, "api.example", start=concurrency)
    seen = [] if events is None else events
    return Gate(settings, observe=seen.append, jitter=lambda: 1.0)


def test_no_more_calls_are_in_flight_than_there_are_places() -> None:
    async def main() -> None:
        gate = make_gate(concurrency=3)
        most = 0

        async def call() -> None:
            nonlocal most
            async with gate.admit() as place:
                most = max(most, gate.in_flight)
                await anyio.sleep(1)
                place.passed()

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(call)
        assert most == 3
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

        async def refused() -> None:
            async with gate.admit() as place:
                await anyio.sleep(1)
                place.pushed_back()

        async def call() -> None:
            async with gate.admit() as place:
                begun.append(anyio.current_time())
                await anyio.sleep(1)
                place.passed()

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(refused)
            await anyio.sleep(0.1)
            for _ in range(4):
                tasks.start_soon(call)
        paused = [event for event in events if isinstance(event, GatePaused)]
        assert len(paused) == 1, "one pause for one round trip, however many calls were refused in it"
        probe, *others = begun
        assert probe == pytest.approx(1 + paused[0].pause_s)
        assert all(at >= probe + 1 for at in others), "nobody follows before the probe has passed"
        assert [type(event) for event in events].count(GateReopened) == 1

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

        async def fail_for_ever() -> None:
            while True:
                async with gate.admit() as place:
                    place.failed("connection refused")

        with pytest.raises(NotNowError, match=r"api\.example is out of reach") as raised:
            await fail_for_ever()
        assert 20 < anyio.current_time() < 60
        assert "connection refused" in raised.value.why
        assert "again later" in raised.value.hint

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

        async def slow() -> None:
            async with gate.admit() as place:
                await anyio.sleep(2)
                place.passed()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(slow)
            await anyio.sleep(0.1)
            async with gate.admit() as place:
                place.pushed_back(30)
        async with gate.admit() as place:
            assert anyio.current_time() == pytest.approx(30.1, abs=0.01)
            place.passed()
        assert [type(event) for event in events] == [CallPushedBack, LimitLowered, GatePaused, GateReopened]

    virtual_time.run(main)
