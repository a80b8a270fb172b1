"""What an answer says about pace: the pause that it asks for, the credits that are left."""

from __future__ import annotations

import msgspec

from loader.wire.messages import HttpReply, Reply

ASKED_MAX_S = 7 * 24 * 3600.0
"""A longer pause than any window of this API is as good as this one."""


class _Details(msgspec.Struct, frozen=True):
    retry_after: int | float | str | None = None


class _Refusal(msgspec.Struct, frozen=True):
    details: _Details = _Details()


_decode = msgspec.json.Decoder(_Refusal).decode


def retry_after_s(reply: Reply) -> float | None:
    """The pause that a 429 asks for, if it does.

    The header, of which only the form in seconds is known for this API, goes before `details.retry_after` in
    the body (sample answer of the API's specification).
    """
    if not isinstance(reply, HttpReply):
        return None
    in_header = _seconds(reply.headers.get("retry-after", ""))
    if in_header is not None or reply.status != 429:
        return in_header
    try:
        return _seconds(_decode(reply.body).details.retry_after)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def credits_remaining(reply: Reply) -> int | None:
    """What X-API-CREDITS-REMAINING says; the API sends it once half of the credits are used."""
    value = reply.headers.get("x-api-credits-remaining", "") if isinstance(reply, HttpReply) else ""
    return int(value) if _is_digits(value) else None


def _seconds(value: float | str | None) -> float | None:
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit()):
            return None
        return min(float(value), ASKED_MAX_S) if _is_digits(value) else ASKED_MAX_S
    return min(float(value), ASKED_MAX_S) if value is not None and value >= 0 else None


def _is_digits(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) < 19
