"""A server on loopback that does to a connection exactly what its script says, byte for byte.

Plain asyncio streams: no HTTP library is in the way of a broken answer. It notes what it was sent.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

PLAIN = b'{"data":[]}'


class Heard:
    """One request as it arrived."""

    def __init__(self, head: bytes, body: bytes, connection: int) -> None:
        self.head = head
        self.body = body
        self.connection = connection

    @property
    def line(self) -> str:
        return self.head.split(b"\r\n", 1)[0].decode()


class Connection:
    """One connection, as a script sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.reader = reader
        self.writer = writer
        self.number = number

    async def head(self) -> bytes:
        return await self.reader.readuntil(b"\r\n\r\n")

    async def body_of(self, head: bytes) -> bytes:
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                return await self.reader.readexactly(int(line.split(b":")[1]))
        return b""

    async def say(self, raw: bytes) -> None:
        self.writer.write(raw)
        await self.writer.drain()

    async def answer(self, body: bytes = PLAIN, status: str = "201 Created", headers: bytes = b"") -> None:
        length = b"Content-Length: %d\r\n" % len(body)
        await self.say(b"HTTP/1.1 " + status.encode() + b"\r\n" + headers + length + b"\r\n" + body)

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        raw: socket.socket = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def forever(self) -> None:
        await asyncio.Event().wait()


Script = Callable[["FaultServer", Connection], Awaitable[None]]
Step = Callable[[Connection], Awaitable[None]]


class FaultServer:
    """What a running server has seen."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._listener: asyncio.Server | None = None
        self.port = 0
        self.url = ""
        self.heard: list[Heard] = []
        self.connections = 0
        self.whole_bodies = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def hear(self, connection: Connection) -> Heard:
        """The next whole request of the connection."""
        head = await connection.head()
        heard = Heard(head, await connection.body_of(head), connection.number)
        self.heard.append(heard)
        return heard

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                await self._script(self, Connection(reader, writer, self.connections))
        finally:
            self._tasks.discard(task)
            writer.close()

    async def listen(self, listening: socket.socket, *, tls: ssl.SSLContext | None, limit: int) -> None:
        self.port = listening.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._listener = await asyncio.start_server(self.serve, sock=listening, ssl=tls, limit=limit)

    def go_deaf(self) -> None:
        """Refuse new connections; those that are open stay."""
        assert self._listener is not None
        self._listener.close()
        self._listener = None

    async def listen_again(self) -> None:
        """Take connections at the same address as before."""
        self._listener = await asyncio.start_server(self.serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        if self._listener is not None:
            self._listener.close()
        for task in list(self._tasks):
            task.cancel()
        while self._tasks:
            await asyncio.sleep(0)


@asynccontextmanager
async def running(
    script: Script, *, tls: ssl.SSLContext | None = None, receive_buffer: int | None = None
) -> AsyncIterator[FaultServer]:
    """A fault server on a free port of this machine; a small receive buffer makes it a slow reader."""
    fault_server = FaultServer(script)
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # for `listen_again`
    if receive_buffer is not None:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    listening.bind(("127.0.0.1", 0))
    limit = 2**16 if receive_buffer is None else receive_buffer
    await fault_server.listen(listening, tls=tls, limit=limit)
    try:
        yield fault_server
    finally:
        await fault_server.stop()


def after(answered: int, step: Step) -> Script:
    """Answer so many requests of each connection properly, hear one more, then do `step`."""

    async def script(server: FaultServer, connection: Connection) -> None:
        for _ in range(answered):
            await server.hear(connection)
            await connection.answer()
        await server.hear(connection)
        await step(connection)

    return script


def closed_port_url() -> str:
    """An address of this machine where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"
