"""What a module is made of: fields, their types and the limits that the API sets for them.

Values and facts only. How a record is held against them is `check.py`; which modules there are is
`modules.py`; how the API writes them down is `metadata.py`.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec

# What each kind of field holds at most (insert-records page, "Sample Attributes"). A field's own metadata
# goes before these: an administrator may set less, and the API's own fields sometimes hold more.
TEXT_LENGTH: Final = 255
TEXTAREA_SMALL_LENGTH: Final = 2_000
TEXTAREA_LARGE_LENGTH: Final = 32_000
PHONE_LENGTH: Final = 30
INTEGER_DIGITS: Final = 9
BIGINT_DIGITS: Final = 18
DOUBLE_DIGITS: Final = 16
"""Digits before the decimal point of a currency or a decimal."""
DOUBLE_DECIMALS: Final = 9
PERCENT_DIGITS: Final = 5
PARTICIPANTS_MAX: Final = 50
"""Of an event (insert-records page, LIMIT_EXCEEDED)."""

# What the metadata gives as the length of kinds whose length the insert-records page does not name
# (field metadata of a Leads module).
EMAIL_LENGTH: Final = 100
WEBSITE_LENGTH: Final = 255
PICKLIST_LENGTH: Final = 120
BOOLEAN_LENGTH: Final = 5
LOOKUP_LENGTH: Final = 120
DATETIME_LENGTH: Final = 120


class JsonType(StrEnum):
    """The API's words for the JSON that a field takes (field metadata, `json_type`)."""

    STRING = "string"
    INTEGER = "integer"
    DOUBLE = "double"
    BOOLEAN = "boolean"
    OBJECT = "jsonobject"
    ARRAY = "jsonarray"
    OTHER = "other"
    """A word that this version does not know: the field's values are not checked."""

    @classmethod
    def _missing_(cls, _value: object) -> JsonType:
        return cls.OTHER


class FieldType(StrEnum):
    """The API's words for what a field holds (field metadata, `data_type`)."""

    TEXT = "text"
    TEXTAREA = "textarea"
    EMAIL = "email"
    PHONE = "phone"
    WEBSITE = "website"
    PICKLIST = "picklist"
    MULTISELECTPICKLIST = "multiselectpicklist"
    DATE = "date"
    DATETIME = "datetime"
    INTEGER = "integer"
    BIGINT = "bigint"
    CURRENCY = "currency"
    DOUBLE = "double"
    PERCENT = "percent"
    BOOLEAN = "boolean"
    LOOKUP = "lookup"
    OWNERLOOKUP = "ownerlookup"
    USERLOOKUP = "userlookup"
    LAYOUT = "layout"
    PROFILEIMAGE = "profileimage"
    SUBFORM = "subform"
    FILEUPLOAD = "fileupload"
    IMAGEUPLOAD = "imageupload"
    MULTISELECTLOOKUP = "multiselectlookup"
    MULTIUSERLOOKUP = "multiuserlookup"
    TERRITORIES = "territories"
    FORMULA = "formula"
    ROLLUP_SUMMARY = "rollup_summary"
    OTHER = "other"
    """A word that this version does not know: the field's values are not checked."""

    @classmethod
    def _missing_(cls, _value: object) -> FieldType:
        return cls.OTHER

    @property
    def json_type(self) -> JsonType:
        """The JSON that a field of this type usually takes; a field's own `json_type` goes before it."""
        return _JSON_TYPE.get(self, JsonType.STRING)


# Field metadata. Formulas and roll-ups have no JSON type of their own: theirs is that of what they compute.
_JSON_TYPE: Final = MappingProxyType(
    {
        FieldType.INTEGER: JsonType.INTEGER,
        FieldType.CURRENCY: JsonType.DOUBLE,
        FieldType.DOUBLE: JsonType.DOUBLE,
        FieldType.PERCENT: JsonType.DOUBLE,
        FieldType.BOOLEAN: JsonType.BOOLEAN,
        FieldType.LOOKUP: JsonType.OBJECT,
        FieldType.OWNERLOOKUP: JsonType.OBJECT,
        FieldType.USERLOOKUP: JsonType.OBJECT,
        FieldType.LAYOUT: JsonType.OBJECT,
        FieldType.MULTISELECTPICKLIST: JsonType.ARRAY,
        FieldType.SUBFORM: JsonType.ARRAY,
        FieldType.FILEUPLOAD: JsonType.ARRAY,
        FieldType.IMAGEUPLOAD: JsonType.ARRAY,
        FieldType.MULTISELECTLOOKUP: JsonType.ARRAY,
        FieldType.MULTIUSERLOOKUP: JsonType.ARRAY,
        FieldType.TERRITORIES: JsonType.ARRAY,
        FieldType.FORMULA: JsonType.OTHER,
        FieldType.ROLLUP_SUMMARY: JsonType.OTHER,
        FieldType.OTHER: JsonType.OTHER,
    }
)


