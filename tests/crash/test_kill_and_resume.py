"""`kill -9` at random moments: the log, not the key, is what prevents doubles.

docs/design/crash-testing.md says what is checked, and how to run more of it:

    CRASH_KILLS=2000 CRASH_SEED=7 pytest -m soak tests/crash/test_kill_and_resume.py
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.crash.harness import BATCH, CONCURRENCY, Crm, Desk, Killer, sandbox, write_leads
from tests.crash.oracle import Watch

KILLS = int(os.environ.get("CRASH_KILLS", "500"))
"""Of the soak; the ordinary run has its own number."""
SEED = int(os.environ.get("CRASH_SEED", "1"))
KILLS_A_LOAD_MAX = 8
IN_FLIGHT = CONCURRENCY * BATCH
"""Records that one kill can leave in doubt: what was in flight."""
FLAGS = ("--concurrency", str(CONCURRENCY))
KEYED = (*FLAGS, "--key", "Email", "--quiet-period", "300ms")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("part", range(4))
def test_without_a_key_no_kill_doubles_a_record_and_what_is_settled_is_never_sent_again(
    tmp_path: Path, part: int
) -> None:
    """Parts, so that they run beside each other."""
    kill_and_resume(tmp_path, Killer(SEED + 1_000 * part), kills=9)


@pytest.mark.soak
@pytest.mark.timeout(60 + 4 * KILLS)
def test_without_a_key_hundreds_of_kills_double_no_record(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, Killer(SEED + 1), kills=KILLS)


def kill_and_resume(directory: Path, killer: Killer, *, kills: int) -> None:
    """As many loads as the kills need, each in a directory and a sandbox of its own."""
    loads = 0
    while killer.kills < kills:
        loads += 1
        place = directory / f"load-{loads}"
        place.mkdir()
        print(f"seed {SEED}, {place.name}: {killer.kills} kills so far")
        with sandbox(place, "--latency", "20ms", "--seed", str(SEED + loads)) as crm:
            count = 150 if killer.random.random() < 0.2 else 6_000
            desk = Desk(place, crm, write_leads(place / "leads.ndjson", count, SEED + loads), FLAGS)
            one_load_without_a_key(
                desk, killer, kills=min(KILLS_A_LOAD_MAX, kills - killer.kills), count=count
            )


def one_load_without_a_key(desk: Desk, killer: Killer, *, kills: int, count: int) -> None:
    watch = Watch(desk.input, desk.crm.database)
    killed = kill_repeatedly(desk, killer, watch, kills=kills, calls_max=10)
    finished = desk.run(next_command(desk, killer)).ended(0, 4)
    watch.look(desk.results())
    outcomes = desk.judge(held_max=killed * IN_FLIGHT)
    assert finished.exit_code == (4 if outcomes.get("in_doubt") else 0)
    database = desk.crm.database
    assert database.records_taken <= count, "without a key nothing that may have been applied is sent again"
    said_again_and_nothing_sent(desk, finished.exit_code)


def kill_repeatedly(desk: Desk, killer: Killer, watch: Watch, *, kills: int, calls_max: int) -> int:
    """Starts the load and kills it, until it was killed often enough or came to its end.

    Returns: how many times it was killed.
    """
    for killed in range(kills):
        command = next_command(desk, killer)
        moment = killer.moment(desk, calls_max=calls_max)
        with desk.spawned(command) as process:
            if not killer.strike(process, moment):
                desk.said(process).ended(0, 4)
                return killed
        if desk.begun:
            doubt = watch.look(desk.results())
            assert doubt <= IN_FLIGHT, f"I5: one kill left {doubt} more records in doubt"
    return kills


def next_command(desk: Desk, killer: Killer) -> list[str]:
    """`resume`, or the same `load` again: both go on."""
    if desk.begun and killer.random.random() < 0.6:
        return desk.resume_command()
    return desk.load_command()


def said_again_and_nothing_sent(desk: Desk, exit_code: int) -> None:
    """A load that has come to its end gives its exit code again and makes no call that carries records."""
    calls = desk.crm.database.insert_calls
    desk.load().ended(exit_code)
    assert desk.crm.database.insert_calls == calls


@pytest.mark.timeout(180)
def test_with_a_key_five_kills_and_lost_answers_leave_each_record_exactly_once(tmp_path: Path) -> None:
    met = five_kills_with_a_key(tmp_path, SEED, share="0.15", count=4_000)
    assert met == {"drop-after-apply", "error-500-after"}, "a fault was not met: take another seed"


@pytest.mark.soak
@pytest.mark.timeout(60 + 2 * KILLS)
def test_with_a_key_each_record_is_inserted_once_over_many_loads(tmp_path: Path) -> None:
    met: set[str] = set()
    for number in range(KILLS // 25):
        place = tmp_path / f"load-{number}"
        place.mkdir()
        met |= five_kills_with_a_key(place, SEED + number, share="0.01", count=10_000)
    assert met == {"drop-after-apply", "error-500-after"}


def five_kills_with_a_key(place: Path, seed: int, *, share: str, count: int) -> set[str]:
    """One load to its end. Returns: the kinds of faults that it met."""
    killer = Killer(seed)
    print(f"seed {seed}")
    faults = ("--fault", f"drop-after-apply={share}", "--fault", f"error-500-after={share}")
    with unique_email(place, seed, *faults) as crm:
        desk = Desk(place, crm, write_leads(place / "leads.ndjson", count, seed), KEYED)
        kill_in_the_middle(desk, killer, kills=5, batches=count // BATCH)
        desk.run(next_command(desk, killer)).ended(0)
        assert desk.judge() == {"inserted": count}
        assert crm.database.rows == count
        said_again_and_nothing_sent(desk, 0)
        return {str(fault) for (fault,) in crm.database.ask("SELECT DISTINCT fault FROM calls") if fault}


def unique_email(place: Path, seed: int, *flags: str) -> AbstractContextManager[Crm]:
    return sandbox(place, "--unique", "Leads.Email", "--latency", "60ms", "--seed", str(seed), *flags)


def kill_in_the_middle(desk: Desk, killer: Killer, *, kills: int, batches: int) -> None:
    """So many kills, spread over the load: each some batches later than the last."""
    watch = Watch(desk.input, desk.crm.database)
    while killer.kills < kills:
        share = batches // (kills + 1)
        aim = desk.crm.database.insert_calls + killer.random.randint(1, share)
        with desk.spawned(next_command(desk, killer)) as process:
            assert killer.strike(process, lambda: desk.crm.database.insert_calls >= aim), (  # noqa: B023
                "the load ended before its kill: too few records for this test"
            )
        watch.look(desk.results())


@pytest.mark.timeout(180)
def test_without_a_key_what_lost_answers_and_kills_leave_open_is_held_and_listed(tmp_path: Path) -> None:
    killer = Killer(SEED)
    count = 3_000
    faults = (
        "--fault",
        "drop-after-apply=0.05",
        "--fault",
        "error-500-after=0.05",
        "--fault",
        "drop-before-apply=0.05",
    )
    with sandbox(tmp_path, "--latency", "60ms", "--seed", str(SEED), *faults) as crm:
        desk = Desk(tmp_path, crm, write_leads(tmp_path / "leads.ndjson", count, SEED), FLAGS)
        kill_in_the_middle(desk, killer, kills=2, batches=count // BATCH)
        desk.resume().ended(4)
        bound = killer.kills * IN_FLIGHT + crm.database.answers_lost * BATCH
        outcomes = desk.judge(held_max=bound)
        assert 0 < outcomes["in_doubt"] < count
        assert crm.database.records_taken <= count
        said_again_and_nothing_sent(desk, 4)


@pytest.mark.timeout(180)
def test_a_load_that_is_killed_five_times_in_its_recovery_still_ends_well(tmp_path: Path) -> None:
    killer = Killer(SEED)
    count = 6_000
    # An early moment comes within 0.8 s: at this latency no machine sends more than 8 batches until then.
    with sandbox(tmp_path, "--latency", "400ms", "--seed", str(SEED)) as crm:
        desk = Desk(tmp_path, crm, write_leads(tmp_path / "leads.ndjson", count, SEED), FLAGS)
        kill_in_the_middle(desk, killer, kills=1, batches=20)
        watch = Watch(desk.input, crm.database)
        watch.look(desk.results())
        calls = crm.database.insert_calls
        for _ in range(5):
            with desk.spawned(desk.resume_command()) as process:
                assert killer.strike(process, killer.early_moment(desk)), "it recovered before its kill"
            watch.look(desk.results())
        print(f"{crm.database.insert_calls - calls} calls during five recoveries")
        finished = desk.resume().ended(0, 4)
        outcomes = desk.judge(held_max=killer.kills * IN_FLIGHT)
        assert finished.exit_code == (4 if outcomes.get("in_doubt") else 0)


@pytest.mark.timeout(90)
@pytest.mark.parametrize("moment", ["the log is there", "the first batch is there"])
def test_a_kill_in_the_first_batch_leaves_no_more_than_the_first_window_in_doubt(
    tmp_path: Path, moment: str
) -> None:
    """The first window is the one that a log most easily forgets: nothing was durable before it."""
    with sandbox(tmp_path, "--latency", "250ms", "--seed", str(SEED)) as crm:
        desk = Desk(tmp_path, crm, write_leads(tmp_path / "leads.ndjson", 700, SEED), FLAGS)
        begun = {
            "the log is there": lambda: desk.begun,
            "the first batch is there": lambda: crm.database.insert_calls > 0,
        }
        with desk.spawned(desk.load_command()) as process:
            assert Killer(SEED).strike(process, begun[moment])
        time.sleep(0.3)  # what the sandbox had read of the killed calls, it now has applied
        finished = desk.load().ended(0, 4)
        outcomes = desk.judge(held_max=IN_FLIGHT)
        assert finished.exit_code == (4 if outcomes.get("in_doubt") else 0)
        assert crm.database.records_taken <= 700


SEALED = b"\xc5\x1d\x09\x00"
"""How the last frame of a finished load begins (docs/reference/checkpoint-log.md)."""


@pytest.mark.timeout(90)
def test_a_kill_between_the_seal_and_the_end_is_made_good_by_the_next_run(tmp_path: Path) -> None:
    """All was sent, and nothing told of it yet: the next run writes the files, and sends nothing."""
    killed = 0
    for number in range(4):
        place = tmp_path / f"load-{number}"
        place.mkdir()
        with unique_email(place, SEED) as crm:
            source = write_leads(place / "leads.ndjson", 300, SEED)
            refused = b'{"Company": "a lead without a name"}\n'
            source.write_bytes(source.read_bytes() + refused)
            desk = Desk(place, crm, source, KEYED)
            killed += kill_when_sealed(desk)
            calls = crm.database.insert_calls
            (desk.resume() if number % 2 else desk.load()).ended(3)
            assert crm.database.insert_calls == calls
            assert desk.judge() == {"inserted": 300, "invalid": 1}
            assert (desk.load_dir / "rejected.ndjson").read_bytes() == refused
            said_again_and_nothing_sent(desk, 3)
    assert killed >= 2, "the loads ended before their kills"


def kill_when_sealed(desk: Desk) -> bool:
    """Returns: whether there was a process left to kill."""
    log = desk.load_dir / "checkpoint.log"
    with desk.spawned(desk.load_command()) as process:
        while process.poll() is None and not (log.exists() and SEALED in log.read_bytes().rstrip(b"\0")):
            time.sleep(0.0005)
        process.kill()
        return process.wait() == -signal.SIGKILL
