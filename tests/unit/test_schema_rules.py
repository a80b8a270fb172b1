from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
import pytest

from loader.schema.activities import is_recurring
from loader.schema.check import Checker
from loader.schema.fields import Field, FieldType, JsonType, Module
from loader.schema.problems import (
    DEPENDENT_FIELD_MISSING,
    DEPENDENT_MISMATCH,
    INVALID_DATA,
    LIMIT_EXCEEDED,
    MANDATORY_NOT_FOUND,
    Problem,
)
from loader.schema.rules import rules_of

NOW = datetime.fromisoformat("2026-11-24T12:00:00+00:00").timestamp()
WHO = {"name": "Patricia Boyle", "id": "3652397000000649013"}
CALL = {
    "Who_Id": WHO,
    "Call_Start_Time": "2021-02-23T13:30:00+05:30",
    "Subject": "Discussion",
    "Call_Type": "Outbound",
    "Outbound_Call_Status": "Completed",
    "Call_Duration": "10:00",
}
EVENT = {
    "Event_Title": "New Meeting",
    "Start_DateTime": "2023-05-20T09:00:00+05:30",
    "Participants": [{"name": "John", "type": "contact", "participant": "5545974000002858122"}],
    "What_Id": {"id": "5545974000002755007"},
    "$se_module": "Deals",
    "Remind_At": [{"unit": 15, "period": "minutes"}],
    "Recurring_Activity": {"RRULE": "FREQ=DAILY;INTERVAL=1;DTSTART=2023-05-20;UNTIL=2023-05-28"},
}
RECURRING = {"RRULE": "FREQ=DAILY;INTERVAL=1"}
ALARM = "FREQ=NONE;ACTION=EMAIL;TRIGGER=DATE-TIME:2023-05-20T09:00:00+05:30"


def found(module: str, record: Mapping[str, Any], now: float | None = None) -> list[Problem]:
    return [problem for rule in rules_of(module) for problem in rule(record, now)]


def places(module: str, record: Mapping[str, Any], now: float | None = None) -> list[tuple[str, str]]:
    problems = found(module, record, now)
    assert all(problem.message.startswith(problem.path) for problem in problems)
    return [(problem.code, problem.path) for problem in problems]


def without(record: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in keys}


SCHEDULED = {**CALL, "Outbound_Call_Status": "Scheduled", "Call_Start_Time": "2026-11-25T13:30:00+05:30"}


