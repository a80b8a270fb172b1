"""Layouts metadata as the API writes it, read into `Layout`s and written back.

Reading takes what the loader needs and steps over the rest, as `metadata.py` does; what a record makes of its
layout is `placement.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from loader.schema.fields import Layout, Module, Pipeline
from loader.schema.metadata import MetadataError, Operations, OptionRow, row_of, value_of

PIPELINE: Final = "Pipeline"
STAGE: Final = "Stage"


class _Map(msgspec.Struct):
    """The stages of a pipeline, which its option in the field Pipeline carries."""

    api_name: str = ""
    pick_list_values: list[OptionRow] | None = None


class _PipelineOption(OptionRow):
    maps: list[_Map] | None = None


class _FieldRow(msgspec.Struct):
    api_name: str
    data_type: str = ""
    required: bool | None = None
    operation_type: Operations | None = None
    pick_list_values: list[msgspec.Raw] | None = None


class _Section(msgspec.Struct):
    fields: list[_FieldRow] | None = None


class _LayoutRow(msgspec.Struct):
    id: str
    name: str | None = None
    sections: list[_Section] | None = None


class _Answer(msgspec.Struct):
    layouts: list[_LayoutRow]


_ANSWER: Final = msgspec.json.Decoder(_Answer)
_OPTION: Final = msgspec.json.Decoder(_PipelineOption)


def layouts_from_metadata(api_name: str, answer: bytes) -> tuple[Layout, ...]:
    """The layouts that the body of `GET settings/layouts?module=...` describes.

    Raises:
        MetadataError: the body is not layouts metadata, or has no layout.
    """
    try:
        answer.decode()  # the decoder does not look into what it steps over
        layouts = tuple(_layout(row) for row in _ANSWER.decode(answer).layouts)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MetadataError(f"the answer is not layouts metadata of {api_name}: {error}") from error
    if not layouts:
        raise MetadataError(f"the layouts metadata of {api_name} names no layout")
    return layouts


def _layout(row: _LayoutRow) -> Layout:
    fields = [field for section in row.sections or () for field in section.fields or ()]
    return Layout(
        row.id,
        row.name or "",
        tuple(dict.fromkeys(field.api_name for field in fields)),
        tuple(dict.fromkeys(field.api_name for field in fields if _is_required(field))),
        tuple(pipeline for field in fields if field.api_name == PIPELINE for pipeline in _pipelines(field)),
    )


def _is_required(field: _FieldRow) -> bool:
    """What no insert can give is not demanded of one; the metadata says so of subforms too, and is wrong."""
    if not field.required:
        return False
    if field.data_type == "subform" or field.operation_type is None:
        return True
    return field.operation_type.api_create is not False


def _pipelines(field: _FieldRow) -> Iterator[Pipeline]:
    for raw in field.pick_list_values or ():
        option = _OPTION.decode(raw)
        maps = [each for each in option.maps or () if each.api_name in ("", STAGE)]
        if maps:  # `-None-`, which is no pipeline, has none
            stages = (value_of(stage) for each in maps for stage in each.pick_list_values or ())
            yield Pipeline(value_of(option), tuple(dict.fromkeys(stages)))


def with_layouts(module: Module, layouts: tuple[Layout, ...]) -> Module:
    """The same module with these layouts."""
    return msgspec.structs.replace(module, layouts=layouts)


def metadata_from_layouts(module: Module) -> list[dict[str, Any]]:
    """The entries of `layouts` that describe this module's layouts, in the shape of the API."""
    return [
        {
            "id": layout.id,
            "name": layout.name,
            "display_label": layout.name,
            "status": "active",
            "visible": True,
            "sections": [
                {
                    "api_name": f"{module.api_name} Information",
                    "display_label": f"{module.api_name} Information",
                    "sequence_number": 1,
                    "fields": list(_field_rows(module, layout)),
                }
            ],
        }
        for layout in module.layouts
    ]


def _field_rows(module: Module, layout: Layout) -> Iterator[dict[str, Any]]:
    names = dict.fromkeys((*layout.fields, *layout.required, *([PIPELINE] if layout.pipelines else [])))
    for number, name in enumerate(names, start=1):
        field = module.field(name)
        row: dict[str, Any] = {"api_name": name} if field is None else row_of(field)
        row |= {"required": name in layout.required, "sequence_number": number}
        if name == PIPELINE and layout.pipelines:
            row["pick_list_values"] = [_pipeline_option(pipeline) for pipeline in layout.pipelines]
        yield row


def _pipeline_option(pipeline: Pipeline) -> dict[str, Any]:
    stages = [{"display_value": stage, "actual_value": stage} for stage in pipeline.stages]
    return {
        "display_value": pipeline.name,
        "actual_value": pipeline.name,
        "maps": [{"api_name": STAGE, "pick_list_values": stages}],
    }
