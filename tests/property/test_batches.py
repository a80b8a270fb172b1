"""Batches account for every line and every byte, whatever the input and however it is fed."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from loader.records import Batch
from loader.schema.problems import Problem
from loader.source.batches import BatchCutter, Cut
from loader.source.lines import BOM, LineSplitter
from loader.source.replay import records_of
from tests.line_checks import line_by_line

LINE_BYTES_MAX = 12
lines = st.sampled_from([b"{}", b'{"a":1}', b'{"b":"\0"}', b"", b" ", b"bad", b"x" * 13, b"{" + b"y" * 40])
ends = st.sampled_from([b"\n", b"\r\n"])
inputs = st.tuples(
    st.sampled_from([b"", BOM]),
    st.lists(st.tuples(lines, ends).map(b"".join), max_size=40).map(b"".join),
    lines,
).map(b"".join)
bounds = st.builds(
    Cut, records_max=st.integers(1, 5), body_bytes_max=st.integers(1, 40), lines_max=st.integers(1, 9)
)


def check(line: bytes) -> Sequence[Problem]:
    return () if line.startswith(b"{") else (Problem("INVALID_DATA", "not an object"),)


def apart(line: bytes) -> bool:
    return b'"a"' in line


def cut(
    feeds: list[bytes], cut: Cut, limit: int | None = None, alone: Callable[[bytes], bool] | None = None
) -> list[Batch]:
    splitter = LineSplitter(LINE_BYTES_MAX)
    cutter = BatchCutter(line_by_line(check), cut, limit=limit, alone=alone)
    batches = [batch for data in feeds for batch in cutter.feed(splitter.feed(data))]
    batches += cutter.feed(splitter.flush())
    last = cutter.cut()
    return [*batches, last] if last else batches


@given(data=inputs, cut_at=bounds, alone=st.sampled_from([None, apart]))
def test_every_line_is_in_one_place_and_every_byte_in_one_span(
    data: bytes, cut_at: Cut, alone: Callable[[bytes], bool] | None
) -> None:
    at, next_line = 0, 1
    for number, batch in enumerate(cut([data], cut_at, alone=alone), 1):
        span = batch.span
        assert (batch.number, span.start, span.first_line) == (number, at, next_line)
        assert span.crc == zlib.crc32(data[span.start : span.stop])
        at, next_line = span.stop, span.first_line + span.line_count
        invalid = [line.line for line in batch.invalid]
        assert sorted([*batch.lines, *invalid, *batch.blank]) == list(range(span.first_line, next_line))
        assert len(batch.records) <= cut_at.records_max
        assert span.line_count <= cut_at.lines_max
        assert span.stop - span.start <= cut_at.body_bytes_max or span.line_count == 1
        assert records_of(data[span.start : span.stop], span, batch.lines) == batch.records
    assert at == len(data)


@given(
    data=inputs,
    cut_at=bounds,
    size=st.integers(1, 7),
    limit=st.none() | st.integers(0, 20),
    alone=st.sampled_from([None, apart]),
)
def test_batches_do_not_depend_on_how_the_input_is_fed(
    data: bytes, cut_at: Cut, size: int, limit: int | None, alone: Callable[[bytes], bool] | None
) -> None:
    feeds = [data[i : i + size] for i in range(0, len(data), size)]
    assert cut(feeds, cut_at, limit, alone) == cut([data], cut_at, limit, alone)


@given(data=inputs, cut_at=bounds)
def test_a_record_that_goes_alone_has_no_neighbour_and_takes_none_from_the_others(
    data: bytes, cut_at: Cut
) -> None:
    batches = cut([data], cut_at, alone=apart)
    for batch in batches:
        assert not any(map(apart, batch.records)) or batch.span.line_count == 1
    records = [record for batch in batches for record in batch.records]
    assert records == [record for batch in cut([data], cut_at) for record in batch.records]


@given(data=inputs, cut_at=bounds, limit=st.integers(0, 20))
def test_a_limit_cuts_off_and_changes_nothing_before(data: bytes, cut_at: Cut, limit: int) -> None:
    def settled(batches: list[Batch]) -> list[int]:
        lines = (line for batch in batches for line in (*batch.lines, *(bad.line for bad in batch.invalid)))
        return sorted(lines)

    limited = cut([data], cut_at, limit)
    assert settled(limited) == settled(cut([data], cut_at))[:limit]
    if len(settled(limited)) == limit and limit:
        last = limited[-1]
        assert last.span.first_line + last.span.line_count - 1 == settled(limited)[-1]
