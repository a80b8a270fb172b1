r"""Bytes in any pieces -> lines with their numbers and offsets. Pure.

A line ends at b"\n" and nowhere else (not at U+2028, not at a lone b"\r"); a b"\r" before it belongs to the
line end. A UTF-8 byte order mark at the very start of the input belongs to no line, so line 1 then starts at
offset 3 and is sent without it. A line that is too long is never held: it passes through in pieces.

The bytes of all items, one after the other, are exactly the bytes of the input.
"""

from __future__ import annotations

from itertools import groupby

import msgspec

BOM = b"\xef\xbb\xbf"


class Run(msgspec.Struct, frozen=True):
    """Consecutive lines whose line ends all have the same length."""

    first_line: int
    start: int
    """Offset of the first line in the decompressed input."""
    texts: list[bytes]
    """The lines without their line ends."""
    raw: memoryview
    """The lines with their line ends."""
    line_end_bytes: int
    """1 or 2; 0 for a last line that has no line end."""


class Piece(msgspec.Struct, frozen=True):
    """Bytes of an overlong line with its line end, or a byte order mark."""

    raw: bytes


class Overlong(msgspec.Struct, frozen=True):
    """The pieces before this were one line that is longer than a line may be."""

    line: int
    offset: int
    byte_count: int
    """Without b"\\n", with a b"\\r" before it."""


Item = Run | Piece | Overlong


class LineSplitter:
    """Cuts bytes into lines; however the input is cut into feeds, the lines are the same.

    `line_bytes_max` is compared with what stands before b"\\n". No more than that and one feed is ever held.
    """

    def __init__(self, line_bytes_max: int, *, first_line: int = 1, start: int = 0) -> None:
        self._max = line_bytes_max
        self._line = first_line
        self._offset = start
        self._carry: list[bytes] = []
        self._carry_bytes = 0
        self._long_bytes: int | None = None
        """Bytes so far of an overlong line that has not ended."""
        self._bom_possible = start == 0
        self._bom_only = False
        self._cr_seen = False

    def feed(self, data: bytes) -> list[Item]:
        """The lines that end in `data`, and what an overlong line has of it."""
        items: list[Item] = []
        if self._bom_possible:
            data = self._without_bom(data, items)
        if self._long_bytes is not None:
            data = self._go_on_overlong(data, items)
        if not data:
            return items
        self._bom_only = False
        self._cr_seen = self._cr_seen or b"\r" in data
        at = self._end_carried_line(data, items) if self._carry else 0
        texts = data.split(b"\n")
        rest = texts.pop()
        if texts and at:
            del texts[0]
        if texts:
            self._cut(texts, memoryview(data)[at : len(data) - len(rest)], items)
        if rest:
            self._hold(rest, items)
        return items

    def flush(self) -> list[Item]:
        """The input has ended: its last line, if it has no line end."""
        if self._long_bytes is not None:
            return [self._end_overlong()]
        self._bom_possible = False
        text = b"".join(self._carry)
        self._set_carry(b"")
        if not text and not self._bom_only:
            return []
        self._bom_only = False
        # A lone byte order mark counts as one blank line, so that no byte of the input is in no line's span.
        return [self._run([text.removesuffix(b"\r")], memoryview(text), int(text.endswith(b"\r")))]

    def _without_bom(self, data: bytes, items: list[Item]) -> bytes:
        data = b"".join((*self._carry, data))
        self._set_carry(b"")
        if len(data) < len(BOM) and BOM.startswith(data):
            self._set_carry(data)
            return b""
        self._bom_possible = False
        if not data.startswith(BOM):
            return data
        items.append(Piece(BOM))
        self._offset += len(BOM)
        self._bom_only = True
        return data[len(BOM) :]

    def _end_carried_line(self, data: bytes, items: list[Item]) -> int:
        """Ends the line that earlier feeds began, if `data` does, and says how much of it that takes."""
        end = data.find(b"\n") + 1
        if end:
            line = b"".join((*self._carry, data[:end]))
            self._set_carry(b"")
            self._cut([line[:-1]], memoryview(line), items)
        return end

    def _set_carry(self, data: bytes) -> None:
        self._carry = [data] if data else []
        self._carry_bytes = len(data)

    def _hold(self, data: bytes, items: list[Item]) -> None:
        """Keeps the beginning of a line until it ends, or lets it go by once it is too long."""
        if self._carry_bytes + len(data) <= self._max:
            self._carry.append(data)
            self._carry_bytes += len(data)
            return
        self._long_bytes = self._carry_bytes + len(data)
        items.extend(Piece(part) for part in (*self._carry, data))
        self._set_carry(b"")

    def _go_on_overlong(self, data: bytes, items: list[Item]) -> bytes:
        assert self._long_bytes is not None
        end = data.find(b"\n") + 1
        piece = data[:end] if end else data
        if piece:
            items.append(Piece(piece))
        self._long_bytes += len(piece)
        if end:
            items.append(self._end_overlong(line_end_bytes=1))
        return data[len(piece) :]

    def _end_overlong(self, *, line_end_bytes: int = 0) -> Overlong:
        assert self._long_bytes is not None
        overlong = Overlong(self._line, self._offset, self._long_bytes - line_end_bytes)
        self._line += 1
        self._offset += self._long_bytes
        self._long_bytes = None
        return overlong

    def _cut(self, texts: list[bytes], raw: memoryview, items: list[Item]) -> None:
        """Whole lines -> runs, with the overlong ones among them set apart."""
        if len(raw) <= self._max + 1 or max(map(len, texts)) <= self._max:
            self._cut_runs(texts, raw, items)
            return
        for overlong, group in groupby(texts, lambda text: len(text) > self._max):
            for lines in [[line] for line in group] if overlong else [list(group)]:
                size = sum(map(len, lines)) + len(lines)
                if overlong:
                    items.append(Piece(bytes(raw[:size])))
                    self._long_bytes = size
                    items.append(self._end_overlong(line_end_bytes=1))
                else:
                    self._cut_runs(lines, raw[:size], items)
                raw = raw[size:]

    def _cut_runs(self, texts: list[bytes], raw: memoryview, items: list[Item]) -> None:
        # Most inputs have none anywhere, and to search the bytes is cheaper than to look at each line.
        if not self._cr_seen or not any(map(_ends_with_cr, texts)):
            items.append(self._run(texts, raw, 1))
            return
        for carriage_return, group in groupby(texts, _ends_with_cr):
            lines = list(group)
            size = sum(map(len, lines)) + len(lines)
            if carriage_return:
                lines = [line[:-1] for line in lines]
            items.append(self._run(lines, raw[:size], 1 + carriage_return))
            raw = raw[size:]

    def _run(self, texts: list[bytes], raw: memoryview, line_end_bytes: int) -> Run:
        run = Run(self._line, self._offset, texts, raw, line_end_bytes)
        self._line += len(texts)
        self._offset += len(raw)
        return run


def _ends_with_cr(line: bytes) -> bool:
    return line.endswith(b"\r")
