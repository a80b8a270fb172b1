from __future__ import annotations

from typing import Any

import msgspec
import pytest

from loader.schema.check import Checker
from loader.schema.fields import Field, FieldType, JsonType, Layout, Module, Pipeline
from loader.schema.layouts import layouts_from_metadata, metadata_from_layouts, with_layouts
from loader.schema.metadata import MetadataError
from loader.schema.problems import INVALID_DATA, MANDATORY_NOT_FOUND, Problem


def options(*names: str) -> list[dict[str, Any]]:
    return [{"display_value": f"{name} shown", "actual_value": name, "id": "1"} for name in names]


ANSWER: dict[str, Any] = {
    "layouts": [
        {
            "id": "554023000002734009",
            "name": "Standard",
            "status": "active",
            "visible": True,
            "sections": [
                {
                    "api_name": "Deal Information",
                    "fields": [
                        {"api_name": "Deal_Name", "data_type": "text", "required": True, "length": 120},
                        {
                            "api_name": "Stage",
                            "data_type": "picklist",
                            "required": True,
                            "pick_list_values": None,
                        },
                        {
                            "api_name": "Pipeline",
                            "required": False,
                            "pick_list_values": [
                                {"display_value": "-None-", "actual_value": "-None-", "maps": []},
                                {
                                    "display_value": "Standard (Standard)",
                                    "actual_value": "Standard (Standard)",
                                    "maps": [
                                        {"api_name": "Stage", "pick_list_values": options("Won", "Lost")}
                                    ],
                                },
                                {"display_value": "No stages known"},
                            ],
                        },
                    ],
                },
                {
                    "fields": [
                        {
                            "api_name": "Rows",
                            "data_type": "subform",
                            "required": True,
                            "operation_type": {"api_create": False},
                        },
                        {"api_name": "Age", "required": True, "operation_type": {"api_create": False}},
                        {"api_name": "Next_Step"},
                    ]
                },
                {"api_name": "Empty", "fields": None},
            ],
        },
        {"id": "2"},
    ]
}


def test_layouts_as_the_api_writes_them() -> None:
    standard, bare = layouts_from_metadata("Deals", msgspec.json.encode(ANSWER))
    assert standard == Layout(
        "554023000002734009",
        "Standard",
        ("Deal_Name", "Stage", "Pipeline", "Rows", "Age", "Next_Step"),
        ("Deal_Name", "Stage", "Rows"),
        (Pipeline("Standard (Standard)", ("Won", "Lost")),),
    )
    assert bare == Layout("2")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>busy</html>",
        b"{}",
        b'{"layouts":[]}',
        b'{"layouts":[{"name":"a"}]}',
        b'{"layouts":[{"id":"1","sections":[{"fields":[{"api_name":"Pipeline","pick_list_values":[5]}]}]}]}',
        b'{"layouts":[{"id":"1","x":"\xff"}]}',
        b'{"layouts":' + b"[" * 100_000,
    ],
    ids=lambda answer: repr(answer[:40]),
)
def test_nonsense_is_named_with_its_module(answer: bytes) -> None:
    with pytest.raises(MetadataError, match="layouts metadata of Deals"):
        layouts_from_metadata("Deals", answer)


FIELDS = (
    Field("Deal_Name", FieldType.TEXT, JsonType.STRING, 120, mandatory=True),
    Field("Stage", FieldType.PICKLIST, JsonType.STRING, 120),
    Field("Pipeline", FieldType.PICKLIST, JsonType.STRING, 120),
    Field("Email", FieldType.EMAIL, JsonType.STRING, 100),
    Field("Company", FieldType.TEXT, JsonType.STRING, 200),
    Field("Age", FieldType.INTEGER, JsonType.INTEGER, 3, creatable=False),
    Field("Layout", FieldType.LAYOUT, JsonType.OBJECT),
)
ONE = Layout(
    "1",
    "One",
    ("Deal_Name", "Stage", "Pipeline", "Company", "Age"),
    ("Deal_Name", "Company", "Age"),
    (Pipeline("A", ("Won", "Open")), Pipeline("B", ("Lost",))),
)
TWO = Layout("2", "Two", (), ("Email",), ())
DEALS = with_layouts(Module("Deals", FIELDS), (ONE, TWO))
FLAT = with_layouts(Module("Vehicles", FIELDS), (msgspec.structs.replace(ONE, pipelines=()), TWO))


def test_layouts_come_back_from_their_metadata_as_they_went() -> None:
    answer = msgspec.json.encode({"layouts": metadata_from_layouts(DEALS)})
    read = layouts_from_metadata("Deals", answer)
    assert read[0] == msgspec.structs.replace(
        ONE, required=("Deal_Name", "Company")
    )  # no insert gives an age
    assert read[1] == Layout("2", "Two", ("Email",), ("Email",))


