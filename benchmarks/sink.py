"""A server that accepts every insert at once: the other end of a benchmark, never its limit.

It checks nothing and keeps nothing. `python -m benchmarks.sink` prints its URL and serves until it is ended.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import json

MARK = b'"Last_Name"'
"""Every generated lead has it once: counting it counts the records of a body."""

_ITEM = (
    b'{"code":"SUCCESS","details":{"Modified_Time":"2026-01-01T00:00:00+00:00",'
    b'"Modified_By":{"name":"Sink","id":"5725767000000411001"},"Created_Time":"2026-01-01T00:00:00+00:00",'
    b'"id":"%d","Created_By":{"name":"Sink","id":"5725767000000411001"},"$approval_state":"approved"},'
    b'"message":"record added","status":"success"}'
)
_IDS = itertools.count(5725767000000000001)
_FIELDS = json.dumps(
    {
        "fields": [
            {"api_name": name, "data_type": kind, "json_type": json_type, "length": length,
             "system_mandatory": name == "Last_Name", "operation_type": {"api_create": True}, "unique": {}}
            for name, kind, json_type, length in (
                ("Last_Name", "text", "string", 80), ("First_Name", "text", "string", 40),
                ("Company", "text", "string", 200), ("Email", "email", "string", 100),
                ("Phone", "phone", "string", 30), ("City", "text", "string", 100),
                ("Street", "text", "string", 250), ("Zip_Code", "text", "string", 30),
                ("Country", "text", "string", 100), ("State", "text", "string", 100),
                ("Lead_Source", "picklist", "string", 120), ("Annual_Revenue", "currency", "double", 16),
                ("No_of_Employees", "integer", "integer", 9), ("Description", "textarea", "string", 32000),
                ("Email_Opt_Out", "boolean", "boolean", 5), ("Website", "website", "string", 255),
                ("Industry", "picklist", "string", 120), ("Designation", "text", "string", 100),
            )
        ]
    }
).encode()  # fmt: skip
_OTHERS = {
    b"/oauth/v2/token": b'{"access_token":"sink","api_domain":"http://127.0.0.1","token_type":"Bearer",'
    b'"expires_in":3600}',
    b"/crm/v8/settings/fields": _FIELDS,
    b"/crm/v8/settings/layouts": b'{"layouts":[{"id":"5725767000000091055","sections":[]}]}',
    b"/crm/v8/users": b'{"users":[{"id":"5725767000000411001","full_name":"Sink"}]}',
    b"/crm/v8/org": b'{"org":[{"id":"5725767000000000001","zgid":"1","company_name":"Sink"}]}',
}


@functools.cache
def _tell_first_insert() -> None:
    print("first insert", flush=True)


class Sink(asyncio.Protocol):
    """One connection: whole requests in, whole answers out."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._buffer = bytearray()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._buffer[:end])
            length = _content_length(head)
            stop = end + 4 + length
            if len(self._buffer) < stop:
                return
            body = bytes(self._buffer[end + 4 : stop])
            del self._buffer[:stop]
            self._answer(head.split(b" ", 2)[1].split(b"?", 1)[0], body)

    def _answer(self, path: bytes, body: bytes) -> None:
        if (fixed := _OTHERS.get(path)) is not None:
            self._write(b"200 OK", fixed)
        else:
            _tell_first_insert()
            items = b",".join(_ITEM % next(_IDS) for _ in range(body.count(MARK)))
            self._write(b"201 Created", b'{"data":[' + items + b"]}")

    def _write(self, status: bytes, body: bytes) -> None:
        self._transport.write(
            b"HTTP/1.1 %b\r\nContent-Type: application/json;charset=UTF-8\r\nContent-Length: %d\r\n\r\n"
            % (status, len(body))
            + body
        )


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def serve() -> None:
    """Serve on a free port of the loopback interface until ended."""
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
