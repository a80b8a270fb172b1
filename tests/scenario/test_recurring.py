"""Records of which the CRM makes several: each travels alone, ends once, and is never taken for another's."""

from __future__ import annotations

import random
from collections.abc import Sequence

import anyio
import pytest

from loader.delivery.additions import Additions
from loader.delivery.doubts import Rung
from loader.delivery.stamp import Stamp
from loader.outcomes import Outcome
from loader.records import Attempt
from loader.schema.activities import is_recurring
from tests import virtual_time
from tests.scenario.fake_crm import Deed, FakeCrm, Record, World, attempt_of, lead, leads

QUIET_S = 30.0
RULE = {"RRULE": "FREQ=DAILY;INTERVAL=1;DTSTART=2023-05-20;UNTIL=2023-05-28"}
IN_DOUBT = [Deed.LOSE_AFTER, Deed.ERROR_AFTER, Deed.CUT_ANSWER, Deed.HTML]


def recurring(line: int, *, email: str | None = "") -> Record:
    return {**lead(line, email=email), "Recurring_Activity": RULE}


def tasks(crm: FakeCrm, *, key: str = "", rung: Rung | None = None, stamp: Stamp | None = None) -> World:
    additions = Additions(stamp=stamp, layout_id="5") if stamp else None
    return World(
        crm,
        key=key,
        rung=rung,
        stamp=stamp,
        additions=additions,
        module="Tasks",
        alone=is_recurring,
        quiet_period_s=QUIET_S,
        concurrency=1,
    )


def run(world: World, batches: Sequence[Sequence[Record]], *, first: Sequence[Attempt] = ()) -> None:
    async def main() -> None:
        await world.load(batches, first=first)
        assert anyio.current_time() < 100_000

    virtual_time.run(main)


def first_id(world: World, line: int) -> str:
    return min((row.id for row in world.crm.rows_of(line)), key=int)


def test_a_recurring_record_is_one_outcome_with_the_id_of_the_first_that_the_crm_made() -> None:
    crm = FakeCrm()
    crm.series_length = 7
    world = tasks(crm)
    run(world, [leads(1, 2), [recurring(3)], leads(4, 1)])
    assert world.recorder.outcomes() == dict.fromkeys(range(1, 5), "inserted")
    assert len(crm.rows_of(3)) == 7
    assert world.recorder.final[3].id == first_id(world, 3)
    assert crm.inserts == [[1, 2], [3], [4]]


@pytest.mark.parametrize("in_doubt", [False, True])
def test_a_batch_that_an_older_version_cut_is_sent_in_parts(in_doubt: bool) -> None:
    crm = FakeCrm(unique="Email")
    world = tasks(crm, key="Email")
    mixed = [lead(1), recurring(2), lead(3), recurring(4)]
    run(world, [], first=[attempt_of(mixed, in_doubt=in_doubt)])
    assert sorted(crm.inserts) == [[1, 3], [2], [4]]
    assert world.recorder.outcomes() == dict.fromkeys(range(1, 5), "inserted")
    assert [len(crm.rows_of(line)) for line in range(1, 5)] == [1, 3, 1, 3]


def test_no_half_of_a_refused_batch_joins_a_recurring_record_to_another() -> None:
    crm = FakeCrm()
    crm.poison = {1}
    world = tasks(crm)
    run(world, [], first=[attempt_of([lead(1), recurring(2), lead(3), lead(4), recurring(5)])])
    assert all(lines in ([2], [5]) for lines in crm.inserts if {2, 5} & set(lines))
    assert world.recorder.outcomes() == {1: "rejected", **dict.fromkeys(range(2, 6), "inserted")}


def test_in_a_module_that_has_no_such_records_more_answers_than_records_are_believed_by_nobody() -> None:
    world = World(FakeCrm())
    run(world, [[recurring(1)], leads(2, 1)])
    assert sorted(world.recorder.held) == [1]
    assert world.recorder.outcomes() == {2: "inserted"}


@pytest.mark.parametrize("deed", IN_DOUBT, ids=lambda deed: deed.name)
def test_without_a_key_a_lost_series_is_held(deed: Deed) -> None:
    world = tasks(FakeCrm())
    world.crm.plan.extend([deed])
    run(world, [[recurring(1)]])
    assert list(world.recorder.held) == [1]
    assert world.crm.inserts == [[1]]


@pytest.mark.parametrize("deed", IN_DOUBT, ids=lambda deed: deed.name)
def test_a_lost_series_that_is_found_by_a_key_which_is_not_unique_is_held(deed: Deed) -> None:
    """Three records bear the key: the series, or one of it beside another program's. Nothing tells."""
    world = tasks(FakeCrm(), key="Email", rung=Rung.ASK)
    world.crm.plan.extend([deed])
    run(world, [[recurring(1)], leads(2, 1)])
    assert list(world.recorder.held) == [1]
    assert world.recorder.outcomes() == {2: "inserted"}
    assert world.crm.inserts == [[1], [2]]


