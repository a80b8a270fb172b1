"""A call on its way through the API, what every call works with, and the quotas that it passes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Final

import msgspec
from aiohttp import web

from loader.sandbox import answers
from loader.sandbox.answers import Answer, OrgFacts, User
from loader.sandbox.auth import Tokens
from loader.sandbox.catalogue import Catalogue
from loader.sandbox.faults import FaultKind, FaultPlan
from loader.sandbox.organisation import Organisation
from loader.sandbox.quotas import Credits, Places
from loader.sandbox.scopes import Scopes
from loader.sandbox.store import Call, Store
from loader.sandbox.switches import Switch

ZONE: Final = timezone(timedelta(hours=-7))
"""The organisation's time zone; not UTC, so that a client which overlooks the offset is found out."""


class Exchange:
    """One call on its way: the request, and what is to be noted of it."""

    def __init__(self, request: web.Request, number: int, at: float) -> None:
        self.request = request
        self.number = number
        self.at = at
        self.records = 0
        self.credits = 0
        """What it was charged."""
        self.user: User | None = None
        """Who makes the call, once that is known: the token may end while the call is on its way."""
        self.fault: FaultKind | None = None
        self.noted: Call | None = None

    def row(self, status: int | None, *, answered: bool) -> Call:
        request = self.request
        fault = None if self.fault is None else str(self.fault)
        return Call(
            self.number,
            self.at,
            request.method,
            request.path,
            self.records,
            status,
            fault,
            answered,
            self.credits,
        )

    @property
    def caller(self) -> User:
        """Who makes the call, which has passed the credentials."""
        assert self.user is not None, "a call is let in under somebody's name"
        return self.user

    @property
    def authorization(self) -> str:
        return self.request.headers.get("Authorization", "")

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
    served: Catalogue
    tokens: Tokens
    scopes: Scopes
    calls: Places
    """Of all calls."""
    places: Places
    """Of complex calls."""
    credits: Credits
    faults: FaultPlan
    users: tuple[User, ...]
    """The first is whose refresh token the sandbox prints."""
    callers: Mapping[str, User]
    """By refresh token."""
    org: OrgFacts
    organisation: Organisation
    url: str
    switches: frozenset[Switch] = frozenset()
    latency_s: float = 0.0
    slow_s: float = 5.0
    """What a slow answer takes beyond the latency."""
    late_s: float = 2.0
    """How long after its call was dropped a late one is applied."""
    clock: Callable[[], float] = time.time

    def user_with(self, user_id: str) -> User:
        """The user with this id; the first one, where there is none any more."""
        return next((each for each in self.users if each.id == user_id), self.users[0])


async def wait(parts: Parts) -> None:
    """The latency of a call."""
    if parts.latency_s > 0:
        await asyncio.sleep(parts.latency_s)


def priced(parts: Parts, read: Callable[[Exchange], Answer]) -> Handler:
    """A read that costs one credit and takes the latency."""

    async def handler(exchange: Exchange) -> Answer:
        if not charged(parts, exchange, 1):
            return answers.TOO_MANY_REQUESTS
        answer = read(exchange)
        await wait(parts)
        return answer

    return handler


def charged(parts: Parts, exchange: Exchange, cost: int) -> bool:
    """Charges the call so many credits, or nothing and False where fewer are left."""
    if not parts.credits.spend(cost, now=exchange.at):
        return False
    exchange.credits = cost
    return True


async def within_quotas(
    parts: Parts, exchange: Exchange, work: Callable[..., Any], *arguments: Any, place: bool, cost: int
) -> Answer | None:
    """Does the work inside the quotas; the place is held until the answer is ready to leave."""
    if place and not parts.places.take():
        return too_many(exchange)
    try:
        if not charged(parts, exchange, cost):
            return too_many(exchange)
        answer: Answer | None = await work(exchange, *arguments)
        await wait(parts)
        if exchange.fault is FaultKind.SLOW:
            await asyncio.sleep(parts.slow_s)
        return answer
    finally:
        if place:
            parts.places.give_back()


def too_many(exchange: Exchange) -> Answer:
    """What a call gets that goes beyond a quota."""
    exchange.fault = None  # refused before it could strike
    return answers.TOO_MANY_REQUESTS


def iso(at: float) -> str:
    """A time as the API writes it."""
    return datetime.fromtimestamp(int(at), ZONE).isoformat()
