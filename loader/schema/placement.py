"""What a module's layouts make of a record: which one it has, what that demands, which stages there are.

Only for layouts that are known (`Module.layouts`). What a layout demands counts for the records that name it
and no others (insert-records page, Layout).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from loader.schema.cross import CrossRule
from loader.schema.explain import is_no_value
from loader.schema.fields import Layout, Module
from loader.schema.problems import ID_INVALID, INVALID_DATA, MANDATORY_NOT_FOUND, Problem


def named_layout(module: Module, given: object, layout_id: str) -> Layout | None:
    """The known layout of a record whose Layout is `given`; one that has none gets `layout_id`."""
    named = _named(given, layout_id)
    return next((layout for layout in module.layouts if named and layout.id == named), None)


def _named(given: object, layout_id: str) -> str:
    """The id of a record's layout; empty: none, or none that can be read."""
    if given is None:
        return layout_id
    found = given.get("id") if isinstance(given, Mapping) else None
    return str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""


def takes(layout: Layout, key: str) -> bool:
    """Whether the API reads this key of a record of the layout, or steps over it."""
    return not layout.fields or key in layout.fields or key.startswith("$") or key in ("Layout", "Wizard")


def placement_rules(module: Module, layout_id: str) -> tuple[CrossRule, ...]:
    """The rules that this module's layouts make; `layout_id` is for the records that name none."""
    if not module.layouts:
        return ()

    def layout(record: Mapping[str, Any], _now: float | None) -> Iterator[Problem]:
        yield from _layout(module, record, layout_id)

    def pipeline(record: Mapping[str, Any], _now: float | None) -> Iterator[Problem]:
        yield from _pipeline(module, record, layout_id)

    rules = [CrossRule(layout, () if layout_id else ("Layout",))]
    if any(each.pipelines for each in module.layouts):
        rules.append(CrossRule(pipeline))
    return tuple(rules)


def _layout(module: Module, record: Mapping[str, Any], layout_id: str) -> Iterator[Problem]:
    given = record.get("Layout")
    layout = named_layout(module, given, layout_id)
    if layout is None:
        if _named(given, layout_id):
            known = ", ".join(f"{each.id} ({each.name:.40})" for each in module.layouts[:5])
            message = f"Layout.id names no layout of {module.api_name}; there are {known}"
            yield Problem(INVALID_DATA, message, "Layout", path="Layout.id", api_message=ID_INVALID)
        return
    for name in layout.required:
        field = module.field(name)
        if is_no_value(record.get(name)) and (field is None or field.creatable):
            message = f"{name} is mandatory in the layout {layout.name or layout.id!a}; give it a value"
            yield Problem(MANDATORY_NOT_FOUND, message, name, path=name)


def _pipeline(module: Module, record: Mapping[str, Any], layout_id: str) -> Iterator[Problem]:
    """A record without a layout has the user's own, which nobody here knows: any that there is will do."""
    layout = named_layout(module, record.get("Layout"), layout_id)
    layouts = module.layouts if layout is None else (layout,)
    pipelines = [pipeline for each in layouts for pipeline in each.pipelines]
    if not pipelines:
        return
    names = list(dict.fromkeys(pipeline.name for pipeline in pipelines))
    given, stage = record.get("Pipeline"), record.get("Stage")
    if is_no_value(given):
        message = f"Pipeline is mandatory, as pipelines are enabled; give it one of {_some(names)}"
        yield Problem(MANDATORY_NOT_FOUND, message, "Pipeline", path="Pipeline")
    elif given not in names:
        message = f"Pipeline is none of the layout's; give it one of {_some(names)}"
        words = "Layout doesn't contain the Pipeline"
        yield Problem(INVALID_DATA, message, "Pipeline", path="Pipeline", api_message=words)
    else:
        stages = [each for pipeline in pipelines if pipeline.name == given for each in pipeline.stages]
        if isinstance(stage, str) and stage.strip() and stage not in stages:
            message = f"Stage is none of its pipeline's; give it one of {_some(stages)}"
            words = "Pipeline doesn't contain the Stage"
            yield Problem(
                INVALID_DATA, message, "Stage", path="Stage", api_message=words, dependee="Pipeline"
            )


def _some(words: list[str]) -> str:
    return ", ".join(f"{each[:40]!a}" for each in words[:8]) + (" ..." if len(words) > 8 else "")
