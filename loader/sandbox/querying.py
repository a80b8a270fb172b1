"""The query call: a COQL query is read, looked up in the module, and run over the records."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec

from loader.sandbox import answers, quotas
from loader.sandbox.answers import Answer
from loader.sandbox.calls import ZONE, Exchange, Parts, within_quotas
from loader.sandbox.catalogue import Served
from loader.sandbox.coql import Criterion, Operator, Query, QueryError, criteria_of, parse_query
from loader.sandbox.criteria import Matcher, Refusal, matcher_of, sort_keys, unknown_column
from loader.sandbox.scopes import READ
from loader.sandbox.store import Reader, StoredRecord, row_id
from loader.sandbox.views import Members, Views, values_of


class _Body(msgspec.Struct):
    select_query: str


class Querying:
    """The queries of one organisation."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._store = parts.store
        self._views = Views(parts)

    async def coql(self, exchange: Exchange) -> Answer | None:
        """Answers `POST coql`."""
        try:
            text = msgspec.json.decode(await exchange.request.read(), type=_Body).select_query
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return answers.bare(
                400,
                "MANDATORY_NOT_FOUND",
                "required field not found",
                {"api_name": "select_query", "json_path": "$.select_query"},
            )
        query = parse_query(text)
        if isinstance(query, QueryError):
            return _refused(query)
        # A query needs the scope to read its module too (COQL page).
        if query.module in self._parts.served and not self._parts.scopes.module(query.module, READ):
            return answers.SCOPE_MISMATCH
        cost = quotas.query_credits(query.limit)
        return await within_quotas(self._parts, exchange, self._run, query, place=True, cost=cost)

    async def _run(self, exchange: Exchange, query: Query) -> Answer:
        served = self._parts.served.get(query.module)
        if served is None:
            return answers.bare(400, "INVALID_QUERY", "the module name given seems to be invalid")
        for column in query.columns:
            if served.module.field(column) is None:
                return _refused(unknown_column(column, query.module).error)
        plan = _Plan.of(query, served)
        if isinstance(plan, Refusal):
            return _refused(plan.error)
        found = self._indexed(served, query, exchange.caller.id)
        if found is None:
            found = await asyncio.to_thread(plan.found, self._store.path)
        items = [self._views.record(served, each, query.columns) for each in found[: query.limit]]
        return answers.listing("data", items, {"count": len(items), "more_records": len(found) > query.limit})

    def _indexed(self, served: Served, query: Query, user_id: str) -> list[StoredRecord] | None:
        """What a single criterion about ids or unique values finds at once; None: all must be read."""
        where = query.where
        if not isinstance(where, Criterion) or where.negated or query.order or query.offset:
            return None
        if where.operator not in (Operator.EQUAL, Operator.IN):
            return None
        name = served.module.api_name
        if where.field == "id":
            ids = (row_id(each) for each in where.values)
            return self._store.records(name, dict.fromkeys(each for each in ids if each is not None))
        for field in served.unique:
            if field.api_name == where.field:
                values = [served.comparable(field, each, user_id) for each in where.values]
                owners = self._store.owners_of(name, where.field, values)
                return self._store.records(name, sorted(owners.values()))
        return None


class _Plan(msgspec.Struct, frozen=True):
    """A query that its module can answer."""

    query: Query
    served: Served
    test: Matcher
    keys: Sequence[Callable[[Members], Any]]

    @classmethod
    def of(cls, query: Query, served: Served) -> _Plan | Refusal:
        test = matcher_of(query.where, served.module, ZONE)
        if isinstance(test, Refusal):
            return test
        keys = sort_keys(query.order, served.module, ZONE)
        return keys if isinstance(keys, Refusal) else cls(query, served, test, keys)

    def found(self, path: Path) -> list[StoredRecord]:
        """The records, and one more where there are more; it reads all of them, on a thread of its own."""
        query, test = self.query, self.test
        names = {each.field for each in criteria_of(query.where)} | {each.field for each in query.order}
        end = query.offset + query.limit + 1
        with closing(Reader(path)) as reader:
            values = values_of(self.served, names, reader.linked)
            seen = ((each, values(each)) for each in reader.records(query.module))
            fitting = (pair for pair in seen if test(pair[1]))
            if not query.order:
                return [record for record, _ in islice(fitting, query.offset, end)]
            pairs = list(fitting)
        for order, key in reversed(list(zip(query.order, self.keys, strict=True))):
            pairs.sort(key=partial(_sorted_by, key), reverse=order.descending)
        return list(map(itemgetter(0), pairs[query.offset : end]))


def _sorted_by(key: Callable[[Members], Any], pair: tuple[StoredRecord, Members]) -> Any:
    return key(pair[1])


def _refused(error: QueryError) -> Answer:
    return answers.bare(400, error.code, error.message, error.details)
