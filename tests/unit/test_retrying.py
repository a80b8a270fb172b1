"""Which load a retry is, from wherever it is asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from loader import directory, recall
from loader.aftermath import summary_of
from loader.checkpoint.log import Opening
from loader.checkpoint.recorder import Recorder
from loader.errors import ExitCode, UsageError
from loader.outcomes import Outcome, RecordOutcome, Settlement
from loader.records import Attempt, Window
from loader.report.export import REASONS, REJECTED, SUMMARY
from loader.report.summary import to_json
from loader.retrying import NothingLeft, retry_of
from loader.settings import LoadSettings, Target
from loader.source.batches import BatchCutter, Cut
from loader.source.lines import LineSplitter
from tests.line_checks import nothing_wrong

TARGET = Target("Leads", "https://crm.example", "https://accounts.example")
LINE = b'{"Last_Name":"n"}\n'


async def finished_load(source: Path, load_dir: Path, *, refused: bool = True) -> None:
    """A load of one line, which was refused or there already, as its run has left it."""
    settings = LoadSettings(input=str(source), load_dir=load_dir, target=TARGET, key="Email")
    identity = recall.recorded(recall.identity_of(settings))
    log = directory.create(settings, Opening(identity, 1000.0, "user"), organisation="org")
    recorder = Recorder(log, lambda _: None)
    splitter, cutter = LineSplitter(1000), BatchCutter(nothing_wrong, Cut(records_max=1))
    batches = [*cutter.feed(splitter.feed(source.read_bytes())), *cutter.feed(splitter.flush())]
    await recorder.intend(Window(batches))
    attempt = Attempt(1, 1, [1], [LINE])
    recorder.sent(attempt, 2000.0)
    outcome, code = (Outcome.REJECTED, "INVALID_DATA") if refused else (Outcome.DUPLICATE, "DUPLICATE_DATA")
    recorder.settle(attempt, Settlement(others=[RecordOutcome(1, outcome, code=code)]))
    await recorder.seal(3000.0)
    log.close()
    for name in (REASONS, REJECTED, SUMMARY) if refused else (SUMMARY,):
        (load_dir / name).write_bytes(LINE)


@pytest.fixture
async def load_dir(tmp_path: Path) -> Path:
    """A load, and a retry of it that was refused once more."""
    source = tmp_path / "leads.ndjson"
    source.write_bytes(LINE)
    load_dir = tmp_path / "leads.load"
    await finished_load(source, load_dir)
    await finished_load(load_dir / REJECTED, load_dir / "retry-1")
    return load_dir


def mend(rejected: Path) -> None:
    later = rejected.with_name(SUMMARY).stat().st_mtime_ns + 1_000_000_000
    os.utime(rejected, ns=(later, later))


async def test_what_the_last_retry_refused_is_not_sent_again_before_it_was_mended(load_dir: Path) -> None:
    found = await retry_of(load_dir)
    assert isinstance(found, NothingLeft)
    assert "was not mended" in found.why
    assert found.exit_code == 3
    assert str(load_dir / "retry-1" / REJECTED) in found.why


async def test_a_load_that_refused_none_has_nothing_to_retry(tmp_path: Path) -> None:
    source = tmp_path / "leads.ndjson"
    source.write_bytes(LINE)
    load_dir = tmp_path / "leads.load"
    await finished_load(source, load_dir, refused=False)
    found = await retry_of(load_dir)
    assert isinstance(found, NothingLeft)
    assert found.exit_code == 0
    assert found.why == f"the load of {load_dir} refused none"
    assert (found.load_dir, found.summary.outcomes.duplicate, found.summary.exit_code) == (load_dir, 1, 3)


async def test_rejected_records_that_somebody_has_moved_are_missed(tmp_path: Path) -> None:
    source = tmp_path / "leads.ndjson"
    source.write_bytes(LINE)
    load_dir = tmp_path / "leads.load"
    await finished_load(source, load_dir)
    (load_dir / REJECTED).unlink()
    with pytest.raises(UsageError, match="there are no rejected records to retry"):
        await retry_of(load_dir)


async def unfinished_load(tmp_path: Path, *, input_name: str, exit_code: int) -> Path:
    """A load whose only record is in doubt, as a run that ended with this exit code has left it."""
    source = tmp_path / "leads.ndjson"
    source.write_bytes(LINE)
    load_dir = tmp_path / "of the night.load"
    settings = LoadSettings(input=input_name or str(source), load_dir=load_dir, target=TARGET)
    identity = recall.recorded(recall.identity_of(settings))
    log = directory.create(settings, Opening(identity, 1000.0), organisation="org")
    recorder = Recorder(log, lambda _: None)
    splitter, cutter = LineSplitter(1000), BatchCutter(lambda _: (), Cut(records_max=1))
    batches = [*cutter.feed(splitter.feed(LINE)), *cutter.feed(splitter.flush())]
    await recorder.intend(Window(batches))
    attempt = Attempt(1, 1, [1], [LINE])
    recorder.sent(attempt, 2000.0)
    recorder.doubt(attempt, [1], "no answer", held=True)
    log.close()
    left = summary_of(directory.fold_quietly(load_dir), settings, stopped_by=ExitCode(exit_code))
    (load_dir / SUMMARY).write_bytes(to_json(left))
    return load_dir


@pytest.mark.parametrize(
    ("input_name", "exit_code", "first"),
    [
        ("", ExitCode.IN_DOUBT, "Settle them first, by a key or by your word: loader resolve"),
        ("", ExitCode.SIGTERM, "Finish it first: loader resume"),
        ("-", ExitCode.SIGTERM, "Finish it first: pipe the same bytes into its `loader load` again"),
    ],
)
async def test_a_load_that_is_not_at_its_end_is_told_what_to_do_first(
    tmp_path: Path, input_name: str, exit_code: int, first: str
) -> None:
    load_dir = await unfinished_load(tmp_path, input_name=input_name, exit_code=exit_code)
    with pytest.raises(UsageError) as raised:
        await retry_of(load_dir)
    assert raised.value.hint.startswith(first)
    assert raised.value.hint.endswith(f"loader resolve '{load_dir}'")


@pytest.mark.parametrize(
    ("here", "named"),
    [("", "leads.load"), ("leads.load", "."), ("leads.load", "retry-1"), ("leads.load/retry-1", ".")],
)
async def test_however_the_load_is_named_the_next_retry_is_the_same_one(
    load_dir: Path, monkeypatch: pytest.MonkeyPatch, here: str, named: str
) -> None:
    """From inside a retry, `.` must not begin a second line of retries: its records would be sent twice."""
    mend(load_dir / "retry-1" / REJECTED)
    monkeypatch.chdir(load_dir.parent / here)
    found = await retry_of(Path(named))
    assert isinstance(found, LoadSettings)
    assert found.load_dir.resolve() == load_dir / "retry-2"
    assert Path(found.input).resolve() == load_dir / "retry-1" / REJECTED
    assert (found.target, found.key) == (TARGET, "Email")
