"""What a checkpoint log owes its readers after a crash: a model that shares no code with the loader.

`Promises` is what had been promised at one instant: a window that `intend` confirmed, an outcome that a sync
covers, and, above all, which records may be in the CRM because bytes of them were allowed to leave. `Reading`
is what a new process makes of the disk that the crash left. `breaches` compares the two.

The log's bytes are read here by hand, from the page docs/reference/checkpoint-log.md alone.
"""

from __future__ import annotations

import copy
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

import msgspec

ALL = frozenset(range(1, 1000))
_HEADER = struct.Struct("<HBBIIQ")
_NAMES = {1: "inserted", 2: "duplicate", 3: "rejected"}


class Fate(NamedTuple):
    """A record's final outcome."""

    outcome: str
    id: str = ""
    code: str = ""
    message: str = ""
    field: str = ""
    recovered: bool = False


class Cut(NamedTuple):
    """A batch as a window names it."""

    number: int
    first_line: int
    line_count: int
    start: int
    stop: int
    crc: int
    lines: frozenset[int]
    """The records."""
    invalid: frozenset[int]


class Status(Enum):
    """Where a record in a window stands."""

    ALLOWED = "allowed"
    FLYING = "flying"
    DOUBT = "in doubt"
    RELEASED = "released"
    SETTLED = "settled"


class Kind(Enum):
    """What a crash took, and what the next process can know of it."""

    SAME_BOOT = "same boot"
    """Every write is there, and the boot id is the same: nothing at all is lost."""
    OTHER_BOOT = "other boot"
    """Every write is there, but the loader cannot know that."""
    POWER = "power"
    """Only what was synced is certain."""
    EVICTED = "evicted"
    """The same boot, but a sync failed and the page cache has forgotten what it was to keep."""


@dataclass
class Promises:
    """See the module's text. `touched` are lines of a call that has not returned: either way is right."""

    created: bool = False
    cuts: list[Cut] = field(default_factory=list)
    """Every batch that a window was asked for, in order."""
    written_cuts: int = 0
    durable_cuts: int = 0
    fates: dict[int, Fate] = field(default_factory=dict)
    """Every outcome that was to be written."""
    durable: frozenset[int] = frozenset()
    """Lines whose outcome a sync covered."""
    left: dict[int, float] = field(default_factory=dict)
    """Lines that may be in the CRM, and since when."""
    status: dict[int, Status] = field(default_factory=dict)
    """What was written of each line."""
    held: frozenset[int] = frozenset()
    touched: frozenset[int] = frozenset()
    sealed: bool = False
    """A SEAL was asked for, and no window since."""
    seal_durable: bool = False
    poisoned: bool = False

    def copy(self) -> Promises:
        other = copy.copy(self)
        other.cuts = list(self.cuts)
        other.fates = dict(self.fates)
        other.left = dict(self.left)
        other.status = dict(self.status)
        return other

    def synced(self) -> None:
        """A sync that covers all that was written has returned."""
        self.durable = frozenset(one for one, now in self.status.items() if now is Status.SETTLED)
        self.durable_cuts = self.written_cuts
        self.seal_durable = self.sealed


@dataclass
class Reading:
    """What a process that took the log over knows, by the loader's ledger and by the bytes themselves."""

    born: bool
    cuts: list[Cut] = field(default_factory=list)
    next_line: int = 1
    next_offset: int = 0
    next_batch: int = 1
    checksum: int = 0
    fates: dict[int, Fate] = field(default_factory=dict)
    allowed: frozenset[int] = frozenset()
    released: frozenset[int] = frozenset()
    doubt: dict[int, float] = field(default_factory=dict)
    flying: frozenset[int] = frozenset()
    held: frozenset[int] = frozenset()
    open: frozenset[int] = frozenset()
    counts: dict[str, int] = field(default_factory=dict)
    sealed: bool = False

    def status(self) -> dict[int, Status]:
        return (
            dict.fromkeys(self.fates, Status.SETTLED)
            | dict.fromkeys(self.allowed, Status.ALLOWED)
            | dict.fromkeys(self.released, Status.RELEASED)
            | dict.fromkeys(self.doubt, Status.DOUBT)
        )


class Frame(NamedTuple):
    """A frame by its place; `body` is the plain array."""

    offset: int
    type: int
    synced: int
    body: list[Any]
    stop: int


def frames_of(content: bytes) -> Iterator[Frame]:
    """The frames from the start to the first that is none."""
    at = 0
    while at + _HEADER.size <= len(content):
        marker, number, reserved, length, crc, synced = _HEADER.unpack_from(content, at)
        stop = at + _HEADER.size + length
        if marker != 0x1DC5 or reserved or synced > at or stop > len(content):
            return
        place = at.to_bytes(8, "little") + content[at : at + 8] + content[at + 12 : stop]
        if zlib.crc32(place) != crc:
            return
        body: list[Any] = msgspec.msgpack.decode(content[at + _HEADER.size : stop])
        yield Frame(at, number, synced, body, stop)
        at = stop


def confirmed(content: bytes) -> int:
    """The highest offset that a frame says is synced."""
    return max((one.synced for one in frames_of(content)), default=0)


def lines_in(ranges: Iterable[Iterable[int]]) -> list[int]:
    return [line for start, stop in ranges for line in range(start, stop)]


