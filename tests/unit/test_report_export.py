"""The files of the load directory and the lines of `loader results`."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from loader.errors import DiskError
from loader.outcomes import Outcome, RecordOutcome
from loader.report import export, formats
from loader.report.summary import Outcomes, Summary
from loader.source.lookup import OriginalLine

SUMMARY = Summary(load_id="X", module="Leads", input="in", records=0, outcomes=Outcomes())
LINES = {1: b'{"a":1}\r\n', 2: b"not json\xff\n", 3: b'{"E":"\x1b[31m"}\n', 4: b'{"a":4}\n', 5: b"last"}
OUTCOMES = [
    RecordOutcome(1, Outcome.INSERTED, id="77"),
    RecordOutcome(2, Outcome.INVALID, code="NOT_JSON", message="no"),
    RecordOutcome(3, Outcome.REJECTED, code="INVALID_DATA", message="bad \x1b[31m", field="E"),
    RecordOutcome(4, Outcome.IN_DOUBT),
    RecordOutcome(5, Outcome.REJECTED, code="NEVER_SEEN"),
]


class Original:
    """The lines above, found as a lookup finds them; it never looks more than one line ahead."""

    def __init__(self, lines: dict[int, bytes], piece_bytes: int = 100) -> None:
        self.lines = lines
        self.piece_bytes = piece_bytes
        self.asked: list[int] = []

    def __call__(self, wanted: Iterable[int], /) -> Iterator[OriginalLine]:
        for line in wanted:
            self.asked.append(line)
            raw = self.lines.get(line, b"")
            for start in range(0, len(raw), self.piece_bytes):
                yield OriginalLine(line, line * 10, raw[start : start + self.piece_bytes])


def read(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.mark.parametrize("piece_bytes", [3, 100])
def test_refused_lines_are_written_byte_for_byte(tmp_path: Path, piece_bytes: int) -> None:
    original = Original(LINES, piece_bytes)
    assert export.write_exports(tmp_path, SUMMARY, OUTCOMES, original) == 0
    assert (tmp_path / "rejected.ndjson").read_bytes() == LINES[2] + LINES[3] + b"last\n"
    assert (tmp_path / "in-doubt.ndjson").read_bytes() == LINES[4]
    assert original.asked == [2, 3, 4, 5]


def test_reasons_stand_in_the_order_of_the_lines(tmp_path: Path) -> None:
    export.write_exports(tmp_path, SUMMARY, OUTCOMES, Original(LINES))
    reasons = read(tmp_path / "rejected-reasons.ndjson")
    assert [reason["line"] for reason in reasons] == [2, 3, 5]
    assert list(reasons[1]) == ["line", "code", "field", "message", "what_to_do"]
    assert (reasons[1]["code"], reasons[1]["field"]) == ("INVALID_DATA", "E")
    assert all(reason["what_to_do"] for reason in reasons)


def test_what_to_do_can_be_typed_wherever_the_load_is_kept(tmp_path: Path) -> None:
    place = tmp_path / "my DIR.load" / "retry-1"
    place.mkdir(parents=True)
    export.write_exports(place, SUMMARY, OUTCOMES, Original(LINES), retry=str(place.parent))
    told = [str(reason["what_to_do"]) for reason in read(place / "rejected-reasons.ndjson")]
    assert told[1].endswith(f"then: loader retry '{place.parent}'")
    assert told[2].endswith(f"then: loader resolve '{place}'")


def test_lines_that_are_gone_are_counted_and_leave_the_others_in_step(tmp_path: Path) -> None:
    kept = {number: line for number, line in LINES.items() if number not in (2, 5)}
    assert export.write_exports(tmp_path, SUMMARY, OUTCOMES, Original(kept)) == 2
    assert (tmp_path / "rejected.ndjson").read_bytes() == LINES[3]
    assert [reason["line"] for reason in read(tmp_path / "rejected-reasons.ndjson")] == [3]


def test_a_file_without_lines_goes(tmp_path: Path) -> None:
    export.write_exports(tmp_path, SUMMARY, OUTCOMES, Original(LINES))
    settled = [RecordOutcome(line, Outcome.INSERTED, id="1") for line in LINES]
    export.write_exports(tmp_path, SUMMARY, settled, Original(LINES))
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


def test_files_are_for_their_owner_only_and_no_part_is_left(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        (tmp_path / ".rejected.ndjson.part").write_bytes(b"left by a killed loader")
        export.write_exports(tmp_path, SUMMARY, OUTCOMES, Original(LINES))
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    names = ("rejected.ndjson", "rejected-reasons.ndjson", "in-doubt.ndjson", "summary.json")
    assert modes == dict.fromkeys(names, 0o600)


def test_an_interrupted_export_leaves_the_older_file(tmp_path: Path) -> None:
    export.write_exports(tmp_path, SUMMARY, OUTCOMES, Original(LINES))
    before = (tmp_path / "rejected.ndjson").read_bytes()

    def broken() -> Iterator[RecordOutcome]:
        yield OUTCOMES[2]
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        export.write_exports(tmp_path, SUMMARY, broken(), Original(LINES))
    assert (tmp_path / "rejected.ndjson").read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_a_directory_that_cannot_be_written_is_a_disk_fault(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="cannot write the reports"):
        export.write_exports(tmp_path / "none", SUMMARY, OUTCOMES, Original(LINES))


def printed(form: formats.Format = formats.Format.NDJSON, **settings: object) -> bytes:
    out = io.BytesIO()
    formats.write_results(export.results(OUTCOMES, **settings), out, form)  # type: ignore[arg-type]
    return out.getvalue()


def test_results_have_one_line_a_record_and_no_empty_keys() -> None:
    lines = printed(lookup=Original(LINES), key="a").splitlines()
    assert lines[0] == b'{"line":1,"offset":10,"outcome":"inserted","id":"77","key":"1"}'
    assert [json.loads(line)["line"] for line in lines] == [1, 2, 3, 4, 5]
    assert list(json.loads(lines[2])) == ["line", "offset", "outcome", "code", "message", "field"]


def test_results_go_on_where_the_input_is_gone() -> None:
    some = {number: line for number, line in LINES.items() if number in (2, 4)}
    rows = [json.loads(line) for line in printed(lookup=Original(some)).splitlines()]
    assert [(row["line"], row.get("offset")) for row in rows] == [
        (1, None),
        (2, 20),
        (3, None),
        (4, 40),
        (5, None),
    ]


def test_recovered_is_told_where_it_is_true() -> None:
    row = next(export.results([RecordOutcome(9, Outcome.INSERTED, id="1", recovered=True)]))
    out = io.BytesIO()
    formats.write_results([row], out, formats.Format.NDJSON)
    assert json.loads(out.getvalue()) == {"line": 9, "outcome": "inserted", "id": "1", "recovered": True}


def test_failed_is_what_somebody_has_to_look_at() -> None:
    assert [json.loads(line)["line"] for line in printed(only=export.FAILED).splitlines()] == [2, 3, 4, 5]


def test_csv_has_all_columns_and_no_formula() -> None:
    rows = [export.Result(line=1, outcome=Outcome.REJECTED, message='=cmd|"x"', key="-1", id="5")]
    out = io.BytesIO()
    formats.write_results(rows, out, formats.Format.CSV)
    assert out.getvalue().count(b"\r\n") == out.getvalue().count(b"\n") == 2
    head, row = csv.reader(io.StringIO(out.getvalue().decode()))
    assert head == ["line", "offset", "outcome", "id", "code", "message", "field", "key", "recovered"]
    assert row == ["1", "", "rejected", "5", "", '\'=cmd|"x"', "", "'-1", ""]


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"],
    ids=["=", "+", "-", "@", "TAB", "CR", "LF"],
)
@pytest.mark.parametrize("column", ["message", "key", "code", "field", "id"])
def test_no_cell_of_a_csv_is_a_formula(column: str, text: str) -> None:
    row = export.Result(line=1, outcome=Outcome.REJECTED, **{column: text})  # type: ignore[arg-type]
    out = io.BytesIO()
    formats.write_results([row], out, formats.Format.CSV)
    (found,) = csv.DictReader(io.StringIO(out.getvalue().decode(), newline=""))
    assert found[column][0] not in "=+-@\t\r\n"
    assert found[column].endswith(text[-1])


def test_csv_quotes_what_would_end_a_cell_or_a_line() -> None:
    words = 'a, "b"; c'
    out = io.BytesIO()
    formats.write_results(
        [export.Result(line=1, outcome=Outcome.REJECTED, message=words)], out, formats.Format.CSV
    )
    assert b'"a, ""b""; c"' in out.getvalue()
    (found,) = csv.DictReader(io.StringIO(out.getvalue().decode(), newline=""))
    assert found["message"] == words
