"""A module as the organisation has it: standard or custom, with the organisation's fields and layouts.

What the names of the organisation's file stand for is looked up here, so that a name which stands for nothing
is a UsageError with its key. Pure but for that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from loader.errors import UsageError
from loader.sandbox.custom_modules import custom_module
from loader.sandbox.layouts import default_layout, default_pipelines
from loader.sandbox.organisation import FieldPlan, LayoutPlan, ModulePlan, OptionPlan, Organisation
from loader.sandbox.picklists import with_options
from loader.schema import fields as f
from loader.schema.fields import Field, FieldType, JsonType, Layout, Module, Option, Pipeline
from loader.schema.modules import standard_module

_LENGTH: Final = {
    FieldType.TEXT: f.TEXT_LENGTH,
    FieldType.TEXTAREA: f.TEXTAREA_SMALL_LENGTH,
    FieldType.EMAIL: f.EMAIL_LENGTH,
    FieldType.PHONE: f.PHONE_LENGTH,
    FieldType.WEBSITE: f.WEBSITE_LENGTH,
    FieldType.PICKLIST: f.PICKLIST_LENGTH,
    FieldType.INTEGER: f.INTEGER_DIGITS,
    FieldType.BIGINT: f.BIGINT_DIGITS,
    FieldType.CURRENCY: f.DOUBLE_DIGITS,
    FieldType.DOUBLE: f.DOUBLE_DIGITS,
    FieldType.PERCENT: f.PERCENT_DIGITS,
    FieldType.BOOLEAN: f.BOOLEAN_LENGTH,
    FieldType.LOOKUP: f.LOOKUP_LENGTH,
    FieldType.USERLOOKUP: f.LOOKUP_LENGTH,
    FieldType.DATETIME: f.DATETIME_LENGTH,
}
"""Of custom fields whose length the file does not give."""

_DECIMALS: Final = 2
_WITH_DECIMALS: Final = frozenset((FieldType.CURRENCY, FieldType.DOUBLE, FieldType.PERCENT))
_WITH_OPTIONS: Final = frozenset((FieldType.PICKLIST, FieldType.MULTISELECTPICKLIST))
_LOOKUPS: Final = frozenset((FieldType.LOOKUP, FieldType.MULTISELECTLOOKUP))
_NO_CUSTOM: Final = frozenset((FieldType.OTHER, FieldType.OWNERLOOKUP, FieldType.LAYOUT))


class Tailored(msgspec.Struct, frozen=True):
    """A module and what of it is the organisation's own."""

    module: Module
    plan: ModulePlan
    custom_fields: frozenset[str] = frozenset()
    per_user: frozenset[str] = frozenset()
    """External fields whose values are compared among the records of one user."""


def tailored_modules(standard: Iterable[str], organisation: Organisation) -> dict[str, Tailored]:
    """Every module that is served, without layouts where the file names none.

    Raises:
        UsageError: a name of the file that stands for nothing.
    """
    names = (*standard, *(name for name in organisation.modules if name not in set(standard)))
    return {name: _Tailor(name, organisation, frozenset(names)).tailored() for name in names}


def with_default_layout(tailored: Tailored, layout_id: str) -> Tailored:
    """With one layout of all fields where there is none."""
    if tailored.module.layouts:
        return tailored
    layout = default_layout(tailored.module, layout_id)
    module = msgspec.structs.replace(tailored.module, layouts=(layout,))
    return msgspec.structs.replace(tailored, module=module)


