"""The `details` of an error: where it points, which records it names, and what it says in words.

Older versions and gateways give a list of objects in place of one, or none at all. All of it is read: what is
passed over here, nobody sees.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

TEXT_MAX: Final = 200
"""Characters of the API's words that are kept of one error: they may quote the record."""
MESSAGE_MAX: Final = 400
"""Characters of the words for several errors of a record."""

Details = Mapping[str, Any]

_DIGITS: Final = frozenset({"integer", "bigint", "long", "double", "currency", "percent"})
"""Words of `expected_data_type` whose length counts digits."""


def text(value: object) -> str:
    """A text of the API, bounded; empty for anything else."""
    return value[:TEXT_MAX] if isinstance(value, str) else ""


def parts_of(one: Mapping[str, Any]) -> Sequence[Details]:
    """The objects of an item's `details`."""
    details = one.get("details")
    if isinstance(details, dict):
        return (details,)
    return [part for part in details if isinstance(part, dict)] if isinstance(details, list) else ()


def inner_errors(one: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The several errors of a record: in `errors`, or as the list that `details` is itself."""
    found: list[Mapping[str, Any]] = []
    for part in parts_of(one):
        nested = part.get("errors")
        if isinstance(nested, dict):
            found.append(nested)
        elif isinstance(nested, list):
            found += [error for error in nested if isinstance(error, dict)]
        elif isinstance(one.get("details"), list) and isinstance(part.get("code"), str):
            found.append(part)
    return found


def worded(code: str, message: str, parts: Sequence[Details], *, samples: bool = False) -> str:
    """The API's message with what its details add: `invalid data (expected date, at most 20 characters)`.

    `samples`: a word for a type gets a value that would do, as whoever reads it may not know the word.
    """
    hints = hints_of(code, parts, samples=samples)
    return f"{message} ({hints})" if message and hints else message or hints


def hints_of(code: str, parts: Sequence[Details], *, samples: bool = False) -> str:
    """What the details say beside the field; where there are several, each with its own field."""
    told = []
    for part in parts:
        hints = ", ".join(_hints(code, part, samples=samples))
        name = text(part.get("api_name")) if len(parts) > 1 else ""
        told.append(f"{name}: {hints}" if name and hints else name or hints)
    return _cut("; ".join(dict.fromkeys(filter(None, told))), TEXT_MAX)


def together(errors: Sequence[tuple[str, str, str]]) -> str:
    """Several errors of a record in one message: code, field and words of each; of many no words."""
    count = f"{len(errors)} error{'' if len(errors) == 1 else 's'}: "
    full = "; ".join(
        f"{code} {field}".rstrip() + (f": {words}" if words else "") for code, field, words in errors
    )
    if len(count) + len(full) <= MESSAGE_MAX:
        return count + full
    return _cut(count + "; ".join(f"{code} {field}".rstrip() for code, field, _ in errors), MESSAGE_MAX)


def _hints(code: str, part: Details, *, samples: bool) -> Iterator[str]:
    expected = text(part.get("expected_data_type"))
    if expected:
        sample = _SAMPLES.get(expected, "") if samples else ""
        yield f"expected {expected}" + (f": {sample}" if sample else "")
    length = _number(part.get("maximum_length"))
    if length:
        yield f"at most {length} {_unit(code, expected, part)}"
    yield from _named(part)
    for name, words in _LISTS.items():
        listed = _words_in(part.get(name))
        if listed:
            yield f"{words} {listed}"


def _unit(code: str, expected: str, part: Details) -> str:
    if part.get("api_name") == "data":
        return "records"
    if code == "LIMIT_EXCEEDED" or expected == "jsonarray":
        return "items"
    if not expected:
        return "characters or digits"
    return "digits" if expected in _DIGITS else "characters"


_SAMPLES: Final[Mapping[str, str]] = {
    "text": "a string in quotes",
    "email": '"p.daly@example.com"',
    "phone": '"+1 555-0100"',
    "website": '"https://www.example.com"',
    "url": '"https://www.example.com"',
    "date": '"2017-08-16"',
    "datetime": '"2017-08-16T14:32:23+05:30", no fractions of a second',
    "integer": "12 without quotes",
    "bigint": 'digits in quotes, "0012345600012"',
    "long": 'digits in quotes, "0012345600012"',
    "double": "250000.50 without quotes",
    "currency": "250000.50 without quotes",
    "percent": "25 without quotes",
    "boolean": "true or false without quotes",
    "jsonobject": 'an object in braces, {"id": "..."} of a record',
    "jsonarray": "an array in brackets, [...]",
}
"""By the words of `expected_data_type`."""


_LISTS: Final = {
    "expected_fields": "expected fields",
    "supported_values": "possible:",
    "permissions": "permission",
}


def _named(part: Details) -> Iterator[str]:
    """Details that point at something else: the field, the rule, the service, the record."""
    dependee, rule, other = (part.get(name) for name in ("dependee", "layout_rule", "duplicate_record"))
    if name := _name_in(dependee, "api_name"):
        yield f"it depends on {name}"
    if name := _name_in(rule, "name"):
        yield f"layout rule {name}"
    if reason := text(part.get("dependency_error")):
        yield reason
    if isinstance(other, dict) and (name := _name_in(other.get("module"), "api_name")):
        yield f"of a record in {name}"
    if part.get("more_records") is True:
        yield "and of others"


def _name_in(value: object, member: str) -> str:
    return text(value.get(member)) if isinstance(value, dict) else text(value)


def _words_in(value: object) -> str:
    """The names in a list of texts or of objects with an `api_name`."""
    if not isinstance(value, list):
        return ""
    return ", ".join(filter(None, (_name_in(one, "api_name") for one in value[:20])))


def _number(value: object) -> str:
    """A number; some versions write it as text."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return value[:9]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _cut(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most - 4] + " ..."
