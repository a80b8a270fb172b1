"""The report beside a load: whatever is wrong with it is told as a fault of the report, not of the load."""

from __future__ import annotations

from pathlib import Path

import pytest

from loader.checkpoint.entries import InputIdentity
from loader.checkpoint.log import Opening
from loader.directory import create
from loader.errors import DiskError
from loader.report.summary import Outcomes, Summary
from loader.reporting import REPORT, write_report
from loader.settings import LoadSettings, Target


def test_a_report_that_cannot_be_made_is_told_as_one_that_cannot_be_written(tmp_path: Path) -> None:
    target = Target("Leads", "http://127.0.0.1:1", "http://127.0.0.1:1")
    settings = LoadSettings(input="leads.ndjson", load_dir=tmp_path / "leads.load", target=target)
    create(settings, Opening(InputIdentity("file", "leads.ndjson", 3, 1, 1, 1), 1.0), organisation="").close()
    summary = Summary(load_id="X", module="Leads", input="leads.ndjson", records=1, outcomes=Outcomes(1))
    assert write_report(settings, summary).read_bytes()
    (settings.load_dir / REPORT).unlink()
    nobody_can_count_this: object = object()
    broken = Summary(
        load_id="X",
        module="Leads",
        input="in",
        records=1,
        outcomes=nobody_can_count_this,  # type: ignore[arg-type]
    )
    with pytest.raises(DiskError, match="cannot write the report") as raised:
        write_report(settings, broken)
    assert raised.value.why.startswith("AttributeError: ")
    assert not (settings.load_dir / REPORT).exists()
