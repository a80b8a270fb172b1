"""The only writer of `checkpoint.log`: append, group commit, and what happens when the disk fails.

The format, and what is durable when, is in `docs/reference/checkpoint-log.md`. What an entry means is the
ledger's business; this module knows frames, offsets and the disk.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from loader.checkpoint import presence
from loader.checkpoint.entries import (
    MARKER_BYTES,
    Answer,
    Entry,
    FrameType,
    Head,
    InputIdentity,
    Open,
    decode_body,
    encode_frame,
)
from loader.checkpoint.filesystem import Filesystem, LocalFilesystem, side_number
from loader.checkpoint.ledger import DamagedLogError, Ledger, still_open
from loader.checkpoint.scan import READ_BYTES, Scan, find_frames
from loader.errors import DiskError, LockedError, UsageError, command, remedy

RESERVE_STEP_BYTES = 1024 * 1024
SYNC_EVERY_S = 1.0
LOCAL = LocalFilesystem()
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Opening(msgspec.Struct, frozen=True):
    """What the caller knows about this opening of the log; the log adds host, process and boot."""

    input: InputIdentity
    at: float
    """Unix seconds, by the server's clock where it is known."""
    user_id: str = ""


def boot_id() -> str:
    """Names this run of the kernel; empty where the system does not."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


class CheckpointLog:
    """An open log that this process holds. Make one with `create` or `open`; use it from one event loop.

    `ledger` is the fold of what was read and of the OPEN that `begin` wrote; whoever appends goes on
    folding.
    """

    def __init__(self, path: Path, descriptor: int, *, filesystem: Filesystem, boot: str) -> None:
        self.path = path
        self.ledger = Ledger()
        self.poisoned: DiskError | None = None
        """Why nothing more is written to the log; None while all is well."""
        self._descriptor = descriptor
        self._filesystem = filesystem
        self._boot = boot
        self._end = 0
        self._synced = 0
        self._confirmed = 0
        """What the frames themselves say is on the disk."""
        self._allocated = 0
        self._syncing: anyio.Event | None = None
        self._side: CheckpointLog | None = None
        self._before_rescue: int | None = None
        """The descriptor of the log that was deleted, where a copy has taken its place."""
        self._astray = False
        """It was deleted, moved or replaced: no side file, answers still go where its bytes are now."""
        self._survived = True
        self._cut_on_begin = False
        self._begun = False
        self._closed = False

    # --- opening ---

    @classmethod
    def create(
        cls,
        path: Path,
        head: Head,
        opening: Opening,
        *,
        filesystem: Filesystem = LOCAL,
        boot: str | None = None,
    ) -> CheckpointLog:
        """A new log, durable with its HEAD and first OPEN when this returns.

        A file that crashed before its HEAD was complete is begun anew.

        Raises:
            UsageError: there is a load at `path`.
            LockedError: another loader is just creating it.
            DiskError: the disk refused.
        """
        with _disk(f"{path} cannot be created"):
            filesystem.make_directory(path.parent)
            try:
                descriptor = filesystem.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            except FileExistsError:
                descriptor = filesystem.open(path, os.O_RDWR)
        log = cls(path, descriptor, filesystem=filesystem, boot=boot_id() if boot is None else boot)
        try:
            with _disk(f"{path} cannot be created"):
                log._lock()
                log._require_unborn()
                filesystem.truncate(descriptor, 0)
                log._write(head)
                log.ledger.apply(head)
                log._take(opening, survived=False)
                filesystem.sync(descriptor)
                log._synced = log._end
                log._sync_names()
                log._begun = True
        except BaseException:
            log._release()
            raise
        return log

    @classmethod
    def open(cls, path: Path, *, filesystem: Filesystem = LOCAL, boot: str | None = None) -> CheckpointLog:
        """An existing log, locked, read and folded; nothing is written before `begin`.

        Raises:
            LockedError: another loader holds it.
            DamagedLogError: it cannot be believed.
            UsageError: there is no load at `path`.
            DiskError: the disk refused, or a newer loader wrote it.
        """
        with _disk(f"{path} cannot be opened"):
            try:
                descriptor = filesystem.open(path, os.O_RDWR)
            except FileNotFoundError:
                raise _no_load(path) from None
        log = cls(path, descriptor, filesystem=filesystem, boot=boot_id() if boot is None else boot)
        try:
            with _disk(f"{path} cannot be read"):
                log._lock()
                # First of all: what was written but is not on the disk either gets there now, or this fails
                # and nothing that was read may be believed.
                try:
                    filesystem.sync_data(descriptor)
                except OSError as error:
                    log._poison("a sync failed", error)
                    raise
                log._read()
        except DamagedLogError as error:
            log._release()
            raise error.of(path) from None
        except BaseException:
            log._release()
            raise
        return log

    def begin(self, opening: Opening) -> None:
        """Takes the load over: cuts a torn tail, adopts side files, and writes OPEN, all of it durable.

        Raises:
            DiskError: the disk refused.
        """
        try:
            side_files = self._filesystem.side_files(self.path)
            if self._cut_on_begin:
                self._filesystem.truncate(self._descriptor, self._end)
            # Whether a side file tells of a failed sync or not: a disk that failed may have refused that too.
            self._write_again()
            self._filesystem.sync_data(self._descriptor)
            self._synced = self._end
            self._begun = True
            for side in side_files:
                self._adopt(side)
            self._take(opening, survived=self._survived and not side_files)
            self._filesystem.sync_data(self._descriptor)
            self._synced = self._end
            for side in side_files:
                self._filesystem.remove(side)
            self._sync_names()
        except OSError as error:
            self._poison("it could not be continued", error)
            self._require_sound()

    def _sync_names(self) -> None:
        """Keeps the names of the log and of its directory.

        At each opening: whoever created them may have crashed before it came to this, and a log whose name
        is lost with the power takes everything that was sent along.
        """
        self._filesystem.sync_directory(self.path.parent)
        self._filesystem.sync_directory(self.path.parent.parent)

    def _write_again(self) -> None:
        """Writes once more what the log does not confirm as synced.

        A sync that failed leaves pages that look clean: readers see them, no later sync writes them.
        """
        for offset in range(self._confirmed, self._end, READ_BYTES):
            self._write_at(self._read_at(offset, min(READ_BYTES, self._end - offset)), offset)

    def _lock(self) -> None:
        try:
            self._filesystem.lock(self._descriptor)
        except BlockingIOError:
            raise LockedError(
                f"another loader holds {self.path.parent}",
                why=self._holder(),
                hint="Wait until it has ended, or stop it; a loader that was killed holds nothing",
            ) from None

    def _holder(self) -> str:
        found: Entry | None = None
        for frame in find_frames(self._read_at, 0, number=FrameType.OPEN):
            found = decode_body(FrameType.OPEN, frame.body)
        if not isinstance(found, Open):
            return "It is just beginning"
        since = datetime.fromtimestamp(found.at).astimezone()
        return f"Process {found.pid} on {found.host}, since {since:%Y-%m-%d %H:%M:%S %Z}"

    def _read_at(self, offset: int, size: int) -> bytes:
        return self._filesystem.read(self._descriptor, offset, size)

    def _require_unborn(self) -> None:
        """The file is ours to fill: empty, zero, or the torn first frames of a load that never began."""
        scan = Scan(self._read_at)
        if next(iter(scan), None) is not None:
            raise UsageError(
                f"{self.path} exists: a load has begun here",
                hint=f"To continue it: {command('resume', self.path.parent)}",
            )
        start = self._read_at(0, 3).rstrip(b"\0")
        if scan.torn and not (MARKER_BYTES + bytes([FrameType.HEAD])).startswith(start):
            raise UsageError(f"{self.path} exists and is no checkpoint log", hint="Choose another --load-dir")

    def _read(self) -> None:
        scan = Scan(self._read_at)
        for offset, entry in scan:
            self.ledger.apply(entry, offset=offset)
        if self.ledger.head is None:
            raise _no_load(self.path)
        self._end = self._synced = scan.good_end
        self._confirmed = scan.synced
        self._cut_on_begin = self._filesystem.size(self._descriptor) != scan.good_end
        self._survived = not scan.frames_behind

    def _take(self, opening: Opening, *, survived: bool) -> None:
        before = self.ledger.last_open
        same_boot = before is not None and self._boot != "" and before.boot_id == self._boot
        entry = Open(
            boot_id=self._boot,
            host=socket.gethostname(),
            pid=os.getpid(),
            at=opening.at,
            input=opening.input,
            user_id=opening.user_id,
            resumes=0 if before is None else self.ledger.resumes + 1,
            survived=survived and same_boot,
        )
        self._write(entry)
        self.ledger.apply(entry)

    # --- side files ---

    def _adopt(self, side: Path) -> None:
        """Appends what a poisoned process wrote beside the log, as far as its lines are still open."""
        descriptor = self._filesystem.open(side, os.O_RDONLY)
        try:
            scan = Scan(lambda offset, size: self._filesystem.read(descriptor, offset, size))
            for _, entry in scan:
                if isinstance(entry, Head) and entry != self.ledger.head:
                    raise DamagedLogError(f"{side.name} belongs to another load", load_dir=self.path.parent)
                rest = still_open(entry, self.ledger) if isinstance(entry, Answer) else None
                if rest is not None:
                    self._write(rest)
                    self.ledger.apply(rest)
        finally:
            self._filesystem.close(descriptor)

    # --- writing ---

    @property
    def end(self) -> int:
        """Where the next frame goes."""
        return self._end

    @property
    def synced(self) -> int:
        """Everything before this offset is on the disk."""
        return self._synced

    def append(self, entry: Entry) -> int:
        """Writes one frame and returns the offset behind it: what to hand to `sync`.

        On a poisoned log, answers (OUTCOMES, NOT_APPLIED, DOUBT) go to the side file and nothing is raised.

        Raises:
            DiskError: the log is poisoned and the entry would allow or claim something new.
        """
        if self.poisoned is None:
            try:
                return self._write(entry)
            except OSError as error:
                self._poison("a write failed", error)
        if isinstance(entry, Answer):
            if not (self._astray and self._write_astray(entry)):
                self._drain(entry)
            return self._end
        assert self.poisoned is not None, "else it would have been written"
        raise self.poisoned

    def _write(self, entry: Entry) -> int:
        frame = encode_frame(entry, offset=self._end, synced=self._synced)
        self._end += self._write_at(frame, self._end)
        return self._end

    def _write_at(self, data: bytes, offset: int) -> int:
        written = self._filesystem.write(self._descriptor, data, offset)
        if written != len(data):
            rest = memoryview(data)
            while written < len(data):
                written += self._filesystem.write(self._descriptor, rest[written:], offset + written)
        return written

    def reserve(self, size: int) -> None:
        """Makes sure that `size` more bytes can be written whatever else fills the disk.

        Raises:
            DiskError: there is no room; the log itself is sound, and answers can still be written.
        """
        self._require_sound()
        wanted = self._end + size
        if wanted <= self._allocated:
            return
        wanted = -(-wanted // RESERVE_STEP_BYTES) * RESERVE_STEP_BYTES
        start = max(self._allocated, self._end)
        try:
            self._filesystem.allocate(self._descriptor, start, wanted - start)
        except OSError as error:
            raise DiskError(
                f"no room for the checkpoint log {self.path}",
                why=f"{error.strerror or error}: {wanted - start:,} more bytes are needed to go on",
                hint=f"{remedy(error, 'Free some disk space')}, then: {command('resume', self.path.parent)}",
            ) from error
        self._allocated = wanted

    async def sync(self, upto: int | None = None) -> None:
        """Returns when everything before `upto` (by default: everything written) is on the disk.

        Whoever comes first syncs for all; those who come during a sync wait for the next one, which starts
        at once.

        Raises:
            DiskError: a sync or a write failed; it is not tried again.
        """
        wanted = self._end if upto is None else upto
        while self._synced < wanted:
            self._require_sound()
            if self._syncing is not None:
                await self._syncing.wait()
            else:
                await self._sync_once()

    async def _sync_once(self) -> None:
        done = self._syncing = anyio.Event()
        covered = self._end
        try:
            # Not cancellable half-way: the thread is awaited, so its result is never lost.
            await anyio.to_thread.run_sync(self._filesystem.sync_data, self._descriptor)
            self._synced = max(self._synced, covered)
            self._notice_absence()
        except OSError as error:
            self._poison("a sync failed", error)
        finally:
            self._syncing = None
            done.set()
        self._require_sound()

    async def keep_synced(self) -> None:
        """Syncs at least each second what is not yet on the disk; ends when the log is poisoned.

        A failure is not raised here, so that answers on their way are still drained: the next `append` of
        an intent or an attempt raises it.
        """
        while self.poisoned is None:
            await anyio.sleep(SYNC_EVERY_S)
            self._notice_absence()
            try:
                await self.sync()
            except DiskError:
                return

    def close(self) -> None:
        """Cuts what was allocated ahead, syncs, and lets go of the log. A second call does nothing.

        Raises:
            DiskError: the disk refused; the log is released all the same.
        """
        if self._closed:
            return
        try:
            # A log that was opened and never begun is left as it was found.
            if self.poisoned is None and self._begun:
                with _disk(f"{self.path} cannot be closed"):
                    try:
                        self._filesystem.truncate(self._descriptor, self._end)
                        self._filesystem.sync_data(self._descriptor)
                    except OSError as error:
                        self._poison("it could not be closed", error)
                        raise
                self._notice_absence()
                self._require_sound()
        finally:
            self._release()

    def _release(self) -> None:
        self._closed = True
        # Whatever it says, the descriptor is gone; and nothing that counts is left for it to write.
        with suppress(OSError):
            self._filesystem.close(self._descriptor)
        if self._before_rescue is not None:
            os.close(self._before_rescue)
            self._before_rescue = None
        if self._side is not None:
            self._side._release()

    # --- when the disk fails ---

    def _require_sound(self) -> None:
        if self.poisoned is not None:
            raise self.poisoned

    def _poison(self, what: str, error: OSError) -> None:
        if self.poisoned is None:
            self.poisoned = DiskError(
                f"the checkpoint log {self.path} can no longer be written",
                why=f"{what}: {error.strerror or error}\n"
                "Nothing new is sent; answers on their way are kept in a file beside the log",
                hint=f"{remedy(error, 'Look after the disk')}, then: {command('resume', self.path.parent)}",
            )
            self.poisoned.__cause__ = error
            # At once, not with the first answer: it tells the next opening that this log's absences prove
            # nothing, though the page cache may look as if every frame had survived.
            with suppress(OSError):
                if not self._filesystem.side_files(self.path):
                    self._side = self._new_side()

    def _notice_absence(self) -> None:
        """Saves a log that was deleted, moved or replaced; then nothing new is sent."""
        if self.poisoned is not None or self._filesystem.still_at(self._descriptor, self.path):
            return
        self.poisoned, copy = presence.rescue(self._descriptor, self.path, self._end)
        self._astray = True
        if copy is not None:
            # A sync of the old one may be under way in its thread.
            self._before_rescue, self._descriptor = self._descriptor, copy
            self._synced = self._end

    def _write_astray(self, entry: Answer) -> bool:
        try:
            self._write(entry)
            self._filesystem.sync_data(self._descriptor)
        except OSError:
            return False
        return True

    def _drain(self, entry: Entry) -> None:
        with _disk(f"{self.path} is poisoned, and its side file cannot be written either"):
            if self._side is None:
                self._side = self._new_side()
            self._side._write(entry)
            self._filesystem.sync_data(self._side._descriptor)

    def _new_side(self) -> CheckpointLog:
        number = max((side_number(one) for one in self._filesystem.side_files(self.path)), default=0) + 1
        path = self.path.with_name(f"{self.path.name}.side-{number}")
        descriptor = self._filesystem.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        side = CheckpointLog(path, descriptor, filesystem=self._filesystem, boot=self._boot)
        if self.ledger.head is not None:
            side._write(self.ledger.head)
        self._filesystem.sync_directory(path.parent)
        return side


def _no_load(path: Path) -> UsageError:
    return UsageError(
        f"there is no load in {path.parent}",
        why=f"{path.name} is missing, or its load crashed before it began",
        hint="Begin one: loader load FILE --module NAME",
    )


@contextmanager
def _disk(what: str) -> Iterator[None]:
    """Turns the disk's refusal into an error that says what it was for."""
    try:
        yield
    except OSError as error:
        raise DiskError(
            what,
            why=str(error.strerror or error),
            hint=f"{remedy(error, 'Look after the disk and its permissions')}, then run the same command"
            " again",
        ) from error
