from __future__ import annotations

import gzip
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from loader.errors import UsageError
from loader.records import Window
from loader.schema.problems import Problem
from loader.source.batches import BatchCutter
from loader.source.lines import LineSplitter
from loader.source.reader import PAUSE_S, WINDOW_AGE_MAX_S, Reader
from loader.source.streams import InputStream, open_input
from tests import virtual_time
from tests.line_checks import line_by_line

RECORDS = b"".join(b'{"n":%d}\n' % n for n in range(2350))


def check(line: bytes) -> Sequence[Problem]:
    return () if line.startswith(b"{") else (Problem("INVALID_DATA", "not an object"),)


def reader_of(stream: InputStream, *, limit: int | None = None, batches_per_window: int = 10) -> Reader:
    cutter = BatchCutter(line_by_line(check), limit=limit)
    return Reader(stream, LineSplitter(1000), cutter, batches_per_window=batches_per_window)


def counts(window: Window) -> list[int]:
    return [len(batch.records) for batch in window.batches]


@asynccontextmanager
async def reading(path: Path, data: bytes, *, limit: int | None = None) -> AsyncIterator[Reader]:
    path.write_bytes(data)
    async with await open_input(str(path)) as stream:
        yield reader_of(stream, limit=limit)


@pytest.mark.parametrize("stored", [RECORDS, gzip.compress(RECORDS)])
async def test_windows_of_full_batches_and_what_is_left(tmp_path: Path, stored: bytes) -> None:
    async with reading(tmp_path / "x", stored) as reader:
        seen = []
        async for window in reader.windows():
            last = window.batches[-1].span
            assert (reader.next_line, reader.offset) == (last.first_line + last.line_count, last.stop)
            seen.append(counts(window))
    assert seen == [[100] * 10, [100] * 10, [100, 100, 100, 50]]
    assert reader.ended
    assert (reader.next_line, reader.offset) == (2351, len(RECORDS))
    assert reader.stored_bytes_read == len(stored)


@pytest.mark.parametrize(
    ("data", "lines"),
    [(b"", 0), (b"\n\n \n", 3), (b"{}", 1), (b"bad\n", 1)],
    ids=["empty", "blank", "one", "bad"],
)
async def test_small_inputs_end_in_one_window_or_none(tmp_path: Path, data: bytes, lines: int) -> None:
    async with reading(tmp_path / "x", data) as reader:
        windows = [window async for window in reader.windows()]
    assert [batch.span.line_count for window in windows for batch in window.batches] == [lines] * bool(lines)
    assert (reader.ended, reader.next_line, reader.offset) == (True, lines + 1, len(data))


@pytest.mark.parametrize("limit", [0, 1, 100, 1000, 1001, 5000])
async def test_a_limit_ends_the_windows(tmp_path: Path, limit: int) -> None:
    async with reading(tmp_path / "x", RECORDS, limit=limit) as reader:
        windows = [window async for window in reader.windows()]
    assert sum(count for window in windows for count in counts(window)) == min(limit, 2350)
    assert (reader.ended, reader.next_line) == (True, min(limit, 2350) + 1)
    assert RECORDS[: reader.offset].count(b"\n") == min(limit, 2350)


async def test_a_broken_input_raises_and_leaves_its_unfinished_line_alone(tmp_path: Path) -> None:
    stored = gzip.compress(RECORDS)[:-9]
    async with reading(tmp_path / "x", stored) as reader:
        seen: list[list[int]] = []

        async def read() -> None:
            async for window in reader.windows():
                seen.append(counts(window))

        with pytest.raises(UsageError):
            await read()
        assert not reader.ended
        assert seen == [[100] * 10, [100] * 10]


def test_a_pause_closes_the_window_and_the_batch() -> None:
    async def main() -> None:
        read_fd, write_fd = os.pipe()
        async with await open_input("-", stdin_fd=read_fd) as stream, anyio.create_task_group() as tasks:

            async def write() -> None:
                os.write(write_fd, b'{"n":1}\n' * 112 + b'{"n":')
                await anyio.sleep(PAUSE_S / 2)  # no pause yet
                os.write(write_fd, b'2}\n{"half":')
                await anyio.sleep(60)
                os.write(write_fd, b"1}\n")
                os.close(write_fd)

            tasks.start_soon(write)
            seen = [
                (round(anyio.current_time(), 2), counts(window), bytes(window.batches[-1].records[-1]))
                async for window in reader_of(stream).windows()
            ]
        os.close(read_fd)
        assert seen[0] == (round(PAUSE_S * 1.5, 2), [100, 13], b'{"n":2}')
        assert seen[1:] == [(60 + PAUSE_S / 2, [1], b'{"half":1}')]

    virtual_time.run(main)


def test_waiting_for_input_counts_as_reading_and_the_time_that_others_take_with_a_window_as_neither() -> None:
    async def main() -> None:
        read_fd, write_fd = os.pipe()
        async with await open_input("-", stdin_fd=read_fd) as stream, anyio.create_task_group() as tasks:

            async def write() -> None:
                await anyio.sleep(30)
                os.write(write_fd, b'{"n":1}\n' * 3)
                os.close(write_fd)

            tasks.start_soon(write)
            reader = reader_of(stream)
            async for _ in reader.windows():
                await anyio.sleep(1000)
            assert reader.read_s == pytest.approx(30, abs=0.1)
            assert reader.check_s < 0.1
        os.close(read_fd)

    virtual_time.run(main)


def test_an_input_that_trickles_is_handed_on_each_second() -> None:
    async def main() -> None:
        read_fd, write_fd = os.pipe()
        async with await open_input("-", stdin_fd=read_fd) as stream, anyio.create_task_group() as tasks:

            async def write() -> None:
                for _ in range(100):
                    os.write(write_fd, b"{}\n")
                    await anyio.sleep(PAUSE_S / 2)
                os.close(write_fd)

            tasks.start_soon(write)
            at, records = 0.0, 0
            async for window in reader_of(stream).windows():
                now = anyio.current_time()
                assert now - at <= WINDOW_AGE_MAX_S + PAUSE_S
                at = now
                records += sum(counts(window))
        os.close(read_fd)
        assert records == 100

    virtual_time.run(main)


def test_a_silent_pipe_wakes_nobody_and_can_be_cancelled() -> None:
    async def main() -> None:
        read_fd, write_fd = os.pipe()
        async with await open_input("-", stdin_fd=read_fd) as stream:
            os.write(write_fd, b"{}\n")
            seen = []
            with anyio.move_on_after(3600) as scope:
                async for window in reader_of(stream).windows():
                    seen.append(counts(window))
            assert scope.cancelled_caught
            assert seen == [[1]]
        os.close(read_fd)
        os.close(write_fd)

    virtual_time.run(main)