@pytest.mark.parametrize(
    ("record", "problems"),
    [
        (CALL, []),
        (SCHEDULED, []),
        ({**CALL, "Call_Type": "Missed", "Call_Duration": "00:00"}, []),
        ({**CALL, "Call_Duration": "00:00:05"}, []),
        ({**CALL, "Call_Duration": "90"}, []),
        ({**CALL, "Call_Type": "Incoming"}, [(INVALID_DATA, "Call_Type")]),
        ({**CALL, "Call_Duration": "0"}, [(DEPENDENT_MISMATCH, "Call_Duration")]),
        ({**CALL, "Call_Duration": "0:00"}, [(DEPENDENT_MISMATCH, "Call_Duration")]),
        ({**CALL, "Call_Type": "Inbound", "Call_Duration": "00:00"}, [(DEPENDENT_MISMATCH, "Call_Duration")]),
        ({**CALL, "Call_Duration": "ten minutes"}, [(INVALID_DATA, "Call_Duration")]),
        (without(CALL, "Call_Duration"), [(MANDATORY_NOT_FOUND, "Call_Duration")]),
        ({**CALL, "Call_Start_Time": None}, [(MANDATORY_NOT_FOUND, "Call_Start_Time")]),
        (without(CALL, "Call_Duration", "Outbound_Call_Status"), []),
        (
            without(CALL, "Call_Start_Time", "Outbound_Call_Status"),
            [(MANDATORY_NOT_FOUND, "Call_Start_Time")],
        ),
        (
            {"Call_Type": "Inbound"},
            [(MANDATORY_NOT_FOUND, "Call_Start_Time"), (MANDATORY_NOT_FOUND, "Call_Duration")],
        ),
        ({"Call_Type": "Missed"}, []),
        (without(SCHEDULED, "Who_Id"), [(MANDATORY_NOT_FOUND, "Who_Id")]),
        ({**without(SCHEDULED, "Who_Id"), "What_Id": WHO, "$se_module": "Accounts"}, []),
        (without(SCHEDULED, "Call_Start_Time"), [(MANDATORY_NOT_FOUND, "Call_Start_Time")]),
        (
            {**SCHEDULED, "Call_Start_Time": "2026-11-24T12:00:00+00:00"},
            [(DEPENDENT_MISMATCH, "Call_Start_Time")],
        ),
        ({**SCHEDULED, "Call_Start_Time": "2021-02-23T13:30:00"}, []),
        ({**SCHEDULED, "Call_Start_Time": "some day"}, []),
        (
            {**without(SCHEDULED, "Outbound_Call_Status", "Who_Id"), "Outgoing_Call_Status": "Scheduled"},
            [(MANDATORY_NOT_FOUND, "Who_Id")],
        ),
        ({**CALL, "What_Id": WHO}, [(MANDATORY_NOT_FOUND, "$se_module")]),
        ({**CALL, "What_Id": None}, []),
        ({**CALL, "Outbound_Call_Status": " "}, [(INVALID_DATA, "Outbound_Call_Status")]),
        ({**CALL, "Outbound_Call_Status": ""}, []),
        ({**CALL, "Call_Type": 5, "Call_Duration": 5, "Outbound_Call_Status": []}, []),
    ],
    ids=str,
)
def test_calls(record: Mapping[str, Any], problems: list[tuple[str, str]]) -> None:
    assert places("Calls", record, NOW) == problems


def test_without_a_clock_no_scheduled_call_is_in_the_past() -> None:
    assert places("Calls", {**SCHEDULED, "Call_Start_Time": "2021-02-23T13:30:00+05:30"}) == []


def test_a_call_of_no_duration_has_the_words_of_the_api() -> None:
    (problem,) = found("Calls", {**CALL, "Call_Duration": "00:00"})
    assert (problem.api_message, problem.dependee) == ("Call Duration can not be zero.", "Call_Type")


