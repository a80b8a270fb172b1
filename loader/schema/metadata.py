"""Field metadata as the API writes it, read into a `Module` and written back.

Reading takes what the loader needs and steps over the rest: the answer holds some forty keys a field, and new
versions of the API add more.
"""

from __future__ import annotations

from typing import Any

import msgspec

from loader.schema.fields import Field, FieldType, JsonType, Module


class MetadataError(ValueError):
    """An answer that is no field metadata."""


class _Operations(msgspec.Struct):
    api_create: bool | None = None


class _Row(msgspec.Struct):
    """One entry of `fields`; optional is what some version, or some kind of field, leaves out."""

    api_name: str
    data_type: str
    json_type: str | None = None
    length: int | None = None
    decimal_place: int | None = None
    system_mandatory: bool | None = None
    api_create: bool | None = None
    operation_type: _Operations | None = None
    unique: dict[str, Any] | None = None
    external: dict[str, Any] | None = None


class _Answer(msgspec.Struct):
    fields: list[_Row]


_ANSWER = msgspec.json.Decoder(_Answer)


def module_from_metadata(api_name: str, answer: bytes) -> Module:
    """The module that the body of `GET settings/fields?module=...` describes.

    Raises:
        MetadataError: the body is not field metadata, has no field at all or names one twice.
    """
    try:
        rows = _ANSWER.decode(answer).fields
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MetadataError(f"the answer is not field metadata of {api_name}: {error}") from error
    if not rows:
        raise MetadataError(f"the field metadata of {api_name} names no field")
    try:
        return Module(api_name, tuple(_field(row) for row in rows))
    except ValueError as error:
        raise MetadataError(f"the field metadata of {api_name} cannot be right: {error}") from error


def _field(row: _Row) -> Field:
    if not row.api_name:
        raise ValueError("a field has no name")
    type_ = FieldType(row.data_type)
    return Field(
        row.api_name,
        type_,
        type_.json_type if row.json_type is None else JsonType(row.json_type),
        _size(row.length),
        row.decimal_place,
        mandatory=row.system_mandatory is True,
        creatable=_creatable(row, type_),
        unique=bool(row.unique) or bool(row.external),
        case_sensitive=_case_sensitive(row.unique or {}),
        external=bool(row.external),
    )


def _size(length: int | None) -> int | None:
    """A length that can be one; subforms and some others have none, and 0 would forbid every value."""
    return length if length is not None and 0 < length < 2**31 else None


def _creatable(row: _Row, type_: FieldType) -> bool:
    # The metadata says that an insert may not set a subform; the insert-records page inserts some.
    if type_ is FieldType.SUBFORM:
        return True
    if row.operation_type is not None and row.operation_type.api_create is not None:
        return row.operation_type.api_create
    # Old versions and shortened dumps have it flat, or not at all: then the service may decide.
    return row.api_create is not False


def _case_sensitive(unique: dict[str, Any]) -> bool:
    # Version 2 of the API writes it without the underscore.
    return unique.get("case_sensitive", unique.get("casesensitive")) is True


def metadata_from_module(module: Module) -> list[dict[str, Any]]:
    """The entries of `fields` that describe this module, in the shape and with the oddities of the API."""
    return [_row(field) for field in module.fields]


def _row(field: Field) -> dict[str, Any]:
    may_set = field.creatable and field.type is not FieldType.SUBFORM
    operations = ("web_create", "web_update", "api_create", "api_update")
    row: dict[str, Any] = {
        "api_name": field.api_name,
        "field_label": field.api_name.replace("_", " "),
        "display_label": field.api_name.replace("_", " "),
        "type": "used",
        "data_type": str(field.type),
        "json_type": str(field.json_type),
        "decimal_place": field.decimals,
        "system_mandatory": field.mandatory,
        "read_only": not field.creatable,
        "field_read_only": not field.creatable,
        "visible": True,
        "custom_field": field.external,
        "virtual_field": field.type is FieldType.SUBFORM,
        "operation_type": dict.fromkeys(operations, may_set),
        "unique": {"case_sensitive": field.case_sensitive} if field.unique else {},
        "external": {"type": "org", "show": True} if field.external else None,
        "pick_list_values": [],
        "lookup": {},
        "multiselectlookup": {},
        "subform": None,
    }
    return row if field.length is None else {**row, "length": field.length}
