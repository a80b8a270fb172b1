"""A program's records as lines in a pipe."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import enum
import gc
import math
import os
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from decimal import Decimal
from types import MappingProxyType

import anyio
import pytest

from loader.errors import UsageError
from loader.source.feed import AHEAD_BYTES, Feed, Records, line_of
from loader.source.streams import open_input


class Rate(enum.Enum):
    UNKNOWN = math.nan


@dataclasses.dataclass
class Point:
    x: float
    y: float


LINES = [
    ({"Last_Name": "Daly"}, b'{"Last_Name":"Daly"}\n'),
    (MappingProxyType({"Last_Name": "Daly"}), b'{"Last_Name":"Daly"}\n'),
    ({"Amount": Decimal("0.10")}, b'{"Amount":0.10}\n'),
    ({"Amount": Decimal("1E+3")}, b'{"Amount":1000}\n'),
    (
        {"At": datetime.datetime(2027, 3, 1, 9, 0, 0, 250, datetime.UTC)},
        b'{"At":"2027-03-01T09:00:00+00:00"}\n',
    ),
    ({"On": datetime.date(2027, 3, 1)}, b'{"On":"2027-03-01"}\n'),
    ({"Tags": {"b", "a"}}, b'{"Tags":["a","b"]}\n'),
    ({"Owner": MappingProxyType({"id": "1"})}, b'{"Owner":{"id":"1"}}\n'),
    ({"a": None, "b": [1.5, "null"]}, b'{"a":null,"b":[1.5,"null"]}\n'),
    ({"Point": Point(1.0, 2.5), "a": None}, b'{"Point":{"x":1.0,"y":2.5},"a":null}\n'),
    (b'{"a": 1}', b'{"a": 1}\n'),
    (b'{"a": 1}\n', b'{"a": 1}\n'),
    ('{"a": "\u2028ö"}', '{"a": "\u2028ö"}\n'.encode()),
    (b"", b"\n"),
]
NO_RECORDS = [
    ({"a": object()}, "JSON"),
    ({"a": Decimal("NaN")}, "JSON"),
    ({"a": math.nan}, "NaN or infinite"),
    ({"a": None, "b": -math.inf}, "NaN or infinite"),
    ({"a": [{"b": (1.5, math.inf)}]}, "NaN or infinite"),
    ({"a": {math.nan}}, "NaN or infinite"),
    ({"a": MappingProxyType({"b": math.nan})}, "NaN or infinite"),
    ({"a": Rate.UNKNOWN}, "NaN or infinite"),
    ({"a": Point(1.0, math.nan)}, "NaN or infinite"),
    ({"a": 2**70}, "JSON"),
    ({1: "a"}, "JSON"),
    ({"a": "\ud800"}, "JSON"),
    ("\ud800", "no text"),
    (b"{}\n{}", "more than one line"),
    (7, "type int"),
    (None, "type NoneType"),
]


@pytest.mark.parametrize(("record", "line"), LINES)
def test_a_record_becomes_one_line(record: Mapping[str, object] | bytes | str, line: bytes) -> None:
    assert line_of(record) == line


@pytest.mark.parametrize(("record", "why"), NO_RECORDS)
def test_what_is_no_record_is_refused(record: object, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        line_of(record)  # type: ignore[arg-type]


async def read(records: Records) -> tuple[bytes, Feed]:
    feed = Feed(records)
    content = b""
    try:
        async with (
            await open_input("-", stdin_fd=feed.fd, broken=lambda: feed.error) as stream,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(feed.run)
            while data := await stream.read():
                content += data
    finally:
        feed.close()
    return content, feed


async def test_all_records_come_in_their_order() -> None:
    count = 3 * AHEAD_BYTES // 10
    content, feed = await read(b"%09d" % number for number in range(count))
    assert content == b"".join(b"%09d\n" % number for number in range(count))
    assert feed.error is None


async def test_a_cancellation_of_the_program_s_own_ends_its_records_with_an_error() -> None:
    async def rows() -> AsyncIterator[bytes]:
        yield b"first"
        looked_up = asyncio.ensure_future(anyio.sleep(60))
        looked_up.cancel()
        await looked_up

    feed = Feed(rows())
    with anyio.fail_after(30), os.fdopen(feed.fd, "rb") as reading:
        await feed.run()
        assert reading.read() == b"first\n"
    assert feed.error is not None
    assert feed.error.what == "the records ended with an error after 1 of them"
    assert feed.error.why == "CancelledError"
    assert "Load the same records again" in feed.error.hint


async def test_the_end_of_the_load_is_no_error_of_the_records() -> None:
    begun = anyio.Event()

    async def rows() -> AsyncIterator[bytes]:
        begun.set()
        await anyio.sleep_forever()
        yield b"never"

    feed = Feed(rows())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(feed.run)
        await begun.wait()
        tasks.cancel_scope.cancel()
    feed.close()
    assert feed.error is None


async def test_what_has_come_is_readable_while_the_program_waits() -> None:
    more = anyio.Event()

    async def rows() -> AsyncIterator[bytes]:
        yield b"first"
        await more.wait()
        yield b"second"

    feed = Feed(rows())
    async with await open_input("-", stdin_fd=feed.fd) as stream, anyio.create_task_group() as tasks:
        tasks.start_soon(feed.run)
        assert await stream.read() == b"first\n"
        more.set()
        assert await stream.read() == b"second\n"
        assert await stream.read() == b""
    feed.close()


async def test_no_more_is_taken_from_the_program_than_fits() -> None:
    taken = 0

    def rows() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"x" * 1023

    feed = Feed(rows())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(feed.run)
        await anyio.wait_all_tasks_blocked()
        pipe_bytes = 1024 * 1024  # as large as any default of a pipe
        assert AHEAD_BYTES <= taken * 1024 <= AHEAD_BYTES + pipe_bytes
        tasks.cancel_scope.cancel()
    feed.close()


async def test_a_program_that_raises_has_not_come_to_its_end() -> None:
    def rows() -> Iterator[bytes]:
        yield b"first"
        raise KeyError("column")

    feed = Feed(rows())
    async with (
        await open_input("-", stdin_fd=feed.fd, broken=lambda: feed.error) as stream,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(feed.run)
        assert await stream.read() == b"first\n"
        with pytest.raises(UsageError, match="after 1 of them") as raised:
            await stream.read()
        assert isinstance(raised.value.__cause__, KeyError)
    feed.close()


async def test_a_record_that_is_none_is_named_by_its_number() -> None:
    feed = Feed([b"{}", 7])  # type: ignore[list-item]
    await feed.run()
    assert feed.error is not None
    assert "record 2" in feed.error.what
    feed.close()


async def slowly(records: Iterable[bytes]) -> AsyncIterator[bytes]:
    for record in records:
        yield record


@pytest.mark.parametrize("asynchronous", [False, True], ids=["plain", "asynchronous"])
async def test_a_reader_that_goes_away_ends_it(asynchronous: bool) -> None:
    plain = (b"x" * 100 for _ in range(AHEAD_BYTES))
    records = slowly(plain) if asynchronous else plain
    feed = Feed(records)
    os.close(feed.fd)
    left_open: list[object] = []
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(finalizer=left_open.append)
    try:
        with anyio.fail_after(20):
            await feed.run()
        gc.collect()
    finally:
        sys.set_asyncgen_hooks(*hooks)
    assert left_open == []
    assert next(plain) == b"x" * 100, "the program's own iterable is not closed for it"
