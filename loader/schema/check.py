"""Is this line a record that the module takes? A module is compiled once; each raw line is then one call.

The fast path is one typed decode whose result is thrown away; it is compiled for the keys that the input
really uses. The slow path sees only the lines that the fast path refuses, and it alone finds problems: the
fast path never passes a line that the slow path would refuse. No line is changed here, none is remembered,
and no rule is here that only the service can know (uniqueness, the options of a picklist, what a layout
demands, whether a lookup's record exists).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from loader.schema.fields import Field, FieldType, JsonType, Module

# The API's own codes (insert-records page, "Possible Errors").
INVALID_DATA: Final = "INVALID_DATA"
MANDATORY_NOT_FOUND: Final = "MANDATORY_NOT_FOUND"
# Codes of lines that no API would have read.
NOT_JSON: Final = "NOT_JSON"
NOT_AN_OBJECT: Final = "NOT_AN_OBJECT"
NESTED_TOO_DEEPLY: Final = "NESTED_TOO_DEEPLY"

KEYS_MAX: Final = 512
"""The fast path is compiled for no more keys than this, about what the largest modules have; lines with
others take the slow path."""

_KEY_LENGTH_MAX: Final = 100
_INT64_DIGITS: Final = 18
_FLOAT_DIGITS: Final = 300


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


class Checker:
    """Holds raw lines against a module.

    Text and its kin: JSON type and length, in Unicode code points (the API does not say what it counts; this
    is the assumption). Of e-mail, phone and website no more than that is checked: the API's patterns for them
    are not applied. A key that the module does not know is let through (whether the API refuses it is
    unknown), and so are keys with a leading `$` and fields that an insert may not set (the API ignores them).
    Of a repeated key the last one counts, as JSON readers have it. Null is no value at all: a problem in a
    mandatory field alone. Decimals beyond a field's are no problem: the API does not say how it rounds them.
    """

    def __init__(self, module: Module) -> None:
        self.module = module
        self._mandatory = module.mandatory
        self._rules = {field.api_name: _rule(field) for field in module.fields}
        self._keys = {field.api_name: None for field in self._mandatory}
        self._compile()

    def problems(self, raw: bytes) -> tuple[Problem, ...]:
        """All that is wrong with this line; nothing, if it can be sent."""
        try:
            record = self._decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._explain(raw)
        for name in self._texts:
            if getattr(record, name).isspace():
                return self._explain(raw)
        return ()

    def _compile(self) -> None:
        names = {key: f"f{number}" for number, key in enumerate(self._keys)}
        struct = msgspec.defstruct(
            self.module.api_name,
            [self._member(name, key) for key, name in names.items()],
            rename={name: key for key, name in names.items()},
            kw_only=True,
            forbid_unknown_fields=True,
            gc=False,
        )
        # The hook lets a number through that no float holds: nothing forbids it where nothing is known.
        self._decode = msgspec.json.Decoder(struct, float_hook=str).decode
        self._texts = tuple(
            name for key, name in names.items() if key in self._rules and self._rules[key].watched
        )

    def _member(self, name: str, key: str) -> tuple[str, Any] | tuple[str, Any, Any]:
        rule = self._rules.get(key)
        if rule is None:
            return (name, Any, None)
        if rule.mandatory:
            return (name, _mandatory_type(rule))
        return (name, _type(rule) | None, None)

    def _explain(self, raw: bytes) -> tuple[Problem, ...]:
        values = _split(raw)
        if isinstance(values, Problem):
            return (values,)
        problems = [_missing(field) for field in self._mandatory if field.api_name not in values]
        for key, value in values.items():
            problems.extend(self._explain_value(key, value))
        if not problems:
            self._learn(values)
        return tuple(problems)

    def _explain_value(self, key: str, raw: msgspec.Raw) -> Iterator[Problem]:
        try:
            value = _VALUE.decode(raw)
        except msgspec.ValidationError:
            # The decoder's only quarrel with a value of any type: Python reads no longer whole numbers.
            yield _problem(key, "holds a whole number of thousands of digits; no field takes one")
            return
        rule = self._rules.get(key)
        if rule is None:
            return
        if rule.mandatory and (value is None or (isinstance(value, str) and not value.strip())):
            yield _missing(rule.field)
        elif value is not None and rule.shape != _ANYTHING:
            yield from _explain(rule, value)

    def _learn(self, keys: Iterable[str]) -> None:
        room = KEYS_MAX - len(self._keys)
        new = [key for key in keys if key not in self._keys and _compilable(key)][:room]
        if new:
            self._keys |= dict.fromkeys(new)
            self._compile()


# --- What a field takes: one shape for each way of checking a value ---------------------------------------

_ANYTHING: Final = "anything"
_TEXT: Final = "text"
_DATE: Final = "date"
_DATETIME: Final = "datetime"
_DIGITS: Final = "digits"
_INTEGER: Final = "integer"
_NUMBER: Final = "number"
_BOOLEAN: Final = "boolean"
_OBJECT: Final = "object"
_TAGS: Final = "tags"
_STRINGS: Final = "strings"
_OBJECTS: Final = "objects"

_SHAPE_OF_STRING: Final = {
    FieldType.DATE: _DATE,
    FieldType.DATETIME: _DATETIME,
    FieldType.BIGINT: _DIGITS,
}
_SHAPE_OF_ARRAY: Final = {FieldType.TEXT: _TAGS, FieldType.MULTISELECTPICKLIST: _STRINGS}
_SHAPE_OF_REST: Final = {
    JsonType.INTEGER: _INTEGER,
    JsonType.DOUBLE: _NUMBER,
    JsonType.BOOLEAN: _BOOLEAN,
    JsonType.OBJECT: _OBJECT,
}


def _shape(field: Field) -> str:
    if not field.creatable or field.type is FieldType.OTHER:
        return _ANYTHING
    if field.json_type is JsonType.STRING:
        return _SHAPE_OF_STRING.get(field.type, _TEXT)
    if field.json_type is JsonType.ARRAY:
        return _SHAPE_OF_ARRAY.get(field.type, _OBJECTS)
    return _SHAPE_OF_REST.get(field.json_type, _ANYTHING)


class _Rule(msgspec.Struct, frozen=True):
    """A field with what is worked out of it once."""

    field: Field
    shape: str
    length: int | None
    """None: every length passes."""
    mandatory: bool

    @property
    def watched(self) -> bool:
        """Mandatory text may not be blank, which no type says as cheaply as one look at the decoded value."""
        return self.mandatory and self.shape == _TEXT


def _rule(field: Field) -> _Rule:
    shape = _shape(field)
    length = field.length if field.length and field.length > 0 else None
    too_long_to_count = {_INTEGER: _INT64_DIGITS, _NUMBER: _FLOAT_DIGITS}
    if length and length > too_long_to_count.get(shape, length):
        length = None
    return _Rule(field, shape, length, field.mandatory and field.creatable)


# --- The fast path: shapes as types ------------------------------------------------------------------------


class _Tag(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    # The decoder does not look into members that it skips, so these are named; others take the slow path.
    name: str | msgspec.UnsetType = msgspec.UNSET
    id: Any = None
    color_code: Any = None


# `msgspec.Raw` and skipped members are not looked into (invalid UTF-8 would pass), hence `Any` everywhere.
_PLAIN_TYPE: Final[dict[str, Any]] = {
    _ANYTHING: Any,
    _DATE: date,
    _BOOLEAN: bool,
    _OBJECT: dict[str, Any],
    _TAGS: list[_Tag],
    _STRINGS: list[str],
    _OBJECTS: list[dict[str, Any]],
}

_YEAR_MONTH_DAY: Final = (
    "(?:(?!0000)[0-9]{4}-(?:"
    "(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    "|(?!0000)(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
)
_TIME: Final = "T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_OFFSET: Final = "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])?"


def _type(rule: _Rule) -> Any:
    shape, length = rule.shape, rule.length
    if shape == _TEXT:
        return Annotated[str, Meta(max_length=length)] if length else str
    if shape == _DATETIME:
        return Annotated[str, Meta(pattern=rf"^{_YEAR_MONTH_DAY}{_TIME}{_OFFSET}\Z")]
    if shape == _DIGITS:
        return Annotated[str, Meta(pattern=rf"^-?[0-9]{{1,{length or ''}}}\Z")]
    if shape == _INTEGER:
        bound = 10**length - 1 if length else None
        return Annotated[int, Meta(ge=-bound, le=bound)] if bound else int
    if shape == _NUMBER:
        # What a float rounds up to the bound is refused here; the slow path counts digits and passes it.
        limit = 10.0**length if length else None
        return Annotated[float, Meta(gt=-limit, lt=limit)] if limit else float
    return _PLAIN_TYPE[shape]


def _mandatory_type(rule: _Rule) -> Any:
    if rule.shape == _TEXT:
        return Annotated[_type(rule), Meta(min_length=1)]
    if rule.shape == _ANYTHING:
        # Strings, which may be blank, take the slow path. A pattern would tell blank ones, but msgspec 0.22
        # corrupts memory when it frees a type with both a pattern and an array.
        return int | float | bool | list[Any] | dict[str, Any]
    return _type(rule)


def _compilable(key: str) -> bool:
    """Not every JSON key can be a member's name: those that need escapes take the slow path."""
    return len(key) <= _KEY_LENGTH_MAX and not any(char in '"\\' or char < " " for char in key)


