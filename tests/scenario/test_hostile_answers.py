"""What a hostile server can do with its answer to an insert, and what it cannot: time, memory, records.

Each row of docs/reference/hostile-answers.md is one of these; the page and the table name the same rows.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest

from loader.client.transport import ANSWER_BYTES_MAX
from loader.errors import ExitCode
from tests.scenario.fake_crm import Record, World, leads
from tests.scenario.raw_crm import (
    Insert,
    Item,
    RawCrm,
    Step,
    own_rows,
    shorten_pauses,
    success,
    wired,
    world_before,
)

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "hostile-answers.md"
MIB = 1024 * 1024
SOCKET_BUFFERS = 12 * MIB
"""What the kernel takes from a server although nobody reads it."""
OK = b"HTTP/1.1 201 Created\r\n"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_pauses(monkeypatch)


class Said:
    """How much the server could say; the step that is running adds to it."""

    bytes = 0


def endless(head: bytes, piece: bytes, *, every_s: float = 0.0) -> Step:
    """The head, then the piece again and again, for as long as somebody takes it."""

    async def step(insert: Insert) -> None:
        await insert.read()
        await insert.connection.say(head)
        while True:
            await insert.connection.say(piece)
            Said.bytes += len(piece)
            await asyncio.sleep(every_s)

    return step


def once(raw: bytes) -> Step:
    async def step(insert: Insert) -> None:
        await insert.read()
        await insert.connection.say(raw)
        await insert.connection.forever()

    return step


def body(raw: bytes, *, headers: bytes = b"", status: int = 201) -> Step:
    async def step(insert: Insert) -> None:
        await insert.read()
        await insert.answer(status, raw, headers)

    return step


def items(change: Callable[[list[Item]], object], *, status: int = 201) -> Step:
    async def step(insert: Insert) -> None:
        await insert.read()
        await insert.answer(status, change(insert.items))

    return step


def second_id(value: object) -> Step:
    def change(answered: list[Item]) -> object:
        answered[1]["details"]["id"] = value
        return {"data": answered}

    return items(change)


MADE_UP = json.dumps({"data": [success(8_000_001), success(8_000_002)]}).encode()


async def answers_unread(insert: Insert) -> None:
    """The records arrive, or some of them, and are thrown away."""
    await insert.answer(201, MADE_UP)
    await insert.connection.body_of(insert.head)


def twice_and(pause_s: float) -> Step:
    """The honest answer, and then another, of ids that are nobody's."""

    async def step(insert: Insert) -> None:
        await insert.read()
        await insert.answer(201, {"data": insert.items})
        await asyncio.sleep(pause_s)
        await insert.answer(201, MADE_UP)

    return step


def packed(mebibytes: int) -> bytes:
    press = zlib.compressobj(9, wbits=31)
    piece = b" " * MIB
    return b"".join(press.compress(piece) for _ in range(mebibytes)) + press.flush()


def repeated(first: str, second: str) -> Step:
    """Two members of one name; `HONEST` stands for what an honest server says."""

    async def step(insert: Insert) -> None:
        await insert.read()
        honest = json.dumps(insert.items)
        both = (one.replace("HONEST", honest) for one in (first, second))
        await insert.answer(201, ("{" + ",".join(f'"data":{one}' for one in both) + "}").encode())

    return step


def error_text(raw: bytes) -> Step:
    item = b'{"code":"INVALID_DATA","status":"error","message":"' + raw + b'","details":{}}'
    return body(b'{"data":[' + item + b"," + item + b"]}", status=400)


DOUBT, INSERTED, REJECTED = "in doubt", "inserted", "rejected"


class Row(NamedTuple):
    """A hostile answer and what becomes of the two records."""

    step: Step
    outcome: str = DOUBT
    exit: ExitCode | None = None
    total_s: float | None = None
    """The time-out of the call that meets it, where it takes the whole of it."""
    applied: int | None = 1
    large: bool = False
    """The records are too large for the server to have them all."""


