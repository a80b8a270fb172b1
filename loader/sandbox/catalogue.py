"""The modules that the sandbox serves: their schema, their check and what must be unique in them.

Each is compiled when it is first asked for, so that a start does not wait for twenty modules. What is stored
of a module is `store.py`'s.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, Final

import msgspec

from loader.errors import UsageError
from loader.sandbox.answers import ModuleFacts
from loader.sandbox.field_facts import FieldFacts
from loader.sandbox.organisation import ModulePlan, Organisation
from loader.sandbox.recurrence import FIELD as RECURRING
from loader.sandbox.references import modules_referred_to
from loader.sandbox.tailoring import Tailored, tailored_modules, with_default_layout
from loader.schema.check import Checker
from loader.schema.fields import Field, FieldType, Layout, Module
from loader.schema.layouts import metadata_from_layouts
from loader.schema.metadata import metadata_from_module
from loader.schema.modules import STANDARD
from loader.schema.placement import takes
from loader.schema.problems import Problem

Keys = tuple[tuple[str, str], ...]
"""Unique fields of a record, and the values that they are compared by."""

_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])

_MODULE_SERIAL: Final = 2175
"""Of the first module's id (sample answers of the modules page)."""
_LAYOUT_SERIAL: Final = 91_055
_SUBFORM_SERIAL: Final = 3_175
_FIELD_SERIAL: Final = 500_000
_FIELDS_MAX: Final = 2_000
"""Serials that a module's fields have to themselves."""
_SUBFORM_FIELD_SERIAL: Final = 450_000


class Served:
    """One module, ready to judge records."""

    def __init__(
        self,
        module: Module,
        *,
        module_id: str,
        plan: ModulePlan | None = None,
        custom_fields: frozenset[str] = frozenset(),
        per_user: frozenset[str] = frozenset(),
        now: Callable[[], float] | None = None,
        strict_picklists: bool = False,
        field_serial: int = _FIELD_SERIAL,
    ) -> None:
        self.module = module
        self.id = module_id
        self.plan = plan or ModulePlan()
        self.unique = tuple(each for each in module.fields if each.unique and each.creatable)
        self.recurs = module.field(RECURRING) is not None
        self._custom_fields = custom_fields
        self._per_user = per_user
        self._now = now
        self._strict_picklists = strict_picklists
        self._facts = FieldFacts(module, id_prefix=module_id[:-12], first_serial=field_serial)

    @cached_property
    def problems(self) -> Callable[[bytes], tuple[Problem, ...]]:
        """The module's check: a record -> what is wrong with it."""
        checker = Checker(self.module, now=self._now, strict_picklists=self._strict_picklists)
        return checker.problems

    @cached_property
    def narrow_layouts(self) -> Mapping[str, Layout]:
        """The layouts that lack a field which an insert may set, by id."""
        names = [each.api_name for each in self.module.fields if each.creatable]
        return {each.id: each for each in self.module.layouts if not all(takes(each, name) for name in names)}

    @cached_property
    def facts(self) -> ModuleFacts:
        custom = self.plan.custom
        label = self.plan.label or ("Meetings" if self.module.api_name == "Events" else "")
        own_name = f"CustomModule{int(self.id) % 1000}" if custom else ""
        return ModuleFacts(self.module.api_name, self.id, label, own_name, "custom" if custom else "default")

    @cached_property
    def fields_rows(self) -> list[dict[str, Any]]:
        """The module's field metadata."""
        rows = metadata_from_module(self.module)
        for row in rows:
            if row["api_name"] in self._custom_fields:
                row["custom_field"] = True
            if row["api_name"] in self._per_user:
                row["external"] = {"type": "user", "show": True}
        return [self._facts.added(row, custom=row["custom_field"]) for row in rows]

    @cached_property
    def fields_body(self) -> bytes:
        return msgspec.json.encode({"fields": self.fields_rows})

    @cached_property
    def layouts_body(self) -> bytes:
        layouts = metadata_from_layouts(self.module)
        for section in (each for layout in layouts for each in layout["sections"]):
            section["fields"] = [self._facts.added(row) for row in section["fields"]]
        return msgspec.json.encode({"layouts": layouts})

    @cached_property
    def _keys(self) -> msgspec.json.Decoder[Any]:
        names = {f"f{number}": each.api_name for number, each in enumerate(self.unique)}
        struct = msgspec.defstruct("Keys", [(name, Any, None) for name in names], rename=names, gc=False)
        return msgspec.json.Decoder(struct)

    def keys(self, raw: bytes, user_id: str = "") -> Keys:
        """The unique fields that a valid record gives a value, and the values that they are compared by."""
        if not self.unique:
            return ()
        values = msgspec.structs.astuple(self._keys.decode(raw))
        pairs = (
            (each.api_name, self.comparable(each, value, user_id))
            for each, value in zip(self.unique, values, strict=True)
        )
        return tuple((name, value) for name, value in pairs if value)

    def comparable(self, field: Field, value: object, user_id: str) -> str:
        """What uniqueness compares; empty where there is nothing to compare.

        It is text without its outer space and, unless the field says so, without case; of a user's external
        id, among the records of that user (external-id pages).
        """
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            return ""
        text = str(value).strip()
        if not field.case_sensitive:
            text = text.casefold()
        return f"{user_id}:{text}" if text and field.api_name in self._per_user else text

    def readable(self, raw: bytes) -> dict[str, msgspec.Raw]:
        """The members of a stored record that its module knows and that an insert may set."""
        members = _MEMBERS.decode(raw)
        known = ((name, self.module.field(name)) for name in members)
        return {name: members[name] for name, field in known if field is not None and field.creatable}


