"""The API's error codes as a table of facts: what each means for a record and for a call, and what to do.

Verdicts are not made here. A code without a row is never guessed at: it leaves the record, or the call, in
doubt.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

import msgspec


class ForRecord(Enum):
    """What the code of one item of `data[]` says about that record."""

    INSERTED = auto()
    DUPLICATE = auto()
    """Not inserted: another record has the same value in a unique field."""
    REJECTED = auto()
    """Not inserted, and never will be as it is."""
    LOCKED = auto()
    """Not inserted, for now."""
    IN_DOUBT = auto()
    """The code does not say whether the record was inserted."""


class ForCall(Enum):
    """What the code says when the call is refused as a whole."""

    RENEW_TOKEN = auto()
    STOP_CREDENTIALS = auto()
    STOP_CONFIGURATION = auto()
    HALVE = auto()
    """Something in the call is at fault: smaller calls will find it."""
    PUSHED_BACK = auto()
    """Too many calls, or no credits left."""
    IN_DOUBT = auto()
    """The code does not say whether anything was applied."""


class Seen(msgspec.Struct, frozen=True):
    """How the API was seen to say it."""

    statuses: tuple[int, ...] = ()
    """HTTP statuses. An error of a record also comes under 207, where others of the call were inserted."""
    shapes: tuple[str, ...] = ()
    """`record`: an item of `data[]`; `one item`: its only item, for the whole call; `bare`: an object without
    `data`."""
    messages: tuple[str, ...] = ()
    """The API's words; never decided by."""
    details: tuple[str, ...] = ()
    """Members of `details` that were seen with it; each may be missing."""


class CodeFacts(msgspec.Struct, frozen=True):
    """One row of the table."""

    code: str
    record: ForRecord
    call: ForCall
    advice: str
    """What a person should do."""
    seen: Seen = Seen()

    @property
    def concerns_load(self) -> bool:
        """A call that is refused with it says nothing about its records: the next call will fare the same."""
        return self.call not in (ForCall.HALVE, ForCall.IN_DOUBT)


_RECORD = ("record",)
_CALL = ("one item", "bare")
_FIELD = ("api_name", "json_path")

