"""The bytes of every answer, as the vendor's examples show them. Pure.

Successes are joined from templates, for they are nearly all of what a load reads; the rest is encoded one by
one. Which answer a call gets is `handlers.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from loader.sandbox.auth import Grant, Refusal

_encode: Final = msgspec.json.Encoder().encode

Item = dict[str, Any]
"""An error with its code, details, message and status, before it is encoded."""


class Answer(msgspec.Struct, frozen=True):
    """A status and a body; an empty body is an answer without one."""

    status: int
    body: bytes = b""
    content_type: str = "application/json;charset=UTF-8"
    cut: bool = False
    """Only the first half of the body leaves, under the length of the whole."""
    allow: str = ""
    """The methods that the address takes, where it does not take the call's."""


class User(msgspec.Struct, frozen=True):
    """Who makes a call, and so creates and owns the records of it."""

    id: str
    name: str = "Patricia Boyle"
    email: str = "patricia.boyle@example.com"
    zuid: str = "75092197"

    @property
    def reference(self) -> dict[str, str]:
        return {"name": self.name, "id": self.id}


NO_CONTENT: Final = Answer(204)
GATEWAY_PAGE: Final = Answer(
    502, b"<html><head><title>502 Bad Gateway</title></head><body>...</body></html>", "text/html"
)


def error(code: str, message: str, details: dict[str, Any] | None = None) -> Item:
    """An error in the API's shape."""
    return {"code": code, "details": details or {}, "message": message, "status": "error"}


def bare(status: int, code: str, message: str, details: dict[str, Any] | None = None) -> Answer:
    """An error that is not wrapped in `data`."""
    return Answer(status, _encode(error(code, message, details)))


def without_paths(value: Any) -> Any:
    """The same without any `json_path`, as the API's older versions answer."""
    if isinstance(value, dict):
        return {name: without_paths(each) for name, each in value.items() if name != "json_path"}
    return [without_paths(each) for each in value] if isinstance(value, list) else value


def without_last_item(answer: Answer) -> Answer:
    """An answer for records that forgets the last one."""
    data = msgspec.json.decode(answer.body, type=_Items).data[:-1]
    return Answer(answer.status, b'{"data":[' + b",".join(map(bytes, data)) + b"]}")


class _Items(msgspec.Struct):
    data: list[msgspec.Raw]


def wrapped(code: str, message: str, details: dict[str, Any]) -> Answer:
    """An error of the whole call in a `data` of one item."""
    return Answer(400, b'{"data":[' + _encode(error(code, message, details)) + b"]}")


# Bare errors (status-codes page; insert-records page, "Possible Errors"; captured answers).
INVALID_TOKEN: Final = bare(401, "INVALID_TOKEN", "invalid oauth token")
AUTHENTICATION_FAILURE: Final = bare(401, "AUTHENTICATION_FAILURE", "Authentication failed")
SCOPE_MISMATCH: Final = bare(401, "OAUTH_SCOPE_MISMATCH", "invalid oauth scope to access this URL")
INVALID_URL_PATTERN: Final = bare(
    404, "INVALID_URL_PATTERN", "Please check if the URL trying to access is a correct one"
)
TOO_MANY_REQUESTS: Final = bare(
    429, "TOO_MANY_REQUESTS", "too many requests. please try again after some time"
)
INTERNAL_ERROR: Final = bare(500, "INTERNAL_ERROR", "Internal Server Error")
BODY_NOT_AN_OBJECT: Final = bare(400, "INVALID_DATA", "body", {"expected_data_type": "jsonobject"})
# How a missing, empty or wrong `data` is answered no page says; these follow the errors of fields.
_DATA: Final = {"api_name": "data", "json_path": "$.data"}
DATA_MISSING: Final = bare(400, "MANDATORY_NOT_FOUND", "required field not found", _DATA)
DATA_NOT_AN_ARRAY: Final = bare(
    400, "INVALID_DATA", "invalid data", {"expected_data_type": "jsonarray"} | _DATA
)
UNKNOWN_MODULE: Final = bare(400, "INVALID_MODULE", "the module name given seems to be invalid")
"""Of the calls of `settings`, whose errors are never wrapped in `data` (OpenAPI files, fields)."""
BODY_TOO_LARGE: Final = bare(413, "REQUEST_BODY_TOO_LARGE", "the request body is too large")


# One-item errors of the whole call (record pages of the vendor's OpenAPI files).
_FIRST_STEP: Final = {"resource_path_index": 0}
INVALID_MODULE: Final = wrapped("INVALID_MODULE", "the module name given seems to be invalid", _FIRST_STEP)
MODULE_NOT_SUPPORTED: Final = wrapped(
    "INVALID_MODULE", "The given module is not supported in API", _FIRST_STEP
)
INVALID_REQUEST_METHOD: Final = wrapped(
    "INVALID_REQUEST_METHOD", "The HTTP request method type is not a valid one.", _FIRST_STEP
)
AUTHORIZATION_FAILED: Final = wrapped(
    "AUTHORIZATION_FAILED", "User does not have sufficient privilege to add records", _FIRST_STEP
)


def no_permission(module: str) -> Answer:
    """The user may not add records to this module."""
    details = {"permissions": [f"Crm_Implied_Create_{module}"]}
    return bare(403, "NO_PERMISSION", "Permission denied to add records", details)


def too_many_records(maximum: int) -> Answer:
    """The whole call is refused; one item, however many records came."""
    details = {"maximum_length": maximum, "api_name": "data"}
    return wrapped("LIMIT_EXCEEDED", "count of records in your request exceeds the limit", details)


