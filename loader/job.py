"""One load, from its directory to its end: what has to be true before a record is sent.

The log is locked and folded, the input compared, the service asked who we are. Then `run` takes over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack

import anyio
import anyio.to_thread

from loader import begun, directory, preflight, recall
from loader.aftermath import open_doubts_of, publish, stored_summary, summary_of
from loader.checkpoint.entries import Head
from loader.checkpoint.log import CheckpointLog, Opening
from loader.checkpoint.recorder import Recorder
from loader.client.token_memory import TokenMemory
from loader.connection import connect, require_same_data_centre, steady_time
from loader.errors import (
    LoaderError,
)
from loader.events import Observer, Warned
from loader.reporting import has_its_report, write_report
from loader.run import Finished, Parts, Run
from loader.rungs import require_layout, rung_of
from loader.settings import Credentials, LoadSettings
from loader.signals import StoppedError, StopSignals
from loader.source.feed import Feed
from loader.source.streams import InputStream, open_input


async def load(
    settings: LoadSettings,
    credentials: Callable[[], Credentials],
    *,
    observe: Observer,
    fresh: bool = False,
    only_doubts: bool = False,
    unread: bool = False,
    feed: Feed | None = None,
    watch: Callable[[StopSignals], Coroutine[None, None, None]] = StopSignals.watch,
    token_memory: TokenMemory | None = None,
) -> Finished:
    """Begin a load, or go on with it where its log says; `fresh` sets aside what is in its directory.

    `only_doubts` settles what is in doubt and sends nothing else. `unread`: where the load is finished, its
    stdin is not read, for nobody has said that something is piped. `credentials` is called only where there
    is something to send. `feed` has the records, in place of stdin. `watch` is run beside the load and asks
    it to stop when there is a reason. `token_memory`: where loads of this process share access tokens.

    Raises:
        LoaderError: nothing was begun, and no record was sent.
    """
    finished: Finished | None = None
    error: LoaderError | None = None
    with anyio.CancelScope() as whole:
        stops = StopSignals(observe, otherwise=whole.cancel)
        async with anyio.create_task_group() as watching:
            watching.start_soon(watch, stops)
            if feed is not None:
                watching.start_soon(feed.run)
            try:
                finished = await _load(
                    settings,
                    credentials,
                    observe,
                    stops,
                    fresh=fresh,
                    only_doubts=only_doubts,
                    unread=unread and settings.from_stdin,
                    feed=feed,
                    token_memory=token_memory,
                )
            except LoaderError as reason:  # a task group would wrap it
                error = reason
            watching.cancel_scope.cancel()
    if error is not None:
        raise error
    if finished is None:
        assert stops.received is not None, "nothing else cancels"
        raise StoppedError(stops.received)
    return finished


async def _load(
    settings: LoadSettings,
    credentials: Callable[[], Credentials],
    observe: Observer,
    stops: StopSignals,
    *,
    fresh: bool,
    only_doubts: bool,
    unread: bool,
    feed: Feed | None,
    token_memory: TokenMemory | None,
) -> Finished:
    began = time.monotonic()
    identity = recall.identity_of(settings, fed=feed is not None)
    if fresh:
        directory.set_aside(settings.load_dir)
    async with AsyncExitStack() as stack:
        log = directory.open_existing(settings.load_dir)
        if log is not None:
            stack.callback(log.close)
            directory.require_same_target(_head(log), settings)
            settings = _taken_over(_head(log), settings, observe)
            if unread and log.ledger.sealed and not settings.append:
                return await _nothing_left(log, settings, observe)
        elif only_doubts:
            raise directory.no_load(settings.load_dir)
        stream = await stack.enter_async_context(await _open_input(settings, feed))
        compared = recall.Compared()
        if log is None and feed is None:
            await stream.require_objects()
        if log is not None:
            compared = await recall.look(stream, log.ledger, settings, identity=identity)
            if (log.ledger.sealed and not compared.more) or (only_doubts and not log.ledger.open_records):
                return await _nothing_left(log, settings, observe)
        line = await stack.enter_async_context(
            connect(settings, credentials(), observe, token_memory=token_memory)
        )
        facts = await preflight.ask(line.service, settings.target.module, observe=observe)
        require_same_data_centre(settings.target, line.tokens.api_domain)
        line.join(facts)
        require_layout(settings, facts)
        rung = rung_of(settings, facts, observe)
        opening = Opening(recall.recorded(identity), steady_time() + facts.clock_offset_s, facts.user_id)
        if log is None:
            log = directory.create(settings, opening, organisation=facts.organisation)
            stack.callback(log.close)
        else:
            directory.require_same_organisation(_head(log), settings, organisation=facts.organisation)
            log.begin(opening)
            await recall.go_on_behind_the_end(stream, log, compared)
        run = Run(settings, Parts(rung, log, stream, line, facts, stops), observe=observe)
        return await run.to_the_end(compared.remembered, began=began, only_doubts=only_doubts)


async def _open_input(settings: LoadSettings, feed: Feed | None) -> InputStream:
    if feed is None:
        return await open_input(settings.input)
    return await open_input(settings.input, stdin_fd=feed.fd, broken=lambda: feed.error)


async def _nothing_left(log: CheckpointLog, settings: LoadSettings, observe: Observer) -> Finished:
    """A load at its end says so again; what its last run could not do, or did not live to do, is done now."""
    ledger = log.ledger
    stored = stored_summary(settings.load_dir)
    if ledger.sealed and (stored is None or not stored.complete):
        assert ledger.last_open is not None, "a log that is sealed has been opened"
        # The sync of its SEAL may have failed: what is read of it may be in memory only.
        log.begin(Opening(ledger.last_open.input, ledger.latest_at))
        await Recorder(log, observe).seal(ledger.latest_at)
        await anyio.to_thread.run_sync(publish, settings, summary_of(ledger, settings), observe)
    elif ledger.sealed and not has_its_report(settings.load_dir):
        await anyio.to_thread.run_sync(write_report, settings, summary_of(ledger, settings))
    return Finished(summary_of(ledger, settings), None, open_doubts_of(ledger, settings))


def _taken_over(head: Head, settings: LoadSettings, observe: Observer) -> LoadSettings:
    """With the options that the load began with; said aloud where the command did not name them."""
    whole = directory.with_recorded_options(head, settings)
    if whole != settings:
        observe(Warned(f"this load goes on with the options that it began with: {begun.told(whole)}"))
    return whole


def _head(log: CheckpointLog) -> Head:
    assert log.ledger.head is not None, "an open log has a head"
    return log.ledger.head
