"""Lines of a stream that will be asked for again: stdin cannot be read twice.

Only lines that did not get into the CRM are kept. What is written survives `kill -9`; a power cut may cost
the last lines, and then they are not given out, never given out wrong.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from loader.source.lookup import OriginalLine

_HEAD = struct.Struct("<QQII")  # line, offset, byte count, CRC-32 of the bytes


class Spool:
    """An append-only file of lines; the last copy of a line counts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def keep(self, line: int, raw: bytes, *, offset: int = 0) -> None:
        """Write one line, without its line end."""
        os.write(self._descriptor, _HEAD.pack(line, offset, len(raw), zlib.crc32(raw)) + raw)

    def close(self) -> None:
        os.close(self._descriptor)


def spooled(path: Path, wanted: Iterable[int]) -> Iterator[OriginalLine]:
    """The kept lines among the wanted ones, which ascend."""
    with path.open("rb") as file:
        places = dict(_places(file.fileno(), path.stat().st_size))
        for line in wanted:
            if line in places:
                at, size = places[line]
                yield OriginalLine(line, 0, os.pread(file.fileno(), size, at) + b"\n")


def _places(descriptor: int, end: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """Line -> where its bytes are; ends at the first frame that is not whole."""
    at = 0
    while at + _HEAD.size <= end:
        line, _, size, crc = _HEAD.unpack(os.pread(descriptor, _HEAD.size, at))
        raw = os.pread(descriptor, size, at + _HEAD.size)
        if len(raw) != size or zlib.crc32(raw) != crc:
            return
        yield line, (at + _HEAD.size, size)
        at += _HEAD.size + size
