"""The report beside a load: whatever is wrong with it is told as a fault of the report, not of the load."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from loader.aftermath import publish, summary_of
from loader.checkpoint.entries import (
    BatchEntry,
    Doubt,
    Entry,
    Head,
    InputIdentity,
    Open,
    Sent,
    WindowEntry,
    encode_frame,
    outcomes_of,
)
from loader.checkpoint.log import Opening
from loader.checkpoint.results import FEW_MAX
from loader.checkpoint.scan import fold, scan
from loader.directory import create, log_path
from loader.errors import DiskError
from loader.outcomes import Outcome, RecordOutcome, Settlement
from loader.report import export
from loader.report.summary import Outcomes, Summary
from loader.reporting import REPORT, Retelling, write_report
from loader.settings import LoadSettings, Target

INPUT = InputIdentity("file", "leads.ndjson", 3, 1, 1, 1)
SUMMARY = Summary(load_id="X", module="Leads", input="leads.ndjson", records=1, outcomes=Outcomes(1))


def begun(folder: Path) -> LoadSettings:
    target = Target("Leads", "http://127.0.0.1:1", "http://127.0.0.1:1")
    settings = LoadSettings(input=str(folder / "leads.ndjson"), load_dir=folder / "leads.load", target=target)
    create(settings, Opening(INPUT, 1.0), organisation="").close()
    return settings


def append(path: Path, entries: list[Entry]) -> None:
    offset = path.stat().st_size
    with path.open("ab") as file:
        for entry in entries:
            offset += file.write(encode_frame(entry, offset=offset, synced=0))


def refused(batches: int) -> list[Entry]:
    """So many batches of 50 records that were refused one by one, and one record in doubt."""
    entries: list[Entry] = []
    for number in range(1, batches + 1):
        lines = range(number * 50 - 49, number * 50 + 1)
        span = (number, lines.start, 50, lines.start * 3 - 3, lines.stop * 3 - 3, 0)
        others = [RecordOutcome(line, Outcome.REJECTED, code="BAD", message="no") for line in lines]
        entries.append(WindowEntry((BatchEntry(*span),)))
        entries.append(Sent(number, 1, ((lines.start, lines.stop),), 1.0 + number))
        if number == batches:
            entries.append(Doubt(number, 1, ((others.pop().line, lines.stop),), "lost", True, 1.5 + number))
        entries.append(outcomes_of(number, 1, Settlement(others=others), at=1.5 + number))
    return entries


@pytest.mark.parametrize("batches", [2, FEW_MAX // 50 + 1], ids=["few", "more than are held at once"])
def test_the_report_made_beside_the_rejected_records_is_the_one_made_of_the_log(
    tmp_path: Path, batches: int
) -> None:
    settings = begun(tmp_path)
    records = batches * 50
    Path(settings.input).write_bytes(b"{}\n" * records)
    append(log_path(settings.load_dir), refused(batches))
    summary = summary_of(fold(log_path(settings.load_dir)), settings)
    publish(settings, summary, lambda event: pytest.fail(f"{event}"))
    beside = (settings.load_dir / REPORT).read_bytes()
    assert b"BAD" in beside
    assert write_report(settings, summary).read_bytes() == beside
    reasons = (settings.load_dir / export.REASONS).read_bytes().splitlines()
    assert [msgspec.json.decode(one)["line"] for one in reasons] == list(range(1, records))
    assert (settings.load_dir / export.IN_DOUBT).read_bytes() == b"{}\n"


def test_a_fault_of_the_report_does_not_disturb_whoever_reads_the_log_beside_it(tmp_path: Path) -> None:
    settings = begun(tmp_path)
    entries = [entry for _, entry in scan(log_path(settings.load_dir))]
    assert [type(entry) for entry in entries] == [Head, Open]
    retelling = Retelling()
    for entry in [entries[0], *refused(1)]:  # of a run that never began
        retelling.apply(entry)
    with pytest.raises(DiskError, match="cannot write the report") as raised:
        write_report(settings, SUMMARY, chronicle=retelling.chronicle)
    assert raised.value.why.startswith("IndexError: ")


def test_a_report_that_cannot_be_made_is_told_as_one_that_cannot_be_written(tmp_path: Path) -> None:
    settings = begun(tmp_path)
    assert write_report(settings, SUMMARY).read_bytes()
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
