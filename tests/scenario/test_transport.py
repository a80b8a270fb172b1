"""Each row of the transport table against a server that breaks connections on purpose."""

from __future__ import annotations

import asyncio
import gzip
import os
import socket
import ssl
import time
import tracemalloc
import warnings
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress

import aiohttp
import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from loader.client import upload as upload_module
from loader.client.faults import detail_of, fault_of
from loader.client.masking import masked
from loader.client.transport import HttpTransport
from loader.client.upload import PIECE_BYTES, Upload
from loader.errors import NotNowError
from loader.wire.answers import Unreadable, read_insert
from loader.wire.messages import Fault, HttpReply, HttpRequest, NoReply, Reply
from loader.wire.requests import insert
from tests.scenario import certificates
from tests.scenario.fault_server import (
    PLAIN,
    Connection,
    FaultServer,
    Script,
    Step,
    after,
    closed_port_url,
    running,
)

CANARY = "1000.canary-token-never-shown"
SMALL = insert("Leads", [b'{"Last_Name":"Ada"}'])
LARGE = insert("Leads", [b'{"Last_Name":"' + b"x" * 60_000 + b'"}'] * 100)
READ = HttpRequest("GET", "/crm/v8/org")


class OneToken:
    value = CANARY
    number = 7

    async def current(self) -> OneToken:
        return self

    async def renew(self, number: int) -> None:
        self.renewed = number


def transport_to(url: str, *, timeout_s: float = 5.0, answer_bytes_max: int = 1_000_000) -> HttpTransport:
    return HttpTransport(
        url, OneToken(), timeout_s=timeout_s, connections=2, answer_bytes_max=answer_bytes_max
    )


async def send_to(
    script: Script, request: HttpRequest = SMALL, *, timeout_s: float = 5.0, first: int = 0
) -> Reply:
    """The reply to the last of `first` + 1 requests on one connection."""
    async with running(script) as server, transport_to(server.url, timeout_s=timeout_s) as transport:
        for _ in range(first):
            assert isinstance(await transport.send(request), HttpReply)
        reply = await transport.send(request)
        assert server.connections == 1
        return reply


def fault(reply: Reply) -> Fault:
    assert isinstance(reply, NoReply), reply
    assert CANARY not in repr(reply)
    return reply.fault


# --- what is sent ------------------------------------------------------------------------------------------


async def test_a_request_goes_out_once_with_its_body_unchanged_and_its_answer_comes_back_whole() -> None:
    async def answer(connection: Connection) -> None:
        await connection.answer(b'{"data":[1]}', headers=b"X-Mixed-Case: Kept\r\n")

    async with running(after(0, answer)) as server, transport_to(server.url) as transport:
        reply = await transport.send(SMALL)
    assert isinstance(reply, HttpReply)
    assert (reply.status, reply.body, reply.token_number) == (201, b'{"data":[1]}', 7)
    assert reply.headers["x-mixed-case"] == "Kept"
    assert 0 < reply.latency_s < 5
    (heard,) = server.heard
    assert heard.line == "POST /crm/v8/Leads HTTP/1.1"
    assert heard.body == SMALL.body
    head = heard.head.decode().lower()
    assert f"authorization: zoho-oauthtoken {CANARY}" in head
    assert "content-type: application/json\r\n" in head
    assert head.count("content-type") == 1
    assert "accept-encoding: identity" in head


async def test_a_body_of_many_pieces_arrives_whole() -> None:
    async with running(after(0, Connection.answer)) as server, transport_to(server.url) as transport:
        assert isinstance(await transport.send(LARGE), HttpReply)
    assert server.heard[0].body == LARGE.body


@pytest.mark.parametrize("size", [1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES])
async def test_no_byte_is_lost_at_the_edge_of_a_piece(size: int) -> None:
    body = bytes(index % 251 for index in range(size))
    async with running(after(0, Connection.answer)) as server, transport_to(server.url) as transport:
        await transport.send(HttpRequest("POST", "/", body))
    assert server.heard[0].body == body


async def test_the_path_reaches_the_server_as_it_was_written() -> None:
    request = HttpRequest("GET", "/crm/v8/Leads?ids=1,2&fields=Caf%C3%A9%2C%20x")
    async with running(after(0, Connection.answer)) as server, transport_to(server.url) as transport:
        await transport.send(request)
    assert server.heard[0].line == f"GET {request.path} HTTP/1.1"


