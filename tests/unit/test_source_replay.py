from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from loader.errors import ExitCode, InputChangedError
from loader.records import Batch, Span
from loader.source.batches import BatchCutter, Cut
from loader.source.lines import BOM, LineSplitter
from loader.source.reader import Reader
from loader.source.replay import Recall, records_of, replay
from loader.source.streams import InputStream, open_input
from tests.line_checks import nothing_wrong

DATA = BOM + b"".join(b'{"n":%d}\r\n\n' % n for n in range(90_000)) + b'{"last":1}'
HINT = "Put the file back as it was, then: loader resume leads.ndjson.load"
KNOWN = 60_000
"""Lines that an earlier run has cut."""


def cut_all(data: bytes) -> list[Batch]:
    splitter = LineSplitter(1000)
    cutter = BatchCutter(nothing_wrong, Cut(records_max=100))
    batches = [*cutter.feed(splitter.feed(data)), *cutter.feed(splitter.flush())]
    last = cutter.cut()
    return [*batches, last] if last else batches


BATCHES = cut_all(DATA)
SPANS = [batch.span for batch in BATCHES if batch.span.first_line <= KNOWN]
WANTED = SPANS[::37]


async def bytes_of(stream: InputStream, recalls: list[Recall]) -> list[tuple[Span, bytes]]:
    return [found async for found in replay(stream, recalls, hint=HINT)]


def all_spans() -> list[Recall]:
    return [Recall(span, wanted=span in WANTED) for span in SPANS]


async def rest_of(stream: InputStream) -> bytes:
    rest = b""
    while data := await stream.read():
        rest += data
    return rest


async def test_a_plain_file_goes_to_the_spans_that_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "leads.ndjson"
    path.write_bytes(DATA)
    async with await open_input(str(path)) as stream:
        found = await bytes_of(stream, [Recall(span) for span in WANTED])
        assert found == [(span, DATA[span.start : span.stop]) for span in WANTED]
        assert await rest_of(stream) == DATA[WANTED[-1].stop :]


@pytest.mark.parametrize("stored", [DATA, gzip.compress(DATA)])
async def test_all_spans_are_compared_and_the_wanted_ones_given(tmp_path: Path, stored: bytes) -> None:
    path = tmp_path / "leads.ndjson"
    path.write_bytes(stored)
    async with await open_input(str(path)) as stream:
        found = await bytes_of(stream, all_spans())
        assert found == [(span, DATA[span.start : span.stop]) for span in WANTED]
        assert await rest_of(stream) == DATA[SPANS[-1].stop :]


async def test_records_come_out_as_they_were_cut(tmp_path: Path) -> None:
    path = tmp_path / "leads.ndjson"
    path.write_bytes(DATA)
    by_span = {batch.span: batch for batch in BATCHES}
    async with await open_input(str(path)) as stream:
        async for span, raw in replay(stream, [Recall(span) for span in WANTED], hint=HINT):
            batch = by_span[span]
            assert records_of(raw, span, batch.lines) == batch.records
            assert records_of(raw, span, [batch.lines[3]]) == [batch.records[3]]


async def test_the_reader_goes_on_behind_the_last_span(tmp_path: Path) -> None:
    path = tmp_path / "leads.ndjson.gz"
    path.write_bytes(gzip.compress(DATA))
    last = SPANS[-1]
    next_line = last.first_line + last.line_count
    async with await open_input(str(path)) as stream:

        async def recalls() -> AsyncIterator[Recall]:
            for span in SPANS:
                yield Recall(span, wanted=False)

        async for _ in replay(stream, recalls(), hint=HINT):
            raise AssertionError("no span was wanted")
        splitter = LineSplitter(1000, first_line=next_line, start=last.stop)
        cutter = BatchCutter(nothing_wrong, first_line=next_line, start=last.stop, number=len(SPANS) + 1)
        reader = Reader(stream, splitter, cutter, batches_per_window=4)
        rest = [batch async for window in reader.windows() for batch in window.batches]
    assert rest == BATCHES[len(SPANS) :]


