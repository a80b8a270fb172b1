"""Every crash state of the checkpoint log, opened by the real log and held against what had been promised."""

from __future__ import annotations

import os
import random
import time

import pytest

from tests import shares
from tests.crash.crash_states import (
    LOADS,
    LOG,
    Checked,
    broken_by_chain,
    check_one,
    damaged,
    faults_of,
    moments_of,
    read_damage,
)
from tests.crash.wrong_logs import WRONG, Patch, damage_is_taken_for_the_end

STATES = {
    "plain": 12_000,
    "doubts": 19_800,
    "resumed": 21_500,
    "power_lost": 16_800,
    "resolved": 24_400,
    "appended": 12_200,
}
"""States that each load has at the least, with its faults."""
AT_MOST = 15
"""States of one moment of a load whose disk fails. The soak takes all."""
CHAINS = 250
SOAK_STATES = int(os.environ.get("CRASH_STATES", "2000000"))


def test_the_states_of_an_ordinary_run_are_a_hundred_thousand() -> None:
    assert sum(STATES.values()) >= 100_000


@pytest.mark.timeout(300)
@pytest.mark.parametrize("load", LOADS)
def test_no_crash_of_a_load_breaks_a_promise(load: str) -> None:
    checked = Checked()
    began = time.perf_counter()
    checked.run(load)
    sound = checked.states
    for fault in faults_of(load):
        checked.run(load, fault, thin=True, at_most=AT_MOST)
    spent = time.perf_counter() - began
    shares.count("states", checked.states)
    print(
        f"{load}: {checked.states:,} states ({sound:,} without a fault), {checked.recoveries:,} different"
        f" disks, {checked.states / spent:,.0f} states/s"
    )
    checked.require_sound()
    assert checked.states >= STATES[load]


def test_a_call_that_fails_and_changes_nothing_breaks_no_promise() -> None:
    checked = Checked()
    for fault in faults_of("resumed", quiet=True):
        checked.run("resumed", fault, thin=True, at_most=5)
    checked.require_sound()
    assert checked.states > 1000


def test_the_allocation_that_loads_really_make_changes_nothing() -> None:
    checked = Checked()
    checked.run("resumed", thin=True, at_most=6, small=False)
    checked.require_sound()
    assert checked.states > 150


@pytest.mark.parametrize("load", LOADS)
def test_recoveries_that_crash_five_times_in_a_row_break_no_promise(load: str) -> None:
    broken = {}
    for seed in range(CHAINS):
        found = broken_by_chain(load, seed)
        if found:
            broken[f"CRASH_STATE='chain/{load}/{seed}'"] = found
    assert broken == {}


@pytest.mark.parametrize("load", LOADS)
def test_damage_before_what_was_synced_is_named_by_its_offset_and_never_skipped(load: str) -> None:
    rng = random.Random(1)
    moments = [one for one in moments_of(load) if LOG in one.point.names]
    hit = 0
    for moment in moments[:: len(moments) // 3][1:] + moments[-1:]:
        content = moment.point.survivors().files[LOG]
        for offset, rotten in damaged(content, rng):
            if rotten != content:
                hit += 1
                assert read_damage(rotten) == offset, f"{load}, moment {moment.number}, frame at {offset}"
    shares.count("damaged logs", hit)
    print(f"{load}: {hit:,} damaged logs")
    assert hit > 500


@pytest.mark.parametrize(("wrong", "load", "disk_fails"), WRONG, ids=lambda one: getattr(one, "__name__", ""))
def test_a_wrong_log_is_found_out(
    wrong: Patch, load: str, disk_fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = faults_of(load) if disk_fails else [None]
    wrong(monkeypatch)
    checked = Checked()
    for fault in faults:
        try:
            checked.run(load, fault, thin=True, at_most=30)
        except AssertionError as error:  # a resume within the load broke a promise already
            checked.breaches.append(str(error))
        if checked.breaches:
            print(checked.breaches[0])
            shares.count("wrong logs seen")
            return
    pytest.fail(f"{wrong.__name__} breaks no promise that these states see")


def test_a_log_that_skips_damage_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    content = moments_of("plain")[-1].point.survivors().files[LOG]
    damage_is_taken_for_the_end(monkeypatch)
    offsets = [(offset, read_damage(rotten)) for offset, rotten in damaged(content, random.Random(1))]
    assert any(found != offset for offset, found in offsets)


def test_one_state() -> None:
    """The state, or chain, that CRASH_STATE names; by default one of each."""
    states = os.environ.get("CRASH_STATE", "doubts/-/20/durable|chain/doubts/1")
    assert [broken for one in states.split("|") for broken in check_one(one)] == []


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_millions_of_states_break_no_promise() -> None:
    checked = Checked()
    for load in LOADS:
        checked.run(load)
        for fault in faults_of(load):
            if checked.states < SOAK_STATES:
                checked.run(load, fault)
    chains = 0
    while checked.states + chains < SOAK_STATES:
        for load in LOADS:
            chains += 1
            for one in broken_by_chain(load, CHAINS + chains):
                checked.breaches.append(f"CRASH_STATE='chain/{load}/{CHAINS + chains}': {one}")
    print(f"{checked.states:,} states, {checked.recoveries:,} different disks, {chains:,} chains")
    checked.require_sound()
