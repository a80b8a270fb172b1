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
"""Access tokens that live at the same time; one more ends the oldest (accounts documentation)."""

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


class Tokens:
    """The access tokens of one refresh token."""

    def __init__(self, client: ClientSecrets, *, life_s: int, grants_max: int = GRANTS_MAX) -> None:
        self.client = client
        self._life_s = life_s
        self._grants_max = grants_max
        self._granted: deque[float] = deque()
        self._expiry: dict[str, float] = {}
        """By token, oldest first."""

    def grant(self, form: dict[str, str], *, now: float) -> Grant | Refusal:
        """Answers a token request; only tokens that were given count towards the throttle."""
        refusal = self._refusal(form)
        if refusal is not None:
            return refusal
        while self._granted and self._granted[0] <= now - GRANTS_WINDOW_S:
            self._granted.popleft()
        if len(self._granted) >= self._grants_max:
            return Refusal.ACCESS_DENIED
        self._granted.append(now)
        return self._new_token(now)

    def believe(self, header: str | None, *, now: float) -> Belief:
        """Whether this Authorization header opens the API."""
        scheme, _, token = (header or "").partition(" ")
        token = token.strip()
        if scheme.lower() not in SCHEMES or not token:
            return Belief.NO_TOKEN
        return Belief.BELIEVED if self._expiry.get(token, now) > now else Belief.UNKNOWN_TOKEN

    def revoke(self, header: str) -> None:
        """Ends the token of a believed header before its time."""
        self._expiry.pop(header.partition(" ")[2].strip(), None)

    def expiry(self, header: str) -> float | None:
        """When the token of a believed header expires, in seconds since the epoch."""
        return self._expiry.get(header.partition(" ")[2].strip())

    def _refusal(self, form: dict[str, str]) -> Refusal | None:
        if form.get("grant_type") != "refresh_token":
            return Refusal.UNSUPPORTED_GRANT
        if (form.get("client_id"), form.get("client_secret")) != (
            self.client.client_id,
            self.client.client_secret,
        ):
            return Refusal.INVALID_CLIENT
        return None if form.get("refresh_token") == self.client.refresh_token else Refusal.INVALID_CODE

    def _new_token(self, now: float) -> Grant:
        if len(self._expiry) >= ACTIVE_TOKENS_MAX:
            del self._expiry[next(iter(self._expiry))]
        token = f"1000.{_secret()}.{_secret()}"
        self._expiry[token] = now + self._life_s
        return Grant(token, self._life_s)
