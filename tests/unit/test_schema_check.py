from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from loader.schema.check import KEYS_MAX, Checker
from loader.schema.fields import Field, FieldType, JsonType, Module
from loader.schema.modules import standard_module
from loader.schema.problems import (
    INVALID_DATA,
    MANDATORY_NOT_FOUND,
    NESTED_TOO_DEEPLY,
    NOT_AN_OBJECT,
    NOT_JSON,
    Problem,
)

_leads = standard_module("Leads")
assert _leads is not None
LEADS = _leads
EVERYTHING = {
    "Last_Name": "Daly",
    "Company": "ABC",
    "Email": "p.daly@example.com",
    "Phone": "9900000000",
    "Website": "www.example.com",
    "Lead_Source": "Employee Referral",
    "No_of_Employees": 999_999_999,
    "Annual_Revenue": 250000.90,
    "Email_Opt_Out": True,
    "Owner": {"id": "425248000000104001"},
    "Layout": {"id": "425248000000104001"},
    "Tag": [{"name": "fair"}, {"name": "a", "id": "5", "color_code": None}],
    "Wizard": "425248000000104001",
    "Last_Visited_Time": "2017-08-16T14:32:23+05:30",
    "Description": "one\ntwo",
}


def check(module: Module, record: object) -> list[Problem]:
    """Both by a new checker and by one that is compiled for the keys: they must say the same."""
    raw = record if isinstance(record, bytes) else msgspec.json.encode(record)
    warm = Checker(module)
    warm._learn([field.api_name for field in module.fields])
    found = Checker(module).problems(raw)
    assert warm.problems(raw) == found
    assert warm.problems(raw) == found
    return list(found)


def lead(**members: object) -> dict[str, object]:
    return {"Last_Name": "Daly", **members}


def test_a_full_lead_has_no_problem() -> None:
    assert check(LEADS, EVERYTHING) == []


@pytest.mark.parametrize(
    "members",
    [
        {"Email": None, "Annual_Revenue": None, "Tag": None, "Owner": None},
        {"Email": "", "Company": "  "},
        {"Email": "nobody"},
        {"Company": "\U0001f600" * 200},
        {"No_of_Employees": -999_999_999},
        {"Annual_Revenue": 5},
        {"Annual_Revenue": -0.0},
        {"Annual_Revenue": 1.23456789012},
        {"Wizard": "-0012"},
        {"Some_Key": {"a": [1, None]}, "$approved": False, "$se_module": "Deals", "": 1, 'a"\\\n': 2},
        {"id": 5, "Full_Name": ["ignored"], "Created_Time": "yesterday", "Converted__s": "no"},
        {"Last_Visited_Time": "2025-08-16T16:26:30"},
        {"Last_Visited_Time": "2025-08-16T16:26:30Z"},
        {"Last_Visited_Time": "2024-02-29T23:59:59-11:00"},
        {"Tag": []},
        {"Tag": [{"id": "1", "extra": 1}]},
        {"Owner": {"email": "a@b.example"}},
    ],
    ids=str,
)
def test_what_is_let_through(members: dict[str, object]) -> None:
    assert check(LEADS, lead(**members)) == []


def invalid(field: str, expected: str = "", most: int | None = None, path: str = "") -> tuple[Any, ...]:
    return (INVALID_DATA, field, expected, most, path or field)


