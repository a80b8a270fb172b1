"""The calls of the API: what is asked, in which order it is refused, and how its answer leaves.

Each call takes the same way: number, address, credentials, scope, method, quota, work, latency, answer. The
work itself is `inserting.py`, `reading.py`, `querying.py` and `settings.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from loader.sandbox import answers
from loader.sandbox.answers import Answer
from loader.sandbox.auth import Belief
from loader.sandbox.calls import Exchange, Handler, Parts, iso, priced
from loader.sandbox.inserting import Inserting
from loader.sandbox.querying import Querying
from loader.sandbox.reading import Reading
from loader.sandbox.scopes import CREATE, READ
from loader.sandbox.settings import Settings
from loader.sandbox.unserved import UNSERVED_ALONE, UNSERVED_WORDS, unserved_method, unserved_path

_VERSION: Final = re.compile(r"v[2-8](\.1)?")


class Route(msgspec.Struct, frozen=True):
    """Who answers, and whether the scopes let them."""

    handler: Handler
    allowed: Callable[[], bool]


class Api:
    """The API of one organisation."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._store = parts.store
        self._inserting = Inserting(parts)
        self._reading = Reading(parts)
        self._querying = Querying(parts)
        self._fixed = self._fixed_routes(Settings(parts))

    def close(self) -> None:
        """Nothing is applied after this."""
        self._inserting.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Every request comes here."""
        exchange = Exchange(request, self._store.next_call(), self._parts.clock())
        try:
            answer = await self._answer(exchange)
        except web.HTTPRequestEntityTooLarge:
            answer = answers.BODY_TOO_LARGE
        except web.RequestPayloadError:
            answer = answers.BODY_NOT_AN_OBJECT  # it is not packed as its header says
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
        if answer.allow:
            headers["Allow"] = answer.allow
        return web.Response(status=answer.status, body=answer.body or None, headers=headers)

    def _headers(self, exchange: Exchange) -> dict[str, str]:
        headers = {}
        expiry = self._parts.tokens.expiry(exchange.authorization)
        if expiry is not None:
            headers["X-ACCESSTOKEN-RESET"] = iso(expiry)
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
            return unserved_path(segments[1:]) or answers.INVALID_URL_PATTERN
        path = segments[2:]
        routes = self._routes(path)
        if routes is None:
            return unserved_path(path) or answers.INVALID_URL_PATTERN
        belief = self._parts.tokens.believe(request.headers.get("Authorization"), now=exchange.at)
        if belief is not Belief.BELIEVED:
            return answers.AUTHENTICATION_FAILURE if belief is Belief.NO_TOKEN else answers.INVALID_TOKEN
        exchange.user = self._parts.callers[self._parts.tokens.refresh_token_of(exchange.authorization)]
        route = routes.get(request.method)
        if route is None:
            return unserved_method(request.method, path) or answers.INVALID_REQUEST_METHOD
        return await self._allowed(exchange, route)

    async def _allowed(self, exchange: Exchange, route: Route) -> Answer | None:
        """The answer of a route, if the scopes and the calls in flight let it be asked."""
        if not route.allowed():
            return answers.SCOPE_MISMATCH
        if not self._parts.calls.take():
            return answers.TOO_MANY_REQUESTS
        try:
            return await route.handler(exchange)
        finally:
            self._parts.calls.give_back()

    def _fixed_routes(self, settings: Settings) -> Mapping[tuple[str, ...], Mapping[str, Route]]:
        parts, scopes = self._parts, self._parts.scopes
        reads = {
            ("settings", "fields"): (settings.fields, lambda: scopes.settings("fields")),
            ("settings", "layouts"): (settings.layouts, lambda: scopes.settings("layouts")),
            ("settings", "modules"): (settings.modules, lambda: scopes.settings("modules")),
            ("users",): (settings.users, lambda: scopes.group("users")),
            ("org",): (settings.org, lambda: scopes.group("org")),
        }
        routes = {path: {"GET": Route(priced(parts, read), may)} for path, (read, may) in reads.items()}
        return routes | {("coql",): {"POST": Route(self._querying.coql, lambda: scopes.group("coql"))}}

    def _routes(self, path: list[str]) -> Mapping[str, Route] | None:
        fixed = self._fixed.get(tuple(path))
        if fixed is not None:
            return fixed
        scopes, reading = self._parts.scopes, self._reading
        match path:
            case ["settings", *_]:
                return None
            case [_, word] if word in UNSERVED_WORDS:
                return None
            case [word] if word in UNSERVED_ALONE and self._unserved(word):
                return None
            case [module]:
                return {
                    "POST": Route(
                        lambda call: self._inserting.insert(call, module),
                        lambda: self._unserved(module) or scopes.module(module, CREATE),
                    ),
                    "GET": Route(
                        priced(self._parts, reading.several),
                        lambda: self._unserved(module) or scopes.module(module, READ),
                    ),
                }
            case [module, _]:
                return {
                    "GET": Route(
                        priced(self._parts, reading.by_id),
                        lambda: self._unserved(module) or scopes.module(module, READ),
                    )
                }
        return None

    def _unserved(self, module: str) -> bool:
        """No scope is for a module that there is not; the answer says so."""
        return module not in self._parts.served

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
        scope = " ".join(self._parts.scopes.granted)
        return answers.granted(granted, api_url=self._parts.url, scope=scope)


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