# Insert-records page, "Possible Errors"; the vendor's published examples of createRecords; captured answers.
# Old versions leave `json_path` out, and put a duplicate's id into `details.id` alone.
_SEEN: Final[Mapping[str, Seen]] = MappingProxyType(
    {
        "SUCCESS": Seen(
            (201, 200, 202), _RECORD, ("record added",), ("id", "Created_Time", "$approval_state")
        ),
        "INVALID_DATA": Seen(
            (400,),
            ("record", "one item", "bare"),
            (
                "invalid data",
                "the id given seems to be invalid",
                "Given Probability is not valid",
                "Pipeline doesn't contain the Stage",
                "Layout doesn't contain the Pipeline",
                "Wizard connections supplied do not form a valid path",
                "Wizard connection id is invalid",
                "The field value given for Company is invalid",
                "The external ID of the lookup field or the Price Book is incorrect",
                "body",
            ),
            (*_FIELD, "expected_data_type", "maximum_length", "supported_values"),
        ),
        "MANDATORY_NOT_FOUND": Seen(
            (400,), ("record", "one item", "bare"), ("required field not found",), (*_FIELD, "layout_rule")
        ),
        "DUPLICATE_DATA": Seen(
            (400,),
            _RECORD,
            ("duplicate data", "The external field contains duplicate data."),
            (*_FIELD, "id", "duplicate_record", "more_records"),
        ),
        "MULTIPLE_OR_MULTI_ERRORS": Seen(
            (400,),
            _RECORD,
            ("Multiple errors in the request", "Duplicate data in multiple fields"),
            ("errors",),
        ),
        "LIMIT_EXCEEDED": Seen(
            (400,),
            ("record", "one item"),
            (
                "Only 50 participants can be added to an event.",
                "count of records in your request exceeds the limit",
            ),
            (*_FIELD, "maximum_length"),
        ),
        "RECORD_LOCKED": Seen(
            (400,),
            _RECORD,
            ("Sorry, you cannot perform this operation as the record is locked.",),
            (*_FIELD, "action"),
        ),
        "DEPENDENT_FIELD_MISSING": Seen(
            (400,),
            _RECORD,
            (
                "Required field not found",
                "The field 'Product_Subcategory' is required when 'Product_Category' is provided",
            ),
            (*_FIELD, "dependee"),
        ),
        "DEPENDENT_MISMATCH": Seen(
            (400,), _RECORD, ("Call Duration can not be zero.",), (*_FIELD, "dependee")
        ),
        "DEPENDENT_SERVICE_ERROR": Seen((400,), _RECORD, (), ("dependency_error",)),
        "EXPECTED_FIELD_MISSING": Seen((400,), _RECORD, (), ("expected_fields",)),
        "PATTERN_NOT_MATCHED": Seen((400,), _RECORD, (), _FIELD),
        "NOT_ALLOWED": Seen((400,), _RECORD, (), _FIELD),
        "INVALID_MODULE": Seen(
            (400,),
            _CALL,
            ("The module name given seems to be invalid", "The given module is not supported in API"),
            ("resource_path_index",),
        ),
        "INVALID_REQUEST_METHOD": Seen(
            (400,), _CALL, ("The http request method type is not a valid one",), ("resource_path_index",)
        ),
        "INVALID_URL_PATTERN": Seen(
            (404,), ("bare",), ("Please check if the URL trying to access is a correct one",)
        ),
        "INVALID_TOKEN": Seen((401,), ("bare",), ("invalid oauth token",)),
        "OAUTH_SCOPE_MISMATCH": Seen((401,), ("bare",), ("invalid oauth scope to access this URL",)),
        "AUTHENTICATION_FAILURE": Seen((401,), ("bare",), ("Authentication failed",)),
        "NO_PERMISSION": Seen((403,), ("bare",), ("Permission denied to add records",), ("permissions",)),
        "AUTHORIZATION_FAILED": Seen(
            (400,),
            ("record", "one item"),
            ("User does not have sufficient privilege to add records",),
            ("resource_path_index",),
        ),
        "TOO_MANY_REQUESTS": Seen(
            (429,),
            ("bare",),
            ("too many requests. please try again after some time",),
            ("retry_after", "limit", "window"),
        ),
        "RATE_LIMIT_EXCEEDED": Seen((429,), ("bare",), ("Too many requests. Please try again later.",)),
        "INTERNAL_ERROR": Seen((500,), ("bare",), ("Internal Server Error",)),
        "PROCESSING_ERROR": Seen((500,), ("bare", "record")),
        "SERVICE_UNAVAILABLE": Seen((503,), ("bare",), ("Service temporarily unavailable for maintenance",)),
        "ALREADY_MODIFIED": Seen((412,), _RECORD),
        "NOT_APPROVED": Seen((400,), _RECORD, (), _FIELD),
        "REQUIRED_PARAM_MISSING": Seen(
            (400,), ("bare",), ("One of the expected parameter is missing",), ("param_name",)
        ),
    }
)


def _row(code: str, record: ForRecord, call: ForCall, advice: str) -> CodeFacts:
    return CodeFacts(code, record, call, advice, _SEEN.get(code, Seen()))


MEND: Final = "Mend the record in rejected.ndjson, then: loader retry DIR"
"""How the advice ends where a record is to be mended: of use once it is rejected, and the load finished."""
_SCOPES = "ZohoCRM.modules.ALL, or ZohoCRM.modules.MODULE.CREATE with ZohoCRM.modules.MODULE.READ"