@pytest.mark.parametrize(
    ("members", "problems"),
    [
        ({"Company": 5}, [invalid("Company", "text")]),
        ({"Company": "x" * 201}, [invalid("Company", most=200)]),
        ({"Email": "x" * 101}, [invalid("Email", most=100)]),
        ({"Email": ["a@b.example"]}, [invalid("Email", "email")]),
        ({"Phone": 9900000000}, [invalid("Phone", "phone")]),
        ({"Rating": {"name": "Hot"}}, [invalid("Rating", "text")]),
        ({"No_of_Employees": 1_000_000_000}, [invalid("No_of_Employees", most=9)]),
        ({"No_of_Employees": 5.0}, [invalid("No_of_Employees", "integer")]),
        ({"No_of_Employees": True}, [invalid("No_of_Employees", "integer")]),
        ({"No_of_Employees": "12"}, [invalid("No_of_Employees", "integer")]),
        ({"Annual_Revenue": 10**16}, [invalid("Annual_Revenue", most=16)]),
        ({"Annual_Revenue": 1e300}, [invalid("Annual_Revenue", most=16)]),
        ({"Annual_Revenue": "1"}, [invalid("Annual_Revenue", "double")]),
        ({"Email_Opt_Out": "true"}, [invalid("Email_Opt_Out", "boolean")]),
        ({"Email_Opt_Out": 1}, [invalid("Email_Opt_Out", "boolean")]),
        ({"Owner": "425248000000104001"}, [invalid("Owner", "jsonobject")]),
        ({"Wizard": 425}, [invalid("Wizard", "bigint")]),
        ({"Wizard": "4 25"}, [invalid("Wizard", "bigint")]),
        ({"Wizard": "\u0664\u0662"}, [invalid("Wizard", "bigint")]),
        ({"Visitor_Score": "1" * 20}, [invalid("Visitor_Score", most=19)]),
        ({"Tag": ["fair"]}, [invalid("Tag", "jsonobject", path="Tag[0]")]),
        ({"Tag": [{"name": "a"}, {"name": 5}]}, [invalid("Tag", "text", path="Tag[1].name")]),
        ({"Tag": [{"name": None}]}, [invalid("Tag", "text", path="Tag[0].name")]),
        ({"Tag": "fair"}, [invalid("Tag", "jsonarray")]),
        ({"Email": 1, "Phone": 2}, [invalid("Email", "email"), invalid("Phone", "phone")]),
    ],
    ids=str,
)
def test_what_is_refused_and_in_which_words(
    members: dict[str, object], problems: list[tuple[Any, ...]]
) -> None:
    found = check(LEADS, lead(**members))
    assert [(p.code, p.field, p.expected_data_type, p.maximum_length, p.path) for p in found] == problems
    assert all(p.message.startswith(p.path) for p in found)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2025-08-16",
        "2025-08-16T16:26",
        "2025-08-16T16:26:04.240Z",
        "2025-08-16T16:26:30.0",
        "2025-08-16 16:26:30",
        "2025-08-16t16:26:30",
        "2025-08-16T16:26:30z",
        "2025-08-16T16:26:30+0530",
        "2025-08-16T16:26:30+24:00",
        "2025-08-16T24:00:00",
        "2025-08-16T16:60:00",
        "2025-13-16T16:26:30",
        "2025-02-29T16:26:30",
        "1900-02-29T00:00:00",
        "0000-01-01T00:00:00",
        "2025-08-16T16:26:30\n",
        "\u0662025-08-16T16:26:30",
        5,
    ],
)
def test_a_datetime_that_the_api_is_not_known_to_take_is_refused(text: object) -> None:
    (problem,) = check(LEADS, lead(Last_Visited_Time=text))
    assert (problem.code, problem.expected_data_type) == (INVALID_DATA, "datetime")


DATED = Module("Dated", (Field("Day", FieldType.DATE, JsonType.STRING, 20),))


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("2017-08-16", True),
        ("2024-02-29", True),
        ("2000-02-29", True),
        (None, True),
        ("", False),
        ("2023-02-29", False),
        ("2017-13-01", False),
        ("2017-8-1", False),
        ("20170816", False),
        ("16/08/2017", False),
        ("2017-08-16T00:00:00", False),
        ("0000-01-01", False),
    ],
)
def test_a_date_is_a_day_of_the_calendar(text: object, fine: bool) -> None:
    assert (check(DATED, {"Day": text}) == []) is fine


@pytest.mark.parametrize(
    "record", [{}, {"Last_Name": None}, {"Last_Name": ""}, {"Last_Name": " \t\u00a0"}, {"Company": "ABC"}]
)
def test_a_mandatory_field_that_is_missing_or_blank_is_named(record: object) -> None:
    (problem,) = check(LEADS, record)
    assert (problem.code, problem.field, problem.path) == (MANDATORY_NOT_FOUND, "Last_Name", "Last_Name")


@pytest.mark.parametrize("type_", list(FieldType))
def test_null_in_a_mandatory_field_of_any_type_is_missing(type_: FieldType) -> None:
    module = Module("Any", (Field("It", type_, type_.json_type, 20, mandatory=True),))
    for value in (None, "", "  "):
        problems = check(module, {"It": value})
        if value is None or type_.json_type in {JsonType.STRING, JsonType.OTHER}:
            assert [p.code for p in problems] == [MANDATORY_NOT_FOUND]
        else:
            assert len(problems) == 1


