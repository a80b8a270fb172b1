"""Values and a disk in memory for the tests of the checkpoint log."""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

from loader.checkpoint.entries import FORMAT_VERSION, Head, InputIdentity
from loader.checkpoint.filesystem import Filesystem, side_number
from loader.checkpoint.log import CheckpointLog, Opening
from loader.checkpoint.recorder import Recorder
from loader.events import Event
from loader.records import Attempt, Batch, Span, Window

INPUT = InputIdentity("file", "leads.ndjson", 1000, 5, 6, 7)
HEAD = Head(FORMAT_VERSION, "L1", 1.0, "Leads", "https://x", "org", "", None, None, True, {}, INPUT)
OPENING = Opening(INPUT, 100.0, "user")
LINE_BYTES = 10
LOG = Path("/load/checkpoint.log")


def batch(number: int, *, size: int = 100) -> Batch:
    """Batch `number` of an input whose every batch has `size` lines of ten bytes, all records."""
    first = (number - 1) * size + 1
    lines = range(first, first + size)
    start = (first - 1) * LINE_BYTES
    span = Span(first, size, start, start + size * LINE_BYTES, zlib.crc32(b"%d" % number))
    return Batch(number=number, span=span, lines=lines, records=[b"{}"] * size)


def window(*numbers: int, size: int = 100) -> Window:
    return Window([batch(number, size=size) for number in numbers])


def attempt(
    of: int, number: int = 1, lines: Sequence[int] | None = None, *, in_doubt: bool = False
) -> Attempt:
    chosen = batch(of).lines if lines is None else lines
    return Attempt(of, number, chosen, [b"{}"] * len(chosen), in_doubt)


def ids(lines: Sequence[int]) -> list[str]:
    return [str(5_000_000_000_000_000_000 + line) for line in lines]


class MemoryDisk:
    """A Filesystem in memory that counts its calls, fails on demand, and knows what a power cut leaves.

    `fail_at` maps the number of a call (from 1) to an errno. `cut_writes` lets a failing write leave half
    of its bytes. `calls` holds (name, details) in order.
    """

    def __init__(self) -> None:
        self.files: dict[Path, bytearray] = {}
        self.durable: dict[Path, bytes] = {}
        self.descriptors: dict[int, Path] = {}
        self.locked: dict[Path, int] = {}
        self.directories: set[Path] = {Path("/")}
        self.calls: list[tuple[str, int]] = []
        self.fail_at: dict[int, int] = {}
        self.fail_on: dict[str, int] = {}
        self.write_max = 1 << 30
        self._next = 3

    def _call(self, name: str, detail: int = 0) -> None:
        self.calls.append((name, detail))
        code = self.fail_at.get(len(self.calls)) or self.fail_on.get(name)
        if code:
            raise OSError(code, os.strerror(code))

    def make_directory(self, path: Path) -> bool:
        self._call("make_directory")
        is_new = path not in self.directories
        self.directories.add(path)
        return is_new

    def open(self, path: Path, flags: int) -> int:
        self._call("open")
        if path in self.files and flags & os.O_EXCL:
            raise FileExistsError(errno.EEXIST, "exists")
        if path not in self.files and not flags & os.O_CREAT:
            raise FileNotFoundError(errno.ENOENT, "missing")
        self.files.setdefault(path, bytearray())
        self._next += 1
        self.descriptors[self._next] = path
        return self._next

    def lock(self, descriptor: int) -> None:
        self._call("lock")
        path = self.descriptors[descriptor]
        if self.locked.setdefault(path, descriptor) != descriptor:
            raise BlockingIOError(errno.EWOULDBLOCK, "held")

    def size(self, descriptor: int) -> int:
        self._call("size")
        return len(self.files[self.descriptors[descriptor]])

    def read(self, descriptor: int, offset: int, size: int) -> bytes:
        self._call("read")
        return bytes(self.files[self.descriptors[descriptor]][offset : offset + size])

    def write(self, descriptor: int, data: bytes | memoryview, offset: int) -> int:
        file = self.files[self.descriptors[descriptor]]
        try:
            self._call("write", offset)
        except OSError:
            self._put(file, bytes(data[: len(data) // 2]), offset)
            raise
        part = bytes(data[: self.write_max])
        self._put(file, part, offset)
        return len(part)

    @staticmethod
    def _put(file: bytearray, data: bytes, offset: int) -> None:
        file.extend(b"\0" * (offset + len(data) - len(file)))
        file[offset : offset + len(data)] = data

    def allocate(self, descriptor: int, offset: int, size: int) -> None:
        self._call("allocate", size)
        file = self.files[self.descriptors[descriptor]]
        file.extend(b"\0" * (offset + size - len(file)))

    def truncate(self, descriptor: int, size: int) -> None:
        self._call("truncate", size)
        file = self.files[self.descriptors[descriptor]]
        del file[size:]
        file.extend(b"\0" * (size - len(file)))

    def sync_data(self, descriptor: int) -> None:
        path = self.descriptors[descriptor]
        self._call("sync_data", len(self.files[path].rstrip(b"\0")))
        self.durable[path] = bytes(self.files[path])

    def sync(self, descriptor: int) -> None:
        path = self.descriptors[descriptor]
        self._call("sync")
        self.durable[path] = bytes(self.files[path])

    def sync_directory(self, path: Path) -> None:
        self._call("sync_directory")

    def close(self, descriptor: int) -> None:
        self.calls.append(("close", 0))
        path = self.descriptors.pop(descriptor)
        if self.locked.get(path) == descriptor:
            del self.locked[path]

    def remove(self, path: Path) -> None:
        self._call("remove")
        del self.files[path]

    def side_files(self, path: Path) -> list[Path]:
        prefix = path.name + ".side-"
        return sorted((one for one in self.files if one.name.startswith(prefix)), key=side_number)

    def still_at(self, descriptor: int, path: Path) -> bool:
        return self.descriptors.get(descriptor) == path

    def kill(self) -> None:
        """What kill -9 does: descriptors are gone, written bytes stay."""
        self.descriptors.clear()
        self.locked.clear()
        self.fail_at.clear()
        self.fail_on.clear()

    def cut_power(self) -> None:
        """Only what was synced stays (of the log: side files are synced at each write)."""
        self.kill()
        kept = {path: content for path, content in self.durable.items() if path in self.files}
        self.files = {path: bytearray(content) for path, content in kept.items()}


def create(disk: Filesystem, *, boot: str = "boot-1") -> CheckpointLog:
    return CheckpointLog.create(LOG, HEAD, OPENING, filesystem=disk, boot=boot)


def reopen(disk: Filesystem, *, boot: str = "boot-1") -> CheckpointLog:
    log = CheckpointLog.open(LOG, filesystem=disk, boot=boot)
    log.begin(OPENING)
    return log


def recorder(log: CheckpointLog) -> tuple[Recorder, list[Event]]:
    events: list[Event] = []
    return Recorder(log, events.append), events
