"""A disk in memory that tells written from durable: the loader's `Filesystem` for tests.

`SimulatedDisk` does what the protocol in `loader/checkpoint/filesystem.py` asks, and keeps apart

- the *content* of a file, which every reader sees at once;
- its *base*, which is on the platter: `sync` and `sync_data` make the content the base (data and size; a
  size that is needed to read the data is data);
- its *changes*: writes, truncations and allocations since the last sync, in order;
- the *names*: a new file, a removed file and a new directory are durable only with `sync_directory` of the
  directory that they stand in, each name by itself. Syncing a file does not keep its name.

Every operation is counted from 1 and recorded in `operations`. Before it runs it may

- fail: `fail_at[number]`, `fail_on[name]` (every one of that name) with an errno, or by `capacity_bytes`
  (ENOSPC for what no longer fits). A failing write leaves `part_written` of its bytes. A failing sync does
  what Linux does: what was written stays visible but counts as clean, so that no later sync writes it (it is
  *doomed*, until it is written again); a power cut may have kept it, `evict` makes the page cache forget it;
- crash: `crash_at` is the number of the operation that is not reached any more. It raises `Crashed`, a
  BaseException, and so does everything after it, until `restart`. Of a write, `part_written` bytes are done.

What is there after a crash:

    disk.kill()                    kill -9: all that was written stays; descriptors and locks are gone
    disk.cut_power()               power loss, the worst case: only what was synced
    disk.cut_power(random.Random(7))   power loss: what was synced, and of the rest what the seed chooses:
                                   nothing, a prefix, a torn write, any subset, sectors mixed with zeros, an
                                   extended size without the data, stale bytes; each name by itself
    disk.image(), disk.point()     the same as values: `Image` is a tree of files, `CrashPoint` is all that
                                   a power cut could choose from; `SimulatedDisk(image)` starts from one

For example:

    disk = SimulatedDisk()
    log = CheckpointLog.create(Path("/load/checkpoint.log"), head, opening, filesystem=disk, boot="boot-1")
    disk.crash_at = len(disk.operations) + 3
    with suppress(Crashed): ...
    disk.cut_power(random.Random(seed))
    log = CheckpointLog.open(Path("/load/checkpoint.log"), filesystem=disk, boot="boot-2")

Safe to call from several threads. It shares no code with the loader.
"""

from __future__ import annotations

import errno
import os
import random
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

SECTOR_BYTES = 512
_SIDE_FILE = re.compile(r"\.side-(\d+)$")


class Crashed(BaseException):
    """The process is no more: nothing that stands behind this may have an effect on the disk."""


class Operation(msgspec.Struct, frozen=True):
    """One call, as it was asked for. `data` is what a write was to write; `size` what the others name."""

    number: int
    name: str
    path: Path
    offset: int = 0
    size: int = 0
    data: bytes = b""


class Change(msgspec.Struct, frozen=True):
    """What was done to a file's bytes: a write (`data`), a truncation, or space allocated (`size`)."""

    kind: str
    offset: int
    data: bytes = b""
    size: int = 0
    doomed: bool = False
    """The sync that should have kept it failed; none after it will."""

    @property
    def stop(self) -> int:
        return self.offset + (len(self.data) if self.kind == "write" else self.size)


class FileState(msgspec.Struct, frozen=True):
    """A file at one instant: `base` is durable, `changes` are not."""

    base: bytes
    changes: tuple[Change, ...]

    @property
    def content(self) -> bytes:
        return changed(self.base, self.changes)


class Image(msgspec.Struct, frozen=True):
    """Files and directories as a process finds them."""

    files: Mapping[Path, bytes]
    directories: frozenset[Path]


class CrashPoint(msgspec.Struct, frozen=True):
    """All that a crash at one instant can choose from.

    `names` are the files as the running system sees them, `durable_names` those of the last directory syncs.
    A path that stands in both may be two different files.
    """

    operations: int
    names: Mapping[Path, FileState]
    durable_names: Mapping[Path, FileState]
    directories: frozenset[Path]
    durable_directories: frozenset[Path]

    def survivors(self) -> Image:
        """What a process crash leaves: everything that was written."""
        return Image({path: one.content for path, one in self.names.items()}, self.directories)

    def durable(self) -> Image:
        """What power loss leaves at the least."""
        files = {path: one.base for path, one in self.durable_names.items()}
        return reachable(files, self.durable_directories)

    def chosen(self, rng: random.Random) -> Image:
        """What power loss leaves if `rng` has the choice."""
        files: dict[Path, bytes] = {}
        for path in sorted(self.names.keys() | self.durable_names.keys()):
            now, then = self.names.get(path), self.durable_names.get(path)
            one = rng.choice((now, then))
            if one is not None:
                files[path] = after_power_loss(one, rng)
        added = sorted(self.directories - self.durable_directories)
        kept = frozenset(path for path in added if rng.random() < 0.5)
        return reachable(files, self.durable_directories | kept)


