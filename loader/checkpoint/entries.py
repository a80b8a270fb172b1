"""What the checkpoint log says: one Struct for each type of frame, and the frame's bytes.

Pure. The format is described in `docs/reference/checkpoint-log.md`: change that page first. Fields are only
ever added, at the end and with a default; no number below is ever used for something else.
"""

from __future__ import annotations

import struct
import sys
import zlib
from array import array
from collections.abc import Sequence
from enum import IntEnum

import msgspec

from loader.checkpoint import ranges
from loader.checkpoint.ranges import NONE, Ranges
from loader.errors import DiskError
from loader.outcomes import Cause, Outcome, RecordOutcome, Settlement
from loader.records import Batch, InvalidLine, Span

FORMAT_VERSION = 1
MARKER = 0x1DC5
MARKER_BYTES = MARKER.to_bytes(2, "little")
BODY_BYTES_MAX = 64 * 1024 * 1024

_PLACE = struct.Struct("<QHBBIQ")  # own offset, then the header without its checksum
HEADER = struct.Struct("<HBBIIQ")


class FrameType(IntEnum):
    """Numbers of the frame types."""

    HEAD = 1
    OPEN = 2
    WINDOW = 3
    SENT = 4
    NOT_APPLIED = 5
    OUTCOMES = 6
    DOUBT = 7
    RESOLVED = 8
    SEAL = 9


class InputIdentity(msgspec.Struct, frozen=True, array_like=True):
    """What tells the input from another one. `size` is None for a stream."""

    kind: str
    """`file` or `stdin`."""
    name: str
    size: int | None = None
    mtime_ns: int = 0
    inode: int = 0
    device: int = 0


class Head(msgspec.Struct, frozen=True, array_like=True):
    """What the load is; the first frame, written once."""

    format_version: int
    load_id: str
    created_at: float
    module: str
    api_url: str
    organisation: str
    key: str
    key_unique: bool | None
    limit: int | None
    check: bool
    options: dict[str, str]
    input: InputIdentity
    stamp: str = ""
    """The field into which the load writes its own key; empty: none."""


class Open(msgspec.Struct, frozen=True, array_like=True):
    """A process took the log. `survived`: every frame that was written before this one has been read."""

    boot_id: str
    host: str
    pid: int
    at: float
    input: InputIdentity
    user_id: str = ""
    resumes: int = 0
    survived: bool = False


class InvalidEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A line that was settled before it was sent."""

    line: int
    offset: int
    code: str
    message: str
    field: str = ""


class BatchEntry(msgspec.Struct, frozen=True, array_like=True):
    """One batch as it was cut. `lines` is None where every line of the span is a record."""

    number: int
    first_line: int
    line_count: int
    start: int
    stop: int
    crc: int
    lines: Ranges | None = None
    blank: Ranges = NONE
    invalid: tuple[InvalidEntry, ...] = ()

    @property
    def span(self) -> Span:
        return Span(self.first_line, self.line_count, self.start, self.stop, self.crc)

    @property
    def record_lines(self) -> Ranges:
        if self.lines is not None:
            return self.lines
        return ((self.first_line, self.first_line + self.line_count),) if self.line_count else NONE


class WindowEntry(msgspec.Struct, frozen=True, array_like=True):
    """What may be sent once this frame is durable."""

    batches: tuple[BatchEntry, ...]
    again: tuple[tuple[int, Ranges], ...] = ()
    """Batch number and lines of records that were RESOLVED as not applied and may leave once more."""


class Sent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An attempt's first byte is about to leave."""

    batch: int
    attempt: int
    lines: Ranges
    at: float
    in_doubt: bool = False


