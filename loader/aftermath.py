"""What a run leaves behind: the summary, and the files of rejected and held records."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from loader import retries
from loader.checkpoint import ranges, scan
from loader.checkpoint.entries import Head
from loader.checkpoint.ledger import Ledger
from loader.checkpoint.results import FEW_MAX, few_outcomes_in_order, outcomes_in_order, why_in_doubt
from loader.delivery.account import Recorder
from loader.directory import log_path
from loader.errors import DiskError, ExitCode, LoaderError, command
from loader.events import Observer, Warned
from loader.outcomes import Outcome, RecordOutcome, Settlement
from loader.records import Attempt, Window
from loader.report import export
from loader.report.closing import OpenDoubts
from loader.report.summary import Effort, Summary, from_json, summarise
from loader.reporting import Retelling, write_report
from loader.schema.problems import Problem
from loader.settings import LoadSettings
from loader.source.batches import LINE_TOO_LONG, Check
from loader.source.lookup import Lookup, OriginalLine, lines_of
from loader.source.spool import Spool, spooled

SPOOL = "stdin-lines"
"""Lines of stdin that were not inserted: rejected.ndjson and in-doubt.ndjson are made of them."""


class Kept:
    """Keeps those lines of stdin that will be shown to a person. For a file it does nothing."""

    def __init__(self, settings: LoadSettings) -> None:
        self._spool = Spool(settings.load_dir / SPOOL) if settings.from_stdin else None
        self._failed: deque[bytes] = deque()

    def watch(self, check: Check) -> Check:
        """The same check; lines that fail it are remembered until their window closes."""
        if self._spool is None:
            return check

        def watched(raws: Sequence[bytes]) -> Sequence[Sequence[Problem]]:
            found = check(raws)
            self._failed.extend(raw for raw, problems in zip(raws, found, strict=True) if problems)
            return found

        return watched

    def keep_invalid(self, window: Window) -> None:
        """Keep the invalid lines of a window, which failed the check in this order."""
        if self._spool is None:
            return
        for batch in window.batches:
            for one in batch.invalid:
                if one.code != LINE_TOO_LONG:  # it was never whole in memory
                    self._spool.keep(one.line, self._failed.popleft())

    def beside(self, recorder: Recorder) -> Recorder:
        """The recorder, keeping each line before its outcome is written."""
        return recorder if self._spool is None else _KeepingRecorder(recorder, self._spool)

    def close(self) -> None:
        if self._spool is not None:
            self._spool.close()


class _KeepingRecorder:
    def __init__(self, recorder: Recorder, spool: Spool) -> None:
        self._recorder = recorder
        self._spool = spool
        self.sent = recorder.sent
        self.not_applied = recorder.not_applied
        self.resolve = recorder.resolve
        self.intend_again = recorder.intend_again

    def settle(self, attempt: Attempt, settlement: Settlement) -> None:
        self._keep(attempt, {one.line for one in settlement.others if one.outcome is Outcome.REJECTED})
        self._recorder.settle(attempt, settlement)

    def doubt(self, attempt: Attempt, lines: Sequence[int], reason: str, *, held: bool) -> None:
        if held:
            self._keep(attempt, set(lines))
        self._recorder.doubt(attempt, lines, reason, held=held)

    def _keep(self, attempt: Attempt, lines: set[int]) -> None:
        for line, record in zip(attempt.lines, attempt.records, strict=False):
            if line in lines:
                self._spool.keep(line, record)


def summary_of(
    ledger: Ledger,
    settings: LoadSettings,
    *,
    run_s: float | None = None,
    refreshes: int = 0,
    stopped_by: ExitCode | None = None,
    ignored_fields: Sequence[str] = (),
) -> Summary:
    """Where the load stands after a run of `run_s` seconds, or by its log alone.

    `ignored_fields`: those that this run has met; earlier ones are in the summary that its last run left.
    A finished load gives the summary that it left when it finished.
    """
    stored = stored_summary(settings.load_dir)
    if run_s is None and ledger.sealed and stored is not None and stored.complete:
        return stored
    assert ledger.head is not None
    tally = ledger.tally()
    latest_s = ledger.latest_run_s if run_s is None else run_s
    effort = Effort(
        credits=tally.credits,
        refreshes=refreshes + (stored.refreshes if stored is not None else 0),
        seconds=ledger.earlier_s + latest_s,
    )
    return summarise(
        tally,
        load_id=ledger.head.load_id,
        module=ledger.head.module,
        input_name=settings.input,
        effort=effort,
        lines=ledger.next_line - 1,
        complete=ledger.sealed,
        ok_duplicates=settings.ok_duplicates,
        stopped_by=stopped_by,
        ignored_fields=(*(stored.ignored_fields if stored is not None else ()), *ignored_fields),
    )


def open_doubts_of(ledger: Ledger, settings: LoadSettings) -> OpenDoubts:
    """Why records of the load are in doubt, as far as the log says it; the most frequent reason first."""
    found: Counter[str] = Counter()
    for batch in ledger.open_batches():
        for reason, lines in why_in_doubt(batch):
            found[reason] += ranges.count(lines)
    reasons = [(reason, count) for reason, count in found.most_common() if count]
    return OpenDoubts(reasons, asked=bool(settings.key or settings.stamp))


def stored_summary(load_dir: Path) -> Summary | None:
    """The summary that the last run left, if it left one that can be read."""
    with suppress(OSError, msgspec.DecodeError):
        return from_json((load_dir / export.SUMMARY).read_bytes())
    return None


def publish(
    settings: LoadSettings, summary: Summary, observe: Observer, error: LoaderError | None = None
) -> None:
    """Write the files of the load directory that are made of outcomes, and the report.

    `error` is what stopped the load, if something did.

    Raises:
        DiskError: one of them could not be written.
    """
    path = log_path(settings.load_dir)
    _require_own(path, summary.load_id)
    mended = _keep_mended(settings.load_dir)
    if mended is not None:
        observe(Warned(f"{export.REJECTED} was changed after it was written: that file is {mended} now"))
    counted = summary.outcomes
    # Most loads have none, and then there is no reason to read what may be millions of outcomes for them.
    failed = sum(counted.of(one) for one in export.FAILED)
    retelling = Retelling()
    outcomes: Iterator[RecordOutcome] = iter(())
    if failed:
        read = few_outcomes_in_order if failed <= FEW_MAX else outcomes_in_order
        outcomes = read(path, only=export.FAILED, watch=retelling.apply)
    retry = str(retries.first_of(settings.load_dir))
    missing = export.write_exports(settings.load_dir, summary, outcomes, lookup_of(settings), retry=retry)
    if missing:
        observe(Warned(f"{missing:,} lines could not be read again: they are not in {export.REJECTED}"))
    write_report(settings, summary, error=error, chronicle=retelling.chronicle if failed else None)


def is_mended(load_dir: Path) -> bool:
    """Whether the rejected records are not as the last run wrote them: somebody has worked on them."""
    rejected = load_dir / export.REJECTED
    with suppress(FileNotFoundError):
        written = rejected.stat().st_mtime_ns
        with suppress(FileNotFoundError):
            # A run writes their reasons before them, and the summary as its last file.
            before = (load_dir / export.REASONS).stat().st_mtime_ns
            return not before <= written <= (load_dir / export.SUMMARY).stat().st_mtime_ns
        return True
    return False


def _require_own(path: Path, load_id: str) -> None:
    """What has taken the log's place during the load says nothing about its records."""
    why = "it is not the log of this load any more"
    try:
        _, head = next(scan.scan(path), (0, None))
        if isinstance(head, Head) and head.load_id == load_id:
            return
    except OSError as error:
        why = error.strerror or str(error)
    raise DiskError(
        f"the reports of this load cannot be written: {path}",
        why=why,
        hint=f"Look after the disk; then, if that log is still there: {command('resume', path.parent)}",
    )


def _keep_mended(load_dir: Path) -> Path | None:
    """Gives another name to rejected records that are not as the last run wrote them."""
    rejected = load_dir / export.REJECTED
    try:
        if not is_mended(load_dir):
            return None
        number = 1
        while (kept := rejected.with_name(f"{export.REJECTED}.mended-{number}")).exists():
            number += 1
        rejected.rename(kept)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DiskError(
            f"{rejected} was changed after it was written, and cannot be kept under another name",
            why=error.strerror or str(error),
            hint=f"Keep it elsewhere, then: {command('resume', load_dir)}",
        ) from error
    return kept


def lookup_of(settings: LoadSettings) -> Lookup:
    """Where the original lines of a load are found."""
    if not settings.from_stdin:
        return lines_of(settings.input, line_bytes_max=settings.line_bytes_max)
    path = settings.load_dir / SPOOL

    def look(wanted: Iterable[int]) -> Iterator[OriginalLine]:
        return spooled(path, wanted) if path.exists() else iter(())

    return look
