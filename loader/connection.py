"""The connection to the service: the transport, its access tokens and the gate, built as one.

Composition only; each part's behaviour is in `client` and `throttle`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from loader.client.tokens import Tokens
from loader.client.transport import HttpTransport
from loader.errors import UsageError
from loader.events import Observer
from loader.preflight import Service
from loader.settings import Credentials, LoadSettings, Target
from loader.throttle.gate import Gate, GateSettings
from loader.wire.oauth import DATA_CENTRES


class Connection(msgspec.Struct, frozen=True):
    """The connection to the service, and the gate before it."""

    transport: HttpTransport
    tokens: Tokens
    gate: Gate
    service: Service


@asynccontextmanager
async def connect(
    settings: LoadSettings, credentials: Credentials, observe: Observer
) -> AsyncIterator[Connection]:
    """Open for as long as the context lasts."""
    target = settings.target
    host = target.api_url.partition("://")[2]
    gate = Gate(GateSettings(settings.concurrency, settings.rate, settings.patience_s, host), observe=observe)
    accounts = HttpTransport(target.accounts_url, None, timeout_s=settings.timeout_s, connections=1)
    tokens = Tokens(
        credentials,
        accounts_url=target.accounts_url,
        send=accounts.send,
        patience_s=settings.patience_s,
        observe=observe,
    )
    transport = HttpTransport(
        target.api_url, tokens, timeout_s=settings.timeout_s, connections=settings.concurrency
    )
    async with accounts, transport:
        service = Service(transport.send, transport.renew_token, gate, host, time.time)
        yield Connection(transport, tokens, gate, service)


def require_same_data_centre(target: Target, api_domain: str) -> None:
    """Credentials of another data centre are never accepted: say so, instead of "invalid token"."""
    official = {centre.api_url: name for name, centre in DATA_CENTRES.items()}
    if target.api_url in official and api_domain in official and api_domain != target.api_url:
        raise UsageError(
            "the credentials belong to another data centre",
            why=f"they are for {api_domain}; this load goes to {target.api_url}",
            hint=f"Use --dc {official[api_domain]}.",
        )
