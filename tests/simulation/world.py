"""One seed played out: processes that live and fall, on one disk, before one network, in virtual time.

What is real: the run of a load with its pipeline, delivery, gate, access tokens, recorder, ledger, checkpoint
log, reader and recall. What is simulated: the transport, the CRM, the disk, the clocks and the threads.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import os
import random
import signal
import types
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, cast
from unittest.mock import patch

import anyio
import anyio.lowlevel
import anyio.to_thread
from anyio._backends._asyncio import CancelScope as AsyncioScope

import loader.checkpoint.log
import loader.checkpoint.recorder
import loader.run
import loader.source.streams
from loader import recall
from loader.aftermath import summary_of
from loader.checkpoint import scan
from loader.checkpoint.entries import FORMAT_VERSION, Head
from loader.checkpoint.log import CheckpointLog, Opening
from loader.client.tokens import Tokens
from loader.client.transport import HttpTransport
from loader.connection import Connection
from loader.errors import ExitCode, LoaderError, UsageError
from loader.events import BatchInDoubt, Event
from loader.machine.state import SharedState
from loader.preflight import Preflight, Service
from loader.run import Finished, Parts, Run
from loader.rungs import rung_of
from loader.schema.fields import Field, FieldType, JsonType, Module
from loader.settings import Credentials, LoadSettings, Target
from loader.signals import StopSignals
from loader.source.batches import BatchCutter, Cut
from loader.source.fingerprint import InputIdentity
from loader.source.streams import InputStream
from loader.throttle.gate import Gate, GateSettings
from tests.log_reader import (
    OPEN,
    OUTCOMES,
    RESOLVED,
    WINDOW,
    End,
    Standing,
    ends_of,
    frames_of,
    numbers,
    standing_of,
)
from tests.simulated_disk import Crashed, Operation, SimulatedDisk
from tests.simulation.crm import Crm
from tests.simulation.network import Network, Wire
from tests.simulation.plan import US, Fall, Kind, Life, Mode, Plan
from tests.virtual_time import VirtualLoop

EPOCH_S: Final = 1_767_225_600.0
"""The server's time when a seed begins."""
LOG: Final = Path("/loads/leads.load/checkpoint.log")
CALM_MAX_S: Final = 6 * 3600.0
"""I7: without faults the load ends in less than this."""
_STALE: Final = f"{LOG} exists and is no checkpoint log"
_TARGET: Final = Target("Leads", "https://crm.example", "https://accounts.example")