def problems(module: Module, record: object, layout_id: str = "") -> list[Problem]:
    raw = msgspec.json.encode(record)
    warm = Checker(module, layout_id=layout_id)
    warm._learn([field.api_name for field in module.fields])
    found = Checker(module, layout_id=layout_id).problems(raw)
    assert warm.problems(raw) == found
    return list(found)


def layout(id_: str) -> dict[str, object]:
    return {"Layout": {"id": id_}}


@pytest.mark.parametrize(
    ("record", "layout_id", "places"),
    [
        ({}, "", []),
        ({"Layout": None}, "", []),
        ({"Layout": {"name": "One"}}, "", []),
        (layout("1"), "", [(MANDATORY_NOT_FOUND, "Company")]),
        ({**layout("1"), "Company": " "}, "", [(MANDATORY_NOT_FOUND, "Company")]),
        ({**layout("1"), "Company": "ABC"}, "", []),
        (layout("2"), "", [(MANDATORY_NOT_FOUND, "Email")]),
        (layout("3"), "", [(INVALID_DATA, "Layout.id")]),
        ({}, "1", [(MANDATORY_NOT_FOUND, "Company")]),
        ({**layout("2"), "Email": "a@b.de"}, "1", []),
        ({}, "3", [(INVALID_DATA, "Layout.id")]),
        ({"Layout": {"id": 1.5}}, "", [(INVALID_DATA, "Layout.id")]),
        ({"Layout": "1"}, "", [(INVALID_DATA, "Layout")]),
        ({"Layout": {"name": "Two"}}, "1", []),
        ({"Layout": None}, "1", [(MANDATORY_NOT_FOUND, "Company")]),
        # A field that is not in the layout is ignored by the API, unless nobody knows what is in it.
        ({**layout("1"), "Company": "ABC", "Email": "nobody"}, "", []),
        ({"Company": "ABC", "Email": "nobody"}, "1", []),
        ({**layout("2"), "Email": "nobody"}, "", [(INVALID_DATA, "Email")]),
        ({"Email": "nobody"}, "", [(INVALID_DATA, "Email")]),
    ],
    ids=str,
)
def test_a_layout_demands_and_ignores_for_the_records_that_name_it(
    record: dict[str, object], layout_id: str, places: list[tuple[str, str]]
) -> None:
    found = problems(FLAT, {"Deal_Name": "x", **record}, layout_id)
    assert [(problem.code, problem.path) for problem in found] == places


def test_an_unknown_layout_has_the_words_of_the_api_and_the_message_those_that_are_known() -> None:
    (problem,) = problems(FLAT, {"Deal_Name": "x", **layout("3")})
    assert problem.api_message == "the id given seems to be invalid"
    assert "1 (One), 2 (Two)" in problem.message


@pytest.mark.parametrize(
    ("record", "place", "words"),
    [
        ({"Pipeline": "A", "Stage": "Won"}, "", ""),
        ({"Pipeline": "A"}, "", ""),
        ({**layout("1"), "Company": "x", "Pipeline": "B", "Stage": "Lost"}, "", ""),
        ({"Stage": "Won"}, "Pipeline", ""),
        ({"Pipeline": "", "Stage": "Won"}, "Pipeline", ""),
        ({"Pipeline": "C", "Stage": "Won"}, "Pipeline", "Layout doesn't contain the Pipeline"),
        ({"Pipeline": "B", "Stage": "Won"}, "Stage", "Pipeline doesn't contain the Stage"),
        # The second layout has no pipelines.
        ({**layout("2"), "Email": "a@b.de", "Stage": "Any"}, "", ""),
    ],
    ids=str,
)
def test_a_stage_belongs_to_the_pipeline_and_the_pipeline_to_the_layout(
    record: dict[str, object], place: str, words: str
) -> None:
    found = problems(DEALS, {"Deal_Name": "x", **record})
    assert [(problem.path, problem.api_message) for problem in found] == ([(place, words)] if place else [])


def test_rows_that_the_layout_has_the_api_ignore_are_not_looked_at() -> None:
    rows = Field("Rows", FieldType.SUBFORM, JsonType.ARRAY, subfields=(FIELDS[0],))
    module = with_layouts(Module("Vehicles", (*FIELDS, rows)), (Layout("1", "One", ("Deal_Name",)),))
    for value in (5, "abc", [5], [{"Deal_Name": 5}]):
        assert problems(module, {"Deal_Name": "x", "Rows": value, **layout("1")}) == []


def test_without_layouts_nothing_is_said_of_pipelines() -> None:
    assert problems(Module("Deals", FIELDS), {"Deal_Name": "x", "Stage": "Any", **layout("5")}) == []