def parameter_missing(name: str) -> Answer:
    """A query parameter that the call cannot do without."""
    return bare(
        400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", {"param_name": name}
    )


NOT_SERVED: Final = "NOT_SERVED_BY_THE_SANDBOX"
"""A code of the sandbox's own."""


def not_served(what: str, *, status: int, instead: str = "", allow: str = "") -> Answer:
    """The API has this call, the sandbox does not; `instead`: the call that comes nearest."""
    why = f"the API has {what}, the sandbox does not: it inserts records and reads them back"
    details = {"instead": instead} if instead else {}
    return Answer(status, _encode(error(NOT_SERVED, why, details)), allow=allow)


APPROVED: Final = "approved"
UNAPPROVED: Final = "webform_unapproved"
"""What a record that was sent with `"$approved": false` is. The search page lists it among the states, and
the insert-records page has `$approved` for what web forms procured; no source shows the answer itself."""


class SuccessTemplate:
    """What goes before and after the id in the success item of a record created at this time."""

    def __init__(self, user: User, created_time: str) -> None:
        by, at = _encode(user.reference), _encode(created_time)
        self.head = (
            b'{"code":"SUCCESS","details":{"Modified_Time":' + at + b',"Modified_By":' + by
            + b',"Created_Time":' + at + b',"id":"'
        )  # fmt: skip
        self.tail = _tail(by, APPROVED)
        self.unapproved_tail = _tail(by, UNAPPROVED)

    def item(self, record_id: int, *, unapproved: bool = False) -> bytes:
        return b"%b%d%b" % (self.head, record_id, self.unapproved_tail if unapproved else self.tail)

    def items(self, first_id: int, count: int) -> bytes:
        """The items of approved records with consecutive ids, joined."""
        ids = [b"%d" % each for each in range(first_id, first_id + count)]
        return self.head + (self.tail + b"," + self.head).join(ids) + self.tail


def _tail(by: bytes, state: str) -> bytes:
    return (
        b'","Created_By":' + by + b',"$approval_state":' + _encode(state)
        + b'},"message":"record added","status":"success"}'
    )  # fmt: skip


def inserted(items: Sequence[bytes], status: int) -> Answer:
    """The answer to an insert of which some records failed, or all."""
    return Answer(status, b'{"data":[' + b",".join(items) + b"]}")


def all_inserted(joined: bytes) -> Answer:
    """The answer to an insert of which no record failed."""
    return Answer(201, b'{"data":[' + joined + b"]}")


def listing(name: str, items: Sequence[bytes], info: dict[str, Any] | None = None) -> Answer:
    """A list of JSON values under one name, 204 where there are none."""
    if not items:
        return NO_CONTENT
    end = b',"info":' + _encode(info) + b"}" if info is not None else b"}"
    return Answer(200, b'{"' + name.encode() + b'":[' + b",".join(items) + b"]" + end)


def granted(answer: Grant | Refusal, *, api_url: str, scope: str) -> Answer:
    """The token endpoint's answer: refusals are HTTP 200, but for the throttle."""
    if isinstance(answer, Grant):
        body = {
            "access_token": answer.access_token,
            **({"refresh_token": answer.refresh_token} if answer.refresh_token else {}),
            "scope": scope,
            "api_domain": api_url,
            "token_type": "Bearer",
            "expires_in": answer.expires_in_s,
        }
        return Answer(200, _encode(body))
    if answer is Refusal.ACCESS_DENIED:
        why = "You have made too many requests continuously. Please try again after some time."
        return Answer(400, _encode({"error_description": why, "error": answer, "status": "failure"}))
    return Answer(200, _encode({"error": answer}))


class ModuleFacts(msgspec.Struct, frozen=True):
    """What `settings/modules` says of a module."""

    api_name: str
    id: str
    label: str = ""
    module_name: str = ""
    """The API's own name for it; a custom module's is not its API name."""
    generated_type: str = "default"


def module_item(facts: ModuleFacts) -> bytes:
    """An entry of `settings/modules`."""
    label = facts.label or facts.api_name.replace("_", " ")
    taken = facts.generated_type != "subform"
    return _encode(
        {
            "api_name": facts.api_name,
            "module_name": facts.module_name or facts.api_name,
            "singular_label": label.removesuffix("s"),
            "plural_label": label,
            "generated_type": facts.generated_type,
            "creatable": taken,
            "editable": False,
            "deletable": False,
            "viewable": taken,
            "api_supported": True,
            "visible": taken,
            "status": "visible",
            "id": facts.id,
        }
    )


def user_item(user: User) -> bytes:
    """An entry of `users`."""
    first, _, last = user.name.rpartition(" ")
    return _encode(
        {
            "id": user.id,
            "full_name": user.name,
            "first_name": first,
            "last_name": last,
            "email": user.email,
            "zuid": user.zuid,
            "status": "active",
            "confirm": True,
        }
    )


class OrgFacts(msgspec.Struct, frozen=True):
    """What `org` says beside the users."""

    id: str
    company: str = "Sandbox"
    edition: str = "enterprise"
    users: int = 1
    """Licences that are paid for."""


def org_item(facts: OrgFacts, user: User) -> bytes:
    """The entry of `org`."""
    return _encode(
        {
            "id": facts.id,
            "zgid": facts.id[-12:].lstrip("0"),
            "company_name": facts.company,
            "primary_email": user.email,
            "country_code": "US",
            "time_zone": "Etc/GMT+7",
            "iso_code": "USD",
            "license_details": {
                "paid": facts.edition != "free",
                "paid_type": facts.edition,
                "users_license_purchased": facts.users,
            },
        }
    )
