"""What is wrong with a line, as a value. The words are written where the fault is found, not here."""

from __future__ import annotations

from typing import Final

import msgspec

# The API's own codes (insert-records page, "Possible Errors").
INVALID_DATA: Final = "INVALID_DATA"
MANDATORY_NOT_FOUND: Final = "MANDATORY_NOT_FOUND"
DEPENDENT_FIELD_MISSING: Final = "DEPENDENT_FIELD_MISSING"
DEPENDENT_MISMATCH: Final = "DEPENDENT_MISMATCH"
LIMIT_EXCEEDED: Final = "LIMIT_EXCEEDED"
# The API's own words where they are not the usual ones of the code (insert-records page and API samples).
ID_INVALID: Final = "the id given seems to be invalid"
# Codes of lines that no API would have read.
NOT_JSON: Final = "NOT_JSON"
NOT_AN_OBJECT: Final = "NOT_AN_OBJECT"
NESTED_TOO_DEEPLY: Final = "NESTED_TOO_DEEPLY"
STAMP_TAKEN: Final = "STAMP_TAKEN"


class Problem(msgspec.Struct, frozen=True, gc=False):
    """Why a line cannot be a record of the module, in the terms of the API's own errors."""

    code: str
    message: str
    """For an operator: what is wrong, and what would be right."""
    field: str = ""
    """API name of the record's field; empty where the whole line is at fault."""
    expected_data_type: str = ""
    maximum_length: int | None = None
    path: str = ""
    """Where, below the record: `Email`, `Tag[0].name`."""
    api_message: str = ""
    """The API's own words for it, where they are not the usual ones of the code."""
    dependee: str = ""
    """Of a dependent field: API name of the field that it depends on."""
