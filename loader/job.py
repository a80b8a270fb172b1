"""One load from its directory to its summary: the composition root.

It locks and folds the log, compares the input, asks the service who we are, builds the parts, runs them, and
says how it ended. What the parts do is theirs.
"""

from __future__ import annotations

import secrets
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from loader import preflight, recall
from loader.aftermath import Kept, publish, summary_of
from loader.checkpoint import scan
from loader.checkpoint.entries import FORMAT_VERSION, Head
from loader.checkpoint.log import CheckpointLog, Opening
from loader.checkpoint.recorder import Recorder
from loader.client.tokens import Tokens
from loader.client.transport import HttpTransport
from loader.delivery.asking import Asker, CrmResolver, Sender
from loader.delivery.deliver import Delivery, DeliverySettings
from loader.errors import (
    DiskError,
    ExitCode,
    LoaderError,
    TooManyRejectedError,
    UsageError,
)
from loader.events import LoadOpened, LoadStopping, Observer, Warned
from loader.pipeline import Pipeline
from loader.preflight import Preflight, Service
from loader.recall import log_path
from loader.records import Attempt, Window
from loader.report.summary import Summary
from loader.schema.check import Checker
from loader.schema.fields import Module
from loader.settings import Credentials, LoadSettings, Target
from loader.source.batches import BatchCutter
from loader.source.lines import LineSplitter
from loader.source.reader import Reader
from loader.source.streams import InputStream, open_input
from loader.throttle.gate import Gate, GateSettings
from loader.wire.oauth import DATA_CENTRES

_SIGNAL_EXITS = {signal.SIGINT: ExitCode.SIGINT, signal.SIGTERM: ExitCode.SIGTERM}


class Finished(msgspec.Struct, frozen=True):
    """How a run of the load ended."""

    summary: Summary
    error: LoaderError | None
    """Why it stopped before its end, if it did."""


async def load(
    settings: LoadSettings,
    credentials: Callable[[], Credentials],
    *,
    observe: Observer,
    fresh: bool = False,
) -> Finished:
    """Begin a load, or go on with it where its log says; `fresh` sets aside what is in its directory.

    `credentials` is called only where there is something to send.

    Raises:
        LoaderError: nothing was begun, and no record was sent.
    """
    began = time.monotonic()
    identity = recall.identity_of(settings)
    if fresh:
        _set_aside(settings.load_dir)
    async with AsyncExitStack() as stack:
        log = _open_existing(settings.load_dir)
        if log is not None:
            stack.callback(log.close)
            _require_head(log, settings)
        stream = await stack.enter_async_context(await open_input(settings.input))
        remembered: recall.Remembered = {}
        if log is not None:
            remembered = await recall.compare(stream, log.ledger, settings, identity=identity)
            if log.ledger.sealed:
                return Finished(summary_of(log.ledger, settings), None)
        line = await stack.enter_async_context(_connect(settings, credentials(), observe))
        facts = await preflight.ask(line.service, settings.target.module, observe=observe)
        _require_same_data_centre(settings.target, line.tokens.api_domain)
        opening = Opening(recall.recorded(identity), time.time() + facts.clock_offset_s, facts.user_id)
        if log is None:
            log = _create(settings, facts, opening)
            stack.callback(log.close)
        else:
            _require_same_organisation(log, facts, settings)
            log.begin(opening)
        run = _Run(settings, log, stream, line, facts=facts, observe=observe)
        return await run.to_the_end(remembered, began=began)


def _set_aside(load_dir: Path) -> None:
    """Rename a load directory, so that nothing of it is lost and a load can begin in its place."""
    if not load_dir.exists():
        return
    with suppress(DiskError):  # a damaged log is a reason to start over
        if (log := _open_existing(load_dir)) is not None:
            log.close()
    number = 1
    while (aside := load_dir.with_name(f"{load_dir.name}.old-{number}")).exists():
        number += 1
    load_dir.rename(aside)


def _open_existing(load_dir: Path) -> CheckpointLog | None:
    path = log_path(load_dir)
    if not path.exists():
        return None
    try:
        return CheckpointLog.open(path)
    except UsageError:
        return None  # a load that crashed before its first frame was whole: it is begun anew


def _require_head(log: CheckpointLog, settings: LoadSettings) -> None:
    assert log.ledger.head is not None, "an open log has a head"
    recall.require_same_target(log.ledger.head, settings)


