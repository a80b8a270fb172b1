"""The nouns that travel from the input to the API: lines, batches, windows, attempts.

Values only. A record is one line of input, known by its 1-based line number; its bytes are never changed
between the input and the wire.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Span(msgspec.Struct, frozen=True, gc=False):
    """A run of whole lines of the input.

    Spans tile the input: each begins, in lines and in bytes, where the one before it ends. Bytes are those
    of the decompressed stream, line ends included.
    """

    first_line: int
    line_count: int
    start: int
    stop: int
    crc: int
    """CRC-32 (zlib) of the bytes [start, stop)."""


class InvalidLine(msgspec.Struct, frozen=True, gc=False):
    """A line that is settled before it is sent, because it cannot be a record of the module."""

    line: int
    offset: int
    code: str
    message: str
    field: str = ""


class Batch(msgspec.Struct, frozen=True):
    """The sendable records of one span, up to 100 of them (the API's unit), in source order.

    `lines[i]` is the line number of `records[i]`; it is a `range` wherever no line is missing. Lines of the
    span that are in none of `lines`, `invalid` and `blank` do not exist. A batch may hold no record at all.
    """

    number: int
    """1-based, in source order, going on across resumes."""
    span: Span
    lines: Sequence[int]
    records: Sequence[bytes]
    """Input lines without their line ends, otherwise unchanged."""
    invalid: Sequence[InvalidLine] = ()
    blank: Sequence[int] = ()


class Window(msgspec.Struct, frozen=True):
    """Batches that are made durable together before any byte of them may leave."""

    batches: Sequence[Batch]


class Attempt(msgspec.Struct, frozen=True):
    """One try at sending what is still open of a batch."""

    batch: int
    """The number of the batch that the records were cut in."""
    number: int
    """1-based, over the whole life of the batch."""
    lines: Sequence[int]
    records: Sequence[bytes]
    in_doubt: bool = False
    """An earlier attempt at these records may have been applied."""
    doubt_since: float = 0.0
    """When in doubt: when the earliest attempt that may have been applied was sent; Unix seconds by the
    server's clock."""
    resolved: bool = False
    """These records were in doubt, are not applied, and have to be intended again before they are sent."""
