"""What field metadata says of a field beside what the schema has: its id, its layouts, who may use it.

Members whose value the sandbox could only invent are left out: `ui_type`, `column_name`, `searchable`, which
is about a search that is not served, and the formula of a formula. Pure.
"""

from __future__ import annotations

from typing import Any, Final

from loader.sandbox.layouts import STANDARD
from loader.schema.fields import TEXTAREA_SMALL_LENGTH, Field, FieldType, JsonType, Layout, Module
from loader.schema.placement import takes

_STANDARD_API_NAME: Final = "Standard__s"
"""Of a module's first layout (field metadata, `layout_associations`)."""
_PROFILE_SERIAL: Final = 26_011
_COMPUTED: Final = frozenset((FieldType.FORMULA, FieldType.ROLLUP_SUMMARY))


class FieldFacts:
    """Of the fields of one module."""

    def __init__(self, module: Module, *, id_prefix: str, first_serial: int) -> None:
        """Ids are the prefix and a serial each, in the order of the module's fields."""
        self._module = module
        self._prefix = id_prefix
        self._serials = {field.api_name: first_serial + n for n, field in enumerate(module.fields)}

    def added(self, row: dict[str, Any], *, custom: bool = False) -> dict[str, Any]:
        """An entry of `fields`, or of a layout's, with what is to be said beside it."""
        field = self._module.field(row["api_name"])
        return row if field is None else row | self._of(field, custom=custom)

    def _of(self, field: Field, *, custom: bool) -> dict[str, Any]:
        compared = field.json_type is not JsonType.ARRAY and field.type is not FieldType.TEXTAREA
        facts: dict[str, Any] = {
            "id": self._id(self._serials[field.api_name]),
            "created_source": "custom" if custom else "default",
            "layout_associations": [
                _layout(each)
                for each in self._module.layouts
                if field.creatable and takes(each, field.api_name)
            ],
            "profiles": [
                {
                    "permission_type": "read_write" if field.creatable else "read_only",
                    "name": "Administrator",
                    "id": self._id(_PROFILE_SERIAL),
                }
            ],
            # A multi-line field is not to be filtered by (insert-records page, "Multi Line").
            "filterable": compared,
            "sortable": compared,
            "mass_update": False,
            "auto_number": {},
            "currency": {"precision": field.decimals} if field.type is FieldType.CURRENCY else {},
            "textarea": _textarea(field),
            "crypt": None,
            "private": None,
            "tooltip": None,
        }
        if field.type not in _COMPUTED:
            facts |= {"formula": {}, "rollup_summary": {}}
        return facts

    def _id(self, serial: int) -> str:
        return f"{self._prefix}{serial:012d}"


def _layout(layout: Layout) -> dict[str, str]:
    """The API name of a layout that `--org` describes is not known."""
    named = {"api_name": _STANDARD_API_NAME} if layout.name == STANDARD else {}
    return named | {"name": layout.name, "id": layout.id}


def _textarea(field: Field) -> dict[str, str] | None:
    if field.type is not FieldType.TEXTAREA:
        return None
    small = field.length is not None and field.length <= TEXTAREA_SMALL_LENGTH
    return {"type": "small" if small else "large"}
