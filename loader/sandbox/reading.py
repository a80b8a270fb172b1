"""Reading records back: by id, by several ids, and by a query."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

import msgspec

from loader.sandbox import answers, quotas
from loader.sandbox.answers import Answer
from loader.sandbox.calls import Exchange, Parts, within_quotas
from loader.sandbox.catalogue import Served
from loader.sandbox.coql import Query, QueryError, parse_query
from loader.sandbox.scopes import READ
from loader.sandbox.store import StoredRecord, scan
from loader.wire.limits import FIELDS_PER_GET_MAX, IDS_PER_GET_MAX

_STEP: Final = re.compile(r"(\w+)(?:\[([0-9]+)\])?", re.ASCII)


class _CoqlBody(msgspec.Struct):
    select_query: str


class Reading:
    """The reads of one organisation."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._store = parts.store

    def by_id(self, exchange: Exchange) -> Answer:
        """Answers `GET {module}/{id}`."""
        name, record_id = exchange.request.path.strip("/").split("/")[2:]
        served = self._parts.served.get(name)
        if served is None:
            return answers.INVALID_MODULE
        if not _is_id(record_id):
            return answers.bare(
                400, "INVALID_DATA", "the id given seems to be invalid", {"resource_path_index": 1}
            )
        return answers.listing("data", self._read(served, [record_id], None))

    def by_ids(self, exchange: Exchange) -> Answer:
        """Answers `GET {module}?ids=...&fields=...`."""
        served = self._parts.served.get(exchange.request.path.strip("/").split("/")[2])
        if served is None:
            return answers.INVALID_MODULE
        query = exchange.request.query
        for name, most in (("fields", FIELDS_PER_GET_MAX), ("ids", IDS_PER_GET_MAX)):
            if not query.get(name):
                return answers.parameter_missing(name)
            if query[name].count(",") >= most:
                return answers.bare(
                    400,
                    "LIMIT_EXCEEDED",
                    f"{name} names too many",
                    {"param_name": name, "maximum_length": most},
                )
        ids = query["ids"].split(",")
        if not all(_is_id(each) for each in ids):
            return answers.bare(
                400, "INVALID_DATA", "the id given seems to be invalid", {"param_name": "ids"}
            )
        items = self._read(served, ids, query["fields"].split(","))
        info = {"per_page": 200, "count": len(items), "page": 1, "more_records": False}
        return answers.listing("data", items, info)

    def _read(self, served: Served, ids: list[str], fields: list[str] | None) -> list[bytes]:
        records = self._store.records(served.module.api_name, dict.fromkeys(map(int, ids)))
        return [self._record(served, each, fields) for each in records]

    def _record(self, served: Served, record: StoredRecord, fields: list[str] | None) -> bytes:
        user = self._parts.user_with(record.created_by)
        by = user.reference
        members: dict[str, Any] = {field.api_name: None for field in served.module.fields}
        members |= {"Owner": by | {"email": user.email}, "$approval_state": "approved"}
        members |= served.readable(record.raw)
        for path, target in self._store.links_of(record.id).items():
            _link(members, path, str(target))
        members |= {"Created_By": by, "Modified_By": by}
        members |= {"Created_Time": record.created_time, "Modified_Time": record.created_time}
        if fields is not None:
            members = {name: members[name] for name in fields if name in members}
        return msgspec.json.encode(members | {"id": str(record.id)})

    # --- Queries ----------------------------------------------------------------------------------------

    async def coql(self, exchange: Exchange) -> Answer | None:
        """Answers `POST coql`."""
        try:
            text = msgspec.json.decode(await exchange.request.read(), type=_CoqlBody).select_query
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return answers.bare(
                400,
                "MANDATORY_NOT_FOUND",
                "required field not found",
                {"api_name": "select_query", "json_path": "$.select_query"},
            )
        query = parse_query(text)
        if isinstance(query, QueryError):
            return answers.bare(400, query.code, query.message, query.details)
        # A query needs the scope to read its module too (COQL page).
        if query.module in self._parts.served and not self._parts.scopes.module(query.module, READ):
            return answers.SCOPE_MISMATCH
        cost = quotas.query_credits(query.limit)
        return await within_quotas(self._parts, exchange, self._run_query, query, place=True, cost=cost)

    async def _run_query(self, exchange: Exchange, query: Query) -> Answer:
        served = self._parts.served.get(query.module)
        if served is None:
            return answers.bare(400, "INVALID_QUERY", "the module name given seems to be invalid")
        for column in (*query.columns, query.field):
            if served.module.field(column) is None:
                why = {"column_name": column, "module": query.module}
                return answers.bare(400, "INVALID_QUERY", "column given seems to be invalid", why)
        found = await self._find(served, query, exchange.caller.id)
        items = [self._record(served, each, list(query.columns)) for each in found[: query.limit]]
        return answers.listing("data", items, {"count": len(items), "more_records": len(found) > query.limit})

    async def _find(self, served: Served, query: Query, user_id: str) -> list[StoredRecord]:
        name = served.module.api_name
        if query.field == "id":
            return self._store.records(
                name, dict.fromkeys(int(each) for each in query.values if _is_id(each))
            )
        for field in served.unique:
            if field.api_name == query.field:
                values = [served.comparable(field, each, user_id) for each in query.values]
                return self._store.records(
                    name, sorted(self._store.owners_of(name, query.field, values).values())
                )
        return await asyncio.to_thread(
            scan, self._store.path, name, field=query.field, values=query.values, limit=query.limit + 1
        )


def _link(members: dict[str, Any], path: str, target: str) -> None:
    """Puts the id of the record that an external value means into the lookup at this path."""
    (name, index), *below = _STEP.findall(path)
    value: Any = members.get(name)
    holder: Any = msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else value
    members[name] = holder
    for step, next_index in (*below, ("", "")):
        if index:
            holder = holder[int(index)]
        if step:
            holder, index = holder[step], next_index
    holder["id"] = target


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) < 2**63
