"""What the API says of a record that cannot be: the item of its answer, made of a problem or a clash. Pure.

Shapes from the worked examples of the vendor's OpenAPI files; words from the insert-records page where it has
its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from loader.sandbox.answers import Item, User, error
from loader.schema.problems import (
    DEPENDENT_FIELD_MISSING,
    DEPENDENT_MISMATCH,
    INVALID_DATA,
    LIMIT_EXCEEDED,
    MANDATORY_NOT_FOUND,
    NESTED_TOO_DEEPLY,
    NOT_AN_OBJECT,
    Problem,
)

EXTERNAL_INVALID: Final = "The external ID of the lookup field or the Price Book is incorrect"

_INDEX: Final = re.compile(r"\[[0-9]+\]")
_USUAL_WORDS: Final = {
    INVALID_DATA: "invalid data",
    MANDATORY_NOT_FOUND: "required field not found",
    DEPENDENT_FIELD_MISSING: "required field not found",
    DEPENDENT_MISMATCH: "dependent fields do not match",
    LIMIT_EXCEEDED: "limit exceeded",
}
_DEPENDENT: Final = frozenset((DEPENDENT_FIELD_MISSING, DEPENDENT_MISMATCH))
_CODE: Final = {NOT_AN_OBJECT: INVALID_DATA, NESTED_TOO_DEEPLY: INVALID_DATA}


def problem_item(problem: Problem, position: int) -> Item:
    """The item for a record with this problem."""
    code = _CODE.get(problem.code, problem.code)
    details: dict[str, Any] = {}
    if problem.code == NOT_AN_OBJECT:
        details["expected_data_type"] = "jsonobject"
    if problem.expected_data_type:
        details["expected_data_type"] = problem.expected_data_type
    if problem.maximum_length is not None:
        details["maximum_length"] = problem.maximum_length
    if problem.dependee and code in _DEPENDENT:
        details["dependee"] = place(problem.dependee, position)
    details |= place(problem.path or problem.field, position)
    return error(code, problem.api_message or _USUAL_WORDS.get(code, "invalid data"), details)


def place(path: str, position: int) -> dict[str, str]:
    """Where in the body something is: `path` is below the record, `Quoted_Items[0].Product_Name`."""
    record = f"$.data[{position}]"
    if not path:
        return {"json_path": record}
    return {"api_name": without_indexes(path).rpartition(".")[2], "json_path": f"{record}.{path}"}


def without_indexes(path: str) -> str:
    """A path as the names of its steps alone."""
    return _INDEX.sub("", path)


def invalid(path: str, position: int, message: str, **details: Any) -> Item:
    """An INVALID_DATA with words of its own."""
    return error(INVALID_DATA, message, {**place(path, position), **details})


class Clash(msgspec.Struct, frozen=True):
    """A unique field whose value another record has."""

    field: str
    record_id: int
    owner: User
    """Of that record."""


def duplicate_item(clashes: Sequence[Clash], position: int, *, module: str, module_id: str) -> Item:
    """One error, or several duplicates combined: of other errors no page says that they are."""
    errors = [
        error(
            "DUPLICATE_DATA",
            "duplicate data",
            {
                "api_name": each.field,
                "duplicate_record": {
                    "Owner": each.owner.reference | {"zuid": each.owner.zuid},
                    "module": {"api_name": module, "id": module_id},
                    "id": str(each.record_id),
                },
                "json_path": f"$.data[{position}].{each.field}",
                "id": str(each.record_id),
                "more_records": False,
            },
        )
        for each in clashes
    ]
    if len(errors) == 1:
        return errors[0]
    return error("MULTIPLE_OR_MULTI_ERRORS", "Multiple errors in the request", {"errors": errors})
