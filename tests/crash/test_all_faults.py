"""Everything at once: every fault of the sandbox, latency, and a kill each second.

With a key that is unique each record ends up in the CRM once and no person is asked. Without one none is
there twice, and what is held can be explained.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.crash.harness import BATCH, CONCURRENCY, Desk, Killer, sandbox, wait_until_still, write_leads
from tests.crash.oracle import Watch

SEED = int(os.environ.get("CRASH_SEED", "1"))
KINDS = (
    "drop-before-apply",
    "drop-after-apply",
    "error-500-before",
    "error-500-after",
    "slow",
    "truncate",
    "html-502",
    "429",
    "revoke-token",
    "short-answer",
    "partial-apply",
    "late-apply",
)
LATE_S = 0.1
QUIET = "300ms"
"""Longer than the sandbox is late: what is applied after the quiet period could not be told from nothing."""
LIFE_S = 1.0
"""From the moment at which a loader takes its log to its kill."""
KILLS_MAX = 400
PACE = ("--concurrency", str(CONCURRENCY), "--timeout", "2s", "--quiet-period", QUIET)


def faults(share: float) -> list[str]:
    shares = [word for kind in KINDS for word in ("--fault", f"{kind}={share}")]
    return [*shares, "--slow-by", "3s", "--late-by", f"{LATE_S}s", "--token-grants", "100000"]


@pytest.mark.timeout(240)
def test_with_a_key_each_record_is_there_once_and_nobody_is_asked(tmp_path: Path) -> None:
    # 80 calls, at most 4 x 10 of them in a second: two whole lives at the least, however fast the machine.
    assert with_a_key(tmp_path, count=8_000, share=0.02, latency="100ms") >= 2


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_with_a_key_a_hundred_thousand_records_are_there_once(tmp_path: Path) -> None:
    with_a_key(tmp_path, count=100_000, share=0.02, kinds_min=len(KINDS))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("rung", ["asked", "stamped"])
def test_the_lower_rungs_hold_under_all_faults_too(tmp_path: Path, rung: str) -> None:
    """A key that the CRM does not keep unique; and no key at all but the load's own."""
    with_a_key(tmp_path, count=1_500, share=0.02, rung=rung, kinds_min=1)


def with_a_key(
    directory: Path,
    *,
    count: int,
    share: float,
    rung: str = "unique",
    kinds_min: int = 6,
    latency: str = "50ms",
) -> int:
    """Kills the load each second until it comes to its end. Returns: how often it was killed."""
    field = {"unique": ["--unique", "Leads.Email"], "asked": [], "stamped": ["--external", "Leads.Load_Key"]}
    key = ["--stamp", "Load_Key"] if rung == "stamped" else ["--key", "Email"]
    flags = ["--latency", latency, "--seed", str(SEED), *faults(share), *field[rung]]
    with sandbox(directory, *flags) as crm:
        desk = Desk(directory, crm, write_leads(directory / "leads.ndjson", count, SEED), (*PACE, *key))
        killed = killed_each_second(desk)
        met = {str(fault) for (fault,) in crm.database.ask("SELECT DISTINCT fault FROM calls") if fault}
        print(f"{killed} kills, {crm.database.insert_calls} inserts, faults met: {sorted(met)}")
        assert len(met) >= kinds_min, "take another seed: too few kinds of fault were met"
        assert desk.judge(stamp="Load_Key" if rung == "stamped" else "") == {"inserted": count}
        assert crm.database.rows == count
    return killed


def killed_each_second(desk: Desk, *, ends: Sequence[int] = (0,), watch: Watch | None = None) -> int:
    """Runs the load again and again, each time for a second, until it ends by itself with one of `ends`."""
    killer = Killer(SEED)
    while killer.kills < KILLS_MAX:
        with desk.spawned(desk.load_command()) as process:
            if not killer.strike(process, a_second_after_it_begins(desk)):
                desk.said(process).ended(*ends)
                return killer.kills
        if watch is not None and desk.begun:
            watch.look(desk.results())
    raise AssertionError(f"the load does not come to its end in {KILLS_MAX} lives")


def a_second_after_it_begins(desk: Desk) -> Callable[[], bool]:
    log = desk.load_dir / "checkpoint.log"
    before = log.stat().st_mtime_ns if log.exists() else 0
    began: list[float] = []

    def due() -> bool:
        if not began:
            if log.exists() and log.stat().st_mtime_ns != before:
                began.append(time.monotonic())
            return False
        return time.monotonic() - began[0] >= LIFE_S

    return due


@pytest.mark.timeout(240)
def test_without_a_key_none_is_there_twice_and_each_doubt_can_be_explained(tmp_path: Path) -> None:
    without_a_key(tmp_path, count=6_000, share=0.02)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_without_a_key_of_a_hundred_thousand_records_none_is_there_twice(tmp_path: Path) -> None:
    without_a_key(tmp_path, count=100_000, share=0.02)


def without_a_key(directory: Path, *, count: int, share: float) -> None:
    with sandbox(directory, "--latency", "50ms", "--seed", str(SEED), *faults(share)) as crm:
        desk = Desk(directory, crm, write_leads(directory / "leads.ndjson", count, SEED), PACE)
        watch = Watch(desk.input, crm.database)
        killed = killed_each_second(desk, ends=(0, 4), watch=watch)
        wait_until_still(lambda: crm.database.rows, for_s=2 * LATE_S)
        lost = crm.database.answers_lost
        bound = killed * CONCURRENCY * BATCH + lost * BATCH
        outcomes = desk.judge(held_max=bound)
        print(f"{killed} kills, {lost} answers lost, {outcomes.get('in_doubt', 0)} records held")
        assert outcomes["inserted"] > 0
        assert crm.database.records_taken <= count + refused_records(desk)


def refused_records(desk: Desk) -> int:
    """Records of calls that were proved not applied, and so were sent again."""
    query = "SELECT sum(records) FROM calls WHERE fault = 'revoke-token'"
    return desk.crm.database.number(query)