class _Tailor:
    """One module's part of the file."""

    def __init__(self, name: str, organisation: Organisation, modules: frozenset[str]) -> None:
        self._name = name
        self._organisation = organisation
        self._modules = modules
        self._plan = organisation.modules.get(name, ModulePlan())

    def tailored(self) -> Tailored:
        module = standard_module(self._name)
        if module is None:
            if not self._plan.custom:
                raise self._mistake("", "there is no such standard module; of a custom one say custom = true")
            module = custom_module(self._name)
        elif self._plan.custom:
            raise self._mistake(".custom", "it is a standard module")
        else:
            module = with_options(module)
            module = msgspec.structs.replace(module, fields=_with_row_modules(module.fields))
        if self._plan == ModulePlan():
            return Tailored(module, self._plan)
        standard = {each.api_name: each for each in module.fields}
        fields = self._fields(self._plan.fields, standard, ".fields")
        module = Module(module.api_name, tuple(fields.values()), module.layouts)
        if self._plan.layouts:
            layouts = tuple(self._layouts(module))
            module = msgspec.structs.replace(module, layouts=layouts)
        self._check_names(module)
        per_user = frozenset(each.api_name for each in self._plan.fields if each.external == "user")
        return Tailored(module, self._plan, frozenset(fields) - frozenset(standard), per_user)

    def _mistake(self, key: str, why: str) -> UsageError:
        return self._organisation.mistake(f"modules.{self._name}{key}", why)

    def _fields(self, plans: tuple[FieldPlan, ...], known: Mapping[str, Field], key: str) -> dict[str, Field]:
        fields, seen = dict(known), set[str]()
        for number, plan in enumerate(plans):
            where = f"{key}[{number}]"
            if plan.api_name in seen:
                raise self._mistake(f"{where}.api_name", f"{plan.api_name} is named twice")
            seen.add(plan.api_name)
            field = fields.get(plan.api_name)
            if field is None:
                field = self._custom(plan, where)
            elif plan.data_type not in ("", str(field.type)):
                raise self._mistake(f"{where}.data_type", f"{plan.api_name} is a {field.type} here")
            fields[plan.api_name] = self._changed(field, plan, where)
        return fields

    def _custom(self, plan: FieldPlan, where: str) -> Field:
        if not plan.api_name.isidentifier() or not plan.api_name.isascii():
            raise self._mistake(f"{where}.api_name", f"{plan.api_name!r} is no API name, like Legacy_Id")
        if not plan.data_type:
            raise self._mistake(f"{where}.data_type", f"it is missing, and {plan.api_name} is a new field")
        type_ = FieldType(plan.data_type)
        if type_ in _NO_CUSTOM:
            known = ", ".join(each for each in FieldType if each not in _NO_CUSTOM)
            raise self._mistake(f"{where}.data_type", f"{plan.data_type!r} is none of {known}")
        decimals = _DECIMALS if type_ in _WITH_DECIMALS else None
        creatable = type_ not in (FieldType.FORMULA, FieldType.ROLLUP_SUMMARY)
        rows = plan.api_name if type_ is FieldType.SUBFORM else ""
        length = _LENGTH.get(type_)
        return Field(
            plan.api_name, type_, type_.json_type, length, decimals, creatable=creatable, module=rows
        )

    def _changed(self, field: Field, plan: FieldPlan, where: str) -> Field:
        for name, fits in _FITS:
            if getattr(plan, name) not in (None, ()) and not fits(field):
                raise self._mistake(f"{where}.{name}", f"{field.api_name} is a {field.type}: it has none")
        for name in ("length", "decimal_place", "rows_max"):
            value = getattr(plan, name)
            if value is not None and not (name == "decimal_place" and value == 0) and not 0 < value < 2**31:
                raise self._mistake(f"{where}.{name}", f"{value} is no number from 1 on")
        if plan.external is not None and self._name == "Calls":
            raise self._mistake(f"{where}.external", "calls have no external fields")
        if plan.lookup is not None and plan.lookup not in self._modules:
            raise self._mistake(f"{where}.lookup", f"there is no module {plan.lookup}")
        return msgspec.structs.replace(field, **self._changes(field, plan, where))

    def _changes(self, field: Field, plan: FieldPlan, where: str) -> dict[str, Any]:
        changes: dict[str, Any] = {
            "length": plan.length,
            "decimals": plan.decimal_place,
            "mandatory": plan.mandatory,
            "closed": plan.closed,
            "module": plan.lookup,
            "link": plan.link,
            "items_max": plan.rows_max,
        }
        if plan.options is not None:
            changes["options"] = tuple(_option(each) for each in plan.options)
        if plan.unique is not None:
            changes |= {"unique": bool(plan.unique), "case_sensitive": plan.unique == "case_sensitive"}
        if plan.external is not None:
            changes |= {"unique": True, "external": True}
        if plan.fields:
            known = {each.api_name: each for each in field.subfields}
            changes["subfields"] = tuple(self._fields(plan.fields, known, f"{where}.fields").values())
        return {name: value for name, value in changes.items() if value is not None}

    def _layouts(self, module: Module) -> Iterator[Layout]:
        ids = set[str]()
        for number, plan in enumerate(self._plan.layouts):
            key = f".layouts[{number}]"
            if plan.id in ids:
                raise self._mistake(f"{key}.id", f"{plan.id} is the id of another layout")
            ids.add(plan.id)
            yield self._layout(module, plan, key)

    def _layout(self, module: Module, plan: LayoutPlan, key: str) -> Layout:
        whole = default_layout(module, plan.id)
        fields = whole.fields if plan.fields is None else plan.fields
        for part, names in (("fields", plan.fields or ()), ("required", plan.required)):
            self._check_fields(module, names, f"{key}.{part}")
        for number, name in enumerate(plan.required):
            if name not in fields:
                raise self._mistake(f"{key}.required[{number}]", f"the layout has no field {name}")
        lacking = [each.api_name for each in module.mandatory if each.api_name not in fields]
        if lacking:
            raise self._mistake(f"{key}.fields", f"{', '.join(lacking)} is mandatory and not among them")
        pipelines = tuple(Pipeline(each.name, each.stages) for each in plan.pipelines)
        if pipelines and module.field("Pipeline") is None:
            raise self._mistake(f"{key}.pipelines", f"{module.api_name} has no pipelines")
        required = dict.fromkeys((*(each.api_name for each in module.mandatory), *plan.required))
        return Layout(plan.id, plan.name, fields, tuple(required), pipelines or default_pipelines(module))

    def _check_names(self, module: Module) -> None:
        """Every field and layout that the rest of the plan names."""
        plan = self._plan
        layouts = {each.id for each in module.layouts}
        for number, rule in enumerate(plan.layout_rules):
            key = f".layout_rules[{number}]"
            if rule.layout not in layouts:
                raise self._mistake(f"{key}.layout", f"there is no layout {rule.layout}")
            self._check_fields(module, [rule.when.field], f"{key}.when.field", numbered=False)
            self._check_fields(module, rule.mandatory, f"{key}.mandatory")
        for number, each in enumerate(plan.dependents):
            for part in ("field", "needs"):
                self._check_fields(
                    module, [getattr(each, part)], f".dependents[{number}].{part}", numbered=False
                )
        for number, wizard in enumerate(plan.wizards):
            if not wizard.paths or not all(wizard.paths):
                raise self._mistake(
                    f".wizards[{number}].paths", "a wizard has a path of at least one connection"
                )
        if plan.dependent_service is not None and plan.dependent_service.when is not None:
            field = plan.dependent_service.when.field
            self._check_fields(module, [field], ".dependent_service.when.field", numbered=False)

    def _check_fields(self, module: Module, names: Iterable[str], key: str, *, numbered: bool = True) -> None:
        for number, name in enumerate(names):
            if module.field(name) is None:
                where = f"{key}[{number}]" if numbered else key
                raise self._mistake(where, f"{module.api_name} has no field {name}")