@pytest.mark.parametrize(
    ("record", "problems"),
    [
        (EVENT, []),
        ({**EVENT, "Participants": [{"type": "email", "Email": ""}, {"participant": "5"}, 5]}, []),
        ({**EVENT, "Participants": [{"type": "lead"}] * 50}, []),
        ({**EVENT, "Participants": [{"type": "lead"}] * 51}, [(LIMIT_EXCEEDED, "Participants")]),
        ({**EVENT, "Participants": [{}, {"type": "Deals"}]}, [(INVALID_DATA, "Participants[1].type")]),
        (without(EVENT, "$se_module"), [(MANDATORY_NOT_FOUND, "$se_module")]),
        ({**EVENT, "$se_module": "Leads"}, [(INVALID_DATA, "$se_module")]),
        (without({**EVENT, "$se_module": "Leads"}, "What_Id"), []),
        (without(EVENT, "Remind_At"), [(MANDATORY_NOT_FOUND, "Remind_At")]),
        ({**EVENT, "Remind_At": []}, [(MANDATORY_NOT_FOUND, "Remind_At")]),
        ({**EVENT, "Remind_At": "15 mins"}, []),
        ({**EVENT, "Remind_At": {"unit": 15, "period": "mins"}}, []),
        ({**EVENT, "Remind_At": [{"unit": 60, "period": "weeks"}, "0 hrs", None]}, []),
        ({**EVENT, "Remind_At": [{"unit": "5", "period": "Minutes"}]}, []),
        ({**EVENT, "Remind_At": "2023-05-20T09:00:00+05:30"}, []),
        ({**EVENT, "Remind_At": [{"unit": 61, "period": "mins"}]}, [(INVALID_DATA, "Remind_At[0].unit")]),
        ({**EVENT, "Remind_At": [{"unit": True}]}, [(INVALID_DATA, "Remind_At[0].unit")]),
        ({**EVENT, "Remind_At": [{"period": "moons"}]}, [(INVALID_DATA, "Remind_At[0].period")]),
        (
            {**EVENT, "Remind_At": {"unit": -1, "period": 5}},
            [(INVALID_DATA, "Remind_At.unit"), (INVALID_DATA, "Remind_At.period")],
        ),
        ({**EVENT, "Remind_At": "61 mins"}, [(INVALID_DATA, "Remind_At")]),
        ({**EVENT, "Remind_At": "15 moons"}, [(INVALID_DATA, "Remind_At")]),
        ({**EVENT, "Remind_At": 15}, [(INVALID_DATA, "Remind_At")]),
        (without(EVENT, "Remind_At", "Recurring_Activity"), []),
        ({**EVENT, "Recurring_Activity": "FREQ=DAILY"}, [(INVALID_DATA, "Recurring_Activity")]),
        ({**EVENT, "Recurring_Activity": {}}, [(MANDATORY_NOT_FOUND, "Recurring_Activity.RRULE")]),
        ({**EVENT, "Recurring_Activity": {"RRULE": 5}}, [(INVALID_DATA, "Recurring_Activity.RRULE")]),
        ({**EVENT, "Recurring_Activity": {"RRULE": "daily"}}, [(INVALID_DATA, "Recurring_Activity.RRULE")]),
    ],
    ids=str,
)
def test_events(record: Mapping[str, Any], problems: list[tuple[str, str]]) -> None:
    assert places("Events", record) == problems


def test_too_many_participants_have_the_words_of_the_api() -> None:
    (problem,) = found("Events", {"Participants": [{}] * 51})
    assert problem.api_message == "Only 50 participants can be added to an event."


@pytest.mark.parametrize(
    ("reminder", "recurring", "problems"),
    [
        ({"ALARM": ALARM}, False, []),
        (ALARM, False, []),
        ({"ACTION": "POPUP", "TRIGGER": "2023-05-20T09:00:00+05:30"}, False, []),
        ([{"ACTION": "EMAIL", "TRIGGER": "DATE-TIME:2023-05-20T09:00:00Z"}], False, []),
        ("ACTION=EMAILANDPOPUP;TRIGGER=DATE-TIME:2023-05-20T09:00:00+05:30", False, []),
        ({"ACTION": "EMAIL", "TRIGGER": "-P1D", "TRIGGER_TIME": "10:30"}, True, []),
        ("ACTION=EMAIL;TRIGGER=-P3W;TRIGGER_TIME=10:30", True, []),
        (None, False, []),
        ("", False, []),
        ({}, False, []),
        (5, False, [(INVALID_DATA, "Remind_At")]),
        ([True, None], False, [(INVALID_DATA, "Remind_At[0]")]),
        ({"ALARM": ["x"]}, False, [(INVALID_DATA, "Remind_At")]),
        ({"TRIGGER": "2023-05-20T09:00:00Z"}, False, [(MANDATORY_NOT_FOUND, "Remind_At.ACTION")]),
        ({"ACTION": "EMAIL"}, False, [(MANDATORY_NOT_FOUND, "Remind_At.TRIGGER")]),
        ({"ALARM": "ACTION=EMAIL"}, False, [(MANDATORY_NOT_FOUND, "Remind_At.ALARM")]),
        ({"ACTION": "CALL", "TRIGGER": "2023-05-20T09:00:00Z"}, False, [(INVALID_DATA, "Remind_At.ACTION")]),
        ({"ACTION": "EMAIL", "TRIGGER": "soon"}, False, [(INVALID_DATA, "Remind_At.TRIGGER")]),
        ({"ACTION": "EMAIL", "TRIGGER": 5}, False, [(INVALID_DATA, "Remind_At.TRIGGER")]),
        (
            [{"ACTION": "EMAIL", "TRIGGER": "-P1D", "TRIGGER_TIME": "10:30"}],
            False,
            [(INVALID_DATA, "Remind_At[0].TRIGGER")],
        ),
        ({"ACTION": "EMAIL", "TRIGGER": "-P7D"}, True, [(INVALID_DATA, "Remind_At.TRIGGER")]),
        ({"ACTION": "EMAIL", "TRIGGER": "-P4W"}, True, [(INVALID_DATA, "Remind_At.TRIGGER")]),
        ({"ACTION": "EMAIL", "TRIGGER": "-P1D"}, True, [(MANDATORY_NOT_FOUND, "Remind_At.TRIGGER_TIME")]),
        ({"ACTION": "EMAIL", "TRIGGER": "-P1D", "TRIGGER_TIME": "23.59"}, True, []),
        (
            {"ACTION": "EMAIL", "TRIGGER": "-P1D", "TRIGGER_TIME": "24:00"},
            True,
            [(INVALID_DATA, "Remind_At.TRIGGER_TIME")],
        ),
        (
            "ACTION=EMAIL;TRIGGER=-P1D;TRIGGER_TIME=10:60",
            True,
            [(INVALID_DATA, "Remind_At")],
        ),
    ],
    ids=str,
)
def test_reminders_of_tasks(reminder: object, recurring: bool, problems: list[tuple[str, str]]) -> None:
    record = {"Remind_At": reminder, "Recurring_Activity": RECURRING if recurring else None}
    assert places("Tasks", record) == problems


