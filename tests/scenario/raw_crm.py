"""A small CRM behind a raw server, which meets one insert with a fault and is honest before and after.

The load in front of it is made of the real parts: `World` composes loop, gate, judge and resolver, and its
calls pass through the real transport, connection by connection, to the server on loopback.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest

from loader.client.tokens import Tokens
from loader.client.transport import HttpTransport
from loader.delivery import backoff
from loader.throttle import gate
from loader.wire.messages import HttpReply, HttpRequest, Reply
from tests import canary
from tests.scenario.fake_crm import US, FakeCrm, Record, World
from tests.scenario.fault_server import Connection, FaultServer, Heard, running

QUIET_S = 0.02
ORGANISATION = HttpRequest("GET", "/crm/v8/org")
TOKEN_PATH = "/oauth/v2/token"
SLOW_PATH = "/slow"

Item = dict[str, Any]


class Secrets(msgspec.Struct, frozen=True):
    """Credentials of a load."""

    client_id: str = "client"
    client_secret: str = canary.secret()
    refresh_token: str = canary.secret()
    access_token: str = ""
    named: tuple[str, ...] = ()


class Insert:
    """The insert that meets the fault, as a step sees it."""

    def __init__(self, crm: RawCrm, connection: Connection, head: bytes) -> None:
        self.crm = crm
        self.connection = connection
        self.head = head
        self.items: list[Item] = []
        """What an honest CRM would answer: once `read` has been called."""

    async def read(self) -> None:
        """The whole request; as many of its records are applied as the test wants."""
        heard = await self.crm.hear(self.connection, self.head)
        records = json.loads(heard.body)["data"]
        applied = self.crm.applied if self.crm.applied is not None else len(records)
        self.crm.note(records)
        self.items = [self.crm.apply(record) for record in records[:applied]]
        self.items += [success(9_000_000_000_000 + place) for place in range(applied, len(records))]

    async def answer(self, status: int, body: bytes | object = b"", headers: bytes = b"") -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        await self.connection.answer(raw, f"{status} Whatever", headers)


Step = Callable[[Insert], Awaitable[None]]


def success(identifier: int) -> Item:
    return {"code": "SUCCESS", "status": "success", "message": "", "details": {"id": str(identifier)}}


class RawCrm(FakeCrm):
    """The CRM at both ends of the wire: what the loop calls goes through the transport to `script`."""

    def __init__(self, *, unique: str = "", step: Step | None = None, applied: int | None = None) -> None:
        super().__init__(unique=unique, latency_s=0.0)
        self.applied = applied
        """How many records of the insert that meets the fault are applied; None: all."""
        self.closes_after_read = False
        """The answer to a read outside the load says that the connection ends."""
        self.connection_of_insert = 0
        self.calls = 0
        self.body_bytes_max: int | None = None
        """A longer body is refused with 413 and a page of the proxy."""
        self.refreshes = 0
        self.slow_calls = 0
        self.slow_calls_end = asyncio.Event()
        self.defects: list[BaseException] = []
        self.before_first: Callable[[], Awaitable[None]] | None = None
        self.after_first: Callable[[], Awaitable[None]] | None = None
        self.transport: HttpTransport
        self.server: FaultServer
        self.elsewhere: FaultServer
        self._step = step

    # --- in front of the wire ---

    async def send(self, request: HttpRequest) -> Reply:
        if request.method == "GET" or request.path.endswith("/coql"):
            return await self.transport.send(request)
        self.calls += 1
        first = self.calls == 1
        if first and self.before_first is not None:
            await self.before_first()
        reply = await self.transport.send(request)
        if first and self.after_first is not None:
            await self.after_first()
        return reply

    async def ready(self) -> None:
        await self.transport.ready()

    async def renew_token(self, number: int) -> None:
        await self.transport.renew_token(number)

    @property
    def session(self) -> aiohttp.ClientSession:
        session = self.transport._session
        assert session is not None
        return session

    def wait_for(self, timeout: aiohttp.ClientTimeout) -> None:
        """Change the transport's time-outs."""
        self.session._timeout = timeout
        assert self.session.timeout is timeout

    # --- behind it ---

    async def script(self, _server: FaultServer, connection: Connection) -> None:
        try:
            while True:
                await self._serve(connection, await connection.head())
        except (AssertionError, LookupError, ValueError) as defect:
            self.defects.append(defect)
            raise ConnectionError from defect

    async def hear(self, connection: Connection, head: bytes) -> Heard:
        heard = Heard(head, await connection.body_of(head), connection.number)
        self.server.heard.append(heard)
        return heard

    def note(self, records: Sequence[Record]) -> None:
        """An insert has arrived: was it written down first?"""
        lines = [record["Line"] for record in records]
        self.inserts.append(lines)
        self.before_insert(lines)

    def apply(self, record: Record) -> Item:
        return self._apply(record)

    async def _serve(self, connection: Connection, head: bytes) -> None:
        method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        if path == TOKEN_PATH:
            await connection.body_of(head)
            self.refreshes += 1
            grant = {"access_token": f"{canary.secret()}{self.refreshes}", "expires_in": 3600}
            await connection.answer(json.dumps(grant).encode(), "200 OK")
        elif path == SLOW_PATH:
            self.slow_calls += 1
            await self.slow_calls_end.wait()
            await connection.answer()
        elif path == ORGANISATION.path:
            await self.hear(connection, head)
            last = b"Connection: close\r\n" if self.closes_after_read else b""
            await connection.answer(b'{"org":[]}', "200 OK", last)
            if self.closes_after_read:
                connection.writer.close()
        elif method == "POST" and not path.endswith("/coql") and self._step is not None:
            step, self._step = self._step, None
            self.connection_of_insert = connection.number
            await step(Insert(self, connection, head))
        else:
            heard = await self.hear(connection, head)
            if self.body_bytes_max is not None and len(heard.body) > self.body_bytes_max:
                self.note(json.loads(heard.body)["data"])
                await connection.answer(b"<html>too large</html>", "413 Content Too Large")
                return
            reply = await super().send(HttpRequest(method, path, heard.body))
            assert isinstance(reply, HttpReply)
            await connection.answer(reply.body, f"{reply.status} Whatever")


