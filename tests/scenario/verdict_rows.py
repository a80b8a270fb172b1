"""The two verdict tables as data: what the server does with the first insert, and what has to come of it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import aiohttp
import aiohttp.connector
import pytest

from loader.errors import ExitCode
from loader.wire.messages import HttpReply, HttpRequest
from tests.scenario.fake_crm import item_error
from tests.scenario.raw_crm import (
    SLOW_PATH,
    Insert,
    Item,
    RawCrm,
    Step,
    until,
)

RECORDS = 4
HTML = b"<html><body>502 Bad Gateway</body></html>"
LONG = 10.0

SETTLED, AGAIN, IN_DOUBT = "settled", "not applied", "doubt"


# --- what the server does with the insert ------------------------------------------------------------------


def says(status: int, body: object = b"", headers: bytes = b"") -> Step:
    async def step(insert: Insert) -> None:
        await insert.read()
        await insert.answer(status, body, headers)

    return step


def refuses(status: int, code: str, headers: bytes = b"") -> Step:
    body = {"code": code, "status": "error", "message": code.lower(), "details": {}}
    return says(status, body, headers)


def items(status: int, change: Callable[[list[Item]], object]) -> Step:
    """The items of the honest answer, changed."""

    async def step(insert: Insert) -> None:
        await insert.read()
        await insert.answer(status, {"data": change(insert.items)})

    return step


def lone(status: int, code: str, details: Mapping[str, object]) -> Step:
    """One error for the whole call."""
    return says(status, {"data": [item_error(code, details)]})


def raw(answer: bytes, *, ending: str) -> Step:
    """These bytes, and then the connection closes, is reset, stays silent, or goes on."""

    async def step(insert: Insert) -> None:
        await insert.read()
        if answer:
            await insert.connection.say(answer)
        if ending == "reset":
            await asyncio.sleep(0.01 if answer else 0)  # a reset overtakes what is not yet read
            insert.connection.reset()
        elif ending == "close":
            insert.connection.writer.close()
        elif ending == "silence":
            await insert.connection.forever()

    return step


def reads_a_part(*, ending: str) -> Step:
    async def step(insert: Insert) -> None:
        await insert.connection.reader.read(1000)
        if ending == "reset":
            insert.connection.reset()
        elif ending == "close":
            insert.connection.writer.close()
        else:
            await insert.connection.forever()

    return step


async def never_reached(insert: Insert) -> None:
    """The fault comes before the connection; the first insert that arrives is an ordinary one."""
    await insert.read()
    await insert.answer(201, {"data": insert.items})


def redirects(status: int) -> Step:
    async def step(insert: Insert) -> None:
        await insert.read()
        where = f"Location: {insert.crm.elsewhere.url}/crm/v8/Leads\r\n".encode()
        await insert.answer(status, b"", where)

    return step


def interim(insert_status: bytes) -> Step:
    """An interim answer, then the real one."""

    async def step(insert: Insert) -> None:
        await insert.read()
        await insert.connection.say(b"HTTP/1.1 " + insert_status + b"\r\n\r\n")
        await insert.answer(201, {"data": insert.items})

    return step


# --- what is in the way of the insert ----------------------------------------------------------------------


class Way:
    """Bars the way before the first insert leaves, and clears it when the insert has come back."""

    host = "127.0.0.1"
    reuses = False
    """The connection of the call before is still used."""

    def __init__(self, crm: RawCrm, patch: pytest.MonkeyPatch) -> None:
        self.crm = crm
        self.patch = patch

    async def bar(self) -> None: ...

    async def clear(self) -> None:
        self.crm.wait_for(aiohttp.ClientTimeout(total=LONG))


class Refused(Way):
    async def bar(self) -> None:
        self.crm.server.go_deaf()

    async def clear(self) -> None:
        await self.crm.server.listen_again()


class NoName(Way):
    """Names are looked up in a table; nothing leaves this process."""

    host = "crm.test"
    known = True

    def __init__(self, crm: RawCrm, patch: pytest.MonkeyPatch) -> None:
        super().__init__(crm, patch)

        async def resolve(_resolver: object, host: str, port: int = 0, **_: object) -> list[dict[str, Any]]:
            assert host == self.host
            return await self.resolve(host, port)

        patch.setattr(aiohttp.ThreadedResolver, "resolve", resolve)

    async def resolve(self, host: str, port: int) -> list[dict[str, Any]]:
        if not self.known:
            await self.fail()
        return [
            {
                "hostname": host,
                "host": "127.0.0.1",
                "port": port,
                "family": socket.AF_INET,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
        ]

    async def fail(self) -> None:
        raise OSError(socket.EAI_NONAME, "Name or service not known")

    async def bar(self) -> None:
        self.known = False
        connector = self.crm.session.connector
        assert isinstance(connector, aiohttp.TCPConnector)
        connector.clear_dns_cache()

    async def clear(self) -> None:
        self.known = True
        await super().clear()


class NoConnectionInTime(NoName):
    async def clear(self) -> None:
        self.mended.set()
        await super().clear()

    async def fail(self) -> None:
        await self.mended.wait()

    async def bar(self) -> None:
        self.mended = asyncio.Event()
        await super().bar()
        self.crm.wait_for(aiohttp.ClientTimeout(total=LONG, connect=0.05))


class ConnectingCutByTotal(NoConnectionInTime):
    async def bar(self) -> None:
        await super().bar()
        self.crm.wait_for(aiohttp.ClientTimeout(total=0.05))


class NoPlaceInThePool(Way):
    """The only connection is taken by a read that the server does not answer."""

    reuses = True
    time_out = aiohttp.ClientTimeout(total=0.05)

    async def bar(self) -> None:
        self.slow = asyncio.create_task(self.crm.transport.send(HttpRequest("GET", SLOW_PATH)))
        await until(lambda: self.crm.slow_calls == 1)
        self.crm.wait_for(self.time_out)

    async def clear(self) -> None:
        self.crm.slow_calls_end.set()
        assert isinstance(await self.slow, HttpReply)
        await super().clear()


class NoPlaceInTime(NoPlaceInThePool):
    time_out = aiohttp.ClientTimeout(total=LONG, connect=0.05)


class ShortPatience(Way):
    """The time-out of the socket; the one for all of the call is far."""

    reuses = True
    time_out = aiohttp.ClientTimeout(total=LONG, sock_read=0.1)

    async def bar(self) -> None:
        self.crm.wait_for(self.time_out)


class ShortTotal(ShortPatience):
    time_out = aiohttp.ClientTimeout(total=0.3)


# --- the rows ----------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """One row of a table, and what has to become of the records of the first insert."""

    step: Step
    verdict: str
    lines: tuple[int, ...] = ()
    """That the verdict is about; empty: all. The others are settled."""
    exit: ExitCode | None = None
    then: tuple[int, ...] = ()
    """Sizes of the inserts that follow a proof that nothing was applied; empty: the same lines once."""
    outcomes: Mapping[int, str] = {}
    """Other than inserted."""
    refreshes: int = 0
    way: type[Way] | None = None
    records: int = RECORDS
    bytes: int = 10
    """In each record."""
    applied: tuple[int | None, ...] = ()
    """How many records the server applies; empty: what fits the verdict. None: all."""
    refused: Mapping[int, str] = {}
    """Lines that the CRM refuses, with their codes."""
    locked: int = 0
    """This line is locked, once."""

    def ways_to_apply(self, *, reused: bool, key: bool) -> tuple[int | None, ...]:
        if self.applied:
            return self.applied
        if self.verdict == SETTLED or self.step is never_reached:
            return (None,)
        if self.verdict == AGAIN:
            return (0,)
        return (None, 0) if key and not reused else (self.records // 2,)


USAGE, CREDENTIALS = ExitCode.USAGE, ExitCode.CREDENTIALS
OK = b"HTTP/1.1 201 Created\r\n"
HALVED = (2, 2)

BEFORE_THE_CONNECTION = {
    "refused": Row(never_reached, AGAIN, way=Refused),
    "no such name": Row(never_reached, AGAIN, way=NoName),
    "no connection in time": Row(never_reached, AGAIN, way=NoConnectionInTime),
    "connecting cut by the total": Row(never_reached, AGAIN, way=ConnectingCutByTotal),
    "no place in the pool in time": Row(never_reached, AGAIN, way=NoPlaceInTime),
    "no place in the pool, cut by the total": Row(never_reached, AGAIN, way=NoPlaceInThePool),
}
BODY_NOT_WHOLE = {
    f"body not handed over whole, {ending}": Row(
        reads_a_part(ending=ending),
        AGAIN,
        way=ShortTotal if ending == "silence" else None,
        bytes=2_500_000,
    )
    for ending in ("reset", "close", "silence")
}
AFTER_THE_BODY = {
    "closed after the body": Row(raw(b"", ending="close"), IN_DOUBT),
    "reset after the body": Row(raw(b"", ending="reset"), IN_DOUBT),
    "closed in the head": Row(raw(OK + b"Content-", ending="close"), IN_DOUBT),
    "no answer in time": Row(raw(b"", ending="silence"), IN_DOUBT, way=ShortPatience),
    "no answer in time, cut by the total": Row(raw(b"", ending="silence"), IN_DOUBT, way=ShortTotal),
    "the answer stops": Row(
        raw(OK + b'Content-Length: 99\r\n\r\n{"data":[', ending="silence"), IN_DOUBT, way=ShortPatience
    ),
    "the answer is cut": Row(raw(OK + b'Content-Length: 99\r\n\r\n{"data":[', ending="close"), IN_DOUBT),
    "the answer is cut by a reset": Row(
        raw(OK + b'Content-Length: 99\r\n\r\n{"data":[', ending="reset"), IN_DOUBT
    ),
    "chunks cut": Row(raw(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{", ending="close"), IN_DOUBT),
    "chunks without sizes": Row(
        raw(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", ending="silence"), IN_DOUBT
    ),
    "no HTTP": Row(raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", ending="close"), IN_DOUBT),
    "a status of four digits": Row(raw(b"HTTP/1.1 2010 Created\r\n\r\n", ending="close"), IN_DOUBT),
    "headers too large": Row(raw(OK + b"X: " + b"y" * 100_000 + b"\r\n\r\n", ending="close"), IN_DOUBT),
    "two lengths": Row(
        raw(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", ending="close"), IN_DOUBT
    ),
    "not the encoding that it says": Row(
        raw(OK + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", ending="close"), IN_DOUBT
    ),
    "not JSON": Row(says(201, b"created"), IN_DOUBT),
    "JSON cut by the server": Row(says(201, b'{"data":[{"code":"SUCCESS"'), IN_DOUBT),
    "not UTF-8": Row(says(201, b'{"data":"\xff"}'), IN_DOUBT),
    "empty": Row(says(201), IN_DOUBT),
    "white space": Row(says(201, b" \r\n"), IN_DOUBT),
    "HTML": Row(says(200, HTML), IN_DOUBT),
    "null": Row(says(201, b"null"), IN_DOUBT),
    "an object with nothing in it": Row(says(201, {}), IN_DOUBT),
}


def halves(answered: list[Item]) -> list[Item]:
    return answered[: len(answered) // 2]


def with_path(position: int, path: str) -> Callable[[list[Item]], object]:
    """One answer names the place of a record."""

    def change(answered: list[Item]) -> object:
        answered[position]["details"]["json_path"] = path
        return answered

    return change


def with_id(make: Callable[[str], object]) -> Callable[[list[Item]], object]:
    """The second answer's id is another."""

    def change(answered: list[Item]) -> object:
        answered[1]["details"]["id"] = make(answered[0]["details"]["id"])
        return answered

    return change


