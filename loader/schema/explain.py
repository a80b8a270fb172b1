"""The slow path: what is wrong with a line, in words. It sees only the lines that the fast path refuses.

It has the last word: a line that the types of `shapes.py` refuse is still a record if no fault is found here.
Nothing is kept from one line to the next; what the fast path learns of a line is for `check.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import msgspec

from loader.schema.fields import Field, FieldType, JsonType
from loader.schema.problems import (
    INVALID_DATA,
    MANDATORY_NOT_FOUND,
    NESTED_TOO_DEEPLY,
    NOT_AN_OBJECT,
    NOT_JSON,
    Problem,
)
from loader.schema.shapes import (
    ANYTHING,
    BOOLEAN,
    DATE,
    DATETIME,
    DIGITS,
    INTEGER,
    NUMBER,
    OBJECT,
    OBJECTS,
    STRINGS,
    TAGS,
    TEXT,
    Rule,
)


class _Real(msgspec.Struct, frozen=True, gc=False):
    """A number with a point or an exponent, as it is written."""

    text: str


_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_VALUE: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(Any, float_hook=_Real)
_DATE_FORMAT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATETIME_FORMAT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:Z|[+-][0-9]{2}:[0-9]{2})?"
)
_BIGINT_FORMAT: Final = re.compile(r"-?[0-9]+")
_HALF_PAIR: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_BOM: Final = b"\xef\xbb\xbf"


def split(raw: bytes) -> dict[str, msgspec.Raw] | Problem:
    """The line's members, or why it has none."""
    if raw.startswith(_BOM):
        return Problem(NOT_JSON, "the line begins with a byte order mark (byte 0); save the file without one")
    try:
        raw.decode()
        return _MEMBERS.decode(raw)
    except UnicodeDecodeError as error:
        why = f"byte 0x{raw[error.start]:02x} is not UTF-8 (byte {error.start}); save the file as UTF-8"
        return Problem(NOT_JSON, f"the line is not JSON: {why}")
    except RecursionError:
        return Problem(NESTED_TOO_DEEPLY, "arrays and objects are nested too deeply; no field takes that")
    except msgspec.ValidationError:
        return Problem(NOT_AN_OBJECT, _not_an_object(raw))
    except msgspec.DecodeError as error:
        return Problem(NOT_JSON, f"the line is not JSON: {_reason(raw, str(error))}")


def _not_an_object(raw: bytes) -> str:
    start = len(raw) - len(raw.lstrip(b" \t\r\n"))
    what = _NAME_OF_FIRST_BYTE.get(raw[start : start + 1], "a number")
    return f'the line is {what} (byte {start}); a record is one JSON object: {{"Last_Name": "..."}}'


_NAME_OF_FIRST_BYTE: Final = {
    b"[": "an array",
    b'"': "a string",
    b"n": "null",
    b"t": "true",
    b"f": "false",
}


def _reason(raw: bytes, message: str) -> str:
    if "truncated" not in message:
        return message.removeprefix("JSON is malformed: ")
    # The decoder's word for both.
    half = _HALF_PAIR.search(raw)
    if half:
        return f"it ends too early (byte {len(raw)}), or half of a surrogate pair (byte {half.start()})"
    return f"it ends too early (byte {len(raw)})"


def _problem(
    key: str, message: str, *, expected: str = "", maximum_length: int | None = None, path: str = ""
) -> Problem:
    where = path or key
    return Problem(INVALID_DATA, f"{where} {message}", key, expected, maximum_length, where)


def missing(field: Field) -> Problem:
    """The problem of a mandatory field that has no value."""
    name = field.api_name
    return Problem(MANDATORY_NOT_FOUND, f"{name} is mandatory; give it a value", name, path=name)


# The words that the API's answers show are integer, text, phone, date, datetime, jsonarray and jsonobject;
# the others follow them.
_EXPECTED: Final = {
    FieldType.TEXTAREA: "text",
    FieldType.PICKLIST: "text",
    FieldType.PROFILEIMAGE: "text",
    FieldType.CURRENCY: "double",
    FieldType.PERCENT: "double",
}
_ARTICLE: Final = {
    TEXT: "a string",
    DATE: 'a date, "2017-08-16"',
    DATETIME: 'a date and time without fractions of a second, "2017-08-16T14:32:23+05:30"',
    DIGITS: 'digits in quotes, "0012345600012"',
    INTEGER: "a whole number without quotes, 12",
    NUMBER: "a number without quotes, 250000.50",
    BOOLEAN: "true or false without quotes",
    OBJECT: 'an object, {"id": "425248000000104001"}',
    TAGS: 'an array of objects, [{"name": "..."}]',
    STRINGS: 'an array of strings, ["..."]',
    OBJECTS: "an array of objects",
}


