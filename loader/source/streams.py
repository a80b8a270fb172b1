"""A path or stdin as a stream of decompressed bytes.

Regular files are read and decompressed in a thread, about 1 MiB a hop. Pipes, sockets and terminals are
waited for by the event loop, so that a cancellation never waits for a blocked thread and a pause can be
noticed. Input that is compressed and broken never counts as ended: what was decoded before the damage is
handed on, then each read raises. Lines and records are not known here.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Callable
from types import TracebackType
from typing import NoReturn, Self

import anyio
import anyio.to_thread

from loader.errors import DiskError, InputChangedError, LoaderError, UsageError
from loader.source.compression import Decoder, Plain, decoder_for
from loader.source.ndjson import require_no_array, require_objects

READ_BYTES = 1024 * 1024
COMPRESSED_READ_BYTES = 256 * 1024
STDIN = "-"
STDIN_FD = 0
_ARRIVED_S = 0.2
"""What a program that is quick has written by then is looked at before anything is begun."""


class InputStream:
    """Decompressed bytes of one input; an async context manager that closes what it opened.

    One task reads. Made by `open_input`.
    """

    def __init__(
        self, fd: int, *, name: str, owned: bool, broken: Callable[[], LoaderError | None] = lambda: None
    ) -> None:
        """`broken` says, once nothing more comes, why that is not the end."""
        mode = os.fstat(fd)
        self.name = name
        self._broken = broken
        self._fd = fd
        self._owned = owned
        self._regular = stat.S_ISREG(mode.st_mode)
        self.polled = stat.S_ISFIFO(mode.st_mode) or stat.S_ISSOCK(mode.st_mode) or os.isatty(fd)
        """The bytes come from another program or a person, who may pause."""
        self.stored_bytes: int | None = None
        """Size of the input as stored; None where nobody knows."""
        if self._regular:
            self.stored_bytes = max(0, mode.st_size - os.lseek(fd, 0, os.SEEK_CUR))
        self.stored_bytes_read = 0
        """How much of it has been read so far."""
        self._head = b""
        self._decoder: Decoder | None = None
        self._stored_ended = False
        self._over = False
        self._begun = False
        self._unread = b""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes what `open_input` opened; stdin stays open."""
        if self._owned:
            self._owned = False
            with contextlib.suppress(OSError):  # it was only read
                os.close(self._fd)

    @property
    def seekable(self) -> bool:
        """A plain regular file given by its path: any offset can be gone to."""
        return self._owned and self._regular and isinstance(self._decoder, Plain)

    async def read(self) -> bytes:
        """Up to about 1 MiB of content; nothing at the end of the input, and only there.

        Raises:
            UsageError: the input is compressed and broken; what came before has been handed on. Or it is one
            JSON array.
            InputChangedError: the file has become shorter since it was opened.
            DiskError: the file cannot be read.
        """
        data = await self._next(None)
        assert data is not None  # without a time limit it waits
        return data

    async def read_within(self, pause_s: float) -> bytes | None:
        """Like `read`, but None where no content arrives for this long; then no byte is lost."""
        return await self._next(pause_s)

    def unread(self, data: bytes) -> None:
        """Puts back what was read too far: the next `read` gives it again."""
        self._unread = data + self._unread

    async def seek(self, offset: int) -> None:
        """Goes to a byte offset of a seekable input."""
        assert self.seekable, "only a plain file can be read from its middle"
        os.lseek(self._fd, offset, os.SEEK_SET)
        self.stored_bytes_read = offset
        self._decoder = Plain()
        self._stored_ended = self._over = False
        self._begun = offset > 0
        self._unread = b""

    async def require_objects(self) -> None:
        """Looks at the beginning, which is read again afterwards. Of a pipe only at what is there already.

        Raises:
            UsageError: no line of it is a JSON object. Else as `read`.
        """
        data = await self.read_within(_ARRIVED_S) if self.polled else await self.read()
        if data:
            self.unread(data)
            require_objects(data, self.name, whole=len(data) == self.stored_bytes)

    async def sniff(self) -> None:
        """Finds out how a regular file is stored; for others the first bytes that arrive tell."""
        while not self.polled and self._decoder is None:
            await anyio.to_thread.run_sync(self._pull)
        if isinstance(self._decoder, Plain):
            require_no_array(self._head, self.name)

    async def _next(self, pause_s: float | None) -> bytes | None:
        if self._unread:
            data, self._unread = self._unread, b""
            return data
        while not self._over:
            if self.polled and self._hungry:
                if not await self._arrives(pause_s):
                    return None
                self._pull()
            if self.polled and (self._decoder is None or isinstance(self._decoder, Plain)):
                data = self._step()
            else:
                data = await anyio.to_thread.run_sync(self._step)
            if data:
                if not self._begun:
                    require_no_array(data, self.name)
                    self._begun = True
                return data
        return b""

    @property
    def _hungry(self) -> bool:
        return not self._stored_ended and (self._decoder is None or self._decoder.needs_input)

    async def _arrives(self, pause_s: float | None) -> bool:
        with anyio.move_on_after(pause_s) as scope:
            await anyio.wait_readable(self._fd)
        return not scope.cancelled_caught

    def _step(self) -> bytes:
        """Content from what is stored here, or read now; nothing where that is not enough yet."""
        if self._hungry and not self.polled:
            self._pull()
        if self._decoder is None:
            return b""
        data = self._decoder.take(READ_BYTES)
        if not data and self._stored_ended and self._decoder.needs_input:
            self._decoder.finish()
            self._over = True
        return data

    def _pull(self) -> None:
        """One read of stored bytes, given to the decoder that the first of them called for."""
        plain = isinstance(self._decoder, Plain)
        try:
            stored = os.read(self._fd, READ_BYTES if plain else COMPRESSED_READ_BYTES)
        except BlockingIOError:
            return  # another reader of the same pipe was faster
        except OSError as error:
            raise DiskError(
                f"cannot read on in {self.name}",
                why=f"after {self.stored_bytes_read:,} stored bytes: {error.strerror}",
                hint="When the file can be read again, run the same command: the load continues",
            ) from None
        self.stored_bytes_read += len(stored)
        if not stored and (broken := self._broken()) is not None:
            raise broken
        if not stored and self.stored_bytes_read < (self.stored_bytes or 0):
            # What is missing would be taken for the end, and a line that is cut for a whole one.
            raise InputChangedError(
                "the input became shorter while it was read",
                why=f"{self.name} had {self.stored_bytes:,} bytes, and now ends after"
                f" {self.stored_bytes_read:,}",
                hint="Put the whole file back, then run the same command again: what is settled stays so",
            )
        self._stored_ended = not stored
        if self._decoder is not None:
            self._decoder.feed(stored)
            return
        self._head += stored
        self._decoder = decoder_for(self._head, self.name, complete=self._stored_ended)
        if self._decoder is not None:
            self._decoder.feed(self._head)


