"""Secrets out of answers: what a server repeats of a request goes no further than the transport. Pure.

An error body may hold the Authorization header or the token request, and words of an error body reach the
checkpoint log, the reports and the screen. So an answer is masked before anybody reads it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import quote, quote_plus

MASK: Final = b"(secret)"

_SELDOM_FIRST: Final = b"ZQJXKGWVYHPFBNLOUDEAqjzxkvwfgypbuhlmScnRCdrstioae8976-43521MITU0"
"""What has no place here (".", "%", "~" ...) is more seldom still."""

SECRET_CHARACTERS_MIN: Final = 8
"""What is shorter is no secret of this API, and to replace it could change what an answer says."""


def masked(body: bytes, secrets: Iterable[str]) -> bytes:
    """The body with each of these secrets replaced, as it is or as an address or JSON may write it."""
    for secret in secrets:
        if len(secret) >= SECRET_CHARACTERS_MIN:
            for sign, form in _forms(secret):
                # To look for one byte is far quicker, and most answers do not have it.
                if sign in body and form in body:
                    body = body.replace(form, MASK)
    return body


@lru_cache(maxsize=8)
def _forms(secret: str) -> tuple[tuple[bytes, bytes], ...]:
    """The ways to write a secret, each after the one of its bytes that answers hold most seldom."""
    forms = [secret]
    if not secret.isalnum():
        forms += [secret.replace("/", "\\/"), quote(secret, safe=""), quote_plus(secret, safe="")]
    return tuple((bytes([min(form, key=_frequency)]), form) for form in map(str.encode, dict.fromkeys(forms)))


def _frequency(byte: int) -> int:
    """Higher for what is frequent in an answer: in JSON, times, ids and words."""
    return _SELDOM_FIRST.find(byte)