def explain(key: str, raw: msgspec.Raw, rule: Rule | None) -> Iterator[Problem]:
    """Every problem of one member's value; without a rule the module does not know the key."""
    try:
        value = _VALUE.decode(raw)
    except msgspec.ValidationError:
        # The decoder's only quarrel with a value of any type: Python reads no longer whole numbers.
        yield _problem(key, "holds a whole number of thousands of digits; no field takes one")
        return
    if rule is None:
        return
    if rule.mandatory and (value is None or (isinstance(value, str) and not value.strip())):
        yield missing(rule.field)
    elif value is not None and rule.shape != ANYTHING:
        yield from _explain_value(rule, value)


def _explain_value(rule: Rule, value: Any) -> Iterator[Problem]:
    """Every problem of a value that is neither null nor missing."""
    if not _fits(rule.shape, value):
        yield _mismatch(rule, value)
    elif rule.shape in _ITEM_TYPE:
        yield from _explain_items(rule, value)
    elif rule.length:
        yield from _explain_length(rule, rule.length, value)


def _fits(shape: str, value: Any) -> bool:
    if shape == TEXT:
        return isinstance(value, str)
    if shape in {INTEGER, NUMBER}:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole or (shape == NUMBER and isinstance(value, _Real))
    if shape == BOOLEAN:
        return isinstance(value, bool)
    if shape == OBJECT:
        return isinstance(value, dict)
    if shape in _ITEM_TYPE:
        return isinstance(value, list)
    return isinstance(value, str) and _is_written_as(shape, value)


def _is_written_as(shape: str, text: str) -> bool:
    if shape == DIGITS:
        return _BIGINT_FORMAT.fullmatch(text) is not None
    form = _DATE_FORMAT if shape == DATE else _DATETIME_FORMAT
    if form.fullmatch(text) is None:
        return False
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return False
    return moment.year > 0


def _mismatch(rule: Rule, value: Any) -> Problem:
    field = rule.field
    expected = _EXPECTED.get(field.type, str(field.type))
    if field.json_type in {JsonType.OBJECT, JsonType.ARRAY}:
        expected = str(field.json_type)
    message = f"is {_words(value)}; it takes {_ARTICLE[rule.shape]}"
    return _problem(field.api_name, message, expected=expected)


def _words(value: Any) -> str:
    """A value in a few words that are safe to print: control characters are escaped."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return f"the string {value[:40]!a}{' (cut)' if len(value) > 40 else ''}"
        case list():
            return "an array"
        case dict():
            return "an object"
        case _:
            return "a number"


_ITEM_TYPE: Final[dict[str, type]] = {TAGS: dict, STRINGS: str, OBJECTS: dict}


def _explain_items(rule: Rule, items: list[Any]) -> Iterator[Problem]:
    key, item_type = rule.field.api_name, _ITEM_TYPE[rule.shape]
    what, expected = ("a string", "text") if item_type is str else ("an object", "jsonobject")
    for index, item in enumerate(items):
        path = f"{key}[{index}]"
        if not isinstance(item, item_type):
            yield _problem(key, f"is {_words(item)}; it takes {what}", expected=expected, path=path)
        elif rule.shape == TAGS and isinstance(item, dict) and not isinstance(item.get("name", ""), str):
            message = f"is {_words(item['name'])}; it takes a string"
            yield _problem(key, message, expected="text", path=f"{path}.name")


def _explain_length(rule: Rule, most: int, value: Any) -> Iterator[Problem]:
    if rule.shape == TEXT:
        size, unit = len(value), "characters"
    elif rule.shape == DIGITS:
        size, unit = len(value.removeprefix("-")), "digits"
    elif rule.shape == INTEGER:
        size, unit = _digits(value), "digits"
    elif rule.shape == NUMBER:
        size, unit = _digits(value), "digits before the decimal point"
    else:
        return
    if size > most:
        count = f"{size:,}" if size < 2**31 else "billions of"
        message = f"has {count} {unit}; it takes {most:,} at most"
        yield _problem(rule.field.api_name, message, maximum_length=most)


def _digits(value: int | _Real) -> int:
    """Digits before the decimal point, leading zeros left out."""
    if isinstance(value, int):
        return len(str(abs(value)))
    mantissa, _, exponent = value.text.lower().partition("e")
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    significant = (whole + fraction).lstrip("0")
    if not significant:
        return 1
    zeros = len(whole) + len(fraction) - len(significant)
    # An exponent of many digits would take long to read, and says no more than that it is out of reach.
    shift = int(exponent or 0) if len(exponent) <= 9 else (-(2**31) if exponent[0] == "-" else 2**31)
    return max(len(whole) - zeros + shift, 1)
