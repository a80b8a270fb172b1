"""Every state that a crash can leave the checkpoint log in: loads, the disks after a crash, and their check.

A *load* is a script over the real `CheckpointLog` and `Recorder` on a simulated disk. Before each operation
that changes the disk, and after each call, there is a *moment*: what the disk holds, and what had been
promised (`log_model.Promises`). A moment and a *choice* of what the crash leaves make a *state*. Each state
is opened and begun by the real log; what it then knows is held against the promises.

A state has an id that repeats it, `load/fault/moment/choice`, and so has a chain of crashes; a failing test
prints the command.
"""

from __future__ import annotations

import errno
import functools
import itertools
import random
import zlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import anyio
import msgspec
import pytest

from loader.checkpoint import log as log_module
from loader.checkpoint import ranges, recorder
from loader.checkpoint.entries import FORMAT_VERSION, Head, InputIdentity
from loader.checkpoint.ledger import DamagedLogError
from loader.checkpoint.log import CheckpointLog, Opening
from loader.checkpoint.recorder import Recorder
from loader.checkpoint.scan import Scan
from loader.errors import DiskError, LoaderError, UsageError
from loader.outcomes import Outcome, RecordOutcome, Settlement
from loader.records import Attempt, Batch, InvalidLine, Span, Window
from loader.report.chronicle import Chronicle
from tests.crash import log_model
from tests.crash.log_model import ALL, Cut, Fate, Kind, Promises, Reading, Status, breaches
from tests.simulated_disk import Change, CrashPoint, FileState, Image, Operation, SimulatedDisk, changed

LOG = Path("/load/checkpoint.log")
INPUT = InputIdentity("file", "leads.ndjson", 1000, 5, 6, 7)
HEAD = Head(FORMAT_VERSION, "L1", 1.0, "Leads", "https://x", "o", "Key", False, None, True, {}, INPUT)
CHANGES = frozenset(
    {
        "make_directory",
        "open",
        "write",
        "allocate",
        "truncate",
        "sync",
        "sync_data",
        "sync_directory",
        "remove",
    }
)
EDGE_BYTES = 24
"""A frame is torn at each byte so near to its start or end (its header has 20), and at some between."""
NEXT_BOOT = "next boot"
READINGS_KEPT = 30_000


@contextmanager
def reserves(*, small: bool) -> Iterator[None]:
    """Space is allocated in small steps, so that a state is quick to read and allocation happens often."""
    with pytest.MonkeyPatch.context() as patch:
        if not small:
            yield
            return
        patch.setattr(log_module, "RESERVE_STEP_BYTES", 256)
        patch.setattr(recorder, "OUTCOME_BYTES_RESERVED", 16)
        patch.setattr(recorder, "ANSWER_BYTES_RESERVED", 64)
        yield


