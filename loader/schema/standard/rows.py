"""The words in which the tables of the modules are written: one function for each kind of field.

A length that no source gives is inferred from fields of the same name or kind, always the largest that is
known, for what the loader refuses is never sent. Where not even the JSON type is known, the field is
`unsure`.
"""

from __future__ import annotations

from typing import Final

from loader.schema import fields as f
from loader.schema.fields import Field, FieldType, JsonType, Option


def _field(name: str, type_: FieldType, length: int | None, *, must: bool = False) -> Field:
    return Field(name, type_, type_.json_type, length, mandatory=must)


def text(name: str, length: int = f.TEXT_LENGTH, *, must: bool = False) -> Field:
    """Single line."""
    return _field(name, FieldType.TEXT, length, must=must)


def area(name: str, length: int = f.TEXTAREA_LARGE_LENGTH) -> Field:
    """Multi line."""
    return _field(name, FieldType.TEXTAREA, length)


def email(name: str) -> Field:
    """E-mail address."""
    return _field(name, FieldType.EMAIL, f.EMAIL_LENGTH)


def phone(name: str, length: int = f.PHONE_LENGTH) -> Field:
    """Telephone number."""
    return _field(name, FieldType.PHONE, length)


def url(name: str, length: int = f.WEBSITE_LENGTH) -> Field:
    """Address of a page."""
    return _field(name, FieldType.WEBSITE, length)


def pick(name: str, length: int = f.PICKLIST_LENGTH, *, must: bool = False) -> Field:
    """Picklist; its options are an organisation's own."""
    return _field(name, FieldType.PICKLIST, length, must=must)


def closed(name: str, *values: str, must: bool = False) -> Field:
    """Picklist whose possible values the insert-records page names."""
    options = tuple(Option(value) for value in values)
    return Field(
        name,
        FieldType.PICKLIST,
        JsonType.STRING,
        f.PICKLIST_LENGTH,
        mandatory=must,
        options=options,
        closed=True,
    )


def date(name: str) -> Field:
    """Date."""
    return _field(name, FieldType.DATE, 20)


def moment(name: str, *, must: bool = False) -> Field:
    """Date and time."""
    return _field(name, FieldType.DATETIME, f.DATETIME_LENGTH, must=must)


def whole(name: str, digits: int = f.INTEGER_DIGITS) -> Field:
    """Whole number."""
    return _field(name, FieldType.INTEGER, digits)


def real(name: str, decimals: int = 2) -> Field:
    """Decimal number."""
    return Field(name, FieldType.DOUBLE, JsonType.DOUBLE, f.DOUBLE_DIGITS, decimals)


def money(name: str) -> Field:
    """Currency."""
    return Field(name, FieldType.CURRENCY, JsonType.DOUBLE, f.DOUBLE_DIGITS, 2)


def flag(name: str) -> Field:
    """Checkbox."""
    return _field(name, FieldType.BOOLEAN, f.BOOLEAN_LENGTH)


def user(name: str) -> Field:
    """One of the organisation's users."""
    return _field(name, FieldType.OWNERLOOKUP, f.LOOKUP_LENGTH)


def look(name: str, module: str = "", *, must: bool = False) -> Field:
    """A record of another module; of several ones where none is named."""
    return Field(name, FieldType.LOOKUP, JsonType.OBJECT, f.LOOKUP_LENGTH, mandatory=must, module=module)


def rows(name: str, *subfields: Field, must: bool = False, most: int | None = None) -> Field:
    """Subform: an array of rows with fields of their own."""
    return Field(
        name,
        FieldType.SUBFORM,
        JsonType.ARRAY,
        mandatory=must,
        subfields=subfields,
        items_max=most,
    )


def image(name: str = "Record_Image") -> Field:
    """The picture of a record."""
    return _field(name, FieldType.PROFILEIMAGE, 255)


def tag() -> Field:
    """Tags: a text by its metadata, and an array in JSON."""
    return Field("Tag", FieldType.TEXT, JsonType.ARRAY, 2_000)


def layout() -> Field:
    """The layout whose mandatory fields a record is held against."""
    return _field("Layout", FieldType.LAYOUT, 50)


def wizard() -> Field:
    """The wizard that a record is made in."""
    return _field("Wizard", FieldType.BIGINT, 50)


def unsure(name: str) -> Field:
    """No source says what it takes."""
    return Field(name, FieldType.OTHER, JsonType.OTHER)


def fixed(name: str, type_: FieldType = FieldType.TEXT, length: int | None = f.TEXT_LENGTH) -> Field:
    """A field that an insert may not set."""
    return Field(name, type_, type_.json_type, length, creatable=False)


def fixed_moments(*names: str) -> tuple[Field, ...]:
    """Times that the service alone sets."""
    return tuple(fixed(name, FieldType.DATETIME, f.DATETIME_LENGTH) for name in names)


def fixed_users(*names: str) -> tuple[Field, ...]:
    """Users that the service alone sets."""
    return tuple(fixed(name, FieldType.OWNERLOOKUP, f.LOOKUP_LENGTH) for name in names)


def fixed_flags(*names: str) -> tuple[Field, ...]:
    """Marks that the service alone sets."""
    return tuple(fixed(name, FieldType.BOOLEAN, f.BOOLEAN_LENGTH) for name in names)


SYSTEM: Final = (
    fixed("id", FieldType.BIGINT, f.BIGINT_DIGITS),
    *fixed_users("Created_By", "Modified_By"),
    *fixed_moments("Created_Time", "Modified_Time"),
    fixed("Record_Status__s", FieldType.PICKLIST, f.PICKLIST_LENGTH),
)
"""What the service writes into each record (field metadata of a Leads module)."""

USUAL: Final = (user("Owner"), layout(), wizard(), tag())
"""What a record of nearly every module takes (field metadata of a Leads module)."""

LOCKED: Final = fixed_flags("Locked__s")

MONEY: Final = (pick("Currency"), real("Exchange_Rate", 9))
"""Of modules with amounts, where an organisation has several currencies."""

VISITS: Final = (
    moment("First_Visited_Time"),
    moment("Last_Visited_Time"),
    url("First_Visited_URL", 3_000),
    url("Referrer", 3_000),
    real("Average_Time_Spent_Minutes"),
    whole("Number_Of_Chats"),
    whole("Days_Visited"),
    Field("Visitor_Score", FieldType.BIGINT, JsonType.STRING, 19),
    pick("Data_Source"),
)
"""Visits to an organisation's site (field metadata of a Leads module)."""


def address(prefix: str, code: str, *, city: int = 100) -> tuple[Field, ...]:
    """The fields of an address; lengths of the longest one known, that of a lead."""
    return (
        text(f"{prefix}Street", 250),
        text(f"{prefix}City", city),
        text(f"{prefix}State", 100),
        text(f"{prefix}{code}", 30),
        text(f"{prefix}Country", 100),
    )
