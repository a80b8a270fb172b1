"""What every custom module has beside its organisation's own fields. Facts only.

No page lists them all: these are the ones that the metadata of custom modules and standard modules share.
"""

from __future__ import annotations

from typing import Final

from loader.schema import fields as f
from loader.schema.fields import Field, FieldType, JsonType, Module

_T = FieldType
_NAME_LENGTH: Final = 120


def _field(api_name: str, type_: FieldType, length: int, *, creatable: bool = True) -> Field:
    return Field(api_name, type_, type_.json_type, length, creatable=creatable)


_FIELDS: Final = (
    # The API does not number records by itself: a custom module's Name must be given.
    Field("Name", _T.TEXT, JsonType.STRING, _NAME_LENGTH, mandatory=True),
    _field("Owner", _T.OWNERLOOKUP, f.LOOKUP_LENGTH),
    _field("Email", _T.EMAIL, f.EMAIL_LENGTH),
    _field("Secondary_Email", _T.EMAIL, f.EMAIL_LENGTH),
    _field("Email_Opt_Out", _T.BOOLEAN, f.BOOLEAN_LENGTH),
    Field("Tag", _T.TEXT, JsonType.ARRAY, 2_000),
    _field("Layout", _T.LAYOUT, 50),
    _field("Record_Image", _T.PROFILEIMAGE, 255),
    _field("Wizard", _T.BIGINT, 50),
    _field("Created_By", _T.OWNERLOOKUP, f.LOOKUP_LENGTH, creatable=False),
    _field("Modified_By", _T.OWNERLOOKUP, f.LOOKUP_LENGTH, creatable=False),
    _field("Created_Time", _T.DATETIME, f.DATETIME_LENGTH, creatable=False),
    _field("Modified_Time", _T.DATETIME, f.DATETIME_LENGTH, creatable=False),
    _field("Last_Activity_Time", _T.DATETIME, f.DATETIME_LENGTH, creatable=False),
    _field("id", _T.BIGINT, f.BIGINT_DIGITS, creatable=False),
    _field("Record_Status__s", _T.PICKLIST, f.PICKLIST_LENGTH, creatable=False),
    _field("Locked__s", _T.BOOLEAN, f.BOOLEAN_LENGTH, creatable=False),
)


def custom_module(api_name: str) -> Module:
    """A custom module before it has fields of its own."""
    return Module(api_name, _FIELDS)