def cut_of(body: list[Any]) -> Cut:
    """A batch of a WINDOW's body."""
    number, first, count, start, stop, crc, lines, _, invalid = body
    records = range(first, first + count) if lines is None else lines_in(lines)
    return Cut(
        number, first, count, start, stop, crc, frozenset(records), frozenset(one[0] for one in invalid)
    )


def fates_of(body: list[Any]) -> dict[int, Fate]:
    """The outcomes of an OUTCOMES body."""
    _, _, ranges, packed, texts, others = body[:6]
    ids = texts or [str(one) for one in struct.unpack(f"<{len(packed) // 8}Q", packed)]
    found = {line: Fate("inserted", one) for line, one in zip(lines_in(ranges), ids, strict=True)}
    for line, outcome, *rest in others:
        assert line not in found
        found[line] = Fate(_NAMES[outcome], *rest)
    return found


def breaches(owed: Promises, found: Reading, kind: Kind) -> list[str]:
    """Every promise that what was found after the crash does not keep."""
    if not found.born:
        return ["the load is gone, though its creation had returned"] if owed.created else []
    return [
        *_windows(owed, found),
        *_safety(owed, found),
        *_outcomes(owed, found),
        *_shape(found),
        *_exactly(owed, found, kind),
    ]


def _windows(owed: Promises, found: Reading) -> Iterator[str]:
    count = len(found.cuts)
    if not owed.durable_cuts <= count:
        yield f"{owed.durable_cuts} batches were durable, {count} are there"
    if found.cuts != owed.cuts[:count]:
        yield "the windows are not the first of those that were written"
    end = found.cuts[-1] if found.cuts else None
    goes_on = (1, 1, 0) if end is None else (end.number + 1, end.first_line + end.line_count, end.stop)
    if (found.next_batch, found.next_line, found.next_offset) != goes_on:
        yield f"the reader would go on at {found.next_batch, found.next_line, found.next_offset}"
    checksum = 0
    for one in found.cuts:
        checksum = zlib.crc32(one.crc.to_bytes(4, "little"), checksum)
    if checksum != found.checksum:
        yield "the checksum of the windows is wrong"
    if owed.seal_durable and not found.sealed:
        yield "the SEAL is gone"
    if found.sealed and not owed.sealed:
        yield "a SEAL that was never written"


def _safety(owed: Promises, found: Reading) -> Iterator[str]:
    """The promise itself: what may be in the CRM is nowhere called new."""
    for line, since in owed.left.items():
        if line in found.fates:
            continue
        if line >= found.next_line:
            yield f"line {line} may have been applied and is in no window: it would be sent as new"
        elif line in found.allowed:
            yield f"line {line} may have been applied and is allowed: it would be sent as new"
        elif line in found.released:
            yield f"line {line} may have been applied and counts as resolved: it would be sent as new"
        elif found.doubt.get(line, since + 1) > since:
            yield f"line {line} may have been applied at {since}; doubt since {found.doubt.get(line)}"


def _outcomes(owed: Promises, found: Reading) -> Iterator[str]:
    gone = owed.durable - found.fates.keys()
    if gone:
        yield f"outcomes of lines {sorted(gone)} were durable and are gone"
    for line, fate in found.fates.items():
        if owed.fates.get(line) != fate:
            yield f"line {line} became {fate}, written was {owed.fates.get(line)}"


def _shape(found: Reading) -> Iterator[str]:
    records = frozenset[int]().union(*(one.lines for one in found.cuts))
    parts = [frozenset(found.fates), found.allowed, found.released, frozenset(found.doubt), found.flying]
    if frozenset[int]().union(*parts) != records or sum(map(len, parts)) != len(records):
        yield "the records of the windows do not each stand in one place"
    if found.open != records - found.fates.keys():
        yield "what is open is not what has no outcome"
    if found.flying:
        yield "records are in flight though nobody runs"
    if not found.held <= found.doubt.keys():
        yield "records are held that are not in doubt"
    expected = dict.fromkeys(_NAMES.values(), 0)
    for fate in found.fates.values():
        expected[fate.outcome] += 1
    expected["invalid"] = sum(len(one.invalid) for one in found.cuts)
    expected["in_doubt"] = len(found.doubt)
    if {name: found.counts[name] for name in expected} != expected:
        yield f"the tally says {found.counts}, the frames say {expected}"


def _exactly(owed: Promises, found: Reading, kind: Kind) -> Iterator[str]:
    """Where nothing is lost the next process knows all; where something may be, it believes no absence."""
    if kind is not Kind.SAME_BOOT or owed.poisoned:
        if found.allowed and kind is not Kind.SAME_BOOT:
            yield f"lines {sorted(found.allowed)} are allowed, though an attempt may have been forgotten"
        if kind is Kind.POWER or owed.poisoned:
            return
    after_crash: Mapping[Status, Status] = {Status.FLYING: Status.DOUBT}
    if kind is Kind.OTHER_BOOT:
        after_crash = {Status.FLYING: Status.DOUBT, Status.ALLOWED: Status.DOUBT}
    status = found.status()
    for line, then in owed.status.items():
        expected = after_crash.get(then, then)
        if line not in owed.touched and status.get(line) is not expected:
            yield f"line {line} was {then.value} and is {status.get(line)}"
    if owed.held - owed.touched - found.held:
        yield f"lines {sorted(owed.held - owed.touched - found.held)} were held and are not"
