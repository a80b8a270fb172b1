"""However the input is cut into feeds, the lines are the same, and no byte is lost."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from loader.source.lines import BOM, LineSplitter, Overlong, Run

LINE_BYTES_MAX = 6

inputs = st.lists(
    st.sampled_from(
        [b"a", b"{}", b"\n", b"\r\n", b"\r", b" ", BOM, b"\xef", b"\0", b"1234567", "\u2028".encode()]
    )
).map(b"".join)


def model(data: bytes) -> list[tuple[int, int, bytes | int]]:
    """Number, offset and text of each line, or its length where it is too long: the definition, slowly."""
    lines: list[tuple[int, int, bytes | int]] = []
    at = len(BOM) if data.startswith(BOM) else 0
    lone_bom = data == BOM
    for number, line in enumerate(data[at:].split(b"\n"), 1):
        last = at + len(line) >= len(data)
        if not (last and not line) or lone_bom:
            too_long = len(line) > LINE_BYTES_MAX
            lines.append((number, at, len(line) if too_long else line.removesuffix(b"\r")))
        at += len(line) + 1
    return lines


def run(feeds: list[bytes]) -> tuple[list[tuple[int, int, bytes | int]], bytes]:
    splitter = LineSplitter(LINE_BYTES_MAX)
    items = [item for data in feeds for item in splitter.feed(data)] + splitter.flush()
    lines: list[tuple[int, int, bytes | int]] = []
    raw = b""
    for item in items:
        if isinstance(item, Overlong):
            lines.append((item.line, item.offset, item.byte_count))
            continue
        raw += item.raw
        if isinstance(item, Run):
            at = item.start
            for number, text in enumerate(item.texts, item.first_line):
                lines.append((number, at, text))
                at += len(text) + item.line_end_bytes
            assert at == item.start + len(item.raw)
    return lines, raw


@given(data=inputs, cuts=st.lists(st.integers(0, 60)))
@example(data=b"", cuts=[])
@example(data=BOM, cuts=[1, 2])
@example(data=b"1234567\r\n1\n", cuts=[6, 7, 8])
def test_any_cut_into_feeds_gives_the_same_lines(data: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    feeds = [data[a:b] for a, b in pairwise(places)]
    assert run(feeds) == (model(data), data)


@given(data=inputs)
def test_one_byte_at_a_time_gives_the_same_lines(data: bytes) -> None:
    assert run([data[i : i + 1] for i in range(len(data))]) == (model(data), data)
