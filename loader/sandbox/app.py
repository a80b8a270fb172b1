"""The sandbox as a server: settings in, a served API on loopback until it is told to stop.

The parts are put together here and nowhere else. It never listens beyond this machine.
"""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Final

import anyio
import msgspec
from aiohttp import web

from loader.errors import UsageError
from loader.sandbox import scopes
from loader.sandbox.answers import OrgFacts, User
from loader.sandbox.auth import GRANTS_MAX, ClientSecrets, Tokens
from loader.sandbox.calls import Parts
from loader.sandbox.catalogue import Catalogue, catalogue
from loader.sandbox.faults import FaultPlan, FaultShare
from loader.sandbox.handlers import Api
from loader.sandbox.hold import cannot_use, held
from loader.sandbox.organisation import Organisation, read_organisation
from loader.sandbox.quotas import Credits, Places
from loader.sandbox.store import Store
from loader.sandbox.switches import Switch, switches
from loader.wire.editions import EDITIONS, credits_of

HOST: Final = "127.0.0.1"
BODY_BYTES_MAX: Final = 128 * 1024 * 1024
"""Our choice, for no page documents a maximum: a hundred lines of the loader's longest, and room."""

PLACES: Final = 10
"""Complex calls in flight (limits page, sub-concurrency)."""

EDITION_SHOWN: Final = "enterprise"
"""What `org` says where no edition is asked for."""

_USER_SERIAL: Final = 411_001
_SHUTDOWN_S: Final = 1.0


class SandboxSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What `loader sandbox` may be told."""

    port: int = 0
    """0: a free one."""
    db: Path | None = None
    """None: a temporary file that goes when the sandbox ends."""
    latency_s: float = 0.0
    slow_s: float = 5.0
    late_s: float = 2.0
    org: Path | None = None
    """A TOML file of what is the organisation's own."""
    edition: str | None = None
    """None: credits without end, and any number of small calls in flight."""
    users: int = 1
    """Licences; credits depend on them."""
    concurrency: int | None = None
    """Complex calls in flight, and of an edition all calls; None: `PLACES`, and what the edition allows."""
    credits: int | None = None
    """None: what the edition has."""
    scopes: tuple[str, ...] = scopes.DEFAULT
    switches: frozenset[str] = frozenset()
    token_life_s: int = 3600
    token_grants_max: int = GRANTS_MAX
    """Access tokens in ten minutes; tests that start many loaders give more."""
    grant_codes: tuple[str, ...] = ()
    """As the API console would show them: each may be turned into a refresh token once."""
    unique: tuple[str, ...] = ()
    external: tuple[str, ...] = ()
    faults: tuple[FaultShare, ...] = ()
    seed: int = 0
    id_prefix: int = 5_725_767
    """The first seven digits of every id."""

    def __post_init__(self) -> None:
        for name, least, most in _BOUNDS:
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                flag = "--" + name.removesuffix("_s").replace("_", "-")
                raise UsageError(f"{flag} {value} cannot be used", why=f"it must be from {least} to {most}")
        if self.edition is not None and self.edition not in EDITIONS:
            raise UsageError(
                f"--edition {self.edition!r} cannot be used",
                why="the editions are " + ", ".join(EDITIONS),
                hint="loader sandbox --edition enterprise --users 10",
            )
        if not self.scopes:
            raise UsageError("--scopes names no scope", hint='loader sandbox --scopes "ZohoCRM.modules.ALL"')


_BOUNDS: Final = (
    ("port", 0, 65_535),
    ("latency_s", 0.0, 3600.0),
    ("slow_s", 0.0, 3600.0),
    ("late_s", 0.0, 3600.0),
    ("users", 1, 1_000_000),
    ("concurrency", 1, 1000),
    ("credits", 0, 2**53),
    ("token_life_s", 1, 86_400),
    ("token_grants_max", 1, 1_000_000),
    ("id_prefix", 1_000_000, 9_000_000),
)


class Ready(msgspec.Struct, frozen=True):
    """What a client has to know; `loader sandbox` prints it as one JSON line."""

    url: str
    client_id: str
    client_secret: str
    refresh_token: str
    pid: int

    def line(self) -> str:
        return msgspec.json.encode(self).decode()