async def test_nothing_to_compare_leaves_the_stream_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "leads.ndjson"
    path.write_bytes(DATA)
    async with await open_input(str(path)) as stream:
        assert await bytes_of(stream, []) == []
        assert await rest_of(stream) == DATA


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("where", ["first byte", "middle", "last byte", "not wanted"])
async def test_a_changed_byte_is_found(tmp_path: Path, where: str, compressed: bool) -> None:
    span = {"first byte": SPANS[0], "middle": SPANS[37], "last byte": SPANS[-1], "not wanted": SPANS[2]}[
        where
    ]
    at = span.stop - 1 if where == "last byte" else span.start
    changed = DATA[:at] + bytes((DATA[at] ^ 1,)) + DATA[at + 1 :]
    path = tmp_path / "my leads.ndjson"
    path.write_bytes(gzip.compress(changed) if compressed else changed)
    async with await open_input(str(path)) as stream:
        with pytest.raises(InputChangedError) as raised:
            await bytes_of(stream, all_spans())
    error = raised.value
    crc = zlib.crc32(changed[span.start : span.stop])
    last = span.first_line + span.line_count - 1
    among = f"\nSomething in lines {span.first_line:,} to {last:,} is not as it was"
    assert error.exit_code == ExitCode.INPUT_CHANGED
    assert error.what == "the input changed since this load began"
    assert error.why == (
        f"{path}, line {span.first_line:,} (bytes {span.start:,}-{span.stop:,}): "
        f"checksum {crc:08x}, the checkpoint log says {span.crc:08x}"
        f"{among if span.line_count > 1 else ''}"
    )
    assert error.hint == HINT


@pytest.mark.parametrize("length", [0, SPANS[-1].start - 1, SPANS[-1].start, SPANS[-1].stop - 1])
async def test_an_input_that_ends_too_soon_has_changed(tmp_path: Path, length: int) -> None:
    path = tmp_path / "leads.ndjson"
    path.write_bytes(DATA[:length])
    async with await open_input(str(path)) as stream:
        with pytest.raises(InputChangedError) as raised:
            await bytes_of(stream, all_spans())
    assert f"the input ends at byte {length:,}, the checkpoint log knows it to byte " in raised.value.why


async def test_a_file_that_became_shorter_than_where_it_is_asked_says_where_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "leads.ndjson"
    path.write_bytes(DATA[:1000])
    async with await open_input(str(path)) as stream:
        with pytest.raises(InputChangedError) as raised:
            await bytes_of(stream, [Recall(SPANS[-1])])
    assert "the input ends at byte 1,000, the checkpoint log knows it to byte " in raised.value.why


async def test_stdin_is_compared_on_the_way_and_its_hint_can_be_typed() -> None:
    data = b'{"a":1}\n{"b":2}\n'
    good = Span(1, 1, 0, 8, zlib.crc32(data[:8]))
    bad = Span(2, 1, 8, 16, 0x4BE017D2)
    read_fd, write_fd = os.pipe()
    os.write(write_fd, data)
    os.close(write_fd)
    found: list[tuple[Span, bytes]] = []
    with os.fdopen(read_fd):
        async with await open_input("-", stdin_fd=read_fd) as stream:

            async def read() -> None:
                async for span, raw in replay(stream, [Recall(good), Recall(bad)], hint=HINT):
                    found.append((span, raw))

            with pytest.raises(InputChangedError) as raised:
                await read()
    assert found == [(good, data[:8])]
    assert raised.value.why.startswith("stdin, line 2 (bytes 8-16): checksum ")
    assert raised.value.why.endswith("the checkpoint log says 4be017d2")
    assert raised.value.hint == HINT


async def test_what_lies_between_spans_of_a_stream_goes_by(tmp_path: Path) -> None:
    path = tmp_path / "leads.ndjson.gz"
    path.write_bytes(gzip.compress(DATA))
    async with await open_input(str(path)) as stream:
        found = await bytes_of(stream, [Recall(span) for span in WANTED[1:]])
        assert found == [(span, DATA[span.start : span.stop]) for span in WANTED[1:]]
