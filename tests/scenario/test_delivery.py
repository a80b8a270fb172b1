"""Delivery, gate, pipeline and resolver together, against a CRM in memory, in virtual time."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from loader import pipeline as pipeline_module
from loader.delivery.deliver import (
    DOUBT_TRIES_MAX,
    LOCKED_TRIES_MAX,
    NOT_APPLIED_TRIES_MAX,
    RENEWALS_MAX,
)
from loader.delivery.doubts import Rung
from loader.delivery.keys import shared_keys
from loader.errors import CredentialsError, LoaderError, NotNowError, UsageError
from loader.events import GatePaused, GateReopened, ServiceUnreachable
from loader.outcomes import Outcome
from loader.pipeline import RESTING_MAX
from loader.records import Attempt, Window
from loader.report.progress import Progress
from loader.throttle.gate import Gate
from loader.wire.messages import HttpRequest, Reply
from loader.wire.options import InsertOptions
from tests import virtual_time
from tests.scenario.fake_crm import (
    EPOCH_S,
    THEM,
    US,
    Deed,
    FakeCrm,
    Record,
    World,
    attempt_of,
    bare,
    item_error,
    lead,
    leads,
)

THREE_BATCHES = (leads(1, 2), leads(3, 2), leads(5, 2))


def run(world: World, batches: Sequence[Sequence[Record]], *, first: Sequence[Attempt] = ()) -> float:
    """Load them; the virtual seconds that it took."""

    async def main() -> float:
        await world.load(batches, first=first)
        return anyio.current_time()

    return virtual_time.run(main)


def require_sound(world: World) -> None:
    """What holds after every load, however it ended."""
    crm, recorder = world.crm, world.recorder
    for line, outcome in recorder.final.items():
        rows = crm.rows_of(line)
        if outcome.outcome is Outcome.INSERTED:
            assert [row.id for row in rows] == [outcome.id], f"line {line} is inserted, and its row is there"
        else:
            assert rows == [], f"line {line} is {outcome.outcome}, so it is not in the CRM"
    for line in recorder.allowed:
        assert len(crm.rows_of(line)) <= 1, f"line {line} is in the CRM once"
    if not crm.unique:
        return
    assert crm.keys_met_in_flight == set(), "a key was under way twice"


def require_all_inserted(world: World, lines: int) -> None:
    require_sound(world)
    assert world.pipeline.error is None
    assert world.recorder.outcomes() == dict.fromkeys(range(1, lines + 1), "inserted")
    assert world.recorder.held == {}


# --- nothing goes wrong ---


def test_all_records_of_many_batches_are_inserted_with_no_more_calls_than_batches() -> None:
    world = World(FakeCrm())
    run(world, [leads(first, 5) for first in range(1, 101, 5)])
    require_all_inserted(world, 100)
    assert len(world.crm.inserts) == 20
    assert world.crm.in_flight_most == world.concurrency


def test_a_batch_without_records_sends_nothing() -> None:
    world = World(FakeCrm())
    run(world, [leads(1, 1), [], leads(2, 1)])
    require_all_inserted(world, 2)
    assert len(world.crm.inserts) == 2


def test_a_first_duplicate_is_somebody_else_s_and_costs_no_question() -> None:
    crm = FakeCrm(unique="Email")
    world = World(crm, key="Email")

    async def main() -> None:
        crm.put(lead(900, email="LEAD1@example.com "), by=US, age_s=0)
        await world.load([leads(1, 2)])

    virtual_time.run(main)
    assert world.recorder.outcomes() == {1: "duplicate", 2: "inserted"}
    assert crm.questions == []
    require_sound(world)


# --- lost answers ---

IN_DOUBT = [
    Deed.LOSE_AFTER,
    Deed.LOSE_BEFORE,
    Deed.HALF,
    Deed.ERROR_AFTER,
    Deed.ERROR_BEFORE,
    Deed.CUT_ANSWER,
    Deed.HTML,
    Deed.SHORT,
    Deed.SILENCE_AND_LATE,
]

APPLIED_OF_TWO = {
    **{deed: [1, 2] for deed in IN_DOUBT},
    Deed.HALF: [1],
    Deed.LOSE_BEFORE: [],
    Deed.ERROR_BEFORE: [],
}
"""Which records of a batch of two the lost call had applied."""


@pytest.mark.parametrize("deed", IN_DOUBT, ids=lambda deed: deed.name)
def test_without_a_key_a_lost_answer_is_held_and_its_batch_never_sent_again(deed: Deed) -> None:
    world = World(FakeCrm())
    world.crm.plan.extend([deed])
    run(world, THREE_BATCHES)
    assert sorted(world.recorder.held) == [1, 2]
    assert world.recorder.outcomes() == dict.fromkeys([3, 4, 5, 6], "inserted")
    assert sorted(world.crm.inserts) == [[1, 2], [3, 4], [5, 6]]
    require_sound(world)


@pytest.mark.parametrize("deed", IN_DOUBT, ids=lambda deed: deed.name)
def test_with_a_unique_key_a_lost_answer_costs_a_quiet_period_and_no_record(deed: Deed) -> None:
    world = World(FakeCrm(unique="Email"), key="Email")
    world.crm.plan.extend([deed])
    assert run(world, THREE_BATCHES) >= 30
    require_all_inserted(world, 6)
    assert len(world.crm.inserts) == 4
    recovered = sorted(line for line, one in world.recorder.final.items() if one.recovered)
    assert recovered == APPLIED_OF_TWO[deed]


def test_the_resend_waits_out_the_quiet_period() -> None:
    world = World(FakeCrm(unique="Email"), key="Email", quiet_period_s=45)
    world.crm.plan.extend([Deed.LOSE_BEFORE])
    assert run(world, [leads(1, 1)]) == pytest.approx(47, abs=0.1)


def test_a_record_without_a_key_is_held_while_its_neighbours_are_resolved() -> None:
    world = World(FakeCrm(unique="Email"), key="Email")
    world.crm.plan.extend([Deed.LOSE_AFTER])
    run(world, [[lead(1), lead(2, email=None), lead(3)]])
    assert world.recorder.outcomes() == {1: "inserted", 3: "inserted"}
    assert "it has no Email to ask by" in world.recorder.held[2]
    assert world.crm.inserts == [[1, 2, 3], [1, 3]]
    require_sound(world)


def test_records_in_doubt_that_share_a_key_are_held_since_nothing_tells_them_apart() -> None:
    twins = [lead(1, email="twin@x.eu"), lead(5, email=" TWIN@x.eu ")]
    first = [
        attempt_of([twins[0], lead(2)], batch=1, in_doubt=True),
        attempt_of([twins[1]], batch=2, in_doubt=True),
    ]
    shared = shared_keys("Email", first)
    assert shared == {"twin@x.eu"}
    world = World(FakeCrm(unique="Email"), key="Email", shared_keys=shared)
    run(world, [], first=first)
    assert sorted(world.recorder.held) == [1, 5]
    assert world.crm.inserts == [[2]]


def test_two_lost_answers_in_a_row_are_one_doubt_that_began_with_the_first() -> None:
    world = World(FakeCrm(unique="Email"), key="Email")
    world.crm.plan.extend([Deed.LOSE_AFTER, Deed.LOSE_BEFORE])
    run(world, [leads(1, 2)])
    require_all_inserted(world, 2)
    assert all(one.recovered for one in world.recorder.final.values())


def test_a_batch_that_ends_in_doubt_again_and_again_is_held_in_the_end() -> None:
    world = World(FakeCrm(unique="Email"), key="Email", patience_s=10_000)
    world.crm.deed_of = lambda _: Deed.LOSE_BEFORE
    run(world, [leads(1, 2)])
    assert sorted(world.recorder.held) == [1, 2]
    assert len(world.crm.inserts) == DOUBT_TRIES_MAX


def test_a_lost_answer_to_the_question_whose_duplicate_is_asked_again() -> None:
    world = World(FakeCrm(unique="Email"), key="Email")
    world.crm.plan.extend([Deed.LOSE_AFTER])
    world.crm.question_plan.extend([Deed.LOSE_BEFORE, Deed.ERROR_BEFORE, Deed.PUSH_BACK])
    run(world, [leads(1, 2)])
    require_all_inserted(world, 2)
    assert len(world.crm.questions) == 4


def test_a_duplicate_after_doubt_that_somebody_else_made_is_not_taken_as_ours() -> None:
    world = World(FakeCrm(unique="Email"), key="Email")
    world.crm.plan.extend([Deed.LOSE_BEFORE])

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.load, [leads(1, 2)])
            await anyio.sleep(10)
            theirs = world.crm.put(lead(900, email="lead1@example.com"), by=THEM, age_s=0)
        assert world.recorder.final[1].id == theirs

    virtual_time.run(main)
    assert world.recorder.outcomes() == {1: "duplicate", 2: "inserted"}
    require_sound(world)


def test_a_refusal_after_doubt_settles_nothing_before_the_crm_was_asked_by_key() -> None:
    world = World(FakeCrm(unique="Email"), key="Email")
    world.crm.plan.extend([Deed.LOSE_AFTER])

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.load, [leads(1, 2)])
            await anyio.sleep(10)
            world.crm.refused = {1: "INVALID_DATA"}  # an administrator changed the field meanwhile

    virtual_time.run(main)
    require_all_inserted(world, 2)
    assert any(path.endswith("/coql") for path in world.crm.questions)


def test_where_the_crm_refuses_the_question_a_refusal_after_doubt_is_held() -> None:
    world = World(FakeCrm(unique="Email"), key="Email")
    world.crm.plan.extend([Deed.LOSE_AFTER])
    world.crm.refuse_questions = (403, "NO_PERMISSION")

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.load, [leads(1, 1)])
            await anyio.sleep(10)
            world.crm.refused = {1: "INVALID_DATA"}

    virtual_time.run(main)
    assert sorted(world.recorder.held) == [1], "nobody knows whether the first attempt was applied"
    assert world.recorder.final == {}


def test_a_call_refused_whole_after_doubt_does_not_reject_a_record_that_is_there() -> None:
    world = World(FakeCrm(unique="Email"), key="Email")
    world.crm.plan.extend([Deed.LOSE_AFTER])

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.load, [leads(1, 2)])
            await anyio.sleep(10)
            world.crm.poison = {1}

    virtual_time.run(main)
    require_all_inserted(world, 2)


def test_a_record_that_is_locked_after_doubt_is_not_rejected_while_it_is_there() -> None:
    world = World(FakeCrm(unique="Email"), key="Email")
    world.crm.plan.extend([Deed.LOSE_AFTER])

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.load, [leads(1, 2)])
            await anyio.sleep(10)
            world.crm.locked[1] = 100

    virtual_time.run(main)
    require_all_inserted(world, 2)


def test_what_an_earlier_run_left_in_doubt_rests_before_it_is_sent_again() -> None:
    world = World(FakeCrm(unique="Email"), key="Email")
    crm = world.crm

    shown: list[int] = []

    def look(_: Sequence[int]) -> None:
        seen = Progress(concurrency=1)
        for event in world.events:
            seen.apply(event)
        shown.append(seen.in_doubt)

    crm.before_insert = look

    async def main() -> None:
        crm.put(lead(1), by=US, age_s=5)
        await world.load([], first=[attempt_of(leads(1, 2), in_doubt=True, since=EPOCH_S - 6)])
        assert anyio.current_time() >= 30
        look(())

    virtual_time.run(main)
    require_all_inserted(world, 2)
    assert world.recorder.final[1].recovered
    assert not world.recorder.final[2].recovered
    assert shown == [2, 0], "the screen does not show what the load is waiting for"


def test_what_an_earlier_run_left_in_doubt_is_held_unsent_where_no_key_can_tell() -> None:
    world = World(FakeCrm())
    attempt = attempt_of(leads(1, 2), in_doubt=True)
    without_bytes = type(attempt)(attempt.batch, attempt.number, attempt.lines, (), True, EPOCH_S)

    async def main() -> None:
        await world.load([leads(3, 1)], first=[without_bytes])

    virtual_time.run(main)
    assert sorted(world.recorder.held) == [1, 2]
    assert world.crm.inserts == [[3]]


def test_a_refused_option_stops_the_load_and_halves_or_rejects_nothing() -> None:
    world = World(FakeCrm(), concurrency=1, options=InsertOptions(trigger=("workflow",)))
    world.crm.refused_option = "trigger[0]"
    run(world, THREE_BATCHES)
    assert isinstance(world.pipeline.error, UsageError)
    assert "an option" in world.pipeline.error.what
    assert "trigger" in world.pipeline.error.why
    assert world.crm.inserts == [[1, 2]]
    assert world.recorder.final == {}
    assert world.recorder.held == {}
    assert not any(isinstance(event, ServiceUnreachable) for event in world.events)
    assert world.recorder.may_be_applied == set()


def test_each_insert_says_the_options_of_the_load() -> None:
    options = InsertOptions(trigger=(), external=("Leads.A.B",))
    world = World(FakeCrm(), options=options)
    world.crm.plan.extend([Deed.NOT_HANDED_OVER])
    run(world, THREE_BATCHES)
    assert len(world.crm.requests) == 4
    for request in world.crm.requests:
        assert json.loads(request.body or b"")["trigger"] == []
        assert request.headers["X-EXTERNAL"] == "Leads.A.B"


# --- not applied, again ---


@pytest.mark.parametrize(
    "deed",
    [Deed.UNREACHABLE, Deed.NOT_HANDED_OVER, Deed.TIMEOUT_408, Deed.PUSH_BACK],
    ids=lambda deed: deed.name,
)
def test_what_is_proved_not_applied_is_sent_again_without_a_doubt(deed: Deed) -> None:
    world = World(FakeCrm())
    world.crm.plan.extend([deed, deed])
    assert run(world, THREE_BATCHES) < 15
    require_all_inserted(world, 6)
    assert "doubt" not in {what for what, _, _ in world.recorder.said}


def test_after_429_nobody_sends_until_one_probe_has_passed() -> None:
    world = World(FakeCrm(latency_s=2.0))
    world.crm.plan.extend([Deed.PUSH_BACK] * 3)
    run(world, [leads(first, 1) for first in range(1, 10)])
    require_all_inserted(world, 9)
    kinds = [type(event) for event in world.events if isinstance(event, GatePaused | GateReopened)]
    assert kinds == [GatePaused, GateReopened]


def test_one_refresh_serves_ten_callers_whose_token_was_revoked() -> None:
    world = World(FakeCrm(), concurrency=10)
    world.crm.revoked = {1}
    run(world, [leads(first, 1) for first in range(1, 11)])
    require_all_inserted(world, 10)
    assert world.crm.token == 2
    assert set(world.crm.renewed) == {1}
    assert len(world.crm.inserts) == 20


def test_a_token_that_is_refused_again_and_again_ends_the_load_without_a_loop_of_refreshes() -> None:
    world = World(FakeCrm())
    world.crm.revoked = set(range(1000))
    run(world, THREE_BATCHES)
    assert isinstance(world.pipeline.error, CredentialsError)
    assert len(world.crm.renewed) <= 2 * 3
    assert world.recorder.final == {}
    assert world.recorder.may_be_applied == set(), "refused with 401: certainly not applied"


def test_a_batch_whose_tokens_die_one_after_the_other_stops_no_load_in_which_others_pass() -> None:
    world = World(FakeCrm(), concurrency=2)
    world.crm.unlucky[1] = 6
    run(world, [leads(first, 1) for first in range(1, 31)])
    require_all_inserted(world, 30)
    assert world.crm.token == 7


def test_a_batch_that_no_token_is_good_for_ends_the_load_at_last_though_others_pass() -> None:
    world = World(FakeCrm(), concurrency=2)
    world.crm.unlucky[1] = 1000
    run(world, [leads(first, 1) for first in range(1, 61)])
    assert isinstance(world.pipeline.error, CredentialsError)
    assert len(world.crm.renewed) == RENEWALS_MAX
    assert 1 not in world.recorder.final


def test_without_permission_the_load_stops_and_nothing_is_in_doubt() -> None:
    world = World(FakeCrm())
    world.crm.refusal = (403, "NO_PERMISSION")
    run(world, THREE_BATCHES)
    assert isinstance(world.pipeline.error, CredentialsError)
    assert world.crm.renewed == []
    assert world.recorder.may_be_applied == set()


def test_a_module_that_does_not_exist_stops_the_load_before_a_record_is_blamed() -> None:
    world = World(FakeCrm())
    world.crm.refusal = (400, "INVALID_MODULE")
    run(world, [leads(first, 4) for first in range(1, 41, 4)])
    assert isinstance(world.pipeline.error, UsageError)
    assert "--module" in world.pipeline.error.hint
    assert world.recorder.final == {}
    assert len(world.crm.inserts) <= world.concurrency


def test_a_redirect_stops_the_load_and_leaves_its_batch_in_doubt() -> None:
    world = World(FakeCrm(), concurrency=1)
    world.crm.plan.extend([Deed.REDIRECT])
    run(world, THREE_BATCHES)
    assert isinstance(world.pipeline.error, UsageError)
    assert world.recorder.may_be_applied == {1, 2}
    assert len(world.crm.inserts) == 1


# --- refused whole ---


def test_one_poison_record_is_found_by_halving_and_its_neighbours_are_loaded() -> None:
    world = World(FakeCrm())
    world.crm.poison = {38}
    run(world, [leads(1, 100)])
    assert world.recorder.final[38].outcome is Outcome.REJECTED
    assert world.recorder.final[38].code == "INVALID_DATA"
    assert sum(one.outcome is Outcome.INSERTED for one in world.recorder.final.values()) == 99
    assert len(world.crm.inserts) <= 1 + 2 * 7
    require_sound(world)


def test_each_batch_s_own_poison_record_is_found_where_calls_pass_between() -> None:
    world = World(FakeCrm(), concurrency=1)
    world.crm.poison = {2, 6, 11}
    run(world, [leads(1, 4), leads(5, 4), leads(9, 4)])
    rejected = [line for line, one in world.recorder.final.items() if one.outcome is Outcome.REJECTED]
    assert sorted(rejected) == [2, 6, 11]
    assert len(world.recorder.final) == 12


@pytest.mark.parametrize("size", [2, 8, 100])
@pytest.mark.parametrize("places", [(1, 1), (1, 2), (2, 2), (1, 1, 1)])
def test_batches_in_flight_together_may_each_have_a_poison_record_at_the_very_start(
    size: int, places: tuple[int, ...]
) -> None:
    """Nothing has passed when the second refusal comes, and on a resume it would be the same again."""
    world = World(FakeCrm(), concurrency=len(places))
    world.crm.poison = {number * size + place for number, place in enumerate(places)}
    run(world, [leads(number * size + 1, size) for number in range(len(places))])
    assert world.pipeline.error is None
    rejected = [line for line, one in world.recorder.final.items() if one.outcome is Outcome.REJECTED]
    assert set(rejected) == world.crm.poison
    assert len(world.recorder.final) == size * len(places)


def test_the_same_refusal_of_a_second_batch_with_no_success_between_concerns_the_load() -> None:
    world = World(FakeCrm())
    world.crm.refusal = (400, "INVALID_DATA")
    run(world, [leads(first, 4) for first in range(1, 41, 4)])
    assert isinstance(world.pipeline.error, UsageError)
    assert world.recorder.final == {}, "no record is rejected for what concerns the load"
    assert len(world.crm.inserts) <= 10 * 3, "no batch that was not in flight is tried"


def test_a_body_that_is_too_large_is_halved_however_many_batches_meet_it() -> None:
    world = World(FakeCrm())
    world.crm.sizes_refused_above = 2
    run(world, [leads(first, 4) for first in range(1, 25, 4)])
    require_all_inserted(world, 24)


def test_a_single_record_that_is_too_large_is_rejected() -> None:
    world = World(FakeCrm())
    world.crm.sizes_refused_above = 0
    run(world, [leads(1, 1)])
    assert world.recorder.outcomes() == {1: "rejected"}
    assert "413" in world.recorder.final[1].message


# --- locked ---


def test_a_locked_record_is_tried_again_and_its_neighbours_are_settled_at_once() -> None:
    world = World(FakeCrm())
    world.crm.locked[2] = 2
    run(world, [leads(1, 3)])
    require_all_inserted(world, 3)
    assert world.crm.inserts == [[1, 2, 3], [2], [2]]


def test_a_record_that_stays_locked_is_rejected_with_the_api_s_code() -> None:
    world = World(FakeCrm())
    world.crm.locked[2] = 1000
    run(world, [leads(1, 3)])
    assert world.recorder.outcomes() == {1: "inserted", 2: "rejected", 3: "inserted"}
    assert world.recorder.final[2].code == "RECORD_LOCKED"
    assert len(world.crm.inserts) == LOCKED_TRIES_MAX
    require_sound(world)


def test_tries_that_an_outage_cost_are_not_counted_against_a_locked_record() -> None:
    world = World(FakeCrm())
    world.crm.plan.extend([Deed.UNREACHABLE] * (LOCKED_TRIES_MAX + 1))
    world.crm.locked[1] = 1
    run(world, [leads(1, 1)])
    require_all_inserted(world, 1)


def test_a_neighbour_in_doubt_does_not_lend_its_code_to_a_locked_record() -> None:
    world = World(FakeCrm())
    world.crm.locked[1] = 1000
    world.crm.refused = {2: "INTERNAL_ERROR"}
    run(world, [leads(1, 2)])
    assert world.recorder.final[1].code == "RECORD_LOCKED"
    assert sorted(world.recorder.held) == [2]


# --- keys ---


def test_records_with_one_key_are_never_under_way_together_within_a_batch() -> None:
    world = World(FakeCrm(unique="Email"), key="Email")
    run(world, [[lead(1, email="a@x.eu"), lead(2, email=" A@X.eu"), lead(3, email="a@x.eu"), lead(4)]])
    assert world.recorder.outcomes() == {1: "inserted", 2: "duplicate", 3: "duplicate", 4: "inserted"}
    assert world.crm.inserts == [[1, 4], [2], [3]]
    require_sound(world)


def test_records_with_one_key_are_never_under_way_together_across_batches() -> None:
    crm = FakeCrm(unique="Email")
    crm.deed_of = lambda _: Deed.LOSE_BEFORE if len(crm.inserts) == 1 else None
    world = World(crm, key="Email")
    run(world, [[lead(line, email="same@x.eu"), lead(100 + line)] for line in range(1, 7)])
    require_sound(world)
    outcomes = list(world.recorder.final.values())
    assert len(outcomes) == 12
    assert sum(one.outcome is Outcome.INSERTED for one in outcomes) == 7


# --- bounds, patience, stopping ---


def test_resting_batches_beyond_the_bound_hold_the_reader_back(monkeypatch: pytest.MonkeyPatch) -> None:
    assert RESTING_MAX == 100
    monkeypatch.setattr(pipeline_module, "RESTING_MAX", 10)
    crm = FakeCrm(unique="Email")
    crm.deed_of = lambda _: Deed.LOSE_AFTER if anyio.current_time() < 200 else None
    world = World(crm, key="Email", quiet_period_s=400, patience_s=10_000)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.load, [leads(first, 1) for first in range(1, 61)])
            await anyio.sleep(390)
            sent = len(crm.inserts)
            assert 10 <= sent <= 10 + 2 * world.concurrency
            assert len(world.recorder.allowed) <= 10 + 2 * world.concurrency

    virtual_time.run(main)
    require_all_inserted(world, 60)


def test_a_batch_whose_rest_is_over_does_not_raise_the_number_that_is_under_way() -> None:
    world = World(FakeCrm())
    active = most = 0

    async def deliver(attempt: Attempt) -> None:
        nonlocal active, most
        if attempt.batch <= 9:
            async with world.pipeline.rest:
                await anyio.sleep(10)
            return
        active += 1
        most = max(most, active)
        await anyio.sleep(7)
        active -= 1

    async def main() -> None:
        batches = [leads(first, 1) for first in range(1, 41)]
        await world.pipeline.run([], world.windows(batches), deliver=deliver)

    virtual_time.run(main)
    assert most == world.concurrency


def test_a_service_that_stays_away_beyond_patience_ends_the_load_and_nothing_is_lost() -> None:
    world = World(FakeCrm(), patience_s=60)
    world.crm.deed_of = lambda _: Deed.UNREACHABLE if anyio.current_time() > 5 else None
    took = run(world, [leads(first, 1) for first in range(1, 101)])
    assert isinstance(world.pipeline.error, NotNowError)
    assert 60 < took < 150
    assert world.recorder.held == {}
    assert world.recorder.may_be_applied == set(world.recorder.final)
    require_sound(world)


def test_an_outage_shorter_than_patience_costs_nothing_but_time() -> None:
    world = World(FakeCrm(), patience_s=300)
    world.crm.deed_of = lambda _: Deed.UNREACHABLE if 5 < anyio.current_time() < 200 else None
    run(world, [leads(first, 1) for first in range(1, 61)])
    require_all_inserted(world, 60)


def test_patience_and_not_a_count_of_tries_decides_how_long_an_outage_may_last() -> None:
    world = World(FakeCrm(), patience_s=10_000)
    world.crm.deed_of = lambda _: Deed.UNREACHABLE if anyio.current_time() < 5_000 else None
    run(world, [leads(1, 2)])
    require_all_inserted(world, 2)


def test_stopping_in_mid_flight_begins_no_call_and_takes_in_the_answers() -> None:
    world = World(FakeCrm(latency_s=10))
    stopped_at = 5.0

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.load, [leads(first, 2) for first in range(1, 41, 2)])
            await anyio.sleep(stopped_at)
            world.pipeline.stop()
        assert anyio.current_time() == pytest.approx(10, abs=0.1)

    virtual_time.run(main)
    assert len(world.crm.inserts) == 3
    assert world.recorder.outcomes() == dict.fromkeys(range(1, 7), "inserted")
    require_sound(world)


def test_stopping_does_not_wait_for_an_answer_that_never_comes() -> None:
    world = World(FakeCrm(latency_s=1000))

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.load, THREE_BATCHES)
            await anyio.sleep(1)
            world.pipeline.stop(drain_s=pipeline_module.DRAIN_S)
        assert anyio.current_time() == pytest.approx(1 + pipeline_module.DRAIN_S, abs=0.1)

    virtual_time.run(main)
    assert world.recorder.final == {}
    assert world.recorder.may_be_applied == set(range(1, 7))


def test_stopping_ends_a_quiet_period_at_once_and_the_doubt_stays_recorded() -> None:
    world = World(FakeCrm(unique="Email"), key="Email", quiet_period_s=600)
    world.crm.plan.extend([Deed.LOSE_AFTER])

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.load, [leads(1, 2)])
            await anyio.sleep(20)
            world.pipeline.stop()
        assert anyio.current_time() == pytest.approx(20, abs=0.1)

    virtual_time.run(main)
    assert ("doubt", 1, (1, 2)) in world.recorder.said
    assert world.recorder.held == {}


def test_stopping_ends_a_wait_for_another_record_s_key() -> None:
    world = World(FakeCrm(unique="Email"), key="Email", quiet_period_s=600)
    world.crm.plan.extend([Deed.LOSE_AFTER])

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.load, [[lead(1, email="a@x.eu")], [lead(2, email="a@x.eu")]])
            await anyio.sleep(20)
            world.pipeline.stop()
        assert anyio.current_time() == pytest.approx(20, abs=0.1)

    virtual_time.run(main)
    assert world.crm.inserts == [[1]]


def test_abandoning_ends_the_load_in_the_same_moment() -> None:
    world = World(FakeCrm(latency_s=10))

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.load, THREE_BATCHES)
            await anyio.sleep(2)
            world.pipeline.stop()
            await anyio.sleep(1)
            world.pipeline.abandon()
        assert anyio.current_time() == pytest.approx(3, abs=0.1)

    virtual_time.run(main)


class SlowDisk(World):
    """A window takes a second to be durable, whoever is cancelled meanwhile."""

    async def _intend(self, window: Window) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(1)
            await super()._intend(window)


def test_a_load_that_is_abandoned_while_a_window_is_written_opens_no_further_one() -> None:
    world = SlowDisk(FakeCrm(latency_s=10), concurrency=1)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.load, THREE_BATCHES)
            await anyio.sleep(1.5)
            world.pipeline.abandon()

    virtual_time.run(main)
    assert world.windows_intended == 2


def test_stopping_while_the_reader_waits_for_a_silent_pipe_ends_at_once() -> None:
    world = World(FakeCrm())

    async def silent() -> AsyncIterator[Window]:
        async for window in world.windows([leads(1, 2)]):
            yield window
        await anyio.sleep_forever()

    async def main() -> None:
        async with anyio.create_task_group() as tasks:

            async def load() -> None:
                await world.pipeline.run([], silent(), deliver=world.delivery.deliver)

            tasks.start_soon(load)
            await anyio.sleep(100)
            world.pipeline.stop()
        assert anyio.current_time() == pytest.approx(100, abs=0.1)

    virtual_time.run(main)
    require_all_inserted(world, 2)


def test_a_silent_pipe_uses_up_no_patience() -> None:
    world = World(FakeCrm(), patience_s=300)
    world.crm.plan.extend([Deed.ANSWER, Deed.LOSE_BEFORE])

    async def trickle() -> AsyncIterator[Window]:
        async for window in world.windows([[lead(1)], [lead(2)], []]):
            yield window
        await anyio.sleep(10_000)
        world.recorder.intend([3])
        async for window in world.windows([[lead(3)]]):
            yield window

    async def main() -> None:
        await world.pipeline.run([], trickle(), deliver=world.delivery.deliver)

    virtual_time.run(main)
    assert world.pipeline.error is None
    assert world.recorder.outcomes() == {1: "inserted", 3: "inserted"}


def test_an_error_of_the_reader_stops_the_load_after_the_answers() -> None:
    world = World(FakeCrm(latency_s=10))

    async def broken() -> AsyncIterator[Window]:
        async for window in world.windows([leads(1, 2)]):
            yield window
        await anyio.sleep(1)
        raise UsageError("the input is broken")

    async def main() -> None:
        await world.pipeline.run([], broken(), deliver=world.delivery.deliver)

    virtual_time.run(main)
    assert isinstance(world.pipeline.error, UsageError)
    assert world.recorder.outcomes() == {1: "inserted", 2: "inserted"}


def test_a_recorder_that_fails_stops_the_load_and_no_further_call_begins() -> None:
    world = World(FakeCrm(), concurrency=2)

    def fail(*_: object, **__: object) -> None:
        raise LoaderError("the disk is full")

    world.recorder.sent = fail  # type: ignore[method-assign]
    run(world, THREE_BATCHES)
    assert isinstance(world.pipeline.error, LoaderError)
    assert world.crm.inserts == []


# --- how long the loop waits, and what it does when it cannot go on ---


@pytest.mark.parametrize(
    ("trouble", "rung", "rests"),
    [
        ([Deed.TIMEOUT_408] * 3, Rung.SEND_AGAIN, [0.1875, 0.375, 0.75]),
        ([Deed.LOSE_BEFORE], Rung.SEND_AGAIN, [30.0]),
        ([Deed.LOSE_BEFORE], Rung.ASK, [30.0, 30.0]),
        ([], Rung.SEND_AGAIN, []),
    ],
    ids=["refused for now", "in doubt", "in doubt, asking twice", "no trouble"],
)
def test_the_loop_rests_through_the_gate_for_as_long_as_it_should(
    trouble: list[Deed], rung: Rung, rests: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(FakeCrm(unique="Email"), key="Email", rung=rung)
    world.crm.plan.extend(trouble)
    assert rests_of(world, leads(1, 2), monkeypatch) == pytest.approx(rests)
    require_all_inserted(world, 2)


def test_each_try_at_a_locked_record_waits_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(FakeCrm())
    world.crm.locked[1] = 3
    assert rests_of(world, leads(1, 2), monkeypatch) == pytest.approx([0.1875, 0.375, 0.75])
    require_all_inserted(world, 2)


def rests_of(world: World, records: Sequence[Record], patch: pytest.MonkeyPatch) -> list[float]:
    """The rests of the loop itself; the pauses of the gate are not among them."""
    rests: list[float] = []

    async def rest(_gate: Gate, seconds: float) -> None:
        rests.append(seconds)
        await anyio.lowlevel.checkpoint()

    patch.setattr(Gate, "_pause", lambda *_, **__: None)
    patch.setattr(Gate, "rest", rest)
    run(world, [records])
    return rests


def test_a_batch_that_is_refused_for_now_again_and_again_while_others_pass_ends_the_load() -> None:
    world = World(FakeCrm(), patience_s=1e6)
    world.crm.deed_of = lambda records: Deed.TIMEOUT_408 if records[0]["Line"] == 1 else None
    run(world, THREE_BATCHES)
    assert isinstance(world.pipeline.error, NotNowError)
    assert f"refused {NOT_APPLIED_TRIES_MAX} times" in world.pipeline.error.what
    assert "408" in world.pipeline.error.why
    assert world.crm.inserts.count([1, 2]) == NOT_APPLIED_TRIES_MAX
    assert world.recorder.outcomes() == dict.fromkeys(range(3, 7), "inserted")
    assert world.recorder.may_be_applied & {1, 2} == set()


class WithoutToken(FakeCrm):
    """The token service refuses the credentials, from a certain insert on."""

    def __init__(self, *, after: int, unique: str = "") -> None:
        super().__init__(unique=unique)
        self.left = after

    async def send(self, request: HttpRequest) -> Reply:
        self.left -= 1
        if self.left < 0:
            raise CredentialsError("the credentials are refused")
        return await super().send(request)


def test_without_an_access_token_nothing_has_left_and_the_load_stops() -> None:
    world = World(WithoutToken(after=0))
    run(world, [leads(1, 2)])
    assert isinstance(world.pipeline.error, CredentialsError)
    assert world.recorder.said == [("sent", 1, (1, 2)), ("not applied", 1, (1, 2))]
    assert world.recorder.may_be_applied == set()


class TokenInVain(FakeCrm):
    """There is a token for so many looks; then it has run out, and none comes before patience ends."""

    def __init__(self, *, looks: int, patience_s: float = 6 * 3600) -> None:
        super().__init__()
        self.looks = looks
        self.patience_s = patience_s

    async def ready(self) -> None:
        self.looks -= 1
        if self.looks < 0:
            await anyio.sleep(self.patience_s)
            raise NotNowError("there is no access token")


@pytest.mark.parametrize(("looks", "places"), [(0, 0), (1, 1)], ids=["before a place", "in its place"])
def test_a_load_that_is_ended_while_it_waits_for_a_token_has_sent_nothing(looks: int, places: int) -> None:
    world = World(TokenInVain(looks=looks))

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.load, [leads(1, 25)])
            await anyio.sleep(20)
            assert world.gate.in_flight == places
            world.pipeline.stop(drain_s=25)
        assert anyio.current_time() == pytest.approx(45, abs=0.1)

    virtual_time.run(main)
    assert world.recorder.said == []
    assert world.recorder.may_be_applied == set()
    assert world.budget.spent == 0


@pytest.mark.parametrize("looks", [0, 1], ids=["before a place", "in its place"])
def test_a_token_that_does_not_come_within_patience_stops_the_load_and_nothing_counts_as_sent(
    looks: int,
) -> None:
    world = World(TokenInVain(looks=looks, patience_s=60))
    run(world, [leads(1, 25)])
    assert isinstance(world.pipeline.error, NotNowError)
    assert world.recorder.said == []
    assert world.budget.spent == 0


@pytest.mark.parametrize(
    ("deed", "spent"),
    [
        (Deed.ANSWER, 3),
        (Deed.LOSE_AFTER, 6),
        (Deed.NOT_HANDED_OVER, 6),
        (Deed.UNREACHABLE, 3),
        (Deed.PUSH_BACK, 3),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_a_call_costs_a_credit_for_each_ten_records_unless_it_is_proved_uncharged(
    deed: Deed, spent: int
) -> None:
    world = World(FakeCrm(unique="Email"), stamp=None, key="Email")
    world.crm.plan.extend([deed])
    run(world, [leads(1, 25)])
    inserts = [cost for cost in world.budget.taken if cost > 1]
    assert set(inserts) == {3}
    assert sum(inserts) - sum(cost for cost in world.budget.given_back if cost > 1) == spent
    assert world.recorder.credits == spent


def test_a_refused_token_and_one_that_is_not_there_cost_no_credits() -> None:
    world = World(FakeCrm())
    world.crm.revoked = {1}
    run(world, [leads(1, 25)])
    assert world.budget.spent == world.recorder.credits == 3
    without = World(WithoutToken(after=0))
    run(without, [leads(1, 25)])
    assert without.budget.spent == without.recorder.credits == 0


def test_what_inserts_and_questions_tell_of_the_credits_reaches_the_budget() -> None:
    world = World(FakeCrm(), key="Email", rung=Rung.ASK)
    world.crm.plan.extend([Deed.LOSE_AFTER])
    world.crm.credits_left = 77
    run(world, [leads(1, 2), leads(3, 2)])
    assert world.budget.corrected == [77, 77]


def test_a_record_in_doubt_stays_in_doubt_where_its_second_sending_finds_no_access_token() -> None:
    world = World(WithoutToken(after=1, unique="Email"), key="Email")
    world.crm.plan.extend([Deed.LOSE_AFTER])
    run(world, [leads(1, 2)])
    assert isinstance(world.pipeline.error, CredentialsError)
    assert world.recorder.may_be_applied == {1, 2}
    assert world.recorder.final == {}


class TokenLateForQuestions(FakeCrm):
    """The insert has its token; from then on there is none for a while, as often as `takes_s` says."""

    def __init__(self, *takes_s: float, in_vain: bool = False) -> None:
        super().__init__()
        self.takes_s = list(takes_s)
        self.in_vain = in_vain
        self.waited_in: list[int] = []
        self.world: World | None = None

    async def ready(self) -> None:
        if not self.inserts or not self.takes_s:
            return
        takes_s = self.takes_s.pop(0)
        if takes_s:
            assert self.world is not None
            self.waited_in.append(self.world.gate.in_flight)
            await anyio.sleep(takes_s)
            if self.in_vain:
                raise NotNowError("there is no access token")


def asking_late(crm: TokenLateForQuestions) -> World:
    """Its first insert gets no answer, so that the CRM is asked."""
    crm.world = World(crm, key="Email", rung=Rung.ASK)
    crm.plan.extend([Deed.LOSE_AFTER])
    return crm.world


def test_a_question_waits_for_its_access_token_without_a_place() -> None:
    world = asking_late(crm := TokenLateForQuestions(300.0))
    run(world, [leads(1, 2)])
    require_all_inserted(world, 2)
    assert crm.waited_in == [0]
    assert crm.inserts == [[1, 2]]


def test_a_question_whose_token_runs_out_in_its_place_costs_nothing_and_leaves_the_doubt() -> None:
    world = asking_late(crm := TokenLateForQuestions(0.0, 300.0, in_vain=True))
    run(world, [leads(1, 2)])
    assert isinstance(world.pipeline.error, NotNowError)
    assert crm.waited_in == [1]
    assert world.recorder.may_be_applied == {1, 2}
    assert world.budget.taken == [1, 1]
    assert world.budget.given_back == [1]


def test_a_question_that_finds_the_token_expired_costs_one_refresh_and_is_asked_again() -> None:
    world = World(FakeCrm(), key="Email", rung=Rung.ASK)
    world.crm.plan.extend([Deed.LOSE_AFTER])

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.load, [leads(1, 2)])
            await anyio.sleep(10)
            world.crm.revoked = {1}

    virtual_time.run(main)
    require_all_inserted(world, 2)
    assert world.crm.renewed == [1]
    assert len(world.crm.questions) == 2
    assert world.crm.inserts == [[1, 2]]


class SeveralErrors(FakeCrm):
    """After a lost insert, it refuses the record for two reasons, and may not show the one that it names."""

    def __init__(self) -> None:
        super().__init__(unique="Email")
        self.shows = True

    def _apply(self, record: Record) -> dict[str, Any]:
        if not self.inserts or len(self.inserts) == 1:
            return super()._apply(record)
        named = next(iter(self.rows))
        errors = [
            {"code": "INVALID_DATA", "details": {"api_name": "Phone"}},
            {"code": "DUPLICATE_DATA", "details": {"api_name": "Mobile", "duplicate_record": {"id": named}}},
        ]
        return item_error("MULTIPLE_OR_MULTI_ERRORS", {"errors": errors})

    async def _question(self, request: HttpRequest, token: int) -> Reply:
        if request.method == "GET" and not self.shows:
            return bare(403, "NO_PERMISSION")
        return await super()._question(request, token)


@pytest.mark.parametrize("shows", [True, False])
def test_a_refusal_after_doubt_is_final_only_if_every_record_that_it_names_was_seen(shows: bool) -> None:
    crm = SeveralErrors()
    crm.shows = shows
    world = World(crm, key="Email")

    async def main() -> None:
        crm.put(lead(900), by=THEM)
        crm.plan.extend([Deed.LOSE_BEFORE])
        await world.load([leads(1, 1)])

    virtual_time.run(main)
    assert world.recorder.outcomes() == ({1: "rejected"} if shows else {})
    assert sorted(world.recorder.held) == ([] if shows else [1])


# --- any schedule ---

SCHEDULES = 300
HARMLESS = [deed for deed in Deed if deed not in (Deed.REDIRECT,)]


class Schedule:
    """A small load with faults that end, drawn from a seed."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.unique = self.draw.random() < 0.7
        self.crm = FakeCrm(unique="Email" if self.unique else "", latency_s=self.draw.choice([0.1, 1, 5]))
        self.world = World(
            self.crm,
            key="Email" if self.unique else "",
            concurrency=self.draw.randint(1, 4),
            patience_s=100_000,
        )
        self.keyless: set[int] = set()
        self.batches = self._batches()
        lines = [record["Line"] for batch in self.batches for record in batch]
        self.crm.plan.extend(self.draw.choices(HARMLESS, k=self.draw.randint(0, 7)))
        reads = [Deed.LOSE_BEFORE, Deed.ERROR_BEFORE, Deed.PUSH_BACK, Deed.HTML]
        self.crm.question_plan.extend(self.draw.choices(reads, k=self.draw.randint(0, 2)))
        self.crm.locked.update({line: self.draw.randint(1, 3) for line in lines if self.draw.random() < 0.05})
        self.crm.refused = {line: "INVALID_DATA" for line in lines if self.draw.random() < 0.05}
        self.stops_at = self.draw.uniform(0, 60) if self.draw.random() < 0.15 else None
        self.theirs = [record for batch in self.batches for record in batch if self.draw.random() < 0.05]

    def _batches(self) -> list[list[Record]]:
        batches: list[list[Record]] = []
        line = 0
        for _ in range(self.draw.randint(1, 6)):
            batch: list[Record] = []
            for _ in range(self.draw.randint(1, 6)):
                line += 1
                email = self.draw.choice(["", "", "", "", "shared@x.eu", "Shared@X.eu ", None])
                batch.append(lead(line, email=email))
                if email is None:
                    self.keyless.add(line)
            batches.append(batch)
        return batches

    async def run(self) -> None:
        for record in self.theirs:
            other = {**record, "Line": 1000 + record["Line"]}
            self.crm.put(other, by=self.draw.choice([US, THEM]), age_s=50)
        async with anyio.create_task_group() as tasks:
            if self.stops_at is not None:
                tasks.start_soon(self._stop)
            await self.world.load(self.batches)
            tasks.cancel_scope.cancel()

    async def _stop(self) -> None:
        assert self.stops_at is not None
        await anyio.sleep(self.stops_at)
        self.world.pipeline.stop()

    def judge(self) -> None:
        """By the CRM's rows, the recorder's list and the input alone."""
        require_sound(self.world)
        recorder, lines = self.world.recorder, {one["Line"] for batch in self.batches for one in batch}
        for batch in self.batches:
            for record in batch:
                for row in self.crm.rows_of(record["Line"]):
                    assert row.values == record, "what is stored is what was sent"
        assert not set(recorder.final) & set(recorder.held)
        if self.world.pipeline.stopping:
            assert self.stops_at is not None, self.world.pipeline.error
            for line in lines - set(recorder.final) - recorder.may_be_applied:
                assert self.crm.rows_of(line) == [], f"line {line} counts as never sent and is in the CRM"
            return
        assert set(recorder.final) | set(recorder.held) == lines, "a record was forgotten"
        if self.unique:
            assert set(recorder.held) <= self.keyless, "held although its key could tell"


def test_any_schedule_of_faults_that_end_gives_each_record_one_end_and_one_row_at_most() -> None:
    ended: dict[str, int] = {}
    for seed in range(SCHEDULES):
        schedule = Schedule(seed)
        try:
            virtual_time.run(schedule.run)
            schedule.judge()
        except BaseException as error:
            raise AssertionError(f"seed {seed}") from error
        for outcome in schedule.world.recorder.final.values():
            ended[outcome.outcome] = ended.get(outcome.outcome, 0) + 1
            ended["recovered"] = ended.get("recovered", 0) + outcome.recovered
        ended["held"] = ended.get("held", 0) + len(schedule.world.recorder.held)
    assert all(
        ended.get(kind, 0) > 20 for kind in ("inserted", "duplicate", "rejected", "recovered", "held")
    ), json.dumps(ended)
