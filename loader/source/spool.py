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

from loader.errors import DiskError
from loader.source.lookup import OriginalLine

_HEAD = struct.Struct("<QII")  # line, byte count, CRC-32 of line and bytes


class Spool:
    """An append-only file of lines; the last copy of a line counts.

    Raises:
        DiskError: the file cannot be opened, or a line cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            self._descriptor = os.open(path, flags, 0o600)
            # What follows a torn frame would never be found.
            os.ftruncate(self._descriptor, _whole_bytes(self._descriptor))
        except OSError as error:
            raise self._refused(error) from None

    def keep(self, line: int, raw: bytes) -> None:
        """Write one line, without its line end."""
        frame = _HEAD.pack(line, len(raw), _checksum(line, raw)) + raw
        try:
            while frame:
                frame = frame[os.write(self._descriptor, frame) :]
        except OSError as error:
            raise self._refused(error) from None

    def _refused(self, error: OSError) -> DiskError:
        return DiskError(
            f"cannot keep lines of stdin in {self._path}",
            why=error.strerror or str(error),
            hint="Make room on that disk, then pipe the same bytes into the same command again.",
        )

    def close(self) -> None:
        os.close(self._descriptor)


def spooled(path: Path, wanted: Iterable[int]) -> Iterator[OriginalLine]:
    """The kept lines among the wanted ones, which ascend."""
    with path.open("rb") as file:
        places = dict(_places(file.fileno()))
        for line in wanted:
            if line in places:
                at, size = places[line]
                yield OriginalLine(line, 0, os.pread(file.fileno(), size, at) + b"\n")


def _checksum(line: int, raw: bytes) -> int:
    return zlib.crc32(raw, line & 0xFFFFFFFF)


def _whole_bytes(descriptor: int) -> int:
    """Where the last whole frame ends."""
    return max((at + size for _, (at, size) in _places(descriptor)), default=0)


def _places(descriptor: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """Line -> where its bytes are; ends at the first frame that is not whole."""
    at = 0
    while len(head := os.pread(descriptor, _HEAD.size, at)) == _HEAD.size:
        line, size, crc = _HEAD.unpack(head)
        raw = os.pread(descriptor, size, at + _HEAD.size)
        if len(raw) != size or _checksum(line, raw) != crc:
            return
        yield line, (at + _HEAD.size, size)
        at += _HEAD.size + size
