"""Reads a checkpoint log from its start: where it ends, and whether its end is torn or the log is damaged.

Memory is flat however long the log is. Nothing here writes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from loader.checkpoint import ranges
from loader.checkpoint.displaced import moved_frames
from loader.checkpoint.entries import (
    BODY_BYTES_MAX,
    HEADER,
    MARKER,
    MARKER_BYTES,
    OUTCOME_OF_NUMBER,
    Entry,
    Outcomes,
    WindowEntry,
    decode_body,
    frame_crc,
    unpack_ids,
)
from loader.checkpoint.ledger import DamagedLogError, Ledger
from loader.outcomes import Outcome
from loader.records import Span

READ_BYTES = 1024 * 1024
_HEADER_BYTES = HEADER.size
_ID_MAX = 2**64

ReadAt = Callable[[int, int], bytes]
"""`read_at(offset, size)`: the bytes there, fewer at the end of the file."""


class Scan:
    """Iterates over (offset, entry); what it says of the log's end is known when the iteration is over.

    Raises (while iterating):
        DamagedLogError: a frame is bad that was on the disk already.
        NewerLoaderError: a frame that a later version wrote.
    """

    def __init__(self, read_at: ReadAt) -> None:
        self._read_at = read_at
        self.good_end = 0
        """Where the last good frame ends: cut the file here."""
        self.synced = 0
        """The highest offset that a frame confirms as synced."""
        self.torn = False
        """Bytes that are neither a frame nor zero follow `good_end`."""
        self.frames_behind = False
        """Good frames were found behind a bad one: writes were lost, in other places than at the end."""

    def __iter__(self) -> Iterator[tuple[int, Entry]]:
        data = b""
        start = at = 0  # `data` was read at offset `start`; the next frame begins at data[at]
        while True:
            frame = _frame_at(data, at, offset=start + at)
            if frame is None:
                start += at
                data = self._read_at(start, READ_BYTES)
                at = 0
                frame = _frame_at(data, 0, offset=start) or self._large_frame(start, data)
            if frame is None:
                if self._end_at(start):
                    return
                continue
            number, synced, body, size = frame
            offset = start + at
            try:
                entry = decode_body(number, body)
            except msgspec.DecodeError as error:
                raise DamagedLogError(
                    f"a whole frame of type {number} holds {error}", offset=offset
                ) from None
            at += size
            self.good_end = offset + size
            self.synced = max(self.synced, synced)
            yield offset, entry

    def _large_frame(self, offset: int, data: bytes) -> tuple[int, int, bytes, int] | None:
        """The frame there, if it only did not fit into one read."""
        header = _header_at(data, 0, offset=offset)
        if header is None or _HEADER_BYTES + header[3] <= len(data):
            return None
        return _frame_at(self._read_at(offset, _HEADER_BYTES + header[3]), 0, offset=offset)

    def _end_at(self, bad: int) -> bool:
        """There is no good frame at `bad`: True at the end or an unsynced tail, False if one is there by now.

        Raises:
            DamagedLogError: neither; what was on the disk is gone.
        """
        confirmed = self.synced
        behind = False
        for frame in find_frames(self._read_at, bad):
            behind = True
            confirmed = max(confirmed, frame.synced)
        if behind and next(find_frames(self._read_at, bad)).offset == bad:
            return False  # the writer wrote it while we looked
        self.frames_behind = behind
        self.torn = any(block.strip(b"\0") for _, block in _blocks(self._read_at, bad))
        if confirmed > bad:
            raise DamagedLogError(
                f"the frame there is broken, though the log was safely on the disk up to byte {confirmed:,}",
                offset=bad,
            )
        if self.torn:
            self._require_unmoved(bad)
        return True

    def _require_unmoved(self, bad: int) -> None:
        """Frames that were moved confirm what was synced no less than those that stand in their place."""
        for frame in moved_frames(self._read_at, bad):
            if frame.synced > bad:
                raise DamagedLogError(
                    f"bytes were cut out there or put in: the frame at byte {frame.offset:,} was written at"
                    f" byte {frame.offset + frame.shift:,}",
                    offset=bad,
                )


class Frame(NamedTuple):
    """A good frame as it stands in the file."""

    offset: int
    number: int
    synced: int
    body: bytes


def find_frames(read_at: ReadAt, start: int, *, number: int | None = None) -> Iterator[Frame]:
    """Good frames at or behind `start`, found by their marker wherever they begin; of one type, if given."""
    pattern = MARKER_BYTES if number is None else MARKER_BYTES + bytes([number, 0])
    overlap = len(pattern) - 1
    for at, block in _blocks(read_at, start, overlap=overlap):
        for found in re.finditer(re.escape(pattern), block):
            offset = at + found.start()
            header = _header_at(read_at(offset, _HEADER_BYTES), 0, offset=offset)
            if header is None:
                continue
            frame = _frame_at(read_at(offset, _HEADER_BYTES + header[3]), 0, offset=offset)
            if frame is not None:
                yield Frame(offset, frame[0], frame[1], frame[2])


def _blocks(read_at: ReadAt, offset: int, *, overlap: int = 0) -> Iterator[tuple[int, bytes]]:
    """The rest of the file; each block but the first begins `overlap` bytes early."""
    block = read_at(offset, READ_BYTES)
    while block:
        yield offset, block
        if len(block) <= overlap:
            return
        offset += len(block) - overlap
        block = read_at(offset, READ_BYTES)


def _header_at(data: bytes, at: int, *, offset: int) -> tuple[int, ...] | None:
    if len(data) - at < _HEADER_BYTES:
        return None
    header = HEADER.unpack_from(data, at)
    marker, number, reserved, length, _, synced = header
    if marker != MARKER or number == 0 or reserved or length > BODY_BYTES_MAX or synced > offset:
        return None
    return header


def _frame_at(data: bytes, at: int, *, offset: int) -> tuple[int, int, bytes, int] | None:
    """(type, synced, body, size of the frame), or None where no whole good frame stands."""
    header = _header_at(data, at, offset=offset)
    if header is None:
        return None
    stop = at + _HEADER_BYTES + header[3]
    if stop > len(data):
        return None
    body = data[at + _HEADER_BYTES : stop]
    if frame_crc(header, body, offset=offset) != header[4]:
        return None
    return header[1], header[5], body, stop - at


@contextmanager
def opened(path: Path) -> Iterator[ReadAt]:
    """A way to read `path`, for as long as the context lasts."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield lambda offset, size: read_fully(descriptor, offset, size)
    finally:
        # It was only read: nothing is lost if the system has something to say about that.
        with suppress(OSError):
            os.close(descriptor)


