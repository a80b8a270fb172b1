from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Callable, Sequence

from loader.records import Batch, InvalidLine
from loader.schema.problems import Problem
from loader.source.batches import LINE_TOO_LONG, LINES_PER_SPAN_MAX, BatchCutter, Cut
from loader.source.lines import BOM, LineSplitter
from tests.line_checks import line_by_line

NO_OBJECT = Problem(code="INVALID_DATA", message="the line is not a JSON object")


def check(line: bytes) -> Sequence[Problem]:
    return () if line.lstrip().startswith(b"{") else (NO_OBJECT,)


def cut(
    data: bytes,
    bounds: Cut | None = None,
    *,
    limit: int | None = None,
    line_bytes_max: int = 1000,
    alone: Callable[[bytes], bool] | None = None,
) -> list[Batch]:
    splitter = LineSplitter(line_bytes_max)
    cutter = BatchCutter(line_by_line(check), bounds or Cut(), limit=limit, alone=alone)
    batches = [*cutter.feed(splitter.feed(data)), *cutter.feed(splitter.flush())]
    last = cutter.cut()
    return [*batches, last] if last else batches


def test_a_batch_holds_a_hundred_records_in_order() -> None:
    lines = [b'{"n":%d}' % n for n in range(250)]
    batches = cut(b"\n".join(lines))
    assert [len(batch.records) for batch in batches] == [100, 100, 50]
    assert [batch.number for batch in batches] == [1, 2, 3]
    assert [batch.lines for batch in batches] == [range(1, 101), range(101, 201), range(201, 251)]
    assert [record for batch in batches for record in batch.records] == lines


def test_spans_tile_the_input_and_carry_its_checksum() -> None:
    data = BOM + b'{"a":1}\r\n\n  \n{"b":2}\nnonsense\n' + b'{"c":3}\n' * 150 + b'{"d":4}'
    at = line = 0
    for batch in cut(data):
        span = batch.span
        assert (span.start, span.first_line) == (at, line + 1)
        assert zlib.crc32(data[span.start : span.stop]) == span.crc
        at = span.stop
        line += span.line_count
    assert (at, line) == (len(data), 156)


def test_blank_and_invalid_lines_leave_beside_the_records() -> None:
    (batch,) = cut(b'{"a":1}\n \t\r\nnonsense\n\n{"b":2}\n')
    assert list(batch.lines) == [1, 5]
    assert batch.records == [b'{"a":1}', b'{"b":2}']
    assert batch.blank == [2, 4]
    assert batch.invalid == [InvalidLine(3, 12, "INVALID_DATA", "the line is not a JSON object")]


def test_bytes_of_a_record_are_those_of_its_line() -> None:
    line = ' {"Name": "a\u2028b" , "Name":1e400}\t'.encode()
    (batch,) = cut(line + b"\r\n")
    assert batch.records == [line]


def test_invalid_lines_make_room_for_further_records() -> None:
    batches = cut(b"".join(b"bad\n" if n % 10 == 0 else b"{}\n" for n in range(150)))
    assert [len(batch.records) for batch in batches] == [100, 35]
    assert [len(batch.invalid) for batch in batches] == [12, 3]


def test_an_invalid_line_says_what_else_is_wrong_with_it() -> None:
    problems = [Problem("INVALID_DATA", "Email is not an e-mail", field="Email")]
    problems += [Problem("INVALID_DATA", "no", field=name) for name in ("Phone", "City", "State", "Fax")]
    cutter = BatchCutter(line_by_line(lambda _: problems))
    list(cutter.feed(LineSplitter(100).feed(b"{}\n")))
    batch = cutter.cut()
    assert batch is not None
    (line,) = batch.invalid
    assert line == InvalidLine(
        1, 0, "INVALID_DATA", "Email is not an e-mail (and 4 more: Phone, City, State ...)", "Email"
    )


def test_a_long_message_is_shortened() -> None:
    cutter = BatchCutter(line_by_line(lambda _: [Problem("INVALID_DATA", "x" * 5000)]))
    list(cutter.feed(LineSplitter(100).feed(b"{}\n")))
    batch = cutter.cut()
    assert batch is not None
    assert len(batch.invalid[0].message) == 300


def test_a_batch_closes_before_its_bytes_are_too_many() -> None:
    record = b'{"a":"' + b"x" * 92 + b'"}'
    batches = cut((record + b"\n") * 7, Cut(body_bytes_max=303))
    assert [len(batch.records) for batch in batches] == [3, 3, 1]
    batches = cut((record + b"\n") * 7, Cut(body_bytes_max=302))
    assert [len(batch.records) for batch in batches] == [2, 2, 2, 1]


