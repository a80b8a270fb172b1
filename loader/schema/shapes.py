"""What a field takes: one shape for each way of checking a value, and each shape as a type for the decoder.

Worked out of the field alone, once a module; no line and no value comes here. The same shapes in words are in
`explain.py`: a type may refuse more than the words do (such a line is looked at again), never less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from math import isfinite
from types import GenericAlias
from typing import Annotated, Any, Final, Literal, cast

import msgspec
from msgspec import UNSET, Meta, UnsetType

from loader.schema import patterns
from loader.schema.fields import DOUBLE_DECIMALS, Field, FieldType, JsonType

ANYTHING: Final = "anything"
TEXT: Final = patterns.TEXT
EMAIL: Final = patterns.EMAIL
PHONE: Final = patterns.PHONE
URL: Final = patterns.URL
CHOICE: Final = "choice"
DATE: Final = "date"
DATETIME: Final = "datetime"
DIGITS: Final = "digits"
INTEGER: Final = "integer"
NUMBER: Final = "number"
BOOLEAN: Final = "boolean"
LOOKUP: Final = "lookup"
OBJECT: Final = "object"
TAGS: Final = "tags"
STRINGS: Final = "strings"
CHOICES: Final = "choices"
ROWS: Final = "rows"
FILES: Final = "files"
LINKS: Final = "links"
OBJECTS: Final = "objects"
IDS: Final = "ids"
TAXES: Final = "taxes"

TEXTS: Final = frozenset({TEXT, EMAIL, PHONE, URL})
ARRAYS: Final = frozenset({TAGS, STRINGS, CHOICES, ROWS, FILES, LINKS, OBJECTS, IDS, TAXES})

ID_DIGITS: Final = 19
"""An id is a string of up to 19 digits (insert-records page, the ids of its samples)."""

NAMED_BY_ID: Final = frozenset(("Contact_Name",))
"""Lookups that were seen to be refused without an id (captured: MANDATORY_NOT_FOUND of Contact_Name.id); one
other was seen to work by name, and of the rest nothing is known (decision 0008)."""

_INT64_DIGITS: Final = 18
_FLOAT_DIGITS: Final = 300

_SHAPE_OF_STRING: Final = {
    FieldType.EMAIL: EMAIL,
    FieldType.PHONE: PHONE,
    FieldType.WEBSITE: URL,
    FieldType.DATE: DATE,
    FieldType.DATETIME: DATETIME,
    FieldType.BIGINT: DIGITS,
}
_SHAPE_OF_ARRAY: Final = {
    FieldType.TEXT: TAGS,
    FieldType.MULTISELECTPICKLIST: STRINGS,
    FieldType.SUBFORM: ROWS,
    FieldType.FILEUPLOAD: FILES,
    FieldType.IMAGEUPLOAD: FILES,
    FieldType.MULTISELECTLOOKUP: LINKS,
    FieldType.MULTIUSERLOOKUP: LINKS,
}
_SHAPE_OF_OBJECT: Final = {
    FieldType.LOOKUP: LOOKUP,
    FieldType.OWNERLOOKUP: LOOKUP,
    FieldType.USERLOOKUP: LOOKUP,
    FieldType.LAYOUT: LOOKUP,
}
_SHAPE_OF_REST: Final = {
    JsonType.INTEGER: INTEGER,
    JsonType.DOUBLE: NUMBER,
    JsonType.BOOLEAN: BOOLEAN,
}
_WITH_OPTIONS: Final = {
    (FieldType.PICKLIST, TEXT): CHOICE,
    (FieldType.MULTISELECTPICKLIST, STRINGS): CHOICES,
}


def _shape(field: Field) -> str:
    if not field.creatable or field.type is FieldType.OTHER:
        return ANYTHING
    if field.json_type is JsonType.STRING:
        return _SHAPE_OF_STRING.get(field.type, TEXT)
    if field.json_type is JsonType.ARRAY:
        return _SHAPE_OF_ARRAY.get(field.type, OBJECTS)
    if field.json_type is JsonType.OBJECT:
        return _SHAPE_OF_OBJECT.get(field.type, OBJECT)
    return _SHAPE_OF_REST.get(field.json_type, ANYTHING)


class Rule(msgspec.Struct, frozen=True):
    """A field with what is worked out of it once."""

    field: Field
    shape: str
    length: int | None = None
    """None: every length passes."""
    mandatory: bool = False
    options: frozenset[str] = frozenset()
    """Of a picklist that takes no other."""
    rows: tuple[Rule, ...] = ()
    """Of a subform: the rules of its rows; none: not known, rows are objects and no more."""
    decimals: int | None = None
    """Of a number: how many digits it may have behind the point; None: any number."""

    @property
    def counts_decimals(self) -> bool:
        """No type says how many decimals a number has: whoever decodes it looks at it once more."""
        return self.decimals is not None or any(rule.counts_decimals for rule in self.rows)

    @property
    def by_id(self) -> bool:
        """A lookup whose record must be named by its id, or by an external value."""
        return self.shape == LOOKUP and self.field.api_name in NAMED_BY_ID

    @property
    def watched(self) -> bool:
        """Looked at after the decoding: mandatory text may not be blank, the others have patterns."""
        return self.shape in patterns.TAKES or (self.mandatory and self.shape == TEXT)

    def has_cell(self, api_name: str) -> bool:
        """Whether this key of a row is known."""
        return any(rule.field.api_name == api_name for rule in self.rows)

    def with_unknown(self, keys: Iterable[str]) -> Rule:
        """The same, these keys of its rows taking anything."""
        unknown = tuple(_key(key, JsonType.OTHER, ANYTHING) for key in keys)
        return msgspec.structs.replace(self, rows=(*self.rows, *unknown)) if unknown else self


def rule_of(field: Field, *, strict: bool = False) -> Rule:
    """What this field takes, as far as a line alone can tell; `strict` closes every picklist."""
    shape = _shape(field)
    options: frozenset[str] = frozenset()
    if field.closed or strict:
        options = frozenset(option.value for option in field.options if option.value.strip())
    if options:
        shape = _WITH_OPTIONS.get((field.type, shape), shape)
    length = field.length if field.length and field.length > 0 else None
    too_long_to_count = {INTEGER: _INT64_DIGITS, NUMBER: _FLOAT_DIGITS}
    if length and length > too_long_to_count.get(shape, length):
        length = None
    rows = tuple(rule_of(each, strict=strict) for each in field.subfields) if shape == ROWS else ()
    return Rule(
        field, shape, length, field.mandatory and field.creatable, options, rows, _decimals(field, shape)
    )


def _decimals(field: Field, shape: str) -> int | None:
    """Up to 9 decimals whatever the field's own number is, which the API may round to (decision 0008)."""
    if shape != NUMBER or field.type not in (FieldType.CURRENCY, FieldType.DOUBLE):
        return None
    return max(DOUBLE_DECIMALS, field.decimals or 0)


