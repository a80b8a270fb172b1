"""A server that accepts every insert at once: the other end of a benchmark, and not its limit.

It checks nothing and keeps nothing but a count. `python -m benchmarks.sink [--latency S] [--tls CERT KEY]`
prints its URL and serves until it is ended; it runs on uvloop where that is installed. Each record gets an id
that no other has. `GET /benchmark/records` says how many were accepted so far.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import importlib.util
import itertools
import json
import ssl
from collections.abc import Callable, Coroutine
from typing import Final, cast

MARK: Final = b'"Last_Name"'
"""Every generated lead has it once: counting it counts the records of a body."""
ACCEPTED: Final = b"/benchmark/records"

_ITEM: Final = (
    b'{"code":"SUCCESS","details":{"Modified_Time":"2026-01-01T00:00:00+00:00",'
    b'"Modified_By":{"name":"Sink","id":"5725767000000411001"},"Created_Time":"2026-01-01T00:00:00+00:00",'
    b'"id":"%b%02d","Created_By":{"name":"Sink","id":"5725767000000411001"},"$approval_state":"approved"},'
    b'"message":"record added","status":"success"}'
)
_PLACE: Final = b"<call>"
_CALLS: Final = itertools.count(57257670000000001)
"""The first 17 digits of the ids of a call; the other two are the record's place in it."""
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
    b"/crm/v8/org": b'{"org":[{"id":"5725767000000000001","zgid":"1","company_name":"Sink",'
    b'"license_details":{"paid_type":"ultimate","users_license_purchased":5000}}]}',
}


@functools.cache
def _tell_first_insert() -> None:
    print("first insert", flush=True)


@functools.cache
def _pieces(records: int) -> list[bytes]:
    """The answer to an insert of so many records, cut where the number of the call belongs."""
    items = b",".join(_ITEM % (_PLACE, place) for place in range(records))
    return _response(b"201 Created", b'{"data":[' + items + b"]}", hole=17 - len(_PLACE), holes=records)


def answer(records: int, call: int) -> bytes:
    """The body of the answer to an insert of so many records; the ids begin with the digits of `call`."""
    return (b"%017d" % call).join(_pieces(records)).partition(b"\r\n\r\n")[2]


def _response(status: bytes, body: bytes, *, hole: int = 0, holes: int = 0) -> list[bytes]:
    """A whole answer; `hole` is by how much each of the `holes` grows when it is filled."""
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json;charset=UTF-8\r\nContent-Length: %d\r\n\r\n" % (
        status,
        len(body) + hole * holes,
    )
    return (head + body).split(_PLACE)


class Sink(asyncio.Protocol):
    """One connection: whole requests in, whole answers out, `latency_s` after the request came."""

    accepted = 0
    """Records, on all connections."""

    def __init__(self, latency_s: float = 0.0) -> None:
        self._latency_s = latency_s
        self._held: list[bytes] = []
        self._missing = 0
        """Bytes that the request at hand lacks still."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are transports by their methods alone.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._missing > len(data):
            self._hold(data, self._missing - len(data))
            return
        if self._held:
            data = b"".join((*self._held, data))
            self._held.clear()
        self._missing = 0
        while data:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._hold(data, 1)
                return
            head = data[:end].lower()
            stop = end + 4 + _content_length(head)
            if stop > len(data):
                if stop - len(data) == stop - end - 4 and b"100-continue" in head:
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                self._hold(data, stop - len(data))
                return
            path = data[: data.index(b"\r")].split(b" ", 2)[1].split(b"?", 1)[0]
            self._answer(path, data.count(MARK, end + 4, stop))
            data = data[stop:]

    def _hold(self, data: bytes, missing: int) -> None:
        self._held.append(data)
        self._missing = missing

    def _answer(self, path: bytes, records: int) -> None:
        if path == ACCEPTED:
            self._write(b"".join(_response(b"200 OK", b'{"records":%d}' % Sink.accepted)))
        elif (fixed := _OTHERS.get(path)) is not None:
            self._write(b"".join(_response(b"200 OK", fixed)))
        else:
            _tell_first_insert()
            Sink.accepted += records
            answer = (b"%d" % next(_CALLS)).join(_pieces(records))
            if self._latency_s:
                asyncio.get_running_loop().call_later(self._latency_s, self._write, answer)
            else:
                self._write(answer)

    def _write(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


def _content_length(head: bytes) -> int:
    """Of a head in small letters; 0 if it names none."""
    at = head.find(b"\r\ncontent-length:")
    if at < 0:
        return 0
    return int(head[at + 17 :].split(b"\r\n", 1)[0])


async def serve(make: Callable[[], Sink], secure: ssl.SSLContext | None) -> None:
    """Serve on a free port of the loopback interface until ended."""
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0, ssl=secure)
    scheme = "https" if secure else "http"
    print(f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def run(serving: Coroutine[object, object, None]) -> None:
    """On uvloop where it is installed."""
    if importlib.util.find_spec("uvloop") is None:
        asyncio.run(serving)
    else:
        import uvloop  # noqa: PLC0415 - an extra

        uvloop.run(serving)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.sink", description=__doc__)
    made.add_argument("--latency", type=float, default=0.0, help="seconds between a request and its answer")
    made.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"), help="serve over TLS with these files")
    return made


def main() -> None:
    """Read the arguments and serve."""
    arguments = parser().parse_args()
    secure = None
    if arguments.tls:
        secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        secure.load_cert_chain(*arguments.tls)
    run(serve(lambda: Sink(arguments.latency), secure))


if __name__ == "__main__":
    main()
