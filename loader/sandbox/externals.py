"""X-EXTERNAL: lookups that name the other record by the value of an external field of it. Pure.

`Contacts.Account_Name.Legacy_Id` in the header, `"Account_Name":{"Legacy_Id":"acct-17"}` in the record
(external-id pages). Without the header only `id` counts; with it only the external value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from loader.sandbox.answers import Answer, wrapped
from loader.sandbox.references import Reference
from loader.schema.fields import Field, FieldType, Module

HEADER: Final = "X-EXTERNAL"

_PATH: Final = re.compile(
    r"(?P<module>\w+)\.(?P<lookup>\w+(?:\.\w+)?)(?:->(?P<target>\w+))?\.(?P<field>\w+)", re.ASCII
)


class ExternalPath(msgspec.Struct, frozen=True):
    """One lookup of the header."""

    lookup: str
    """`Account_Name`; in a subform `Quoted_Items.Product_Name`; in a multi-select lookup its link too."""
    target: str
    """The module that it refers to."""
    field: str
    """The external field of that module."""

    def value_of(self, reference: Reference) -> str:
        """What the record gives for the field; empty where it gives nothing that can be one."""
        value = reference.value.get(self.field)
        return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def external_paths(
    header: str, module: Module, modules: Callable[[str], Module | None]
) -> Mapping[str, ExternalPath] | Answer:
    """The header's lookups by their paths, or the answer to a header that names what is not there.

    No page shows that answer; this one follows the errors of other options.
    """
    paths = {}
    for word in filter(None, (each.strip() for each in header.split(","))):
        path = _path(word, module, modules)
        if path is None:
            details = {"api_name": HEADER, "value": word}
            return wrapped("INVALID_DATA", "The value of the external field is invalid.", details)
        paths[path.lookup] = path
    return paths


def _path(word: str, module: Module, modules: Callable[[str], Module | None]) -> ExternalPath | None:
    found = _PATH.fullmatch(word)
    if found is None or found["module"] != module.api_name:
        return None
    lookup = _lookup(module, found["lookup"])
    if lookup is None:
        return None
    target = modules(found["target"] or lookup.module)
    field = None if target is None else target.field(found["field"])
    if target is None or field is None or not field.external:
        return None
    return ExternalPath(found["lookup"], target.api_name, field.api_name)


def _lookup(module: Module, path: str) -> Field | None:
    name, _, below = path.partition(".")
    field = module.field(name)
    if field is None:
        return None
    if not below:
        return field if field.type is FieldType.LOOKUP else None
    if field.type is FieldType.MULTISELECTLOOKUP:
        return field if field.link in ("", below) else None
    rows = {each.api_name: each for each in field.subfields}
    return rows[below] if below in rows and rows[below].type is FieldType.LOOKUP else None
