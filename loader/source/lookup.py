"""Original lines once more, for those that write about a load that has been read already.

Not for sending: nothing is compared here. One pass over the input, in flat memory, in the calling thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Protocol

import msgspec

from loader.errors import DiskError
from loader.source.compression import decoder_for
from loader.source.lines import BOM, LineSplitter, Overlong, Piece, Run
from loader.source.streams import COMPRESSED_READ_BYTES

HEAD_BYTES = 4
"""Enough to know how a file is stored, by its magic number."""


class OriginalLine(msgspec.Struct, frozen=True, gc=False):
    """A line of the input, or a piece of one that is too long to be held: pieces follow each other."""

    line: int
    offset: int
    raw: bytes
    """Byte for byte, with its line end if it has one."""


class Lookup(Protocol):
    """Gives the original lines of ascending line numbers, those that it still has."""

    def __call__(self, wanted: Iterable[int], /) -> Iterator[OriginalLine]: ...


def lines_of(path: str, *, line_bytes_max: int) -> Lookup:
    """The lines of a file, found by reading it from its start."""

    def look(wanted: Iterable[int]) -> Iterator[OriginalLine]:
        numbers = iter(wanted)
        number = next(numbers, None)
        if number is None:
            return
        for found in _every_line(path, line_bytes_max):
            while number is not None and number < found.line:
                number = next(numbers, None)
            if number is None:
                return
            if number == found.line:
                yield found

    return look


def _every_line(path: str, line_bytes_max: int) -> Iterator[OriginalLine]:
    splitter = LineSplitter(line_bytes_max)
    line, offset = 1, 0
    for data in chain(_content(path), [b""]):
        for item in splitter.feed(data) if data else splitter.flush():
            match item:
                case Run():
                    line, offset = item.first_line, item.start
                    for text in item.texts:
                        stop = offset - item.start + len(text) + item.line_end_bytes
                        yield OriginalLine(line, offset, bytes(item.raw[offset - item.start : stop]))
                        line, offset = line + 1, item.start + stop
                case Piece() if offset == 0 and item.raw == BOM:
                    offset = len(BOM)
                case Piece():
                    yield OriginalLine(line, offset, item.raw)
                case Overlong():
                    line, offset = item.line + 1, item.offset + item.byte_count + 1


def _content(path: str) -> Iterator[bytes]:
    """The decompressed content of a file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            decoder = decoder_for(os.pread(descriptor, HEAD_BYTES, 0), path, complete=True)
            assert decoder is not None  # complete: it decides on what there is
            while stored := os.read(descriptor, COMPRESSED_READ_BYTES):
                decoder.feed(stored)
                while data := decoder.take(COMPRESSED_READ_BYTES):
                    yield data
        finally:
            os.close(descriptor)
    except OSError as error:
        raise DiskError(f"cannot read {path} again", why=error.strerror or str(error)) from None
