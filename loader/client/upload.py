"""A request body that knows whether the server can have had the whole of it.

The HTTP library's own tracker says how much it believes to have sent; a connection that it closes still
flushes what is buffered. What it was never given, though, it cannot flush: so a body goes out in pieces, and
until the last piece is handed over the server cannot have a whole request.
"""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import ClientConnectionResetError
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

PIECE_BYTES: Final = 64 * 1024
"""The transport's default high-water mark: an ordinary batch goes out in one write, and a large one never
piles up in memory."""


class Upload(Payload):
    """Bytes to send, in pieces, each awaited."""

    _autoclose = True

    def __init__(self, value: bytes) -> None:
        super().__init__(value)
        self._size = len(value)
        self._transport: asyncio.WriteTransport | None = None
        self.handed_over = False
        """The last piece was given to the connection, or is about to be."""
        self.finished = False
        """Giving it has returned."""

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The body as text; nothing here asks for it, the library's interface does."""
        return bytes(self._value).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:  # noqa: ARG002
        view = memoryview(self._value)
        self._transport = writer.transport
        last = max(0, (len(view) - 1) // PIECE_BYTES * PIECE_BYTES)
        for start in range(0, last, PIECE_BYTES):
            await writer.write(view[start : start + PIECE_BYTES])
            await writer.drain()
        transport = writer.transport
        if transport is None or transport.is_closing():
            # A connection known to be dead is given nothing, and that is known for certain.
            raise ClientConnectionResetError("the connection was closed before the last piece")
        self.handed_over = True
        await writer.write(view[last:])
        self.finished = True

    def abort(self) -> None:
        """Drop what is still buffered: a request that is given up should not arrive later all the same."""
        if self._transport is not None:
            self._transport.abort()
