"""Between a unique key and a person: asking by a key that is not unique, and the load's own stamp."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

import anyio
import pytest

from loader.delivery.additions import Additions
from loader.delivery.doubts import Rung
from loader.delivery.stamp import LENGTH_MIN, Stamp
from loader.errors import NotNowError
from loader.events import QuietPeriodBegan, QuietPeriodEnded
from loader.outcomes import Outcome
from loader.records import Attempt
from tests import virtual_time
from tests.scenario.fake_crm import (
    THEM,
    US,
    Deed,
    FakeCrm,
    Record,
    World,
    attempt_of,
    lead,
    leads,
)

QUIET_S = 30.0


def asking(crm: FakeCrm | None = None, *, user_id: str = US) -> World:
    """A load whose key the CRM does not keep unique."""
    return World(crm or FakeCrm(), key="Email", rung=Rung.ASK, quiet_period_s=QUIET_S, user_id=user_id)


def run(world: World, batches: Sequence[Sequence[Record]], *, first: Sequence[Attempt] = ()) -> float:
    async def main() -> float:
        await world.load(batches, first=first)
        return anyio.current_time()

    return virtual_time.run(main)


def require_once(world: World, lines: int) -> None:
    """Each line is in the CRM once, under the id that was recorded for it."""
    assert world.pipeline.error is None
    assert world.recorder.held == {}
    assert world.recorder.outcomes() == dict.fromkeys(range(1, lines + 1), "inserted")
    for line, outcome in world.recorder.final.items():
        assert [row.id for row in world.crm.rows_of(line)] == [outcome.id]


# --- asking ---


@pytest.mark.parametrize("deed", [Deed.LOSE_AFTER, Deed.ERROR_AFTER, Deed.CUT_ANSWER, Deed.HTML, Deed.SHORT])
def test_records_that_were_applied_are_found_and_not_sent_again(deed: Deed) -> None:
    world = asking()
    world.crm.plan.extend([deed])
    assert run(world, [leads(1, 3)]) == pytest.approx(QUIET_S + 2, abs=0.5)
    require_once(world, 3)
    assert all(one.recovered for one in world.recorder.final.values())
    assert world.crm.inserts == [[1, 2, 3]]
    assert world.crm.questions == ["/crm/v8/coql"]


def test_absent_in_two_queries_a_quiet_period_apart_is_sent_again_from_a_new_window() -> None:
    world = asking()
    world.crm.plan.extend([Deed.LOSE_BEFORE])
    assert run(world, [leads(1, 3)]) > 2 * QUIET_S
    require_once(world, 3)
    assert not any(one.recovered for one in world.recorder.final.values())
    assert world.crm.inserts == [[1, 2, 3], [1, 2, 3]]
    assert len(world.crm.questions) == 2
    deeds = [what for what, *_ in world.recorder.said]
    assert deeds == ["sent", "doubt", "resolved", "intended again", "sent", "settled"]


def test_whoever_watches_hears_what_a_quiet_period_waits_for() -> None:
    world = asking()
    world.crm.plan.extend([Deed.LOSE_BEFORE, Deed.LOSE_BEFORE])
    run(world, [leads(1, 3), leads(4, 3)])
    began = [event for event in world.events if isinstance(event, QuietPeriodBegan)]
    ended = [event.rest for event in world.events if isinstance(event, QuietPeriodEnded)]
    assert [(one.records, one.seconds, one.then) for one in began] == [(3, QUIET_S, "asked for")] * 4
    assert sorted(ended) == [one.rest for one in began] == [1, 2, 3, 4]
    assert [one.alone for one in began[:2]] == [True, False]
    unique = World(FakeCrm(unique="Email"), key="Email", quiet_period_s=QUIET_S)
    unique.crm.plan.extend([Deed.LOSE_BEFORE])
    run(unique, [leads(1, 3)])
    assert [event.then for event in unique.events if isinstance(event, QuietPeriodBegan)] == ["sent again"]


def test_what_the_server_applies_late_is_found_by_the_second_query() -> None:
    world = asking()
    world.crm.plan.extend([Deed.SILENCE_AND_LATE])  # 20 s after the time-out: before the first query
    run(world, [leads(1, 2)])
    require_once(world, 2)
    assert world.crm.inserts == [[1, 2]]
    later = World(FakeCrm(), key="Email", rung=Rung.ASK, quiet_period_s=12.0)
    later.crm.plan.extend([Deed.SILENCE_AND_LATE])  # between the first query, at 12 s, and the second, at 24
    run(later, [leads(1, 2)])
    require_once(later, 2)
    assert later.crm.inserts == [[1, 2]]


def test_of_a_batch_applied_in_part_only_the_rest_is_sent_again() -> None:
    world = asking()
    world.crm.plan.extend([Deed.HALF])
    run(world, [leads(1, 4)])
    require_once(world, 4)
    assert world.crm.inserts == [[1, 2, 3, 4], [3, 4]]
    assert [one.recovered for _, one in sorted(world.recorder.final.items())] == [True, True, False, False]


def test_a_record_of_somebody_elses_with_the_same_key_is_not_taken_for_ours() -> None:
    crm = FakeCrm()
    older = {"Email": "lead1@example.com"}
    crm.put(older, by=US, age_s=1000)
    crm.put(older, by=THEM, age_s=-0.5)
    world = asking(crm)
    world.crm.plan.extend([Deed.LOSE_BEFORE])
    run(world, [leads(1, 1)])
    require_once(world, 1)
    assert len(crm.inserts) == 2


def test_of_two_records_that_may_be_ours_none_is_guessed() -> None:
    crm = FakeCrm()
    world = asking(crm)
    crm.put({"Email": "lead1@example.com"}, by=US, age_s=-0.5)  # another program with the same user
    crm.plan.extend([Deed.LOSE_AFTER])
    run(world, [leads(1, 2)])
    assert world.recorder.outcomes() == {2: "inserted"}
    assert list(world.recorder.held) == [1]
    assert crm.inserts == [[1, 2]]


def test_a_record_found_by_a_load_that_does_not_know_its_user_is_held_and_an_absent_one_sent() -> None:
    world = asking(user_id="")
    world.crm.plan.extend([Deed.HALF])
    run(world, [leads(1, 2)])
    assert list(world.recorder.held) == [1]
    assert world.recorder.outcomes() == {2: "inserted"}
    assert world.crm.inserts == [[1, 2], [2]]


def test_a_key_under_which_another_line_was_inserted_before_is_asked_about_rightly() -> None:
    world = asking()
    twins = [[lead(1, email="twin@x.eu")], [lead(2, email="Twin@x.eu ")]]
    world.crm.deed_of = lambda records: (
        Deed.LOSE_BEFORE if records[0]["Line"] == 2 and len(world.crm.inserts) == 2 else None
    )
    run(world, twins)
    require_once(world, 2)
    assert world.crm.inserts == [[1], [2], [2]]


def test_more_records_under_the_keys_than_one_answer_holds_are_asked_for_in_parts() -> None:
    crm = FakeCrm()
    crm.rows_per_answer = 5
    for line in range(1, 9):
        crm.put({"Email": f"lead{line}@example.com"}, by=THEM)
    world = asking(crm)
    crm.plan.extend([Deed.HALF])
    run(world, [leads(1, 8)])
    require_once(world, 8)
    assert crm.inserts == [list(range(1, 9)), [5, 6, 7, 8]]
    assert len(crm.questions) > 3


def test_a_key_with_more_records_than_any_answer_holds_is_held_and_no_other() -> None:
    crm = FakeCrm()
    crm.rows_per_answer = 3
    for _ in range(4):
        crm.put({"Email": "lead2@example.com"}, by=THEM)
    world = asking(crm)
    crm.plan.extend([Deed.LOSE_BEFORE])
    run(world, [leads(1, 3)])
    assert list(world.recorder.held) == [2]
    assert world.recorder.outcomes() == {1: "inserted", 3: "inserted"}


def test_a_question_that_is_refused_leaves_its_records_held() -> None:
    world = asking()
    world.crm.refuse_questions = (400, "INVALID_QUERY")
    world.crm.plan.extend([Deed.LOSE_AFTER])
    run(world, [leads(1, 2), leads(3, 2)])
    assert sorted(world.recorder.held) == [1, 2]
    assert world.recorder.outcomes() == {3: "inserted", 4: "inserted"}


@pytest.mark.parametrize("shown", ["LÉAD1@example.com", None, 1.5])
def test_a_record_that_the_crm_finds_under_a_key_which_we_cannot_see_on_it_is_not_called_absent(
    shown: object,
) -> None:
    """It compares in its own ways, or hides the column: sent again, the record would be there twice."""
    world = asking()
    world.crm.plan.extend([Deed.LOSE_AFTER])
    world.crm.shown_otherwise = {"Email": shown}
    run(world, [leads(1, 3)])
    assert sorted(world.recorder.held) == [1, 2, 3]
    assert world.crm.inserts == [[1, 2, 3]]


def test_a_key_that_is_a_number_is_asked_for_as_a_number() -> None:
    """With quotes a field of numbers refuses the question; 7.0 comes back as 7 and is the same."""
    crm = FakeCrm()
    crm.put({"Email": 8}, by=THEM)
    world = asking(crm)
    crm.plan.extend([Deed.HALF])
    numbers: list[float] = [7.0, 8, 9.5, -3]
    run(world, [[lead(line, email=number) for line, number in enumerate(numbers, start=1)]])
    require_once(world, 4)
    assert crm.inserts == [[1, 2, 3, 4], [3, 4]]


def test_a_record_without_a_key_is_held_while_its_neighbours_are_asked_about() -> None:
    world = asking()
    world.crm.plan.extend([Deed.LOSE_AFTER])
    run(world, [[lead(1), lead(2, email=None), lead(3)]])
    assert list(world.recorder.held) == [2]
    assert world.recorder.outcomes() == {1: "inserted", 3: "inserted"}


def test_a_doubt_from_before_a_crash_is_asked_about_too() -> None:
    crm = FakeCrm()
    crm.put({**leads(1, 1)[0]}, by=US, age_s=-0.5)
    world = asking(crm)
    run(world, [], first=[attempt_of(leads(1, 2), in_doubt=True)])
    require_once(world, 2)
    assert crm.inserts == [[2]]


def test_a_stop_while_it_rests_leaves_the_records_in_doubt() -> None:
    world = asking()
    world.crm.plan.extend([Deed.LOSE_AFTER])

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.load, [leads(1, 2)])
            await anyio.sleep(5)
            world.pipeline.stop(NotNowError("enough", hint="later"))

    virtual_time.run(main)
    assert world.recorder.final == {}
    assert world.recorder.may_be_applied == {1, 2}


@pytest.mark.parametrize("rung", [Rung.ASK, Rung.SEND_AGAIN])
def test_a_key_once_held_decides_nothing_any_more(rung: Rung) -> None:
    """Line 1 is held. What the CRM holds under its key may be line 1, so line 3 can never claim it."""
    crm = FakeCrm(unique="Email" if rung is Rung.SEND_AGAIN else "")
    world = World(crm, key="Email", rung=rung, quiet_period_s=QUIET_S, concurrency=1)
    batches = [[lead(1, email="k@x.eu"), lead(2)], [lead(3, email="K@x.eu"), lead(4)]]
    crm.deed_of = lambda records: Deed.LOSE_AFTER if records[0]["Line"] == 3 else None

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            held = attempt_of(batches[0][:1])
            world.recorder.intend([1])
            world.recorder.may_be_applied.add(1)
            world.delivery._doubts.hold(held, [1], "nobody knows")
            tasks.start_soon(world.load, [batches[1]])

    virtual_time.run(main)
    assert sorted(world.recorder.held) == [1, 3]
    assert world.recorder.outcomes() == {4: "inserted"}


@pytest.mark.parametrize("seed", range(60))
def test_whatever_the_network_does_no_record_is_lost_or_doubled(seed: int) -> None:
    dice = random.Random(seed)
    crm = FakeCrm()
    world = asking(crm)
    deeds = [deed for deed in Deed if deed is not Deed.REDIRECT]
    crm.deed_of = lambda _records: dice.choice(deeds) if dice.random() < 0.4 else None
    crm.question_plan.extend(dice.choices([Deed.ANSWER, Deed.PUSH_BACK, Deed.ERROR_AFTER], [8, 1, 1], k=0))
    sizes = [dice.randint(1, 6) for _ in range(12)]
    batches = [leads(1 + sum(sizes[:place]), size) for place, size in enumerate(sizes)]
    run(world, batches)
    require_once(world, sum(sizes))


# --- the stamp ---


def stamped(crm: FakeCrm, *, load_id: str = "AAAA-BBBB", user_id: str = US) -> World:
    return World(crm, stamp=Stamp("Load_Key", load_id), quiet_period_s=QUIET_S, user_id=user_id)


def test_each_record_leaves_with_the_loads_own_key_and_comes_back_without() -> None:
    crm = FakeCrm(unique="Load_Key")
    world = stamped(crm)
    run(world, [leads(1, 2), leads(3, 1)])
    require_once(world, 3)
    assert {row.values["Line"]: row.values["Load_Key"] for row in crm.rows.values()} == {
        1: "AAAA-BBBB:1",
        2: "AAAA-BBBB:2",
        3: "AAAA-BBBB:3",
    }


@pytest.mark.parametrize("user_id", [US, ""])
@pytest.mark.parametrize("deed", [Deed.LOSE_BEFORE, Deed.LOSE_AFTER, Deed.HALF, Deed.SILENCE_AND_LATE])
def test_a_stamp_settles_each_doubt_whoever_the_user_is(deed: Deed, user_id: str) -> None:
    crm = FakeCrm(unique="Load_Key")
    world = stamped(crm, user_id=user_id)
    crm.plan.extend([deed])
    run(world, [[lead(1, email=None), lead(2, email="same@x.eu"), lead(3, email="same@x.eu")]])
    require_once(world, 3)


def test_two_loads_of_the_same_records_are_told_apart_by_their_stamps() -> None:
    crm = FakeCrm(unique="Load_Key")
    other = stamped(crm, load_id="CCCC-DDDD")
    mine = stamped(crm)
    crm.before_insert = lambda _lines: None  # one CRM tells one recorder
    crm.plan.extend([Deed.LOSE_AFTER, Deed.LOSE_BEFORE])

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(other.load, [leads(1, 2)])
            tasks.start_soon(mine.load, [leads(1, 2)])

    virtual_time.run(main)
    for world, load_id in ((mine, "AAAA-BBBB"), (other, "CCCC-DDDD")):
        ids = {one.id for one in world.recorder.final.values()}
        assert world.recorder.outcomes() == {1: "inserted", 2: "inserted"}
        assert {crm.rows[one].values["Load_Key"] for one in ids} == {f"{load_id}:1", f"{load_id}:2"}
    assert len(crm.rows) == 4


def test_a_duplicate_in_another_field_is_not_ours() -> None:
    crm = FakeCrm(unique="Email")
    there = crm.put({"Email": "lead1@example.com"}, by=US, age_s=-0.5)  # new, and by the same user
    world = stamped(crm)
    crm.plan.extend([Deed.LOSE_BEFORE])
    run(world, [leads(1, 1)])
    assert world.recorder.final[1].outcome is Outcome.DUPLICATE
    assert world.recorder.final[1].id == there


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (b'{"a":1}', {"a": 1, "F": "ID:7"}),
        (b"{}", {"F": "ID:7"}),
        (b" { } \r", {"F": "ID:7"}),
        (b'{"a":{}}', {"a": {}, "F": "ID:7"}),
        (b'{"a":"{"}', {"a": "{", "F": "ID:7"}),
        (b'{"a":"}"}  ', {"a": "}", "F": "ID:7"}),
        (b'{"a":[{}] }', {"a": [{}], "F": "ID:7"}),
    ],
)
def test_the_stamp_is_one_more_member_and_the_other_bytes_are_as_they_were(
    record: bytes, expected: dict[str, object]
) -> None:
    (out,) = Additions(stamp=Stamp("F", "ID")).on(Attempt(1, 1, [7], [record])).records
    assert json.loads(out) == expected
    assert out.startswith(record[: record.rindex(b"}")])


def test_a_record_that_has_the_field_already_is_seen() -> None:
    stamp = Stamp("F", "ID")
    assert stamp.taken(b'{"a":1,"F":null}')
    assert stamp.taken(b'{"F":"x"}')
    assert not stamp.taken(b'{"f":"x","a":{"F":1}}')
    assert not stamp.taken(b"no json")


def test_the_longest_stamp_fits_into_the_length_that_is_asked_for() -> None:
    assert len(Stamp("F", "AAAA-BBBB").value(10**10 - 1)) <= LENGTH_MIN
