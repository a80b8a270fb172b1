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
        asked = _Asked(wanted)
        if asked.next is not None:
            yield from _found(asked, path, line_bytes_max)

    return look


class _Asked:
    """The line numbers that are asked for, one after the other; none is taken before it is needed."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._numbers = iter(numbers)
        self.next = next(self._numbers, None)

    def from_line(self, line: int) -> int | None:
        """The next number that is no less than `line`; None: there is none."""
        while self.next is not None and self.next < line:
            self.next = next(self._numbers, None)
        return self.next


def _found(asked: _Asked, path: str, line_bytes_max: int) -> Iterator[OriginalLine]:
    splitter = LineSplitter(line_bytes_max)
    line, offset = 1, 0
    for data in chain(_content(path), [b""]):
        for item in splitter.feed(data) if data else splitter.flush():
            match item:
                case Run():
                    yield from _in_run(asked, item)
                    line, offset = item.first_line + len(item.texts), item.start + len(item.raw)
                case Piece() if offset == 0 and item.raw == BOM:
                    offset = len(BOM)
                case Piece():
                    if asked.from_line(line) == line:
                        yield OriginalLine(line, offset, item.raw)
                case Overlong():
                    line, offset = item.line + 1, item.offset + item.byte_count + 1
        if asked.from_line(line) is None:
            return


def _in_run(asked: _Asked, run: Run) -> Iterator[OriginalLine]:
    """Those of the run's lines that are asked for; what lies between is only counted."""
    first, stop = run.first_line, run.first_line + len(run.texts)
    line, at = first, 0
    while (number := asked.from_line(line)) is not None and number < stop:
        if number > line:
            between = run.texts[line - first : number - first]
            at += sum(map(len, between)) + len(between) * run.line_end_bytes
        end = at + len(run.texts[number - first]) + run.line_end_bytes
        yield OriginalLine(number, run.start + at, bytes(run.raw[at:end]))
        line, at = number + 1, end


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
