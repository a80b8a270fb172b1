"""The records and users that a record refers to: every lookup of it, wherever it stands. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from loader.schema.fields import Field, FieldType

USERS: Final = "users"
"""In place of a module: what users are referred to by."""

_MODULE_OF: Final = {"What_Id": "$se_module"}
"""A lookup to several modules, and the member that says which (insert-records page, `$se_module`)."""

_USERS: Final = frozenset((FieldType.OWNERLOOKUP, FieldType.USERLOOKUP, FieldType.MULTIUSERLOOKUP))
_SINGLE: Final = frozenset((FieldType.LOOKUP, FieldType.OWNERLOOKUP, FieldType.USERLOOKUP))
_MULTIPLE: Final = frozenset((FieldType.MULTISELECTLOOKUP, FieldType.MULTIUSERLOOKUP))


def modules_referred_to(fields: tuple[Field, ...]) -> Iterator[str]:
    """The modules that lookups among these fields, and among those of subforms' rows, may refer to.

    An empty name is a lookup that may refer to any.
    """
    for field in fields:
        if field.type in (FieldType.LOOKUP, FieldType.MULTISELECTLOOKUP):
            yield "" if field.api_name in _MODULE_OF else field.module
        yield from modules_referred_to(field.subfields)


class Reference(msgspec.Struct, frozen=True):
    """One lookup of a record."""

    path: str
    """Of the object that names the other record: `Account_Name`, `Listings[0].Interested_Listings`."""
    value: Mapping[str, Any]
    type: FieldType
    module: str
    """Of the other record; `USERS`, or empty where it is not known."""

    @property
    def id(self) -> str | None:
        """The id that it names; texts and whole numbers are ids."""
        value = self.value.get("id")
        if isinstance(value, bool) or not isinstance(value, str | int):
            return None
        return str(value)


def references(fields: tuple[Field, ...], members: Mapping[str, Any], path: str = "") -> Iterator[Reference]:
    """The lookups of these members, and of the rows of their subforms."""
    for field in fields:
        value = members.get(field.api_name)
        if value is None:
            continue
        where = f"{path}{field.api_name}"
        if field.type in _SINGLE and isinstance(value, dict):
            yield Reference(where, value, field.type, _module(field, members))
        elif field.type in _MULTIPLE and isinstance(value, list):
            for number, item in enumerate(value):
                yield from _linked(field, item, f"{where}[{number}]")
        elif field.type is FieldType.SUBFORM and isinstance(value, list):
            for number, row in enumerate(value):
                if isinstance(row, dict):
                    yield from references(field.subfields, row, f"{where}[{number}].")


def _module(field: Field, members: Mapping[str, Any]) -> str:
    if field.type in _USERS:
        return USERS
    named = members.get(_MODULE_OF.get(field.api_name, ""))
    return named if isinstance(named, str) else field.module


def _linked(field: Field, item: Any, path: str) -> Iterator[Reference]:
    """An item holds the object under the name of the linking module's field; which, may not be known."""
    if not isinstance(item, dict):
        return
    names = (field.link,) if field.link else tuple(item)
    for name in names:
        if isinstance(item.get(name), dict):
            yield Reference(f"{path}.{name}", item[name], field.type, _module(field, {}))