def _require_same_data_centre(target: Target, api_domain: str) -> None:
    """Credentials of another data centre are never accepted: say so, instead of "invalid token"."""
    official = {centre.api_url: name for name, centre in DATA_CENTRES.items()}
    if target.api_url in official and api_domain in official and api_domain != target.api_url:
        raise UsageError(
            "the credentials belong to another data centre",
            why=f"they are for {api_domain}; this load goes to {target.api_url}",
            hint=f"Use --dc {official[api_domain]}.",
        )


def _require_same_organisation(log: CheckpointLog, facts: Preflight, settings: LoadSettings) -> None:
    before = log.ledger.head.organisation if log.ledger.head else ""
    if before and facts.organisation and before != facts.organisation:
        raise UsageError(
            f"{settings.load_dir} belongs to another organisation",
            why=f"it began in organisation {before}; these credentials belong to {facts.organisation}",
            hint="Use the credentials that it began with, or another directory: --load-dir DIR",
        )


def _create(settings: LoadSettings, facts: Preflight, opening: Opening) -> CheckpointLog:
    head = Head(
        format_version=FORMAT_VERSION,
        load_id=_new_load_id(),
        created_at=opening.at,
        module=settings.target.module,
        api_url=settings.target.api_url,
        organisation=facts.organisation,
        key=settings.key,
        key_unique=settings.key_unique,
        limit=settings.limit,
        check=settings.check,
        options={
            "accounts_url": settings.target.accounts_url,
            "ok_duplicates": "yes" if settings.ok_duplicates else "no",
            "concurrency": str(settings.concurrency),
            "quiet_period_s": str(settings.quiet_period_s),
        },
        input=opening.input,
    )
    return CheckpointLog.create(log_path(settings.load_dir), head, opening)


def _new_load_id() -> str:
    """Names a load: short enough to read out, long enough to be the only one."""
    letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    text = "".join(secrets.choice(letters) for _ in range(8))
    return f"{text[:4]}-{text[4:]}"


class _Line(msgspec.Struct, frozen=True):
    """The connection to the service, and the gate before it."""

    transport: HttpTransport
    tokens: Tokens
    gate: Gate
    service: Service


@asynccontextmanager
async def _connect(
    settings: LoadSettings, credentials: Credentials, observe: Observer
) -> AsyncIterator[_Line]:
    target = settings.target
    host = target.api_url.partition("://")[2]
    gate = Gate(GateSettings(settings.concurrency, settings.rate, settings.patience_s, host), observe=observe)
    accounts = HttpTransport(target.accounts_url, None, timeout_s=settings.timeout_s, connections=1)
    tokens = Tokens(
        credentials,
        accounts_url=target.accounts_url,
        send=accounts.send,
        patience_s=settings.patience_s,
        observe=observe,
    )
    transport = HttpTransport(
        target.api_url, tokens, timeout_s=settings.timeout_s, connections=settings.concurrency
    )
    async with accounts, transport:
        service = Service(transport.send, transport.renew_token, gate, host, time.time)
        yield _Line(transport, tokens, gate, service)