async def open_input(
    name: str, *, stdin_fd: int = STDIN_FD, broken: Callable[[], LoaderError | None] = lambda: None
) -> InputStream:
    """The input of that path, or stdin for `-`, at its first byte.

    gzip and zstd are known by their magic numbers, whatever the suffix; members and frames that follow each
    other are read through.

    Raises:
        UsageError: there is no such file, it may not be read, or it is no file of lines.
    """
    owned = name != STDIN
    try:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK) if owned else stdin_fd
        stream = InputStream(fd, name=name, owned=owned, broken=broken)
    except (OSError, ValueError) as error:
        _refuse(name, error)
    try:
        _require_lines(stream, fd)
        await stream.sniff()
    except OSError as error:
        stream.close()
        _refuse(name, error)
    except BaseException:
        stream.close()
        raise
    return stream


def _require_lines(stream: InputStream, fd: int) -> None:
    mode = os.fstat(fd).st_mode
    if stat.S_ISDIR(mode) or stat.S_ISBLK(mode):
        kind = "a directory" if stat.S_ISDIR(mode) else "a block device"
        raise _unreadable(stream.name, f"it is {kind}", "Name a file of one JSON object a line")
    if stat.S_ISFIFO(mode):
        # A writer that is faster than the loader then wakes it once for 1 MiB instead of once for 64 KiB.
        with contextlib.suppress(OSError):
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, READ_BYTES)


def _refuse(name: str, error: OSError | ValueError) -> NoReturn:
    if name == STDIN:
        raise _unreadable("stdin", "it is closed", "Pipe the records in, or name a file") from None
    hint = "Check the path; a relative one starts at the present directory"
    if isinstance(error, PermissionError):
        hint = f"Give this user the right to read it: ls -l {name}"
    raise _unreadable(name, getattr(error, "strerror", None) or str(error), hint) from None


def _unreadable(name: str, why: str, hint: str) -> LoaderError:
    return UsageError(f"cannot read {name}", why=why, hint=hint)