def error_at(position: int, code: str, **details: object) -> Callable[[list[Item]], object]:
    """The record there is answered with an error; whether it was applied, the code must say."""

    def change(answered: list[Item]) -> object:
        answered[position] = item_error(code, details)
        return answered

    return change


def swapped(answered: list[Item]) -> object:
    """Two answers in each other's place; the error among them names its own."""
    answered[0] = item_error("INVALID_DATA", {"api_name": "Email", "json_path": "$.data[1].Email"})
    return answered


ANSWERED_EACH = {
    **{
        f"{status}, all inserted": Row(items(status, lambda each: each), SETTLED)
        for status in (200, 201, 202, 207, 400)
    },
    **{
        f"{status}, one rejected": Row(
            items(status, lambda each: each), SETTLED, outcomes={2: "rejected"}, refused={2: "INVALID_DATA"}
        )
        for status in (200, 201, 202, 207, 400)
    },
    "400, all rejected": Row(
        items(400, lambda each: [item_error("MANDATORY_NOT_FOUND", {}) for _ in each]),
        SETTLED,
        applied=(0,),
        outcomes=dict.fromkeys(range(1, RECORDS + 1), "rejected"),
    ),
    "a duplicate at the first send": Row(
        items(207, error_at(1, "DUPLICATE_DATA", duplicate_record={"id": "9"})),
        SETTLED,
        applied=(1,),
        outcomes={2: "duplicate"},
        records=2,
    ),
    "an error that names its own place": Row(
        items(207, error_at(1, "INVALID_DATA", json_path="$.data[1].Email")),
        SETTLED,
        applied=(1,),
        outcomes={2: "rejected"},
        records=2,
    ),
    "an interim answer before": Row(interim(b"103 Early Hints"), SETTLED),
}
NOT_AN_ANSWER_EACH = {
    **{f"{status}, fewer answers": Row(items(status, halves), IN_DOUBT) for status in (200, 201, 202, 207)},
    "no answers": Row(items(201, lambda _: []), IN_DOUBT),
    "one answer more": Row(items(201, lambda each: [*each, each[0]]), IN_DOUBT),
    "each answer twice": Row(items(201, lambda each: [*each, *each]), IN_DOUBT),
    "one success for all": Row(items(201, lambda each: each[:1]), IN_DOUBT),
    "one error of a record for all": Row(
        items(400, lambda _: [item_error("INVALID_DATA", {"json_path": "$.data[1].Email"})]), IN_DOUBT
    ),
    "data is no list": Row(items(201, lambda each: each[0]), IN_DOUBT),
    "data of strings": Row(items(201, lambda each: ["SUCCESS" for _ in each]), IN_DOUBT),
    "an id twice": Row(items(201, with_id(lambda first: first)), IN_DOUBT),
    "an id that is a number": Row(items(201, with_id(int)), IN_DOUBT),
    "an empty id": Row(items(201, with_id(lambda _: "")), IN_DOUBT),
    "an id of words": Row(items(201, with_id(lambda _: "the second")), IN_DOUBT),
    "no id": Row(items(201, with_id(lambda _: None)), IN_DOUBT),
    "neither success nor error": Row(
        items(201, lambda each: [{**one, "status": "ok"} for one in each]), IN_DOUBT
    ),
    "a success that names another record": Row(items(201, with_path(0, "$.data[1]")), IN_DOUBT),
    "an error that names another record": Row(items(207, swapped), IN_DOUBT),
    "a place beyond the batch": Row(items(201, with_path(0, "$.data[100]")), IN_DOUBT),
    "a place that is none": Row(items(201, with_path(0, "$.data[first]")), IN_DOUBT),
}
REFUSED_WHOLE = {
    "LIMIT_EXCEEDED": Row(lone(400, "LIMIT_EXCEEDED", {"api_name": "data"}), AGAIN, then=HALVED),
    "resource_path_index": Row(lone(400, "INVALID_DATA", {"resource_path_index": 0}), AGAIN, then=HALVED),
    "json_path of all data": Row(lone(400, "INVALID_DATA", {"json_path": "$.data"}), AGAIN, then=HALVED),
    "json_path elsewhere": Row(lone(400, "INVALID_DATA", {"json_path": "$.process"}), AGAIN, then=HALVED),
    "json_path of an option": Row(
        lone(400, "INVALID_DATA", {"json_path": "$.trigger[0]"}), AGAIN, exit=USAGE
    ),
    "an option by its name": Row(lone(400, "INVALID_DATA", {"api_name": "lar_id"}), AGAIN, exit=USAGE),
    "INVALID_MODULE": Row(lone(400, "INVALID_MODULE", {"resource_path_index": 0}), AGAIN, exit=USAGE),
    "INVALID_MODULE under 202": Row(lone(202, "INVALID_MODULE", {}), IN_DOUBT),
    "NO_PERMISSION": Row(lone(400, "NO_PERMISSION", {"permissions": ["create"]}), AGAIN, exit=CREDENTIALS),
    "a bare 400": Row(refuses(400, "INVALID_DATA"), AGAIN, then=HALVED),
    "a bare 400 of an unknown code": Row(refuses(400, "NEVER_HEARD_OF"), AGAIN, then=HALVED),
    "a bare 400 INVALID_MODULE": Row(refuses(400, "INVALID_MODULE"), AGAIN, exit=USAGE),
    "a bare 400 INTERNAL_ERROR": Row(refuses(400, "INTERNAL_ERROR"), IN_DOUBT),
    "a 400 in HTML": Row(says(400, HTML), IN_DOUBT),
    "an empty 400": Row(says(400), IN_DOUBT),
    "the only record's own error": Row(
        lone(400, "INVALID_DATA", {"api_name": "Email"}),
        SETTLED,
        applied=(0,),
        records=1,
        outcomes={1: "rejected"},
    ),
    "the only record's own unknown error": Row(lone(400, "NEVER_HEARD_OF", {}), IN_DOUBT, records=1),
    "the only record, but the load's error": Row(
        lone(400, "INVALID_MODULE", {}), AGAIN, records=1, exit=USAGE
    ),
    "the only record refused whole": Row(
        refuses(400, "INVALID_DATA"), AGAIN, records=1, exit=None, outcomes={1: "rejected"}
    ),
}
STATUSES = {
    "401 INVALID_TOKEN": Row(refuses(401, "INVALID_TOKEN"), AGAIN, refreshes=1),
    "401 OAUTH_SCOPE_MISMATCH": Row(refuses(401, "OAUTH_SCOPE_MISMATCH"), AGAIN, exit=CREDENTIALS),
    "401 AUTHENTICATION_FAILURE": Row(refuses(401, "AUTHENTICATION_FAILURE"), AGAIN, exit=CREDENTIALS),
    "401 of an unknown code": Row(refuses(401, "NEVER_HEARD_OF"), AGAIN, exit=CREDENTIALS),
    "401 in HTML": Row(says(401, HTML), IN_DOUBT),
    "401 empty": Row(says(401), IN_DOUBT),
    "403": Row(refuses(403, "NO_PERMISSION"), AGAIN, exit=CREDENTIALS),
    "403 in HTML": Row(says(403, HTML), IN_DOUBT),
    **{
        f"{status}": Row(redirects(status), IN_DOUBT, exit=USAGE)
        for status in (300, 301, 302, 303, 305, 307, 308, 399)
    },
    "304 without a place to go": Row(says(304), IN_DOUBT, exit=USAGE),
    **{
        f"{status}": Row(refuses(status, "INVALID_URL_PATTERN"), AGAIN, exit=USAGE)
        for status in (404, 405, 406, 415)
    },
    **{f"{status} in HTML": Row(says(status, HTML), IN_DOUBT) for status in (404, 405, 406, 415, 421)},
    "421": Row(refuses(421, "MISDIRECTED"), AGAIN),
    **{
        f"{status} {name}": Row(says(status, body), AGAIN, then=HALVED if status == 413 else ())
        for status in (408, 413, 425)
        for name, body in {"empty": b"", "in HTML": HTML, "in JSON": {"code": "X", "status": "error"}}.items()
    },
    **{
        f"429 {name}": Row(says(429, body, headers), AGAIN)
        for name, body, headers in [
            ("empty", b"", b""),
            ("in HTML", HTML, b"Retry-After: 0\r\n"),
            ("in JSON", {"code": "TOO_MANY_REQUESTS", "status": "error"}, b"Retry-After: soon\r\n"),
        ]
    },
    **{
        f"{status} in HTML": Row(says(status, HTML), IN_DOUBT)
        for status in (
            500,
            501,
            502,
            503,
            504,
            505,
            520,
            521,
            522,
            523,
            524,
            525,
            526,
            527,
            529,
            599,
            600,
            999,
        )
    },
    "500 INTERNAL_ERROR": Row(refuses(500, "INTERNAL_ERROR"), IN_DOUBT),
    "500 INVALID_DATA": Row(refuses(500, "INVALID_DATA"), IN_DOUBT),
    "500 with an answer each": Row(items(500, lambda each: each), IN_DOUBT),
    "503 with Retry-After": Row(says(503, HTML, b"Retry-After: 1\r\n"), IN_DOUBT),
    "503 INVALID_TOKEN": Row(refuses(503, "INVALID_TOKEN"), IN_DOUBT),
    **{
        f"{status} with an answer each": Row(items(status, lambda each: each), IN_DOUBT)
        for status in (203, 206, 226, 299, 418, 409, 422, 451, 600)
    },
    "204": Row(raw(b"HTTP/1.1 204 No Content\r\n\r\n", ending="goes on"), IN_DOUBT),
    "418 with an error": Row(refuses(418, "INVALID_DATA"), IN_DOUBT),
    "409 with an error": Row(refuses(409, "DUPLICATE_DATA"), IN_DOUBT),
    "422 with an error": Row(refuses(422, "INVALID_DATA"), IN_DOUBT),
    "299 with an error": Row(refuses(299, "INVALID_DATA"), IN_DOUBT),
}
ONE_RECORD = {
    "RECORD_LOCKED": Row(items(207, lambda each: each), AGAIN, lines=(2,), applied=(None,), locked=2),
    **{
        f"{code} of one record": Row(
            items(207, error_at(1, code)), IN_DOUBT, lines=(2,), applied=applied, records=2
        )
        for code, applied in {
            "INTERNAL_ERROR": (1, 2),
            "PROCESSING_ERROR": (1, 2),
            "DEPENDENT_SERVICE_ERROR": (1, 2),
            "NEVER_HEARD_OF": (1, 2),
        }.items()
    },
    "several errors, of which one proves nothing": Row(
        items(
            207,
            error_at(
                1,
                "MULTIPLE_OR_MULTI_ERRORS",
                errors=[{"code": "INVALID_DATA"}, {"code": "INTERNAL_ERROR"}],
            ),
        ),
        IN_DOUBT,
        lines=(2,),
        applied=(1, 2),
        records=2,
    ),
}
ROWS = {
    **BEFORE_THE_CONNECTION,
    **BODY_NOT_WHOLE,
    **AFTER_THE_BODY,
    **ANSWERED_EACH,
    **NOT_AN_ANSWER_EACH,
    **REFUSED_WHOLE,
    **STATUSES,
    **ONE_RECORD,
}