def test_a_lost_series_that_the_crm_does_not_hold_is_sent_again() -> None:
    world = tasks(FakeCrm(), key="Email", rung=Rung.ASK)
    world.crm.plan.extend([Deed.LOSE_BEFORE])
    run(world, [[recurring(1)]])
    assert world.recorder.outcomes() == {1: "inserted"}
    assert len(world.crm.rows_of(1)) == 3


def test_a_lost_series_of_one_is_found_like_any_record() -> None:
    crm = FakeCrm()
    crm.series_length = 1
    world = tasks(crm, key="Email", rung=Rung.ASK)
    crm.plan.extend([Deed.LOSE_AFTER])
    run(world, [[recurring(1)]])
    assert world.recorder.final[1].recovered
    assert len(crm.rows_of(1)) == 1


@pytest.mark.parametrize("deed", [*IN_DOUBT, Deed.LOSE_BEFORE], ids=lambda deed: deed.name)
def test_with_a_unique_key_a_lost_series_is_there_once(deed: Deed) -> None:
    crm = FakeCrm(unique="Email")
    world = tasks(crm, key="Email")
    crm.plan.extend([deed])
    run(world, [[recurring(1)], leads(2, 1)])
    assert world.recorder.outcomes() == {1: "inserted", 2: "inserted"}
    assert len(crm.rows_of(1)) == 3
    assert world.recorder.final[1].id in {row.id for row in crm.rows_of(1)}
    assert world.recorder.final[1].recovered is (deed is not Deed.LOSE_BEFORE)


def test_with_a_stamp_a_lost_series_is_ours_whoever_the_user_is() -> None:
    crm = FakeCrm(unique="Load_Key")
    world = tasks(crm, stamp=Stamp("Load_Key", "AAAA-BBBB"))
    crm.plan.extend([Deed.LOSE_AFTER])
    run(world, [[recurring(1)]])
    assert world.recorder.outcomes() == {1: "inserted"}
    (row, *others) = crm.rows_of(1)
    assert len(others) == 2
    assert row.values["Layout"] == {"id": "5"}


@pytest.mark.parametrize("rung", [Rung.ASK, Rung.SEND_AGAIN])
def test_a_later_one_of_a_series_is_never_taken_for_another_lines_record(rung: Rung) -> None:
    """The log knows the first id of line 1's series; its second record bears the key of line 2."""
    crm = FakeCrm(unique="Email" if rung is Rung.SEND_AGAIN else "")
    crm.series_length = 2
    world = tasks(crm, key="Email", rung=rung)
    crm.plan.extend([Deed.ANSWER, Deed.LOSE_BEFORE])
    run(world, [[recurring(1, email="k@x.eu")], [lead(2, email="K@x.eu"), lead(3)]])
    assert world.recorder.outcomes() == {1: "inserted", 3: "inserted"}
    assert list(world.recorder.held) == [2]
    assert crm.rows_of(2) == []


def test_in_another_module_the_same_evidence_settles_the_doubt() -> None:
    """No record is several there: of two that bear the key, the one that no line has is the line's own."""
    crm = FakeCrm()
    world = World(crm, key="Email", rung=Rung.ASK, quiet_period_s=QUIET_S, concurrency=1)
    crm.plan.extend([Deed.ANSWER, Deed.LOSE_AFTER])
    run(world, [[lead(1, email="k@x.eu")], [lead(2, email="K@x.eu")]])
    assert world.recorder.final[2].outcome is Outcome.INSERTED
    assert world.recorder.held == {}


@pytest.mark.parametrize("rung", [Rung.ASK, Rung.SEND_AGAIN])
@pytest.mark.parametrize("seed", range(40))
def test_whatever_the_network_does_no_series_is_doubled(seed: int, rung: Rung) -> None:
    dice = random.Random(seed)
    crm = FakeCrm(unique="Email" if rung is Rung.SEND_AGAIN else "")
    world = tasks(crm, key="Email", rung=rung)
    deeds = [deed for deed in Deed if deed is not Deed.REDIRECT]
    crm.deed_of = lambda _records: dice.choice(deeds) if dice.random() < 0.4 else None
    series = {line for line in range(1, 31) if dice.random() < 0.4}
    batches = [[recurring(line)] if line in series else [lead(line)] for line in range(1, 21)]
    older = [[recurring(line) if line in series else lead(line) for line in range(21, 31)]]
    run(world, batches + older)
    assert world.pipeline.error is None
    for line in range(1, 31):
        rows = crm.rows_of(line)
        assert len(rows) in (0, crm.series_length if line in series else 1)
        if line in world.recorder.held:
            assert line in series
            assert rung is Rung.ASK, "a unique key leaves nothing to a person"
        else:
            assert world.recorder.final[line].outcome is Outcome.INSERTED
            assert world.recorder.final[line].id in {row.id for row in rows}