async def serve(settings: SandboxSettings, *, ready: Callable[[Ready], None]) -> None:
    """Serves until it is cancelled or gets SIGTERM or SIGINT; `ready` is called once calls are taken."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with running(settings) as facts:
            ready(facts)
            async for _ in signals:
                return


@asynccontextmanager
async def running(settings: SandboxSettings) -> AsyncIterator[Ready]:
    """A served sandbox for as long as the context lasts."""
    with ExitStack() as stack:
        directory = None
        if settings.db is None:
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="loader-sandbox-"))
        path = settings.db or Path(directory or "") / "sandbox.db"
        listener = stack.enter_context(closing(_listen(settings.port)))
        stack.enter_context(held(path))
        store = stack.enter_context(closing(_open(path, id_prefix=settings.id_prefix)))
        client = _client(store)
        plan = Organisation() if settings.org is None else read_organisation(settings.org)
        url = f"http://{HOST}:{listener.getsockname()[1]}"
        api = Api(_parts(settings, store, client, plan, url))
        stack.callback(api.close)
        runner = _runner(api)
        try:
            await runner.setup()
            await web.SockSite(runner, listener).start()
            yield Ready(url, client.client_id, client.client_secret, client.refresh_token, os.getpid())
        finally:
            with anyio.CancelScope(shield=True):
                await runner.cleanup()


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise UsageError(
            f"the sandbox cannot listen on port {port}",
            why=error.strerror or str(error),
            hint="Name another port, or leave it to the system: loader sandbox --port 0",
        ) from None
    return listener


def _open(path: Path, *, id_prefix: int) -> Store:
    try:
        return Store(path, id_prefix=id_prefix)
    except sqlite3.Error as error:
        raise cannot_use(path, str(error)) from None


def _client(store: Store) -> ClientSecrets:
    """The client that the database knows from an earlier run, else a new one."""
    kept = store.setting("client")
    if kept is not None:
        return msgspec.json.decode(kept, type=ClientSecrets)
    client = ClientSecrets.new()
    store.keep_setting("client", msgspec.json.encode(client).decode())
    return client


def _parts(
    settings: SandboxSettings, store: Store, client: ClientSecrets, plan: Organisation, url: str
) -> Parts:
    prefix, on = settings.id_prefix, switches(settings.switches)
    served = catalogue(
        unique=settings.unique,
        external=settings.external,
        id_prefix=prefix,
        organisation=plan,
        now=time.time,
        strict_picklists=Switch.STRICT_PICKLISTS in on,
    )
    users = _users(plan, prefix)
    callers = _callers(plan, client, users)
    return Parts(
        store=store,
        served=served,
        tokens=Tokens(
            client,
            life_s=settings.token_life_s,
            grants_max=settings.token_grants_max,
            others=tuple(callers)[1:],
            codes=settings.grant_codes,
        ),
        scopes=scopes.Scopes(settings.scopes, _words(served)),
        calls=Places(_calls_in_flight(settings)),
        places=Places(PLACES if settings.concurrency is None else settings.concurrency),
        credits=Credits(_credits(settings)),
        faults=FaultPlan(settings.faults, seed=settings.seed),
        users=users,
        callers=callers,
        org=OrgFacts(
            f"{prefix}000000020005", plan.company, settings.edition or EDITION_SHOWN, settings.users
        ),
        organisation=plan,
        url=url,
        switches=on,
        latency_s=settings.latency_s,
        slow_s=settings.slow_s,
        late_s=settings.late_s,
    )


def _users(plan: Organisation, prefix: int) -> tuple[User, ...]:
    if not plan.users:
        return (User(id=f"{prefix}{_USER_SERIAL:012d}"),)
    found: dict[str, User] = {}
    for number, each in enumerate(plan.users):
        serial = _USER_SERIAL + number
        user_id = each.id or f"{prefix}{serial:012d}"
        if user_id in found:
            raise plan.mistake(f"users[{number}].id", f"{user_id} is the id of another user")
        found[user_id] = User(user_id, each.name, each.email, str(serial))
    return tuple(found.values())


def _callers(plan: Organisation, client: ClientSecrets, users: tuple[User, ...]) -> Mapping[str, User]:
    """Users by refresh token: the first has the client's, others have theirs or make no calls."""
    found = {client.refresh_token: users[0]}
    for number, (each, user) in enumerate(zip(plan.users, users, strict=False)):
        if not each.refresh_token:
            continue
        if number == 0:
            raise plan.mistake(
                "users[0].refresh_token", "the first user's is the one that the sandbox prints"
            )
        if each.refresh_token in found:
            raise plan.mistake(f"users[{number}].refresh_token", "another user has the same")
        found[each.refresh_token] = user
    return found


def _words(served: Catalogue) -> Mapping[str, frozenset[str]]:
    return {name: scopes.words_of(name, custom=each.plan.custom) for name, each in served.items()}


def _calls_in_flight(settings: SandboxSettings) -> int | None:
    if settings.edition is None:
        return None
    return settings.concurrency or EDITIONS[settings.edition].concurrency


def _credits(settings: SandboxSettings) -> int | None:
    if settings.credits is not None or settings.edition is None:
        return settings.credits
    return credits_of(settings.edition, settings.users)


def _runner(api: Api) -> web.AppRunner:
    app = web.Application(client_max_size=BODY_BYTES_MAX)
    app.router.add_route("*", "/{path:.*}", api.handle)
    return web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_SHUTDOWN_S)