SLOW_S = 0.3
HOSTILE = {
    "a body without end, in chunks": Row(
        endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
    ),
    "a body without end or length": Row(endless(OK + b"\r\n", b"x" * 0x10000)),
    "a body of 10 GB, by its length": Row(
        endless(OK + b"Content-Length: 10000000000\r\n\r\n", b"x" * 0x10000)
    ),
    "a gzip bomb": Row(body(packed(256), headers=b"Content-Encoding: gzip\r\n")),
    "100,000 headers": Row(once(OK + b"X-Header: y\r\n" * 100_000 + b"Content-Length: 0\r\n\r\n")),
    "headers without end": Row(endless(OK, b"X-Header: y\r\n" * 1000)),
    "one header of 10 MB": Row(once(OK + b"X: " + b"y" * 10_000_000 + b"\r\n\r\n")),
    "interim answers without end": Row(
        endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", every_s=0.001), total_s=SLOW_S
    ),
    "another protocol from now on (101)": Row(
        once(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), total_s=SLOW_S
    ),
    "a head, byte by byte": Row(endless(OK + b"X: ", b"y", every_s=0.01), total_s=SLOW_S),
    "a body, byte by byte": Row(
        endless(OK + b"Content-Length: 100000\r\n\r\n", b" ", every_s=0.01), total_s=SLOW_S
    ),
    "a success before the request was read, all of it sent": Row(answers_unread, INSERTED, applied=0),
    "a success before the request was sent to its end": Row(answers_unread, applied=0, large=True),
    "two answers at once": Row(twice_and(0), INSERTED, applied=None),
    "a second answer while nothing is asked": Row(twice_and(0.02), INSERTED, applied=None),
    "NUL and control bytes in a message, bare": Row(error_text(b"a\x00b\x1b[31mc"), applied=0),
    "NUL and control characters in a message, escaped": Row(
        error_text(rb"a\u0000b\u001b[31mc"), REJECTED, applied=0
    ),
    "a message of 1 MB": Row(error_text(b"m" * 1_000_000), REJECTED, applied=0),
    "an id that is a number": Row(second_id(5_000_000_000_001)),
    "an id of 20 digits": Row(second_id("9" * 20)),
    "an id of 1 MB": Row(second_id("9" * 1_000_000)),
    "an empty id": Row(second_id("")),
    "an id in digits of another script": Row(second_id("\u0661\u0662\u0663")),
    "an id with a line end": Row(second_id("5000000000001\n")),
    "a list in place of an id": Row(second_id(["5000000000001"])),
    "JSON nested 100,000 deep": Row(body(b"[" * 100_000 + b"]" * 100_000)),
    "objects nested 100,000 deep in an answer": Row(
        body(b'{"data":[' + b'{"details":' * 100_000 + b"1" + b"}" * 100_000 + b"]}")
    ),
    "a million answers": Row(body(b'{"data":[' + b",".join([b"{}"] * 1_000_000) + b"]}")),
    "a number of a million digits": Row(body(b'{"data":' + b"9" * 1_000_000 + b"}")),
    "members repeated, the last honest": Row(repeated("[]", "HONEST"), INSERTED, applied=None),
    "members repeated, the last not": Row(repeated("HONEST", "[]")),
    "a pause of 10^99 seconds (429)": Row(
        body(b"", headers=b"Retry-After: 1" + b"0" * 99 + b"\r\n", status=429),
        exit=ExitCode.NOT_NOW,
        applied=0,
    ),
}


async def meet(row: Row, *, key: bool) -> tuple[World, RawCrm]:
    """Two batches; the first one's answer is the row's."""
    crm = RawCrm(unique="Email" if key else "", step=row.step, applied=row.applied)
    world = world_before(crm, key=key)

    async def limit_time() -> None:
        crm.wait_for(aiohttp.ClientTimeout(total=row.total_s or 20))

    async def lift_limit() -> None:
        crm.wait_for(aiohttp.ClientTimeout(total=20))
        await asyncio.sleep(0.03)  # a second answer has the time to come in

    crm.before_first, crm.after_first = limit_time, lift_limit
    records: list[Record] = [
        {**one, "Description": "x" * (6_000_000 if row.large else 1)} for one in leads(1, 2)
    ]
    async with wired(crm), asyncio.timeout(40):
        await world.load([records, leads(3, 2)])
    return world, crm


@pytest.mark.parametrize("key", [False, True], ids=["no key", "key"])
@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_answer(name: str, key: bool) -> None:
    row = HOSTILE[name]
    Said.bytes = 0
    began = time.monotonic()
    world, crm = await meet(row, key=key)
    assert time.monotonic() - began < 30
    assert Said.bytes < ANSWER_BYTES_MAX + SOCKET_BUFFERS, "bounded before it is read"
    assert crm.defects == []
    recorder = world.recorder
    if row.exit is not None:
        assert world.pipeline.error is not None
        assert world.pipeline.error.exit_code is row.exit
        assert (recorder.may_be_applied, recorder.final, len(crm.inserts)) == (set(), {}, 1)
        return
    assert world.pipeline.error is None
    arrived = [] if row.step is answers_unread else [[1, 2]]
    again = [[1, 2]] if row.outcome == DOUBT and key else []
    assert sorted(crm.inserts) == [*arrived, *again, [3, 4]]
    assert set(recorder.held) == ({1, 2} if row.outcome == DOUBT and not key else set())
    assert ("doubt", 1, (1, 2)) in recorder.said or row.outcome != DOUBT
    require_records(row, world, crm)


def require_records(row: Row, world: World, crm: RawCrm) -> None:
    """The recorder says of no record what is not so, as far as the server has told the truth."""
    for line, final in world.recorder.final.items():
        rows = own_rows(crm, line)
        if line in (1, 2) and row.outcome == REJECTED:
            assert (final.outcome.value, rows) == ("rejected", [])
            assert len(final.message) <= 200
        elif line in (1, 2) and row.step is answers_unread and not row.large:
            assert (final.id, rows) == (str(8_000_000 + line), []), "the server's word is all there is"
        else:
            assert (final.outcome.value, [final.id]) == ("inserted", rows)
    assert {3, 4} <= set(world.recorder.final), "the next batch has its own answer"


@pytest.mark.parametrize("name", ["a body without end, in chunks", "a gzip bomb", "100,000 headers"])
async def test_a_hostile_answer_costs_little_memory(name: str) -> None:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        await meet(HOSTILE[name], key=False)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert peak < 3 * ANSWER_BYTES_MAX


def test_the_page_names_each_of_them() -> None:
    rows = re.findall(r"^\| ([^|]+?) \|", PAGE.read_text(), flags=re.MULTILINE)
    assert [one for one in rows if one not in ("the server sends", "---")] == list(HOSTILE)