@asynccontextmanager
async def wired(crm: RawCrm, *, tls: Any = None, host: str = "127.0.0.1") -> AsyncIterator[None]:
    """The server, the place where redirects lead, and the transport between."""

    async def nobody_comes(_server: FaultServer, connection: Connection) -> None:
        await connection.answer()

    async with AsyncExitStack() as stack:
        crm.elsewhere = await stack.enter_async_context(running(nobody_comes))
        crm.server = await stack.enter_async_context(running(crm.script, tls=tls))
        token_server = await stack.enter_async_context(running(crm.script))
        accounts = HttpTransport(token_server.url, None, timeout_s=10, connections=1)
        await stack.enter_async_context(accounts)
        tokens = Tokens(
            Secrets(),
            accounts_url=token_server.url,
            send=accounts.send,
            patience_s=5,
            observe=lambda _event: None,
        )
        await tokens.current()
        url = crm.server.url.replace("127.0.0.1", host)
        crm.transport = HttpTransport(url, tokens, timeout_s=10, connections=1)
        await stack.enter_async_context(crm.transport)
        yield


def shorten_pauses(patch: pytest.MonkeyPatch) -> None:
    """How long a pause lasts is tested in virtual time; here, only that the call comes after it."""
    patch.setattr(backoff, "FIRST_S", 0.01)
    patch.setattr(gate, "PAUSE_FIRST_S", 0.01)


def world_before(crm: RawCrm, *, key: bool) -> World:
    """A load of one call at a time; with a key, the CRM keeps it unique."""
    return World(crm, key="Email" if key else "", concurrency=1, quiet_period_s=QUIET_S)


def own_rows(crm: FakeCrm, line: int) -> list[str]:
    """The ids of the records that this load made of a line."""
    return [row.id for row in crm.rows_of(line) if row.created_by == US]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another task does."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)