# --- The slow path: shapes in words ------------------------------------------------------------------------


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


def _split(raw: bytes) -> dict[str, msgspec.Raw] | Problem:
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


def _missing(field: Field) -> Problem:
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
    _TEXT: "a string",
    _DATE: 'a date, "2017-08-16"',
    _DATETIME: 'a date and time without fractions of a second, "2017-08-16T14:32:23+05:30"',
    _DIGITS: 'digits in quotes, "0012345600012"',
    _INTEGER: "a whole number without quotes, 12",
    _NUMBER: "a number without quotes, 250000.50",
    _BOOLEAN: "true or false without quotes",
    _OBJECT: 'an object, {"id": "425248000000104001"}',
    _TAGS: 'an array of objects, [{"name": "..."}]',
    _STRINGS: 'an array of strings, ["..."]',
    _OBJECTS: "an array of objects",
}


def _explain(rule: _Rule, value: Any) -> Iterator[Problem]:
    """Every problem of a value that is neither null nor missing."""
    if not _fits(rule.shape, value):
        yield _mismatch(rule, value)
    elif rule.shape in _ITEM_TYPE:
        yield from _explain_items(rule, value)
    elif rule.length:
        yield from _explain_length(rule, rule.length, value)


def _fits(shape: str, value: Any) -> bool:
    if shape == _TEXT:
        return isinstance(value, str)
    if shape in {_INTEGER, _NUMBER}:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole or (shape == _NUMBER and isinstance(value, _Real))
    if shape == _BOOLEAN:
        return isinstance(value, bool)
    if shape == _OBJECT:
        return isinstance(value, dict)
    if shape in _ITEM_TYPE:
        return isinstance(value, list)
    return isinstance(value, str) and _is_written_as(shape, value)


