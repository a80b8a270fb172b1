"""Small files that the loads of one machine share: private, of a fixed size, locked while they are looked at.

Whatever goes wrong with them is an OSError, which their users take as "count alone from here on"; to let go
never fails. Nothing is mapped into memory: a file that another program cuts short must not kill the load.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

LOCK_WAIT_S: Final = 2.0
"""Locks are held for microseconds. Who holds one longer has been stopped, and is not waited for."""

_PAUSE_S: Final = 0.0005
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def make_folder(path: Path) -> None:
    """The folder, and those above it that do not exist, for this user alone."""
    if path.is_dir():
        return
    for folder in (*reversed(path.parents), path):
        if not folder.exists():
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
    if not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))


def open_private(path: Path) -> int:
    """A descriptor of the file, which is made where there is none; only this user may read it."""
    make_folder(path.parent)
    descriptor = os.open(path, _FLAGS, 0o600)
    try:
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
    except OSError:
        let_go(descriptor)
        raise
    if not is_file:
        let_go(descriptor)
        raise OSError(errno.EINVAL, "it is not a file", str(path))
    return descriptor


def try_lock(descriptor: int) -> bool:
    """The lock, unless somebody holds it. The kernel frees it when its holder dies."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(descriptor: int) -> bool:
    """Whether somebody holds the lock. Those who only look do not take each other for a holder."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def let_go(descriptor: int) -> None:
    """Closes it. After a failure it is closed as well, and what was written is not a load's to wait for."""
    with suppress(OSError):
        os.close(descriptor)


def lock(descriptor: int, *, wait_s: float = LOCK_WAIT_S) -> None:
    """The lock, after those who hold it for a moment.

    Raises:
        TimeoutError: nobody holds it for so long who still runs.
    """
    if try_lock(descriptor):
        return
    until = time.monotonic() + wait_s
    while not try_lock(descriptor):
        if time.monotonic() > until:
            raise TimeoutError(errno.ETIMEDOUT, "another process holds it and does not go on")
        time.sleep(_PAUSE_S)


def write_at(descriptor: int, content: bytes, offset: int) -> None:
    """Writes all of it."""
    if os.pwrite(descriptor, content, offset) != len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class SharedFile:
    """A file of a fixed size; `empty` is its content as long as nobody has written anything.

    `damaged` is told the new name of a file that had to give way to an empty one. OSErrors are the disk's.
    """

    def __init__(self, path: Path, *, empty: bytes, damaged: Callable[[Path], None]) -> None:
        self.path = path
        self._empty = empty
        self._damaged = damaged
        self.descriptor = -1
        """Open while it is locked."""

    def lock(self) -> int:
        """The descriptor, which nobody else has until `unlock`."""
        if self.descriptor < 0:
            self._open()
        descriptor = self.descriptor
        lock(descriptor)
        return descriptor

    def unlock(self) -> None:
        if self.descriptor >= 0:
            try:
                fcntl.flock(self.descriptor, fcntl.LOCK_UN)
            except OSError:
                self.close()  # which frees it too

    def close(self) -> None:
        if self.descriptor >= 0:
            let_go(self.descriptor)
            self.descriptor = -1

    def is_current(self) -> bool:
        """Whether the file that is open still is the one at the path."""
        if self.descriptor < 0:
            return False
        with suppress(OSError):
            ours, there = os.fstat(self.descriptor), os.stat(self.path)  # noqa: PTH116 - as cheap as can be
            return (ours.st_ino, ours.st_dev) == (there.st_ino, there.st_dev)
        return False

    def _open(self) -> None:
        self.descriptor = open_private(self.path)
        try:
            while not self._is_whole():
                self.close()
                self.descriptor = open_private(self.path)
        except BaseException:
            self.close()
            raise

    def _is_whole(self) -> bool:
        """Whether the open file can be used; one that cannot has another name afterwards."""
        lock(self.descriptor)
        try:
            if not self.is_current():  # somebody has just set it aside
                return False
            content = os.pread(self.descriptor, len(self._empty) + 1, 0)
            if len(content) == len(self._empty):
                return True
            if not self._empty.startswith(content):
                self.put_aside()
                return False
            # New, or its maker was killed. Written whole, so that no later write needs more of the disk.
            write_at(self.descriptor, self._empty, 0)
            return True
        finally:
            fcntl.flock(self.descriptor, fcntl.LOCK_UN)

    def put_aside(self) -> None:
        """Gives another name to a file that is damaged; the next `locked` finds an empty one."""
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.damaged-{number}")).exists():
            number += 1
        self.path.rename(aside)
        self._damaged(aside)