def changed(base: bytes, changes: Iterable[Change]) -> bytes:
    """`base` after `changes`."""
    content = bytearray(base)
    for one in changes:
        _change(content, one)
    return bytes(content)


def reachable(files: Mapping[Path, bytes], directories: frozenset[Path]) -> Image:
    """The image without what stands in a directory that is not there."""
    there = {path for path in directories if all(parent in directories for parent in path.parents)}
    return Image({path: content for path, content in files.items() if path.parent in there}, frozenset(there))


def after_power_loss(file: FileState, rng: random.Random) -> bytes:
    """One content that the file may have after a power cut."""
    if not file.changes:
        return file.base
    choose = rng.choice((_nothing, _prefix, _torn, _subset, _sectors, _size_only, _stale))
    return choose(file, rng)


def _nothing(file: FileState, rng: random.Random) -> bytes:
    return file.base


def _prefix(file: FileState, rng: random.Random) -> bytes:
    return changed(file.base, file.changes[: rng.randint(0, len(file.changes))])


def _torn(file: FileState, rng: random.Random) -> bytes:
    number = rng.randrange(len(file.changes))
    torn = file.changes[number]
    cut = msgspec.structs.replace(torn, data=torn.data[: rng.randint(0, len(torn.data))])
    return changed(file.base, (*file.changes[:number], cut))


def _subset(file: FileState, rng: random.Random) -> bytes:
    return changed(file.base, [one for one in file.changes if rng.random() < 0.5])


def _sectors(file: FileState, rng: random.Random) -> bytes:
    """Each sector by itself has come to the disk or not."""
    old, new = file.base, file.content
    mixed = bytearray(new)
    for start in range(0, len(new), SECTOR_BYTES):
        if rng.random() < 0.5:
            stop = min(start + SECTOR_BYTES, len(new))
            mixed[start:stop] = old[start:stop].ljust(stop - start, b"\0")
    return bytes(mixed)


def _size_only(file: FileState, rng: random.Random) -> bytes:
    return file.base.ljust(len(file.content), b"\0")


def _stale(file: FileState, rng: random.Random) -> bytes:
    """The size came to the disk, and blocks that held something else before; never over the base."""
    content = file.content
    kept = max(len(file.base), len(content) - rng.randint(0, 2 * SECTOR_BYTES))
    return content[:kept] + rng.randbytes(max(0, len(content) - kept))


def _change(content: bytearray, one: Change) -> None:
    if one.kind == "write":
        if one.data:
            if len(content) < one.offset:
                content.extend(bytes(one.offset - len(content)))
            content[one.offset : one.offset + len(one.data)] = one.data
    elif one.kind == "truncate":
        del content[one.size :]
        content.extend(bytes(one.size - len(content)))
    else:
        content.extend(bytes(max(0, one.stop - len(content))))


def _still_doomed(changes: list[Change]) -> list[Change]:
    """What a sync that succeeded leaves of doomed writes: the parts that nothing later wrote over or cut."""
    kept: list[Change] = []
    for number, change in enumerate(changes):
        parts = [change] if change.doomed else []
        for later in changes[number + 1 :]:
            if not later.doomed and later.kind != "allocate":
                parts = [rest for part in parts for rest in _without(part, later)]
        kept += parts
    return kept


def _without(part: Change, later: Change) -> Iterator[Change]:
    start, stop = (later.size, part.stop) if later.kind == "truncate" else (later.offset, later.stop)
    before = part.data[: max(0, start - part.offset)]
    after = part.data[max(0, stop - part.offset) :]
    if start >= part.stop or stop <= part.offset:
        yield part
        return
    if before:
        yield msgspec.structs.replace(part, data=before)
    if after:
        yield msgspec.structs.replace(part, data=after, offset=stop)


class _Node:
    """A file, whatever names it has."""

    __slots__ = ("base", "changes", "content", "holder")

    def __init__(self, content: bytes = b"") -> None:
        self.content = bytearray(content)
        self.base = content
        self.changes: list[Change] = []
        self.holder: int | None = None

    def change(self, one: Change) -> None:
        _change(self.content, one)
        self.changes.append(one)

    def keep(self) -> None:
        """What a sync that succeeded does."""
        if any(one.doomed for one in self.changes):
            self.base = changed(self.base, (one for one in self.changes if not one.doomed))
            self.changes = _still_doomed(self.changes)
        else:
            self.base = bytes(self.content)
            self.changes.clear()

    def doom(self) -> None:
        """What a sync that failed does: the data counts as written; the size is the journal's business."""
        self.changes = [
            msgspec.structs.replace(one, doomed=True) if one.kind == "write" else one for one in self.changes
        ]

    def evict(self) -> None:
        self.changes = [one for one in self.changes if not one.doomed]
        self.content = bytearray(changed(self.base, self.changes))

    def state(self) -> FileState:
        return FileState(self.base, tuple(self.changes))


