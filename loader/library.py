"""The loader as a Python library: loads, where they stand, and what became of each record.

Nothing here prints, handles a signal or configures logging; that is `cli`'s. A record's fate is a value in
the `Report`; only a load that cannot go on raises, and its error says what, why and what to do next.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self, TypedDict, Unpack

import anyio
import msgspec

from loader import job
from loader.client.token_memory import TokenMemory
from loader.credentials import read_credentials
from loader.errors import UsageError
from loader.events import Event, Observer
from loader.machine.state import default_folder
from loader.outcomes import Outcome
from loader.report.export import Result
from loader.report.summary import Outcomes, Summary
from loader.settings import STDIN, Credentials, LoadSettings, Target, Threshold
from loader.signals import StopSignals
from loader.source.feed import Feed, Records
from loader.standing import results_of, standing_of
from loader.target import target_of
from loader.wire.options import InsertOptions


class LoadOptions(TypedDict, total=False):
    """How to go about a load: the fields of `LoadSettings`, each with its default there."""

    key: str
    key_unique: bool
    stamp: str
    concurrency: int
    rate: float | None
    limit: int | None
    max_rejected: Threshold | None
    timeout_s: float
    patience_s: float
    quiet_period_s: float
    keep_credits: Threshold
    daily_credits: int | None
    wait_s: float
    state_dir: Path | None
    ok_duplicates: bool
    append: bool
    check: bool
    options: InsertOptions
    layout_id: str
    approval_mode: bool


class Report(msgspec.Struct, frozen=True):
    """What a load came to, or where it stands."""

    load_dir: Path
    summary: Summary
    """The figures of `summary.json`."""

    @property
    def outcomes(self) -> Outcomes:
        return self.summary.outcomes

    @property
    def complete(self) -> bool:
        """Each record of the input has its final outcome."""
        return self.summary.complete

    @property
    def exit_code(self) -> int:
        """With which the command would have ended: 0 all inserted, 3 some refused, 4 some in doubt, ..."""
        return self.summary.exit_code

    def results(self, *only: Outcome) -> Iterator[Result]:
        """What became of each record (of `only` these, if any is named), in input order, in flat memory."""
        return results_of(self.load_dir, only=frozenset(only) or None)


class Loader:
    """Loads records into one module of one organisation: `async with Loader("Leads", dc="eu") as loader`.

    Its loads share what the organisation allows, and their access token, which is kept in memory alone.
    Leaving the context asks loads that still run to stop, and waits until the answers of their calls are
    recorded.
    """

    def __init__(
        self,
        target: Target | str,
        *,
        dc: str | None = None,
        api_domain: str | None = None,
        accounts_url: str | None = None,
        credentials: Credentials | None = None,
        observe: Observer | None = None,
        token_memory: TokenMemory | None = None,
        **options: Unpack[LoadOptions],
    ) -> None:
        """`target` is the API name of a module, in the data centre `dc` ("us", "eu", ...) or at `api_domain`.

        `credentials` come from the environment where none are given, as for the command. `observe` is called
        with each event of `loader.events`, on the event loop; it returns at once and never raises.
        `token_memory` is for several of these, or calls of `load`, that are to share their access tokens.

        Raises:
            UsageError: options that do not go together, or an address that is not safe.
        """
        self._target = (
            target
            if isinstance(target, Target)
            else target_of(target, dc=dc, api_domain=api_domain, accounts_url=accounts_url)
        )
        self._credentials = credentials
        self._observe = observe or _nobody
        self._token_memory = TokenMemory() if token_memory is None else token_memory
        self._options = options
        self._running: list[_Stop] = []
        self._changed = anyio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        while self._running:
            await self._changed.wait()

    def stop(self) -> None:
        """Let no further call begin; answers under way are awaited and recorded. A second one ends that wait.

        The loads return reports that are not complete; loading the same again goes on.
        """
        for each in self._running:
            each.ask()

    async def load(
        self, source: str | os.PathLike[str] | Records, *, load_dir: str | os.PathLike[str] | None = None
    ) -> Report:
        """Load a file, or records; with the same source and directory again, the load goes on.

        A path names NDJSON, also as gzip or zstd, and its load directory is beside it unless `load_dir` says
        where. Records are mappings or lines of JSON, from any iterable or async iterable; they need a
        `load_dir`, and to go on the same records are handed over again: they are compared, not sent twice.

        Raises:
            LoaderError: the load could not begin, or could not go on; what is settled is recorded, and
                `status(load_dir)` tells it.
        """
        name, records = _input_of(source)
        if load_dir is None and records is not None:
            raise UsageError(
                "records from a program need a load directory",
                why="there is no file beside which it could be",
                hint='loader.load(records, load_dir="leads.load")',
            )
        if records is None and name == STDIN:
            raise UsageError(
                "stdin is the command's", hint="Hand over sys.stdin.buffer: its lines are records."
            )
        options: LoadOptions = {"state_dir": default_folder(os.environ), **self._options}
        settings = LoadSettings(
            input=name, load_dir=Path(load_dir or f"{name}.load"), target=self._target, **options
        )
        feed = None if records is None else Feed(records)
        stop = _Stop()
        self._running.append(stop)
        try:
            finished = await job.load(
                settings,
                self._known_credentials,
                observe=self._observe,
                feed=feed,
                watch=stop.watch,
                token_memory=self._token_memory,
            )
        finally:
            if feed is not None:
                feed.close()
            self._running.remove(stop)
            self._changed.set()
            self._changed = anyio.Event()
        if finished.error is not None:
            raise finished.error
        return Report(settings.load_dir, finished.summary)

    def _known_credentials(self) -> Credentials:
        return self._credentials or read_credentials(os.environ)


def _input_of(source: str | os.PathLike[str] | Records) -> tuple[str, Records | None]:
    """The input's name, and the records where it is no file."""
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source), None
    return STDIN, source


class _Stop:
    """Asks one load to stop, when somebody wants it."""

    def __init__(self) -> None:
        self._asked = 0
        self._changed = anyio.Event()

    def ask(self) -> None:
        self._asked += 1
        self._changed.set()
        self._changed = anyio.Event()

    async def watch(self, stops: StopSignals) -> None:
        taken = 0
        while True:
            while taken < self._asked:
                taken += 1
                stops.take(signal.SIGTERM)
            await self._changed.wait()


def load(
    source: str | os.PathLike[str] | Records,
    target: Target | str,
    *,
    load_dir: str | os.PathLike[str] | None = None,
    dc: str | None = None,
    api_domain: str | None = None,
    accounts_url: str | None = None,
    credentials: Credentials | None = None,
    observe: Observer | None = None,
    token_memory: TokenMemory | None = None,
    **options: Unpack[LoadOptions],
) -> Report:
    """One load, from code that is not async: as `Loader.load`, in an event loop of its own.

    Raises:
        LoaderError: as `Loader.load`.
    """

    async def run() -> Report:
        loader = Loader(
            target,
            dc=dc,
            api_domain=api_domain,
            accounts_url=accounts_url,
            credentials=credentials,
            observe=observe,
            token_memory=token_memory,
            **options,
        )
        async with loader:
            return await loader.load(source, load_dir=load_dir)

    return anyio.run(run)


def status(load_dir: str | os.PathLike[str]) -> Report:
    """Where the load of that directory stands, without touching it.

    Raises:
        LoaderError: there is no load, or its log cannot be read or believed.
    """
    directory = Path(load_dir)
    return Report(directory, standing_of(directory).summary)


def _nobody(event: Event) -> None:
    """Whoever does not observe."""
