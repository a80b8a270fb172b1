"""Why was this record refused, and what is to be done? What a person finds on the screen and in the files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_check import ORGANISATION, run, screen
from tests.crash.harness import Crm, sandbox

REFUSED = (
    ({"City": "Austin"}, "Last_Name", "required field not found"),
    ({"Last_Name": "x" * 81}, "Last_Name", "at most 80 characters or digits"),
    ({"Last_Name": "x", "Email": "nobody"}, "Email", 'expected email: "p.daly@example.com"'),
    ({"Last_Name": "x", "Phone": "++49"}, "Phone", 'expected phone: "+1 555-0100"'),
    (
        {"Last_Name": "x", "Annual_Revenue": "5"},
        "Annual_Revenue",
        "expected double: 250000.50 without quotes",
    ),
    ({"Last_Name": "x", "Email_Opt_Out": "yes"}, "Email_Opt_Out", "expected boolean: true or false without"),
    (
        {"Last_Name": "x", "First_Visited_Time": "2025-08-16T16:26:04.240Z"},
        "First_Visited_Time",
        'expected datetime: "2017-08-16T14:32:23+05:30", no fractions of a second',
    ),
    ({"Last_Name": "x", "Owner": "Patricia"}, "Owner", "expected jsonobject: an object in braces"),
    ({"Last_Name": "x", "Tag": "fair"}, "Tag", "expected jsonarray: an array in brackets"),
    ({"Last_Name": "x", "Wizard": "5725767000003000001"}, "$wizard_connection_path", "it depends on Wizard"),
    ({"Last_Name": "x", "Layout": {"id": "5725767000000091055"}}, "Company", "required field not found"),
)
TAKEN = {"Last_Name": "Daly", "Email": "daly@example.com", "Legacy_Id": "17"}


@pytest.fixture
def crm(tmp_path: Path) -> Iterator[Crm]:
    with sandbox(tmp_path, "--org", str(ORGANISATION)) as running:
        yield running


def test_each_refusal_of_the_service_says_what_would_do_and_the_screen_leads_to_it(
    tmp_path: Path, crm: Crm
) -> None:
    path, place = tmp_path / "leads.ndjson", tmp_path / "load"
    path.write_text(
        "".join(json.dumps(each) + "\n" for each in (*(one for one, _, _ in REFUSED), TAKEN, TAKEN))
    )
    where = ("--api-domain", crm.url, "--accounts-url", crm.url, "--load-dir", place)
    arguments = ("load", path, "--module", "Leads", "--no-check", *where)
    done = run(*arguments, environment=crm.credentials, columns=200)
    assert done.returncode == 3, done.stderr
    told = screen(done)
    assert "MANDATORY_NOT_FOUND Last_Name, for example line 1 why: required field not found" in told
    assert "what to do: The record lacks a field that the module requires. Mend the record in" in told
    assert f"every other one: loader results {place} --failed" in told
    assert f"loader results {place} --outcome duplicate" in told

    listed = [json.loads(line) for line in run("results", place, "--failed").stdout.splitlines()]
    reasons = [json.loads(line) for line in (place / "rejected-reasons.ndjson").read_text().splitlines()]
    assert len(listed) == len(reasons) == len(REFUSED)
    for (_, field, words), one, reason in zip(REFUSED, listed, reasons, strict=True):
        assert one["field"] == reason["field"] == field
        assert words in one["message"]
        assert one["message"] == reason["message"]
        assert reason["what_to_do"].endswith(f"then: loader retry {place}")

    (twice,) = run("results", place, "--outcome", "duplicate").stdout.splitlines()
    again = json.loads(twice)
    assert again["id"], "the record that has the values"
    for field in ("Email", "Legacy_Id"):
        assert f"DUPLICATE_DATA {field}: duplicate data" in again["message"]


def test_what_the_check_refuses_is_told_the_same_way_before_anything_is_sent(
    tmp_path: Path, crm: Crm
) -> None:
    path = tmp_path / "leads.ndjson"
    path.write_text("".join(json.dumps(one) + "\n" for one, _, _ in REFUSED))
    where = ("--api-domain", crm.url, "--accounts-url", crm.url)
    told = screen(run("check", path, "--module", "Leads", *where, environment=crm.credentials))
    for line, (_, field, _) in enumerate(REFUSED, start=1):
        assert f"line {line}: {field}" in told
    assert crm.database.records_taken == 0
