"""Access tokens: the current one, and one refresh for all who need a newer one.

No secret is in any message, `repr` or exception of this module.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, NoReturn, Protocol, assert_never
from urllib.parse import urlsplit

import anyio
import msgspec

from loader.client.masking import masked
from loader.client.token_memory import HeldToken, Latest, NumberedToken, Secrets
from loader.errors import CredentialsError, NotNowError
from loader.events import Observer, ServiceUnreachable, TokenAwaited, TokenRefreshed
from loader.wire.limits import TOKENS_MAX, TOKENS_WINDOW_S
from loader.wire.messages import Fault, HttpReply, HttpRequest, Reply
from loader.wire.oauth import (
    TOKENS_ALLOWED,
    AccessToken,
    TokenRefused,
    TokenThrottled,
    read_token,
    refresh_request,
)

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


USED_UP: Final = f"{TOKENS_ALLOWED}, and this machine has taken them"

NotGranted = TokenRefused | TokenThrottled | None
"""What came in place of a token; None: no answer."""


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
    """The access token of one load, shared by all its calls, and with other loads if it is given theirs."""

    def __init__(
        self,
        secrets: Secrets,
        *,
        accounts_url: str,
        send: Callable[[HttpRequest], Awaitable[Reply]],
        patience_s: float,
        observe: Observer,
        grants: Grants | None = None,
        held: HeldToken | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """`send` reaches the token service at `accounts_url`; it is not used for a fixed access token.

        `grants`: shared with the other loads that use the same refresh token; None: there are none.
        `held`: shared with other loads of this process, whose `clock` is this one; None: with nobody.
        """
        self._secrets = secrets
        self._host = urlsplit(accounts_url).netloc
        self._send = send
        self._patience_s = patience_s
        self._observe = observe
        self._clock = clock
        self._wall = wall
        self._sleep = sleep
        self._lock = anyio.Lock()
        self._held = HeldToken(clock) if held is None or not secrets.refresh_token else held
        self._grants: Grants = grants or self._held.grants
        self._refreshes = 0
        self._in_vain: NotNowError | None = None
        self._refused: CredentialsError | None = None
        if not secrets.refresh_token:
            self._held.latest = Latest(NumberedToken(_require_sound(secrets.access_token), 1), math.inf)

    @property
    def api_domain(self) -> str:
        """The API host that the token service names for these credentials; empty until it has."""
        return self._held.latest.api_domain if self._held.latest else ""

    @property
    def scopes(self) -> tuple[str, ...]:
        """What the tokens may be used for, as the token service names it; none until it has."""
        scope = self._held.latest.scope if self._held.latest else ""
        return tuple(scope.replace(",", " ").split())

    @property
    def refreshes(self) -> int:
        """How many tokens this load obtained."""
        return self._refreshes

    async def current(self) -> NumberedToken:
        """The token to use now.

        Raises:
            CredentialsError: the token service refuses the credentials.
            NotNowError: it gave no token within patience.
        """
        latest = self._held.latest
        if latest is None:
            return await self.renew(0)
        if self._clock() < latest.renew_at:
            return latest.token
        return await self.renew(latest.token.number)

    async def renew(self, number: int) -> NumberedToken:
        """A token newer than `number`: obtained now, unless another caller did so. Raises as `current`."""
        if not self._secrets.refresh_token:
            raise CredentialsError(
                "the access token is no longer accepted, and there is nothing to renew it with",
                why=f"{self._named('an access token')} alone lives for an hour at most",
                hint="Set LOADER_CLIENT_ID, LOADER_CLIENT_SECRET and LOADER_REFRESH_TOKEN, or a new token in"
                f" {self._named('LOADER_ACCESS_TOKEN')}; then run the same command again.",
            )
        in_vain = self._in_vain
        # Who holds the lock refreshes; if it is cancelled, the next in line does. The others find it done.
        async with self._lock:
            if newer := self._held.newer_than(number):
                return newer
            if self._refused is not None:
                raise CredentialsError(self._refused.what, why=self._refused.why, hint=self._refused.hint)
            if self._in_vain is not None and self._in_vain is not in_vain:  # another call has just waited
                raise NotNowError(self._in_vain.what, why=self._in_vain.why, hint=self._in_vain.hint)
            return await self._refresh(number)

    async def _refresh(self, number: int) -> NumberedToken:
        gives_up_at = self._clock() + self._patience_s
        tries = 0
        while True:
            got = await self._ask(number, gives_up_at)
            if isinstance(got, NumberedToken):
                return got
            reply, answer = got
            left_s = gives_up_at - self._clock()
            match answer:
                case TokenRefused():
                    self._refuse(answer)
                case TokenThrottled(reason=reason, at_limit=True):
                    if left_s <= 0:
                        self._give_up_at_limit(reason, TOKENS_WINDOW_S)
                    self._observe(TokenAwaited(self._host, reason, left_s))
                    # Who asks on and on is locked out for longer, so no quick tries come first.
                    await self._sleep(min(DELAY_MAX_S, left_s))
                    continue
                case TokenThrottled():
                    reason = answer.reason
                case None:
                    assert not isinstance(reply, HttpReply)
                    if reply.fault is Fault.CERTIFICATE:
                        self._refuse_host(reply.detail)
                    reason = reply.detail
                case _ as unreachable:
                    assert_never(unreachable)
            if left_s <= 0:
                self._give_up(reason)
            self._observe(ServiceUnreachable(self._host, reason, left_s))
            # The last try comes when patience ends, not a long delay before.
            await self._sleep(min(2.0 ** min(tries, 5), DELAY_MAX_S, left_s))
            tries += 1

    def _masked(self, reply: HttpReply) -> HttpReply:
        """The reply without the secrets of the request, which an error of this service may repeat."""
        secrets = (self._secrets.refresh_token, self._secrets.client_secret)
        return msgspec.structs.replace(reply, body=masked(reply.body, secrets))

    def _take(self, answer: AccessToken) -> NumberedToken:
        margin_s = min(MARGIN_S, answer.expires_in_s / 10)
        renew_at = self._clock() + max(answer.expires_in_s - margin_s, SPACING_S)
        before = self._held.latest
        token = NumberedToken(answer.value, before.token.number + 1 if before else 1)
        self._held.latest = Latest(token, renew_at, answer.api_domain, answer.scope)
        self._refreshes += 1
        self._observe(TokenRefreshed())
        return token

    async def _ask(self, number: int, gives_up_at: float) -> NumberedToken | tuple[Reply, NotGranted]:
        """One request, when it is this load's turn and the limit allows it: beyond that we are locked out.

        A token that another load obtained meanwhile, where they share it, does as well.
        """
        while True:
            async with self._turn(gives_up_at):
                if newer := self._held.newer_than(number):
                    return newer
                if (wait_s := self._grants.take()) <= 0:
                    reply, answer = await self._request()
                    return self._take(answer) if isinstance(answer, AccessToken) else (reply, answer)
            left_s = gives_up_at - self._clock()
            if wait_s > left_s:
                self._give_up_at_limit(USED_UP, wait_s)
            self._observe(TokenAwaited(self._host, USED_UP, left_s, wait_s))
            # A moment more: a clock that rounds down must not bring us back too early.
            await self._sleep(wait_s + 0.001)

    async def _request(self) -> tuple[Reply, AccessToken | NotGranted]:
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
        mine = self._try_turn()
        told_at = self._clock() + TURN_TOLD_S
        while not mine and (left_s := gives_up_at - self._clock()) > 0:
            if self._clock() >= told_at:
                self._observe(TokenAwaited(self._host, "another load is asking for one", left_s))
                told_at = gives_up_at
            await self._sleep(min(TURN_POLL_S, left_s))
            mine = self._try_turn()
        try:
            yield
        finally:
            if mine:
                self._grants.end_turn()
                self._held.end_turn()

    def _try_turn(self) -> bool:
        """This process's loads among themselves first, then the machine's."""
        if not self._held.try_turn():
            return False
        if self._grants.try_turn():
            return True
        self._held.end_turn()
        return False

    def _count(self, reply: Reply, answer: AccessToken | NotGranted) -> None:
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

    def _give_up(self, reason: str) -> NoReturn:
        again = "Run the same command again later; with --patience TIME it waits longer."
        self._end(reason, f"Nothing is lost. {again}")

    def _give_up_at_limit(self, reason: str, wait_s: float) -> NoReturn:
        """`wait_s`: until there is one again, at the latest."""
        # Whole minutes, and a second: who comes back then is not too early.
        back = datetime.fromtimestamp(self._wall() + wait_s + 1).astimezone()
        self._end(
            f"{reason}; there is one again in {-(-wait_s // 60):.0f} m at the latest",
            f"Nothing is lost. Run the same command again at {back:%H:%M:%S} local time; where it takes"
            f" --patience, it waits for that by itself: --patience {wait_s // 60 + 1:.0f}min",
        )

    def _end(self, why: str, hint: str) -> NoReturn:
        self._in_vain = NotNowError(f"{self._host} gives no access token", why=why, hint=hint)
        raise self._in_vain

    def _refuse(self, refused: TokenRefused) -> NoReturn:
        self._refused = CredentialsError(
            f"{self._host} refuses the credentials" + (f": {refused.error}" if refused.error else ""),
            why=refused.reason,
            hint=f"Check {self._named('client id, client secret, refresh token')} and --dc (credentials are"
            " good for one data centre), then run the same command again.",
        )
        raise self._refused

    def _named(self, otherwise: str) -> str:
        """Where the credentials were read, as a person may have to mend them there."""
        return ", ".join(self._secrets.named) or otherwise

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
