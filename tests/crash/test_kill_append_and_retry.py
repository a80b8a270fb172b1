"""`kill -9` in the middle of an `--append` and of a retry: what was appended or mended is loaded once."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest

from tests.crash.harness import BATCH, CONCURRENCY, Desk, Killer, lead, sandbox, write_leads
from tests.crash.oracle import Watch

SEED = int(os.environ.get("CRASH_SEED", "1"))
KEYED = ("--concurrency", str(CONCURRENCY), "--key", "Email", "--quiet-period", "300ms")
COUNT, MORE = 250, 2_000


def grow(desk: Desk) -> None:
    random_ = random.Random(SEED + 1)
    with desk.input.open("ab") as stream:
        for number in range(COUNT + 1, COUNT + MORE + 1):
            stream.write(lead(number, random_) + b"\n")


SOON, SLOWLY = "150ms", "700ms"
"""Latencies. At the first, only the four calls in flight leave before a kill that comes a little late; at the
second, before one at an early moment (0.8 s), however fast the machine is. There are 20 batches."""


def kill_after_batches(desk: Desk, killer: Killer, command: list[str], *, batches_max: int) -> None:
    database = desk.crm.database
    aim = database.insert_calls + killer.random.randint(1, batches_max)
    with desk.spawned(command) as process:
        assert killer.strike(process, lambda: database.insert_calls >= aim), "it ended before its kill"


@pytest.mark.timeout(120)
def test_what_was_appended_is_there_once_after_kills_and_append_is_said_only_once(tmp_path: Path) -> None:
    killer = Killer(SEED)
    with sandbox(tmp_path, "--unique", "Leads.Email", "--latency", SOON, "--seed", str(SEED)) as crm:
        desk = Desk(tmp_path, crm, write_leads(tmp_path / "leads.ndjson", COUNT, SEED), KEYED)
        desk.load().ended(0)
        grow(desk)
        watch = Watch(desk.input, crm.database)
        kill_after_batches(desk, killer, [*desk.load_command(), "--append"], batches_max=3)
        for _ in range(3):
            watch.look(desk.results())
            # The log has seen the grown input: nobody has to say it once more.
            kill_after_batches(desk, killer, desk.resume_command(), batches_max=3)
        watch.look(desk.results())
        desk.resume().ended(0)
        assert desk.judge() == {"inserted": COUNT + MORE}
        assert crm.database.rows == COUNT + MORE


@pytest.mark.timeout(120)
def test_a_kill_at_the_very_beginning_of_an_append_leaves_a_load_that_goes_on(tmp_path: Path) -> None:
    """Before its OPEN the load is as it was, finished; from its OPEN on, it goes on without `--append`."""
    killer = Killer(SEED)
    answers = set()
    with sandbox(tmp_path, "--unique", "Leads.Email", "--latency", SLOWLY, "--seed", str(SEED)) as crm:
        desk = Desk(tmp_path, crm, write_leads(tmp_path / "leads.ndjson", COUNT, SEED), KEYED)
        desk.load().ended(0)
        grow(desk)
        for _ in range(4):
            with desk.spawned([*desk.load_command(), "--append"]) as process:
                assert killer.strike(process, killer.early_moment(desk)), "it ended before its kill"
        answers.add(desk.resume().ended(0, 8).exit_code)
        if answers == {8}:
            desk.run([*desk.resume_command(), "--append"]).ended(0)
        assert desk.judge() == {"inserted": COUNT + MORE}
        assert crm.database.rows == COUNT + MORE


@pytest.mark.timeout(120)
def test_resolve_takes_the_grown_input_of_a_killed_append_as_the_load_did(tmp_path: Path) -> None:
    killer = Killer(SEED)
    with sandbox(tmp_path, "--unique", "Leads.Email", "--latency", "300ms", "--seed", str(SEED)) as crm:
        flags = ("--concurrency", str(CONCURRENCY), "--quiet-period", "300ms")
        desk = Desk(tmp_path, crm, write_leads(tmp_path / "leads.ndjson", COUNT, SEED), flags)
        desk.load().ended(0)
        grow(desk)
        kill_after_batches(desk, killer, [*desk.load_command(), "--append"], batches_max=6)
        watch = Watch(desk.input, crm.database)
        assert watch.look(desk.results()) > 0, "the kill left nothing in doubt: take another seed"
        calls = crm.database.insert_calls
        desk.run(["resolve", str(desk.load_dir), "--key", "Email"]).ended(7)
        watch.look(desk.results())
        assert watch.in_doubt == 0
        assert 0 < crm.database.insert_calls - calls <= CONCURRENCY, (
            "it settles doubts and sends nothing else"
        )
        desk.resume().ended(0)
        assert desk.judge() == {"inserted": COUNT + MORE}
        assert crm.database.rows == COUNT + MORE


@pytest.mark.timeout(120)
def test_what_was_mended_is_there_once_after_kills_of_its_retry(tmp_path: Path) -> None:
    killer = Killer(SEED)
    with sandbox(tmp_path, "--unique", "Leads.Email", "--latency", SOON, "--seed", str(SEED)) as crm:
        leads = write_leads(tmp_path / "leads.ndjson", MORE, SEED)
        leads.write_bytes(leads.read_bytes().replace(b'"Last_Name"', b'"Lost_Name"'))
        load = Desk(tmp_path, crm, leads, KEYED)
        load.load().ended(3)
        assert crm.database.rows == 0
        rejected = load.load_dir / "rejected.ndjson"
        rejected.write_bytes(rejected.read_bytes().replace(b'"Lost_Name"', b'"Last_Name"'))
        command = ["retry", str(load.load_dir)]
        retry = Desk(tmp_path, crm, rejected, KEYED)
        retry.load_dir = load.load_dir / "retry-1"
        watch = Watch(rejected, crm.database)
        for _ in range(3):
            kill_after_batches(retry, killer, command, batches_max=MORE // BATCH // 4)
            watch.look(retry.results())
        load.run(command).ended(0)
        assert retry.judge() == {"inserted": MORE}
        assert crm.database.rows == MORE
        calls = crm.database.calls
        load.run(command).ended(0)
        assert crm.database.calls == calls
        assert json.loads((load.load_dir / "summary.json").read_bytes())["outcomes"]["invalid"] == MORE
