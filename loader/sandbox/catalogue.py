"""The modules that the sandbox serves: their schema, their check and what must be unique in them.

Compiled once at the start. What is stored of a module is `store.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from loader.errors import UsageError
from loader.schema.check import Checker
from loader.schema.fields import Field, Module
from loader.schema.metadata import metadata_from_module
from loader.schema.modules import standard_module

MODULES: Final = ("Leads",)
"""The modules whose schema is built in."""

_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Served:
    """One module, ready to judge records."""

    def __init__(self, module: Module, *, module_id: str) -> None:
        self.module = module
        self.id = module_id
        self.problems = Checker(module).problems
        self.unique = tuple(each for each in module.fields if each.unique and each.creatable)
        self.fields_body = msgspec.json.encode({"fields": metadata_from_module(module)})
        self._keys = _key_decoder(self.unique)

    def keys(self, raw: bytes) -> tuple[tuple[str, str], ...]:
        """The unique fields that a valid record gives a value, and the values that they are compared by."""
        if not self.unique:
            return ()
        values = msgspec.structs.astuple(self._keys.decode(raw))
        pairs = (
            (each.api_name, comparable(each, value)) for each, value in zip(self.unique, values, strict=True)
        )
        return tuple((name, value) for name, value in pairs if value)

    def readable(self, raw: bytes) -> dict[str, msgspec.Raw]:
        """The members of a stored record that its module knows and that an insert may set."""
        members = _MEMBERS.decode(raw)
        known = ((name, self.module.field(name)) for name in members)
        return {name: members[name] for name, field in known if field is not None and field.creatable}


def comparable(field: Field, value: object) -> str:
    """What uniqueness compares: text without its outer space and, unless the field says so, without case.

    Empty where there is nothing to compare.
    """
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return ""
    text = str(value).strip()
    return text if field.case_sensitive else text.casefold()


def _key_decoder(fields: tuple[Field, ...]) -> msgspec.json.Decoder[Any]:
    names = {f"f{number}": each.api_name for number, each in enumerate(fields)}
    struct = msgspec.defstruct("Keys", [(name, Any, None) for name in names], rename=names, gc=False)
    return msgspec.json.Decoder(struct)


def catalogue(*, unique: tuple[str, ...], external: tuple[str, ...], id_prefix: int) -> Mapping[str, Served]:
    """The served modules by API name; `unique` and `external` name fields as `Leads.Email`.

    Raises:
        UsageError: a module that is not served, or a field that it does not have.
    """
    modules = {name: module for name in MODULES if (module := standard_module(name)) is not None}
    for flag, words in (("--unique", unique), ("--external", external)):
        for word in words:
            name, _, field = word.partition(".")
            try:
                module = modules[name]
                modules[name] = module.with_unique(field) if flag == "--unique" else _external(module, field)
            except KeyError as error:
                raise UsageError(
                    f"{flag} {word!r} cannot be used",
                    why=f"there is no {error.args[0]!r} here; the modules are {', '.join(modules)}",
                    hint=f"Write it as {flag} Leads.Email: module, dot, API name of one of its fields",
                ) from None
    return {
        name: Served(module, module_id=f"{id_prefix}{number:012d}")
        for number, (name, module) in enumerate(modules.items(), start=2175)
    }


def _external(module: Module, field: str) -> Module:
    if not field:
        raise KeyError(field)
    return module.with_external(field)
