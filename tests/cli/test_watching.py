"""What a monitoring system is told by a whole load: a metrics file and lines of JSON, through the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.cli.conftest import Run
from tests.crash.harness import Desk, sandbox


def test_a_load_tells_a_program_all_that_it_tells_a_person(tmp_path: Path) -> None:
    source = tmp_path / "leads.ndjson"
    source.write_text('{"Last_Name":"Daly","Company":"Nordwind"}\n{"Company":"Nordwind"}\n' * 60)
    metrics = tmp_path / "load.prom"
    with sandbox(tmp_path) as crm:
        desk = Desk(tmp_path, crm, source, ("--log-format", "json", "--metrics-file", str(metrics)))
        finished = desk.load().ended(3)
        lines = [json.loads(line) for line in finished.stderr.splitlines()]
        assert [line["event"] for line in lines if line["event"] != "progress"] == [
            "load_opened",
            "load_ended",
        ]
        stored = json.loads((desk.load_dir / "summary.json").read_bytes())
        assert {name: lines[-1][name] for name in stored} == stored
        values = {
            (one.name, one.labels.get("outcome", "")): one.value
            for family in text_string_to_metric_families(metrics.read_text())
            for one in family.samples
        }
        assert values["crm_loader_records_total", "inserted"] == 60
        assert values["crm_loader_records_total", "invalid"] == 60
        assert values["crm_loader_exit_code", ""] == 3


def test_a_load_that_goes_on_begins_with_the_errors_of_its_earlier_runs(tmp_path: Path) -> None:
    source = tmp_path / "leads.ndjson"
    source.write_text('{"Last_Name":"Daly"}\n{"Company":"Nordwind"}\n')
    with sandbox(tmp_path) as crm:
        desk = Desk(tmp_path, crm, source, ("--log-format", "json", "--append"))
        first = json.loads(desk.load().ended(3).stderr.splitlines()[0])
        with source.open("a") as more:
            more.write('{"Company":"Nordwind"}\n')
        second = json.loads(desk.load().ended(3).stderr.splitlines()[0])
    assert (first["event"], first["errors_before"]) == ("load_opened", [])
    assert second["errors_before"] == [{"code": "MANDATORY_NOT_FOUND", "field": "Last_Name", "count": 1}]


def test_an_error_is_a_line_of_json_too(tmp_path: Path) -> None:
    with sandbox(tmp_path) as crm:
        desk = Desk(tmp_path, crm, tmp_path / "no-such-file.ndjson", ("--log-format", "json"))
        finished = desk.load().ended(2)
        (line,) = [json.loads(line) for line in finished.stderr.splitlines()]
        assert (line["event"], line["level"], line["exit_code"]) == ("load_ended", "error", 2)
        assert "no-such-file.ndjson" in line["error"]["what"]


@pytest.mark.parametrize(
    "flags",
    [
        ("--report", "no-such-directory/report.html"),
        ("--metrics-file", "no-such-directory/load.prom"),
        (),
    ],
    ids=["report", "metrics", "input"],
)
def test_whatever_refuses_a_load_is_one_line_of_json_and_one_exit_code(
    run: Run, flags: tuple[str, ...]
) -> None:
    done = run("load", "none.ndjson", "--module", "Leads", "--log-format", "json", *flags)
    (line,) = [json.loads(line) for line in done.err.splitlines()]
    assert done.code == 2
    assert (line["event"], line["level"], line["exit_code"]) == ("load_ended", "error", 2)
    as_text = run("load", "none.ndjson", "--module", "Leads", *flags)
    assert as_text.code == 2
    assert as_text.err.count("error: ") == 1


def test_a_load_whose_directory_is_no_text_has_its_report_and_an_input_that_is_none_is_refused(
    tmp_path: Path,
) -> None:
    source = tmp_path / "leads-\udcff.ndjson"
    source.write_text('{"Last_Name":"Daly"}\n{"Company":"Nordwind"}\n')
    with sandbox(tmp_path) as crm:
        for flags in ((), ("--log-format", "json")):
            refused = Desk(tmp_path, crm, source, flags).load().ended(2)
            assert "the name of the input is no text" in refused.stderr
        plain = source.rename(tmp_path / "leads.ndjson")
        desk = Desk(tmp_path, crm, plain, ("--log-format", "json"))
        desk.load_dir = tmp_path / "l\udcff.load"
        report = tmp_path / "report.html"
        done = desk.run([*desk.load_command(), "--report", str(report)]).ended(3)
        assert [json.loads(line)["event"] for line in done.stderr.splitlines()][-1] == "load_ended"
        assert "l%FF.load/rejected.ndjson" in report.read_text()
        assert (desk.load_dir / "report.html").exists()
