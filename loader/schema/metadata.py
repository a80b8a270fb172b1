"""Field metadata as the API writes it, read into a `Module` and written back.

Reading takes what the loader needs and steps over the rest: the answer holds some forty keys a field, and new
versions of the API add more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from loader.schema.fields import Field, FieldType, JsonType, Module, Option


class MetadataError(ValueError):
    """An answer that is no field metadata."""


class Operations(msgspec.Struct):
    """What may be done with a field."""

    api_create: bool | None = None


class OptionRow(msgspec.Struct):
    """One option of a picklist."""

    actual_value: str | None = None
    display_value: str | None = None


class _Named(msgspec.Struct):
    """A module; answers name it by one of these."""

    api_name: str | None = None
    module: str | None = None


class _Lookup(msgspec.Struct):
    module: _Named | str | None = None


class _ManyLookup(msgspec.Struct):
    connected_module: _Named | str | None = None
    connectedlookup_apiname: str | None = None


class _Row(msgspec.Struct):
    """One entry of `fields`; optional is what some version, or some kind of field, leaves out."""

    api_name: str
    data_type: str
    json_type: str | None = None
    length: int | None = None
    decimal_place: int | None = None
    system_mandatory: bool | None = None
    api_create: bool | None = None
    operation_type: Operations | None = None
    unique: dict[str, Any] | None = None
    external: dict[str, Any] | None = None
    pick_list_values: list[OptionRow] | None = None
    lookup: _Lookup | None = None
    multiselectlookup: _ManyLookup | None = None
    associated_module: _Named | str | None = None


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
        options=tuple(_option(each) for each in row.pick_list_values or ()),
        module=_module(row, type_),
        link=_link(row, type_),
    )


def _option(row: OptionRow) -> Option:
    value, shown = value_of(row), row.display_value or ""
    return Option(value, shown if shown != value else "")


def value_of(option: OptionRow) -> str:
    """What the API takes for this option; people may see another word for it."""
    return option.actual_value if option.actual_value is not None else option.display_value or ""


def _module(row: _Row, type_: FieldType) -> str:
    if type_ is FieldType.SUBFORM:
        return _name(row.associated_module)
    if type_ is FieldType.MULTISELECTLOOKUP and row.multiselectlookup is not None:
        return _name(row.multiselectlookup.connected_module)
    return _name(row.lookup.module) if row.lookup is not None else ""


def _name(module: _Named | str | None) -> str:
    if isinstance(module, _Named):
        return module.api_name or module.module or ""
    return module or ""


def _link(row: _Row, type_: FieldType) -> str:
    # Of several users each is an object under the field's own name (insert-records page, Multi-user lookup).
    if type_ is FieldType.MULTIUSERLOOKUP:
        return row.api_name
    if type_ is FieldType.MULTISELECTLOOKUP and row.multiselectlookup is not None:
        return row.multiselectlookup.connectedlookup_apiname or ""
    return ""


def with_subfields(module: Module, rows: Mapping[str, Module]) -> Module:
    """The same module, the rows of these subforms holding what the fields of their modules hold.

    Args:
        module: it may have other subforms too; their rows stay as they are.
        rows: API name of a subform -> the module of its rows (`Field.module`).
    """
    return msgspec.structs.replace(
        module,
        fields=tuple(
            msgspec.structs.replace(field, subfields=_subfields(rows[field.api_name], module.api_name))
            if field.api_name in rows
            else field
            for field in module.fields
        ),
    )


def _subfields(rows: Module, parent: str) -> tuple[Field, ...]:
    """A row need not name the record that it stands in, though the row's module says that it must."""
    return tuple(
        msgspec.structs.replace(field, mandatory=False)
        if field.type is FieldType.LOOKUP and field.module == parent
        else field
        for field in rows.fields
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
    return [row_of(field) for field in module.fields]


def row_of(field: Field) -> dict[str, Any]:
    """One entry of `fields`."""
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
        "pick_list_values": [_option_row(each, place) for place, each in enumerate(field.options, start=1)],
        "lookup": {},
        "multiselectlookup": {},
        "subform": None,
        "associated_module": None,
    }
    _refer(row, field)
    return row if field.length is None else {**row, "length": field.length}


def _option_row(option: Option, place: int) -> dict[str, Any]:
    return {
        "display_value": option.shown or option.value,
        "actual_value": option.value,
        "reference_value": option.value,
        "sequence_number": place,
        "type": "used",
        "colour_code": None,
    }


def _refer(row: dict[str, Any], field: Field) -> None:
    """Says which module a field refers to, each kind of field in its own place."""
    if field.type is FieldType.SUBFORM:
        row["associated_module"] = {"module": field.module} if field.module else None
    elif field.type is FieldType.MULTISELECTLOOKUP:
        if field.module or field.link:
            row["multiselectlookup"] = {
                "connected_module": {"api_name": field.module},
                "connectedlookup_apiname": field.link,
            }
    elif field.module:
        row["lookup"] = {"module": {"api_name": field.module}, "api_name": field.api_name}