def _is_written_as(shape: str, text: str) -> bool:
    if shape == _DIGITS:
        return _BIGINT_FORMAT.fullmatch(text) is not None
    form = _DATE_FORMAT if shape == _DATE else _DATETIME_FORMAT
    if form.fullmatch(text) is None:
        return False
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return False
    return moment.year > 0


def _mismatch(rule: _Rule, value: Any) -> Problem:
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


_ITEM_TYPE: Final[dict[str, type]] = {_TAGS: dict, _STRINGS: str, _OBJECTS: dict}


def _explain_items(rule: _Rule, items: list[Any]) -> Iterator[Problem]:
    key, item_type = rule.field.api_name, _ITEM_TYPE[rule.shape]
    what, expected = ("a string", "text") if item_type is str else ("an object", "jsonobject")
    for index, item in enumerate(items):
        path = f"{key}[{index}]"
        if not isinstance(item, item_type):
            yield _problem(key, f"is {_words(item)}; it takes {what}", expected=expected, path=path)
        elif rule.shape == _TAGS and isinstance(item, dict) and not isinstance(item.get("name", ""), str):
            message = f"is {_words(item['name'])}; it takes a string"
            yield _problem(key, message, expected="text", path=f"{path}.name")


def _explain_length(rule: _Rule, most: int, value: Any) -> Iterator[Problem]:
    if rule.shape == _TEXT:
        size, unit = len(value), "characters"
    elif rule.shape == _DIGITS:
        size, unit = len(value.removeprefix("-")), "digits"
    elif rule.shape == _INTEGER:
        size, unit = _digits(value), "digits"
    elif rule.shape == _NUMBER:
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
