"""Access tokens as the accounts server gives them out and the API believes them. `now` is handed in.

Nothing here knows HTTP: a grant or a refusal is a value, `answers.py` writes it down.
"""

from __future__ import annotations

import secrets
from collections import deque
from enum import StrEnum
from typing import Final

import msgspec

GRANTS_WINDOW_S: Final = 600
"""Access tokens are counted over ten minutes (accounts documentation, refresh-access-token page)."""

GRANTS_MAX: Final = 10
"""Access tokens that a refresh token gets in that time (same page)."""

ACTIVE_TOKENS_MAX: Final = 15
"""Access tokens of a refresh token that live at once; one more ends the oldest (accounts documentation)."""

_BY_CODE: Final = "authorization_code"
"""The other grant type: a self client's code (accounts documentation, self-client page)."""

SCHEMES: Final = ("zoho-oauthtoken", "bearer")
"""Both are documented (insert-records page; OAuth page)."""


MARK: Final = "5a4db0c5ca4a"
"""Part of every secret that a sandbox makes: nobody takes one for a real credential, and one search finds any
of them wherever it should not be."""


def _secret() -> str:
    return MARK + secrets.token_hex(10)


class ClientSecrets(msgspec.Struct, frozen=True):
    """What a client of the sandbox has to know; never printed by `repr`."""

    client_id: str
    client_secret: str
    refresh_token: str

    @classmethod
    def new(cls) -> ClientSecrets:
        return cls(
            client_id=f"1000.{secrets.token_hex(15).upper()}",
            client_secret=_secret() + secrets.token_hex(5),
            refresh_token=f"1000.{_secret()}.{_secret()}",
        )

    def __repr__(self) -> str:
        return "ClientSecrets(...)"


class Grant(msgspec.Struct, frozen=True):
    """A new access token."""

    access_token: str
    expires_in_s: int
    refresh_token: str = ""
    """Only for a grant code."""


class Refusal(StrEnum):
    """Why no access token was given."""

    INVALID_CLIENT = "invalid_client"
    INVALID_CODE = "invalid_code"
    UNSUPPORTED_GRANT = "unsupported_grant_type"
    ACCESS_DENIED = "Access Denied"


class Belief(StrEnum):
    """What the API makes of an Authorization header."""

    BELIEVED = "believed"
    NO_TOKEN = "no token"  # noqa: S105  (no password: a word for its absence)
    """No header, or none that is understood."""
    UNKNOWN_TOKEN = "unknown token"  # noqa: S105
    """A token that was never given, has expired or was ended by newer ones."""


class _Given(msgspec.Struct, frozen=True):
    """An access token that was given."""

    expiry: float
    refresh_token: str


class Tokens:
    """The access tokens of a client, for each of its refresh tokens."""

    def __init__(
        self,
        client: ClientSecrets,
        *,
        life_s: int,
        grants_max: int = GRANTS_MAX,
        others: tuple[str, ...] = (),
        codes: tuple[str, ...] = (),
    ) -> None:
        """`others`: refresh tokens of further users; `codes`: grant codes, each good for one answer."""
        self.client = client
        self._life_s = life_s
        self._grants_max = grants_max
        self._granted: dict[str, deque[float]] = {each: deque() for each in (client.refresh_token, *others)}
        self._given: dict[str, _Given] = {}
        """By access token, oldest first."""
        self._codes = set(codes)

    def grant(self, form: dict[str, str], *, now: float) -> Grant | Refusal:
        """Answers a token request; only tokens that were given count towards the throttle."""
        refusal = self._refusal(form)
        if refusal is not None:
            return refusal
        by_code = form["grant_type"] == _BY_CODE
        # The service makes a new one for each code; here it is the client's, which the database keeps.
        refresh_token = self.client.refresh_token if by_code else form["refresh_token"]
        granted = self._granted[refresh_token]
        while granted and granted[0] <= now - GRANTS_WINDOW_S:
            granted.popleft()
        if len(granted) >= self._grants_max:
            return Refusal.ACCESS_DENIED
        granted.append(now)
        new = self._new_token(refresh_token, now)
        if not by_code:
            return new
        self._codes.remove(form["code"])
        return msgspec.structs.replace(new, refresh_token=refresh_token)

    def believe(self, header: str | None, *, now: float) -> Belief:
        """Whether this Authorization header opens the API."""
        scheme, _, token = (header or "").partition(" ")
        token = token.strip()
        if scheme.lower() not in SCHEMES or not token:
            return Belief.NO_TOKEN
        given = self._given.get(token)
        return Belief.BELIEVED if given is not None and given.expiry > now else Belief.UNKNOWN_TOKEN

    def revoke(self, header: str) -> None:
        """Ends the token of a believed header before its time."""
        self._given.pop(header.partition(" ")[2].strip(), None)

    def expiry(self, header: str) -> float | None:
        """When the token of a believed header expires, in seconds since the epoch."""
        given = self._given.get(header.partition(" ")[2].strip())
        return None if given is None else given.expiry

    def refresh_token_of(self, header: str) -> str:
        """What the token of a believed header was given for: it says whose call it is."""
        return self._given[header.partition(" ")[2].strip()].refresh_token

    def _refusal(self, form: dict[str, str]) -> Refusal | None:
        if form.get("grant_type") not in ("refresh_token", _BY_CODE):
            return Refusal.UNSUPPORTED_GRANT
        if (form.get("client_id"), form.get("client_secret")) != (
            self.client.client_id,
            self.client.client_secret,
        ):
            return Refusal.INVALID_CLIENT
        if form["grant_type"] == _BY_CODE:
            return None if form.get("code") in self._codes else Refusal.INVALID_CODE
        return None if form.get("refresh_token") in self._granted else Refusal.INVALID_CODE

    def _new_token(self, refresh_token: str, now: float) -> Grant:
        active = [token for token, given in self._given.items() if given.refresh_token == refresh_token]
        if len(active) >= ACTIVE_TOKENS_MAX:
            del self._given[active[0]]
        token = f"1000.{_secret()}.{_secret()}"
        self._given[token] = _Given(now + self._life_s, refresh_token)
        return Grant(token, self._life_s)