class NotApplied(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An attempt was proved not applied. `at`: when that was known; 0: nobody wrote it down."""

    batch: int
    attempt: int
    lines: Ranges
    reason: str
    """For people."""
    at: float = 0.0
    cause: int = Cause.UNTOLD
    """A `Cause`, or the number of one that a later version has: nothing is decided by it."""

    @property
    def charged(self) -> bool:
        """Whether the call may have cost credits."""
        return _cause_of(self) not in _UNCHARGED

    @property
    def pushed_back(self) -> bool:
        """Whether it was not let in: too many calls at once, or no credits left."""
        return _cause_of(self) == Cause.PUSHED_BACK


_UNCHARGED = frozenset({Cause.PUSHED_BACK, Cause.TOKEN_REFUSED, Cause.UNREACHED})
_UNTOLD_CAUSES = {"HTTP 429": Cause.PUSHED_BACK, "HTTP 401": Cause.TOKEN_REFUSED}
"""How the reason begins in logs of loaders that wrote no cause. No later reason has to keep to it."""


def _cause_of(entry: NotApplied) -> int:
    return entry.cause or _UNTOLD_CAUSES.get(entry.reason[:8], Cause.OTHER)


class OtherOutcome(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A final outcome that needs more words than an id."""

    line: int
    outcome: int
    id: str = ""
    code: str = ""
    message: str = ""
    field: str = ""
    recovered: bool = False


class Outcomes(msgspec.Struct, frozen=True, array_like=True):
    """Final outcomes: plain successes in columns (`lines`, and `ids` or `text_ids`), all else in `others`.

    `at`: when they were known; 0: nobody wrote it down.
    """

    batch: int
    attempt: int
    lines: Ranges
    ids: bytes = b""
    text_ids: tuple[str, ...] = ()
    others: tuple[OtherOutcome, ...] = ()
    at: float = 0.0


class Doubt(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """These lines may have been applied. `held`: only a person can say. `at` as in `Outcomes`."""

    batch: int
    attempt: int
    lines: Ranges
    reason: str
    held: bool = False
    at: float = 0.0


class Resolved(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """These lines were in doubt and are not applied. They are in no window until one names them again."""

    batch: int
    lines: Ranges
    by: str
    """`query` or `person`."""
    evidence: str
    at: float


class Seal(msgspec.Struct, frozen=True, array_like=True):
    """The load is complete: every line up to `input_stop` has a final outcome."""

    outcomes: dict[str, int]
    lines: int
    input_stop: int
    checksum: int
    at: float


Answer = NotApplied | Outcomes | Doubt
"""What became of an attempt: written even where nothing new may be begun."""

Entry = Head | Open | WindowEntry | Sent | NotApplied | Outcomes | Doubt | Resolved | Seal

_TYPE_OF: dict[type[Entry], int] = {
    Head: FrameType.HEAD,
    Open: FrameType.OPEN,
    WindowEntry: FrameType.WINDOW,
    Sent: FrameType.SENT,
    NotApplied: FrameType.NOT_APPLIED,
    Outcomes: FrameType.OUTCOMES,
    Doubt: FrameType.DOUBT,
    Resolved: FrameType.RESOLVED,
    Seal: FrameType.SEAL,
}
_DECODER_OF = {int(number): msgspec.msgpack.Decoder(kind) for kind, number in _TYPE_OF.items()}
_encode_body = msgspec.msgpack.Encoder().encode

OUTCOME_OF_NUMBER = {1: Outcome.INSERTED, 2: Outcome.DUPLICATE, 3: Outcome.REJECTED}
NUMBER_OF_OUTCOME = {outcome: number for number, outcome in OUTCOME_OF_NUMBER.items()}


class NewerLoaderError(DiskError):
    """The log holds something that this version does not know; guessing is not allowed."""

    def __init__(self, found: str) -> None:
        super().__init__(
            "the checkpoint log was written by a newer loader",
            why=f"it holds {found}, which this version does not know; skipping it could insert records twice",
            hint="Upgrade the loader to the version that wrote it, then run the same command again",
        )


def encode_frame(entry: Entry, *, offset: int, synced: int) -> bytes:
    """The frame that says `entry`, valid at `offset` only.

    Raises:
        ValueError: the body is larger than a frame may be.
    """
    body = _encode_body(entry)
    length = len(body)
    if length > BODY_BYTES_MAX:
        raise ValueError(f"{type(entry).__name__} of {length} bytes: a frame holds {BODY_BYTES_MAX}")
    number = _TYPE_OF[type(entry)]
    crc = zlib.crc32(body, zlib.crc32(_PLACE.pack(offset, MARKER, number, 0, length, synced)))
    return HEADER.pack(MARKER, number, 0, length, crc, synced) + body


def frame_crc(header: tuple[int, ...], body: bytes | memoryview, *, offset: int) -> int:
    """The checksum that a frame with these header fields and this body has at `offset`."""
    marker, number, reserved, length, _, synced = header
    return zlib.crc32(body, zlib.crc32(_PLACE.pack(offset, marker, number, reserved, length, synced)))


def decode_body(number: int, body: bytes | memoryview) -> Entry:
    """The entry of a frame whose checksum was right.

    Raises:
        NewerLoaderError: a type that this version does not know.
        msgspec.DecodeError: the body is not what its type says.
    """
    decoder = _DECODER_OF.get(number)
    if decoder is None:
        raise NewerLoaderError(f"a frame of type {number}")
    entry: Entry = decoder.decode(body)
    return entry


# --- from the loader's values and back ---

_ids_from_json = msgspec.json.Decoder(list[int]).decode
_ids_to_json = msgspec.json.Encoder().encode


def pack_ids(ids: Sequence[str]) -> bytes | None:
    """`ids` as little-endian u64, or None where one of them would not come back as the same text.

    The way over JSON is the quickest that proves it: only the canonical text of integers, one for each id,
    is encoded to the same bytes again.
    """
    text = f"[{','.join(ids)}]".encode()
    try:
        numbers = _ids_from_json(text)
        if len(numbers) != len(ids) or _ids_to_json(numbers) != text:
            return None
        return struct.pack(f"<{len(numbers)}Q", *numbers)
    except (msgspec.DecodeError, struct.error):
        return None


def unpack_ids(packed: bytes) -> Sequence[int]:
    """The numbers of a packed column."""
    column = array("Q", packed)
    if sys.byteorder == "big":
        column.byteswap()
    return column


def outcomes_of(batch: int, attempt: int, settlement: Settlement, *, at: float = 0.0) -> Outcomes:
    """The entry for what one reply settled.

    Raises:
        ValueError: as many ids as lines are needed.
    """
    if len(settlement.ids) != len(settlement.lines):
        raise ValueError(f"{len(settlement.ids)} ids for {len(settlement.lines)} lines")
    lines = ranges.from_lines(settlement.lines)
    packed = pack_ids(settlement.ids)
    others = tuple(_other(one) for one in settlement.others)
    if packed is None:
        return Outcomes(batch, attempt, lines, text_ids=tuple(settlement.ids), others=others, at=at)
    return Outcomes(batch, attempt, lines, packed, others=others, at=at)


def restricted(entry: Answer, lines: Ranges) -> Answer | None:
    """The part of `entry` that concerns `lines`; None where nothing does."""
    if not isinstance(entry, Outcomes):
        left = ranges.intersection(entry.lines, lines)
        return msgspec.structs.replace(entry, lines=left) if left else None
    plain = record_outcomes(entry)[: ranges.count(entry.lines)]
    kept = [one for one in plain if ranges.contains(lines, one.line)]
    settlement = Settlement([one.line for one in kept], [one.id for one in kept])
    others = tuple(one for one in entry.others if ranges.contains(lines, one.line))
    if not kept and not others:
        return None
    part = outcomes_of(entry.batch, entry.attempt, settlement, at=entry.at)
    return msgspec.structs.replace(part, others=others)


def _other(one: RecordOutcome) -> OtherOutcome:
    number = NUMBER_OF_OUTCOME[one.outcome]
    return OtherOutcome(one.line, number, one.id, one.code, one.message, one.field, one.recovered)


def known_outcome(number: int) -> Outcome:
    """The outcome that a stored number means.

    Raises:
        NewerLoaderError: none that this version knows.
    """
    outcome = OUTCOME_OF_NUMBER.get(number)
    if outcome is None:
        raise NewerLoaderError(f"an outcome numbered {number}")
    return outcome


def record_outcomes(entry: Outcomes) -> list[RecordOutcome]:
    """Each outcome of the entry as a value; plain successes first."""
    ids: Sequence[str] = entry.text_ids or [str(number) for number in unpack_ids(entry.ids)]
    plain = [
        RecordOutcome(line, Outcome.INSERTED, one)
        for line, one in zip(ranges.to_lines(entry.lines), ids, strict=True)
    ]
    return plain + other_outcomes(entry)


def other_outcomes(entry: Outcomes) -> list[RecordOutcome]:
    """The outcomes of the entry that are no plain successes."""
    return [
        RecordOutcome(o.line, known_outcome(o.outcome), o.id, o.code, o.message, o.field, o.recovered)
        for o in entry.others
    ]


def batch_entry(batch: Batch) -> BatchEntry:
    """What the log keeps of a batch: everything but its bytes."""
    span = batch.span
    lines = ranges.from_lines(batch.lines)
    whole: Ranges = ((span.first_line, span.first_line + span.line_count),) if span.line_count else NONE
    return BatchEntry(
        number=batch.number,
        first_line=span.first_line,
        line_count=span.line_count,
        start=span.start,
        stop=span.stop,
        crc=span.crc,
        lines=None if lines == whole else lines,
        blank=ranges.from_lines(batch.blank),
        invalid=tuple(_invalid_entry(one) for one in batch.invalid),
    )


def _invalid_entry(one: InvalidLine) -> InvalidEntry:
    return InvalidEntry(one.line, one.offset, one.code, one.message, one.field)