@pytest.mark.parametrize(
    ("module", "record", "problems"),
    [
        ("Tasks", {"Recurring_Activity": {"RRULE": "x"}}, [(INVALID_DATA, "Recurring_Activity.RRULE")]),
        ("Tasks", {"What_Id": WHO}, []),
        ("Quotes", {"Quoted_Items": [{}]}, []),
        ("Quotes", {"Quoted_Items": []}, [(MANDATORY_NOT_FOUND, "Quoted_Items")]),
        ("Quotes", {}, [(MANDATORY_NOT_FOUND, "Quoted_Items")]),
        ("Sales_Orders", {}, [(MANDATORY_NOT_FOUND, "Ordered_Items")]),
        ("Invoices", {"Invoiced_Items": None}, [(MANDATORY_NOT_FOUND, "Invoiced_Items")]),
        ("Purchase_Orders", {"Purchase_Items": [{}]}, []),
        ("Purchase_Orders", {"Purchased_Items": [{}]}, []),
        ("Purchase_Orders", {"Purchase_Items": []}, [(MANDATORY_NOT_FOUND, "Purchased_Items")]),
        ("Price_Books", {"Pricing_Details": [{"from_range": 1, "to_range": 5, "discount": 0}]}, []),
        (
            "Price_Books",
            {"Pricing_Details": [{"from_range": 1, "to_range": 5, "discount": 0}, {"to_range": None}]},
            [
                (MANDATORY_NOT_FOUND, "Pricing_Details[1].from_range"),
                (MANDATORY_NOT_FOUND, "Pricing_Details[1].to_range"),
                (MANDATORY_NOT_FOUND, "Pricing_Details[1].discount"),
            ],
        ),
        ("Price_Books", {"Pricing_Details": "x"}, []),
        ("Deals", {"Probability": 0}, []),
        ("Deals", {"Probability": 100.0}, []),
        ("Deals", {"Probability": 100.5}, [(INVALID_DATA, "Probability")]),
        ("Deals", {"Probability": -1}, [(INVALID_DATA, "Probability")]),
        ("Deals", {"Probability": float("inf")}, [(INVALID_DATA, "Probability")]),
        ("Deals", {"Probability": "200"}, []),
        ("Deals", {"Probability": True}, []),
        ("Appointments__s", {}, []),
        ("Appointments__s", {"Job_Sheet_Required": "no"}, []),
        (
            "Appointments__s",
            {"Job_Sheet_Required": "yes"},
            [(DEPENDENT_FIELD_MISSING, "Job_Sheet_Section__s")],
        ),
        (
            "Appointments__s",
            {"Job_Sheet_Required": True, "Job_Sheet_Section__s": []},
            [(DEPENDENT_FIELD_MISSING, "Job_Sheet_Section__s")],
        ),
        (
            "Appointments__s",
            {"Job_Sheet_Section__s": {"a": 1}, "Status": "Scheduled"},
            [(DEPENDENT_MISMATCH, "Job_Sheet_Section__s")],
        ),
        ("Appointments__s", {"Job_Sheet_Section__s": {"a": 1}, "Status": "Completed"}, []),
        ("Vehicles", {"Wizard": "5"}, [(DEPENDENT_FIELD_MISSING, "$wizard_connection_path")]),
        ("Vehicles", {"Wizard": "5", "$wizard_connection_path": ["5"]}, []),
        ("Vehicles", {"Wizard": None, "Call_Type": "x", "Probability": 500}, []),
    ],
    ids=str,
)
def test_rules_of_other_modules(
    module: str, record: Mapping[str, Any], problems: list[tuple[str, str]]
) -> None:
    assert places(module, record) == problems


