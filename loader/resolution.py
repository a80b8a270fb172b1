"""A person's word on records in doubt: written into the log, nothing is sent."""

from __future__ import annotations

from pathlib import Path

import anyio.to_thread

from loader import directory, recall
from loader.aftermath import open_doubts_of, publish, summary_of
from loader.checkpoint import ranges
from loader.checkpoint.ledger import Ledger
from loader.checkpoint.log import CheckpointLog, Opening
from loader.checkpoint.ranges import Ranges
from loader.checkpoint.recorder import Recorder
from loader.checkpoint.unsettled import OpenBatch
from loader.errors import LoaderError, UsageError, command
from loader.events import Observer, Warned
from loader.outcomes import Outcome, RecordOutcome, Settlement
from loader.records import Attempt
from loader.report.closing import OpenDoubts
from loader.report.standing import survived
from loader.report.summary import Summary
from loader.settings import LoadSettings
from loader.source.streams import open_input

WORD = "by a person's word"


async def resolve_by_word(
    settings: LoadSettings, *, applied: bool, lines: Ranges | None, observe: Observer
) -> tuple[Summary, OpenDoubts]:
    """Take the records in doubt (`lines`: only these) as inserted, or as not applied.

    Those not applied may be sent again by the next `resume`; those applied have their outcome, without an id.

    Raises:
        UsageError: there is no load, or some of the lines are not in doubt; nothing is changed then.
        LockedError: a loader is at work here.
        DiskError: the log cannot be read or written.
    """
    log = directory.open_existing(settings.load_dir)
    if log is None:
        raise directory.no_load(settings.load_dir)
    try:
        ledger = log.ledger
        if ledger.sealed:
            return summary_of(ledger, settings), open_doubts_of(ledger, settings)
        assert ledger.last_open is not None, "a log that has a load has been opened"
        if lines is not None:
            _require_in_doubt(_seen_from_outside(settings.load_dir), lines, settings.load_dir)
        # The input is not looked at, so what is known of it stays as it is; and so does the time.
        log.begin(Opening(ledger.last_open.input, ledger.latest_at))
        # What a failed disk had left beside the log is read only now, and may have settled some.
        _require_in_doubt(ledger, lines, settings.load_dir)
        recorder = Recorder(log, observe)
        for batch in list(ledger.open_batches()):
            chosen = batch.in_doubt if lines is None else ranges.intersection(batch.in_doubt, lines)
            if chosen:
                await _write(recorder, batch, chosen, applied=applied)
        await log.sync()
        await _seal_if_complete(log, recorder, settings, observe)
        summary, doubts = summary_of(ledger, settings), open_doubts_of(ledger, settings)
    finally:
        log.close()
    await anyio.to_thread.run_sync(publish, settings, summary, observe)
    return summary, doubts


def _seen_from_outside(load_dir: Path) -> Ledger:
    """The ledger as it will be when this log is opened, found out before anything is written to it."""
    path = directory.log_path(load_dir)
    ledger = directory.fold_quietly(load_dir)
    beside = any(path.parent.glob(f"{path.name}.side-*"))
    ledger.stop(survived=survived(ledger) and not beside)
    return ledger


async def _write(recorder: Recorder, batch: OpenBatch, lines: Ranges, *, applied: bool) -> None:
    attempt = Attempt(batch.number, batch.last_attempt, ranges.to_lines(lines), ())
    if applied:
        words = f"taken as inserted {WORD}"
        recorder.settle(attempt, Settlement(others=[_inserted(line, words) for line in attempt.lines]))
    else:
        await recorder.resolve(attempt, by="person", evidence=f"not applied, {WORD}", at=0.0)


def _inserted(line: int, words: str) -> RecordOutcome:
    return RecordOutcome(line, Outcome.INSERTED, message=words, recovered=True)


def _require_in_doubt(ledger: Ledger, lines: Ranges | None, load_dir: Path) -> None:
    in_doubt = ranges.NONE
    for batch in ledger.open_batches():
        in_doubt = ranges.union(in_doubt, batch.in_doubt)
    strange = ranges.difference(lines or ranges.NONE, in_doubt)
    if strange:
        first = ", ".join(f"{line:,}" for line in ranges.to_lines(strange)[:5])
        raise UsageError(
            "some of these lines are not in doubt",
            why=f"{ranges.count(strange):,} of {ranges.count(lines or ranges.NONE):,}: {first} ...",
            hint=f"Those that are: {command('results', load_dir)} --outcome in_doubt",
        )


async def _seal_if_complete(
    log: CheckpointLog, recorder: Recorder, settings: LoadSettings, observe: Observer
) -> None:
    """The load is complete if nothing of its input is left; where that cannot be seen, `resume` will tell."""
    if log.ledger.open_records or settings.from_stdin:
        return
    try:
        async with await open_input(settings.input) as stream:
            await recall.compare(stream, log.ledger, settings, identity=recall.identity_of(settings))
            if await stream.read() == b"":
                await recorder.seal(log.ledger.latest_at)
    except LoaderError as error:
        observe(Warned(f"the load is not marked as complete, since its input cannot be compared: {error}"))