def _key(api_name: str, json_type: JsonType, shape: str) -> Rule:
    return Rule(Field(api_name, FieldType.OTHER, json_type), shape)


RECORD_KEYS: Final = (
    _key("$approved", JsonType.BOOLEAN, BOOLEAN),
    _key("$se_module", JsonType.STRING, TEXT),
    _key("$wizard_connection_path", JsonType.ARRAY, IDS),
    _key("$line_tax", JsonType.ARRAY, TAXES),
)
"""Keys that a record of any module may have beside its fields (insert-records page)."""


# --- Shapes as types, for the fast path --------------------------------------------------------------------

# The decoder does not look into members that it skips, so those that are usual are named, and a value with
# others takes the slow path. For the same reason it is `Any` everywhere, never `msgspec.Raw`.


class _Tag(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    name: str | UnsetType = UNSET
    id: Any = None
    color_code: Any = None


_Id = Annotated[str, Meta(pattern=rf"^[0-9]{{1,{ID_DIGITS}}}\Z")]
_NotBlank = Annotated[str, Meta(pattern=r"\S")]
# The vendor's own client library writes the ids of lookups as numbers.
_IdOrNumber = _Id | Annotated[int, Meta(ge=0, le=2**63 - 1)]


class _Lookup(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    id: _IdOrNumber | UnsetType = UNSET
    name: Any = None
    email: Any = None


class _Linked(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    id: _IdOrNumber
    name: Any = None
    email: Any = None


class _File(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    File_Id__s: _NotBlank


class _Tax(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    percentage: float | UnsetType = UNSET
    name: str | UnsetType = UNSET


_PLAIN_TYPE: Final[dict[str, Any]] = {
    ANYTHING: Any,
    DATE: date,
    BOOLEAN: bool,
    LOOKUP: _Lookup,
    OBJECT: dict[str, Any],
}
_ITEM_TYPE: Final[dict[str, Any]] = {
    TAGS: _Tag,
    STRINGS: str,
    FILES: _File,
    OBJECTS: dict[str, Any],
    IDS: _Id,
    TAXES: _Tax,
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
    if rule.by_id:
        return _Linked
    if shape in TEXTS:
        return Annotated[str, Meta(max_length=length)] if length else str
    if shape == CHOICE:
        return _literal(rule.options if rule.mandatory else rule.options | {""})
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
    return _array_of(rule) if shape in ARRAYS else _PLAIN_TYPE[shape]


def _literal(options: frozenset[str]) -> Any:
    return cast(Any, Literal)[tuple(sorted(options))]


def _array_of(rule: Rule) -> Any:
    least, most = int(rule.mandatory), rule.field.items_max
    array: Any = GenericAlias(list, (_item_of(rule),))
    return Annotated[array, Meta(min_length=least, max_length=most)] if least or most else array


def _item_of(rule: Rule) -> Any:
    if rule.shape == CHOICES:
        return _literal(rule.options)
    if rule.shape == LINKS:
        return _link_type(rule.field.link) if rule.field.link else dict[str, _Lookup]
    if rule.shape == ROWS:
        return _row_type(rule.rows) if rule.rows else dict[str, Any]
    return _ITEM_TYPE[rule.shape]


def _link_type(link: str) -> Any:
    member = [("link", _Linked)]
    return msgspec.defstruct("Link", member, rename={"link": link}, forbid_unknown_fields=True, gc=False)


def _row_type(rules: tuple[Rule, ...]) -> Any:
    names = {f"f{number}": rule.field.api_name for number, rule in enumerate(rules)}
    return msgspec.defstruct(
        "Row",
        [member_of(name, rule, _cell_type(rule)) for name, rule in zip(names, rules, strict=True)],
        rename=names,
        kw_only=True,
        forbid_unknown_fields=True,
        gc=False,
    )


def _cell_type(rule: Rule) -> Any:
    """Nothing looks at the value of a row again, so its type says what is only watched in a record."""
    bounds = Meta(max_length=rule.length)
    if rule.shape == EMAIL:
        return Annotated[str, bounds, Meta(pattern=rf"^(?:{patterns.PLAIN[EMAIL]})\Z")]
    if rule.shape == PHONE:
        return Annotated[str, bounds, Meta(pattern=rf"^(?:{patterns.PLAIN[PHONE]})\Z")]
    if rule.shape == URL:
        return Annotated[str, bounds, Meta(pattern=rf"^(?:{patterns.PLAIN[URL]})\Z")]
    if rule.mandatory and rule.shape == TEXT:
        return Annotated[str, bounds, Meta(pattern=r"\S")]
    return mandatory_type_of(rule) if rule.mandatory else type_of(rule)


def member_of(name: str, rule: Rule, type_: Any) -> tuple[str, Any] | tuple[str, Any, Any]:
    """A struct's member for the value of this rule."""
    if rule.mandatory:
        return (name, type_)
    # Who joins texts need not look for one that is missing.
    return (name, type_ | None, "" if rule.shape in TEXTS else None)


_SOME_MEMBERS: Final[Any] = Annotated[dict[str, Any], Meta(min_length=1)]


def mandatory_type_of(rule: Rule) -> Any:
    """The same where a value must be there: neither null nor, as far as a type can say it, blank."""
    if rule.shape in TEXTS:
        return Annotated[type_of(rule), Meta(min_length=1)]
    if rule.shape == ANYTHING:
        # Strings, which may be blank, take the slow path. A pattern would tell blank ones, but msgspec 0.22
        # corrupts memory when it frees a type with both a pattern and an array.
        return int | float | bool | Annotated[list[Any], Meta(min_length=1)] | _SOME_MEMBERS
    if rule.shape == LOOKUP:
        return _Linked
    return _SOME_MEMBERS if rule.shape == OBJECT else type_of(rule)


# --- Decimals ----------------------------------------------------------------------------------------------


def too_fine(number: float, decimals: int) -> bool:
    """Whether a double, which is what the API takes numbers for, has more decimals than this."""
    return isfinite(number) and round(number, decimals) != number


def look_for_decimals(rule: Rule) -> Callable[[Any], bool]:
    """A function that says whether a decoded value of this rule, or a cell of its rows, is too fine."""
    decimals = rule.decimals
    if decimals is not None:
        return lambda number: not is_coarse(number) and too_fine(number, decimals)
    cells = [
        (f"f{number}", look_for_decimals(cell))
        for number, cell in enumerate(rule.rows)
        if cell.counts_decimals
    ]

    in_row = any_member(cells)
    return lambda rows: any(map(in_row, rows))


def any_member(looks: Sequence[tuple[str, Callable[[Any], bool]]]) -> Callable[[Any], bool]:
    """A function that says whether one of these looks finds something in its member of a decoded object."""

    def found(decoded: Any) -> bool:
        for name, look in looks:
            value = getattr(decoded, name)
            if value is not None and look(value):
                return True
        return False

    return found


def is_coarse(number: float) -> bool:
    """Whether it is the double of a number of six decimals or fewer: a sixth of what rounding costs."""
    millionths = number * 1e6
    return millionths.is_integer() and millionths / 1e6 == number