def read_fully(descriptor: int, offset: int, size: int) -> bytes:
    """`size` bytes at `offset`, fewer only at the end of the file."""
    data = os.pread(descriptor, size, offset)
    while data and len(data) < size:
        more = os.pread(descriptor, size - len(data), offset + len(data))
        if not more:
            break
        data += more
    return data


def scan(path: Path) -> Iterator[tuple[int, Entry]]:
    """Every (offset, entry) of the log at `path`, in order. Needs no lock.

    Raises:
        DamagedLogError: what was on the disk is broken.
        NewerLoaderError: a later version of the loader wrote it.
        FileNotFoundError: there is none.
    """
    with opened(path) as read_at:
        try:
            yield from Scan(read_at)
        except DamagedLogError as error:
            raise error.of(path) from None


def fold(path: Path) -> Ledger:
    """What the log at `path` adds up to, as of its last frame.

    Raises:
        DamagedLogError, NewerLoaderError, FileNotFoundError: as `scan` does.
    """
    ledger = Ledger()
    for _ in folding(path, ledger):
        pass
    return ledger


def folding(path: Path, ledger: Ledger) -> Iterator[tuple[int, Entry]]:
    """As `scan`, and each entry is added to the ledger before it is given. Raises as `scan` does."""
    for offset, entry in scan(path):
        try:
            ledger.apply(entry, offset=offset)
        except DamagedLogError as error:
            raise error.of(path) from None
        yield offset, entry


def spans(path: Path) -> Iterator[Span]:
    """The spans of all windows, in order: what the input is compared with."""
    for _, entry in scan(path):
        if type(entry) is WindowEntry:
            for batch in entry.batches:
                yield batch.span


def find_ids(path: Path, ids: Collection[str]) -> dict[str, list[int]]:
    """For each of `ids` that this load got for a record it inserted: the lines of those records."""
    wanted = set(ids)
    numbers = {int(one): one for one in wanted if one.isascii() and one.isdigit() and int(one) < _ID_MAX}
    found: dict[str, list[int]] = {}
    for _, entry in scan(path):
        if type(entry) is Outcomes:
            for line, one in _hits(entry, wanted, numbers):
                found.setdefault(one, []).append(line)
    return found


def _hits(entry: Outcomes, wanted: set[str], numbers: dict[int, str]) -> Iterator[tuple[int, str]]:
    column = unpack_ids(entry.ids)
    if not numbers.keys().isdisjoint(column):
        for line, number in zip(ranges.to_lines(entry.lines), column, strict=True):
            if number in numbers and str(number) in wanted:
                yield line, str(number)
    for line, one in zip(ranges.to_lines(entry.lines), entry.text_ids, strict=False):
        if one in wanted:
            yield line, one
    for other in entry.others:
        if other.id in wanted and OUTCOME_OF_NUMBER.get(other.outcome) is Outcome.INSERTED:
            yield other.line, other.id
