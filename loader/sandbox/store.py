"""What the sandbox keeps: records, their unique values, the calls and the apply-log, in SQLite.

The tables are an interface: tests and other programs read them while the sandbox runs. No JSON is looked at
here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS records(
    id INTEGER PRIMARY KEY, module TEXT NOT NULL, raw BLOB NOT NULL,
    created_time TEXT NOT NULL, created_by TEXT NOT NULL, call INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS unique_values(
    module TEXT NOT NULL, field TEXT NOT NULL, value TEXT NOT NULL, record_id INTEGER NOT NULL,
    PRIMARY KEY(module, field, value)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS calls(
    call INTEGER PRIMARY KEY, at REAL NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL,
    records INTEGER NOT NULL, status INTEGER, fault TEXT, answered INTEGER NOT NULL,
    credits INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS apply_log(
    seq INTEGER PRIMARY KEY AUTOINCREMENT, call INTEGER NOT NULL, position INTEGER NOT NULL,
    record_id INTEGER NOT NULL, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS links(
    record_id INTEGER NOT NULL, path TEXT NOT NULL, target_id INTEGER NOT NULL,
    PRIMARY KEY(record_id, path)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sandbox(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""

# A process that is killed loses no committed row: what was written is the kernel's. Only a machine that
# fails could lose rows, and the sandbox is not what is tested for that.
_PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=OFF",
    "PRAGMA cache_size=-65536",
    "PRAGMA wal_autocheckpoint=8000",
)

_ID_DIGITS: Final = 19

SERIAL_FIRST: Final = 1_000_001
"""Serials of records begin here; those below are for users, modules and fields."""


class Call(msgspec.Struct, frozen=True):
    """A row of `calls`."""

    call: int
    at: float
    method: str
    path: str
    records: int = 0
    status: int | None = None
    fault: str | None = None
    answered: bool = False
    credits: int = 0
    """What it was charged, whether there is an end to the credits or not."""


class NewRecord(msgspec.Struct, frozen=True, gc=False):
    """A record that is to be applied."""

    id: int
    position: int
    raw: bytes
    unique: tuple[tuple[str, str], ...] = ()
    """Fields and the values that they are compared by."""
    links: tuple[tuple[str, int], ...] = ()
    """Lookups that came as external values, and the records that they mean."""


class StoredRecord(msgspec.Struct, frozen=True):
    """A row of `records`, as far as readers of the API may see it."""

    id: int
    raw: bytes
    created_time: str
    created_by: str


class Store:
    """The one writer. All of it runs on the thread that made it."""

    def __init__(self, path: Path, *, id_prefix: int) -> None:
        self.path = path
        self._db = sqlite3.connect(path, isolation_level=None, cached_statements=64)
        for pragma in _PRAGMAS:
            self._db.execute(pragma)
        self._db.executescript(_TABLES)
        if "credits" not in [row[1] for row in self._db.execute("PRAGMA table_info(calls)")]:
            # A database that an earlier version made.
            self._db.execute("ALTER TABLE calls ADD COLUMN credits INTEGER NOT NULL DEFAULT 0")
        self._base = id_prefix * 10**12
        last_id = self._number("SELECT max(id) FROM records")
        self.next_id = max(last_id, self._base + SERIAL_FIRST - 1) + 1
        self._last_call = self._number("SELECT max(call) FROM calls")

    def close(self) -> None:
        self._db.close()

    def next_call(self) -> int:
        """The number of the call that has just come in."""
        self._last_call += 1
        return self._last_call

    def note(self, call: Call) -> None:
        """Writes a call down; a second time, it replaces what was known."""
        self._db.execute(
            "INSERT OR REPLACE INTO calls VALUES (?,?,?,?,?,?,?,?,?)", msgspec.structs.astuple(call)
        )

    def apply(
        self,
        module: str,
        records: Sequence[NewRecord],
        call: Call,
        *,
        created: tuple[str, str],
        at: float | None = None,
    ) -> None:
        """Applies records and notes their call in one transaction; `created` is the time and the user.

        `at` is when, where that is not the moment at which the call came.
        """
        db, at = self._db, call.at if at is None else at
        db.execute("BEGIN IMMEDIATE")
        try:
            db.executemany(
                "INSERT INTO records VALUES (?,?,?,?,?,?)",
                [(each.id, module, each.raw, *created, call.call) for each in records],
            )
            db.executemany(
                "INSERT INTO unique_values VALUES (?,?,?,?)",
                [(module, field, value, each.id) for each in records for field, value in each.unique],
            )
            links = [(each.id, *link) for each in records for link in each.links]
            if links:
                db.executemany("INSERT INTO links VALUES (?,?,?)", links)
            db.executemany(
                "INSERT INTO apply_log(call, position, record_id, at) VALUES (?,?,?,?)",
                [(call.call, each.position, each.id, at) for each in records],
            )
            self.note(call)
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise
        if records:
            self.next_id = records[-1].id + 1

    def owners_of(self, module: str, field: str, values: Sequence[str]) -> dict[str, int]:
        """Which of these values of a unique field are taken, and by which records."""
        marks = ",".join("?" * len(values))
        query = (
            f"SELECT value, record_id FROM unique_values WHERE module=? AND field=? AND value IN ({marks})"  # noqa: S608
        )
        return dict(self._db.execute(query, (module, field, *values)))

    def creator_of(self, record_id: int) -> str:
        """The id of the user who added a record that there is."""
        row = self._db.execute("SELECT created_by FROM records WHERE id=?", (record_id,)).fetchone()
        return str(row[0])

    def module_of(self, record_id: int) -> str | None:
        """The module of the record with this id."""
        row = self._db.execute("SELECT module FROM records WHERE id=?", (record_id,)).fetchone()
        return None if row is None else str(row[0])

    def links_of(self, record_id: int) -> dict[str, int]:
        """Lookups of a record that came as external values, and the records that they mean."""
        return dict(self._db.execute("SELECT path, target_id FROM links WHERE record_id=?", (record_id,)))

    def records(self, module: str, ids: Iterable[int]) -> list[StoredRecord]:
        """The records with these ids, in the order of the ids; those that do not exist are left out."""
        query = "SELECT id, raw, created_time, created_by FROM records WHERE id=? AND module=?"
        rows = (self._db.execute(query, (each, module)).fetchone() for each in ids)
        return [StoredRecord(*row) for row in rows if row is not None]

    def page(self, module: str, *, skip: int, count: int, descending: bool) -> list[StoredRecord]:
        """So many records of a module in the order of their ids, after so many others."""
        query = (
            "SELECT id, raw, created_time, created_by FROM records WHERE module=? "  # noqa: S608 - one of two words
            f"ORDER BY id {'DESC' if descending else 'ASC'} LIMIT ? OFFSET ?"
        )
        return [StoredRecord(*row) for row in self._db.execute(query, (module, count, skip))]

    def setting(self, name: str) -> str | None:
        """What an earlier run kept under this name."""
        row = self._db.execute("SELECT value FROM sandbox WHERE name=?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def keep_setting(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO sandbox VALUES (?,?)", (name, value))

    def _number(self, query: str) -> int:
        return int(self._db.execute(query).fetchone()[0] or 0)


def row_id(text: str) -> int | None:
    """An id of the API as a row has it; None: no row can."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= _ID_DIGITS else None
    return number if number is not None and number < 2**63 else None


class Reader:
    """Reads on another thread, with a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)

    def close(self) -> None:
        self._db.close()

    def records(self, module: str) -> Iterator[StoredRecord]:
        """All records of a module, in the order of their ids."""
        query = "SELECT id, raw, created_time, created_by FROM records WHERE module=? ORDER BY id"
        return (StoredRecord(*row) for row in self._db.execute(query, (module,)))

    def linked(self, record_id: int, path: str) -> int | None:
        """The record that a lookup means which came as an external value."""
        query = "SELECT target_id FROM links WHERE record_id=? AND path=?"
        row = self._db.execute(query, (record_id, path)).fetchone()
        return None if row is None else int(row[0])
