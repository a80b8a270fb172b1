"""Frames that stand in another place than they were written to: bytes before them were cut out or put in.

Such frames are bad where they stand, for the checksum covers a frame's own offset. But a CRC can be run
backwards: it tells the one offset below 4 GiB at which it would be right. Two frames in a row that agree on
how far they were moved are no accident, and what they say of the log can be believed. Nothing here writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from loader.checkpoint.entries import BODY_BYTES_MAX, HEADER, MARKER, MARKER_BYTES, frame_crc

READ_BYTES: Final = 1024 * 1024
_POLYNOMIAL: Final = 0xEDB88320
_ONES: Final = 0xFFFFFFFF

ReadAt = Callable[[int, int], bytes]


class Moved(NamedTuple):
    """A frame, whole, and what has to be added to where it stands to get where it was written."""

    offset: int
    shift: int
    number: int
    synced: int
    body: bytes


def _table() -> list[int]:
    table = []
    for index in range(256):
        value = index
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


_TABLE: Final = _table()
_INDEX_OF_TOP: Final = {value >> 24: index for index, value in enumerate(_TABLE)}


def _unwound(state: int, data: bytes) -> int:
    """The state of a CRC-32 before it took `data`."""
    for byte in reversed(data):
        index = _INDEX_OF_TOP[state >> 24]
        state = (state ^ _TABLE[index]) << 8 & _ONES | index ^ byte
    return state


def written_at(frame: bytes) -> int:
    """The one offset below 4 GiB at which this frame's checksum is right."""
    rest = frame[:8] + frame[12:]
    state = HEADER.unpack_from(frame)[4] ^ _ONES
    # The offset went in first, as eight little-endian bytes of which the upper four are zero.
    return _unwound(state, bytes(8) + rest) ^ _ONES


def markers(read_at: ReadAt, start: int) -> Iterator[int]:
    """Where a frame may begin at or behind `start`."""
    overlap = len(MARKER_BYTES) - 1
    at = start
    while len(block := read_at(at, READ_BYTES)) > overlap:
        for found in re.finditer(re.escape(MARKER_BYTES), block):
            yield at + found.start()
        at += len(block) - overlap


def frame_at(read_at: ReadAt, offset: int, *, shift: int) -> Moved | None:
    """The good frame there, if it was written `shift` bytes further on."""
    frame = _whole(read_at, offset)
    if frame is None:
        return None
    header, body = HEADER.unpack_from(frame), frame[HEADER.size :]
    own = offset + shift
    if own < header[5] or frame_crc(header, body, offset=own) != header[4]:
        return None
    return Moved(offset, shift, header[1], header[5], body)


def shift_at(read_at: ReadAt, offset: int) -> int | None:
    """How far two frames in a row were moved that begin here; None where none do, or they were not."""
    frame = _whole(read_at, offset)
    behind = offset + len(frame or b"")
    if frame is None or _whole(read_at, behind) is None:
        return None
    shift = written_at(frame) - offset
    if shift == 0 or not all(frame_at(read_at, at, shift=shift) for at in (offset, behind)):
        return None
    return shift


def moved_frames(read_at: ReadAt, start: int) -> Iterator[Moved]:
    """The frames at or behind `start` that were moved, each together with another."""
    shift: int | None = None
    for offset in markers(read_at, start):
        frame = None if shift is None else frame_at(read_at, offset, shift=shift)
        if frame is None:
            found = shift_at(read_at, offset)
            if found is None:
                continue
            shift = found
            frame = frame_at(read_at, offset, shift=shift)
        assert frame is not None, "shift_at has read it"
        yield frame


def _whole(read_at: ReadAt, offset: int) -> bytes | None:
    """Bytes that are as long as the header at their beginning says."""
    head = read_at(offset, HEADER.size)
    if len(head) < HEADER.size:
        return None
    marker, number, reserved, length, _, _ = HEADER.unpack(head)
    if marker != MARKER or not number or reserved or length > BODY_BYTES_MAX:
        return None
    frame = read_at(offset, HEADER.size + length)
    return frame if len(frame) == HEADER.size + length else None