@pytest.mark.parametrize(
    ("type_", "value", "path"),
    [
        (FieldType.MULTISELECTPICKLIST, ["a", 5], "It[1]"),
        (FieldType.MULTISELECTPICKLIST, "a", "It"),
        (FieldType.SUBFORM, [{}, "row"], "It[1]"),
        (FieldType.FILEUPLOAD, ["id"], "It[0]"),
        (FieldType.MULTISELECTLOOKUP, {}, "It"),
    ],
)
def test_arrays_hold_what_their_type_says(type_: FieldType, value: object, path: str) -> None:
    module = Module("Arrays", (Field("It", type_, type_.json_type),))
    (problem,) = check(module, {"It": value})
    assert problem.path == path


def test_a_type_that_is_unknown_takes_anything() -> None:
    module = Module("New", (Field("It", FieldType.OTHER, JsonType.STRING, 1),))
    assert check(module, {"It": ["long", 5, {}]}) == []


@pytest.mark.parametrize("digits", [18, 19, 400])
def test_a_number_field_of_great_length_takes_great_numbers(digits: int) -> None:
    module = Module(
        "Great",
        (
            Field("Whole", FieldType.INTEGER, JsonType.INTEGER, digits),
            Field("Real", FieldType.DOUBLE, JsonType.DOUBLE, digits),
        ),
    )
    nines = b"9" * digits
    assert check(module, b'{"Whole":%s,"Real":%s.9}' % (nines, nines)) == []


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        (b"9999999999999999.99", True),  # a float rounds it to 17 digits
        (b"9999999999999999", True),
        (b"10000000000000000", False),
        (b"10000000000000000.0", False),
        (b"0.00001e20", True),
        (b"0.00001e22", False),
        (b"1E+15", True),
        (b"1e+16", False),
        (b"1e-99999999999999999999", True),
        (b"1e99999999999999999999", False),
        (b"0e99999999999999999999", True),
        (b"-9999999999999999", True),
        (b"18446744073709551616", False),
        (b"9" * 400, False),
        (b"9" * 10_000, False),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_digits_before_the_point_are_counted_as_they_are_written(text: bytes, fine: bool) -> None:
    assert (check(LEADS, b'{"Last_Name":"x","Annual_Revenue":%s}' % text) == []) is fine


