"""The server at the other end of the benchmarks: whole answers to whole requests, however they arrive."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from benchmarks.data import leads
from benchmarks.sink import Sink, answer
from loader.wire.answers import Inserted, read_insert
from loader.wire.messages import HttpReply


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return False


def request(records: int) -> bytes:
    body = b'{"data":[' + b",".join(map(bytes.rstrip, leads(records, seed=1))) + b"]}"
    return b"POST /crm/v8/Leads HTTP/1.1\r\nHost: sink\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def served(*pieces: bytes) -> bytes:
    wire, sink = Wire(), Sink()
    sink.connection_made(wire)
    for piece in pieces:
        sink.data_received(piece)
    return wire.written


def bodies(written: bytes) -> list[bytes]:
    found = []
    while written:
        head, _, rest = written.partition(b"\r\n\r\n")
        length = int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0])
        found.append(rest[:length])
        written = rest[length:]
    return found


def ids(body: bytes, records: int) -> list[str]:
    read = read_insert(HttpReply(201, body, {}, 0.0, 1), records)
    assert isinstance(read, Inserted)
    return list(read.ids)


@pytest.mark.parametrize("records", [1, 37, 100])
def test_each_record_of_each_call_has_an_id_of_its_own(records: int) -> None:
    first, second = (ids(answer(records, call), records) for call in (1, 2))
    assert len({*first, *second}) == 2 * records


@pytest.mark.parametrize("size", [1, 50, 4096, 1 << 20])
def test_requests_in_any_pieces_get_one_answer_each(size: int) -> None:
    sent = request(3) + request(5)
    before = Sink.accepted
    found = bodies(served(*(sent[at : at + size] for at in range(0, len(sent), size))))
    assert [len(ids(body, records)) for body, records in zip(found, (3, 5), strict=True)] == [3, 5]
    assert Sink.accepted == before + 8


def test_it_says_how_many_it_has_accepted() -> None:
    before = Sink.accepted
    written = served(request(7), b"GET /benchmark/records HTTP/1.1\r\n\r\n")
    assert bodies(written)[1] == b'{"records":%d}' % (before + 7)


def test_a_client_that_asks_before_it_sends_its_body_may() -> None:
    head, _, body = request(1).partition(b"\r\n\r\n")
    written = served(head + b"\r\nExpect: 100-continue\r\n\r\n", body)
    assert written.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n")