async def test_the_token_service_is_asked_without_an_access_token() -> None:
    async with (
        running(after(0, Connection.answer)) as server,
        HttpTransport(server.url, None, timeout_s=5, connections=1) as transport,
    ):
        await transport.send(SMALL)
    assert b"authorization" not in server.heard[0].head.lower()


async def test_no_cookie_is_kept() -> None:
    async def answer(connection: Connection) -> None:
        await connection.answer(headers=b"Set-Cookie: a=b\r\n")

    async def script(server: FaultServer, connection: Connection) -> None:
        for _ in range(2):
            await server.hear(connection)
            await answer(connection)

    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(running(script))
        # By name: the library keeps no cookies of bare addresses anyway.
        url = server.url.replace("127.0.0.1", "localhost")
        transport = await stack.enter_async_context(transport_to(url))
        await transport.send(SMALL)
        await transport.send(SMALL)
    assert len(server.heard) == 2
    assert all(b"cookie" not in heard.head.lower() for heard in server.heard)


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", closed_port_url())
    assert isinstance(await send_to(after(0, Connection.answer)), HttpReply)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_is_not_followed(status: int) -> None:
    async with running(after(0, Connection.answer)) as elsewhere:

        async def redirect(connection: Connection) -> None:
            where = b"Location: " + elsewhere.url.encode() + b"/x\r\n"
            await connection.answer(b"", f"{status} Moved", where)

        reply = await send_to(after(0, redirect))
    assert isinstance(reply, HttpReply)
    assert reply.status == status
    assert elsewhere.connections == 0


# --- no connection -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_", [SMALL, READ], ids=["insert", "read"])
async def test_a_refused_connection_is_unreachable(request_: HttpRequest) -> None:
    async with transport_to(closed_port_url()) as transport:
        reply = await transport.send(request_)
    assert fault(reply) is Fault.UNREACHABLE
    assert isinstance(reply, NoReply)
    assert "Connection refused" in reply.detail


async def test_a_name_that_does_not_resolve_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_such_name(*_args: object, **_kwargs: object) -> list[object]:
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr(aiohttp.ThreadedResolver, "resolve", no_such_name)
    async with transport_to("http://nowhere.invalid") as transport:
        reply = await transport.send(SMALL)
    assert fault(reply) is Fault.UNREACHABLE
    assert isinstance(reply, NoReply)
    assert "cannot be resolved" in reply.detail


async def test_a_handshake_that_never_ends_is_a_connect_timeout() -> None:
    async def silent(_server: FaultServer, connection: Connection) -> None:
        await connection.forever()

    async with (
        running(silent) as server,
        transport_to(server.url.replace("http:", "https:"), timeout_s=0.4) as transport,
    ):
        assert fault(await transport.send(SMALL)) is Fault.CONNECT_TIMEOUT


@pytest.fixture(scope="module")
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    return certificates.self_signed(tmp_path_factory.mktemp("tls"))[0]


@pytest.mark.parametrize("request_", [SMALL, READ], ids=["insert", "read"])
async def test_a_certificate_that_nobody_vouches_for_stops_before_a_byte_is_sent(
    self_signed: ssl.SSLContext, request_: HttpRequest
) -> None:
    async with (
        running(after(0, Connection.answer), tls=self_signed) as server,
        transport_to(server.url) as transport,
    ):
        reply = await transport.send(request_)
    assert fault(reply) is Fault.CERTIFICATE
    assert isinstance(reply, NoReply)
    assert "self-signed certificate" in reply.detail.replace("self signed", "self-signed")
    assert server.heard == []


async def test_a_server_that_does_not_speak_tls_is_unreachable() -> None:
    async def not_tls(_server: FaultServer, connection: Connection) -> None:
        await connection.reader.read(10)
        await connection.answer(status="400 Bad Request")

    async with (
        running(not_tls) as server,
        transport_to(server.url.replace("http:", "https:")) as transport,
    ):
        assert fault(await transport.send(SMALL)) is Fault.UNREACHABLE


# --- after the body, on fresh and on reused connections ----------------------------------------------------


async def close(connection: Connection) -> None:
    connection.writer.close()


async def reset(connection: Connection) -> None:
    connection.reset()


