"""Whether somebody has worked on `rejected.ndjson` since a run wrote it: it may be a day's work."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from loader.aftermath import is_mended
from loader.outcomes import Outcome, RecordOutcome
from loader.report import export
from loader.report.summary import Outcomes, Summary
from loader.source.lookup import OriginalLine

SUMMARY = Summary(load_id="X", module="Leads", input="in", records=2, outcomes=Outcomes(rejected=2))
REFUSED = [RecordOutcome(line, Outcome.REJECTED, code="INVALID_DATA") for line in (1, 2)]


def publish(load_dir: Path, *, line_bytes: int = 10) -> Path:
    """What a run that refused two records leaves."""

    def lines(wanted: Iterable[int], /) -> Iterator[OriginalLine]:
        return (OriginalLine(line, 0, b"x" * line_bytes + b"\n") for line in wanted)

    export.write_exports(load_dir, SUMMARY, REFUSED, lines)
    return load_dir / export.REJECTED


@pytest.mark.parametrize("line_bytes", [10, 300_000], ids=["short lines", "lines longer than a buffer"])
def test_what_a_run_wrote_is_not_mended(tmp_path: Path, line_bytes: int) -> None:
    for _ in range(20):
        publish(tmp_path, line_bytes=line_bytes)
        assert not is_mended(tmp_path)


def test_without_the_file_nothing_is_mended(tmp_path: Path) -> None:
    assert not is_mended(tmp_path)
    publish(tmp_path).unlink()
    assert not is_mended(tmp_path)


def _shift(path: Path, seconds: float) -> None:
    moved = path.stat().st_mtime_ns + int(seconds * 1e9)
    os.utime(path, ns=(moved, moved))


CHANGES: dict[str, Callable[[Path], object]] = {
    "edited later": lambda rejected: _shift(rejected, 60),
    "replaced by a file that kept its older date": lambda rejected: _shift(rejected, -3600),
    "the summary is gone": lambda rejected: rejected.with_name(export.SUMMARY).unlink(),
    "the reasons are gone": lambda rejected: rejected.with_name(export.REASONS).unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_not_as_the_run_left_it_counts_as_mended(tmp_path: Path, change: str) -> None:
    CHANGES[change](publish(tmp_path))
    assert is_mended(tmp_path)
