"""Whole loads with options, from the command line to the bytes that arrive; stopped, resumed, retried."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from loader.cli import main
from tests import canary
from tests.scenario.hostile_crm import Answer, Asked, HostileCrm, as_json, inserted, refused, serving

FIELDS = {
    "fields": [
        {"api_name": "Subject", "data_type": "text", "json_type": "string", "length": 255},
        {"api_name": "Email", "data_type": "email", "json_type": "string", "length": 100},
    ]
}
RULE = {"RRULE": "FREQ=DAILY;INTERVAL=1;DTSTART=2023-05-20;UNTIL=2023-05-22"}
BARE = "--trigger none --lar-id 7 --layout-id 554023000002734009 --apply-feature layout_rules"
ALL = (*BARE.split(), "--skip-feature", "cadences", "--external", "Leads.Account.Ext_Id", "--approval-mode")
BESIDE = {
    "trigger": [],
    "lar_id": "7",
    "apply_feature_execution": [{"name": "layout_rules"}],
    "skip_feature_execution": [{"name": "cadences"}],
}
ADDED: dict[str, Any] = {"Layout": {"id": "554023000002734009"}, "$approved": False}


@pytest.fixture
def crm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HostileCrm]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOADER_ACCESS_TOKEN", canary.secret())
    with serving(HostileCrm(fields=lambda _: as_json(200, FIELDS))) as running:
        yield running


def write(*records: object, name: str = "records.ndjson") -> None:
    Path(name).write_text("".join(json.dumps(record) + "\n" for record in records))


def load(crm: HostileCrm, *flags: str, module: str = "Leads", source: str = "records.ndjson") -> int:
    return main.run(["load", source, "--module", module, *crm.target, "--no-progress", *flags])


def calls(crm: HostileCrm) -> list[Asked]:
    return [one for one in crm.asked if one.method == "POST"]


def records(crm: HostileCrm) -> list[dict[str, Any]]:
    """What arrived, call after call."""
    return [record for call in calls(crm) for record in json.loads(call.body)["data"]]


def results(capfd: pytest.CaptureFixture[str], place: str = "records.ndjson.load") -> list[dict[str, Any]]:
    capfd.readouterr()
    assert main.run(["results", place]) == 0
    return [json.loads(line) for line in capfd.readouterr().out.splitlines()]


def require_options(call: Asked) -> None:
    body = json.loads(call.body)
    assert {key: value for key, value in body.items() if key != "data"} == BESIDE
    assert call.headers["X-EXTERNAL"] == "Leads.Account.Ext_Id"


def test_each_call_says_the_options_and_each_record_gets_what_it_lacks(crm: HostileCrm) -> None:
    own = {"Subject": "own", "Layout": {"id": "5"}, "$approved": True}
    write({"Subject": "a"}, own, *({"Subject": f"n{number}"} for number in range(148)))
    assert load(crm, *ALL) == 0
    assert sorted(call.records for call in calls(crm)) == [50, 100]
    for call in calls(crm):
        require_options(call)
    arrived = sorted(records(crm), key=lambda record: record["Subject"])
    assert own in arrived
    assert {"Subject": "a", **ADDED} in arrived
    assert all(record == own or record.items() >= ADDED.items() for record in arrived)


def test_without_options_a_call_is_data_and_the_lines_as_they_are(crm: HostileCrm) -> None:
    line = b' {"Subject" : "a",  "Layout":{"id":"5"}}\t'
    Path("records.ndjson").write_bytes(line + b"\n")
    assert load(crm) == 0
    (call,) = calls(crm)
    assert call.body == b'{"data":[' + line + b"]}"
    assert "X-EXTERNAL" not in call.headers


def stopping_at(call: int, then: Callable[[Asked], Answer] = inserted) -> Callable[[Asked], Answer]:
    """Answers so many inserts, then takes the permission away."""
    left = iter([then] * (call - 1))

    def answer(asked: Asked) -> Answer:
        return next(left, lambda _: refused(403, "NO_PERMISSION", "permission denied"))(asked)

    return answer


def test_a_load_that_goes_on_says_the_same_however_it_is_told_to(
    crm: HostileCrm, capfd: pytest.CaptureFixture[str]
) -> None:
    write(*({"Subject": f"n{number}"} for number in range(400)))
    crm.insert = stopping_at(2)
    assert load(crm, "--concurrency", "1", *ALL) == 6
    crm.insert = stopping_at(2)
    assert main.run(["resume", "records.ndjson.load"]) == 6
    crm.insert = stopping_at(2)
    assert load(crm, *ALL) == 6
    crm.insert = inserted
    capfd.readouterr()
    assert load(crm) == 0
    assert "goes on with the options that it began with: --trigger none --lar-id 7" in capfd.readouterr().err
    for call in calls(crm):
        require_options(call)
    assert all(record.items() >= ADDED.items() for record in records(crm))


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--trigger", "workflow"], "--trigger"),
        (["--layout-id", "8"], "--layout-id"),
        (["--lar-id", "8"], "--lar-id"),
        (["--external", "Leads.Account.Other"], "--external"),
    ],
)
def test_half_of_a_load_never_gets_other_options(
    crm: HostileCrm, capfd: pytest.CaptureFixture[str], flags: list[str], named: str
) -> None:
    write(*({"Subject": f"n{number}"} for number in range(150)))
    crm.insert = stopping_at(2)
    assert load(crm, "--concurrency", "1", *ALL) == 6
    sent = len(crm.asked)
    capfd.readouterr()
    assert load(crm, *flags) == 2
    assert len(crm.asked) == sent
    said = " ".join(capfd.readouterr().err.split())
    assert "belongs to another load" in said
    assert named in said


def test_a_retry_has_the_options_of_its_load(crm: HostileCrm) -> None:
    write({"Subject": "a"}, {"Subject": "b"})
    crm.insert = lambda _: as_json(
        400,
        {"data": [{"code": "INVALID_DATA", "details": {}, "message": "no", "status": "error"}] * 2},
    )
    assert load(crm, *ALL) == 3
    lines = Path("records.ndjson.load/rejected.ndjson").read_bytes()
    assert lines == Path("records.ndjson").read_bytes()
    crm.insert = inserted
    assert main.run(["retry", "records.ndjson.load"]) == 0
    require_options(calls(crm)[-1])
    assert records(crm)[-1] == {"Subject": "b", **ADDED}


def test_a_refused_option_stops_the_load_and_blames_no_record(
    crm: HostileCrm, capfd: pytest.CaptureFixture[str]
) -> None:
    write({"Subject": "a"}, {"Subject": "b"})
    details = {
        "api_name": "name",
        "json_path": "$.apply_feature_execution[0].name",
        "supported_values": ["layout_rules"],
    }
    crm.insert = lambda _: as_json(
        400, {"data": [{"code": "INVALID_DATA", "details": details, "message": "no", "status": "error"}]}
    )
    assert load(crm, "--apply-feature", "range_validation", "--concurrency", "1") == 2
    said = " ".join(capfd.readouterr().err.split())
    assert "refuses an option" in said
    assert "apply_feature_execution; possible: layout_rules" in said
    assert len(calls(crm)) == 1
    assert {one["outcome"] for one in results(capfd)} == {"pending"}


def test_without_the_check_all_records_are_sent_as_they_are(
    crm: HostileCrm, capfd: pytest.CaptureFixture[str]
) -> None:
    bad = [{"Subject": "x" * 300}, {"Email": "no e-mail"}, {"Call_Type": 7, "Call_Duration": "0"}]
    write(*bad)
    assert load(crm, "--no-check", module="Calls") == 0
    assert records(crm) == bad


# --- recurring records ---


def series(asked: Asked) -> Answer:
    """Three items for each record that recurs, as the API answers; ids that tell the call apart."""
    items = []
    for place, record in enumerate(json.loads(asked.body)["data"]):
        for copy in range(3 if record.get("Recurring_Activity") else 1):
            one = f"5{abs(hash(record['Subject'])) % 10**9:010}{place:03}{copy:03}"
            items.append({"code": "SUCCESS", "details": {"id": one}, "message": "", "status": "success"})
    return as_json(201, {"data": items})


TASKS = [
    {"Subject": "a"},
    {"Subject": "weekly", "Recurring_Activity": RULE},
    {"Subject": "b"},
    {"Subject": "none", "Recurring_Activity": None},
    {"Subject": "daily", "Recurring_Activity": RULE},
]


@pytest.mark.parametrize("module", ["Tasks", "Events"])
def test_recurring_records_travel_alone_and_have_one_outcome_each(
    crm: HostileCrm, capfd: pytest.CaptureFixture[str], module: str
) -> None:
    write(*TASKS)
    crm.insert = series
    assert load(crm, "--no-check", module=module) == 0
    sent = sorted([record["Subject"] for record in json.loads(call.body)["data"]] for call in calls(crm))
    assert sent == [["a"], ["b", "none"], ["daily"], ["weekly"]]
    told = results(capfd)
    assert [one["outcome"] for one in told] == ["inserted"] * 5
    assert all(one["id"].endswith("000") for one in told)


def test_after_a_stop_they_still_travel_alone(crm: HostileCrm, capfd: pytest.CaptureFixture[str]) -> None:
    write(*TASKS, *TASKS)
    crm.insert = stopping_at(3, series)
    assert load(crm, "--no-check", "--concurrency", "1", module="Tasks") == 6
    crm.insert = series
    assert main.run(["resume", "records.ndjson.load"]) == 0
    assert [one["outcome"] for one in results(capfd)] == ["inserted"] * 10
    for call in calls(crm):
        subjects = [record["Subject"] for record in json.loads(call.body)["data"]]
        assert len(subjects) == 1 or not {"weekly", "daily"} & set(subjects)


# --- several errors of a record ---


def test_all_errors_of_a_record_are_on_the_screen_and_in_the_files(
    crm: HostileCrm, capfd: pytest.CaptureFixture[str]
) -> None:
    write({"Subject": "a"})
    inner = [
        {
            "code": "DUPLICATE_DATA",
            "details": {"api_name": "Email", "duplicate_record": {"id": "71"}},
            "message": "duplicate data",
            "status": "error",
        },
        {
            "code": "INVALID_DATA",
            "details": {"api_name": "Born", "expected_data_type": "date", "maximum_length": "20"},
            "message": "invalid data",
            "status": "error",
        },
    ]
    item = {
        "code": "MULTIPLE_OR_MULTI_ERRORS",
        "details": {"errors": inner},
        "message": "Multiple errors in the request",
        "status": "error",
    }
    crm.insert = lambda _: as_json(400, {"data": [item]})
    assert load(crm, "-v") == 3
    words = (
        "2 errors: DUPLICATE_DATA Email: duplicate data, record 71;"
        " INVALID_DATA Born: invalid data (expected date, at most 20 characters)"
    )
    assert words in " ".join(capfd.readouterr().err.split())
    (told,) = results(capfd)
    assert (told["outcome"], told["message"], told["field"]) == ("rejected", words, "Email")
    reason = json.loads(Path("records.ndjson.load/rejected-reasons.ndjson").read_bytes())
    assert (reason["message"], reason["code"]) == (words, "MULTIPLE_OR_MULTI_ERRORS")