def batch(number: int) -> Batch:
    """Batch `number`: three records; every third batch also has a line that is invalid and a blank one."""
    first = (number - 1) * 3 + 2 * ((number - 1) // 3) + 1
    mixed = number % 3 == 0
    lines = (first, first + 2, first + 3) if mixed else range(first, first + 3)
    count = 5 if mixed else 3
    span = Span(first, count, first * 10 - 10, (first + count) * 10 - 10, zlib.crc32(b"%d" % number))
    invalid = [InvalidLine(first + 1, first * 10, "NOT_JSON", "it is none")] if mixed else []
    return Batch(
        number=number,
        span=span,
        lines=lines,
        records=[b"{}"] * 3,
        invalid=invalid,
        blank=[first + 4] if mixed else [],
    )


def cut(number: int) -> Cut:
    one = batch(number)
    invalid = frozenset(bad.line for bad in one.invalid)
    span = one.span
    place = (span.first_line, span.line_count, span.start, span.stop, span.crc)
    return Cut(number, *place, frozenset(one.lines), invalid)


def lines_of(number: int, *places: int) -> list[int]:
    """The lines of a batch's records; of those at `places` only, if any are given."""
    lines = list(batch(number).lines)
    return [lines[place] for place in places] if places else lines


def inserted(lines: list[int]) -> dict[int, Fate]:
    return {line: Fate("inserted", str(10**18 + line)) for line in lines}


def mixed_fates(lines: list[int]) -> dict[int, Fate]:
    """One of each kind that needs words, and one whose id is no number."""
    kinds = (
        Fate("duplicate", "dup77", "DUPLICATE_DATA", "there", "Email"),
        Fate("rejected", "", "INVALID_DATA", "no \0 date", "Date"),
        Fate("inserted", "zcrm_99"),
    )
    return dict(zip(lines, kinds, strict=False))


def settlement(fates: dict[int, Fate]) -> Settlement:
    plain = [line for line, fate in fates.items() if fate == Fate("inserted", fate.id)]
    others = [
        RecordOutcome(line, Outcome(fate.outcome), *fate[1:])
        for line, fate in fates.items()
        if line not in plain
    ]
    return Settlement(plain, [fates[line].id for line in plain], others)


class PoisonedError(LoaderError):
    """The log is poisoned: the process drains its answers and ends."""

    def __init__(self) -> None:
        super().__init__("the log is poisoned")


class Moment(NamedTuple):
    """An instant of a load: what a crash could leave then, and what had been promised."""

    number: int
    point: CrashPoint
    owed: Promises
    boot: str
    returned: bool
    """No call is under way."""


class Driver:
    """Drives a load and keeps its promises' book. Each step is told to the book before and after."""

    def __init__(self, disk: SimulatedDisk, *, boot: str = "boot-1") -> None:
        self.disk = disk
        self.boot = boot
        self.owed = Promises()
        self.moments: list[Moment] = []
        self.resumed: list[str] = []
        self._attempts: dict[int, dict[int, float]] = {}
        self._flights: dict[tuple[int, int], set[int]] = {}
        self._unsure: frozenset[int] = frozenset()
        self._clock = 100.0
        self._log: CheckpointLog | None = None
        self._recorder: Recorder | None = None
        disk.on_operation = self._before

    # --- moments ---

    def _before(self, operation: Operation) -> None:
        if operation.name in CHANGES:
            self._moment(returned=False)
        failing = operation.number in self.disk.fail_at
        if failing and self.owed.created:
            # An opening that fails anywhere counts as poisoned, whether it left a mark or not.
            self.owed.poisoned |= self._log is None or operation.name in ("write", "sync_data")

    def _moment(self, *, returned: bool) -> None:
        number = len(self.moments)
        self.moments.append(Moment(number, self.disk.point(), self.owed.copy(), self.boot, returned))

    @contextmanager
    def _call(self, lines: list[int]) -> Iterator[Recorder]:
        """While a call is under way its lines may stand either way; for ever, if it fails."""
        self.owed.touched = self._unsure | frozenset(lines)
        assert self._recorder is not None
        try:
            yield self._recorder
        except DiskError:
            self._unsure = self.owed.touched
            raise
        finally:
            self.owed.touched = self._unsure
            self._moment(returned=True)
        if (
            self.owed.poisoned
        ):  # an answer was drained: the caller is not told, but no call of this load begins
            raise PoisonedError

    # --- steps ---

    def create(self) -> None:
        opening = Opening(INPUT, self._clock, "user")
        self._log = CheckpointLog.create(LOG, HEAD, opening, filesystem=self.disk, boot=self.boot)
        self._recorder = Recorder(self._log, lambda _: None)
        self.owed.created = True
        self._moment(returned=True)

    async def window(self, *numbers: int) -> None:
        lines = [line for number in numbers for line in lines_of(number)]
        self.owed.cuts += [cut(number) for number in numbers]
        self.owed.seal_durable = False
        with self._call(lines) as recorder:
            await recorder.intend(Window([batch(number) for number in numbers]))
            self.owed.status.update(dict.fromkeys(lines, Status.ALLOWED))
            self.owed.sealed = False
            self.owed.written_cuts = len(self.owed.cuts)
            self.owed.synced()

    def send(
        self, number: int, attempt: int = 1, lines: list[int] | None = None, *, in_doubt: bool = False
    ) -> None:
        chosen = lines_of(number) if lines is None else lines
        self._clock += 1
        with self._call(chosen) as recorder:
            recorder.sent(self._attempt(number, attempt, chosen, in_doubt=in_doubt), self._clock)
            for line in chosen:  # from here on the bytes may be on their way
                self._attempts.setdefault(line, {})[attempt] = self._clock
                if self.owed.status[line] is not Status.DOUBT:
                    self.owed.status[line] = Status.FLYING
            self._flights[number, attempt] = set(chosen)
            self.owed.held -= set(chosen)
            self._left()

    def not_applied(self, number: int, attempt: int = 1, lines: list[int] | None = None) -> None:
        chosen = lines_of(number) if lines is None else lines
        for line in chosen:
            self._attempts[line].pop(attempt, None)
        self._left()
        with self._call(chosen) as recorder:
            recorder.not_applied(self._attempt(number, attempt, chosen), "429")
            self._landed(number, attempt, chosen)
            for line in chosen:
                if self.owed.status[line] is Status.FLYING:
                    self.owed.status[line] = Status.ALLOWED

    def settle(self, number: int, attempt: int = 1, fates: dict[int, Fate] | None = None) -> None:
        chosen = inserted(lines_of(number)) if fates is None else fates
        lines = sorted(chosen)
        self.owed.fates.update(chosen)
        with self._call(lines) as recorder:
            recorder.settle(self._attempt(number, attempt, lines), settlement(chosen))
            self._landed(number, attempt, lines)
            self.owed.status.update(dict.fromkeys(lines, Status.SETTLED))
            self.owed.held -= set(lines)
            if self.owed.poisoned:  # the side file is synced with each answer
                self.owed.durable |= set(lines)

    def doubt(
        self, number: int, attempt: int = 1, lines: list[int] | None = None, *, held: bool = False
    ) -> None:
        chosen = lines_of(number) if lines is None else lines
        with self._call(chosen) as recorder:
            recorder.doubt(self._attempt(number, attempt, chosen), chosen, "no answer", held=held)
            self._landed(number, attempt, chosen)
            self.owed.status.update(dict.fromkeys(chosen, Status.DOUBT))
            if held:
                self.owed.held |= set(chosen)

    async def resolve(self, number: int, lines: list[int], *, by: str = "query") -> None:
        for line in lines:
            self._attempts.pop(line, None)
        self._left()
        with self._call(lines) as recorder:
            attempt = self._attempt(number, 1, lines, in_doubt=True)
            await recorder.resolve(attempt, by=by, evidence="not found twice", at=self._clock)
            self.owed.status.update(dict.fromkeys(lines, Status.RELEASED))
            self.owed.held -= set(lines)
            self.owed.synced()

    async def allow_again(self, number: int, lines: list[int]) -> None:
        self.owed.seal_durable = False
        with self._call(lines) as recorder:
            await recorder.intend_again(self._attempt(number, 1, lines))
            self.owed.status.update(dict.fromkeys(lines, Status.ALLOWED))
            self.owed.synced()

    async def sync(self) -> None:
        with self._call([]):
            assert self._log is not None
            await self._log.sync()
            self.owed.synced()

    async def seal(self) -> None:
        self.owed.sealed = True
        with self._call([]) as recorder:
            await recorder.seal(self._clock)
            self.owed.synced()

    def close(self) -> None:
        log, self._log = self._log, None
        if log is not None:
            with self._call([]):
                log.close()
                if not self.owed.poisoned:
                    self.owed.synced()

    def resume(self, boot: str = "boot-1", *, power: bool = False) -> Reading:
        """The process ends at once, or the machine; another takes the load over."""
        kind = Kind.POWER if power else Kind.SAME_BOOT if boot == self.boot else Kind.OTHER_BOOT
        if kind is not Kind.SAME_BOOT:
            self.owed.touched = ALL
        faults = dict(self.disk.fail_at)
        self.disk.cut_power() if power else self.disk.kill()
        self.disk.fail_at.update(faults)  # the one that is to come may hit the next process
        self.boot = boot
        self._log = None
        self._clock += 100
        opening = Opening(INPUT, self._clock, "user")
        log = CheckpointLog.open(LOG, filesystem=self.disk, boot=boot)
        log.begin(opening)
        found = reading_of(log, self.disk.content(LOG))
        self.resumed += breaches(self.owed, found, kind)
        self._log, self._recorder = log, Recorder(log, lambda _: None)
        self._adopt(found)
        self._moment(returned=True)
        return found

    def _adopt(self, found: Reading) -> None:
        """From here on, what this process found is what it answers for."""
        self._unsure = frozenset()
        self._flights.clear()
        self.owed = Promises(
            created=True,
            cuts=list(found.cuts),
            written_cuts=len(found.cuts),
            durable_cuts=len(found.cuts),
            fates=dict(found.fates),
            durable=frozenset(found.fates),
            left=self.owed.left,
            status=found.status(),
            held=found.held,
            sealed=found.sealed,
            seal_durable=found.sealed,
        )

    async def after_failure(self) -> None:
        """What a process does when its disk fails: drains the answers, each of another kind, and ends."""
        if self._log is None:
            return
        answers = itertools.cycle((self.settle, self.not_applied, self.doubt, None))
        for (number, attempt), lines in sorted(self._flights.items()):
            answer = next(answers)
            with suppress(DiskError, PoisonedError):
                if answer == self.settle:
                    self.settle(number, attempt, mixed_fates(sorted(lines)))
                elif answer is not None:
                    answer(number, attempt, sorted(lines))  # type: ignore[arg-type]
        with suppress(DiskError, PoisonedError):
            self.close()

    def _attempt(self, number: int, attempt: int, lines: list[int], *, in_doubt: bool = False) -> Attempt:
        return Attempt(number, attempt, lines, [b"{}"] * len(lines), in_doubt)

    def _landed(self, number: int, attempt: int, lines: list[int]) -> None:
        flight = self._flights.get((number, attempt), set())
        flight -= set(lines)
        if not flight:
            self._flights.pop((number, attempt), None)

    def _left(self) -> None:
        self.owed.left = {line: min(ats.values()) for line, ats in self._attempts.items() if ats}


# --- what a process finds ---


def reading_of(log: CheckpointLog, content: bytes) -> Reading:
    """What the ledger says, beside what the bytes say."""
    ledger = log.ledger
    found = Reading(
        born=True,
        next_line=ledger.next_line,
        next_offset=ledger.next_offset,
        next_batch=ledger.next_batch,
        checksum=ledger.checksum,
        sealed=ledger.sealed,
    )
    stop = 0
    for frame in log_model.frames_of(content):
        stop = frame.stop
        if frame.type == 3:
            found.cuts += [log_model.cut_of(one) for one in frame.body[0]]
        elif frame.type == 6:
            found.fates.update(log_model.fates_of(frame.body))
    assert stop == len(content), "the log does not end with a frame"
    invalid = sum(len(one.invalid) for one in found.cuts)
    assert _told(content) == len(found.fates) + invalid, "the report counts other records than the log"
    for one in ledger.open_batches():
        found.open |= set(ranges.to_lines(one.open))
        found.allowed |= set(ranges.to_lines(one.allowed))
        found.released |= set(ranges.to_lines(one.released))
        found.flying |= set(ranges.to_lines(one.sent))
        found.held |= set(ranges.to_lines(one.held))
        for doubt in one.doubts:
            found.doubt.update(dict.fromkeys(ranges.to_lines(doubt.lines), doubt.since))
    tally = ledger.tally()
    found.counts = {outcome.value: tally.count(outcome) for outcome in Outcome}
    return found


def _told(content: bytes) -> int:
    """How many records have an outcome by the report, which is made of the log again."""
    chronicle = Chronicle()
    for _, entry in Scan(lambda offset, size: content[offset : offset + size]):
        chronicle.apply(entry)
    return sum(one.settled for one in chronicle.slices)


def recovered(disk: SimulatedDisk, boot: str) -> Reading:
    """What a new process makes of the disk. Where there is no load, one is created in its place."""
    opening = Opening(INPUT, 1000.0, "user")
    try:
        log = CheckpointLog.open(LOG, filesystem=disk, boot=boot)
    except UsageError:
        _created(disk, opening, boot)
        return Reading(born=False)
    log.begin(opening)
    found = reading_of(log, disk.content(LOG))
    point = disk.point()
    assert point.durable() == point.survivors(), "begin has returned, and not all of its work is durable"
    return found


def _created(disk: SimulatedDisk, opening: Opening, boot: str) -> None:
    """A load can begin in the place of one that was never born."""
    stale = disk.exists(LOG) and not b"\xc5\x1d\x01".startswith(disk.content(LOG)[:3].rstrip(b"\0"))
    try:
        CheckpointLog.create(LOG, HEAD, opening, filesystem=disk, boot=boot)
    except UsageError:
        # Stale blocks stand where the first bytes belong: for all the loader can tell, somebody's own file.
        assert stale


# --- what a crash leaves ---


class Choice(NamedTuple):
    label: str
    image: Image
    kind: Kind
    boot: str


def choices(moment: Moment, *, thin: bool = False) -> Iterator[Choice]:
    """Every state of the disk after a crash at this moment, without repetition; `thin` leaves tears out."""
    seen: set[tuple[object, ...]] = set()
    for choice in _choices(moment, thin=thin):
        key = (*sorted(choice.image.files.items()), choice.image.directories, choice.boot)
        if key not in seen:
            seen.add(key)
            yield choice


def _choices(moment: Moment, *, thin: bool) -> Iterator[Choice]:
    point = moment.point
    survivors = point.survivors()
    yield Choice("all, same boot", survivors, Kind.SAME_BOOT, moment.boot)
    yield Choice("all, next boot", survivors, Kind.OTHER_BOOT, NEXT_BOOT)
    yield Choice("all, no boot id", survivors, Kind.OTHER_BOOT, "")
    yield Choice("durable", point.durable(), Kind.POWER, NEXT_BOOT)
    if moment.returned and any(one.doomed for state in point.names.values() for one in state.changes):
        evicted = {path: _evicted(state) for path, state in point.names.items()}
        yield Choice("evicted", Image(evicted, point.directories), Kind.EVICTED, moment.boot)
    for label, files, directories in _names(point):
        whole = {path: state.content for path, state in files.items()}
        base = {path: state.base for path, state in files.items()}
        yield Choice(f"{label}contents all", Image(whole, directories), Kind.POWER, NEXT_BOOT)
        for path, state in files.items():
            if state.changes:
                others = {"all": whole, "durable": base} if len(files) > 1 else {"all": whole}
                for how, content in contents(state, thin=thin):
                    for name, kept in others.items():
                        image = Image({**kept, path: content}, directories)
                        yield Choice(f"{label}{path.name} {how}, others {name}", image, Kind.POWER, NEXT_BOOT)


def _evicted(state: FileState) -> bytes:
    return changed(state.base, (one for one in state.changes if not one.doomed))


def _names(point: CrashPoint) -> Iterator[tuple[str, dict[Path, FileState], frozenset[Path]]]:
    """Each choice of the names that no directory sync covers."""
    directories = [point.directories]
    if point.directories != point.durable_directories:
        directories.append(point.durable_directories)
    pending = sorted(
        path
        for path in point.names.keys() | point.durable_names.keys()
        if point.names.get(path) != point.durable_names.get(path)
    )
    for there, now in itertools.product(directories, itertools.product([True, False], repeat=len(pending))):
        chosen = {**point.durable_names}
        for path, is_now in zip(pending, now, strict=True):
            names = point.names if is_now else point.durable_names
            chosen.pop(path, None)
            if path in names:
                chosen[path] = names[path]
        lost = [path.name for path, is_now in zip(pending, now, strict=True) if not is_now]
        label = f"names not synced: {','.join(lost)}; " if lost else ""
        label += "" if there == point.directories else "directory lost; "
        yield label, {path: one for path, one in chosen.items() if path.parent in there}, there


def contents(state: FileState, *, thin: bool = False) -> Iterator[tuple[str, bytes]]:
    """Each content that a file may have when the changes since its last sync were cut short."""
    count = len(state.changes)
    size = len(state.content)
    yield "not changed", state.base
    yield "extended, no data", state.base.ljust(size, b"\0")
    yield "extended beyond, no data", state.base.ljust(size, b"\0") + bytes(300)
    noise = random.Random(size)
    start = state.base
    for number, change in enumerate(state.changes):
        before = state.changes[:number]
        start = changed(start, state.changes[max(0, number - 1) : number])
        yield f"first {number} changes", start
        if change.kind != "write":
            continue
        near = number >= count - 2 and not thin
        for cut_at in _tears(len(change.data), near=near):
            torn = msgspec.structs.replace(change, data=change.data[:cut_at])
            left = changed(start, [torn])
            at = change.offset + cut_at
            yield f"torn at {at}", left
            yield f"torn at {at}, zeros", left.ljust(size, b"\0") + bytes(40)
            rest = noise.randbytes(len(change.data) - cut_at)
            if not any(start[change.offset : change.stop]):  # stale blocks show where nothing was before
                yield f"torn at {at}, noise", changed(start, [torn, Change("write", at, rest)])
            if near or cut_at in (0, 20):
                hole = (*before, torn, *state.changes[number + 1 :])
                yield f"hole at {at}", changed(state.base, hole)
    yield from _subsets(state)


def _tears(length: int, *, near: bool) -> Iterator[int]:
    """Where a write is cut: every byte near its ends, every seventh between."""
    if not near:
        yield from sorted({0, 1, 19, 20, 21, length - 1} & set(range(length)))
        return
    for at in range(length):
        if at < EDGE_BYTES or at >= length - EDGE_BYTES or at % 7 == 0:
            yield at


def _subsets(state: FileState) -> Iterator[tuple[str, bytes]]:
    count = len(state.changes)
    if count <= 5:
        chosen = list(itertools.product([True, False], repeat=count))
    else:
        rng = random.Random(count)
        chosen = [tuple(rng.random() < 0.6 for _ in range(count)) for _ in range(24)]
    for kept in chosen:
        some = [one for one, keep in zip(state.changes, kept, strict=True) if keep]
        yield f"only changes {''.join('x' if keep else '-' for keep in kept)}", changed(state.base, some)


# --- loads ---


async def plain(load: Driver) -> None:
    """Windows, sends, answers of every kind, a seal; each sync falls somewhere else."""
    load.create()
    await load.window(1, 2)
    load.send(1)
    load.send(2)
    load.settle(1)
    load.not_applied(2)
    load.send(2, 2)
    await load.window(3)
    load.send(3)
    load.settle(3, fates=mixed_fates(lines_of(3)))
    await load.sync()
    load.settle(2, 2, inserted(lines_of(2, 0, 1)))
    load.settle(2, 2, {lines_of(2)[2]: Fate("rejected", "", "MANDATORY_NOT_FOUND", "m", "Last_Name")})
    await load.seal()
    load.close()


async def doubts(load: Driver) -> None:
    """Doubts, held and not; asked again; not applied after doubt; recovered."""
    load.create()
    await load.window(1, 2, 3)
    for number in (1, 2, 3):
        load.send(number)
    load.doubt(1)
    load.doubt(2, lines=lines_of(2, 0), held=True)
    load.not_applied(2, lines=lines_of(2, 1, 2))
    load.settle(3, fates=inserted(lines_of(3, 1)))
    load.doubt(3, lines=lines_of(3, 0, 2))
    load.send(1, 2, in_doubt=True)
    load.not_applied(1, 2)
    load.send(1, 3, in_doubt=True)
    recovered = Fate("inserted", "77", recovered=True)
    load.settle(1, 3, {line: recovered._replace(id=str(line)) for line in lines_of(1)})
    load.send(2, 2, lines_of(2, 1, 2))
    load.settle(2, 2, inserted(lines_of(2, 1, 2)))
    load.send(2, 3, lines_of(2, 0), in_doubt=True)
    load.doubt(2, 3, lines_of(2, 0), held=True)
    load.close()


async def resumed(load: Driver) -> None:
    """Killed with records in every state, resumed under the same boot, then under another, then sealed."""
    load.create()
    await load.window(1, 2)
    load.send(1)
    load.settle(1, fates=inserted(lines_of(1, 0)))
    load.resume()
    await load.window(3)
    load.send(2)
    load.not_applied(2)
    load.resume()
    load.send(2, 2)
    load.send(1, 2, lines_of(1, 1, 2), in_doubt=True)
    load.settle(1, 2, inserted(lines_of(1, 1, 2)))
    load.resume("boot-2")
    load.send(2, 3, in_doubt=True)
    load.settle(2, 3)
    load.send(3, 1, in_doubt=True)
    load.settle(3)
    await load.seal()
    load.resume("boot-2")
    load.close()


async def power_lost(load: Driver) -> None:
    """Power loss in the middle: windows and outcomes that were not synced are cut again."""
    load.create()
    await load.window(1)
    load.send(1)
    load.settle(1)
    await load.window(2)
    load.send(2)
    load.settle(2, fates=mixed_fates(lines_of(2)))
    load.resume("boot-2", power=True)
    load.send(2, 2, in_doubt=True)
    load.not_applied(2, 2)
    await load.window(3, 4)
    load.send(2, 3, in_doubt=True)
    load.settle(2, 3, fates=mixed_fates(lines_of(2)))
    load.send(4)
    load.resume("boot-3", power=True)
    load.close()
    load.resume("boot-3")
    load.close()


async def resolved(load: Driver) -> None:
    """Doubts resolved as not applied leave once more, and only from a new window."""
    load.create()
    await load.window(1, 2)
    load.send(1)
    load.send(2)
    load.doubt(1)
    load.doubt(2, held=True)
    await load.resolve(1, lines_of(1))
    await load.allow_again(1, lines_of(1))
    load.send(1, 2)
    load.doubt(1, 2, lines_of(1, 0))
    load.settle(1, 2, inserted(lines_of(1, 1, 2)))
    await load.resolve(2, lines_of(2, 0, 2), by="person")
    load.resume()
    await load.resolve(1, lines_of(1, 0))
    await load.allow_again(2, lines_of(2, 0, 2))
    load.send(2, 2, lines_of(2, 0, 2))
    load.not_applied(2, 2, lines_of(2, 0, 2))
    load.send(2, 3, lines_of(2, 0, 2))
    load.settle(2, 3, inserted(lines_of(2, 0, 2)))
    load.resume("boot-2")
    await load.allow_again(1, lines_of(1, 0))
    load.send(1, 3, lines_of(1, 0))
    load.settle(1, 3, inserted(lines_of(1, 0)))
    load.send(2, 4, lines_of(2, 1), in_doubt=True)
    load.settle(2, 4, inserted(lines_of(2, 1)))
    await load.seal()
    load.close()


async def appended(load: Driver) -> None:
    """A sealed load goes on with records that were appended to its input, and is sealed again."""
    load.create()
    await load.window(1)
    load.send(1)
    load.settle(1)
    await load.seal()
    load.close()
    load.resume()
    await load.window(2, 3)
    load.send(2)
    load.send(3)
    load.settle(3)
    load.settle(2)
    await load.seal()
    load.close()


Load = Callable[[Driver], Awaitable[None]]
LOADS: dict[str, Load] = {
    one.__name__: one for one in (plain, doubts, resumed, power_lost, resolved, appended)
}


class Fault(NamedTuple):
    """The operation with this number fails."""

    number: int
    code: int
    part_written: int = 0

    def __str__(self) -> str:
        return f"{errno.errorcode[self.code]}@{self.number}+{self.part_written}"


def moments_of(name: str, fault: Fault | None = None, *, small: bool = True) -> list[Moment]:
    """The moments of a load; with a fault, also those of draining, resuming and going on after it."""
    disk = SimulatedDisk()
    if fault is not None:
        disk.fail_at[fault.number] = fault.code
        disk.part_written = fault.part_written
    load = Driver(disk)
    with reserves(small=small):
        anyio.run(_run, LOADS[name], load, fault)
    assert load.resumed == [], load.resumed
    return load.moments


async def _run(script: Load, load: Driver, fault: Fault | None) -> None:
    try:
        await script(load)
    except DamagedLogError:
        raise
    except LoaderError:  # the disk refused, or the recorder an attempt that after a poisoned log may repeat
        assert fault is not None
        await load.after_failure()
        load.disk.part_written = 0
        boot = load.boot if fault.number % 2 else "boot-after"
        try:
            found = load.resume(boot)
        except UsageError:
            assert not load.owed.created
            load.disk.kill()
            load.create()
            return
        for number in sorted({one.number for one in found.cuts}):
            allowed = sorted(found.allowed & set(lines_of(number)))
            if allowed:
                load.send(number, 9, allowed)
                load.settle(number, 9, inserted(allowed))
        load.close()


def faults_of(name: str, *, quiet: bool = False) -> list[Fault]:
    """Each operation that changes the disk fails once with EIO and where it needs room once with ENOSPC.

    `quiet`: instead those that change nothing (reads, locks, closes) fail with EIO.
    """
    disk = SimulatedDisk()
    with reserves(small=True):
        anyio.run(LOADS[name], Driver(disk))
    if quiet:
        return [Fault(one.number, errno.EIO) for one in disk.operations if one.name not in CHANGES]
    faults: list[Fault] = []
    for one in disk.operations:
        if one.name in CHANGES:
            faults.append(Fault(one.number, errno.EIO))
        if one.name in ("write", "allocate"):
            faults.append(Fault(one.number, errno.ENOSPC, len(one.data) // 2))
    return faults


def _faults_by_name(name: str) -> dict[str, Fault]:
    return {str(one): one for one in faults_of(name)}


# --- checking ---


class Checked:
    """Checks states and counts them. A disk that many moments share is recovered once."""

    def __init__(self) -> None:
        self.states = 0
        self.breaches: list[str] = []
        self.recoveries = 0
        """Disks that were opened and begun."""
        self._readings: dict[tuple[object, ...], Reading | str] = {}

    def run(
        self,
        name: str,
        fault: Fault | None = None,
        *,
        thin: bool = False,
        at_most: int = 0,
        small: bool = True,
    ) -> None:
        """Every state of one load; of each moment no more than `at_most`, if that is given."""
        rng = random.Random(zlib.crc32(f"{name}{fault}".encode()))
        counted: set[tuple[object, ...]] = set()
        for moment in moments_of(name, fault, small=small):
            if fault is not None and moment.point.operations < fault.number:
                continue  # the same as without the fault
            chosen = list(choices(moment, thin=thin))
            if at_most and len(chosen) > at_most:
                chosen = [*chosen[:5], *rng.sample(chosen[5:], at_most - 5)]
            for choice in chosen:
                counted.add((moment.point.operations, _key(choice)))
                self.check(f"{name}/{fault or '-'}/{moment.number}/{choice.label}", moment, choice)
        self.states += len(counted)

    def check(self, state: str, moment: Moment, choice: Choice) -> None:
        found = self._reading(choice)
        broken = [found] if isinstance(found, str) else breaches(moment.owed, found, choice.kind)
        if broken:
            self.breaches.append(f"CRASH_STATE={state!r}: {'; '.join(broken)}")

    def _reading(self, choice: Choice) -> Reading | str:
        key = _key(choice)
        found = self._readings.get(key)
        if found is None:
            found = _attempted(choice.image, choice.boot, twice=self.recoveries % 16 == 0)
            self.recoveries += 1
            if len(self._readings) > READINGS_KEPT:
                self._readings.clear()
            self._readings[key] = found
        return found

    def require_sound(self) -> None:
        if self.breaches:
            shown = "\n  ".join(self.breaches[:8])
            raise AssertionError(
                f"{len(self.breaches)} of {self.states} states break a promise:\n  {shown}\n"
                "Repeat one with its CRASH_STATE: pytest tests/crash/test_crash_states.py -k one_state"
            )


def _key(choice: Choice) -> tuple[object, ...]:
    return (*sorted(choice.image.files.items()), choice.image.directories, choice.boot)


def _attempted(image: Image, boot: str, *, twice: bool) -> Reading | str:
    try:
        disk = SimulatedDisk(image)
        found = recovered(disk, boot)
        if twice and found.born:
            _require_idempotent(disk.image(), boot, found)
    except (AssertionError, LoaderError, OSError) as error:
        return f"{type(error).__name__}: {error}".replace("\n", " ")
    return found


def _require_idempotent(image: Image, boot: str, found: Reading) -> None:
    """Whoever opens it next finds the same; under another boot, with nothing allowed any more."""
    again = recovered(SimulatedDisk(image), boot)
    if boot:
        assert again == found, f"opened twice: {found}, then {again}"
    later = recovered(SimulatedDisk(image), "later")
    doubtful = found.doubt.keys() | found.allowed
    assert (later.fates, later.cuts, later.released) == (found.fates, found.cuts, found.released)
    assert not later.allowed
    assert later.doubt.keys() == doubtful
    assert all(later.doubt[line] == since for line, since in found.doubt.items())


def check_one(state: str) -> list[str]:
    """Checks the state, or the chain, with this id."""
    if state.startswith("chain/"):
        _, name, seed = state.split("/")
        return broken_by_chain(name, int(seed))
    name, fault, number, label = state.split("/", 3)
    moment = moments_of(name, None if fault == "-" else _faults_by_name(name)[fault])[int(number)]
    checked = Checked()
    for thin in (False, True):
        for choice in choices(moment, thin=thin):
            if choice.label == label:
                checked.check(state, moment, choice)
                return checked.breaches
    raise ValueError(f"{state}: no such choice at this moment")


# --- crashes during recovery ---


def broken_by_chain(name: str, seed: int, *, crashes: int = 5) -> list[str]:
    """A load crashes, and then so many of its recoveries, each somewhere on the way; every one is checked."""
    rng = random.Random(seed)
    moment = rng.choice(_moments(name))
    first = [one for one in choices(moment, thin=True) if one.kind is not Kind.EVICTED]
    _, image, kind, boot = rng.choice(first)
    for crash in range(crashes + 1):
        points: list[CrashPoint] = []
        disk = SimulatedDisk(image)
        disk.on_operation = _collector(disk, points)
        try:
            found = recovered(disk, boot)
        except (AssertionError, LoaderError, OSError) as error:
            return [f"recovery {crash}: {type(error).__name__}: {error}"]
        broken = breaches(moment.owed, found, kind)
        if broken:
            return [f"recovery {crash}, {kind.value}: {one}" for one in broken]
        point = rng.choice([*points, disk.point()])
        match rng.choice(("kill", "kill", "reboot", "power")):
            case "kill":
                image = point.survivors()
            case "reboot":
                image, boot = point.survivors(), f"boot {crash}"
                kind = Kind.OTHER_BOOT if kind is Kind.SAME_BOOT else kind
            case _:
                image, boot, kind = point.chosen(rng), f"boot {crash}", Kind.POWER
    return []


def _collector(disk: SimulatedDisk, points: list[CrashPoint]) -> Callable[[Operation], None]:
    def collect(operation: Operation) -> None:
        if operation.name in CHANGES:
            points.append(disk.point())

    return collect


@functools.cache
def _moments(name: str) -> list[Moment]:
    """Of the load, and of the same load with a failing disk: then there are side files to adopt."""
    faults = faults_of(name)
    with_faults = [one for fault in faults[:: len(faults) // 6] for one in moments_of(name, fault)]
    return moments_of(name) + with_faults


# --- damage ---


def damaged(content: bytes, rng: random.Random) -> Iterator[tuple[int, bytes]]:
    """(offset of the frame that is hit, the log): each way to lose what the log confirms as synced."""
    safe = log_model.confirmed(content)
    for frame in log_model.frames_of(content):
        if frame.offset >= safe:
            return
        for at in range(frame.offset, frame.stop):
            yield frame.offset, _with(content, at, bytes([content[at] ^ 1 << rng.randrange(8)]))
        for start, stop in ((frame.offset, frame.stop), (frame.offset, frame.offset + 20)):
            yield frame.offset, _with(content, start, bytes(stop - start))
        yield frame.offset, _with(content, frame.offset, content[: frame.stop - frame.offset][::-1])


def _with(content: bytes, at: int, part: bytes) -> bytes:
    return content[:at] + part + content[at + len(part) :]


def read_damage(content: bytes) -> int | None:
    """Where the log says that the damage is; None where it says nothing. The disk must stay as it was."""
    disk = SimulatedDisk(Image({LOG: content}, frozenset({Path("/"), LOG.parent})))
    try:
        CheckpointLog.open(LOG, filesystem=disk, boot="boot-1")
    except DamagedLogError as error:
        assert disk.content(LOG) == content
        return error.offset
    except UsageError:
        return None  # "there is no load here", though there was one
    return None
