"""The calls of the API: what is asked, in which order it is refused, applied, waited for and answered.

Each call takes the same way: number, address, credentials, method, quota, work, latency, answer. The bytes of
the answers are `answers.py`; what becomes of an insert's records is `inserts.py`.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from loader.sandbox import answers, coql, inserts, quotas
from loader.sandbox.answers import Answer, SuccessTemplate, User
from loader.sandbox.auth import Belief, Tokens
from loader.sandbox.catalogue import Served, comparable
from loader.sandbox.faults import FaultKind, FaultPlan
from loader.sandbox.store import Call, Store, StoredRecord, scan

ZONE: Final = timezone(timedelta(hours=-7))
"""The organisation's time zone; not UTC, so that a client which overlooks the offset is found out."""

IDS_MAX: Final = 100
FIELDS_MAX: Final = 50
"""Names of one `fields` parameter (get-records page)."""

_VERSION: Final = re.compile(r"v[2-8](\.1)?")


class Exchange:
    """One call on its way: the request, and what is to be noted of it."""

    def __init__(self, request: web.Request, number: int, at: float) -> None:
        self.request = request
        self.number = number
        self.at = at
        self.records = 0
        self.fault: FaultKind | None = None
        self.noted: Call | None = None

    def row(self, status: int | None, *, answered: bool) -> Call:
        request = self.request
        fault = None if self.fault is None else str(self.fault)
        return Call(self.number, self.at, request.method, request.path, self.records, status, fault, answered)

    @property
    def heard(self) -> bool:
        """The client still listens."""
        transport = self.request.transport
        return transport is not None and not transport.is_closing()


Handler = Callable[[Exchange], Awaitable[Answer | None]]
"""None: the connection is aborted without an answer."""


class Parts(msgspec.Struct, frozen=True):
    """What the handlers work with."""

    store: Store
    served: Mapping[str, Served]
    tokens: Tokens
    places: quotas.Places
    credits: quotas.Credits
    faults: FaultPlan
    user: User
    org_id: str
    url: str
    latency_s: float = 0.0
    slow_s: float = 5.0
    """What a slow answer takes beyond the latency."""
    late_s: float = 2.0
    """How long after its call was dropped a late one is applied."""
    clock: Callable[[], float] = time.time


