"""Access tokens: the current one, and one refresh for all who need a newer one.

No secret is in any message, `repr` or exception of this module.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, NoReturn, Protocol, assert_never
from urllib.parse import urlsplit

import anyio
import msgspec

from loader.client.masking import masked
from loader.errors import CredentialsError, NotNowError
from loader.events import Observer, ServiceUnreachable, TokenAwaited, TokenRefreshed
from loader.throttle.grants import OwnGrants
from loader.wire.limits import TOKENS_MAX, TOKENS_WINDOW_S
from loader.wire.messages import Fault, HttpReply, HttpRequest, Reply
from loader.wire.oauth import AccessToken, TokenRefused, TokenThrottled, read_token, refresh_request

MARGIN_S: Final = 60.0
"""A token with less left than this is renewed before it is used; of a short life, a tenth."""

SPACING_S: Final = TOKENS_WINDOW_S / TOKENS_MAX
"""Renewing ahead of time happens no oftener than this, however short the tokens live: the token service
locks out who asks more than 10 times in 10 minutes. A token that has died meanwhile costs one 401."""

DELAY_MAX_S: Final = 30.0

TURN_POLL_S: Final = 0.1
"""How often a process looks whether another one has done with its refresh."""

TURN_TOLD_S: Final = 2.0
"""So long another one's refresh may take before it is told: most take less."""

_NO_GRANT: Final = frozenset(
    {Fault.UNREACHABLE, Fault.CERTIFICATE, Fault.CONNECT_TIMEOUT, Fault.NOT_HANDED_OVER}
)
"""The token service cannot have had the request."""


Answer = AccessToken | TokenRefused | TokenThrottled | None
"""None: there was none."""


class NumberedToken(msgspec.Struct, frozen=True):
    """An access token, and which one it is, counted from 1. Never printed."""

    value: str
    number: int

    def __repr__(self) -> str:
        return f"NumberedToken(number={self.number})"


class Secrets(Protocol):
    """The credentials: a refresh token with its client, or an access token that is never refreshed."""

    @property
    def client_id(self) -> str: ...

    @property
    def client_secret(self) -> str: ...

    @property
    def refresh_token(self) -> str: ...

    @property
    def access_token(self) -> str: ...


class Grants(Protocol):
    """The tokens asked for with one refresh token, by everybody who is to keep to its one limit."""

    def try_turn(self) -> bool:
        """Whether it is this caller's turn; if so, nobody else's until `end_turn`."""
        ...

    def end_turn(self) -> None: ...

    def take(self) -> float:
        """0.0: a token may be asked for now, and counts. Else the seconds until one may."""
        ...

    def granted(self) -> None:
        """The one last taken was granted at this moment, or may have been."""
        ...

    def give_back(self) -> None:
        """The one last taken was not granted."""
        ...