class World:
    """The simulation of one plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.disk = SimulatedDisk()
        self.seen: Counter[str] = Counter()
        self.explained: set[int] = set()
        """Lines that may rightly be in doubt."""
        self.breaches: list[str] = []
        self.endings: list[str] = []
        self.rng = random.Random(f"world {plan.seed}")
        self._disk_rng = random.Random(f"disk {plan.seed}")
        self._boot = 1
        self._mtime_ns = 1
        self._loads = 0
        self._disk_failed = False
        self._windowed: tuple[int, set[int]] = (0, set())
        self._standing = Standing()
        """What the log says as the next process begins."""
        self._promised: dict[int, End] = {}
        """Outcomes that a process has read and gone on from: they may never change."""
        stored = gzip.compress(plan.content, 1, mtime=0) if plan.compressed else plan.content
        self._stored_bytes = len(stored)
        self._input = _memory_file(stored)
        self.crm = Crm(
            self.server_time,
            unique={Mode.UNIQUE_KEY: "Email", Mode.STAMP: "Stamp"}.get(plan.mode, ""),
            refused={line for line, kind in enumerate(plan.kinds, 1) if kind is Kind.REFUSED},
            poison={line for line, kind in enumerate(plan.kinds, 1) if kind is Kind.POISON},
            locked=Counter(dict(plan.locked)),
        )
        self.network = Network(plan, self.crm, durable_lines=self._durable_lines)
        self.network.seen = self.seen

    # --- clocks ---

    def server_time(self) -> float:
        return EPOCH_S + asyncio.get_running_loop().time()

    def local_time(self) -> float:
        """The clock of the loader's machine, which is wrong."""
        return self.server_time() + self.plan.clock_offset_s

    # --- the whole of it ---

    async def play(self) -> None:
        """Lives with faults, then one without, then a look at what is finished."""
        self._stock()
        for life in self.plan.lives:
            if not await self._live(life):
                break
        self.network.calm = True
        await self._live_calmly("I7: the load did not end after the faults")
        await anyio.sleep(
            4 * self.plan.quiet_s + self.plan.timeout_s
        )  # what is applied late is applied by now
        happened = len(self.network.trace)
        if self.plan.seed % 8 == 0 and self._standing.seal is not None:
            await self._live_calmly("I7: a finished load did not end at once")
            if len(self.network.trace) != happened:
                self.breaches.append("I6: a finished load sent something")

    def log(self) -> bytes:
        """The checkpoint log as it is."""
        return self.disk.content(LOG) if self.disk.exists(LOG) else b""

    def digest(self) -> str:
        """Of everything that happened: two runs of a seed are the same if this is."""
        told = repr((self.network.trace, self.endings, self.crm.apply_log, len(self.disk.operations)))
        return hashlib.sha256(told.encode() + self.log()).hexdigest()

    def close(self) -> None:
        os.close(self._input)

    def _stock(self) -> None:
        """The records of other people and of other days, and the directory of the load directory."""
        self.disk.make_directory(Path("/loads"))
        self.disk.sync_directory(Path("/"))
        for line, kind in enumerate(self.plan.kinds, 1):
            email = self.plan.key(line)
            if kind is Kind.THEIRS:
                self.crm.put_theirs(email, at=EPOCH_S - 1000)
            elif kind is Kind.OURS_OF_OLD:
                self.crm.put_theirs(email, by=US, at=EPOCH_S - 1000)
            elif kind is Kind.SOON_THEIRS:
                loop = asyncio.get_running_loop()
                loop.call_later(self.rng.uniform(0, 90), self.crm.put_theirs, email)

    # --- a life ---

    async def _live_calmly(self, complaint: str) -> None:
        with anyio.move_on_after(CALM_MAX_S) as scope:
            await self._live(Life())
            if self.endings[-1].endswith(_STALE):  # and a person has cleared it away
                await self._live(Life())
        if scope.cancelled_caught or self.endings[-1] != "done":
            self.breaches.append(f"{complaint}: {self.endings[-1]}")

    async def _live(self, life: Life) -> bool:
        """One process, from its start to what its fall leaves. False: the load is finished."""
        start = self._standing
        self.network.final = set(start.ends)
        self._windowed = (0, set())
        self._disk_failed = False
        self._mtime_ns += life.touched
        self.seen["life"] += 1
        process = asyncio.create_task(self._process(life))
        loop = asyncio.get_running_loop()
        timers = [loop.call_later(life.crash_at, self._crash, process)] if life.crash_at is not None else []
        if life.crash_at_operation is not None:
            self.disk.crash_at = len(self.disk.operations) + life.crash_at_operation
        if life.disk is not None:
            self.disk.on_operation = _Failing(life, self.disk, self._note_disk_fault)
        try:
            await asyncio.wait({process})
        finally:
            process.cancel()
        for timer in timers:
            timer.cancel()
        self.disk.on_operation = None
        ending = self._ending_of(process)
        self.endings.append(ending)
        self.seen[f"ending {ending.partition(':')[0]}"] += 1
        if self.network.end_life() and ending != "crashed":
            self.breaches.append("calls were left behind by a process that ended in order")
        if ending != "crashed" and self.disk.open_descriptors:
            self.breaches.append(f"I8: {self.disk.open_descriptors} files were left open")
        self._fall(life, start, crashed=ending == "crashed")
        return ending != "done"

    def _crash(self, process: asyncio.Task[Finished]) -> None:
        self.disk.crash_at = len(self.disk.operations) + 1
        process.cancel()

    def _note_disk_fault(self, operation: Operation) -> None:
        self.seen[f"disk {operation.name}"] += 1
        self._disk_failed = self._disk_failed or operation.name != "allocate"

    def _ending_of(self, process: asyncio.Task[Finished]) -> str:
        if process.cancelled():
            return "crashed"
        error = process.exception()
        if error is None:
            finished = process.result()
            if finished.error is not None:
                return self._refused(finished.error)
            return "stopped" if finished.summary.exit_code in (ExitCode.SIGTERM, ExitCode.SIGINT) else "done"
        if isinstance(error, LoaderError):
            return self._refused(error)
        if _crashed(error):
            return "crashed"
        raise error

    def _refused(self, error: LoaderError) -> str:
        """The name of an ending by an error; not every error is a proper one."""
        code = error.exit_code
        proper = {
            ExitCode.NOT_NOW: not self.network.calm,
            ExitCode.DISK: self._disk_failed or self.seen["disk allocate"] > 0,
            ExitCode.USAGE: self.network.redirected,
            # Renewed and revoked again, a token ends the load: nothing is renewed in a loop.
            ExitCode.CREDENTIALS: self.seen["insert REVOKED"] > 2 and not self.network.calm,
        }
        self.network.redirected = False
        if error.what == _STALE and not any(what[1] == "left" for what in self.network.trace):
            # Power loss as the log was created left bytes of something else in it: a person's decision.
            self.disk.remove(LOG)
            self.disk.sync_directory(LOG.parent)
            self.seen["stale beginning"] += 1
        elif not proper.get(code):
            self.breaches.append(f"I7: an error without a cause: {error!s}")
        return f"{code.name}: {error.what}"

    # --- what a fall leaves ---

    def _fall(self, life: Life, start: Standing, *, crashed: bool) -> None:
        """The process has gone; what it leaves, and what of that may be in doubt from now on."""
        content = self.log()
        before = standing_of(content)
        self._check_open(before)
        if self._durable_opens() > len(start.opens):
            self._promised |= start.ends
        for line in before.in_flight:
            self.network.in_doubt_since.setdefault(line, anyio.current_time())
        fall = life.fall
        if fall is Fall.KILL:
            self.disk.kill()
            # Where the disk refused the side file too, nothing tells the next process what is gone.
            if life.evict and self._disk_failed and self.disk.exists(LOG) and self.disk.side_files(LOG):
                self.disk.evict()
                self.seen["evicted"] += 1
        else:
            self.disk.cut_power(self._disk_rng if fall is Fall.POWER else None)
            self._boot += 1
        self.seen[f"{'crash' if crashed else 'end'} {fall.name}"] += 1
        self.seen["side file"] += self.disk.exists(LOG) and bool(self.disk.side_files(LOG))
        after = before if self.log() == content else standing_of(self.log())
        adopted = self._side_ends()
        lost = before.records - after.ends.keys() - adopted
        if fall is not Fall.KILL or self._disk_failed:
            self.explained |= lost
        self.explained |= before.in_flight.keys() | self.network.in_doubt_since.keys()
        self._standing = after
        for line, end in self._promised.items():
            if after.ends.get(line) != end:
                self.breaches.append(f"I6: line {line} was {end} and is {after.ends.get(line)}")

    def _durable_opens(self) -> int:
        """How many processes took the log over for certain."""
        frames = frames_of(self.disk.base(LOG)) if self.disk.exists(LOG) else ()
        return sum(frame.type == OPEN for frame in frames)

    def _check_open(self, standing: Standing) -> None:
        """I5: what is open is no more than two windows, but for batches that rest with a record in doubt.

        Those that rest until an earlier record with the same key has ended are not counted at all.
        """
        if self.plan.mode in (Mode.UNIQUE_KEY, Mode.OTHER_KEY) and Kind.REPEATED in self.plan.kinds:
            return
        bound = 2 * self.plan.concurrency * self.plan.batch_size
        resting = self.explained | self.network.in_doubt_since.keys()
        spans = [range(one.first_line, one.first_line + one.line_count) for one in standing.pieces]
        unclear = standing.unsettled - {line for span in spans if resting & set(span) for line in span}
        if len(unclear) > bound:
            self.breaches.append(f"I5: {len(unclear)} records are open, two windows hold {bound}")

    def _side_ends(self) -> set[int]:
        ends: set[int] = set()
        for side in self.disk.side_files(LOG) if self.disk.exists(LOG.parent) else ():
            ends |= ends_beside(self.disk.content(side))
        return ends

    def _durable_lines(self, lines: set[int]) -> set[int]:
        """Those of the lines that may leave by what is on the platter now."""
        offset, windowed = self._windowed
        if not lines <= windowed or self.plan.mode is Mode.OTHER_KEY:
            for frame in frames_of(self.disk.base(LOG), offset):
                offset = frame.stop
                if frame.type == WINDOW:
                    for piece in frame.body[0]:
                        ranges = piece[6] if len(piece) > 6 else None
                        whole = range(piece[1], piece[1] + piece[2])
                        windowed.update(whole if ranges is None else numbers(ranges))
                    for _, ranges in frame.body[1] if len(frame.body) > 1 else ():
                        windowed.update(numbers(ranges))
                elif frame.type == RESOLVED:
                    windowed.difference_update(numbers(frame.body[1]))
            self._windowed = (offset, windowed)
        return lines & windowed

    # --- a process ---

    async def _process(self, life: Life) -> Finished:
        """What the command does, on the parts of this world."""
        settings = self._settings()
        identity = InputIdentity("path", "/data/leads.ndjson", self._stored_bytes, self._mtime_ns, 7, 1)
        stops = StopSignals(self._observe, otherwise=lambda: None)
        stopping = asyncio.create_task(self._stop(life, stops))
        stream = InputStream(os.open(f"/proc/self/fd/{self._input}", os.O_RDONLY), name="leads", owned=True)
        log: CheckpointLog | None = None
        try:
            log = self._open_log()
            await stream.sniff()
            compared = recall.Compared()
            if log is not None:
                self.seen["resume"] += 1
                compared = await recall.look(stream, log.ledger, settings, identity=identity)
                if log.ledger.sealed and not compared.more:
                    return Finished(summary_of(log.ledger, settings), None)
            line, facts = self._connect(settings)
            await anyio.sleep(self.rng.uniform(0.0, 0.5))
            rung = rung_of(settings, facts, self._observe)
            opening = Opening(
                recall.recorded(identity), self.local_time() + facts.clock_offset_s, facts.user_id
            )
            if log is None:
                log = self._create_log(settings, opening)
            else:
                log.begin(opening)
                await recall.go_on_behind_the_end(stream, log, compared)
            run = Run(settings, Parts(rung, log, stream, line, facts, stops), observe=self._observe)
            return await run.to_the_end(compared.remembered, began=0.0)
        finally:
            stopping.cancel()
            stream.close()
            if log is not None:
                log.close()

    async def _stop(self, life: Life, stops: StopSignals) -> None:
        if life.stop_at is None:
            return
        await asyncio.sleep(life.stop_at)
        self.seen["signal"] += 1
        stops.received = signal.SIGTERM
        stops.first()
        if life.abandon_after is not None:
            await asyncio.sleep(life.abandon_after)
            self.seen["second signal"] += 1
            stops.second()

    def _open_log(self) -> CheckpointLog | None:
        try:
            return CheckpointLog.open(LOG, filesystem=self.disk, boot=f"boot-{self._boot}")
        except UsageError:
            return None

    def _create_log(self, settings: LoadSettings, opening: Opening) -> CheckpointLog:
        self._loads += 1
        head = Head(
            format_version=FORMAT_VERSION,
            load_id=f"LOAD-{self._loads:04}",
            created_at=opening.at,
            module="Leads",
            api_url=_TARGET.api_url,
            organisation="org",
            key=settings.key,
            key_unique=False,
            limit=settings.limit,
            check=True,
            options={},
            input=opening.input,
            stamp=settings.stamp,
        )
        return CheckpointLog.create(LOG, head, opening, filesystem=self.disk, boot=f"boot-{self._boot}")

    def _settings(self) -> LoadSettings:
        plan = self.plan
        return LoadSettings(
            input="leads.ndjson",
            load_dir=LOG.parent,
            target=_TARGET,
            key="Email" if plan.mode in (Mode.UNIQUE_KEY, Mode.OTHER_KEY) else "",
            stamp="Stamp" if plan.mode is Mode.STAMP else "",
            concurrency=plan.concurrency,
            rate=plan.rate,
            limit=plan.limit,
            timeout_s=plan.timeout_s,
            patience_s=plan.patience_s,
            quiet_period_s=plan.quiet_s,
        )

    def _connect(self, settings: LoadSettings) -> tuple[Connection, Preflight]:
        pace = GateSettings(settings.concurrency, settings.rate, settings.patience_s, "crm.example")
        gate = Gate(pace, observe=self._observe, jitter=self.rng.random)
        tokens = Tokens(
            Credentials("id", "secret", "refresh"),
            accounts_url=_TARGET.accounts_url,
            send=self.network.grant,
            patience_s=settings.patience_s,
            observe=self._observe,
            clock=anyio.current_time,
            sleep=anyio.sleep,
        )
        wire = cast(HttpTransport, Wire(self.network, tokens))
        service = Service(wire.ready, wire.send, wire.renew_token, gate, "crm.example", self.local_time)
        # The service tells its time in whole seconds.
        offset_s = float(int(self.server_time())) - self.local_time()
        user_id = US if self.plan.user_known else ""
        facts = Preflight(_MODULES[self.plan.mode], True, "org", user_id, offset_s)
        shared = SharedState(None, host="crm.example", credentials="refresh", warn=_unwarned)
        return Connection(wire, tokens, gate, service, shared), facts

    def _observe(self, event: Event) -> None:
        if isinstance(event, BatchInDoubt):
            self.seen["doubt"] += 1


