"""What the checkpoint log asks of the disk: a protocol, so that tests can tear writes, and the real thing."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Protocol

from loader.checkpoint import presence
from loader.checkpoint.scan import read_fully

_NOT_SUPPORTED = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}


class Filesystem(Protocol):
    """Each method is one system call, or next to one, and raises OSError as that does."""

    def make_directory(self, path: Path) -> bool:
        """Makes one directory with mode 0700; False where it was there."""
        ...

    def open(self, path: Path, flags: int) -> int: ...
    def lock(self, descriptor: int) -> None:
        """Raises BlockingIOError where another process holds it."""
        ...

    def size(self, descriptor: int) -> int: ...
    def read(self, descriptor: int, offset: int, size: int) -> bytes: ...
    def write(self, descriptor: int, data: bytes | memoryview, offset: int) -> int: ...
    def allocate(self, descriptor: int, offset: int, size: int) -> None: ...
    def truncate(self, descriptor: int, size: int) -> None: ...
    def sync_data(self, descriptor: int) -> None: ...
    def sync(self, descriptor: int) -> None: ...
    def sync_directory(self, path: Path) -> None: ...
    def close(self, descriptor: int) -> None: ...
    def remove(self, path: Path) -> None: ...
    def side_files(self, path: Path) -> list[Path]:
        """The side files of the log at `path`, in the order in which they were made."""
        ...

    def still_at(self, descriptor: int, path: Path) -> bool:
        """Whether `path` still leads to this very file: nobody has deleted, moved or replaced it."""
        ...


class LocalFilesystem:
    """The operating system's."""

    def make_directory(self, path: Path) -> bool:
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            return False
        return True

    def open(self, path: Path, flags: int) -> int:
        return os.open(path, flags | os.O_CLOEXEC, 0o600)

    def lock(self, descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def size(self, descriptor: int) -> int:
        return os.fstat(descriptor).st_size

    def read(self, descriptor: int, offset: int, size: int) -> bytes:
        return read_fully(descriptor, offset, size)

    def write(self, descriptor: int, data: bytes | memoryview, offset: int) -> int:
        return os.pwrite(descriptor, data, offset)

    def allocate(self, descriptor: int, offset: int, size: int) -> None:
        try:
            os.posix_fallocate(descriptor, offset, size)
        except OSError as error:
            # A file system that cannot allocate ahead can still hold a log; a full disk then poisons it.
            if error.errno not in _NOT_SUPPORTED:
                raise

    def truncate(self, descriptor: int, size: int) -> None:
        os.ftruncate(descriptor, size)

    def sync_data(self, descriptor: int) -> None:
        os.fdatasync(descriptor)

    def sync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def sync_directory(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def remove(self, path: Path) -> None:
        path.unlink()

    def side_files(self, path: Path) -> list[Path]:
        found = path.parent.glob(path.name + ".side-*")
        return sorted((one for one in found if side_number(one) > 0), key=side_number)

    def still_at(self, descriptor: int, path: Path) -> bool:
        return presence.still_at(descriptor, path)


def side_number(path: Path) -> int:
    """The number at the end of a side file's name; 0 where there is none."""
    number = path.name.rpartition("-")[2]
    return int(number) if number.isdecimal() else 0