def _with_row_modules(fields: tuple[Field, ...]) -> tuple[Field, ...]:
    """The rows of a subform are a module of their own; where its name is not known, it is the field's."""
    return tuple(
        msgspec.structs.replace(
            each, module=each.module or each.api_name, subfields=_with_row_modules(each.subfields)
        )
        if each.subfields
        else each
        for each in fields
    )


def _option(option: str | OptionPlan) -> Option:
    return Option(option) if isinstance(option, str) else Option(option.value, option.shown)


_FITS: Final[tuple[tuple[str, Callable[[Field], bool]], ...]] = (
    ("decimal_place", lambda field: field.type in _WITH_DECIMALS),
    ("options", lambda field: field.type in _WITH_OPTIONS),
    ("closed", lambda field: field.type in _WITH_OPTIONS),
    ("lookup", lambda field: field.type in _LOOKUPS),
    ("link", lambda field: field.type in (FieldType.MULTISELECTLOOKUP, FieldType.MULTIUSERLOOKUP)),
    ("rows_max", lambda field: field.json_type is JsonType.ARRAY),
    ("fields", lambda field: field.type is FieldType.SUBFORM),
    ("unique", lambda field: field.json_type in (JsonType.STRING, JsonType.INTEGER, JsonType.DOUBLE)),
    # External ids are custom text fields (custom-fields page).
    ("external", lambda field: field.type is FieldType.TEXT and field.json_type is JsonType.STRING),
)
"""Keys of a field that not every type has."""