def _unwarned(text: str) -> None:
    raise AssertionError(text)


class _Failing:
    """Lets operations of the disk fail as a life's fault says."""

    def __init__(self, life: Life, disk: SimulatedDisk, told: Callable[[Operation], None]) -> None:
        assert life.disk is not None
        self._fault = life.disk
        self._disk = disk
        self._told = told
        self._left = life.disk.countdown
        self._failing = False

    def __call__(self, operation: Operation) -> None:
        fault = self._fault
        self._left -= operation.name == fault.operation
        hit = operation.name == fault.operation and self._left == 0
        spreading = (
            self._failing and fault.lasting and operation.name in ("write", "sync_data", "allocate", "open")
        )
        if hit or spreading:
            self._failing = True
            self._disk.part_written = min(fault.part, max(0, len(operation.data) - 1))
            self._disk.fail_at[operation.number] = fault.errno
            self._told(operation)


def ends_beside(content: bytes) -> set[int]:
    """The lines whose outcomes a side file holds."""
    return {line for frame in frames_of(content) if frame.type == OUTCOMES for line in ends_of(frame.body)}


def _crashed(error: BaseException) -> bool:
    """Nothing but the crash ended the process."""
    if isinstance(error, BaseExceptionGroup):
        return all(_crashed(one) for one in error.exceptions)
    return isinstance(error, Crashed | asyncio.CancelledError)


