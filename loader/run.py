"""One run of a load whose log is open: the parts are built, run and summed up.

What is known about the service and the input comes from `job`; how each part works is the part's own.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import nullcontext, suppress
from functools import partial

import anyio
import anyio.to_thread
import msgspec

from loader import recall
from loader.aftermath import Kept, open_doubts_of, publish, summary_of
from loader.checkpoint import scan
from loader.checkpoint.log import CheckpointLog
from loader.checkpoint.recorder import Recorder
from loader.connection import Connection, steady_time
from loader.delivery.account import Account
from loader.delivery.additions import Additions
from loader.delivery.asking import Asker, CrmResolver, Sender
from loader.delivery.deliver import Delivery
from loader.delivery.doubts import Doubts, DoubtSettings, Rung
from loader.delivery.keys import KeyReader, OpenKeys, shared_keys
from loader.delivery.stamp import Stamp
from loader.errors import (
    DiskError,
    LoaderError,
    TooManyRejectedError,
    command,
    remedy,
)
from loader.events import FieldsIgnored, LoadOpened, Observer, WindowCut
from loader.outcomes import Outcome
from loader.pipeline import DRAIN_S, Pipeline
from loader.preflight import Preflight
from loader.records import Attempt, Window
from loader.report.closing import OpenDoubts
from loader.report.summary import IGNORED_MAX, Summary
from loader.schema.activities import is_recurring
from loader.schema.check import Checker
from loader.schema.fields import Module
from loader.schema.problems import STAMP_TAKEN, Problem
from loader.settings import LoadSettings
from loader.signals import StopSignals
from loader.source.batches import BatchCutter, Check
from loader.source.lines import LineSplitter
from loader.source.reader import Reader
from loader.source.streams import InputStream

_RECURRING = frozenset({"tasks", "events"})
"""Modules whose records may recur (insert-records page: events, tasks); no other pays for looking."""


class Finished(msgspec.Struct, frozen=True):
    """How a run of the load ended."""

    summary: Summary
    error: LoaderError | None
    """Why it stopped before its end, if it did."""
    doubts: OpenDoubts = OpenDoubts()


class Parts(msgspec.Struct, frozen=True):
    """What a run is given: opened, locked and connected."""

    rung: Rung
    log: CheckpointLog
    stream: InputStream
    line: Connection
    facts: Preflight
    stops: StopSignals


class Run:
    """One run of a load whose log is open: from the first attempt to the summary."""

    def __init__(self, settings: LoadSettings, parts: Parts, *, observe: Observer) -> None:
        self._settings = settings
        self._log = parts.log
        self._stream = parts.stream
        self._line = parts.line
        self._facts = parts.facts
        self._stops = parts.stops
        self._rung = parts.rung
        self._observe = observe
        head = parts.log.ledger.head
        assert head is not None, "an open log has a head"
        self._stamp = Stamp(settings.stamp, head.load_id) if settings.stamp else None
        self._additions = Additions(
            stamp=self._stamp, layout_id=settings.layout_id, approval_mode=settings.approval_mode
        )
        self._alone = is_recurring if settings.target.module.lower() in _RECURRING else None
        self._kept = Kept(settings)
        self._recorder = Recorder(
            parts.log,
            observe,
            input_bytes_read=lambda: parts.stream.stored_bytes_read,
            clock=self._server_time,
        )
        self._pipeline = Pipeline(gate=parts.line.gate, intend=self._intend, concurrency=settings.concurrency)
        self._reader = self._make_reader()
        self._told_ignored = False

    async def to_the_end(
        self, remembered: recall.Remembered, *, began: float, only_doubts: bool = False
    ) -> Finished:
        """Run, seal if all is settled, write the files, sum up.

        `only_doubts`: settle what is in doubt; send nothing else, whether it was sent before or not.
        """
        ledger = self._log.ledger
        self._tell_opened()
        first = list(recall.unfinished(ledger, remembered, keyed=self._rung is not Rung.HOLD))
        windows = self._reader.windows()
        if only_doubts:
            first = [attempt for attempt in first if attempt.in_doubt]
            windows = _none_of(windows)
        self._stops.first = partial(self._pipeline.stop, drain_s=DRAIN_S)
        self._stops.second = self._pipeline.abandon
        if not only_doubts:
            self._stop_if_enough_were_rejected()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._log.keep_synced)
            await self._pipeline.run(first, windows, deliver=self._deliver(first))
            tasks.cancel_scope.cancel()
        self._stops.first = self._stops.second = _finish_writing
        error = self._pipeline.error or self._log.poisoned
        if error is None and self._reader.ended and not ledger.open_records and not self._pipeline.stopping:
            await self._recorder.seal(self._server_time())
        self._kept.close()
        summary = summary_of(
            ledger,
            self._settings,
            run_s=time.monotonic() - began,
            refreshes=self._line.tokens.refreshes,
            stopped_by=self._stops.exit_code if error is None else error.exit_code,
            ignored_fields=self._ignored_fields(),
        )
        with suppress(LoaderError) if error is not None else nullcontext():
            await anyio.to_thread.run_sync(publish, self._settings, summary, self._observe, error)
        return Finished(summary, error, open_doubts_of(ledger, self._settings))

    def _deliver(self, first: Sequence[Attempt]) -> Callable[[Attempt], Awaitable[None]]:
        settings, line = self._settings, self._line
        account = Account(self._kept.beside(self._recorder), self._observe)
        delivery = Delivery(
            settings.target.module,
            transport=line.transport,
            account=account,
            doubts=self._doubts(first, account),
            gate=line.gate,
            rest=self._pipeline.rest,
            server_time=self._server_time,
            # A stamp is never borne twice.
            open_keys=OpenKeys(KeyReader(settings.key)) if settings.key and not settings.stamp else None,
            options=settings.options,
            alone=self._alone,
        )

        async def deliver_and_count(attempt: Attempt) -> None:
            await delivery.deliver(attempt)
            self._require_few_rejected()

        return deliver_and_count

    def _doubts(self, first: Sequence[Attempt], account: Account) -> Doubts:
        settings, line = self._settings, self._line
        key = settings.stamp or settings.key
        in_doubt = [attempt for attempt in first if attempt.in_doubt]
        shared = shared_keys(key, in_doubt) if key and not settings.stamp else frozenset[str]()
        asker = Asker(
            settings.target.module,
            key,
            self._log.ledger.user_ids,
            stamped=bool(settings.stamp),
            series=self._alone is not None,
        )
        sender = Sender(line.transport.ready, line.transport.send, line.transport.renew_token, line.gate)
        return Doubts(
            DoubtSettings(self._rung, key, settings.quiet_period_s, shared),
            account=account,
            resolver=CrmResolver(asker, sender, lines_with_ids=self._lines_with_ids),
            gate=line.gate,
            rest=self._pipeline.rest,
            server_time=self._server_time,
            additions=self._additions,
        )

    def _make_reader(self) -> Reader:
        settings, ledger = self._settings, self._log.ledger
        # Without the check too, a line that is no JSON object would break its neighbours' call. And a module
        # without a name has no rules.
        module = self._facts.module if settings.check else Module("", ())
        limit = None if settings.limit is None else max(0, settings.limit - ledger.records)
        line, start = ledger.next_line, ledger.next_offset
        self._checker = Checker(module, now=self._server_time, layout_id=settings.layout_id)
        check = self._kept.watch(_unstamped(self._checker.problems_of, self._stamp))
        cutter = BatchCutter(
            check, first_line=line, start=start, number=ledger.next_batch, limit=limit, alone=self._alone
        )
        splitter = LineSplitter(settings.line_bytes_max, first_line=line, start=start)
        return Reader(self._stream, splitter, cutter, batches_per_window=settings.concurrency)

    def _ignored_fields(self) -> tuple[str, ...]:
        # A field that the built-in schema does not have may be one of the organisation's own.
        return self._checker.ignored if self._facts.metadata_read else ()

    async def _intend(self, window: Window) -> None:
        self._kept.keep_invalid(window)
        if window.batches:
            self._observe(WindowCut(self._reader.read_s, self._reader.check_s))
        if not self._told_ignored and (names := self._ignored_fields()):
            self._told_ignored = True
            self._observe(FieldsIgnored(names[:IGNORED_MAX]))
        await self._recorder.intend(window)
        self._require_few_rejected()

    def _stop_if_enough_were_rejected(self) -> None:
        """By the runs before: this one would send a window more only to find that out."""
        try:
            self._require_few_rejected()
        except TooManyRejectedError as error:
            self._pipeline.stop(error)

    def _require_few_rejected(self) -> None:
        allowed = self._settings.max_rejected
        if allowed is None:
            return
        tally = self._log.ledger.tally()
        refused = tally.rejected + tally.invalid
        if allowed.exceeded_by(refused, of=tally.records - tally.pending - tally.in_doubt):
            raise TooManyRejectedError(
                f"{refused:,} records were refused, more than --max-rejected allows",
                why=", ".join(f"{one.code} {one.field} {one.count:,}" for one in tally.errors[:3]),
                hint=f"See why: {command('results', self._settings.load_dir)} --failed",
            )

    async def _lines_with_ids(self, ids: Collection[str]) -> Mapping[str, Collection[int]]:
        if not ids:
            return {}
        try:
            return await anyio.to_thread.run_sync(partial(scan.find_ids, self._log.path, ids))
        except OSError as error:
            raise DiskError(
                f"the checkpoint log {self._log.path} cannot be read",
                why=error.strerror or str(error),
                hint=f"{remedy(error, 'Look after the disk')}, then:"
                f" {command('resume', self._log.path.parent)}",
            ) from error

    def _server_time(self) -> float:
        # By a clock that nobody sets: a record's time decides whose it is.
        return steady_time() + self._facts.clock_offset_s

    def _tell_opened(self) -> None:
        ledger, target = self._log.ledger, self._settings.target
        tally = ledger.tally()
        assert ledger.head is not None
        self._observe(
            LoadOpened(
                ledger.head.load_id,
                target.module,
                target.api_url.partition("://")[2],
                self._settings.input,
                self._stream.stored_bytes,
                ledger.resumes,
                {outcome: tally.count(outcome) for outcome in Outcome},
                tally.errors,
            )
        )


async def _none_of(windows: AsyncIterator[Window]) -> AsyncIterator[Window]:
    """No window; but where there is none to give, the reader knows afterwards that the input has ended."""
    async for window in windows:
        if not window.batches:
            yield window
        return


def _finish_writing() -> None:
    """Sends are over: writing the files takes a moment and may as well be finished."""


def _unstamped(check: Check, stamp: Stamp | None) -> Check:
    """The same check; with a stamp, a line may not have a value of its own where the stamp goes."""
    if stamp is None:
        return check

    taken = Problem(
        STAMP_TAKEN,
        f"the line has a {stamp.field} of its own, and --stamp writes into that field; remove it from the"
        " line, or stamp another field",
        stamp.field,
    )

    def checked(raws: Sequence[bytes]) -> Sequence[Sequence[Problem]]:
        found = zip(raws, check(raws), strict=True)
        return [[taken] if not problems and stamp.taken(raw) else problems for raw, problems in found]

    return checked
