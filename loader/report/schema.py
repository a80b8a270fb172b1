"""A module's schema as a table for a person. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from loader.report.text import plural, printable
from loader.schema.fields import Field, FieldType, JsonType, Module

_LENGTHS_MEAN_NOTHING = {FieldType.DATE, FieldType.DATETIME, FieldType.PICKLIST}
_SIZE_OF_NUMBERS = {JsonType.INTEGER, JsonType.DOUBLE}


def table(module: Module, *, source: str) -> list[str]:
    """The fields that an insert may set, the mandatory ones first; those that it may not; the layouts."""
    settable = sorted((each for each in module.fields if each.creatable), key=lambda one: not one.mandatory)
    wide = max([len(each.api_name) for each in settable], default=0)
    lines = [f"{module.api_name} ({source}): {plural(len(settable), 'field')} that an insert may set", ""]
    for field in settable:
        lines += _row(field, wide)
    fixed = [each.api_name for each in module.fields if not each.creatable]
    if fixed:
        lines += ["", f"Set by the CRM alone: {', '.join(fixed)}"]
    return [printable(line) for line in [*lines, *_layouts(module)]]


def _row(field: Field, wide: int, *, indent: str = "  ") -> Iterator[str]:
    facts = "; ".join(_facts(field))
    yield f"{indent}{field.api_name:<{wide}}  {field.type} ({field.json_type})  {facts}".rstrip()
    inner = max([len(each.api_name) for each in field.subfields], default=0)
    for each in field.subfields:
        yield from _row(each, inner, indent=indent + "    ")


def _facts(field: Field) -> Iterator[str]:
    if field.mandatory:
        yield "mandatory"
    if field.length and field.json_type is JsonType.STRING and field.type not in _LENGTHS_MEAN_NOTHING:
        yield f"up to {plural(field.length, 'character')}"
    elif field.length and field.json_type in _SIZE_OF_NUMBERS:
        yield f"up to {plural(field.length, 'digit')}"
    if field.items_max:
        yield f"up to {plural(field.items_max, 'item')}"
    if field.external:
        yield "external id"
    elif field.unique:
        yield "unique" + (", case counts" if field.case_sensitive else "")
    if field.module:
        yield f"refers to {field.module}"
    if field.options:
        yield f"{'one of' if field.closed else 'options:'} {_options(field)}"


def _options(field: Field) -> str:
    shown = [option.value for option in field.options[:6]]
    rest = len(field.options) - len(shown)
    return ", ".join(shown) + (f" and {rest:,} more" if rest else "")


def _layouts(module: Module) -> Iterator[str]:
    for layout in module.layouts:
        yield ""
        yield f"Layout {layout.name} ({layout.id}): demands {', '.join(layout.required) or 'nothing more'}"
        for pipeline in layout.pipelines:
            yield f"  Pipeline {pipeline.name}: {', '.join(pipeline.stages)}"