class Catalogue(Mapping[str, Served]):
    """The served modules by API name, and the modules that their subforms' rows are."""

    def __init__(self, served: Mapping[str, Served], *, id_prefix: int) -> None:
        self._served = served
        self._seen: dict[str, Mapping[str, frozenset[str]]] = {}
        self._id_prefix = id_prefix

    def __getitem__(self, name: str) -> Served:
        return self._served[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._served)

    def __len__(self) -> int:
        return len(self._served)

    def module(self, name: str) -> Module | None:
        """The schema of a served module."""
        served = self._served.get(name)
        return None if served is None else served.module

    def fields_body(self, name: str) -> bytes | None:
        """The field metadata of a module or of a subform's rows."""
        if name in self._served:
            return self._served[name].fields_body
        subform = self._subforms.get(name)
        if subform is None:
            return None
        serial = _SUBFORM_FIELD_SERIAL + 200 * list(self._subforms).index(name)
        facts = FieldFacts(subform, id_prefix=str(self._id_prefix), first_serial=serial)
        return msgspec.json.encode({"fields": [facts.added(row) for row in metadata_from_module(subform)]})

    def facts(self) -> list[ModuleFacts]:
        """What `settings/modules` lists."""
        subforms = (
            ModuleFacts(name, f"{self._id_prefix}{number:012d}", generated_type="subform")
            for number, name in enumerate(self._subforms, start=_SUBFORM_SERIAL)
        )
        return [*(each.facts for each in self._served.values()), *subforms]

    def external_fields_seen_from(self, served: Served) -> Mapping[str, frozenset[str]]:
        """The external fields of modules that this one's lookups may refer to."""
        name = served.module.api_name
        if name not in self._seen:
            modules = frozenset(modules_referred_to(served.module.fields))
            self._seen[name] = {
                module: fields
                for module, fields in self._external_fields.items()
                if module in modules or "" in modules
            }
        return self._seen[name]

    @cached_property
    def _external_fields(self) -> Mapping[str, frozenset[str]]:
        """Modules with external fields, and their names."""
        found = {
            name: frozenset(each.api_name for each in served.unique if each.external)
            for name, served in self._served.items()
        }
        return {name: fields for name, fields in found.items() if fields}

    @cached_property
    def _subforms(self) -> Mapping[str, Module]:
        """The modules of subforms' rows, by the names that the field metadata gives them."""
        found: dict[str, Module] = {}
        for served in self._served.values():
            for field in _subforms_of(served.module.fields):
                found.setdefault(field.module, Module(field.module, field.subfields))
        return found


def _subforms_of(fields: tuple[Field, ...]) -> Iterator[Field]:
    for field in fields:
        if field.type is FieldType.SUBFORM and field.module and field.subfields:
            yield field
            yield from _subforms_of(field.subfields)


def catalogue(
    *,
    unique: tuple[str, ...] = (),
    external: tuple[str, ...] = (),
    id_prefix: int,
    organisation: Organisation | None = None,
    now: Callable[[], float] | None = None,
    strict_picklists: bool = False,
) -> Catalogue:
    """The served modules; `unique` and `external` name fields as `Leads.Email`.

    Raises:
        UsageError: a module that is not served, or a field that it does not have.
    """
    modules = tailored_modules(STANDARD, organisation or Organisation())
    for flag, words in (("--unique", unique), ("--external", external)):
        for word in words:
            _mark(modules, flag, word)
    served = {}
    for number, (name, tailored) in enumerate(modules.items()):
        whole = with_default_layout(tailored, f"{id_prefix}{_LAYOUT_SERIAL + number:012d}")
        served[name] = Served(
            whole.module,
            module_id=f"{id_prefix}{_MODULE_SERIAL + number:012d}",
            plan=whole.plan,
            custom_fields=whole.custom_fields,
            per_user=whole.per_user,
            now=now,
            strict_picklists=strict_picklists,
            field_serial=_FIELD_SERIAL + _FIELDS_MAX * number,
        )
    return Catalogue(served, id_prefix=id_prefix)


def _mark(modules: dict[str, Tailored], flag: str, word: str) -> None:
    """Marks the field that a flag names.

    Raises:
        UsageError: it names no field, or one that is not there.
    """
    name, _, field = word.partition(".")
    if name not in modules:
        raise _no_field(flag, word, f"there is no module {name!r} here; the modules are {', '.join(modules)}")
    module = modules[name].module
    if not field:
        raise _no_field(flag, word, f"it names the module {name} and no field of it")
    if flag == "--unique" and module.field(field) is None:
        near = difflib.get_close_matches(field, [each.api_name for each in module.fields], _NEAREST, 0.0)
        raise _no_field(flag, word, f"{name} has no field {field!r}; the nearest are {', '.join(near)}")
    marked = module.with_unique(field) if flag == "--unique" else module.with_external(field)
    modules[name] = msgspec.structs.replace(modules[name], module=marked)


_NEAREST: Final = 5
"""Fields that a message names where one is not there."""


def _no_field(flag: str, word: str, why: str) -> UsageError:
    return UsageError(
        f"{flag} {word!r} cannot be used",
        why=why,
        hint=f"Write it as {flag} Leads.Email: module, dot, API name of one of its fields; --org adds fields",
    )
