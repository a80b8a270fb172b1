"""Repair of a load directory whose checkpoint log is damaged: nothing is sent, and nothing is thrown away.

The damaged log is read under its lock, what it lost is read again from the input, and a new log is written
beside it, made durable and renamed into its place. Up to that moment nothing has changed; the damaged log is
kept.
"""

from __future__ import annotations

import errno
import os
import shutil
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from loader.checkpoint import ranges, salvage
from loader.checkpoint.entries import (
    Answer,
    BatchEntry,
    Entry,
    Head,
    batch_entry,
    encode_frame,
)
from loader.checkpoint.filesystem import LocalFilesystem
from loader.checkpoint.ledger import DamagedLogError, Ledger
from loader.checkpoint.ranges import Ranges
from loader.checkpoint.repair import Mending, Rebuilt
from loader.checkpoint.salvage import Found, Gap, Region, Survey, pieces
from loader.checkpoint.scan import ReadAt, Scan, opened, read_fully
from loader.directory import log_path, recorded_settings
from loader.errors import DiskError, InputChangedError, LockedError, UsageError, command
from loader.records import Span
from loader.report.standing import holder_of
from loader.schema.check import Checker
from loader.schema.fields import Module
from loader.settings import STDIN, LoadSettings
from loader.source.batches import BatchCutter
from loader.source.lines import LineSplitter
from loader.source.streams import InputStream, open_input

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
            rebuilt = await _rebuild(recorded_settings(load_dir), survey, read_at)
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


# --- the input ---


async def _rebuild(settings: LoadSettings, survey: Survey, read_at: ReadAt) -> list[Rebuilt]:
    """The lost windows, cut from the input again; all that survived of the others is compared on the way."""
    if settings.from_stdin and os.isatty(0):
        raise InputChangedError(
            "the input is needed to repair the checkpoint log",
            why="windows were lost, and this load was piped: nobody else knows what was in them",
            hint=f"Pipe the same bytes again: ... | {command('repair', settings.load_dir)}",
        )
    async with await open_input(settings.input) as stream:
        before = survey.head.input.size
        if stream.seekable and before is not None and before != stream.stored_bytes:
            raise _changed(settings, f"it had {before:,} bytes, now it has {stream.stored_bytes:,}")
        again = _InputAgain(settings, stream, records=survey.records, limit=survey.head.limit)
        rebuilt: list[Rebuilt] = []
        number_shift = 0
        for part in _in_source_order(salvage.spans(read_at), survey.regions):
            if isinstance(part, Span):
                await again.compare(part)
                continue
            batches = await again.cut(part, number=part.number + number_shift)
            rebuilt.append(Rebuilt(part, batches))
            lost = 0 if part.stop_number is None else part.stop_number - part.number
            number_shift += len(batches) - lost
        return rebuilt


def _in_source_order(spans: Iterator[Span], regions: Sequence[Region]) -> Iterator[Span | Region]:
    """The whole input as far as the log reached."""
    left = list(regions)
    for span in spans:
        while left and left[0].start < span.stop:
            yield left.pop(0)
        yield span
    yield from left


class _InputAgain:
    """Reads the input once, from its start: surviving spans are compared, lost ones cut."""

    def __init__(
        self, settings: LoadSettings, stream: InputStream, *, records: int, limit: int | None
    ) -> None:
        self._settings = settings
        self._stream = stream
        self._records = records
        self._limit = limit
        self._check = Checker(Module(settings.target.module, ())).problems_of
        self._at = 0

    async def compare(self, span: Span) -> None:
        """Raises InputChangedError where the span has another checksum."""
        crc = 0
        async for data in self._until(span.stop):
            crc = zlib.crc32(data, crc)
        if crc != span.crc:
            raise _changed(
                self._settings,
                f"line {span.first_line:,} (bytes {span.start:,}-{span.stop:,}): checksum {crc:08x},"
                f" the checkpoint log says {span.crc:08x}",
            )

    async def cut(self, region: Region, *, number: int) -> list[BatchEntry]:
        """The batches of a region. What can be no record of any module is invalid; it was never sent."""
        room = self._room(region)
        splitter = LineSplitter(
            self._settings.line_bytes_max, first_line=region.first_line, start=region.start
        )
        cutter = BatchCutter(
            self._check, first_line=region.first_line, start=region.start, number=number, limit=room
        )
        batches: list[BatchEntry] = []
        async for data in self._until(region.stop):
            batches += map(batch_entry, cutter.feed(splitter.feed(data)))
            if region.stop is None and cutter.full:
                break
        batches += map(batch_entry, cutter.feed(splitter.flush()))
        last = cutter.cut()
        if last is not None:
            batches.append(batch_entry(last))
        if region.stop is not None and (cutter.next_line, cutter.offset) != (region.stop_line, region.stop):
            raise _changed(
                self._settings,
                f"bytes {region.start:,}-{region.stop:,} end before line {cutter.next_line:,},"
                f" the checkpoint log says {region.stop_line:,}",
            )
        self._records += sum(ranges.count(batch.record_lines) + len(batch.invalid) for batch in batches)
        return batches

    def _room(self, region: Region) -> int | None:
        """How many records the region can hold; None where its end is known."""
        if region.stop is not None:
            return None
        left = region.records_max if self._limit is None else self._limit - self._records
        return max(0, min(left, region.records_max))

    async def _until(self, stop: int | None) -> AsyncIterator[bytes]:
        """The bytes from here to `stop`, or to the end of the input."""
        while stop is None or self._at < stop:
            data = await self._stream.read()
            if not data:
                if stop is None:
                    return
                raise _changed(
                    self._settings,
                    f"the input ends at byte {self._at:,}, the checkpoint log knows it to byte {stop:,}",
                )
            if stop is not None and self._at + len(data) > stop:
                self._stream.unread(data[stop - self._at :])
                data = data[: stop - self._at]
            self._at += len(data)
            yield data


def _changed(settings: LoadSettings, why: str) -> InputChangedError:
    shown = "stdin" if settings.input == STDIN else settings.input
    how = "Pipe in" if settings.from_stdin else "Put back"
    pipe = "... | " if settings.from_stdin else ""
    return InputChangedError(
        "the input changed since this load began",
        why=f"{shown}: {why}\nRepair has to read it again, for windows were lost. Nothing was changed.",
        hint=f"{how} the input as it was, then: {pipe}{command('repair', settings.load_dir)}",
    )
