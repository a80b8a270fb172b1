"""Recurring events and tasks: when they happen, and the records that they become."""

import json
from datetime import date

import pytest

from loader.sandbox.recurrence import OCCURRENCES_MAX, days_of, occurrences, recurrence_of

TODAY = date(2026, 1, 2)


def days(rule: str) -> list[str]:
    recurrence = recurrence_of(rule)
    assert recurrence is not None
    return [each.isoformat() for each in days_of(recurrence, otherwise=TODAY)]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (
            "FREQ=DAILY;INTERVAL=1;DTSTART=2023-05-20;UNTIL=2023-05-28",
            [f"2023-05-{day}" for day in range(20, 29)],
        ),
        ("FREQ=DAILY;INTERVAL=3;DTSTART=2023-05-30;COUNT=3", ["2023-05-30", "2023-06-02", "2023-06-05"]),
        (
            "FREQ=WEEKLY;INTERVAL=2;DTSTART=20230520T090000Z;UNTIL=20230620T000000Z",
            ["2023-05-20", "2023-06-03", "2023-06-17"],
        ),
        (
            "FREQ=MONTHLY;INTERVAL=1;DTSTART=2023-01-31;UNTIL=2023-06-01",
            ["2023-01-31", "2023-03-31", "2023-05-31"],
        ),
        ("FREQ=YEARLY;INTERVAL=1;DTSTART=2024-02-29;COUNT=2", ["2024-02-29", "2028-02-29"]),
        ("freq=daily;count=2", ["2026-01-02", "2026-01-03"]),
        ("FREQ=DAILY;DTSTART=2023-05-20;UNTIL=2023-05-01", ["2023-05-20"]),
        ("FREQ=YEARLY;INTERVAL=9000;DTSTART=2023-05-20", ["2023-05-20"]),
        ("FREQ=WEEKLY;INTERVAL=99999999;DTSTART=2023-05-20", ["2023-05-20"]),
    ],
)
def test_when_a_rule_happens(rule: str, expected: list[str]) -> None:
    assert days(rule) == expected


@pytest.mark.parametrize("rule", ["FREQ=DAILY", "FREQ=DAILY;COUNT=5000", "FREQ=MONTHLY;UNTIL=9999-01-01"])
def test_a_rule_without_a_near_end_happens_a_hundred_times(rule: str) -> None:
    assert len(days(rule)) == OCCURRENCES_MAX == 100


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "FREQ=NEVER",
        "INTERVAL=1",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;COUNT=0",
        "FREQ=DAILY;INTERVAL=x",
        "FREQ=DAILY;UNTIL=x",
        "FREQ=DAILY;DTSTART=2023-02-30",
    ],
)
def test_a_rule_that_is_not_understood_makes_one_record(rule: str) -> None:
    assert recurrence_of(rule) is None
    raw = json.dumps({"Recurring_Activity": {"RRULE": rule}}).encode()
    assert occurrences(raw, today=TODAY) == (raw,)


def test_each_later_record_has_its_own_times_and_the_first_is_as_it_was_sent() -> None:
    raw = (
        b'{"Start_DateTime" : "2023-05-31T09:00:00+05:30","End_DateTime":"2023-06-01T10:00:00+05:30",'
        b'"Big":12345678901234567890.50,"Recurring_Activity":{"RRULE":"FREQ=WEEKLY;INTERVAL=1;COUNT=2"}}'
    )
    first, second = occurrences(raw, today=TODAY)
    assert first == raw
    assert b"12345678901234567890.50" in second
    members = json.loads(second)
    assert members["Start_DateTime"] == "2023-06-07T09:00:00+05:30"
    assert members["End_DateTime"] == "2023-06-08T10:00:00+05:30"


def test_a_task_begins_when_it_is_due() -> None:
    raw = b'{"Due_Date":"2023-05-31","Recurring_Activity":{"RRULE":"FREQ=DAILY;COUNT=2"}}'
    assert [json.loads(each)["Due_Date"] for each in occurrences(raw, today=TODAY)] == [
        "2023-05-31",
        "2023-06-01",
    ]


@pytest.mark.parametrize("activity", [b"null", b"7", b"{}", b'{"RRULE":7}'])
def test_an_activity_without_a_rule_makes_one_record(activity: bytes) -> None:
    raw = b'{"Recurring_Activity":%b}' % activity
    assert occurrences(raw, today=TODAY) == (raw,)