def says(raw: bytes) -> Step:
    async def step(connection: Connection) -> None:
        await connection.say(raw)

    return step


def says_and_hangs(raw: bytes) -> Step:
    async def step(connection: Connection) -> None:
        await connection.say(raw)
        await connection.forever()

    return step


def says_and_resets(raw: bytes) -> Step:
    async def step(connection: Connection) -> None:
        await connection.say(raw)
        await asyncio.sleep(0.05)
        connection.reset()

    return step


OK = b"HTTP/1.1 201 Created\r\n"
ROWS: dict[str, tuple[Step, Fault]] = {
    "closed after the body": (close, Fault.DISCONNECTED),
    "reset after the body": (reset, Fault.DISCONNECTED),
    "silence": (Connection.forever, Fault.NO_ANSWER_IN_TIME),
    "head cut": (says(OK + b"Content-Le"), Fault.DISCONNECTED),
    "head never ends": (says_and_hangs(OK + b"X: y\r\n"), Fault.NO_ANSWER_IN_TIME),
    "body cut": (says(OK + b"Content-Length: 100\r\n\r\n{"), Fault.BROKEN_ANSWER),
    "body cut by a reset": (says_and_resets(OK + b"Content-Length: 100\r\n\r\n{"), Fault.BROKEN_ANSWER),
    "body never ends": (says_and_hangs(OK + b"Content-Length: 100\r\n\r\n{"), Fault.NO_ANSWER_IN_TIME),
    "chunks cut": (says(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{"), Fault.BROKEN_ANSWER),
    "chunks malformed": (says(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{"), Fault.BROKEN_ANSWER),
    "not HTTP": (says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), Fault.BROKEN_ANSWER),
    "two lengths": (says(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"), Fault.BROKEN_ANSWER),
    "a gzip that is none": (
        says(OK + b"Content-Encoding: gzip\r\nContent-Length: 11\r\n\r\n" + PLAIN),
        Fault.BROKEN_ANSWER,
    ),
    "one header of 1 MB": (says(OK + b"X: " + b"y" * 1_000_000 + b"\r\n\r\n"), Fault.BROKEN_ANSWER),
    "a length beyond the bound": (
        says_and_hangs(OK + b"Content-Length: 10000000000\r\n\r\n{"),
        Fault.BROKEN_ANSWER,
    ),
}


@pytest.mark.parametrize("first", [0, 2], ids=["fresh", "reused"])
@pytest.mark.parametrize("name", ROWS)
async def test_nothing_that_happens_after_the_body_proves_anything(name: str, first: int) -> None:
    step, expected = ROWS[name]
    timeout_s = 0.3 if expected is Fault.NO_ANSWER_IN_TIME else 5.0
    assert fault(await send_to(after(first, step), first=first, timeout_s=timeout_s)) is expected


async def test_a_gzip_that_is_cut_is_no_answer_to_an_insert() -> None:
    """The HTTP library gives what it could unpack and calls it whole: the reader of answers must not."""
    packed = gzip.compress(b'{"data":[{"code":"SUCCESS","status":"success","details":{"id":"1"}}]}')
    for length in range(len(packed)):
        head = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % length
        reply = await send_to(after(0, says(head + packed[:length])))
        if isinstance(reply, HttpReply) and length < len(packed) - 10:  # then end mark, checksum and length
            assert isinstance(read_insert(reply, 1), Unreadable), length


@pytest.mark.parametrize("name", ["closed after the body", "reset after the body", "body cut"])
async def test_an_insert_on_a_broken_reused_connection_is_never_sent_twice_by_the_http_library(
    name: str,
) -> None:
    step, _ = ROWS[name]
    async with running(after(1, step)) as server, transport_to(server.url) as transport:
        await transport.send(SMALL)
        fault(await transport.send(SMALL))
        await asyncio.sleep(0.05)
    assert len(server.heard) == 2
    assert server.connections == 1


async def test_a_connection_that_the_server_has_closed_is_not_used_again() -> None:
    async def answer_and_close(connection: Connection) -> None:
        await connection.answer()
        connection.writer.close()

    async with running(after(0, answer_and_close)) as server, transport_to(server.url) as transport:
        assert isinstance(await transport.send(SMALL), HttpReply)
        await asyncio.sleep(0.05)
        assert isinstance(await transport.send(SMALL), HttpReply)
    assert server.connections == 2


STRAY = {
    "a 408 for a connection that was quiet": b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n",
    "a second answer": OK + b"Content-Length: 11\r\n\r\n" + PLAIN,
    "no HTTP": b"bye\r\n",
}


@pytest.mark.parametrize("stray", STRAY)
@pytest.mark.parametrize("seen", [True, False], ids=["read already", "not read yet"])
@pytest.mark.parametrize("request_", [SMALL, READ], ids=["insert", "read"])
async def test_what_a_server_says_unasked_is_no_answer_to_the_next_request(
    stray: str, seen: bool, request_: HttpRequest
) -> None:
    connections: list[Connection] = []

    async def script(server: FaultServer, connection: Connection) -> None:
        connections.append(connection)
        while True:
            await server.hear(connection)
            await connection.answer(b"%d" % len(server.heard))

    async with running(script) as server, transport_to(server.url) as transport:
        assert isinstance(await transport.send(SMALL), HttpReply)
        connections[0].writer.write(STRAY[stray])
        if seen:
            await asyncio.sleep(0.02)
        reply = await transport.send(request_)
        assert isinstance(reply, HttpReply)
        assert (reply.status, reply.body) == (201, b"2")
        assert [heard.connection for heard in server.heard] == [1, 2]
        # A connection on which nothing stray came in is used again.
        assert isinstance(await transport.send(request_), HttpReply)
        assert server.connections == 2


async def test_an_idle_connection_that_the_server_ends_at_this_moment_is_not_used() -> None:
    connections: list[Connection] = []

    async def script(server: FaultServer, connection: Connection) -> None:
        connections.append(connection)
        while True:
            await server.hear(connection)
            await connection.answer()

    async with running(script) as server, transport_to(server.url) as transport:
        assert isinstance(await transport.send(SMALL), HttpReply)
        raw: socket.socket = connections[0].writer.get_extra_info("socket")
        # Ended before the event loop has had a chance to see it.
        with socket.socket(fileno=os.dup(raw.fileno())) as same:
            same.shutdown(socket.SHUT_WR)
        assert isinstance(await transport.send(SMALL), HttpReply)
        assert [heard.connection for heard in server.heard] == [1, 2]


# --- the proof of "not handed over" ------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["time-out", "close", "reset"])
async def test_a_large_body_that_the_server_stops_reading_is_not_handed_over(ending: str) -> None:
    async def script(server: FaultServer, connection: Connection) -> None:
        await connection.head()
        await connection.reader.read(1000)
        if ending == "time-out":
            await connection.forever()
        elif ending == "close":
            connection.writer.close()
        else:
            connection.reset()

    async with (
        running(script, receive_buffer=4096) as server,
        transport_to(server.url, timeout_s=1.0) as transport,
    ):
        assert fault(await transport.send(LARGE)) is Fault.NOT_HANDED_OVER


async def test_the_libraries_own_tracker_may_say_aborted_of_a_body_that_arrives_whole() -> None:
    """Why the flag exists: the body below is given to the connection in one write. The time-out cancels the
    writer while it waits for the buffer to drain, the tracker says "aborted", and closing flushes the rest.
    """
    body = b"x" * 8_000_000
    go_on = asyncio.Event()
    whole = asyncio.Event()

    async def script(server: FaultServer, connection: Connection) -> None:
        head = await connection.head()
        await go_on.wait()
        await connection.body_of(head)
        whole.set()

    async with running(script, receive_buffer=4096) as server, aiohttp.ClientSession() as session:
        tracker = aiohttp.UploadTracker()
        time_out = aiohttp.ClientTimeout(total=0.3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # "large body in one piece": that is the point
            with pytest.raises(TimeoutError):
                await session.post(server.url, data=body, upload_tracker=tracker, timeout=time_out)
        await asyncio.sleep(0)
        assert tracker.upload_complete.done()
        assert isinstance(tracker.upload_complete.exception(), aiohttp.UploadAbortedError)
        go_on.set()
        async with asyncio.timeout(20):
            await whole.wait()


async def test_the_same_body_through_the_transport_is_not_handed_over_and_never_arrives_whole() -> None:
    go_on = asyncio.Event()
    ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def script(server: FaultServer, connection: Connection) -> None:
        head = await connection.head()
        await go_on.wait()
        try:
            await connection.body_of(head)
        except (asyncio.IncompleteReadError, ConnectionError):
            ended.set_result(False)
        else:
            ended.set_result(True)

    async with (
        running(script, receive_buffer=4096) as server,
        transport_to(server.url, timeout_s=0.3) as transport,
    ):
        reply = await transport.send(HttpRequest("POST", "/", b"x" * 8_000_000))
        assert fault(reply) is Fault.NOT_HANDED_OVER
        go_on.set()
        async with asyncio.timeout(20):
            assert await ended is False


async def test_what_is_buffered_of_a_request_that_is_given_up_does_not_arrive_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its last piece counts as handed over, but the better part of it never left this process. Flushed to
    the server after the time-out, it would be applied after the quiet period has begun.
    """
    monkeypatch.setattr(upload_module, "PIECE_BYTES", 16_000_000)
    go_on = asyncio.Event()
    ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def script(server: FaultServer, connection: Connection) -> None:
        head = await connection.head()
        await go_on.wait()
        try:
            await connection.body_of(head)
        except (asyncio.IncompleteReadError, ConnectionError):
            ended.set_result(False)
        else:
            ended.set_result(True)

    async with (
        running(script, receive_buffer=4096) as server,
        transport_to(server.url, timeout_s=0.3) as transport,
    ):
        reply = await transport.send(HttpRequest("POST", "/", b"x" * 8_000_000))
        assert fault(reply) is Fault.NO_ANSWER_IN_TIME
        go_on.set()
        async with asyncio.timeout(20):
            assert await ended is False


async def test_a_body_of_one_piece_counts_as_handed_over_before_it_is_written() -> None:
    """All of it lies in the kernel's buffers although the server has not read a byte."""

    async def script(server: FaultServer, connection: Connection) -> None:
        await connection.forever()

    async with running(script) as server, transport_to(server.url, timeout_s=0.3) as transport:
        assert fault(await transport.send(SMALL)) is Fault.NO_ANSWER_IN_TIME


class Writer:
    """Notes what an upload does to a connection, and whether its last piece counts as handed over by then."""

    def __init__(self, transport: object, *, breaks_at: int | None = None) -> None:
        self.transport = transport
        self.breaks_at = breaks_at
        self.upload: Upload | None = None
        self.done: list[tuple[str, bool]] = []

    def _note(self, what: str) -> None:
        assert self.upload is not None
        self.done.append((what, self.upload.handed_over))
        if len(self.done) == self.breaks_at:
            raise ConnectionResetError

    async def write(self, chunk: bytes) -> None:
        self._note("write")

    async def drain(self) -> None:
        self._note("drain")


class OpenTransport:
    """Of no class of asyncio's, as the transports of other event loops are."""

    aborted = False

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        self.aborted = True


async def upload_to(writer: Writer, body: bytes) -> Upload:
    writer.upload = Upload(body)
    with suppress(OSError):
        await writer.upload.write(writer)  # type: ignore[arg-type]
    return writer.upload


async def test_each_piece_is_drained_before_the_next_and_the_flag_goes_up_before_the_last() -> None:
    writer = Writer(OpenTransport())
    upload = await upload_to(writer, b"x" * (2 * PIECE_BYTES + 1))
    early = [("write", False), ("drain", False)]
    assert writer.done == [*early, *early, ("write", True)]
    assert upload.finished


async def test_an_upload_that_is_given_up_aborts_the_connection_of_any_event_loop() -> None:
    transport = OpenTransport()
    upload = await upload_to(Writer(transport), b"x")
    upload.abort()
    assert transport.aborted


@pytest.mark.parametrize(("breaks_at", "handed_over"), [(1, False), (2, False), (3, True)])
async def test_a_body_that_breaks_off_is_handed_over_only_from_its_last_piece_on(
    breaks_at: int, handed_over: bool
) -> None:
    upload = await upload_to(Writer(OpenTransport(), breaks_at=breaks_at), b"x" * (PIECE_BYTES + 1))
    assert (upload.handed_over, upload.finished) == (handed_over, False)


async def test_nothing_is_handed_to_a_connection_that_is_known_to_be_dead() -> None:
    writer = Writer(None)
    writer.upload = Upload(b"{}")
    with pytest.raises(aiohttp.ClientConnectionResetError) as raised:
        await writer.upload.write(writer)  # type: ignore[arg-type]
    assert (writer.upload.handed_over, writer.done) == (False, [])
    assert fault_of(raised.value, handed_over=False) is Fault.NOT_HANDED_OVER


@pytest.mark.parametrize("status", ["401 Unauthorized", "413 Too Large", "429 Too Many Requests"])
@pytest.mark.parametrize("reads_on", [True, False], ids=["reads on", "stops reading"])
async def test_an_answer_that_comes_before_the_body_is_through_wins(status: str, reads_on: bool) -> None:
    async def script(server: FaultServer, connection: Connection) -> None:
        head = await connection.head()
        await connection.answer(b'{"code":"X"}', status)
        if reads_on:
            await connection.body_of(head)
        await connection.forever()

    began = time.monotonic()
    async with (
        running(script, receive_buffer=4096) as server,
        transport_to(server.url, timeout_s=30.0) as transport,
    ):
        for _ in range(3):  # one more than there are places for connections
            reply = await transport.send(LARGE)
            assert isinstance(reply, HttpReply)
            assert (reply.status, reply.body) == (int(status[:3]), b'{"code":"X"}')
        # The connection with half a request in it is not used for the next.
        again = await transport.send(SMALL)
        assert isinstance(again, HttpReply)
    assert server.connections == 4
    assert time.monotonic() - began < 25, "it waited for a time-out"


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "207 Multi-Status"])
async def test_a_success_that_comes_before_the_body_is_through_proves_nothing(status: str) -> None:
    async def script(server: FaultServer, connection: Connection) -> None:
        await connection.head()
        await connection.answer(status=status)
        await connection.forever()

    async with (
        running(script, receive_buffer=4096) as server,
        transport_to(server.url) as transport,
    ):
        reply = await transport.send(LARGE)
    assert fault(reply) is Fault.BROKEN_ANSWER


# --- hostile answers ---------------------------------------------------------------------------------------


async def endless(connection: Connection) -> None:
    await connection.say(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    while True:
        await connection.say(piece)


async def bomb(connection: Connection) -> None:
    await connection.answer(BOMB, headers=b"Content-Encoding: gzip\r\n")


async def many_headers(connection: Connection) -> None:
    await connection.say(OK + b"X-Header: y\r\n" * 100_000 + b"Content-Length: 0\r\n\r\n")


async def drip(connection: Connection) -> None:
    await connection.say(OK + b"Content-Length: 100000\r\n\r\n")
    while True:
        await connection.say(b"x")
        await asyncio.sleep(0.02)


BOMB = gzip.compress(b"\0" * 100_000_000, compresslevel=9)
HOSTILE: dict[str, tuple[Step, Fault]] = {
    "an answer without end": (endless, Fault.BROKEN_ANSWER),
    "a gzip bomb of 100 MB": (bomb, Fault.BROKEN_ANSWER),
    "100,000 headers": (many_headers, Fault.BROKEN_ANSWER),
    "a byte now and then": (drip, Fault.NO_ANSWER_IN_TIME),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_answer_costs_little_time_and_memory(name: str) -> None:
    step, expected = HOSTILE[name]
    began = time.monotonic()
    tracemalloc.start()
    try:
        reply = await send_to(after(0, step), timeout_s=1.0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert fault(reply) is expected
    assert time.monotonic() - began < 20
    assert peak < 16_000_000


# --- secrets, cancellation, the table ----------------------------------------------------------------------


def _failures() -> list[Exception]:
    headers = CIMultiDict({"Authorization": CANARY})
    info = aiohttp.RequestInfo(
        URL("http://h/"),
        "POST",
        CIMultiDictProxy(headers),
        URL("http://h/"),
    )
    return [
        aiohttp.ClientResponseError(info, (), status=400, message=CANARY),
        aiohttp.ClientPayloadError(CANARY),
        aiohttp.ClientOSError(104, CANARY),
        aiohttp.ServerDisconnectedError(CANARY),
        RuntimeError(CANARY),
    ]


@pytest.mark.parametrize("error", _failures(), ids=lambda error: type(error).__name__)
def test_no_detail_repeats_the_words_of_an_exception(error: Exception) -> None:
    assert CANARY in repr(error) + str(error)
    for one in Fault:
        assert CANARY not in detail_of(error, one)


TABLE: dict[str, tuple[Callable[[], Exception], Fault, Fault]] = {
    "socket time-out": (aiohttp.SocketTimeoutError, Fault.NOT_HANDED_OVER, Fault.NO_ANSWER_IN_TIME),
    "connect time-out": (aiohttp.ConnectionTimeoutError, Fault.CONNECT_TIMEOUT, Fault.UNKNOWN),
    "total time-out": (TimeoutError, Fault.NOT_HANDED_OVER, Fault.NO_ANSWER_IN_TIME),
    "disconnected": (aiohttp.ServerDisconnectedError, Fault.NOT_HANDED_OVER, Fault.DISCONNECTED),
    "payload": (aiohttp.ClientPayloadError, Fault.NOT_HANDED_OVER, Fault.BROKEN_ANSWER),
    "operating system": (aiohttp.ClientOSError, Fault.NOT_HANDED_OVER, Fault.DISCONNECTED),
    "nobody thought of it": (ZeroDivisionError, Fault.UNKNOWN, Fault.UNKNOWN),
    "no memory": (MemoryError, Fault.UNKNOWN, Fault.UNKNOWN),
}


@pytest.mark.parametrize("name", TABLE)
def test_what_an_exception_proves_hangs_on_whether_the_body_was_handed_over(name: str) -> None:
    make, before, after_ = TABLE[name]
    assert fault_of(make(), handed_over=False) is before
    assert fault_of(make(), handed_over=True) is after_


async def test_cancelling_a_call_is_never_swallowed() -> None:
    async with running(after(0, Connection.forever)) as server, transport_to(server.url) as transport:
        call = asyncio.create_task(transport.send(SMALL))
        while not server.heard:
            await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_a_renewal_is_passed_on_with_the_number_of_the_token_that_failed() -> None:
    tokens = OneToken()
    async with HttpTransport("http://127.0.0.1:1", tokens, timeout_s=1, connections=1) as transport:
        await transport.renew_token(3)
    assert tokens.renewed == 3


class NoToken(OneToken):
    async def current(self) -> OneToken:
        raise NotNowError("there is no access token")


async def test_whether_there_is_a_token_is_known_without_a_call() -> None:
    async with running(after(0, Connection.answer)) as server:
        async with transport_to(server.url) as transport:
            await transport.ready()
        async with HttpTransport(server.url, NoToken(), timeout_s=1, connections=1) as transport:
            with pytest.raises(NotNowError):
                await transport.ready()
    assert server.connections == 0


async def test_the_token_service_s_own_transport_has_nothing_to_renew() -> None:
    async with (
        running(after(0, Connection.answer)) as server,
        HttpTransport(server.url, None, timeout_s=1, connections=1) as transport,
    ):
        await transport.ready()
        await transport.renew_token(3)
    assert server.connections == 0


async def test_leaving_a_transport_that_was_never_entered_is_no_failure() -> None:
    await transport_to("http://127.0.0.1:1").__aexit__(None, None, None)


def test_a_body_as_the_library_may_ask_for_it_is_the_text_that_is_sent() -> None:
    assert Upload('{"Last_Name":"Žofie"}'.encode()).decode() == '{"Last_Name":"Žofie"}'


@pytest.mark.parametrize("status", ["201 Created", "400 Bad Request"])
async def test_an_answer_that_repeats_the_access_token_comes_back_without_it(status: str) -> None:
    async def repeat(connection: Connection) -> None:
        await connection.answer(b'{"you":"sent","token":"' + CANARY.encode() + b'"}', status)

    reply = await send_to(after(0, repeat))
    assert isinstance(reply, HttpReply)
    assert reply.body == b'{"you":"sent","token":"(secret)"}'


@pytest.mark.parametrize(
    ("said", "secret", "shown"),
    [
        (b"key=abcdefgh12!", "abcdefgh12", b"key=(secret)!"),
        (b"a=1.b%2Fc.defgh 1.b\\/c.defgh 1.b/c.defgh", "1.b/c.defgh", b"a=(secret) (secret) (secret)"),
        (b"a short one", "short", b"a short one"),
        (b"the 12345678 and 1234567", "12345678", b"the (secret) and 1234567"),
    ],
)
def test_each_way_to_write_a_secret_is_masked(said: bytes, secret: str, shown: bytes) -> None:
    assert masked(said, (secret,)) == shown
