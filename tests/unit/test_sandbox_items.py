"""The item for a record that failed, made of its problem; statuses and shapes by the switches."""

from typing import Any

import pytest

from loader.errors import UsageError
from loader.sandbox.answers import without_paths
from loader.sandbox.problem_items import problem_item
from loader.sandbox.switches import Statuses, Switch, statuses, switches
from loader.schema.problems import (
    DEPENDENT_FIELD_MISSING,
    DEPENDENT_MISMATCH,
    INVALID_DATA,
    LIMIT_EXCEEDED,
    MANDATORY_NOT_FOUND,
    NESTED_TOO_DEEPLY,
    NOT_AN_OBJECT,
    Problem,
)


def item(code: str, message: str, **details: Any) -> dict[str, Any]:
    return {"code": code, "details": details, "message": message, "status": "error"}


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (
            Problem(INVALID_DATA, "", "Number_1", expected_data_type="integer"),
            item(
                INVALID_DATA,
                "invalid data",
                expected_data_type="integer",
                api_name="Number_1",
                json_path="$.data[3].Number_1",
            ),
        ),
        (
            Problem(INVALID_DATA, "", "Number_1", maximum_length=2),
            item(
                INVALID_DATA,
                "invalid data",
                maximum_length=2,
                api_name="Number_1",
                json_path="$.data[3].Number_1",
            ),
        ),
        (
            Problem(INVALID_DATA, "", "Probability", api_message="Given Probability is not valid"),
            item(
                INVALID_DATA,
                "Given Probability is not valid",
                api_name="Probability",
                json_path="$.data[3].Probability",
            ),
        ),
        (
            Problem(MANDATORY_NOT_FOUND, "", "Quoted_Items", path="Quoted_Items[1].Product_Name.id"),
            item(
                MANDATORY_NOT_FOUND,
                "required field not found",
                api_name="id",
                json_path="$.data[3].Quoted_Items[1].Product_Name.id",
            ),
        ),
        (
            Problem(INVALID_DATA, "", "Courses", expected_data_type="text", path="Courses[2]"),
            item(
                INVALID_DATA,
                "invalid data",
                expected_data_type="text",
                api_name="Courses",
                json_path="$.data[3].Courses[2]",
            ),
        ),
        (
            Problem(DEPENDENT_FIELD_MISSING, "", "$wizard_connection_path", dependee="Wizard"),
            item(
                DEPENDENT_FIELD_MISSING,
                "required field not found",
                dependee={"api_name": "Wizard", "json_path": "$.data[3].Wizard"},
                api_name="$wizard_connection_path",
                json_path="$.data[3].$wizard_connection_path",
            ),
        ),
        (
            Problem(
                DEPENDENT_MISMATCH,
                "",
                "Call_Duration",
                api_message="Call Duration can not be zero.",
                dependee="Call_Type",
            ),
            item(
                DEPENDENT_MISMATCH,
                "Call Duration can not be zero.",
                dependee={"api_name": "Call_Type", "json_path": "$.data[3].Call_Type"},
                api_name="Call_Duration",
                json_path="$.data[3].Call_Duration",
            ),
        ),
        (
            Problem(LIMIT_EXCEEDED, "", "Participants", maximum_length=50, api_message="Only 50"),
            item(
                LIMIT_EXCEEDED,
                "Only 50",
                maximum_length=50,
                api_name="Participants",
                json_path="$.data[3].Participants",
            ),
        ),
        (
            Problem(NOT_AN_OBJECT, ""),
            item(INVALID_DATA, "invalid data", expected_data_type="jsonobject", json_path="$.data[3]"),
        ),
        (Problem(NESTED_TOO_DEEPLY, ""), item(INVALID_DATA, "invalid data", json_path="$.data[3]")),
        # A mandatory field that another one makes mandatory has no dependee on the wire.
        (
            Problem(MANDATORY_NOT_FOUND, "", "Who_Id", dependee="Call_Type"),
            item(
                MANDATORY_NOT_FOUND,
                "required field not found",
                api_name="Who_Id",
                json_path="$.data[3].Who_Id",
            ),
        ),
    ],
)
def test_the_item_of_a_problem(problem: Problem, expected: dict[str, Any]) -> None:
    assert problem_item(problem, 3) == expected


def test_paths_are_left_out_wherever_they_stand() -> None:
    value = {"a": [{"json_path": "$", "b": {"json_path": "$", "c": 1}}], "json_path": "$", "d": None}
    assert without_paths(value) == {"a": [{"b": {"c": 1}}], "d": None}


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        (frozenset(), (201, 207, 400)),
        (frozenset({Switch.ALL_FAILED_202}), (201, 207, 202)),
        (frozenset({Switch.MIXED_200}), (201, 200, 400)),
    ],
)
def test_the_statuses_that_the_switches_leave(on: frozenset[Switch], expected: tuple[int, ...]) -> None:
    found = statuses(on)
    assert (
        found.of(failed=0, inserted=3),
        found.of(failed=1, inserted=2),
        found.of(failed=3, inserted=0),
    ) == expected
    assert Statuses() == statuses(frozenset())


def test_every_switch_has_a_name_and_others_are_refused() -> None:
    assert switches(list(Switch)) == frozenset(Switch)
    with pytest.raises(UsageError, match="all-failed-202"):
        switches(["nonsense"])