class SimulatedDisk:
    """See the module's text. `write_max` makes writes short; `on_operation` sees each call before it runs.

    `on_operation` may raise: an OSError is the operation's failure (without a part being written), a
    BaseException goes through.
    """

    def __init__(
        self,
        image: Image | None = None,
        *,
        capacity_bytes: int | None = None,
        on_operation: Callable[[Operation], None] | None = None,
    ) -> None:
        self.operations: list[Operation] = []
        self.fail_at: dict[int, int] = {}
        self.fail_on: dict[str, int] = {}
        self.crash_at: int | None = None
        self.part_written = 0
        self.write_max: int | None = None
        self.capacity_bytes = capacity_bytes
        self.on_operation = on_operation
        self._names: dict[Path, _Node] = {}
        self._durable_names: dict[Path, _Node] = {}
        self._directories: set[Path] = set()
        self._durable_directories: set[Path] = set()
        self._descriptors: dict[int, tuple[Path, _Node]] = {}
        self._next_descriptor = 3
        self._dead = False
        self._mutex = threading.RLock()
        self._start_from(image or Image({}, frozenset({Path("/")})))

    # --- what a test looks at ---

    @property
    def open_descriptors(self) -> int:
        return len(self._descriptors)

    def content(self, path: Path) -> bytes:
        """What a reader sees."""
        return bytes(self._names[path].content)

    def base(self, path: Path) -> bytes:
        """What is durable of the file that has this name now, whether or not the name is."""
        return self._names[path].base

    def exists(self, path: Path) -> bool:
        return path in self._names or path in self._directories

    def image(self) -> Image:
        return self.point().survivors()

    def point(self) -> CrashPoint:
        with self._mutex:
            return CrashPoint(
                operations=len(self.operations),
                names={path: node.state() for path, node in self._names.items()},
                durable_names={path: node.state() for path, node in self._durable_names.items()},
                directories=frozenset(self._directories),
                durable_directories=frozenset(self._durable_directories),
            )

    # --- crashes ---

    def kill(self) -> None:
        """The process ends at once; then a new one may go on with this disk."""
        with self._mutex:
            self.restart()

    def cut_power(self, rng: random.Random | None = None) -> None:
        """The machine ends at once and starts again: without `rng` only what was synced is there."""
        with self._mutex:
            point = self.point()
            self._start_from(point.durable() if rng is None else point.chosen(rng))
            self.restart()

    def restart(self) -> None:
        """A new process: no descriptors, no locks, no faults are left. The disk is as it is."""
        self._descriptors.clear()
        for node in (*self._names.values(), *self._durable_names.values()):
            node.holder = None
        self.fail_at.clear()
        self.fail_on.clear()
        self.crash_at = None
        self._dead = False

    def evict(self) -> None:
        """The page cache forgets what a failed sync left behind: readers see what the platter has."""
        for node in self._names.values():
            node.evict()

    def overwrite(self, path: Path, content: bytes) -> None:
        """Rot, or somebody else's hand: the file's durable content is this from now on."""
        node = self._names[path]
        node.content = bytearray(content)
        node.base = content
        node.changes.clear()

    def _start_from(self, image: Image) -> None:
        self._names = {path: _Node(content) for path, content in image.files.items()}
        self._durable_names = dict(self._names)
        self._directories = set(image.directories)
        self._durable_directories = set(image.directories)

    # --- the protocol ---

    def make_directory(self, path: Path) -> bool:
        with self._operation("make_directory", path):
            if path.parent not in self._directories:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
            is_new = path not in self._directories
            self._directories.add(path)
            return is_new

    def open(self, path: Path, flags: int) -> int:
        with self._operation("open", path):
            node = self._names.get(path)
            if node is not None and flags & os.O_CREAT and flags & os.O_EXCL:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
            if node is None:
                if not flags & os.O_CREAT or path.parent not in self._directories:
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
                node = self._names[path] = _Node()
            self._next_descriptor += 1
            self._descriptors[self._next_descriptor] = (path, node)
            return self._next_descriptor

    def lock(self, descriptor: int) -> None:
        path, node = self._descriptors_at(descriptor)
        with self._operation("lock", path):
            if node.holder not in (None, descriptor):
                raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK))
            node.holder = descriptor

    def size(self, descriptor: int) -> int:
        path, node = self._descriptors_at(descriptor)
        with self._operation("size", path):
            return len(node.content)

    def read(self, descriptor: int, offset: int, size: int) -> bytes:
        path, node = self._descriptors_at(descriptor)
        with self._operation("read", path, offset=offset, size=size):
            return bytes(node.content[offset : offset + size])

    def write(self, descriptor: int, data: bytes | memoryview, offset: int) -> int:
        path, node = self._descriptors_at(descriptor)
        whole = bytes(data)

        def leave_part() -> None:
            if self.part_written:
                node.change(Change("write", offset, whole[: self.part_written]))

        with self._operation("write", path, offset=offset, data=whole, on_fault=leave_part):
            part = whole if self.write_max is None else whole[: self.write_max]
            part = part[: self._room(node, offset, len(part))]
            node.change(Change("write", offset, part))
            return len(part)

    def allocate(self, descriptor: int, offset: int, size: int) -> None:
        path, node = self._descriptors_at(descriptor)
        with self._operation("allocate", path, offset=offset, size=size):
            if self._room(node, offset, size) < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            node.change(Change("allocate", offset, size=size))

    def truncate(self, descriptor: int, size: int) -> None:
        path, node = self._descriptors_at(descriptor)
        with self._operation("truncate", path, size=size):
            node.change(Change("truncate", 0, size=size))

    def sync_data(self, descriptor: int) -> None:
        path, node = self._descriptors_at(descriptor)
        with self._operation("sync_data", path, on_fault=node.doom):
            node.keep()

    def sync(self, descriptor: int) -> None:
        path, node = self._descriptors_at(descriptor)
        with self._operation("sync", path, on_fault=node.doom):
            node.keep()

    def sync_directory(self, path: Path) -> None:
        with self._operation("sync_directory", path):
            if path not in self._directories:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
            gone = [one for one in self._durable_names if one.parent == path and one not in self._names]
            for one in gone:
                del self._durable_names[one]
            self._durable_names.update((one, n) for one, n in self._names.items() if one.parent == path)
            self._durable_directories.update(one for one in self._directories if one.parent == path)

    def close(self, descriptor: int) -> None:
        path, node = self._descriptors_at(descriptor)

        def let_go() -> None:
            del self._descriptors[descriptor]
            if node.holder == descriptor:
                node.holder = None

        with self._operation("close", path, on_fault=let_go):  # as on Linux: it fails, and is closed
            let_go()

    def remove(self, path: Path) -> None:
        with self._operation("remove", path):
            if path not in self._names:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
            del self._names[path]

    def side_files(self, path: Path) -> list[Path]:
        with self._operation("side_files", path):
            numbers: dict[Path, int] = {}
            for one in self._names:
                found = _SIDE_FILE.search(one.name)
                if found and one.parent == path.parent and one.name == path.name + found.group():
                    numbers[one] = int(found.group(1))
            return sorted((one for one in numbers if numbers[one] > 0), key=numbers.__getitem__)

    def still_at(self, descriptor: int, path: Path) -> bool:
        """Not counted: it changes nothing, and is asked whenever there is time."""
        found, node = self._descriptors_at(descriptor)
        return found == path and self._names.get(path) is node

    # --- how each of them is carried out ---

    def _descriptors_at(self, descriptor: int) -> tuple[Path, _Node]:
        if self._dead:
            raise Crashed
        try:
            return self._descriptors[descriptor]
        except KeyError:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF)) from None

    def _room(self, node: _Node, offset: int, size: int) -> int:
        """How many of `size` bytes at `offset` fit.

        Raises:
            OSError: ENOSPC, none does.
        """
        if self.capacity_bytes is None or offset + size <= len(node.content):
            return size
        used = sum(len(one.content) for one in self._names.values())
        fits = min(size, len(node.content) + self.capacity_bytes - used - offset)
        if fits <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return fits

    @contextmanager
    def _operation(
        self,
        name: str,
        path: Path,
        *,
        offset: int = 0,
        size: int = 0,
        data: bytes = b"",
        on_fault: Callable[[], None] | None = None,
    ) -> Iterator[None]:
        with self._mutex:
            if self._dead:
                raise Crashed
            number = len(self.operations) + 1
            one = Operation(number, name, path, offset, size, data)
            self.operations.append(one)
            if self.on_operation is not None:
                self.on_operation(one)
            if number == self.crash_at:
                self._dead = True
                if on_fault is not None and name == "write":
                    on_fault()
                raise Crashed
            code = self.fail_at.get(number) or self.fail_on.get(name)
            if code:
                if on_fault is not None:
                    on_fault()
                raise OSError(code, os.strerror(code))
            yield
