from __future__ import annotations

import tracemalloc

import pytest

from loader.source.lines import BOM, Item, LineSplitter, Overlong, Piece, Run


def split(*feeds: bytes, line_bytes_max: int = 1000) -> list[Item]:
    splitter = LineSplitter(line_bytes_max)
    items = [item for data in feeds for item in splitter.feed(data)]
    return items + splitter.flush()


def lines_of(items: list[Item]) -> list[tuple[int, int, bytes]]:
    """Number, offset and text of each line."""
    lines = []
    for item in items:
        if isinstance(item, Run):
            at = item.start
            for number, text in enumerate(item.texts, item.first_line):
                lines.append((number, at, text))
                at += len(text) + item.line_end_bytes
    return lines


def raw_of(items: list[Item]) -> bytes:
    return b"".join(bytes(item.raw) for item in items if not isinstance(item, Overlong))


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        pytest.param(b"", [], id="empty input"),
        pytest.param(b"\n", [b""], id="one blank line"),
        pytest.param(b"a\nb\n", [b"a", b"b"], id="two lines"),
        pytest.param(b"a\nb", [b"a", b"b"], id="no final newline"),
        pytest.param(b"a\r\nb\r\n", [b"a", b"b"], id="CRLF"),
        pytest.param(b"a\r\nb\nc\r\n", [b"a", b"b", b"c"], id="CRLF and LF mixed"),
        pytest.param(b"a\r", [b"a"], id="CR at the end of the input"),
        pytest.param(b"a\rb\n", [b"a\rb"], id="a CR alone ends no line"),
        pytest.param(b"a\r\r\n", [b"a\r"], id="one CR belongs to the line end"),
        pytest.param("a\u2028b\u0085c\n".encode(), ["a\u2028b\u0085c".encode()], id="Unicode separators"),
        pytest.param(b"a\0b\x0b\x0c\x1c\n", [b"a\0b\x0b\x0c\x1c"], id="NUL and control characters"),
        pytest.param(b"\xff\xfe\n", [b"\xff\xfe"], id="not UTF-8"),
        pytest.param(BOM + b"a\nb\n", [b"a", b"b"], id="byte order mark"),
        pytest.param(b"a\n" + BOM + b"b\n", [b"a", BOM + b"b"], id="byte order mark on a later line"),
        pytest.param(BOM, [b""], id="nothing but a byte order mark"),
        pytest.param(BOM[:2], [BOM[:2]], id="half a byte order mark"),
    ],
)
def test_lines_end_at_the_newline_and_nowhere_else(data: bytes, texts: list[bytes]) -> None:
    for feeds in ((data,), tuple(data[i : i + 1] for i in range(len(data)))):
        items = split(*feeds)
        assert [text for _, _, text in lines_of(items)] == texts
        assert raw_of(items) == data


def test_numbers_and_offsets_count_line_ends_and_the_byte_order_mark() -> None:
    items = split(BOM + b"a\r\nbc\n\n", b"d")
    assert lines_of(items) == [(1, 3, b"a"), (2, 6, b"bc"), (3, 9, b""), (4, 10, b"d")]


def test_a_splitter_in_mid_input_takes_a_byte_order_mark_for_text() -> None:
    splitter = LineSplitter(100, first_line=7, start=40)
    assert lines_of(splitter.feed(BOM + b"x\n")) == [(7, 40, BOM + b"x")]


def test_a_line_may_have_exactly_the_maximum() -> None:
    assert lines_of(split(b"12345\n1234\n", line_bytes_max=5)) == [(1, 0, b"12345"), (2, 6, b"1234")]


def test_a_line_that_is_too_long_is_named_and_the_next_one_is_whole() -> None:
    items = split(b"a\n123456\nb\n", line_bytes_max=5)
    assert lines_of(items) == [(1, 0, b"a"), (3, 9, b"b")]
    assert items[1:3] == [Piece(b"123456\n"), Overlong(2, 2, 6)]


def test_a_line_that_is_too_long_may_be_the_last() -> None:
    items = split(b"a\n1234", b"56", line_bytes_max=5)
    assert lines_of(items) == [(1, 0, b"a")]
    assert [item for item in items if isinstance(item, Overlong)] == [Overlong(2, 2, 6)]


def test_a_line_of_five_mebibytes_is_never_held() -> None:
    splitter = LineSplitter(1024 * 1024)
    chunk = b"x" * (64 * 1024)
    tracemalloc.start()
    try:
        lengths = 0
        for _ in range(80):
            lengths += sum(len(piece.raw) for piece in splitter.feed(chunk) if isinstance(piece, Piece))
        (*_, end) = splitter.feed(b"\n{}\n")[:2]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert lengths == 80 * len(chunk)
    assert end == Overlong(1, 0, 80 * len(chunk))
    assert peak < 1024 * 1024