# Codes of the insert-records page, unless a comment names another source. Where its resolutions contradict
# the name of a code (INVALID_DATA and MANDATORY_NOT_FOUND are swapped there), answers of the live service
# bear out the name.
_ROWS: Final = (
    _row("SUCCESS", ForRecord.INSERTED, ForCall.IN_DOUBT, "Nothing: the record is in the CRM."),
    _row(
        "INVALID_DATA",
        ForRecord.REJECTED,
        ForCall.HALVE,
        f"The field holds a value of the wrong type or length, or one that it does not allow. {MEND}",
    ),
    _row(
        "MANDATORY_NOT_FOUND",
        ForRecord.REJECTED,
        ForCall.HALVE,
        f"The record lacks a field that the module requires. {MEND}",
    ),
    _row(
        "DUPLICATE_DATA",
        ForRecord.DUPLICATE,
        ForCall.HALVE,
        "The CRM holds a record with this value in a unique field. If it is the same one, all is well.",
    ),
    _row(
        "MULTIPLE_OR_MULTI_ERRORS",
        ForRecord.REJECTED,
        ForCall.HALVE,
        f"Several fields are at fault; the message of each says why. {MEND}",
    ),
    _row(
        "LIMIT_EXCEEDED",
        ForRecord.REJECTED,
        ForCall.HALVE,
        f"A list in the record is longer than the API allows (an event has 50 participants). {MEND}",
    ),
    _row(
        "RECORD_LOCKED",
        ForRecord.LOCKED,
        ForCall.HALVE,
        "A record that this one refers to is locked. Unlock it in the CRM, then load the record again.",
    ),
    _row(
        "DEPENDENT_FIELD_MISSING",
        ForRecord.REJECTED,
        ForCall.HALVE,
        f"A field that another field of the record depends on is missing. {MEND}",
    ),
    _row(
        "DEPENDENT_MISMATCH",
        ForRecord.REJECTED,
        ForCall.HALVE,
        f"Two fields of the record contradict each other. {MEND}",
    ),
    _row(
        "DEPENDENT_SERVICE_ERROR",
        ForRecord.IN_DOUBT,
        ForCall.IN_DOUBT,
        "A service that is joined to the CRM failed. Ask its administrator, then: loader resolve DIR",
    ),
    # The next three: the vendor's published examples of createRecords.
    _row("EXPECTED_FIELD_MISSING", ForRecord.REJECTED, ForCall.HALVE, f"A field is missing. {MEND}"),
    _row(
        "PATTERN_NOT_MATCHED",
        ForRecord.REJECTED,
        ForCall.HALVE,
        f"The value does not have the form that the field demands. {MEND}",
    ),
    _row("NOT_ALLOWED", ForRecord.REJECTED, ForCall.HALVE, f"The field may not be set like this. {MEND}"),
    _row(
        "INVALID_MODULE",
        ForRecord.REJECTED,
        ForCall.STOP_CONFIGURATION,
        "Check --module: it takes the API name (Setup > Developer Hub > APIs and SDKs > API Names).",
    ),
    _row(
        "INVALID_REQUEST_METHOD",
        ForRecord.IN_DOUBT,
        ForCall.STOP_CONFIGURATION,
        "The host does not take inserts at this address. Check --dc or --api-domain.",
    ),
    _row(
        "INVALID_URL_PATTERN",
        ForRecord.IN_DOUBT,
        ForCall.STOP_CONFIGURATION,
        "The host does not know this address. Check --dc or --api-domain, and --module.",
    ),
    _row(
        "INVALID_TOKEN",
        ForRecord.IN_DOUBT,
        ForCall.RENEW_TOKEN,
        "The access token is expired, revoked, or of another data centre: check --dc, then the credentials.",
    ),
    _row(
        "OAUTH_SCOPE_MISMATCH",
        ForRecord.IN_DOUBT,
        ForCall.STOP_CREDENTIALS,
        f"The credentials lack a scope. Make new ones with {_SCOPES}.",
    ),
    # Seen from the live service for a missing or unreadable Authorization header.
    _row(
        "AUTHENTICATION_FAILURE",
        ForRecord.IN_DOUBT,
        ForCall.STOP_CREDENTIALS,
        "The service did not understand the access token. Check LOADER_ACCESS_TOKEN, or the refresh token.",
    ),
    _row(
        "NO_PERMISSION",
        ForRecord.REJECTED,
        ForCall.STOP_CREDENTIALS,
        "The user of these credentials may not add such records: ask the CRM's administrator.",
    ),
    _row(
        "AUTHORIZATION_FAILED",
        ForRecord.REJECTED,
        ForCall.STOP_CREDENTIALS,
        "The user of these credentials lacks the privilege to add such records: ask the CRM's administrator.",
    ),
    # Status-codes page; the second name is in the vendor's published examples.
    _row(
        "TOO_MANY_REQUESTS",
        ForRecord.IN_DOUBT,
        ForCall.PUSHED_BACK,
        "Too many calls at once, or the day's credits are spent. Lower --concurrency, or go on later.",
    ),
    _row(
        "RATE_LIMIT_EXCEEDED",
        ForRecord.IN_DOUBT,
        ForCall.PUSHED_BACK,
        "Too many calls at once, or the day's credits are spent. Lower --concurrency, or go on later.",
    ),
    _row(
        "INTERNAL_ERROR",
        ForRecord.IN_DOUBT,
        ForCall.IN_DOUBT,
        "The service failed, and does not say whether it had stored the record: loader resolve DIR",
    ),
    _row(
        "PROCESSING_ERROR",
        ForRecord.IN_DOUBT,
        ForCall.IN_DOUBT,
        "The service failed, and does not say whether it had stored the record: loader resolve DIR",
    ),
    _row(
        "SERVICE_UNAVAILABLE",
        ForRecord.IN_DOUBT,
        ForCall.IN_DOUBT,
        "The service is down for maintenance: run the same command again later.",
    ),
    # Of other calls of the same API (the vendor's published examples): an insert has no use for them.
    _row(
        "NOT_APPROVED",
        ForRecord.REJECTED,
        ForCall.HALVE,
        f"A record that this one refers to still waits for its approval. {MEND}",
    ),
    _row(
        "ALREADY_MODIFIED",
        ForRecord.IN_DOUBT,
        ForCall.IN_DOUBT,
        "An answer to an update, which no insert should get. Look the record up, then: loader resolve DIR",
    ),
    _row(
        "REQUIRED_PARAM_MISSING",
        ForRecord.IN_DOUBT,
        ForCall.STOP_CONFIGURATION,
        "The host wants a parameter that an insert does not have. Check --api-domain.",
    ),
    # The loader's own, for lines that are never sent.
    _row("NOT_JSON", ForRecord.REJECTED, ForCall.IN_DOUBT, "Make the line one JSON object, on one line."),
    _row(
        "NOT_AN_OBJECT",
        ForRecord.REJECTED,
        ForCall.IN_DOUBT,
        "Make the line one JSON object: {...}; a list or a bare value is no record.",
    ),
    _row(
        "NESTED_TOO_DEEPLY",
        ForRecord.REJECTED,
        ForCall.IN_DOUBT,
        "No record of the CRM is nested like this: look at how the line was made.",
    ),
    _row(
        "LINE_TOO_LONG",
        ForRecord.REJECTED,
        ForCall.IN_DOUBT,
        "The line is longer than the loader reads: a newline may be missing. Split it, then load it again.",
    ),
    _row(
        "STAMP_TAKEN",
        ForRecord.REJECTED,
        ForCall.IN_DOUBT,
        "The record has a value of its own in the field of --stamp: take it out, or stamp another field.",
    ),
)

CODES: Final[Mapping[str, CodeFacts]] = MappingProxyType({row.code: row for row in _ROWS})

_UNKNOWN_ADVICE: Final = (
    "The loader does not know this code. Look the record up in the CRM, then: loader resolve DIR"
)


def facts(code: str) -> CodeFacts:
    """The row of `code`; for one that nobody knows, everything is in doubt."""
    return CODES.get(code) or CodeFacts(code, ForRecord.IN_DOUBT, ForCall.IN_DOUBT, _UNKNOWN_ADVICE)
