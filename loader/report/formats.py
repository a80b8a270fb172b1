"""How `loader results` writes: NDJSON, CSV or Parquet, one record at a time or in groups, in flat memory."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from enum import StrEnum
from typing import BinaryIO

import msgspec

from loader.report.export import Result
from loader.report.parquet import write_parquet
from loader.report.text import printable

_CONTROLS = re.compile(
    rb"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8b-\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]|\xef\xbb\xbf"
)
"""DEL, the C1 controls and the marks that reorder a line, in UTF-8 (the set of `text.printable`): JSON leaves
them as they are, and a terminal obeys them."""


class Format(StrEnum):
    """How `loader results` writes."""

    NDJSON = "ndjson"
    CSV = "csv"
    PARQUET = "parquet"


def write_results(rows: Iterable[Result], out: BinaryIO, form: Format) -> None:
    """Writes them all; CSV with a head line and, unlike NDJSON, all columns in each line.

    Raises:
        UsageError: Parquet, and pyarrow is not installed.
    """
    if form is Format.PARQUET:
        write_parquet(rows, out)
        return
    if form is Format.CSV:
        _write_csv(rows, out)
        return
    encoder = msgspec.json.Encoder()
    buffer = bytearray()
    for row in rows:
        encoder.encode_into(row, buffer)
        buffer += b"\n"
        plain = buffer.isascii() and b"\x7f" not in buffer
        out.write(buffer if plain else _CONTROLS.sub(_escaped, buffer))


def _escaped(match: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(match[0].decode())


def _write_csv(rows: Iterable[Result], out: BinaryIO) -> None:
    """As RFC 4180 has it: CRLF ends a line, a quote within quotes is doubled, each line has all columns."""
    columns = Result.__struct_fields__
    stream = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(getattr(row, column)) for column in columns])
    stream.flush()
    stream.detach()


def _cell(value: object) -> str:
    """A value as CSV, escaped where a terminal would obey it.

    A text that a spreadsheet would take for a formula gets an apostrophe before it (owasp.org, CSV injection:
    = + - @, tab and carriage return; the last two are escaped anyway).
    """
    if value is None or value is False:
        return ""
    if value is True:
        return "true"
    cell = printable(str(value)) if isinstance(value, str) else str(value)
    return "'" + cell if isinstance(value, str) and cell.startswith(("=", "+", "-", "@")) else cell
