"""Secrets out of answers: what a server repeats of a request goes no further than the transport. Pure.

An error body may hold the Authorization header or the token request, and words of an error body reach the
checkpoint log, the reports and the screen. So an answer is masked before anybody reads it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, quote_plus

MASK: Final = b"(secret)"

SECRET_CHARACTERS_MIN: Final = 8
"""What is shorter is no secret of this API, and to replace it could change what an answer says."""


def masked(body: bytes, secrets: Iterable[str]) -> bytes:
    """The body with each of these secrets replaced, as it is or as an address or JSON may write it."""
    for secret in secrets:
        if len(secret) >= SECRET_CHARACTERS_MIN:
            for form in _forms(secret):
                if form in body:
                    body = body.replace(form, MASK)
    return body


def _forms(secret: str) -> list[bytes]:
    if secret.isalnum():
        return [secret.encode()]
    forms = (secret, secret.replace("/", "\\/"), quote(secret, safe=""), quote_plus(secret, safe=""))
    return [form.encode() for form in dict.fromkeys(forms)]
