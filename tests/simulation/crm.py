"""The CRM in memory: it stores what it accepts and says so truthfully, and keeps an apply-log.

What becomes of its answers on the way is the network's doing.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

from tests.simulation.plan import THEM, US

_QUERY: Final = re.compile(
    r"select (?P<columns>.+) from Leads where (?P<field>\w+) in \((?P<values>.+)\) limit 200"
)
_ROWS_MAX: Final = 200


class Row(NamedTuple):
    """A stored record."""

    id: str
    raw: bytes
    values: Mapping[str, Any]
    created_at: float
    created_by: str
    line: int
    """Of this load's input; 0: it came by another way."""


class Answer(NamedTuple):
    """Status and body of an answer; `records` are its items, where it has one for each record."""

    status: int
    body: Any
    items: Sequence[Any] = ()


@dataclass
class Crm:
    """One module of one organisation."""

    now: Callable[[], float]
    unique: str
    """The field whose values it keeps unique; empty: none."""
    refused: Collection[int]
    poison: Collection[int]
    locked: Counter[int]
    rows: dict[str, Row] = field(default_factory=dict)
    apply_log: list[tuple[float, str, int]] = field(default_factory=list)
    """When, id, line."""
    _by_value: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def put(self, raw: bytes, *, by: str, at: float | None = None, line: int = 0) -> Row:
        """Stores a record, whatever the rules say."""
        record_id = str(5_000_000_000_001 + len(self.rows))
        values = json.loads(raw)
        row = Row(record_id, raw, values, self.now() if at is None else at, by, line)
        self.rows[record_id] = row
        self.apply_log.append((self.now(), record_id, line))
        for name in ("Email", "Stamp"):
            if value := folded(values.get(name)):
                self._by_value.setdefault((name, value), []).append(record_id)
        return row

    def put_theirs(self, email: str, *, by: str = THEM, at: float | None = None) -> None:
        """A record of another user's, or of another time; not where the field is unique and taken."""
        if not (self.unique == "Email" and self.holders("Email", email)):
            self.put(json.dumps({"Last_Name": "Before", "Email": email}).encode(), by=by, at=at)

    def holders(self, name: str, value: str) -> list[Row]:
        """The rows whose field has this value."""
        return [self.rows[one] for one in self._by_value.get((name, folded(value)), ())]

    def insert(
        self,
        records: Sequence[tuple[int, bytes]],
        *,
        failing: Mapping[int, bool] | None = None,
        first: int | None = None,
    ) -> Answer:
        """One call: lines and their bytes.

        Lines of `failing` are answered INTERNAL_ERROR, applied (True) or not; only the `first` so many are
        looked at before the server falls over.
        """
        if any(line in self.poison for line, _ in records):
            return refusal(400, "INVALID_DATA")
        items = []
        for position, (line, raw) in enumerate(records[:first]):
            applied = (failing or {}).get(line)
            item = self._one(line, raw, position) if applied is not False else {}
            items.append(item if applied is None else error("INTERNAL_ERROR", position, "Last_Name"))
        good = sum(item["status"] == "success" for item in items)
        return Answer(201 if good == len(items) else 207 if good else 400, {"data": items}, items)

    def _one(self, line: int, raw: bytes, position: int) -> dict[str, Any]:
        if self.locked[line] > 0:
            self.locked[line] -= 1
            return error("RECORD_LOCKED", position, "Last_Name")
        if line in self.refused:
            return error("INVALID_DATA", position, "Company")
        if self.unique and (held := self.holders(self.unique, json.loads(raw).get(self.unique))):
            named = {"duplicate_record": {"id": held[0].id}}
            return error("DUPLICATE_DATA", position, self.unique, **named)
        row = self.put(raw, by=US, line=line)
        details = {"id": row.id, "Created_By": {"id": US}}
        return {"code": "SUCCESS", "status": "success", "message": "record added", "details": details}

    def question(self, path: str, body: bytes | None) -> Answer:
        """A read by ids or a query."""
        if body is None:
            ids = parse_qs(urlsplit(path).query)["ids"][0].split(",")
            assert len(ids) <= 100
            found = [self.rows[one] for one in ids if one in self.rows]
        else:
            query = _QUERY.fullmatch(json.loads(body)["select_query"])
            assert query is not None, body
            values = [one.replace("''", "'") for one in re.findall(r"'((?:[^']|'')*)'", query["values"])]
            assert 0 < len(values) <= 50
            found = [
                row
                for value in dict.fromkeys(map(folded, values))
                for row in self.holders(query["field"], value)
            ]
        if not found:
            return Answer(204, "")
        shown = [_shown(row) for row in found[:_ROWS_MAX]]
        return Answer(200, {"data": shown, "info": {"more_records": len(found) > _ROWS_MAX}})


def folded(value: object) -> str:
    """A value as a unique field compares it."""
    return "" if value is None else str(value).strip().casefold()


def refusal(status: int, code: str) -> Answer:
    """A refusal of the whole call."""
    return Answer(status, {"code": code, "status": "error", "message": code.lower(), "details": {}})


def error(code: str, position: int, name: str, **details: object) -> dict[str, Any]:
    path = f"$.data[{position}].{name}"
    told = {"api_name": name, "json_path": path, **details}
    return {"code": code, "status": "error", "message": code.lower(), "details": told}


def _shown(row: Row) -> dict[str, Any]:
    created = datetime.fromtimestamp(int(row.created_at), UTC).isoformat()
    return {**row.values, "id": row.id, "Created_Time": created, "Created_By": {"id": row.created_by}}
