"""The layout that a module has where the organisation names none. Facts, and the layout made out of them."""

from __future__ import annotations

from typing import Final

from loader.schema.fields import Layout, Module, Pipeline

STANDARD: Final = "Standard"
"""What the API calls a module's first layout (layouts metadata)."""

_REQUIRED: Final = {"Leads": ("Company",)}
"""Fields that a new organisation's layout requires although the system does not (layouts metadata)."""

PIPELINE: Final = "Standard (Standard)"
"""What the insert-records page calls a new organisation's pipeline."""

_STAGES: Final = (
    "Qualification",
    "Needs Analysis",
    "Value Proposition",
    "Identify Decision Makers",
    "Proposal/Price Quote",
    "Negotiation/Review",
    "Closed Won",
    "Closed Lost",
    "Closed Lost to Competition",
)
"""Of that pipeline, unless the module's own schema has options for Stage."""


def default_pipelines(module: Module) -> tuple[Pipeline, ...]:
    """The standard pipeline, in a module that has pipelines."""
    stage = module.field("Stage")
    if module.field("Pipeline") is None or stage is None:
        return ()
    options = tuple(each.value for each in stage.options if each.value != "-None-")
    return (Pipeline(PIPELINE, options or _STAGES),)


def default_layout(module: Module, layout_id: str) -> Layout:
    """One layout that holds every field which an insert may set."""
    fields = tuple(each.api_name for each in module.fields if each.creatable)
    required = (*(each.api_name for each in module.mandatory), *_REQUIRED.get(module.api_name, ()))
    known = tuple(name for name in dict.fromkeys(required) if name in fields)
    return Layout(layout_id, STANDARD, fields, known, default_pipelines(module))
