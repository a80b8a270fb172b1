"""What a field takes: one shape for each way of checking a value, and each shape as a type for the decoder.

Worked out of the field alone, once a module; no line and no value comes here. The same shapes in words are in
`explain.py`: a type may refuse more than the words do (such a line is looked at again), never less.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from loader.schema.fields import Field, FieldType, JsonType

ANYTHING: Final = "anything"
TEXT: Final = "text"
DATE: Final = "date"
DATETIME: Final = "datetime"
DIGITS: Final = "digits"
INTEGER: Final = "integer"
NUMBER: Final = "number"
BOOLEAN: Final = "boolean"
OBJECT: Final = "object"
TAGS: Final = "tags"
STRINGS: Final = "strings"
OBJECTS: Final = "objects"

_INT64_DIGITS: Final = 18
_FLOAT_DIGITS: Final = 300

_SHAPE_OF_STRING: Final = {
    FieldType.DATE: DATE,
    FieldType.DATETIME: DATETIME,
    FieldType.BIGINT: DIGITS,
}
_SHAPE_OF_ARRAY: Final = {FieldType.TEXT: TAGS, FieldType.MULTISELECTPICKLIST: STRINGS}
_SHAPE_OF_REST: Final = {
    JsonType.INTEGER: INTEGER,
    JsonType.DOUBLE: NUMBER,
    JsonType.BOOLEAN: BOOLEAN,
    JsonType.OBJECT: OBJECT,
}


def _shape(field: Field) -> str:
    if not field.creatable or field.type is FieldType.OTHER:
        return ANYTHING
    if field.json_type is JsonType.STRING:
        return _SHAPE_OF_STRING.get(field.type, TEXT)
    if field.json_type is JsonType.ARRAY:
        return _SHAPE_OF_ARRAY.get(field.type, OBJECTS)
    return _SHAPE_OF_REST.get(field.json_type, ANYTHING)


class Rule(msgspec.Struct, frozen=True):
    """A field with what is worked out of it once."""

    field: Field
    shape: str
    length: int | None
    """None: every length passes."""
    mandatory: bool

    @property
    def watched(self) -> bool:
        """Mandatory text may not be blank, which no type says as cheaply as one look at the decoded value."""
        return self.mandatory and self.shape == TEXT


def rule_of(field: Field) -> Rule:
    """What this field takes, as far as a line alone can tell."""
    shape = _shape(field)
    length = field.length if field.length and field.length > 0 else None
    too_long_to_count = {INTEGER: _INT64_DIGITS, NUMBER: _FLOAT_DIGITS}
    if length and length > too_long_to_count.get(shape, length):
        length = None
    return Rule(field, shape, length, field.mandatory and field.creatable)


# --- Shapes as types, for the fast path --------------------------------------------------------------------


class _Tag(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    # The decoder does not look into members that it skips, so these are named; others take the slow path.
    name: str | msgspec.UnsetType = msgspec.UNSET
    id: Any = None
    color_code: Any = None


# `msgspec.Raw` and skipped members are not looked into (invalid UTF-8 would pass), hence `Any` everywhere.
_PLAIN_TYPE: Final[dict[str, Any]] = {
    ANYTHING: Any,
    DATE: date,
    BOOLEAN: bool,
    OBJECT: dict[str, Any],
    TAGS: list[_Tag],
    STRINGS: list[str],
    OBJECTS: list[dict[str, Any]],
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


def type_of(rule: Rule) -> Any:
    """The type of a value that is there; null is for the caller to allow."""
    shape, length = rule.shape, rule.length
    if shape == TEXT:
        return Annotated[str, Meta(max_length=length)] if length else str
    if shape == DATETIME:
        return Annotated[str, Meta(pattern=rf"^{_YEAR_MONTH_DAY}{_TIME}{_OFFSET}\Z")]
    if shape == DIGITS:
        return Annotated[str, Meta(pattern=rf"^-?[0-9]{{1,{length or ''}}}\Z")]
    if shape == INTEGER:
        bound = 10**length - 1 if length else None
        return Annotated[int, Meta(ge=-bound, le=bound)] if bound else int
    if shape == NUMBER:
        # What a float rounds up to the bound is refused here; the slow path counts digits and passes it.
        limit = 10.0**length if length else None
        return Annotated[float, Meta(gt=-limit, lt=limit)] if limit else float
    return _PLAIN_TYPE[shape]


def mandatory_type_of(rule: Rule) -> Any:
    """The same where a value must be there: neither null nor, as far as a type can say it, blank."""
    if rule.shape == TEXT:
        return Annotated[type_of(rule), Meta(min_length=1)]
    if rule.shape == ANYTHING:
        # Strings, which may be blank, take the slow path. A pattern would tell blank ones, but msgspec 0.22
        # corrupts memory when it frees a type with both a pattern and an array.
        return int | float | bool | list[Any] | dict[str, Any]
    return type_of(rule)
