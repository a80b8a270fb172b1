"""The slow path: what is wrong with a record, in words. It sees only the lines that the fast path refuses.

A line that is no record at all is told in `members.py`. This page has the last word: a line that the types of
`shapes.py` refuse is still a record if no fault is found here. Nothing is kept from one line to the next;
what the fast path learns of a line is for `check.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import msgspec

from loader.schema import shapes as s
from loader.schema.fields import Field, FieldType, JsonType
from loader.schema.patterns import TAKES
from loader.schema.problems import (
    ID_INVALID,
    INVALID_DATA,
    LIMIT_EXCEEDED,
    MANDATORY_NOT_FOUND,
    Problem,
)
from loader.schema.shapes import Rule
from loader.schema.written import OUT_OF_REACH, Real, fraction_digits, whole_digits

_VALUE: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(Any, float_hook=Real)
_DATE_FORMAT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATETIME_FORMAT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:Z|[+-][0-9]{2}:[0-5][0-9])?"
)
_BIGINT_FORMAT: Final = re.compile(r"-?[0-9]+")
_ID_FORMAT: Final = re.compile(rf"[0-9]{{1,{s.ID_DIGITS}}}")


def missing(field: Field, path: str = "") -> Problem:
    """The problem of a mandatory field that has no value."""
    where = path or field.api_name
    return Problem(
        MANDATORY_NOT_FOUND, f"{where} is mandatory; give it a value", where_field(where), path=where
    )


def where_field(path: str) -> str:
    """The record's field that a path leads into."""
    return _FIELD_END.split(path, maxsplit=1)[0]


_FIELD_END: Final = re.compile(r"[.\[]")

# The words that the API's answers show are integer, text, phone, date, datetime, jsonarray and jsonobject;
# the others follow them.
_EXPECTED: Final = {
    FieldType.TEXTAREA: "text",
    FieldType.PICKLIST: "text",
    FieldType.PROFILEIMAGE: "text",
    FieldType.CURRENCY: "double",
    FieldType.PERCENT: "double",
}
_EXPECTED_OF_KEY: Final = {s.TEXT: "text", s.BOOLEAN: "boolean"}
_ARTICLE: Final = {
    s.TEXT: "a string",
    s.EMAIL: 'an e-mail address, "p.daly@example.com"',
    s.PHONE: 'a phone number, "+1 555-0100": digits and letters with single spaces, dots or hyphens between',
    s.URL: 'a web address, "https://www.example.com"',
    s.CHOICE: "a string",
    s.DATE: 'a date, "2017-08-16"',
    s.DATETIME: 'a date and time without fractions of a second, "2017-08-16T14:32:23+05:30"',
    s.DIGITS: 'digits in quotes, "0012345600012"',
    s.INTEGER: "a whole number without quotes, 12",
    s.NUMBER: "a number without quotes, 250000.50",
    s.BOOLEAN: "true or false without quotes",
    s.LOOKUP: 'an object, {"id": "425248000000104001"}',
    s.OBJECT: 'an object, {"id": "425248000000104001"}',
    s.TAGS: 'an array of objects, [{"name": "..."}]',
    s.STRINGS: 'an array of strings, ["..."]',
    s.CHOICES: 'an array of strings, ["..."]',
    s.ROWS: "an array of objects, one a row",
    s.FILES: 'an array of objects, [{"File_Id__s": "..."}]',
    s.LINKS: "an array of objects",
    s.OBJECTS: "an array of objects",
    s.IDS: 'an array of ids in quotes, ["425248000000104001"]',
    s.TAXES: 'an array of objects, [{"percentage": 1.5, "name": "..."}]',
}
_ID: Final = 'the id of a record in quotes, up to 19 digits: "425248000000104001"'


def explain(key: str, raw: msgspec.Raw, rule: Rule | None) -> Iterator[Problem]:
    """Every problem of one member's value; without a rule the module does not know the key."""
    try:
        value = _VALUE.decode(raw)
    except msgspec.ValidationError:
        # The decoder's only quarrel with a value of any type: Python reads no longer whole numbers.
        message = f"{key} holds a whole number of thousands of digits; no field takes one"
        yield Problem(INVALID_DATA, message, key, path=key)
        return
    if rule is not None:
        yield from _explain_member(rule, value, key)


def _explain_member(rule: Rule, value: Any, path: str) -> Iterator[Problem]:
    """Every problem of a value under this path, null included."""
    if rule.mandatory and _is_missing(rule.field, value):
        yield missing(rule.field, path)
    elif value is not None and rule.shape != s.ANYTHING:
        yield from _explain_value(rule, value, path)


def is_no_value(value: object) -> bool:
    """Nothing that a mandatory field could do with: null, a blank string, an array or object of nothing."""
    return value is None or value in ([], {}) or (isinstance(value, str) and not value.strip())