class Api:
    """The API of one organisation."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._store = parts.store
        self._template: tuple[str, SuccessTemplate] | None = None
        self._late: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """What is to be applied late, and was not yet, never is."""
        for task in self._late:
            task.cancel()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Every request comes here."""
        exchange = Exchange(request, self._store.next_call(), self._parts.clock())
        try:
            answer = await self._answer(exchange)
        except web.HTTPRequestEntityTooLarge:
            answer = answers.BODY_TOO_LARGE
        except ConnectionError:
            answer = None  # the client left before its request was whole
        response = self._finish(exchange, answer)
        if answer is not None and answer.cut:
            await _send_half(exchange.request, response)
        return response

    def _finish(self, exchange: Exchange, answer: Answer | None) -> web.StreamResponse:
        status = None if answer is None else answer.status
        row = exchange.row(status, answered=answer is not None and exchange.heard)
        if row != exchange.noted:
            self._store.note(row)
        if answer is None:
            if exchange.request.transport is not None:
                exchange.request.transport.abort()
            return web.Response(status=500)  # goes nowhere
        headers = self._headers(exchange)
        if answer.body:
            headers["Content-Type"] = answer.content_type
        return web.Response(status=answer.status, body=answer.body or None, headers=headers)

    def _headers(self, exchange: Exchange) -> dict[str, str]:
        headers = {}
        expiry = self._parts.tokens.expiry(exchange.request.headers.get("Authorization", ""))
        if expiry is not None:
            headers["X-ACCESSTOKEN-RESET"] = _iso(expiry)
        remaining = self._parts.credits.shown(now=self._parts.clock())
        if remaining is not None:
            headers["X-API-CREDITS-REMAINING"] = str(remaining)
        return headers

    async def _answer(self, exchange: Exchange) -> Answer | None:
        request = exchange.request
        segments = [each for each in request.path.split("/") if each]
        if segments == ["oauth", "v2", "token"]:
            return await self._token(exchange)
        if len(segments) < 3 or segments[0] != "crm" or not _VERSION.fullmatch(segments[1]):
            return answers.INVALID_URL_PATTERN
        routes = self._routes(segments[2:])
        if routes is None:
            return answers.INVALID_URL_PATTERN
        belief = self._parts.tokens.believe(request.headers.get("Authorization"), now=exchange.at)
        if belief is not Belief.BELIEVED:
            return answers.AUTHENTICATION_FAILURE if belief is Belief.NO_TOKEN else answers.INVALID_TOKEN
        handler = routes.get(request.method)
        return answers.INVALID_REQUEST_METHOD if handler is None else await handler(exchange)

    def _routes(self, path: list[str]) -> Mapping[str, Handler] | None:
        match path:
            case ["settings", "fields"]:
                return {"GET": self._priced(self._fields)}
            case ["settings", "modules"]:
                return {"GET": self._priced(self._modules)}
            case ["users"]:
                return {"GET": self._priced(self._users)}
            case ["org"]:
                return {"GET": self._priced(self._org)}
            case ["coql"]:
                return {"POST": self._coql}
            case ["settings", *_]:
                return None
            case [module]:
                return {"POST": lambda call: self._insert(call, module), "GET": self._priced(self._by_ids)}
            case [_, _]:
                return {"GET": self._priced(self._by_id)}
        return None

    def _priced(self, read: Callable[[Exchange], Answer]) -> Handler:
        """A read that costs one credit and takes the latency."""

        async def handler(exchange: Exchange) -> Answer:
            if not self._parts.credits.spend(1, now=exchange.at):
                return answers.TOO_MANY_REQUESTS
            answer = read(exchange)
            await self._wait()
            return answer

        return handler

    async def _wait(self) -> None:
        if self._parts.latency_s > 0:
            await asyncio.sleep(self._parts.latency_s)

    # --- Tokens -----------------------------------------------------------------------------------------

    async def _token(self, exchange: Exchange) -> Answer:
        request = exchange.request
        if request.method != "POST":
            return answers.INVALID_REQUEST_METHOD
        form = dict(request.query)
        if request.content_type.startswith("multipart/"):
            form |= {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        else:
            form |= dict(parse_qsl((await request.read()).decode(errors="replace")))
        granted = self._parts.tokens.grant(form, now=exchange.at)
        return answers.granted(granted, api_url=self._parts.url)

    # --- Insert -----------------------------------------------------------------------------------------

    async def _insert(self, exchange: Exchange, module: str) -> Answer | None:
        body = await exchange.request.read()
        served = self._parts.served.get(module)
        if served is None:
            return answers.INVALID_MODULE
        raws = inserts.records_in(body)
        if isinstance(raws, Answer):
            return raws
        exchange.records = len(raws)
        exchange.fault = self._parts.faults.of(exchange.number)
        match exchange.fault:
            case FaultKind.TOO_MANY_REQUESTS:
                return answers.TOO_MANY_REQUESTS
            case FaultKind.DROP_BEFORE_APPLY:
                return None
            case FaultKind.ERROR_500_BEFORE:
                return answers.INTERNAL_ERROR
            case FaultKind.HTML_502 if not self._parts.faults.applies(exchange.number):
                return answers.GATEWAY_PAGE
            case FaultKind.REVOKE_TOKEN:
                self._parts.tokens.revoke(exchange.request.headers.get("Authorization", ""))
                return answers.INVALID_TOKEN
            case FaultKind.LATE_APPLY:
                self._apply_later(exchange, served, raws)
                return None
        complex_call = len(raws) > quotas.LARGE_CALL_RECORDS
        cost = quotas.insert_credits(len(raws))
        return await self._within(exchange, self._apply, served, raws, place=complex_call, cost=cost)

    async def _within(
        self, exchange: Exchange, work: Callable[..., Any], *arguments: Any, place: bool, cost: int
    ) -> Answer | None:
        """Does the work inside the quotas; the place is held until the answer is ready to leave."""
        places = self._parts.places
        if place and not places.take():
            return self._too_many(exchange)
        try:
            if not self._parts.credits.spend(cost, now=exchange.at):
                return self._too_many(exchange)
            answer: Answer | None = await work(exchange, *arguments)
            await self._wait()
            if exchange.fault is FaultKind.SLOW:
                await asyncio.sleep(self._parts.slow_s)
            return answer
        finally:
            if place:
                places.give_back()

    def _too_many(self, exchange: Exchange) -> Answer:
        exchange.fault = None  # refused before it could strike
        return answers.TOO_MANY_REQUESTS

    async def _apply(self, exchange: Exchange, served: Served, raws: list[bytes]) -> Answer | None:
        """Decides and applies without a pause between, so that no other call comes in between either."""
        if exchange.fault is FaultKind.PARTIAL_APPLY:
            raws = raws[: self._parts.faults.first_records(exchange.number, len(raws))]
        decision = self._decide(served, raws)
        if isinstance(decision, Answer):
            exchange.fault = None  # as above
            return decision
        store, module = self._store, served.module.api_name
        created_time = _iso(self._parts.clock())
        answer = _after(exchange.fault, decision.answer(self._success(created_time)))
        # While the latency runs the call is unanswered; without one it is as good as answered.
        at_once = answer is not None and not self._parts.latency_s and exchange.heard
        exchange.noted = exchange.row(None if answer is None else answer.status, answered=at_once)
        store.apply(module, decision.records, exchange.noted, created=(created_time, self._parts.user.id))
        return answer

    def _decide(self, served: Served, raws: list[bytes]) -> inserts.Decision | Answer:
        store, module = self._store, served.module.api_name
        return inserts.decide(
            served,
            raws,
            owners=lambda field, values: store.owners_of(module, field, values),
            first_id=store.next_id,
            user=self._parts.user,
        )

    def _apply_later(self, exchange: Exchange, served: Served, raws: list[bytes]) -> None:
        """Nobody hears of it: the call is over when its records are applied."""
        row = exchange.row(None, answered=False)

        async def apply() -> None:
            await asyncio.sleep(self._parts.late_s)
            decision = self._decide(served, raws)
            if not isinstance(decision, Answer):
                now = self._parts.clock()
                created = (_iso(now), self._parts.user.id)
                self._store.apply(served.module.api_name, decision.records, row, created=created, at=now)

        task = asyncio.create_task(apply())
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    def _success(self, created_time: str) -> SuccessTemplate:
        if self._template is None or self._template[0] != created_time:
            self._template = (created_time, SuccessTemplate(self._parts.user, created_time))
        return self._template[1]

    # --- Reading back -----------------------------------------------------------------------------------

    def _by_id(self, exchange: Exchange) -> Answer:
        name, record_id = exchange.request.path.strip("/").split("/")[2:]
        served = self._parts.served.get(name)
        if served is None:
            return answers.INVALID_MODULE
        if not _is_id(record_id):
            return answers.bare(
                400, "INVALID_DATA", "the id given seems to be invalid", {"resource_path_index": 1}
            )
        return answers.listing("data", self._read(served, [record_id], None))

    def _by_ids(self, exchange: Exchange) -> Answer:
        served = self._parts.served.get(exchange.request.path.strip("/").split("/")[2])
        if served is None:
            return answers.INVALID_MODULE
        query = exchange.request.query
        for name, most in (("fields", FIELDS_MAX), ("ids", IDS_MAX)):
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
        by = self._parts.user.reference
        members: dict[str, Any] = {field.api_name: None for field in served.module.fields}
        members |= {"Owner": by | {"email": self._parts.user.email}, "$approval_state": "approved"}
        members |= served.readable(record.raw)
        members |= {"Created_By": by, "Modified_By": by}
        members |= {"Created_Time": record.created_time, "Modified_Time": record.created_time}
        if fields is not None:
            members = {name: members[name] for name in fields if name in members}
        return msgspec.json.encode(members | {"id": str(record.id)})

    async def _coql(self, exchange: Exchange) -> Answer | None:
        try:
            text = msgspec.json.decode(await exchange.request.read(), type=_CoqlBody).select_query
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return answers.bare(
                400,
                "MANDATORY_NOT_FOUND",
                "required field not found",
                {"api_name": "select_query", "json_path": "$.select_query"},
            )
        query = coql.parse_query(text)
        if isinstance(query, coql.QueryError):
            return answers.bare(400, query.code, query.message, query.details)
        cost = quotas.query_credits(query.limit)
        return await self._within(exchange, self._run_query, query, place=True, cost=cost)

    async def _run_query(self, _: Exchange, query: coql.Query) -> Answer:
        served = self._parts.served.get(query.module)
        if served is None:
            return answers.bare(400, "INVALID_QUERY", "the module name given seems to be invalid")
        for column in (*query.columns, query.field):
            if served.module.field(column) is None:
                why = {"column_name": column, "module": query.module}
                return answers.bare(400, "INVALID_QUERY", "column given seems to be invalid", why)
        found = await self._find(served, query)
        items = [self._record(served, each, list(query.columns)) for each in found[: query.limit]]
        return answers.listing("data", items, {"count": len(items), "more_records": len(found) > query.limit})

    async def _find(self, served: Served, query: coql.Query) -> list[StoredRecord]:
        name = served.module.api_name
        if query.field == "id":
            return self._store.records(
                name, dict.fromkeys(int(each) for each in query.values if _is_id(each))
            )
        for field in served.unique:
            if field.api_name == query.field:
                values = [comparable(field, each) for each in query.values]
                return self._store.records(
                    name, sorted(self._store.owners_of(name, query.field, values).values())
                )
        return await asyncio.to_thread(
            scan, self._store.path, name, field=query.field, values=query.values, limit=query.limit + 1
        )

    # --- The organisation -------------------------------------------------------------------------------

    def _fields(self, exchange: Exchange) -> Answer:
        name = exchange.request.query.get("module")
        if not name:
            return answers.parameter_missing("module")
        served = self._parts.served.get(name)
        return answers.INVALID_MODULE if served is None else Answer(200, served.fields_body)

    def _modules(self, _: Exchange) -> Answer:
        return answers.listing(
            "modules", [answers.module_item(name, each.id) for name, each in self._parts.served.items()]
        )

    def _users(self, _: Exchange) -> Answer:
        info = {"per_page": 200, "count": 1, "page": 1, "more_records": False}
        return answers.listing("users", [answers.user_item(self._parts.user)], info)

    def _org(self, _: Exchange) -> Answer:
        return answers.listing("org", [answers.org_item(self._parts.org_id, self._parts.user)])


def _after(fault: FaultKind | None, answer: Answer) -> Answer | None:
    """What is left of the answer to a call that was applied."""
    match fault:
        case FaultKind.ERROR_500_AFTER:
            return answers.INTERNAL_ERROR
        case FaultKind.HTML_502:
            return answers.GATEWAY_PAGE
        case FaultKind.DROP_AFTER_APPLY | FaultKind.PARTIAL_APPLY:
            return None
        case FaultKind.TRUNCATE:
            return msgspec.structs.replace(answer, cut=True)
        case FaultKind.SHORT_ANSWER:
            return answers.without_last_item(answer)
    return answer


async def _send_half(request: web.Request, whole: web.StreamResponse) -> None:
    """The status, the headers and half of the body; then the connection ends."""
    assert isinstance(whole, web.Response)
    body = whole.body
    assert isinstance(body, bytes)
    transport = request.transport
    if transport is None:
        return
    half = web.StreamResponse(status=whole.status, headers=whole.headers)
    half.content_length = len(body)
    await half.prepare(request)
    await half.write(body[: len(body) // 2])
    transport.close()


class _CoqlBody(msgspec.Struct):
    select_query: str


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) < 2**63


def _iso(at: float) -> str:
    return datetime.fromtimestamp(int(at), ZONE).isoformat()