@pytest.mark.parametrize(
    ("raw", "code", "words"),
    [
        (b"", NOT_JSON, "byte 0"),
        (b"   ", NOT_JSON, "byte 3"),
        (b'{"Last_Name":"x"', NOT_JSON, "too early (byte 16)"),
        (b'{"Last_Name":"x"} {', NOT_JSON, "trailing"),
        (b'{"Last_Name":"x"}{"Last_Name":"y"}', NOT_JSON, "trailing"),
        (b"{'Last_Name':'x'}", NOT_JSON, "byte 1"),
        (b'{"Last_Name":NaN}', NOT_JSON, "byte 13"),
        (b'{"Last_Name":"x","Annual_Revenue":-Infinity}', NOT_JSON, "byte 35"),
        (b'{"Last_Name":"x\x00"}', NOT_JSON, "byte 15"),
        (b'{"Last_Name":"x","Unknown":"\xff"}', NOT_JSON, "0xff is not UTF-8 (byte 28)"),
        (b'{"Last_Name":"x","Tag":[{"name":"a","other":"\xc0\x80"}]}', NOT_JSON, "0xc0"),
        (b'{"Last_Name":"\xed\xa0\x80"}', NOT_JSON, "byte 14"),
        (b'{"Last_Name":"\\ud800"}', NOT_JSON, "surrogate pair (byte 14)"),
        (b'{"Last_Name":"\\udc00"}', NOT_JSON, "surrogate pair"),
        (b'\xef\xbb\xbf{"Last_Name":"x"}', NOT_JSON, "byte order mark"),
        (b'{"Last_Name":"x"}\xff', NOT_JSON, "byte 17"),
        (b"null", NOT_AN_OBJECT, "null (byte 0)"),
        (b' [{"Last_Name":"x"}]', NOT_AN_OBJECT, "an array (byte 1)"),
        (b'"Last_Name"', NOT_AN_OBJECT, "a string"),
        (b"5", NOT_AN_OBJECT, "a number"),
        (b"true", NOT_AN_OBJECT, "true"),
        (b"[" * 100_000, NOT_AN_OBJECT, "an array"),
        (b'{"a":' * 100_000, NESTED_TOO_DEEPLY, "nested"),
        (b'{"Tag":' + b"[" * 100_000 + b"]" * 100_000 + b"}", NESTED_TOO_DEEPLY, "nested"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_line_that_is_no_object_has_one_problem_that_says_where(raw: bytes, code: str, words: str) -> None:
    (problem,) = check(LEADS, raw)
    assert (problem.code, problem.field, problem.path) == (code, "", "")
    assert words in problem.message


def test_of_a_repeated_key_the_last_one_counts() -> None:
    assert check(LEADS, b'{"Last_Name":5,"Last_Name":"Daly"}') == []
    assert [p.expected_data_type for p in check(LEADS, b'{"Last_Name":"Daly","Last_Name":5}')] == ["text"]
    assert [p.code for p in check(LEADS, b'{"Last_Name":"D","Last_Name":" "}')] == [MANDATORY_NOT_FOUND]


def test_escapes_in_keys_and_values_count_as_what_they_stand_for() -> None:
    assert check(LEADS, b'{"Last\\u005fName":"\\u0000 \\ud83d\\ude00"}') == []
    assert check(LEADS, b'{"Last_Name":"%s"}' % (b"\\ud83d\\ude00" * 80)) == []
    assert len(check(LEADS, b'{"Last_Name":"%s"}' % (b"\\ud83d\\ude00" * 81))) == 1


def test_a_message_shows_values_cut_and_escaped() -> None:
    (problem,) = check(LEADS, lead(Last_Visited_Time="\x1b[31m\u202e" + "x" * 2**20))
    assert problem.message.isascii()
    assert problem.message.isprintable()
    assert len(problem.message) < 300


@pytest.mark.parametrize(
    "raw",
    [
        b'{"Last_Name":"%s"}' % (b"x" * 2**20),
        b'{"Last_Name":"x","Wizard":"%s"}' % (b"1" * 2**20),
        b'{"Last_Name":"x","Last_Visited_Time":"%s"}' % (b"2025-" * 2**18),
        b'{"Last_Name":"x","Unknown":%s}' % (b"9" * 2**20),
        b'{"Last_Name":"x","Annual_Revenue":1e%s}' % (b"9" * 2**20),
        b'{"Last_Name":"x","Annual_Revenue":0.%s}' % (b"0" * 2**20),
        b"{%s}" % b",".join(b'"k%d":1' % number for number in range(50_000)),
        b'{"%s":1}' % (b"k" * 2**20),
    ],
    ids=lambda raw: repr(raw[:40]),
)
def test_a_line_of_a_mebibyte_is_judged_at_once(raw: bytes) -> None:
    checker = Checker(LEADS)
    started = time.process_time()
    assert checker.problems(raw) == checker.problems(raw)
    assert time.process_time() - started < 2


def spied(checker: Checker) -> list[bytes]:
    """The lines that take the slow path from now on."""
    seen: list[bytes] = []
    explain = checker._explain

    def spy(raw: bytes) -> tuple[Problem, ...]:
        seen.append(raw)
        return explain(raw)

    checker._explain = spy  # type: ignore[method-assign]
    return seen


def test_a_line_with_keys_that_were_seen_before_takes_the_fast_path() -> None:
    checker = Checker(LEADS)
    slow = spied(checker)
    first, second = msgspec.json.encode(EVERYTHING), msgspec.json.encode(lead(Email="x@example.com"))
    assert checker.problems(first) == ()
    assert checker.problems(first) == ()
    assert checker.problems(second) == ()
    assert slow == [first]


def test_a_refused_line_teaches_no_keys() -> None:
    checker = Checker(LEADS)
    slow = spied(checker)
    assert checker.problems(b'{"Email":"a"}') != ()
    assert checker.problems(b'{"Last_Name":"x","Email":"a"}') == ()
    assert len(slow) == 2


def test_beyond_its_bound_of_keys_lines_are_still_judged_rightly() -> None:
    checker = Checker(LEADS)
    keys = {f"k{number}": number for number in range(KEYS_MAX + 88)}
    assert checker.problems(msgspec.json.encode(lead(**keys))) == ()
    slow = spied(checker)
    assert checker.problems(b'{"Last_Name":"x","k510":1}') == ()
    assert slow == []
    assert checker.problems(b'{"Last_Name":"x","k511":1}') == ()
    assert checker.problems(b'{"Last_Name":"x","Email":5}') != ()
    assert len(slow) == 2