class Tokens:
    """The access token of one load, shared by all its calls."""

    def __init__(
        self,
        secrets: Secrets,
        *,
        accounts_url: str,
        send: Callable[[HttpRequest], Awaitable[Reply]],
        patience_s: float,
        observe: Observer,
        grants: Grants | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """`send` reaches the token service at `accounts_url`; it is not used for a fixed access token.

        `grants`: shared with the other loads that use the same refresh token; None: there are none.
        """
        self._secrets = secrets
        self._host = urlsplit(accounts_url).netloc
        self._send = send
        self._patience_s = patience_s
        self._observe = observe
        self._clock = clock
        self._sleep = sleep
        self._lock = anyio.Lock()
        self._token: NumberedToken | None = None
        self._renew_at = 0.0
        self._grants: Grants = grants or OwnGrants(clock)
        self._failures = 0
        self._refused: CredentialsError | None = None
        self._api_domain = ""
        self._scope = ""
        if not secrets.refresh_token:
            self._token = NumberedToken(_require_sound(secrets.access_token), 1)

    @property
    def api_domain(self) -> str:
        """The API host that the token service names for these credentials; empty until it has."""
        return self._api_domain

    @property
    def scopes(self) -> tuple[str, ...]:
        """What the tokens may be used for, as the token service names it; none until it has."""
        return tuple(self._scope.replace(",", " ").split())

    @property
    def refreshes(self) -> int:
        """How many tokens were obtained."""
        return self._token.number if self._token and self._secrets.refresh_token else 0

    async def current(self) -> NumberedToken:
        """The token to use now.

        Raises:
            CredentialsError: the token service refuses the credentials.
            NotNowError: it gave no token within patience.
        """
        token = self._token
        if token is None:
            return await self.renew(0)
        if not self._secrets.refresh_token or self._clock() < self._renew_at:
            return token
        return await self.renew(token.number)

    async def renew(self, number: int) -> NumberedToken:
        """A token newer than `number`: obtained now, unless another caller did so. Raises as `current`."""
        if not self._secrets.refresh_token:
            raise CredentialsError(
                "the access token is no longer accepted, and there is nothing to renew it with",
                why="LOADER_ACCESS_TOKEN alone lives for an hour at most",
                hint="Set LOADER_CLIENT_ID, LOADER_CLIENT_SECRET and LOADER_REFRESH_TOKEN, or a new"
                " LOADER_ACCESS_TOKEN; then run the same command again.",
            )
        failures = self._failures
        # Who holds the lock refreshes; if it is cancelled, the next in line does. The others find it done.
        async with self._lock:
            if self._token is not None and self._token.number > number:
                return self._token
            if self._refused is not None:
                raise CredentialsError(self._refused.what, why=self._refused.why, hint=self._refused.hint)
            if self._failures != failures:
                self._give_up("another call has just waited in vain")
            return await self._refresh()

    async def _refresh(self) -> NumberedToken:
        gives_up_at = self._clock() + self._patience_s
        tries = 0
        while True:
            reply, answer = await self._ask(gives_up_at)
            match answer:
                case AccessToken():
                    return self._take(answer)
                case TokenRefused():
                    self._refuse(answer)
                case TokenThrottled():
                    reason = answer.reason
                case None:
                    assert not isinstance(reply, HttpReply)
                    if reply.fault is Fault.CERTIFICATE:
                        self._refuse_host(reply.detail)
                    reason = reply.detail
                case _ as unreachable:
                    assert_never(unreachable)
            left_s = gives_up_at - self._clock()
            if left_s <= 0:
                self._give_up(reason)
            # The last try comes when patience ends, not a long delay before.
            await self._wait(min(2.0 ** min(tries, 5), DELAY_MAX_S, left_s), reason, left_s)
            tries += 1

    def _masked(self, reply: HttpReply) -> HttpReply:
        """The reply without the secrets of the request, which an error of this service may repeat."""
        secrets = (self._secrets.refresh_token, self._secrets.client_secret)
        return msgspec.structs.replace(reply, body=masked(reply.body, secrets))

    def _take(self, answer: AccessToken) -> NumberedToken:
        now = self._clock()
        margin_s = min(MARGIN_S, answer.expires_in_s / 10)
        self._renew_at = now + max(answer.expires_in_s - margin_s, SPACING_S)
        self._api_domain = answer.api_domain
        self._scope = answer.scope
        self._token = NumberedToken(answer.value, self._token.number + 1 if self._token else 1)
        self._observe(TokenRefreshed())
        return self._token

    async def _ask(self, gives_up_at: float) -> tuple[Reply, Answer]:
        """One request, when it is this load's turn and the limit allows it: beyond that we are locked out."""
        while True:
            async with self._turn(gives_up_at):
                if (wait_s := self._grants.take()) <= 0:
                    return await self._request()
            reason = f"{TOKENS_MAX} access tokens in {TOKENS_WINDOW_S // 60} minutes are used up"
            left_s = gives_up_at - self._clock()
            if wait_s > left_s:
                self._give_up(reason)
            self._observe(TokenAwaited(self._host, reason, left_s))
            # A moment more: a clock that rounds down must not bring us back too early.
            await self._sleep(wait_s + 0.001)

    async def _request(self) -> tuple[Reply, Answer]:
        counted = False
        try:
            reply = await self._send(
                refresh_request(
                    client_id=self._secrets.client_id,
                    client_secret=self._secrets.client_secret,
                    refresh_token=self._secrets.refresh_token,
                )
            )
            answer = read_token(self._masked(reply)) if isinstance(reply, HttpReply) else None
            self._count(reply, answer)
            counted = True
        finally:
            if not counted:  # cancelled: nobody hears what came of it
                self._grants.granted()
        return reply, answer

    @asynccontextmanager
    async def _turn(self, gives_up_at: float) -> AsyncIterator[None]:
        """One request at a time, whichever load makes it; beyond patience nobody is waited for."""
        mine = self._grants.try_turn()
        told_at = self._clock() + TURN_TOLD_S
        while not mine and (left_s := gives_up_at - self._clock()) > 0:
            if self._clock() >= told_at:
                self._observe(TokenAwaited(self._host, "another load is asking for one", left_s))
                told_at = gives_up_at
            await self._sleep(min(TURN_POLL_S, left_s))
            mine = self._grants.try_turn()
        try:
            yield
        finally:
            if mine:
                self._grants.end_turn()

    def _count(self, reply: Reply, answer: Answer) -> None:
        """A token that may have been granted counts: an answer that was lost may have held one."""
        if isinstance(reply, HttpReply):
            # A refusal in words may come as HTTP 200; a throttle that does is an answer nobody could read.
            none = isinstance(answer, TokenRefused) or reply.status != 200
        else:
            none = reply.fault in _NO_GRANT
        if none:
            self._grants.give_back()
        else:
            self._grants.granted()

    async def _wait(self, delay_s: float, reason: str, left_s: float) -> None:
        self._observe(ServiceUnreachable(self._host, reason, left_s))
        await self._sleep(delay_s)

    def _give_up(self, reason: str) -> NoReturn:
        self._failures += 1
        raise NotNowError(
            f"{self._host} gives no access token",
            why=reason,
            hint="Run the same command again later; --patience TIME waits longer.",
        )

    def _refuse(self, refused: TokenRefused) -> NoReturn:
        self._refused = CredentialsError(
            f"{self._host} refuses the credentials" + (f": {refused.error}" if refused.error else ""),
            why=refused.reason,
            hint="Check LOADER_CLIENT_ID, LOADER_CLIENT_SECRET, LOADER_REFRESH_TOKEN and --dc (credentials"
            " are good for one data centre), then run the same command again.",
        )
        raise self._refused

    def _refuse_host(self, detail: str) -> NoReturn:
        self._refused = CredentialsError(
            f"{self._host} cannot prove who it is, so it is not told the credentials",
            why=detail,
            hint="Check --accounts-url, the clock of this machine, and whether a proxy breaks TLS open.",
        )
        raise self._refused


def _require_sound(token: str) -> str:
    """A token fit for a header line; a line end in it would be the start of another header."""
    if token and token.isascii() and token.isprintable():
        return token
    raise CredentialsError(
        "there are no credentials" if not token else "LOADER_ACCESS_TOKEN is not an access token",
        why="" if not token else "it holds a line end or another character that no token has",
        hint="Set LOADER_CLIENT_ID, LOADER_CLIENT_SECRET and LOADER_REFRESH_TOKEN, or LOADER_ACCESS_TOKEN.",
    )
