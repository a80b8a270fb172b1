"""Loads with options, and of recurring records, against the sandbox: another process, its own apply-log."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.crash.harness import CONCURRENCY, Crm, Desk, Killer, sandbox, write_leads

SEED = int(os.environ.get("CRASH_SEED", "1"))
COUNT = 2_000
FLAGS = ("--concurrency", str(CONCURRENCY))
OPTIONS = (
    *FLAGS,
    "--trigger",
    "workflow,approval",
    "--skip-feature",
    "cadences",
    "--apply-feature",
    "layout_rules",
)
RULE = {"RRULE": "FREQ=DAILY;INTERVAL=1;DTSTART=2023-05-20;UNTIL=2023-05-28"}


@pytest.fixture
def crm(tmp_path: Path) -> Iterator[Crm]:
    with sandbox(tmp_path, "--latency", "20ms", "--seed", str(SEED)) as running:
        yield running


def test_a_killed_load_goes_on_with_its_options_and_each_record_is_there_once(
    tmp_path: Path, crm: Crm
) -> None:
    desk = Desk(tmp_path, crm, write_leads(tmp_path / "leads.ndjson", COUNT, SEED), OPTIONS)
    killer = Killer(SEED)
    with desk.spawned(desk.load_command()) as process:
        killer.strike(process, killer.moment(desk, calls_max=COUNT // 100))
    replace(desk, flags=(*FLAGS, "--trigger", "none")).load().ended(2).is_one_screen()
    desk.resume().ended(0, 4)
    desk.judge(held_max=CONCURRENCY * 100)


def tasks() -> list[dict[str, Any]]:
    """Every third one recurs."""
    plain = [{"Subject": f"task {number}", "Due_Date": "2030-01-01"} for number in range(1, 61)]
    return [{**one, "Recurring_Activity": RULE} if place % 3 == 0 else one for place, one in enumerate(plain)]


def test_a_recurring_task_is_one_line_with_the_id_of_one_of_its_records(tmp_path: Path, crm: Crm) -> None:
    path = tmp_path / "tasks.ndjson"
    path.write_text("".join(json.dumps(task) + "\n" for task in tasks()))
    desk = Desk(tmp_path, crm, path, FLAGS, module="Tasks")
    desk.load().ended(0)
    told = [json.loads(line) for line in desk.results()]
    assert [one["outcome"] for one in told] == ["inserted"] * 60
    assert len({one["id"] for one in told}) == 60
    rows = {str(row): json.loads(raw) for row, raw in crm.database.ask("SELECT id, raw FROM records")}
    assert all(rows[one["id"]]["Subject"] == f"task {one['line']}" for one in told)
    assert len(rows) > 60, "the CRM made several records of those that recur"
    sizes = crm.database.ask("SELECT records FROM calls WHERE path LIKE '%/Tasks' AND method = 'POST'")
    assert sorted(size for (size,) in sizes) == [1] * 20 + [2] * 20
