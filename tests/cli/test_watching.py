"""What a monitoring system is told by a whole load: a metrics file and lines of JSON, through the command."""

from __future__ import annotations

import json
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

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


def test_an_error_is_a_line_of_json_too(tmp_path: Path) -> None:
    with sandbox(tmp_path) as crm:
        desk = Desk(tmp_path, crm, tmp_path / "no-such-file.ndjson", ("--log-format", "json"))
        finished = desk.load().ended(2)
        (line,) = [json.loads(line) for line in finished.stderr.splitlines()]
        assert (line["event"], line["level"], line["exit_code"]) == ("load_ended", "error", 2)
        assert "no-such-file.ndjson" in line["error"]["what"]
