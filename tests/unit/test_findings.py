"""What a check keeps of an input: bounded, with counts, first lines and an example."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from loader.findings import KINDS_MAX, LINES_MAX, Findings
from loader.schema.fields import Field, FieldType, JsonType, Module, Option
from loader.schema.problems import Problem

COLOURS = (Option("Red"), Option("Blue Showroom", "Blue"))
MODULE = Module(
    "Vehicles",
    (
        Field("Name", FieldType.TEXT, JsonType.STRING, 80),
        Field("Colour", FieldType.PICKLIST, JsonType.STRING, 120, options=COLOURS),
        Field("Colours", FieldType.MULTISELECTPICKLIST, JsonType.ARRAY, options=COLOURS),
        Field("Full_Name", FieldType.TEXT, JsonType.STRING, 80, creatable=False),
    ),
)


def members(record: dict[str, Any]) -> dict[str, msgspec.Raw]:
    return msgspec.json.decode(json.dumps(record).encode(), type=dict[str, msgspec.Raw])


def noted(record: dict[str, Any]) -> list[tuple[str, str]]:
    findings = Findings(MODULE)
    findings.add_record(1, members(record))
    return sorted(findings.notes)


def test_a_record_of_known_fields_and_options_has_no_note() -> None:
    assert (
        noted({"Name": "a", "Colour": "Red", "Colours": ["Red", "Blue Showroom"], "$approved": False}) == []
    )
    assert noted({"Colour": None, "Colours": []}) == []


def test_what_may_be_a_mistake_is_noted_by_field() -> None:
    assert noted({"Zodiac": 1}) == [("unknown field", "Zodiac")]
    assert noted({"Full_Name": "x"}) == [("not set by inserts", "Full_Name")]
    assert noted({"Colour": "Green"}) == [("new option", "Colour")]
    assert noted({"Colours": ["Red", "Green"]}) == [("new option", "Colours")]


def test_a_word_that_people_see_is_told_from_a_new_one() -> None:
    assert noted({"Colour": "Blue"}) == [("shown option", "Colour")]


def test_counts_are_of_all_lines_and_the_lines_are_the_first() -> None:
    findings = Findings(MODULE)
    for line in range(1, 101):
        findings.add_problems(line, [Problem("INVALID_DATA", f"Name is wrong in {line}", "Name")])
    (found,) = findings.problems.values()
    assert (found.count, found.lines) == (100, list(range(1, LINES_MAX + 1)))
    assert found.message == "Name is wrong in 1"


def test_kinds_beyond_the_bound_are_counted_and_not_kept() -> None:
    findings = Findings(MODULE)
    for number in range(KINDS_MAX + 7):
        findings.add_record(number + 1, members({f"Unknown_{number}": 1}))
    assert len(findings.notes) == KINDS_MAX
    assert findings.left_out == 7