def _is_missing(field: Field, value: object) -> bool:
    """Whether a mandatory field lacks a value: an array of nothing is one of the wrong type to a text."""
    if value == []:
        return field.json_type in (JsonType.ARRAY, JsonType.OTHER)
    if value == {}:
        return field.json_type in (JsonType.OBJECT, JsonType.OTHER)
    return is_no_value(value)


def _explain_value(rule: Rule, value: Any, path: str) -> Iterator[Problem]:
    """Every problem of a value that is neither null nor missing."""
    if not _fits(rule.shape, value):
        yield _mismatch(rule, value, path)
    elif rule.shape in s.ARRAYS:
        yield from _explain_items(rule, value, path)
    elif rule.shape == s.LOOKUP:
        yield from _explain_linked(value, path) if rule.by_id else _explain_id(value, path)
    elif rule.shape == s.CHOICE:
        yield from _explain_choice(rule, value, path)
    elif (long := _too_long(rule, value, path) or _too_fine(rule, value, path)) is not None:
        yield long
    elif rule.shape in TAKES and value and not TAKES[rule.shape](value):
        yield _mismatch(rule, value, path)


def _fits(shape: str, value: Any) -> bool:
    if shape in s.TEXTS or shape == s.CHOICE:
        return isinstance(value, str)
    if shape in {s.INTEGER, s.NUMBER}:
        return _is_number(value, whole=shape == s.INTEGER)
    if shape == s.BOOLEAN:
        return isinstance(value, bool)
    if shape in {s.OBJECT, s.LOOKUP}:
        return isinstance(value, dict)
    if shape in s.ARRAYS:
        return isinstance(value, list)
    return isinstance(value, str) and _is_written_as(shape, value)


def _is_number(value: Any, *, whole: bool = False) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return True
    return not whole and isinstance(value, Real)


def _is_written_as(shape: str, text: str) -> bool:
    if shape == s.DIGITS:
        return _BIGINT_FORMAT.fullmatch(text) is not None
    form = _DATE_FORMAT if shape == s.DATE else _DATETIME_FORMAT
    if form.fullmatch(text) is None:
        return False
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return False
    return moment.year > 0


def _problem(
    path: str, message: str, *, expected: str = "", maximum_length: int | None = None, api_message: str = ""
) -> Problem:
    where = f"{path} {message}"
    return Problem(INVALID_DATA, where, where_field(path), expected, maximum_length, path, api_message)


def _mismatch(rule: Rule, value: Any, path: str) -> Problem:
    field = rule.field
    expected = _EXPECTED.get(field.type, str(field.type))
    if field.json_type in {JsonType.OBJECT, JsonType.ARRAY}:
        expected = str(field.json_type)
    elif field.type is FieldType.OTHER:
        expected = _EXPECTED_OF_KEY.get(rule.shape, "")
    return _problem(path, f"is {_words(value)}; it takes {_ARTICLE[rule.shape]}", expected=expected)


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


def _explain_id(value: dict[str, Any], path: str) -> Iterator[Problem]:
    """A lookup may do without an id: it may be found by its name, or by an external id.

    Samples have ids as strings; the vendor's own client library writes those of lookups as numbers.
    """
    if "id" in value and not (_is_id(value["id"]) or _is_number_id(value["id"])):
        message = f"is {_words(value['id'])}; it takes {_ID}"
        yield _problem(f"{path}.id", message, api_message=ID_INVALID)


def _is_id(value: object) -> bool:
    return isinstance(value, str) and _ID_FORMAT.fullmatch(value) is not None


def _is_number_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**s.ID_DIGITS


def _explain_choice(rule: Rule, value: str, path: str) -> Iterator[Problem]:
    if value in rule.options or (not value and rule.shape == s.CHOICE):
        return
    options = [option.value for option in rule.field.options]
    shown = next((each.value for each in rule.field.options if each.shown == value), None)
    if shown is None:
        some = ", ".join(f"{each:.40}" for each in options[:5])
        takes = f"one of {len(options):,}: {some}{' ...' if len(options) > 5 else ''}"
    else:
        takes = f"the value itself, {shown!a}, not the word that people see"
    yield _problem(path, f"is {_words(value)}; it takes {takes}")


# --- Arrays ------------------------------------------------------------------------------------------------

_STRING_ITEMS: Final = frozenset({s.STRINGS, s.CHOICES, s.IDS})


def _explain_items(rule: Rule, items: list[Any], path: str) -> Iterator[Problem]:
    most = rule.field.items_max
    if most is not None and len(items) > most:
        yield too_many(rule.field.api_name, path, len(items), most)
    strings = rule.shape in _STRING_ITEMS
    for index, item in enumerate(items):
        where = f"{path}[{index}]"
        if strings and not isinstance(item, str):
            yield _problem(where, f"is {_words(item)}; it takes a string", expected="text")
        elif not strings and not isinstance(item, dict):
            yield _problem(where, f"is {_words(item)}; it takes an object", expected="jsonobject")
        else:
            yield from _explain_item(rule, item, where)


