"""Pooled connections, of which only silent ones are used again.

What a server says on an idle connection answers nothing that was asked: the 408 with which some servers end a
quiet connection, or a second answer to the request before. The HTTP library would take it as the answer to
the next request, and by a 408 that request would count as not applied. So a connection that has spoken, or
has something to read, is closed; the next request goes out on another.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.connector import Connection

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.tracing import Trace


class SilentConnector(aiohttp.TCPConnector):
    """Hands out an idle connection only if nothing has come in on it since its last answer."""

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        while (connection := await super()._get(key, traces)) is not None:
            if _is_silent(connection):
                return connection
            connection.close()
        return None


def _is_silent(connection: Connection) -> bool:
    protocol, transport = connection.protocol, connection.transport
    if protocol is None or transport is None or protocol.should_close:
        return False
    # What the event loop has not read yet: words, or the end of the connection.
    waiting = select.poll()
    waiting.register(transport.get_extra_info("socket"), select.POLLIN)
    return not waiting.poll(0)
