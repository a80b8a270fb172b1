"""What a query's criteria hold for, type by type, and how records are sorted."""

from typing import Any

import pytest

from loader.sandbox.calls import ZONE
from loader.sandbox.coql import Order, Query, parse_query
from loader.sandbox.criteria import Refusal, matcher_of, sort_keys
from loader.schema.fields import Field, FieldType, JsonType, Module


def field(name: str, type_: FieldType) -> Field:
    return Field(name, type_, type_.json_type)


MODULE = Module(
    "Leads",
    (
        field("Last_Name", FieldType.TEXT),
        field("Number", FieldType.INTEGER),
        field("Amount", FieldType.CURRENCY),
        field("Serial", FieldType.BIGINT),
        field("Day", FieldType.DATE),
        field("Time", FieldType.DATETIME),
        field("Opt", FieldType.BOOLEAN),
        field("Account", FieldType.LOOKUP),
        field("Languages", FieldType.MULTISELECTPICKLIST),
        Field("Tag", FieldType.TEXT, JsonType.ARRAY),
    ),
)


def refusal_or_test(criteria: str) -> Any:
    query = parse_query(f"select id from Leads where {criteria}")
    assert isinstance(query, Query), query
    return matcher_of(query.where, MODULE, ZONE)


@pytest.mark.parametrize(
    ("criteria", "values", "holds"),
    [
        ("Last_Name = 'daly'", {"Last_Name": " Daly "}, True),
        ("Last_Name = 'daly'", {}, False),
        ("Last_Name != 'daly'", {"Last_Name": "Dolan"}, True),
        ("Last_Name != 'daly'", {}, False),
        ("Last_Name in ('x', 'DALY')", {"Last_Name": "Daly"}, True),
        ("Last_Name not in ('x', 'DALY')", {"Last_Name": "Daly"}, False),
        ("Last_Name is null", {"Last_Name": " "}, True),
        ("Last_Name is null", {}, True),
        ("Last_Name is not null", {"Last_Name": "x"}, True),
        ("Last_Name is not null", {}, False),
        ("Last_Name = ''", {"Last_Name": ""}, True),
        ("Last_Name like 'da%'", {"Last_Name": "Daly"}, True),
        ("Last_Name like '%LY'", {"Last_Name": "Daly"}, True),
        ("Last_Name like '%al%'", {"Last_Name": "Daly"}, True),
        ("Last_Name like 'al%'", {"Last_Name": "Daly"}, False),
        ("Last_Name like '%'", {"Last_Name": "Daly"}, True),
        ("Last_Name like 'daly'", {"Last_Name": "Daly"}, True),
        ("Last_Name not like '%al%'", {"Last_Name": "Daly"}, False),
        ("Last_Name not like '%al%'", {}, False),
        ("Number = 7", {"Number": 7}, True),
        ("Number in ('7')", {"Number": 7}, True),
        ("Number = 'x'", {"Number": 7}, False),
        ("Number > 6.5", {"Number": 7}, True),
        ("Number < 7", {"Number": 7}, False),
        ("Number <= 7", {"Number": 7}, True),
        ("Number >= 8", {"Number": 7}, False),
        ("Number between 7 and 9", {"Number": 7}, True),
        ("Number not between 7 and 9", {"Number": 7}, False),
        ("Number > 1", {}, False),
        ("Amount = 250000.50", {"Amount": 250000.5}, True),
        ("Serial = '007'", {"Serial": "7"}, False),
        ("Serial > 99", {"Serial": "1000"}, True),
        ("Day > '2024-02-28'", {"Day": "2024-02-29"}, True),
        ("Day = '2024-02-29'", {"Day": "2024-02-29"}, True),
        ("Time = '2023-05-10T08:10:47+00:00'", {"Time": "2023-05-10T01:10:47-07:00"}, True),
        ("Time < '2023-05-10T08:10:47Z'", {"Time": "2023-05-10T01:10:46"}, True),
        ("Opt = true", {"Opt": True}, True),
        ("Opt = 'false'", {"Opt": True}, False),
        ("Account = '5'", {"Account": {"id": "5", "name": "x"}}, True),
        ("Account in (5)", {"Account": {"id": "6"}}, False),
        ("Account is null", {"Account": {}}, True),
        ("Languages = 'English;German'", {"Languages": ["English", "German"]}, True),
        ("Languages is null", {"Languages": []}, True),
        ("Tag is not null", {"Tag": [{"name": "x"}]}, True),
        ("Number = 1 or Opt = true", {"Number": 2, "Opt": True}, True),
        ("Number = 1 and Opt = true", {"Number": 2, "Opt": True}, False),
        ("(Number = 2 and Opt = true) and Last_Name is null", {"Number": 2, "Opt": True}, True),
    ],
)
def test_criteria_hold_or_do_not(criteria: str, values: dict[str, Any], holds: bool) -> None:
    assert refusal_or_test(criteria)(values) is holds


@pytest.mark.parametrize(
    ("criteria", "message", "details"),
    [
        (
            "Last_Name > 'x'",
            "Invalid query formed",
            {"reason": "invalid operator found", "column_name": "Last_Name", "operator": ">"},
        ),
        (
            "Number = 1 and Number not like '%1%'",
            "Invalid query formed",
            {"reason": "invalid operator found", "column_name": "Number", "operator": "not like"},
        ),
        (
            "Account between 1 and 2",
            "Invalid query formed",
            {"reason": "invalid operator found", "column_name": "Account", "operator": "between"},
        ),
        (
            "Day >= 'soon' or Number = 1",
            "Invalid query formed",
            {"reason": "invalid value found", "column_name": "Day", "operator": ">="},
        ),
        ("Tag = 'x'", "unsupported column in criteria", {"column_name": "Tag"}),
        ("Nope = 1", "column given seems to be invalid", {"column_name": "Nope", "module": "Leads"}),
    ],
)
def test_a_field_that_does_not_take_a_criterion_is_named(
    criteria: str, message: str, details: dict[str, str]
) -> None:
    refusal = refusal_or_test(criteria)
    assert isinstance(refusal, Refusal)
    assert (refusal.error.code, refusal.error.message, refusal.error.details) == (
        "INVALID_QUERY",
        message,
        details,
    )


def test_what_has_nothing_is_sorted_first_and_numbers_by_their_size() -> None:
    keys = sort_keys([Order("Number")], MODULE, ZONE)
    assert isinstance(keys, list)
    values: list[dict[str, Any]] = [{"Number": 10}, {"Number": 9}, {}, {"Number": None}]
    assert sorted(values, key=keys[0]) == [{}, {"Number": None}, {"Number": 9}, {"Number": 10}]


@pytest.mark.parametrize("name", ["Nope", "Tag"])
def test_what_cannot_be_sorted_by_is_named(name: str) -> None:
    refusal = sort_keys([Order(name)], MODULE, ZONE)
    assert isinstance(refusal, Refusal)
    assert refusal.error.details["column_name"] == name
