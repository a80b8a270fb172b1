"""What a Singer target has received, in segments: kept back, then sealed, then loaded, then acknowledged.

A segment is the records up to a STATE, one file a stream. Nothing of it is sent before it is sealed: then
its files are durable, and a tap that starts from that STATE sends none of them again. So what is not sealed
may be thrown away, and what is sealed must be loaded to its end, by whichever run.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from loader.checkpoint.filesystem import LocalFilesystem
from loader.errors import DiskError, LockedError
from loader.report.export import AtomicFile

LOCK: Final = "lock"
ACKNOWLEDGED: Final = "acknowledged.json"
SEAL: Final = "sealed.json"
_PREFIX: Final = "segment-"


class Acknowledged(msgspec.Struct, frozen=True):
    """The last segment whose records are all settled, and the STATE that was written for it."""

    segment: int = 0
    state: msgspec.Raw = msgspec.Raw(b"null")


class Seal(msgspec.Struct, frozen=True):
    """What makes a segment one that has to be loaded."""

    streams: list[str]
    """In the order in which their first records came; files are named by their number in it."""
    state: msgspec.Raw
    """null: the tap had none to give."""


class Segment(msgspec.Struct, frozen=True):
    """A sealed segment."""

    number: int
    directory: Path
    seal: Seal

    def files(self) -> Iterator[tuple[str, Path]]:
        """Each stream with the file of its records."""
        for number, stream in enumerate(self.seal.streams, start=1):
            yield stream, _file(self.directory, number)


class OpenSegment:
    """A segment that is being received."""

    def __init__(self, number: int, directory: Path) -> None:
        self.number = number
        self.directory = directory
        self._files: dict[str, BinaryIO] = {}
        self._covered_bytes: dict[str, int] = {}
        self._state = b""
        self.records = 0
        self.uncovered = 0
        """Records that came after the last STATE."""

    @property
    def has_state(self) -> bool:
        return bool(self._state)

    def add(self, stream: str, record: bytes) -> None:
        self._file_of(stream).write(record + b"\n")
        self.records += 1
        self.uncovered += 1

    def cover(self, state: bytes) -> None:
        """All that came so far is what this STATE stands for; null where the tap has none."""
        self._covered_bytes = {stream: file.tell() for stream, file in self._files.items()}
        self._state = state
        self.uncovered = 0

    def hand_over(self, rest: OpenSegment) -> None:
        """What came after the last STATE is copied into `rest`, which is empty; `seal` drops it here."""
        for stream, file in self._files.items():
            covered = self._covered_bytes.get(stream, 0)
            if file.tell() > covered:
                file.flush()
                with Path(file.name).open("rb") as received:
                    received.seek(covered)
                    shutil.copyfileobj(received, rest._file_of(stream))
        rest.records = rest.uncovered = self.uncovered

    def seal(self) -> Segment:
        """The records up to the last STATE, durable when this returns; those behind it are dropped."""
        for stream, file in self._files.items():
            file.flush()
            file.truncate(self._covered_bytes.get(stream, 0))
            os.fsync(file.fileno())
        self.close()
        seal = Seal(
            [stream for stream in self._files if stream in self._covered_bytes], msgspec.Raw(self._state)
        )
        _write(self.directory / SEAL, msgspec.json.encode(seal))
        LocalFilesystem().sync_directory(self.directory.parent)
        return Segment(self.number, self.directory, seal)

    def drop(self) -> None:
        self.close()
        shutil.rmtree(self.directory)

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def _file_of(self, stream: str) -> BinaryIO:
        file = self._files.get(stream)
        if file is None:
            file = self._files[stream] = _file(self.directory, len(self._files) + 1).open("xb")
        return file


class Segments:
    """The folder of them, for one target at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.acknowledged = Acknowledged()
        self._open: list[OpenSegment] = []

    @contextmanager
    def held(self) -> Iterator[None]:
        """The folder is this process's, and holds nothing that is not sealed.

        Raises:
            LockedError: another target works in it.
            DiskError: the disk refused, here or in what is done meanwhile.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            LocalFilesystem().sync_directory(self._folder.parent)
            with (self._folder / LOCK).open("ab") as lock:
                self._lock(lock)
                self._read()
                try:
                    yield
                finally:
                    for segment in self._open:
                        segment.close()
        except OSError as error:
            raise DiskError(
                f"cannot keep records in {self._folder}",
                why=error.strerror or str(error),
                hint="Mend that, then run the same again: nothing that was not settled has a STATE.",
            ) from error

    def unfinished(self) -> Segment | None:
        """The segment that an earlier run sealed and did not acknowledge."""
        number = self.acknowledged.segment + 1
        path = self._directory(number) / SEAL
        if not path.exists():
            return None
        return Segment(number, path.parent, msgspec.json.decode(path.read_bytes(), type=Seal))

    def begin(self) -> OpenSegment:
        segment = self._make(self.acknowledged.segment + 1)
        self._open = [segment]
        return segment

    def split(self, segment: OpenSegment) -> tuple[Segment, OpenSegment]:
        """`segment` sealed with its last STATE, and the next one, open, with the records that came after it.

        The next one may be sealed when the first is acknowledged, and not before: `unfinished` looks for one.
        """
        rest = self._make(segment.number + 1)
        self._open = [segment, rest]
        segment.hand_over(rest)
        return segment.seal(), rest

    def acknowledge(self, segment: Segment) -> None:
        """Its records are settled and its STATE is written. A STATE of null changes none."""
        state = segment.seal.state
        if bytes(state) == b"null":
            state = self.acknowledged.state
        self.acknowledged = Acknowledged(segment.number, state)
        _write(self._folder / ACKNOWLEDGED, msgspec.json.encode(self.acknowledged))

    def _make(self, number: int) -> OpenSegment:
        directory = self._directory(number)
        directory.mkdir(mode=0o700)
        return OpenSegment(number, directory)

    def _directory(self, number: int) -> Path:
        return self._folder / f"{_PREFIX}{number:06}"

    def _lock(self, file: BinaryIO) -> None:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError(
                f"another target works in {self._folder}",
                hint="Wait until it has ended; a target that was killed holds nothing.",
            ) from None

    def _read(self) -> None:
        path = self._folder / ACKNOWLEDGED
        if path.exists():
            self.acknowledged = msgspec.json.decode(path.read_bytes(), type=Acknowledged)
        for further in (1, 2):  # the second by `split`
            unsealed = self._directory(self.acknowledged.segment + further)
            if unsealed.exists() and not (unsealed / SEAL).exists():
                shutil.rmtree(unsealed)  # nothing of it was sent


def _file(directory: Path, number: int) -> Path:
    return directory / f"stream-{number:03}.ndjson"


def _write(path: Path, content: bytes) -> None:
    with AtomicFile(path) as stream:
        stream.write(content)
