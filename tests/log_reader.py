"""A second reader of the checkpoint log, made from docs/reference/checkpoint-log.md alone.

It shares no code with the loader, so that judges can read what the loader wrote without believing the loader.
`frames_of` cuts bytes into frames, `Standing` adds them up line by line and notes each rule that they break.
It is strict and slow: every line is an entry of its own, so it is for logs of some thousand lines.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

HEAD, OPEN, WINDOW, SENT, NOT_APPLIED, OUTCOMES, DOUBT, RESOLVED, SEAL = range(1, 10)
OUTCOME_NAMES: Final = {1: "inserted", 2: "duplicate", 3: "rejected"}
_HEADER: Final = struct.Struct("<HBBIIQ")
_MARKER: Final = 0x1DC5


class Frame(NamedTuple):
    """One frame by its place; `body` is the plain array."""

    offset: int
    type: int
    synced: int
    body: list[Any]
    stop: int


class End(NamedTuple):
    """How a record ended."""

    outcome: str
    id: str = ""
    code: str = ""
    field: str = ""
    recovered: bool = False


class Piece(NamedTuple):
    """A batch as its window names it."""

    number: int
    first_line: int
    line_count: int
    start: int
    stop: int
    crc: int


def frames_of(content: bytes, start: int = 0) -> Iterator[Frame]:
    """The frames from `start`, where one begins, up to the first place where none stands."""
    at = start
    while at + _HEADER.size <= len(content):
        marker, number, reserved, length, crc, synced = _HEADER.unpack_from(content, at)
        stop = at + _HEADER.size + length
        if marker != _MARKER or reserved or synced > at or stop > len(content):
            return
        covered = at.to_bytes(8, "little") + content[at : at + 8] + content[at + 12 : stop]
        if zlib.crc32(covered) != crc:
            return
        yield Frame(at, number, synced, msgspec.msgpack.decode(content[at + _HEADER.size : stop]), stop)
        at = stop


def numbers(ranges: Iterable[tuple[int, int]]) -> list[int]:
    """The lines of an array of [start, stop] pairs."""
    return [line for start, stop in ranges for line in range(start, stop)]


def ends_of(body: list[Any]) -> dict[int, End]:
    """The outcomes of an OUTCOMES body, by line."""
    _, _, ranges, packed, texts, others = body[:6]
    ids = texts or [str(one) for one in struct.unpack(f"<{len(packed) // 8}Q", packed)]
    ends = {line: End("inserted", one) for line, one in zip(numbers(ranges), ids, strict=True)}
    for other in others:
        line, outcome, record_id, code, _message, name, recovered = _filled(other, 7, "", "", "", "", False)
        assert line not in ends, f"line {line} has two outcomes in one frame"
        ends[line] = End(OUTCOME_NAMES[outcome], record_id, code, name, recovered)
    return ends


def _filled(fields: list[Any], size: int, *defaults: Any) -> list[Any]:
    """An array of which an older version may lack the last fields, a newer one have more."""
    missing = max(0, size - len(fields))
    return [*fields[:size], *defaults[len(defaults) - missing :]]


@dataclass
class Standing:
    """What a log says of each line, and which of its rules it breaks."""

    head: list[Any] | None = None
    opens: list[list[Any]] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    records: set[int] = field(default_factory=set)
    """Lines that a window allowed to be sent."""
    invalid: dict[int, str] = field(default_factory=dict)
    """With the code that says why."""
    blank: set[int] = field(default_factory=set)
    ends: dict[int, End] = field(default_factory=dict)
    sent: set[int] = field(default_factory=set)
    in_flight: dict[int, int] = field(default_factory=dict)
    """Line -> the attempt that nothing has been said about."""
    doubt: set[int] = field(default_factory=set)
    """Lines that the log called in doubt, or sent without a word since, and that have not ended."""
    held: set[int] = field(default_factory=set)
    released: set[int] = field(default_factory=set)
    """Resolved as not applied, and in no window since."""
    resolved: set[int] = field(default_factory=set)
    seal: list[Any] | None = None
    broken: list[str] = field(default_factory=list)

    @property
    def unsettled(self) -> set[int]:
        """Records without a final outcome."""
        return self.records - self.ends.keys()

    @property
    def lines(self) -> int:
        """How many lines of the input the windows cover."""
        return sum(one.line_count for one in self.pieces)

    def add(self, frame: Frame) -> None:
        """Goes on by one frame."""
        if (self.head is None) is not (frame.type == HEAD):
            self._breach(f"a frame of type {frame.type} at byte {frame.offset}, HEAD is first and only once")
        _KINDS[frame.type](self, frame.body)

    def _breach(self, text: str) -> None:
        self.broken.append(text)

    def _head(self, body: list[Any]) -> None:
        self.head = body

    def _open(self, body: list[Any]) -> None:
        self.opens.append(body)
        # The process before has gone: what it had in flight, nobody will ever answer for.
        self.doubt.update(self.in_flight)
        self.in_flight.clear()

    def _window(self, body: list[Any]) -> None:
        for piece in body[0]:
            self._piece(piece)
        for _number, ranges in body[1] if len(body) > 1 else ():
            again = set(numbers(ranges))
            if not again <= self.released:
                self._breach(f"lines {sorted(again - self.released)} leave again and were not resolved")
            self.released -= again
        self.seal = None

    def _piece(self, entry: list[Any]) -> None:
        number, first, count, start, stop, crc, lines, blank, invalid = _filled(entry, 9, None, [], [])
        before = self.pieces[-1] if self.pieces else Piece(0, 1, 0, 0, 0, 0)
        expected = (before.number + 1, before.first_line + before.line_count, before.stop)
        if (number, first, start) != expected:
            self._breach(f"batch {number} begins at line {first}, byte {start}; expected {expected}")
        records = set(range(first, first + count)) if lines is None else set(numbers(lines))
        refused = {one[0]: one[2] for one in invalid}
        parts = [records, set(refused), set(numbers(blank))]
        if lines is not None and set().union(*parts) != set(range(first, first + count)):
            self._breach(f"batch {number} does not account for each line of its span")
        if lines is not None and sum(map(len, parts)) != count:
            self._breach(f"batch {number} gives a line two kinds")
        self.pieces.append(Piece(number, first, count, start, stop, crc))
        self.records |= records
        self.invalid |= refused
        self.blank |= parts[2]

    def _known(self, what: str, lines: Iterable[int]) -> None:
        for line in lines:
            if line not in self.records:
                self._breach(f"{what} names line {line}, which is in no window")
            elif line in self.ends:
                self._breach(f"{what} names line {line}, which has ended as {self.ends[line]}")

    def _sent(self, body: list[Any]) -> None:
        _, attempt, ranges, _, in_doubt = _filled(body, 5, False)
        lines = numbers(ranges)
        self._known("SENT", lines)
        for line in lines:
            if line in self.released:
                self._breach(f"SENT names line {line}, which was resolved and is in no window")
            if not in_doubt and (line in self.doubt or line in self.in_flight):
                self._breach(f"SENT names line {line}, which may have been applied, and does not say so")
            self.in_flight[line] = attempt
        self.sent.update(lines)
        self.held.difference_update(lines)

    def _not_applied(self, body: list[Any]) -> None:
        _, attempt, ranges, _ = body[:4]
        self._known("NOT_APPLIED", numbers(ranges))
        self._land(attempt, numbers(ranges))

    def _land(self, attempt: int, lines: Iterable[int]) -> None:
        for line in lines:
            if self.in_flight.get(line) == attempt:
                del self.in_flight[line]

    def _outcomes(self, body: list[Any]) -> None:
        ends = ends_of(body)
        self._known("OUTCOMES", ends)
        self.ends |= ends
        self.doubt.difference_update(ends)
        self.held.difference_update(ends)
        for line in ends:
            self.in_flight.pop(line, None)

    def _doubt(self, body: list[Any]) -> None:
        _, attempt, ranges, _, held = _filled(body, 5, False)
        lines = numbers(ranges)
        self._known("DOUBT", lines)
        self._land(attempt, lines)
        self.doubt.update(lines)
        if held:
            self.held.update(lines)

    def _resolved(self, body: list[Any]) -> None:
        lines = set(numbers(body[1]))
        self._known("RESOLVED", lines)
        self.doubt -= lines
        self.held -= lines
        self.released |= lines
        self.resolved |= lines

    def _seal(self, body: list[Any]) -> None:
        outcomes, lines, stop, checksum, _ = body
        counted = dict.fromkeys(("inserted", "duplicate", "rejected"), 0)
        for end in self.ends.values():
            counted[end.outcome] += 1
        counted["invalid"] = len(self.invalid)
        expected = 0
        for piece in self.pieces:
            expected = zlib.crc32(piece.crc.to_bytes(4, "little"), expected)
        last = self.pieces[-1].stop if self.pieces else 0
        if self.unsettled:
            self._breach(f"SEAL while lines {sorted(self.unsettled)[:9]} have no outcome")
        if {name: outcomes.get(name, 0) for name in counted} != counted:
            self._breach(f"SEAL says {outcomes}, counted are {counted}")
        if (lines, stop, checksum) != (self.lines, last, expected):
            self._breach(f"SEAL says {lines, stop, checksum}, the windows say {self.lines, last, expected}")
        self.seal = body


_KINDS: Final = {
    HEAD: Standing._head,
    OPEN: Standing._open,
    WINDOW: Standing._window,
    SENT: Standing._sent,
    NOT_APPLIED: Standing._not_applied,
    OUTCOMES: Standing._outcomes,
    DOUBT: Standing._doubt,
    RESOLVED: Standing._resolved,
    SEAL: Standing._seal,
}


def standing_of(content: bytes) -> Standing:
    """What the bytes of a log add up to, as far as whole frames go."""
    standing = Standing()
    for frame in frames_of(content):
        standing.add(frame)
    return standing