def test_a_record_above_the_byte_bound_travels_alone() -> None:
    batches = cut(b'{}\n{"a":"xxxxxxxxxx"}\n{}\n', Cut(body_bytes_max=8))
    assert [len(batch.records) for batch in batches] == [1, 1, 1]


def test_an_overlong_line_has_a_span_of_its_own_and_is_invalid() -> None:
    data = b"{}\n" + b"x" * 50 + b"\n{}\n"
    first, long, last = cut(data, line_bytes_max=20)
    assert (first.lines, last.lines) == (range(1, 2), range(3, 4))
    assert long.span.start == 3
    assert long.span.stop == 54
    assert long.span.crc == zlib.crc32(data[3:54])
    assert not long.records
    (invalid,) = long.invalid
    assert (invalid.line, invalid.offset, invalid.code) == (2, 3, LINE_TOO_LONG)
    assert "50 bytes" in invalid.message


def test_a_cut_in_mid_line_waits_for_the_line() -> None:
    splitter, cutter = LineSplitter(20), BatchCutter(line_by_line(check))
    assert not list(cutter.feed(splitter.feed(b"{}\n")))
    (before,) = cutter.feed(splitter.feed(b"x" * 50))
    assert before.span.stop == 3
    assert cutter.cut() is None
    (long,) = cutter.feed(splitter.feed(b"x\n"))
    assert (long.span.start, long.span.stop, long.number) == (3, 55, 2)


def test_a_file_of_blank_lines_is_cut_too() -> None:
    batches = cut(b"\n" * (2 * LINES_PER_SPAN_MAX + 5))
    assert [batch.span.line_count for batch in batches] == [LINES_PER_SPAN_MAX, LINES_PER_SPAN_MAX, 5]
    assert not any(batch.records for batch in batches)


def test_a_file_of_invalid_lines_stays_in_flat_memory() -> None:
    splitter, cutter = LineSplitter(1000), BatchCutter(line_by_line(check))

    def feed(times: int) -> int:
        tracemalloc.start()
        for _ in range(times):
            for batch in cutter.feed(splitter.feed(b"bad\n" * 1000)):
                assert len(batch.invalid) == LINES_PER_SPAN_MAX
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    small = feed(25)
    assert feed(150) < small * 1.2


def test_a_limit_ends_exactly_after_that_record() -> None:
    data = b"\nbad\n{}\n\n{}\n{}\n"
    (batch,) = cut(data, limit=3)
    assert list(batch.lines) == [3, 5]
    assert [line.line for line in batch.invalid] == [2]
    assert batch.span.stop == len(b"\nbad\n{}\n\n{}\n")
    assert cut(data, limit=0) == []


def recurs(line: bytes) -> bool:
    return b"R" in line


def test_a_record_that_goes_alone_has_a_span_and_a_batch_of_its_own() -> None:
    data = b'{"a":1}\n\n{"R":2}\n{"R":3}\nbad\n{"b":4}\n{"R":5}'
    batches = cut(data, alone=recurs)
    assert [list(batch.lines) for batch in batches] == [[1], [3], [4], [6], [7]]
    assert [batch.records for batch in batches][1:3] == [[b'{"R":2}'], [b'{"R":3}']]
    assert [(batch.span.first_line, batch.span.line_count) for batch in batches] == [
        (1, 2), (3, 1), (4, 1), (5, 2), (7, 1),
    ]  # fmt: skip
    assert b"".join(data[batch.span.start : batch.span.stop] for batch in batches) == data


def test_an_invalid_line_that_would_go_alone_is_invalid_and_nothing_is_sent_of_it() -> None:
    first, second, third = cut(b"{}\nR\n{}\n", alone=recurs)
    assert (len(first.records), len(second.records), len(third.records)) == (1, 0, 1)
    assert [line.line for line in second.invalid] == [2]


def test_a_record_that_goes_alone_counts_for_the_limit_like_any_other() -> None:
    batches = cut(b'{}\n{"R":1}\n{}\n{"R":1}\n', limit=3, alone=recurs)
    assert [list(batch.lines) for batch in batches] == [[1], [2], [3]]


def test_where_no_record_goes_alone_no_line_is_looked_at() -> None:
    (batch,) = cut(b'{"R":1}\n{"R":2}\n')
    assert len(batch.records) == 2


def test_cutting_goes_on_where_an_earlier_run_ended() -> None:
    splitter = LineSplitter(100, first_line=51, start=700)
    cutter = BatchCutter(line_by_line(check), first_line=51, start=700, number=9)
    assert not list(cutter.feed(splitter.feed(b"{}\n")))
    batch = cutter.cut()
    assert batch is not None
    assert (batch.number, batch.lines, batch.span.start, batch.span.stop) == (9, range(51, 52), 700, 703)
    assert (cutter.next_number, cutter.next_line, cutter.offset) == (10, 52, 703)