def _memory_file(content: bytes) -> int:
    descriptor = os.memfd_create("input")
    os.write(descriptor, content)
    return descriptor


def _module(mode: Mode) -> Module:
    text = partial(Field, type=FieldType.TEXT, json_type=JsonType.STRING)
    return Module(
        "Leads",
        (
            text("Last_Name", length=80, mandatory=True),
            Field("Line", FieldType.INTEGER, JsonType.INTEGER, 9),
            text("Email", length=100, unique=mode is Mode.UNIQUE_KEY),
            text("Stamp", length=60, unique=True),
        ),
    )


_MODULES: Final = {mode: _module(mode) for mode in Mode}


# --- what is not simulated by a parameter of its own ---


class _Ordered(dict[Any, None]):
    """A set in the order of its making: scopes cancel their tasks by address, which differs with each run."""

    def add(self, one: object) -> None:
        self[one] = None

    def discard(self, one: object) -> None:
        self.pop(one, None)

    def remove(self, one: object) -> None:
        del self[one]


@contextmanager
def _simulated(world: World) -> Iterator[None]:
    """The threads, the clock, the reading of the log by its path, and small batches."""
    disk = world.disk

    async def run_here(function: Callable[..., Any], *arguments: Any, **_: Any) -> Any:
        """What a thread would do: while it works, the loop goes on."""
        if getattr(function, "__self__", None) is disk:
            # A thread is awaited to its end, whoever is cancelled meanwhile.
            with anyio.CancelScope(shield=True):
                await anyio.sleep(world.rng.uniform(0, world.plan.sync_s))
                result = function(*arguments)
                await anyio.sleep(world.rng.uniform(0, world.plan.sync_s))
            return result
        await anyio.lowlevel.checkpoint()
        return function(*arguments)

    @contextmanager
    def opened(path: Path) -> Iterator[scan.ReadAt]:
        descriptor = disk.open(path, os.O_RDONLY)
        try:
            yield lambda offset, size: disk.read(descriptor, offset, size)
        finally:
            disk.close(descriptor)

    begin_scope = AsyncioScope.__init__

    def begin_ordered_scope(scope: Any, *arguments: Any, **named: Any) -> None:
        begin_scope(scope, *arguments, **named)
        scope._tasks, scope._child_scopes = _Ordered(), _Ordered()

    cutter = partial(BatchCutter, cut=Cut(records_max=world.plan.batch_size, lines_max=40))
    with ExitStack() as patches:
        for target, name, value in (
            (anyio.to_thread, "run_sync", run_here),
            (scan, "opened", opened),
            (loader.run, "steady_time", world.local_time),
            (loader.run, "publish", lambda *_: None),  # the files for people are another test's
            (loader.run, "BatchCutter", cutter),
            (loader.checkpoint.log, "RESERVE_STEP_BYTES", 4096),
            (loader.checkpoint.recorder, "ANSWER_BYTES_RESERVED", 4096),
            (loader.source.streams, "READ_BYTES", 2048),
            (loader.checkpoint.log, "socket", types.SimpleNamespace(gethostname=lambda: "machine")),
            (os, "getpid", lambda: 4711),
            (AsyncioScope, "__init__", begin_ordered_scope),
        ):
            patches.enter_context(patch.object(target, name, value))
        yield


def play(plan: Plan) -> World:
    """The world after everything has happened to it."""
    before = random.getstate()
    random.seed(plan.seed)  # the loader's own jitter
    world = World(plan)
    try:
        with _simulated(world), asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(world.play())
    finally:
        world.close()
        random.setstate(before)
    return world
