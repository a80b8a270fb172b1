"""Reading again what an earlier run has read, and making sure that it is the same.

A seekable file goes to the spans that are asked for; anything else is read through from its start. No byte is
sent on the strength of a span that was not compared.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from contextlib import aclosing

import msgspec

from loader.errors import InputChangedError
from loader.records import Span
from loader.source.iteration import each
from loader.source.lines import BOM
from loader.source.streams import STDIN, InputStream


class Recall(msgspec.Struct, frozen=True, gc=False):
    """A span to compare with its checksum, and whether its bytes are wanted too."""

    span: Span
    wanted: bool = True


def replay(
    stream: InputStream, recalls: Iterable[Recall] | AsyncIterable[Recall], *, hint: str
) -> AsyncIterator[tuple[Span, bytes]]:
    """The bytes of each wanted span, in order; all spans given are compared.

    `stream` stands at its start, or anywhere if it is seekable. Spans come in source order. A stream that is
    not seekable has to be given every span from its start, or what lies between goes by uncompared. After the
    last span the stream stands exactly at its end.

    `hint` is what to do where the input has changed.

    Raises:
        InputChangedError: a span has another checksum, or the input ends before it does.
    """
    return Comparison(stream, hint=hint).wanted(recalls)


def records_of(raw: bytes, span: Span, lines: Sequence[int]) -> list[bytes]:
    """Those lines of a span's bytes, without their line ends, as they were cut the first time."""
    if span.start == 0:
        raw = raw.removeprefix(BOM)
    texts = raw.split(b"\n")
    return [texts[line - span.first_line].removesuffix(b"\r") for line in lines]


class Comparison:
    """Where the comparison stands in the stream, and what it saw last."""

    def __init__(self, stream: InputStream, *, hint: str, fed: bool = False) -> None:
        """`hint`: what to do where the input has changed. `fed`: a program hands the records over."""
        self.last_byte = b""
        """Of the last span; nothing where there was none."""
        self._stream = stream
        self._hint = hint
        self._fed = fed
        self._at = -1 if stream.seekable else 0
        self._rest = memoryview(b"")
        """Bytes that were read and not yet compared."""

    async def wanted(
        self, recalls: Iterable[Recall] | AsyncIterable[Recall]
    ) -> AsyncIterator[tuple[Span, bytes]]:
        """As `replay`."""
        try:
            async with aclosing(each(recalls)) as asked:
                async for recall in asked:
                    raw = await self._compare(recall)
                    if recall.wanted:
                        yield recall.span, raw
        finally:
            # What was read beyond the last span, for whoever reads on.
            self._stream.unread(bytes(self._rest))
            self._rest = memoryview(b"")

    async def _compare(self, recall: Recall) -> bytes:
        span = recall.span
        if self._at != span.start:
            await self._go_to(span)
        crc = 0
        pieces: list[memoryview] = []
        while self._at < span.stop:
            piece = await self._read(span)
            crc = zlib.crc32(piece, crc)
            self.last_byte = bytes(piece[-1:])
            if recall.wanted:
                pieces.append(piece)
        if crc != span.crc:
            raise self._changed(span, f"checksum {crc:08x}, the checkpoint log says {span.crc:08x}")
        return b"".join(pieces)

    async def _go_to(self, span: Span) -> None:
        if self._stream.seekable:
            await self._stream.seek(span.start)
            self._at = span.start
            self._rest = memoryview(b"")
        assert self._at <= span.start, "spans come in source order"
        gap = Span(span.first_line, 0, self._at, span.start, 0)
        while self._at < gap.stop:
            await self._read(gap)

    async def _read(self, span: Span) -> memoryview:
        """Some of the span's bytes."""
        if not self._rest:
            self._rest = memoryview(await self._stream.read())
        if not self._rest:
            end = min(self._at, self._stream.stored_bytes or 0) if self._stream.seekable else self._at
            raise self._changed(
                span, f"the input ends at byte {end:,}, the checkpoint log knows it to byte {span.stop:,}"
            )
        piece = self._rest[: span.stop - self._at]
        self._rest = self._rest[len(piece) :]
        self._at += len(piece)
        return piece

    def _changed(self, span: Span, why: str) -> InputChangedError:
        where = f"(bytes {span.start:,}-{span.stop:,}): {why}"
        if self._fed:
            return InputChangedError(
                "the records changed since this load began",
                why=f"from record {span.first_line:,} on {where}",
                hint=self._hint,
            )
        # The checksum is that of a batch: which of its lines is another one, it does not tell.
        last = span.first_line + span.line_count - 1
        several = f"\nSomething in lines {span.first_line:,} to {last:,} is not as it was"
        among = several if last > span.first_line else ""
        name = "stdin" if self._stream.name == STDIN else self._stream.name
        return InputChangedError(
            "the input changed since this load began",
            why=f"{name}, line {span.first_line:,} {where}{among}",
            hint=self._hint,
        )
