"""The part of COQL that the sandbox understands: `select a, b from M where F in ('x', 'y') limit n`.

Pure: text in, a query or the reason why not out. Running it is `store.py`.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

COLUMNS_MAX: Final = 50
VALUES_MAX: Final = 50
"""Values of one `in` (COQL limitations page)."""
LIMIT_MAX: Final = 2000
LIMIT_DEFAULT: Final = 200

_QUOTED: Final = r"'(?:[^']|'')*'"
"""A quote inside a value is written twice (vendor's COQL questions and answers)."""
_LITERAL: Final = rf"(?:{_QUOTED}|-?[0-9]+(?:\.[0-9]+)?)"
"""Numbers go without quotes (COQL page)."""
_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*"
_QUERY: Final = re.compile(
    rf"\s*select\s+(?P<columns>{_NAME}(?:\s*,\s*{_NAME})*)"
    rf"\s+from\s+(?P<module>{_NAME})"
    rf"\s+where\s+\(?\s*(?P<field>{_NAME})"
    rf"\s*(?:=\s*(?P<one>{_LITERAL})|in\s*\(\s*(?P<many>{_LITERAL}(?:\s*,\s*{_LITERAL})*)\s*\))\s*\)?"
    r"(?:\s+limit\s+(?P<limit>[0-9]{1,9}))?\s*",
    re.IGNORECASE,
)
_VALUE: Final = re.compile(_LITERAL)


class Query(msgspec.Struct, frozen=True):
    """Which fields of which records: those whose `field` has one of `values`."""

    columns: tuple[str, ...]
    module: str
    field: str
    values: tuple[str, ...]
    limit: int


class QueryError(msgspec.Struct, frozen=True):
    """Why a query is refused, in the API's terms; `details` is the answer's."""

    code: str
    message: str
    details: dict[str, str | int]


def parse_query(text: str) -> Query | QueryError:
    """Reads a query; what it asks for is not looked up."""
    found = _QUERY.fullmatch(text)
    if found is None:
        expected = (
            "select a, b from Module where Field in ('x', 'y') limit 200; a quote inside a value is doubled"
        )
        return QueryError("SYNTAX_ERROR", "error occured while parsing the query", {"expected": expected})
    columns = tuple(name.strip() for name in found["columns"].split(","))
    values = tuple(_unquoted(each) for each in _VALUE.findall(found["many"] or found["one"]))
    limit = int(found["limit"]) if found["limit"] else LIMIT_DEFAULT
    for name, count, most in (
        ("select", len(columns), COLUMNS_MAX),
        ("in", len(values), VALUES_MAX),
        ("limit", limit, LIMIT_MAX),
    ):
        if count > most:
            return QueryError(
                "LIMIT_EXCEEDED", f"{name} is over its limit", {"clause": name, "maximum": most}
            )
    return Query(columns, found["module"], found["field"], values, limit)


def _unquoted(word: str) -> str:
    return word[1:-1].replace("''", "'") if word.startswith("'") else word
