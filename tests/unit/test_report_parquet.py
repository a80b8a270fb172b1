"""Results as Parquet: typed columns, groups as they come, and never half a file that seems whole."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from loader.outcomes import Outcome
from loader.report.export import Result
from loader.report.formats import Format, write_results
from loader.report.parquet import GROUP_ROWS

pq = pytest.importorskip("pyarrow.parquet", reason="NO PYARROW: results are not written as Parquet")
pa = pytest.importorskip("pyarrow")

ROWS = [
    Result(line=1, offset=0, outcome=Outcome.INSERTED, id="5725767000000000001", key="=1+1"),
    Result(line=3, outcome=Outcome.INSERTED, id="A0", recovered=True),
    Result(line=4, offset=90, outcome=Outcome.REJECTED, code="C", message="\x1b[31m \u202e 語", field="F"),
]


def written(rows: Iterator[Result] | list[Result]) -> bytes:
    out = io.BytesIO()
    write_results(rows, out, Format.PARQUET)
    return out.getvalue()


def test_values_keep_their_types_and_their_letters() -> None:
    table = pq.read_table(io.BytesIO(written(ROWS)))
    assert [str(field.type) for field in table.schema] == ["int64", "int64", *["string"] * 6, "bool"]
    assert table.column_names == list(Result.__struct_fields__)
    first, second, third = table.to_pylist()
    assert (first["line"], first["offset"], first["key"], first["code"]) == (1, 0, "=1+1", None)
    assert (second["offset"], second["recovered"], second["id"]) == (None, True, "A0")
    assert third["message"] == "\x1b[31m \u202e 語"


def test_nothing_is_a_table_too() -> None:
    assert pq.read_table(io.BytesIO(written([]))).num_rows == 0


def test_no_more_than_a_group_is_held() -> None:
    out = io.BytesIO()
    ahead = 0

    def rows() -> Iterator[Result]:
        nonlocal ahead
        for line in range(1, 3 * GROUP_ROWS):
            if line > GROUP_ROWS + 1:
                ahead = max(ahead, out.tell() == 4)  # the magic number alone: no group is out yet
            yield Result(line=line, outcome=Outcome.INSERTED, id=str(line))

    write_results(rows(), out, Format.PARQUET)
    file = pq.ParquetFile(io.BytesIO(out.getvalue()))
    assert ahead == 0
    assert (file.num_row_groups, file.metadata.num_rows) == (3, 3 * GROUP_ROWS - 1)


def test_what_ends_midway_is_no_file() -> None:
    out = io.BytesIO()

    def rows() -> Iterator[Result]:
        for line in range(1, GROUP_ROWS + 10):
            yield Result(line=line, outcome=Outcome.INSERTED)
        raise RuntimeError("the log is damaged there")

    with pytest.raises(RuntimeError, match="damaged"):
        write_results(rows(), out, Format.PARQUET)
    with pytest.raises(pa.ArrowInvalid):
        pq.read_table(io.BytesIO(out.getvalue()))


def test_it_goes_through_a_pipe() -> None:
    reading, writing = os.pipe()
    got = bytearray()

    def read() -> None:
        with open(reading, "rb") as stream:  # noqa: PTH123 - a descriptor
            got.extend(stream.read())

    reader = threading.Thread(target=read)
    reader.start()
    with open(writing, "wb") as stream:  # noqa: PTH123 - a descriptor
        write_results(ROWS, stream, Format.PARQUET)
    reader.join(timeout=20)
    assert pq.read_table(io.BytesIO(bytes(got))).num_rows == 3


def test_a_reader_that_went_away_is_met_as_any_broken_pipe() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    many = (Result(line=line, outcome=Outcome.INSERTED, id=str(line)) for line in range(1, GROUP_ROWS * 2))
    with open(writing, "wb", buffering=0) as stream, pytest.raises(BrokenPipeError):  # noqa: PTH123
        write_results(many, stream, Format.PARQUET)


@pytest.mark.parametrize("form", ["csv", "parquet", "ndjson"])
def test_duckdb_opens_each_form(tmp_path: Path, form: str) -> None:
    duckdb = pytest.importorskip("duckdb", reason="NO DUCKDB: the results are not opened in it")
    path = tmp_path / f"results.{form}"
    with path.open("wb") as out:
        write_results(ROWS, out, Format(form))
    found = duckdb.sql(
        f"SELECT outcome, count(*), min(line) FROM '{path}' GROUP BY outcome ORDER BY outcome"
    ).fetchall()
    assert found == [("inserted", 2, 1), ("rejected", 1, 4)]


@pytest.mark.parametrize("form", ["csv", "parquet", "ndjson"])
def test_pandas_opens_each_form(tmp_path: Path, form: str) -> None:
    pandas = pytest.importorskip("pandas")
    path = tmp_path / f"results.{form}"
    with path.open("wb") as out:
        write_results(ROWS, out, Format(form))
    if form == "ndjson":
        frame = pandas.read_json(path, lines=True)
    else:
        frame = {"csv": pandas.read_csv, "parquet": pandas.read_parquet}[form](path)
    assert list(frame["line"]) == [1, 3, 4]
    assert list(frame["outcome"]) == ["inserted", "inserted", "rejected"]


def test_without_pyarrow_the_error_names_the_extra() -> None:
    script = """
        import io, sys
        sys.modules["pyarrow"] = None
        from loader.errors import UsageError
        from loader.report.formats import Format, write_results
        try:
            write_results([], io.BytesIO(), Format.PARQUET)
        except UsageError as error:
            print(error.hint)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert "pip install 'crm-bulk-loader[arrow]'" in done.stdout