def test_a_wrong_probability_and_a_missing_path_have_the_words_of_the_api() -> None:
    (wrong,) = found("Deals", {"Probability": 101})
    assert wrong.api_message == "Given Probability is not valid"
    (absent,) = found("Deals", {"Wizard": "1"})
    assert (absent.api_message, absent.dependee) == ("required field not found", "Wizard")


def test_the_check_adds_what_the_rules_find_to_what_the_fields_say_and_says_nothing_twice() -> None:
    items = Field("Quoted_Items", FieldType.SUBFORM, JsonType.ARRAY, mandatory=True)
    email = Field("Email", FieldType.EMAIL, JsonType.STRING, 100)
    checker = Checker(Module("Quotes", (items, email)))
    problems = checker.problems(b'{"Email":"x","Quoted_Items":[]}')
    assert [(problem.code, problem.path) for problem in problems] == [
        (INVALID_DATA, "Email"),
        (MANDATORY_NOT_FOUND, "Quoted_Items"),
    ]


def test_the_check_asks_its_clock_about_scheduled_calls() -> None:
    checker = Checker(Module("Calls", (Field("Who_Id", FieldType.LOOKUP, JsonType.OBJECT),)), now=lambda: NOW)
    assert checker.problems(msgspec.json.encode(SCHEDULED)) == ()
    late = {**SCHEDULED, "Call_Start_Time": "2026-11-24T11:59:59Z"}
    assert [p.code for p in checker.problems(msgspec.json.encode(late))] == [DEPENDENT_MISMATCH]


@pytest.mark.parametrize(
    ("raw", "recurring"),
    [
        (b'{"Recurring_Activity":{"RRULE":"FREQ=DAILY"}}', True),
        (b'{"Recurring\\u005fActivity":{}}', True),
        (b'{"Recurring_Activity":null}', False),
        (b'{"Subject":"Recurring_Activity"}', False),
        (b'{"inner":{"Recurring_Activity":{}}}', False),
        (b'{"Recurring_Activity":{},"Recurring_Activity":null}', False),
        (b'{"Subject":"a\\nb"}', False),
        (b'{"Recurring_Activity":', False),
        (b"[", False),
        (b'"Recurring_Activity"', False),
        (b'{"Recurring_Activity":' + b"[" * 5000, False),
        (b'{"Subject":1e999,"Recurring_Activity":1e999}', True),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_a_recurring_record_is_told_by_its_own_member(raw: bytes, recurring: bool) -> None:
    assert is_recurring(raw) is recurring