class _Run:
    """One run of a load whose log is open: from the first attempt to the summary."""

    def __init__(
        self,
        settings: LoadSettings,
        log: CheckpointLog,
        stream: InputStream,
        line: _Line,
        *,
        facts: Preflight,
        observe: Observer,
    ) -> None:
        self._settings = settings
        self._log = log
        self._stream = stream
        self._line = line
        self._facts = facts
        self._observe = observe
        self._kept = Kept(settings)
        self._recorder = Recorder(log, observe, input_bytes_read=lambda: stream.stored_bytes_read)
        self._pipeline = Pipeline(gate=line.gate, intend=self._intend, concurrency=settings.concurrency)
        self._reader = self._make_reader()
        self._resend = self._may_resend()
        self._signal: signal.Signals | None = None

    async def to_the_end(self, remembered: recall.Remembered, *, began: float) -> Finished:
        """Run, seal if all is settled, write the files, sum up."""
        ledger = self._log.ledger
        settled_before = ledger.tally()
        self._tell_opened()
        first = recall.unfinished(ledger, remembered, resend=self._resend)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch_signals)
            tasks.start_soon(self._log.keep_synced)
            await self._pipeline.run(first, self._reader.windows(), deliver=self._deliver())
            tasks.cancel_scope.cancel()
        error = self._pipeline.error or self._log.poisoned
        if error is None and self._reader.ended and not ledger.open_records and not self._pipeline.stopping:
            await self._recorder.seal(self._server_time())
        self._kept.close()
        summary = summary_of(
            ledger,
            self._settings,
            seconds=time.monotonic() - began,
            settled_before=settled_before,
            refreshes=self._line.tokens.refreshes,
            stopped_by=self._stopped_by(error),
        )
        with suppress(LoaderError) if error is not None else nullcontext():
            await anyio.to_thread.run_sync(publish, self._settings, summary, self._observe)
        return Finished(summary, error)

    def _stopped_by(self, error: LoaderError | None) -> ExitCode | None:
        if error is not None:
            return error.exit_code
        return None if self._signal is None else _SIGNAL_EXITS[self._signal]

    def _deliver(self) -> Callable[..., Awaitable[None]]:
        settings, target = self._settings, self._settings.target
        line = self._line
        asker = Asker(target.module, settings.key, self._facts.user_id)
        sender = Sender(line.transport.send, line.transport.renew_token, line.gate)
        resolver = CrmResolver(asker, sender, lines_with_ids=self._lines_with_ids)
        delivery = Delivery(
            DeliverySettings(target.module, settings.key, self._resend, settings.quiet_period_s),
            transport=line.transport,
            recorder=self._kept.beside(self._recorder),
            resolver=resolver,
            gate=line.gate,
            observe=self._observe,
            server_time=self._server_time,
            rest=self._pipeline.rest,
        )

        async def deliver_and_count(attempt: Attempt) -> None:
            await delivery.deliver(attempt)
            self._require_few_rejected()

        return deliver_and_count

    def _make_reader(self) -> Reader:
        settings, ledger = self._settings, self._log.ledger
        # Without the check too, a line that is no JSON object would break its neighbours' call.
        module = self._facts.module if settings.check else Module(settings.target.module, ())
        limit = None if settings.limit is None else max(0, settings.limit - ledger.records)
        line, start = ledger.next_line, ledger.next_offset
        check = self._kept.watch(Checker(module).problems)
        cutter = BatchCutter(check, first_line=line, start=start, number=ledger.next_batch, limit=limit)
        splitter = LineSplitter(settings.line_bytes_max, first_line=line, start=start)
        return Reader(self._stream, splitter, cutter, batches_per_window=settings.concurrency)

    def _may_resend(self) -> bool:
        """Whether the CRM itself would refuse a second record with the same key."""
        key = self._settings.key
        if not key:
            return False
        field = self._facts.module.field(key)
        if field is None:
            raise UsageError(
                f"module {self._settings.target.module} has no field {key!r}",
                why="--key takes the API name of a field",
                hint="Setup > Developer Hub > APIs and SDKs > API Names lists them.",
            )
        unique = self._settings.key_unique or (self._facts.metadata_read and (field.unique or field.external))
        if not unique:
            self._observe(
                Warned(
                    f"{key} is not known to be unique in the CRM: a record whose answer is lost will be"
                    " held for a person; if it is unique, say --key-unique"
                )
            )
        if unique and not self._facts.user_id:
            self._observe(
                Warned(
                    "the credentials do not say whose they are (scope ZohoCRM.users.READ): a record in"
                    " doubt that turns out to be a duplicate will be held for a person"
                )
            )
        return unique

    async def _intend(self, window: Window) -> None:
        self._kept.keep_invalid(window)
        await self._recorder.intend(window)
        self._require_few_rejected()

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
                hint=f"See why: loader results {self._settings.load_dir} --failed",
            )

    async def _lines_with_ids(self, ids: Collection[str]) -> Mapping[str, Collection[int]]:
        if not ids:
            return {}
        return await anyio.to_thread.run_sync(partial(scan.find_ids, self._log.path, ids))

    def _server_time(self) -> float:
        return time.time() + self._facts.clock_offset_s

    def _tell_opened(self) -> None:
        ledger, target = self._log.ledger, self._settings.target
        assert ledger.head is not None
        self._observe(
            LoadOpened(
                ledger.head.load_id,
                target.module,
                target.api_url.partition("://")[2],
                self._settings.input,
                self._stream.stored_bytes,
                ledger.resumes,
            )
        )

    async def _watch_signals(self) -> None:
        """The first signal lets answers come in, the second does not."""
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for number in signals:
                if self._signal is not None:
                    self._pipeline.abandon()
                    return
                self._signal = signal.Signals(number)
                self._observe(LoadStopping(self._signal.name))
                self._pipeline.stop()
