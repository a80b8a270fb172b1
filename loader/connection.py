"""The connection to the service: the transport, its access tokens and the gate, built as one.

Composition only; each part's behaviour is in `client` and `throttle`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from typing import Final

import msgspec

from loader.client.token_memory import TokenMemory
from loader.client.tokens import Tokens
from loader.client.transport import HttpTransport
from loader.errors import UsageError
from loader.events import Observer, Warned
from loader.machine.state import SharedState
from loader.preflight import Preflight, Service
from loader.settings import Credentials, LoadSettings, Target
from loader.throttle.gate import Gate, GateSettings
from loader.wire.editions import credits_of
from loader.wire.oauth import DATA_CENTRES


class SteadyClock:
    """Unix seconds by this machine's clock as it stood at the start; whoever sets that clock changes nothing.

    The offset to the server's clock is learnt once. Were the wall clock set back or forward afterwards, the
    times of attempts would be wrong, and with them whose a duplicate is.
    """

    def __init__(
        self, *, wall: Callable[[], float] = time.time, running: Callable[[], float] | None = None
    ) -> None:
        self._running = running or _running_s
        self._epoch = wall() - self._running()

    def __call__(self) -> float:
        return self._epoch + self._running()


_RUNNING: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def _running_s() -> float:
    """Seconds that go on while the machine sleeps, where the system counts them."""
    return time.clock_gettime(_RUNNING)


steady_time: Final = SteadyClock()
"""The clock of this process."""


class Connection(msgspec.Struct, frozen=True):
    """The connection to the service, and the gate before it."""

    transport: HttpTransport
    tokens: Tokens
    gate: Gate
    service: Service
    shared: SharedState

    def join(self, facts: Preflight) -> None:
        """The organisation is known: credits and places are shared with its other loads from here on."""
        total = None if facts.licences is None else credits_of(facts.edition, facts.licences)
        self.shared.join(facts.organisation, total=total)


def shared_state(settings: LoadSettings, credentials: Credentials, observe: Observer) -> SharedState:
    """What loads with these credentials share on this machine; to be closed by whoever asks for it."""
    return SharedState(
        settings.state_dir,
        host=_host(settings),
        credentials=credentials.refresh_token or credentials.access_token,
        lasting=bool(credentials.refresh_token),
        daily_credits=settings.daily_credits,
        keep=settings.keep_credits.of,
        warn=lambda text: observe(Warned(text)),
    )


def _host(settings: LoadSettings) -> str:
    return settings.target.api_url.partition("://")[2]


@asynccontextmanager
async def connect(
    settings: LoadSettings,
    credentials: Credentials,
    observe: Observer,
    *,
    token_memory: TokenMemory | None = None,
) -> AsyncIterator[Connection]:
    """Open for as long as the context lasts.

    `token_memory`: where loads of this process share their access tokens; None: this one takes its own.
    """
    target = settings.target
    host = _host(settings)
    shared = shared_state(settings, credentials, observe)
    gate = Gate(
        GateSettings(settings.concurrency, settings.rate, settings.patience_s, host, wait_s=settings.wait_s),
        observe=observe,
        budget=shared.credits,
        places=shared.places,
        # anyio would ask at each look which kind of event loop this is.
        clock=asyncio.get_running_loop().time,
    )
    accounts = HttpTransport(target.accounts_url, None, timeout_s=settings.timeout_s, connections=1)
    tokens = Tokens(
        credentials,
        accounts_url=target.accounts_url,
        send=accounts.send,
        patience_s=settings.patience_s,
        observe=observe,
        grants=shared.grants,
        held=None if token_memory is None else token_memory.of(credentials, target.accounts_url),
    )
    transport = HttpTransport(
        target.api_url, tokens, timeout_s=settings.timeout_s, connections=settings.concurrency
    )
    async with accounts, transport:
        service = Service(transport.ready, transport.send, transport.renew_token, gate, host, steady_time)
        with closing(shared):
            shared.join_known()
            yield Connection(transport, tokens, gate, service, shared)


def require_same_data_centre(target: Target, api_domain: str) -> None:
    """Credentials of another data centre are never accepted: say so, instead of "invalid token"."""
    official = {centre.api_url: name for name, centre in DATA_CENTRES.items()}
    if target.api_url in official and api_domain in official and api_domain != target.api_url:
        raise UsageError(
            "the credentials belong to another data centre",
            why=f"they are for {api_domain}; this load goes to {target.api_url}",
            hint=f"Use --dc {official[api_domain]}.",
        )
