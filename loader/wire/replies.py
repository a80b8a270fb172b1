"""What else the API answers, read into types: records that are there, whose credentials these are, the time.

The answer to an insert is in `answers.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from loader.wire.answers import CallRefused, Unreadable, bare_refusal, is_id, object_of
from loader.wire.details import text
from loader.wire.messages import HttpReply


class ExistingRecord(msgspec.Struct, frozen=True):
    """A record that the CRM holds."""

    id: str
    created_time: float | None
    """Unix seconds by the server's clock. None: the answer does not say."""
    created_by_id: str
    """Empty: the answer does not say."""
    values: Mapping[str, object]
    """The asked fields, as the answer has them."""


def read_refusal(reply: HttpReply) -> CallRefused:
    """The error of a reply that was to hold something else; its code is empty where there is none."""
    answer = object_of(reply) or {}
    data = answer.get("data")
    first = data[0] if isinstance(data, list) and data and isinstance(data[0], dict) else answer
    return bare_refusal(first) or CallRefused("")


def read_existing(reply: HttpReply, fields: Sequence[str]) -> Sequence[ExistingRecord] | Unreadable:
    """The records that a read by ids or by values found."""
    if reply.status == 204:
        return ()
    answer = object_of(reply)
    data = (answer or {}).get("data")
    if reply.status != 200 or answer is None or not isinstance(data, list):
        refused = read_refusal(reply)
        return Unreadable(f"HTTP {reply.status} {refused.code}".rstrip(), refused.code)
    info = answer.get("info")
    if isinstance(info, dict) and info.get("more_records"):
        return Unreadable("more records than one answer holds", too_many=True)
    found = [_existing(one, fields) for one in data]
    known = [one for one in found if one is not None]
    return known if len(known) == len(found) else Unreadable("a record without an id")


def _existing(one: object, fields: Sequence[str]) -> ExistingRecord | None:
    if not isinstance(one, dict) or not is_id(one.get("id")):
        return None
    creator = one.get("Created_By")
    creator_id = creator.get("id") if isinstance(creator, dict) else None
    return ExistingRecord(
        id=one["id"],
        created_time=_unix_seconds(one.get("Created_Time")),
        created_by_id=creator_id if isinstance(creator_id, str) else "",
        values={name: one[name] for name in fields if name in one},
    )


def read_user_id(reply: HttpReply) -> str:
    """The current user's id; empty where the answer does not say."""
    return _id_of_first(reply, "users")


def read_organisation_id(reply: HttpReply) -> str:
    """The organisation's id; empty where the answer does not say."""
    return _id_of_first(reply, "org")


def read_user_name(reply: HttpReply) -> str:
    """The current user's name and address for people; empty where the answer does not say."""
    user = _first_of(reply, "users")
    name, email = text(user.get("full_name")), text(user.get("email"))
    return f"{name} <{email}>" if name and email else name or email


def read_company(reply: HttpReply) -> str:
    """The organisation's name; empty where the answer does not say."""
    return text(_first_of(reply, "org").get("company_name"))


def read_edition(reply: HttpReply) -> str:
    """The organisation's edition in the API's own word (`enterprise`); empty where it does not say."""
    licence = _first_of(reply, "org").get("license_details")
    return text(licence.get("paid_type")) if isinstance(licence, dict) else ""


def read_module_names(reply: HttpReply) -> Sequence[str]:
    """API names of the organisation's modules; none where the answer does not say."""
    listed = (object_of(reply) or {}).get("modules") if reply.status == 200 else None
    names = (
        (one.get("api_name") for one in listed or () if isinstance(one, dict))
        if isinstance(listed, list)
        else ()
    )
    return [name for name in names if isinstance(name, str)]


def read_licences(reply: HttpReply) -> int | None:
    """How many user licences the organisation has bought; None where the answer does not say."""
    licence = _first_of(reply, "org").get("license_details")
    bought = licence.get("users_license_purchased") if isinstance(licence, dict) else None
    return bought if isinstance(bought, int) and not isinstance(bought, bool) and bought > 0 else None


def _id_of_first(reply: HttpReply, member: str) -> str:
    identifier = _first_of(reply, member).get("id")
    return identifier if isinstance(identifier, str) and is_id(identifier) else ""


def _first_of(reply: HttpReply, member: str) -> Mapping[str, Any]:
    listed = (object_of(reply) or {}).get(member) if reply.status == 200 else None
    return listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else {}


def server_time(headers: Mapping[str, str]) -> float | None:
    """When the server answered, by its own clock: Unix seconds, whole ones."""
    try:
        at = parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError):
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _unix_seconds(written: object) -> float | None:
    try:
        at = datetime.fromisoformat(written) if isinstance(written, str) else None
    except ValueError:
        return None
    return at.timestamp() if at is not None and at.tzinfo else None
