"""What a damaged log still holds: its good frames, the gaps between them, and what the gaps may have held.

Nothing here writes, and nothing here knows the input: what has to be read there again is said as regions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from loader.checkpoint.displaced import Moved, frame_at, markers, shift_at
from loader.checkpoint.entries import (
    HEADER,
    BatchEntry,
    Doubt,
    Entry,
    Head,
    InvalidEntry,
    NotApplied,
    Outcomes,
    Resolved,
    Seal,
    Sent,
    WindowEntry,
    decode_body,
)
from loader.checkpoint.scan import READ_BYTES, ReadAt
from loader.errors import DiskError
from loader.records import Span
from loader.wire.limits import RECORDS_PER_CALL_MAX

WINDOW_OVERHEAD_BYTES: Final = HEADER.size + 2
"""Of a WINDOW frame, what is no batch: its header, and the heads of two arrays."""

Addressed = Sent | NotApplied | Outcomes | Doubt | Resolved
"""Entries that name a batch and lines of it."""


class Gap(msgspec.Struct, frozen=True):
    """Bytes [start, stop) of the log that are no frame, or a frame that says nothing which can be true."""

    start: int
    stop: int
    lost: int = 0
    """How many bytes stood here once: more than there are now, where some were cut out."""


class Found(msgspec.Struct, frozen=True):
    """A good frame."""

    offset: int
    stop: int
    entry: Entry


class Region(msgspec.Struct, frozen=True):
    """A stretch of the input whose WINDOW frames are lost. Its batches have to be cut once more.

    It ends at `stop` and `stop_line`, or where both are None, after `records_max` lines that are not blank or
    at the end of the input.
    """

    gap: int
    """Where the gap begins in which the first of the windows is lost."""
    number: int
    """What the first lost batch was numbered."""
    first_line: int
    start: int
    stop_number: int | None = None
    """The first surviving batch behind; None: there is none."""
    stop_line: int | None = None
    stop: int | None = None
    records_max: int = 0


class Survey(msgspec.Struct, frozen=True):
    """What a damaged log has lost, as far as the rest of it tells."""

    head: Head
    gaps: tuple[Gap, ...]
    regions: tuple[Region, ...]
    records: int
    """Records, invalid ones too, of the windows that survive."""


class BeyondRepairError(DiskError):
    """What is left of the log does not say enough to go on with the load."""

    def __init__(self, why: str) -> None:
        super().__init__(
            "the checkpoint log cannot be repaired",
            why=f"{why}\nNothing was changed.",
            hint="Keep the load directory as it is, and restore checkpoint.log from a copy if there is one",
        )


def pieces(read_at: ReadAt) -> Iterator[Found | Gap]:
    """The whole log, in order. Zeros behind the last frame are none of it: they were allocated ahead.

    Raises:
        NewerLoaderError: a frame that a later version wrote.
    """
    end = shift = 0
    for offset in markers(read_at, 0):
        if offset < end:
            continue  # inside a good frame: a record's text can hold anything
        frame = _frame_at(read_at, offset, shift=shift)
        if frame is None or offset + frame.shift < end + shift:
            continue  # the latter: a copy of what stood before
        try:
            entry = decode_body(frame.number, frame.body)
        except msgspec.DecodeError:
            continue
        lost = offset + frame.shift - (end + shift)
        if offset > end or lost:
            yield Gap(end, offset, max(lost, offset - end))
        end, shift = offset + HEADER.size + len(frame.body), frame.shift
        yield Found(offset, end, entry)
    written = _written_end(read_at, end)
    if written > end:
        yield Gap(end, written, written - end)


def _frame_at(read_at: ReadAt, offset: int, *, shift: int) -> Moved | None:
    """The good frame there: moved like the one before it, in its place, or moved together with its next."""
    for known in dict.fromkeys((shift, 0)):
        frame = frame_at(read_at, offset, shift=known)
        if frame is not None:
            return frame
    moved = shift_at(read_at, offset)
    return None if moved is None else frame_at(read_at, offset, shift=moved)


def _written_end(read_at: ReadAt, start: int) -> int:
    """Where the last byte at or behind `start` that is not zero ends; `start` if there is none."""
    end = at = start
    while block := read_at(at, READ_BYTES):
        kept = len(block.rstrip(b"\0"))
        if kept:
            end = at + kept
        at += len(block)
    return end


def spans(read_at: ReadAt) -> Iterator[Span]:
    """The spans of the windows that survive, in order: what the input is compared with."""
    for piece in pieces(read_at):
        if isinstance(piece, Found) and isinstance(piece.entry, WindowEntry):
            for batch in piece.entry.batches:
                yield batch.span


def survey(read_at: ReadAt) -> Survey:
    """What is lost, and where the input has to tell what it was.

    Raises:
        BeyondRepairError: HEAD is lost, or the windows that survive contradict each other.
        NewerLoaderError: a frame that a later version wrote.
    """
    surveyor = _Surveyor()
    for piece in pieces(read_at):
        surveyor.take(piece)
    return surveyor.end()


class _Surveyor:
    """Follows the windows through the log, and keeps count of what may be missing between them."""

    def __init__(self) -> None:
        self._head: Head | None = None
        self._gaps: list[Gap] = []
        self._regions: list[Region] = []
        self._records = 0
        self._number = 1
        self._line = 1
        self._offset = 0
        self._first_gap: Gap | None = None
        """The first gap behind the last window."""
        self._since_gaps: list[Gap] = []
        """The gaps behind the last window and the last SEAL: no frame says what windows they held."""
        self._sealed: Seal | None = None
        """A SEAL behind the last window: it knows how far they reached."""

    def take(self, piece: Found | Gap) -> None:
        if isinstance(piece, Gap):
            self._gaps.append(piece)
            self._since_gaps.append(piece)
            self._first_gap = self._first_gap or piece
            return
        match piece.entry:
            case Head():
                if self._head is None and piece.offset == 0:
                    self._head = piece.entry
            case WindowEntry():
                if piece.entry.batches:
                    self._window(piece.entry)
            case Seal():
                self._sealed = piece.entry
                self._since_gaps = []

    def _window(self, entry: WindowEntry) -> None:
        first, last = entry.batches[0], entry.batches[-1]
        if (first.number, first.first_line, first.start) != (self._number, self._line, self._offset):
            self._lost_before(first)
        self._number = last.number + 1
        self._line = last.first_line + last.line_count
        self._offset = last.stop
        self._first_gap = self._sealed = None
        self._since_gaps = []
        for batch in entry.batches:
            self._records += sum(stop - start for start, stop in batch.record_lines) + len(batch.invalid)

    def _lost_before(self, first: BatchEntry) -> None:
        ahead = first.number > self._number and first.first_line > self._line and first.start > self._offset
        if self._first_gap is None or not ahead:
            raise BeyondRepairError(f"batch {first.number} stands where batch {self._number} belongs")
        region = self._region(self._first_gap)
        self._regions.append(
            msgspec.structs.replace(
                region, stop_number=first.number, stop_line=first.first_line, stop=first.start
            )
        )

    def _region(self, gap: Gap) -> Region:
        return Region(gap.start, self._number, self._line, self._offset)

    def end(self) -> Survey:
        if self._head is None:
            raise BeyondRepairError(
                "its first frame, HEAD, is broken: it alone says which input goes to which module and where"
            )
        if self._first_gap is not None:
            self._lost_at_the_end(self._first_gap)
        return Survey(self._head, tuple(self._gaps), tuple(self._regions), self._records)

    def _lost_at_the_end(self, gap: Gap) -> None:
        """No window stands behind the last gap: how far may those in it have reached?"""
        sealed = self._sealed
        if sealed is not None and sealed.lines >= self._line and sealed.input_stop > self._offset:
            region = self._region(gap)
            self._line, self._offset = sealed.lines + 1, sealed.input_stop
            self._regions.append(msgspec.structs.replace(region, stop_line=self._line, stop=self._offset))
        lost = sum(records_max_of(one, self._number, self._line, self._offset) for one in self._since_gaps)
        if lost > 0:
            self._regions.append(msgspec.structs.replace(self._region(gap), records_max=lost))


def records_max_of(gap: Gap, number: int, line: int, offset: int) -> int:
    """How many records the windows may have had that are lost in a gap, if batch `number` is the first.

    Numbers only grow, so no later batch and no later invalid line takes fewer bytes than these.
    """
    room = gap.lost - WINDOW_OVERHEAD_BYTES
    batch_bytes = len(msgspec.msgpack.encode(BatchEntry(number, line, 1, offset, offset, 0)))
    if room < batch_bytes:
        return 0
    invalid_bytes = len(msgspec.msgpack.encode(InvalidEntry(line, offset, "", "")))
    batches, rest = divmod(room, batch_bytes)
    return batches * RECORDS_PER_CALL_MAX + rest // invalid_bytes