def too_many(api_name: str, path: str, count: int, most: int) -> Problem:
    """The problem of an array with more items than the API takes; participants have words of their own."""
    participants = "Only 50 participants can be added to an event." if api_name == "Participants" else ""
    message = f"{path} has {count:,} items; it takes {most:,} at most"
    return Problem(LIMIT_EXCEEDED, message, where_field(path), "", most, path, participants)


def _explain_item(rule: Rule, item: Any, path: str) -> Iterator[Problem]:
    match rule.shape:
        case s.TAGS:
            yield from _explain_text(item, "name", path)
        case s.TAXES:
            yield from _explain_text(item, "name", path)
            if "percentage" in item and not _is_number(item["percentage"]):
                message = f"is {_words(item['percentage'])}; it takes {_ARTICLE[s.NUMBER]}"
                yield _problem(f"{path}.percentage", message, expected="double")
        case s.CHOICES:
            yield from _explain_choice(rule, item, path)
        case s.IDS if not _is_id(item):
            message = f"is {_words(item)}; it takes the id of a connection in quotes, as Get Wizards has it"
            yield _problem(path, message, api_message="Wizard connection id is invalid")
        case s.FILES:
            yield from _explain_file(item, path)
        case s.LINKS:
            yield from _explain_link(rule.field.link, item, path)
        case s.ROWS:
            yield from _explain_row(rule.rows, item, path)


def _explain_text(item: dict[str, Any], member: str, path: str) -> Iterator[Problem]:
    if member in item and not isinstance(item[member], str):
        yield _problem(f"{path}.{member}", f"is {_words(item[member])}; it takes a string", expected="text")


def _absent(path: str, what: str) -> Problem:
    return Problem(MANDATORY_NOT_FOUND, f"{path} is mandatory; give it {what}", where_field(path), path=path)


def _explain_file(item: dict[str, Any], path: str) -> Iterator[Problem]:
    if is_no_value(item.get("File_Id__s")):
        yield _absent(f"{path}.File_Id__s", "the id that the Files API answered with")
    else:
        yield from _explain_text(item, "File_Id__s", path)


def _explain_link(link: str, item: dict[str, Any], path: str) -> Iterator[Problem]:
    """One record of a multi-select lookup; where its member is not known, all objects are looked at."""
    if not link:
        for name, value in item.items():
            if isinstance(value, dict):
                yield from _explain_id(value, f"{path}.{name}")
    elif item.get(link) is None:
        yield _absent(f"{path}.{link}", _ARTICLE[s.LOOKUP])
    elif isinstance(item[link], dict):
        yield from _explain_linked(item[link], f"{path}.{link}")
    else:
        message = f"is {_words(item[link])}; it takes {_ARTICLE[s.LOOKUP]}"
        yield _problem(f"{path}.{link}", message, expected="jsonobject")


def _explain_linked(value: dict[str, Any], path: str) -> Iterator[Problem]:
    """Here the id is what names the record; an external value may stand for it, a name does not."""
    if set(value) <= {"name", "email"}:
        yield _absent(f"{path}.id", _ID)
    else:
        yield from _explain_id(value, path)


def _explain_row(rules: tuple[Rule, ...], row: dict[str, Any], path: str) -> Iterator[Problem]:
    for rule in rules:
        name = rule.field.api_name
        if name in row or rule.mandatory:
            yield from _explain_member(rule, row.get(name), f"{path}.{name}")


# --- Lengths -----------------------------------------------------------------------------------------------


def _too_long(rule: Rule, value: Any, path: str) -> Problem | None:
    most = rule.length
    if most is None:
        return None
    if rule.shape in s.TEXTS:
        size, unit = len(value), "characters"
    elif rule.shape == s.DIGITS:
        size, unit = len(value.removeprefix("-")), "digits"
    elif rule.shape == s.INTEGER:
        size, unit = whole_digits(value), "digits"
    elif rule.shape == s.NUMBER:
        size, unit = whole_digits(value), "digits before the decimal point"
    else:
        return None
    if size <= most:
        return None
    count = _count(size)
    message = f"has {count} {unit}; it takes {most:,} at most"
    return _problem(path, message, maximum_length=most)


def _too_fine(rule: Rule, value: Any, path: str) -> Problem | None:
    most = rule.decimals
    if most is None or not isinstance(value, Real) or not s.too_fine(float(value.text), most):
        return None
    count = _count(fraction_digits(value))
    message = f"has {count} digits behind the decimal point; it takes {most} at most: round it"
    return _problem(path, message, maximum_length=most)


def _count(size: int) -> str:
    return f"{size:,}" if size < OUT_OF_REACH else "billions of"
