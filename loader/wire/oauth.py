"""How an access token is obtained, and where: the token request, its answers, the data centres."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import urlencode

import msgspec

from loader.wire.limits import TOKEN_LIFE_S, TOKENS_MAX, TOKENS_WINDOW_S
from loader.wire.messages import HttpReply, HttpRequest

TOKEN_PATH: Final = "/oauth/v2/token"  # noqa: S105
TOKENS_ALLOWED: Final = (
    f"one refresh token is good for {TOKENS_MAX} access tokens in {TOKENS_WINDOW_S // 60} minutes"
)
"""The limit as a person reads it."""


class DataCentre(msgspec.Struct, frozen=True):
    """Where one data centre's API is, and where its tokens come from."""

    api_url: str
    accounts_url: str


def _centre(api_suffix: str, accounts_host: str) -> DataCentre:
    return DataCentre(f"https://www.zohoapis.{api_suffix}", f"https://{accounts_host}")


# The vendor's Python SDK for v8; uk and ae: its multi-data-centre page.
DATA_CENTRES: Final[Mapping[str, DataCentre]] = MappingProxyType(
    {
        "us": _centre("com", "accounts.zoho.com"),
        "eu": _centre("eu", "accounts.zoho.eu"),
        "in": _centre("in", "accounts.zoho.in"),
        "au": _centre("com.au", "accounts.zoho.com.au"),
        "jp": _centre("jp", "accounts.zoho.jp"),
        "cn": _centre("com.cn", "accounts.zoho.com.cn"),
        "ca": _centre("ca", "accounts.zohocloud.ca"),
        "sa": _centre("sa", "accounts.zoho.sa"),
        "uk": _centre("uk", "accounts.zoho.uk"),
        "ae": _centre("ae", "accounts.zoho.ae"),
    }
)


class AccessToken(msgspec.Struct, frozen=True):
    """A token as it was granted. Never printed: `repr` shows its life and no more."""

    value: str
    expires_in_s: float
    api_domain: str = ""
    """The API host that the token is for, as the answer names it; may be empty."""
    scope: str = ""
    """What it may be used for, with blanks between the scopes; empty where the answer does not say."""

    def __repr__(self) -> str:
        return f"AccessToken(expires_in_s={self.expires_in_s})"


class Granted(msgspec.Struct, frozen=True):
    """What a grant code was turned into. Never printed."""

    refresh_token: str
    access: AccessToken

    def __repr__(self) -> str:
        return f"Granted({self.access!r})"


class TokenRefused(msgspec.Struct, frozen=True):
    """The credentials will not do, however often they are tried."""

    error: str
    """The API's own word: `invalid_code`, `invalid_client` ..."""
    reason: str


class TokenThrottled(msgspec.Struct, frozen=True):
    """Too many tokens were asked for, or the token service is unwell: later it may do."""

    reason: str
    at_limit: bool = False
    """It is well and says that the tokens are used up, for `TOKENS_WINDOW_S` at most."""


def refresh_request(*, client_id: str, client_secret: str, refresh_token: str) -> HttpRequest:
    """Ask for a new access token. The secrets travel in the body: addresses end up in logs."""
    return _request(
        grant_type="refresh_token",
        client_id=client_id,
        client_secret=client_secret,
        refresh_token=refresh_token,
    )


def grant_request(*, client_id: str, client_secret: str, code: str) -> HttpRequest:
    """Ask what a self client's grant code is good for; it is good for one answer (self-client page)."""
    return _request(
        grant_type="authorization_code", client_id=client_id, client_secret=client_secret, code=code
    )


def _request(**form: str) -> HttpRequest:
    body = urlencode(form).encode()
    return HttpRequest("POST", TOKEN_PATH, body, {"content-type": "application/x-www-form-urlencoded"})


class _Answer(msgspec.Struct, frozen=True):
    access_token: str = ""
    refresh_token: str = ""
    scope: str = ""
    expires_in: float = TOKEN_LIFE_S
    api_domain: str = ""
    error: str = ""


_decode = msgspec.json.Decoder(_Answer).decode
_ERROR_WORD: Final = re.compile(r"[A-Za-z_ -]{1,60}")

# OAuth page and answers of the live service; the two words for a wrong refresh token differ by its age.
_REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "invalid_code": "the refresh token is wrong, revoked, or of another data centre",
        "invalid_client": "the client id is wrong, or of another data centre",
        "invalid_client_secret": "the client secret is wrong",
        "invalid_grant": "the refresh token is wrong or revoked",
        "unauthorized_client": "the client may not use refresh tokens",
        "access_denied": "the user no longer allows this client",
    }
)


_GRANT_REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **_REASONS,
        "invalid_code": "the grant code is wrong, was used before, or has expired: it lives for minutes;"
        " or it is of another data centre or client",
        "invalid_redirect_uri": "the client is not a self client",
    }
)


def read_grant(reply: HttpReply) -> Granted | TokenRefused | TokenThrottled:
    """What the token service made of a grant code."""
    access = read_token(reply, reasons=_GRANT_REASONS)
    if not isinstance(access, AccessToken):
        return access
    token = _decode(reply.body).refresh_token
    if token and token.isascii() and token.isprintable():
        return Granted(token, access)
    return TokenRefused("", "the answer has no refresh token: the code is not one of a self client")


def read_token(
    reply: HttpReply, *, reasons: Mapping[str, str] = _REASONS
) -> AccessToken | TokenRefused | TokenThrottled:
    """What the token service answered. Its refusals come as HTTP 200 too, so only the body counts."""
    try:
        answer = _decode(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _unreadable(reply)
    if answer.error:
        said = f"HTTP {reply.status} {_word(answer.error)}".rstrip()
        # "Access Denied" is the throttle (10 tokens in 10 minutes); "access_denied" is a person's refusal.
        if answer.error == "Access Denied":
            return TokenThrottled(f"{said}: {TOKENS_ALLOWED}, and they are used up", at_limit=True)
        if reply.status >= 429:
            return TokenThrottled(said)
        reason = reasons.get(answer.error, "the token service refuses the credentials")
        return TokenRefused(_word(answer.error), reason)
    if answer.access_token.isascii() and answer.access_token.isprintable() and answer.access_token:
        return AccessToken(answer.access_token, max(answer.expires_in, 0.0), answer.api_domain, answer.scope)
    return _unreadable(reply)


def _word(error: str) -> str:
    """An error that is a word or a few; whatever else stands there may be a part of a secret."""
    return error if _ERROR_WORD.fullmatch(error) else ""


def _unreadable(reply: HttpReply) -> TokenRefused | TokenThrottled:
    if 300 <= reply.status < 429 and reply.status != 408:
        return TokenRefused("", f"HTTP {reply.status} without a word of the token service: a wrong host?")
    return TokenThrottled(f"HTTP {reply.status} with an answer that holds no token")
