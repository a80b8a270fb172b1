"""The stages joined: windows in, batches to workers, each delivered; stopped without losing an answer.

A batch moves forward only. One task fills, the workers pull; what lies between them is bounded: batches that
may be sent but are not settled are at most two windows, and those that rest.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import anyio
from anyio.abc import TaskGroup

from loader.errors import LoaderError
from loader.records import Attempt, Batch, Window
from loader.throttle.gate import Gate, GateClosedError

RESTING_MAX = 100
"""Batches in doubt that rest at once; then no further batch is cut until one is settled."""
DRAIN_S = 25.0
"""How long answers are awaited after a signal: less than the 30 s that Kubernetes gives."""


class Pipeline:
    """Runs one load's batches through `deliver`, `concurrency` at a time and those that rest beside them.

    The first LoaderError stops it: no call begins any more, answers under way are awaited and recorded.
    """

    def __init__(self, *, gate: Gate, intend: Callable[[Window], Awaitable[None]], concurrency: int) -> None:
        self._gate = gate
        self._intend = intend
        self._concurrency = concurrency
        self._ready: deque[Attempt] = deque()
        self._filled = False
        # Each made anew by who waits: an attempt that ends wakes the one task that fills, not all tasks.
        self._more = anyio.Event()
        self._room = anyio.Event()
        self._workers = 0
        self._active = 0
        self._resting = 0
        self._scope = anyio.CancelScope()
        self._reading = anyio.CancelScope()
        self._tasks: TaskGroup | None = None
        self._deliver: Callable[[Attempt], Awaitable[None]] | None = None
        self.error: LoaderError | None = None
        self.stopping = False
        self.rest = _Resting(self)

    async def run(
        self,
        first: Iterable[Attempt],
        windows: AsyncIterator[Window],
        *,
        deliver: Callable[[Attempt], Awaitable[None]],
    ) -> None:
        """Until every batch is delivered or the load has stopped; then `error` says why, if it stopped."""
        self._deliver = deliver
        with self._scope:
            async with anyio.create_task_group() as self._tasks:
                self._tasks.start_soon(self._fill, first, windows)
                for _ in range(self._concurrency):
                    self._start_worker()

    def stop(self, error: LoaderError | None = None, *, drain_s: float = math.inf) -> None:
        """Begin no further call; await the answers under way, each as long as a call may take.

        `drain_s` bounds that wait, where somebody will end the process otherwise.
        """
        self.error = self.error or error
        self.stopping = True
        self._scope.deadline = min(self._scope.deadline, anyio.current_time() + drain_s)
        self._gate.close()
        self._reading.cancel()
        self._more.set()

    def abandon(self) -> None:
        """Stop at once: what is in flight stays in doubt."""
        # Else a window that is being written, which is not cut short, would be followed by another.
        self.stopping = True
        self._scope.cancel()

    async def _fill(self, first: Iterable[Attempt], windows: AsyncIterator[Window]) -> None:
        try:
            # A silent pipe would keep a stopped load waiting for its next byte.
            with self._reading:
                for attempt in first:
                    await self._wait_for_room()
                    self._put([attempt])
                async for window in windows:
                    await self._wait_for_room()
                    # A cancellation is delivered at the next wait only: the window would be open by then.
                    if self.stopping:
                        break
                    await self._intend(window)
                    self._put([_first_attempt(batch) for batch in window.batches if batch.records])
        except LoaderError as error:
            self.stop(error)
        finally:
            self._filled = True
            self._more.set()

    async def _wait_for_room(self) -> None:
        while self._active + len(self._ready) > self._concurrency or self._resting >= RESTING_MAX:
            self._room = anyio.Event()
            await self._room.wait()

    def _put(self, attempts: Iterable[Attempt]) -> None:
        self._ready.extend(attempts)
        self._more.set()

    async def _next(self) -> Attempt | None:
        while not self.stopping:
            if self._ready:
                return self._ready.popleft()
            if self._filled:
                return None
            if self._more.is_set():
                self._more = anyio.Event()
            await self._more.wait()
        return None

    def _start_worker(self) -> None:
        assert self._tasks is not None
        self._workers += 1
        self._tasks.start_soon(self._work)

    async def _work(self) -> None:
        try:
            # A worker that outlives a rest finds its place taken by another, and goes.
            while self._workers <= self._concurrency and (attempt := await self._next()) is not None:
                await self._deliver_one(attempt)
        finally:
            self._workers -= 1

    async def _deliver_one(self, attempt: Attempt) -> None:
        assert self._deliver is not None
        self._active += 1
        try:
            await self._deliver(attempt)
        except GateClosedError:
            pass  # what was not sent stays pending; the log says so by saying nothing
        except LoaderError as error:
            self.stop(error)
        finally:
            self._active -= 1
            self._room.set()

    def _begin_rest(self) -> None:
        self._resting += 1
        self._active -= 1
        self._workers -= 1
        if self._resting < RESTING_MAX:
            self._start_worker()
        self._room.set()

    def _end_rest(self) -> None:
        self._resting -= 1
        self._active += 1
        self._workers += 1


class _Resting:
    """Entered by a batch that waits out a quiet period: another worker takes its place meanwhile."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    async def __aenter__(self) -> None:
        self._pipeline._begin_rest()

    async def __aexit__(self, *exc: object) -> None:
        self._pipeline._end_rest()


def _first_attempt(batch: Batch) -> Attempt:
    return Attempt(batch=batch.number, number=1, lines=batch.lines, records=batch.records)
