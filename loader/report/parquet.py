"""`loader results --format parquet`: the same columns, typed, written in row groups as they come.

pyarrow is the extra `arrow`; it is imported where Parquet is asked for, not before.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any, BinaryIO

from loader.errors import UsageError
from loader.report.export import Result

GROUP_ROWS = 32_768
"""Records that are in memory at once."""


def require_arrow() -> None:
    """Makes sure, before anything is read, that Parquet can be written.

    Raises:
        UsageError: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401, PLC0415 - an extra, and a tenth of a second
    except ImportError as error:
        raise UsageError(
            "--format parquet cannot be used",
            why=f"it needs pyarrow, and that cannot be imported: {error}",
            hint="Install the extra: pip install 'crm-bulk-loader[arrow]'. Or use --format csv or ndjson.",
        ) from None


def write_parquet(rows: Iterable[Result], out: BinaryIO) -> None:
    """Writes them all. Where it fails midway, what was written has no footer: nobody takes it for whole.

    Raises:
        UsageError: pyarrow is not installed.
        OSError: `out` refused.
    """
    require_arrow()
    import pyarrow as pa  # noqa: PLC0415 - as above
    from pyarrow.parquet import ParquetWriter  # noqa: PLC0415 - as above

    text = pa.string()
    schema = pa.schema(
        [
            pa.field("line", pa.int64(), nullable=False),
            pa.field("offset", pa.int64()),
            pa.field("outcome", text, nullable=False),
            *(pa.field(name, text) for name in ("id", "code", "message", "field", "key")),
            pa.field("recovered", pa.bool_(), nullable=False),
        ]
    )
    sink = _Sink(out)
    writer = ParquetWriter(pa.PythonFile(sink, mode="w"), schema)
    try:
        source = iter(rows)
        while group := list(islice(source, GROUP_ROWS)):
            columns = [pa.array(_column(group, field.name), type=field.type) for field in schema]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema), row_group_size=GROUP_ROWS)
        writer.close()
    except BaseException:
        sink.given_up = True  # else the footer would be written by whoever cleans up
        raise


def _column(group: list[Result], name: str) -> list[Any]:
    """The values of one column; an empty text is no value."""
    values = [getattr(one, name) for one in group]
    return values if name in ("line", "offset", "recovered") else [value or None for value in values]


class _Sink:
    """A stream that may be a pipe: it knows its place by counting."""

    closed = False

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._at = 0
        self.given_up = False

    def write(self, data: bytes) -> int:
        if not self.given_up:
            self._out.write(data)
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        """The caller flushes its stream."""

    def close(self) -> None:
        """The caller closes its stream."""
