"""Windows that a damaged log lost, cut from the input once more: a part of its repair.

The input is read once, from its start. Nothing here writes.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence

from loader.checkpoint import ranges, salvage
from loader.checkpoint.entries import BatchEntry, batch_entry
from loader.checkpoint.repair import Rebuilt
from loader.checkpoint.salvage import Region, Survey
from loader.checkpoint.scan import ReadAt
from loader.errors import InputChangedError, command
from loader.records import Span
from loader.schema.check import Checker
from loader.schema.fields import Module
from loader.settings import STDIN, LoadSettings
from loader.source.batches import BatchCutter
from loader.source.lines import LineSplitter
from loader.source.streams import InputStream, open_input


async def rebuild(settings: LoadSettings, survey: Survey, read_at: ReadAt) -> list[Rebuilt]:
    """The lost windows, cut from the input again; all that survived of the others is compared on the way.

    Raises:
        InputChangedError: it is not the input that the load began with, or it is piped and nobody pipes it.
        UsageError: it cannot be read.
    """
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
