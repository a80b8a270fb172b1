"""The judge is judged: a sound load passes, and each way in which a load can be unsound is seen."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.crash import oracle
from tests.crash.harness import lead

TABLES = """
CREATE TABLE records(id INTEGER PRIMARY KEY, module TEXT, raw BLOB, created_time TEXT, created_by TEXT,
  call INTEGER);
CREATE TABLE calls(call INTEGER, at REAL, method TEXT, path TEXT, records INTEGER, status INTEGER, fault TEXT,
  answered INTEGER);
CREATE TABLE apply_log(seq INTEGER PRIMARY KEY, call INTEGER, position INTEGER, record_id INTEGER, at REAL);
"""
HELD, INVALID, DUPLICATE, FIRST_ID = 7, 4, 9, 5_725_767_000_000_000_000


class Load:
    """A sound load of ten lines, made by hand: line 2 blank, one line invalid, one a duplicate, one held."""

    def __init__(self, directory: Path) -> None:
        self.input = directory / "leads.ndjson"
        self.directory = directory
        random_ = random.Random(1)
        self.contents = {number: lead(number, random_) for number in range(1, 11)}
        self.contents[2] = b""
        self.contents[INVALID] = b"not json"
        self.contents[DUPLICATE] = b'{"Last_Name":"Twin","Email":"LEAD.1@example.com"}'
        self.input.write_bytes(b"\n".join(self.contents.values()))
        self.results = [self._result(line) for line in oracle.lines_of(self.input)]
        self.rows = {
            FIRST_ID + n: raw for n, raw in self.contents.items() if n not in {2, INVALID, DUPLICATE}
        }
        self.summary: dict[str, Any] = {
            "records": 9,
            "outcomes": {"inserted": 6, "invalid": 1, "duplicate": 1, "in_doubt": 1, "pending": 0},
            "complete": False,
            "exit_code": 4,
        }
        self.held = [self.contents[HELD]]

    def _result(self, line: oracle.Line) -> dict[str, Any]:
        ends = {
            INVALID: {"outcome": "invalid", "code": "INVALID_DATA"},
            DUPLICATE: {"outcome": "duplicate", "id": str(FIRST_ID + 1)},
            HELD: {"outcome": "in_doubt"},
        }
        inserted = {"outcome": "inserted", "id": str(FIRST_ID + line.number)}
        return {"line": line.number, "offset": line.offset, **ends.get(line.number, inserted)}

    def told(self) -> Iterable[bytes]:
        return (json.dumps(result).encode() for result in self.results)

    def sandbox(self) -> oracle.Sandbox:
        database = self.directory / "crm.db"
        database.unlink(missing_ok=True)
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.executescript(TABLES)
            connection.executemany("INSERT INTO records(id, raw) VALUES (?, ?)", self.rows.items())
            connection.executemany(
                "INSERT INTO apply_log(record_id) VALUES (?)", [(each,) for each in self.rows]
            )
        return oracle.Sandbox(database)

    def judge(self) -> None:
        (self.directory / "summary.json").write_text(json.dumps(self.summary))
        (self.directory / "in-doubt.ndjson").write_bytes(b"".join(line + b"\n" for line in self.held))
        oracle.check_load(self.input, self.told(), self.directory, self.sandbox(), held_max=1)


@pytest.fixture
def load(tmp_path: Path) -> Load:
    return Load(tmp_path)


def test_a_sound_load_passes(load: Load) -> None:
    load.judge()


def test_what_is_held_may_have_been_applied_or_not(load: Load) -> None:
    del load.rows[FIRST_ID + HELD]
    load.judge()


def _at(load: Load, line: int) -> dict[str, Any]:
    return next(result for result in load.results if result["line"] == line)


def a_row_twice(load: Load) -> None:
    load.rows[FIRST_ID + 100] = load.contents[1]


def a_held_row_twice(load: Load) -> None:
    load.rows[FIRST_ID + 100] = load.contents[HELD]


def a_row_of_an_invalid_line(load: Load) -> None:
    load.rows[FIRST_ID + 100] = load.contents[INVALID]


def a_row_of_no_line(load: Load) -> None:
    load.rows[FIRST_ID + 100] = b'{"Last_Name":"Nobody"}'


def changed_bytes(load: Load) -> None:
    load.rows[FIRST_ID + 1] = json.dumps(json.loads(load.contents[1])).encode()


def an_inserted_record_that_is_not_there(load: Load) -> None:
    del load.rows[FIRST_ID + 3]


def ids_exchanged(load: Load) -> None:
    one, other = _at(load, 5), _at(load, 6)
    one["id"], other["id"] = other["id"], one["id"]


def an_id_as_a_number(load: Load) -> None:
    _at(load, 5)["id"] = FIRST_ID + 5


def a_result_missing(load: Load) -> None:
    load.results.pop()


def a_result_twice(load: Load) -> None:
    load.results.append(load.results[-1])


def results_out_of_order(load: Load) -> None:
    load.results[0], load.results[1] = load.results[1], load.results[0]


def a_wrong_offset(load: Load) -> None:
    _at(load, 5)["offset"] += 1


def a_pending_record(load: Load) -> None:
    _at(load, HELD)["outcome"] = "pending"


def an_unknown_outcome(load: Load) -> None:
    _at(load, INVALID)["outcome"] = "failed"


def more_held_than_explained(load: Load) -> None:
    _at(load, 8).update(outcome="in_doubt")
    load.held.append(load.contents[8])


def a_summary_of_other_figures(load: Load) -> None:
    load.summary["outcomes"]["inserted"] = 7


def a_summary_that_calls_it_complete(load: Load) -> None:
    load.summary["complete"] = True


def a_wrong_exit_code(load: Load) -> None:
    load.summary["exit_code"] = 3


def a_held_record_not_listed(load: Load) -> None:
    load.held.clear()


def a_duplicate_of_another_key(load: Load) -> None:
    _at(load, DUPLICATE)["id"] = str(FIRST_ID + 3)


WRONGS: list[tuple[Callable[[Load], None], str]] = [
    (a_row_twice, "I3"),
    (a_held_row_twice, "I3"),
    (a_row_of_an_invalid_line, "I4"),
    (a_row_of_no_line, "I4"),
    (changed_bytes, "I2"),
    (an_inserted_record_that_is_not_there, "I2"),
    (ids_exchanged, "I2"),
    (an_id_as_a_number, "I2"),
    (a_result_missing, "I1"),
    (a_result_twice, "I1"),
    (results_out_of_order, "I1"),
    (a_wrong_offset, "I1"),
    (a_pending_record, "I1"),
    (an_unknown_outcome, "I1"),
    (more_held_than_explained, "I5"),
    (a_summary_of_other_figures, "summary.json"),
    (a_summary_that_calls_it_complete, "complete"),
    (a_wrong_exit_code, "exit code"),
    (a_held_record_not_listed, "in-doubt.ndjson"),
    (a_duplicate_of_another_key, "duplicate"),
]


@pytest.mark.parametrize(("wrong", "told"), WRONGS, ids=lambda value: getattr(value, "__name__", ""))
def test_an_unsound_load_is_seen(load: Load, wrong: Callable[[Load], None], told: str) -> None:
    wrong(load)
    with pytest.raises(AssertionError, match=told):
        load.judge()


def test_a_final_outcome_that_changes_is_seen(load: Load) -> None:
    watch = oracle.Watch(load.input, load.sandbox())
    watch.look(load.told())
    _at(load, 5)["id"] = str(FIRST_ID + 6)
    with pytest.raises(AssertionError, match="I6: line 5"):
        watch.look(load.told())


def test_a_final_outcome_that_is_forgotten_is_seen(load: Load) -> None:
    watch = oracle.Watch(load.input, load.sandbox())
    watch.look(load.told())
    _at(load, INVALID)["outcome"] = "pending"
    with pytest.raises(AssertionError, match="I6: line 4"):
        watch.look(load.told())


def test_a_settled_record_that_is_applied_again_is_seen(load: Load) -> None:
    watch = oracle.Watch(load.input, load.sandbox())
    watch.look(load.told())
    load.rows[FIRST_ID + 100] = load.contents[5]
    load.sandbox()
    with pytest.raises(AssertionError, match=r"I6: line 5 was .* applied again"):
        watch.look(load.told())


def test_the_growth_of_the_doubt_is_counted_from_look_to_look(load: Load) -> None:
    watch = oracle.Watch(load.input, load.sandbox())
    assert watch.look(load.told()) == 1
    assert watch.look(load.told()) == 0
    _at(load, HELD).update(outcome="inserted", id=str(FIRST_ID + HELD))
    assert watch.look(load.told()) == -1
