"""Repair of a load directory whose checkpoint log is damaged: nothing is sent, and nothing is thrown away.

The damaged log is read under its lock, what it lost is read again from the input, and a new log is written
beside it, made durable and renamed into its place. Up to that moment nothing has changed; the damaged log is
kept.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from loader.checkpoint import salvage
from loader.checkpoint.entries import (
    Answer,
    Entry,
    Head,
    encode_frame,
)
from loader.checkpoint.filesystem import LocalFilesystem
from loader.checkpoint.ledger import DamagedLogError, Ledger
from loader.checkpoint.ranges import Ranges
from loader.checkpoint.repair import Mending, Rebuilt
from loader.checkpoint.salvage import Found, Gap, pieces
from loader.checkpoint.scan import ReadAt, Scan, opened, read_fully
from loader.directory import log_path, recorded_settings
from loader.errors import DiskError, LockedError, UsageError, command
from loader.rebuilding import rebuild
from loader.report.standing import holder_of

MENDED_SUFFIX = ".mended"
"""Of the new log while it is written. One that a crash left behind is written over."""
DAMAGED_SUFFIX = ".damaged-"
WRITE_BYTES = 1024 * 1024
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}
_FILES = LocalFilesystem()


class Sound(msgspec.Struct, frozen=True):
    """There was nothing to repair, and nothing was changed."""

    log_bytes: int
    torn: bool
    """Its end is a write that never became whole. That is no damage: the next load cuts it off."""


class Repaired(msgspec.Struct, frozen=True):
    """A new log stands in the place of the damaged one."""

    gaps: tuple[Gap, ...]
    """What could not be read, or contradicted the rest, by place in the damaged log."""
    rebuilt: Ranges
    """Lines of windows that were cut once more; not compared, for their checksums were lost."""
    in_doubt: Ranges
    """All lines that are in doubt now."""
    complete: bool
    """The load was finished, and its end still adds up."""
    kept: Path
    """Where the damaged log is now."""


async def repair(load_dir: Path) -> Sound | Repaired:
    """Put a log that can be believed in the place of a damaged one.

    Raises:
        LockedError: a loader holds the load.
        BeyondRepairError: what is left of the log does not say enough.
        InputChangedError: the input has to be read again, and is not the one that the load began with.
        DiskError: the disk refused, or a newer loader wrote the log.
        UsageError: there is no load, or its input cannot be read.
    """
    path = log_path(load_dir)
    with _held(path) as read_at:
        found = _sound(read_at, path)
        if found is not None:
            return found
        survey = salvage.survey(read_at)
        rebuilt: list[Rebuilt] = []
        if survey.regions:
            rebuilt = await rebuild(recorded_settings(load_dir), survey, read_at)
        mending = Mending(survey.head, rebuilt)
        sides = _FILES.side_files(path)
        with _disk(path):
            _write(path, _mended(mending, read_at, sides))
            kept = _swap(path)
            for side in sides:
                side.unlink()
    ledger = mending.ledger
    ledger.stop(survived=False)
    lines = (pair for batch in ledger.open_batches() for pair in batch.in_doubt)
    return Repaired(
        gaps=tuple(sorted((*survey.gaps, *mending.refused), key=lambda gap: gap.start)),
        rebuilt=_joined((b.first_line, b.first_line + b.line_count) for one in rebuilt for b in one.batches),
        in_doubt=_joined(lines),
        complete=ledger.sealed,
        kept=kept,
    )


def _joined(pairs: Iterable[tuple[int, int]]) -> Ranges:
    """Ascending pairs as a set."""
    joined: list[tuple[int, int]] = []
    for start, stop in pairs:
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((start, stop))
    return tuple(joined)


# --- the damaged log ---


@contextmanager
def _held(path: Path) -> Iterator[ReadAt]:
    """The log, locked, as something to read from."""
    try:
        descriptor = _FILES.open(path, os.O_RDWR)
    except FileNotFoundError:
        raise _no_load(path) from None
    except OSError as error:
        raise _refused(path, error) from error
    try:
        try:
            _FILES.lock(descriptor)
        except BlockingIOError:
            holder = holder_of(path)
            raise LockedError(
                f"another loader holds {path.parent}",
                why="" if holder is None else f"Process {holder}",
                hint="Wait until it has ended, or stop it; a loader that was killed holds nothing",
            ) from None
        except OSError as error:
            raise _refused(path, error) from error
        with _disk(path):
            yield lambda offset, size: read_fully(descriptor, offset, size)
    finally:
        with suppress(OSError):  # it was only read
            _FILES.close(descriptor)


def _no_load(path: Path) -> UsageError:
    return UsageError(
        f"there is no load in {path.parent}",
        why=f"{path.name} is missing, or its load crashed before it began",
        hint="Begin one: loader load FILE --module NAME",
    )


def _sound(read_at: ReadAt, path: Path) -> Sound | None:
    """What to say of a log that needs no repair; None where it does."""
    scan = Scan(read_at)
    ledger = Ledger()
    try:
        for offset, entry in scan:
            ledger.apply(entry, offset=offset)
    except DamagedLogError:
        return None
    if ledger.head is None:
        raise _no_load(path)
    return Sound(scan.good_end, scan.torn)


def _mended(mending: Mending, read_at: ReadAt, sides: Sequence[Path]) -> Iterator[Entry]:
    for piece in pieces(read_at):
        yield from mending.take(piece)
    for side in sides:
        yield from mending.adopt(_answers_in(side, mending))


def _answers_in(side: Path, mending: Mending) -> Iterator[Answer]:
    """What can be read of a side file. What cannot leaves its lines in doubt, as they are anyway."""
    with opened(side) as read_at:
        for piece in pieces(read_at):
            if not isinstance(piece, Found):
                continue
            if isinstance(piece.entry, Head) and piece.entry != mending.ledger.head:
                return  # another load's: what it says is of other lines
            if isinstance(piece.entry, Answer):
                yield piece.entry


# --- the new log ---


def _write(path: Path, entries: Iterable[Entry]) -> None:
    """The new log beside the old one, on the disk when this returns.

    It is only ever seen whole and synced, so each frame confirms all that stand before it.
    """
    mended = path.with_name(path.name + MENDED_SUFFIX)
    descriptor = _FILES.open(mended, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        end = 0
        waiting = bytearray()
        for entry in entries:
            at = end + len(waiting)
            waiting += encode_frame(entry, offset=at, synced=at)
            if len(waiting) >= WRITE_BYTES:
                end = _append(descriptor, waiting, end)
                waiting.clear()
        _append(descriptor, waiting, end)
        _FILES.sync(descriptor)
    except BaseException:
        with suppress(OSError):
            mended.unlink()
        raise
    finally:
        with suppress(OSError):  # it was only read
            _FILES.close(descriptor)


def _append(descriptor: int, data: bytearray, end: int) -> int:
    written = 0
    while written < len(data):
        written += _FILES.write(descriptor, bytes(data[written:]), end + written)
    return end + written


def _swap(path: Path) -> Path:
    """Gives the damaged log a second name, then its first name to the new one: there always is a log."""
    kept = _keep(path)
    _FILES.sync_directory(path.parent)
    path.with_name(path.name + MENDED_SUFFIX).replace(path)
    _FILES.sync_directory(path.parent)
    return kept


def _keep(path: Path) -> Path:
    number = 1
    while (kept := path.with_name(f"{path.name}{DAMAGED_SUFFIX}{number}")).exists():
        if kept.samefile(path):
            return kept  # a repair before this one came no further than here
        number += 1
    try:
        kept.hardlink_to(path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _copy(path, kept)
    return kept


def _copy(path: Path, kept: Path) -> None:
    """For file systems without a second name for a file."""
    begun = kept.with_name(kept.name + ".part")
    shutil.copyfile(path, begun)
    begun.chmod(0o600)
    descriptor = _FILES.open(begun, os.O_RDWR)
    try:
        _FILES.sync(descriptor)
    finally:
        with suppress(OSError):  # it was only read
            _FILES.close(descriptor)
    begun.replace(kept)


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _refused(path, error) from error


def _refused(path: Path, error: OSError) -> DiskError:
    return DiskError(
        f"{path} cannot be repaired",
        why=f"{error.strerror or error}\nThe damaged log is as it was.",
        hint=f"Look after the disk and its permissions, then: {command('repair', path.parent)}",
    )