class Option(msgspec.Struct, frozen=True, gc=False):
    """One option of a picklist."""

    value: str
    """What the API takes and stores (`actual_value`)."""
    shown: str = ""
    """What people see (`display_value`), where that is another word."""


class Field(msgspec.Struct, frozen=True):
    """One field of a module, as its metadata describes it."""

    api_name: str
    type: FieldType
    json_type: JsonType
    """Not always that of the type: Tag is a text whose JSON is an array."""
    length: int | None = None
    """Characters of a string, digits of a number; None: the metadata gives none (it gives subforms none)."""
    decimals: int | None = None
    mandatory: bool = False
    """Mandatory to the system. What a layout or a layout rule demands is not in the field metadata."""
    creatable: bool = True
    """An insert may set it. What an insert gives for any other field is ignored by the API."""
    unique: bool = False
    case_sensitive: bool = False
    """Of a unique field: "A" and "a" are two values."""
    external: bool = False
    """An external id: unique by its nature."""
    options: tuple[Option, ...] = ()
    """Of a picklist; the API takes new ones too, unless `closed`."""
    closed: bool = False
    """The API takes the options alone (the insert-records page names the possible values)."""
    module: str = ""
    """Of a lookup or a multi-select lookup: API name of the module that it refers to; empty: not known."""
    link: str = ""
    """Of a multi-select or multi-user lookup: the member of each item that holds the object with the id."""
    subfields: tuple[Field, ...] = ()
    """Of a subform: the fields of its rows; empty: not known, and rows are checked as objects alone."""
    items_max: int | None = None
    """Of an array: how many items it takes; None: no limit is known."""


class Pipeline(msgspec.Struct, frozen=True):
    """A pipeline of deals, and the stages that it contains (layouts metadata, `maps`)."""

    name: str
    stages: tuple[str, ...]


class Layout(msgspec.Struct, frozen=True):
    """A layout of a module: what it holds and what it demands of the records that name it."""

    id: str
    name: str = ""
    fields: tuple[str, ...] = ()
    """API names; what a record of this layout gives for any other field is ignored by the API."""
    required: tuple[str, ...] = ()
    """API names; demanded only of records that name this layout (insert-records page, Layout)."""
    pipelines: tuple[Pipeline, ...] = ()
    """Of deals; empty: pipelines are not enabled, or not known."""


class Module(msgspec.Struct, frozen=True, dict=True):
    """A module of the CRM: what a record of it may and must hold."""

    api_name: str
    fields: tuple[Field, ...]
    layouts: tuple[Layout, ...] = ()
    """Empty: not known."""

    def __post_init__(self) -> None:
        by_name = {field.api_name: field for field in self.fields}
        if len(by_name) < len(self.fields):
            raise ValueError(f"module {self.api_name} names a field twice")
        # An index, not state: kept outside the struct's fields so that it is neither compared nor encoded.
        self.__dict__["_by_name"] = by_name

    def field(self, api_name: str) -> Field | None:
        """The field with this API name (case counts), or None."""
        by_name: dict[str, Field] = self.__dict__["_by_name"]
        return by_name.get(api_name)

    @property
    def mandatory(self) -> tuple[Field, ...]:
        """The fields without which the API refuses a record."""
        return tuple(field for field in self.fields if field.mandatory and field.creatable)

    def with_unique(self, api_name: str) -> Module:
        """The same module with this field unique, whatever the case of its letters.

        Raises:
            KeyError: the module has no such field.
        """
        return self._with(api_name, unique=True)

    def with_external(self, api_name: str) -> Module:
        """The same module with this field as an external id, and so unique; it is added if there is none.

        External ids are custom text fields (custom-fields page), and a standard module has no custom field.
        """
        if self.field(api_name) is None:
            new = Field(api_name, FieldType.TEXT, JsonType.STRING, TEXT_LENGTH, unique=True, external=True)
            return msgspec.structs.replace(self, fields=(*self.fields, new))
        return self._with(api_name, unique=True, external=True)

    def _with(self, api_name: str, **changes: bool) -> Module:
        if self.field(api_name) is None:
            raise KeyError(api_name)
        return msgspec.structs.replace(
            self,
            fields=tuple(
                msgspec.structs.replace(field, **changes) if field.api_name == api_name else field
                for field in self.fields
            ),
        )
