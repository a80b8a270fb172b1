from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from loader.schema.check import KEYS_MAX, Checker
from loader.schema.fields import Field, FieldType, JsonType, Module, Option
from loader.schema.modules import standard_module
from loader.schema.problems import (
    DEPENDENT_FIELD_MISSING,
    INVALID_DATA,
    LIMIT_EXCEEDED,
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
    "$wizard_connection_path": ["425248000000104002", "425248000000104003"],
    "$line_tax": [{"percentage": 1.5, "name": "Common Tax"}, {"percentage": 10}],
    "$approved": False,
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


def test_the_keys_that_the_api_ignores_are_known_without_a_look_at_a_line() -> None:
    checker = Checker(LEADS)
    assert not checker.ignored
    lines = (lead(Zodiac="x", Email=None), lead(**{"$approved": True, "Zodiac": 1}), lead(Created_Time="x"))
    for line in lines:
        assert checker.problems(msgspec.json.encode(line)) == ()
    assert checker.problems(b'{"Company":"no name","Colour":"red"}')
    assert checker.ignored == ("Zodiac", "Created_Time"), "a line that is refused is never sent"
    nothing_known = Checker(Module("Leads", ()))
    assert not nothing_known.problems(b'{"Zodiac":1}')
    assert not nothing_known.ignored


def test_a_full_lead_has_no_problem() -> None:
    assert check(LEADS, EVERYTHING) == []


@pytest.mark.parametrize(
    "members",
    [
        {"Email": None, "Annual_Revenue": None, "Tag": None, "Owner": None},
        {"Email": "", "Company": "  ", "Phone": "", "Website": ""},
        {"Email": "o'hara+crm@münchen.example", "Phone": "91(987)654321", "Website": "kunde.example/?a b"},
        {"Email": None, "Phone": None, "Website": None, "Mobile": None, "Last_Name": " x\n"},
        {"$approved": None, "$se_module": None, "$wizard_connection_path": None, "$line_tax": None},
        {"$line_tax": [{}, {"other": 1, "percentage": 1e300}]},
        {"Lead_Source": "A new one"},
        {"Owner": {"id": "1"}, "Layout": {"id": "1234567890123456789", "name": "Standard"}},
        {"Owner": {"External_Id": "acct-17", "id": "5"}},
        {"Owner": {"id": 425248000000104001}, "Layout": {"id": 10**19 - 1, "name": "Standard"}},
        {"Owner": {}},
        {"Company": "\U0001f600" * 200},
        {"No_of_Employees": -999_999_999},
        {"Annual_Revenue": 5},
        {"Annual_Revenue": -0.0},
        {"Annual_Revenue": 250000.123456789, "Exchange_Rate": 0.123456789},
        {"Wizard": "-0012", "$wizard_connection_path": ["1"]},
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
        ({"Wizard": 425, "$wizard_connection_path": ["1"]}, [invalid("Wizard", "bigint")]),
        ({"Wizard": "4 25", "$wizard_connection_path": ["1"]}, [invalid("Wizard", "bigint")]),
        (
            {"Wizard": "\u0664\u0662", "$wizard_connection_path": ["1"]},
            [invalid("Wizard", "bigint")],
        ),
        ({"Email": "nobody"}, [invalid("Email", "email")]),
        ({"Email": " "}, [invalid("Email", "email")]),
        ({"Phone": "+49 (0)"}, []),
        ({"Phone": "+49/221"}, [invalid("Phone", "phone")]),
        ({"Mobile": "..1"}, [invalid("Mobile", "phone")]),
        ({"Website": "localhost"}, [invalid("Website", "website")]),
        ({"Website": "x" * 256}, [invalid("Website", most=255)]),
        ({"Owner": {"id": -5}}, [invalid("Owner", path="Owner.id")]),
        ({"Owner": {"id": 10**19}}, [invalid("Owner", path="Owner.id")]),
        ({"Owner": {"id": 5.0}}, [invalid("Owner", path="Owner.id")]),
        ({"Owner": {"id": True}}, [invalid("Owner", path="Owner.id")]),
        ({"Owner": {"id": None}}, [invalid("Owner", path="Owner.id")]),
        ({"Owner": {"id": ""}}, [invalid("Owner", path="Owner.id")]),
        ({"Owner": {"id": "1" * 20}}, [invalid("Owner", path="Owner.id")]),
        ({"Layout": {"id": "standard"}}, [invalid("Layout", path="Layout.id")]),
        ({"$approved": "false"}, [invalid("$approved", "boolean")]),
        ({"$se_module": 5}, [invalid("$se_module", "text")]),
        ({"$wizard_connection_path": "1"}, [invalid("$wizard_connection_path", "jsonarray")]),
        (
            {"$wizard_connection_path": ["1", 2, "x"]},
            [
                invalid("$wizard_connection_path", "text", path="$wizard_connection_path[1]"),
                invalid("$wizard_connection_path", path="$wizard_connection_path[2]"),
            ],
        ),
        ({"$line_tax": {}}, [invalid("$line_tax", "jsonarray")]),
        (
            {"$line_tax": [5, {"percentage": "1", "name": 2}]},
            [
                invalid("$line_tax", "jsonobject", path="$line_tax[0]"),
                invalid("$line_tax", "text", path="$line_tax[1].name"),
                invalid("$line_tax", "double", path="$line_tax[1].percentage"),
            ],
        ),
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


@pytest.mark.parametrize(("value", "kind"), [({}, "an object"), ([], "an array")])
def test_nothing_of_the_wrong_type_is_a_wrong_type_in_a_mandatory_field(value: object, kind: str) -> None:
    (problem,) = check(LEADS, lead(Last_Name=value))
    assert (problem.code, problem.expected_data_type) == (INVALID_DATA, "text")
    assert problem.message == f"Last_Name is {kind}; it takes a string"


@pytest.mark.parametrize(
    ("value", "code"),
    [({}, MANDATORY_NOT_FOUND), ([], INVALID_DATA), (None, MANDATORY_NOT_FOUND)],
)
def test_nothing_in_a_mandatory_lookup_is_what_an_object_without_members_is(value: object, code: str) -> None:
    vendor = Field("Vendor_Name", FieldType.LOOKUP, JsonType.OBJECT, mandatory=True)
    assert [problem.code for problem in check(Module("Orders", (vendor,)), {"Vendor_Name": value})] == [code]


CONTACT = Module(
    "Deals",
    tuple(
        Field(name, FieldType.LOOKUP, JsonType.OBJECT, module=module)
        for name, module in (("Account_Name", "Accounts"), ("Contact_Name", "Contacts"))
    ),
)


@pytest.mark.parametrize(
    ("record", "paths"),
    [
        ({"Contact_Name": {"name": "Daly"}}, ["Contact_Name.id"]),
        ({"Contact_Name": {}}, ["Contact_Name.id"]),
        ({"Contact_Name": {"id": "1", "name": "Daly"}}, []),
        ({"Contact_Name": {"id": 1}}, []),
        ({"Contact_Name": {"Legacy_Id": "17"}}, []),
        ({"Contact_Name": None}, []),
        ({"Account_Name": {"name": "ABC"}}, []),
    ],
)
def test_a_contact_is_named_by_its_id_and_an_account_by_its_name_too(
    record: dict[str, object], paths: list[str]
) -> None:
    found = check(CONTACT, record)
    assert [(problem.code, problem.path) for problem in found] == [
        (MANDATORY_NOT_FOUND, path) for path in paths
    ]


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
    ("type_", "value", "places"),
    [
        (FieldType.MULTISELECTPICKLIST, ["a", 5], ["It[1]"]),
        (FieldType.MULTISELECTPICKLIST, "a", ["It"]),
        (FieldType.SUBFORM, [{}, "row"], ["It[1]"]),
        (FieldType.FILEUPLOAD, ["id"], ["It[0]"]),
        (FieldType.FILEUPLOAD, [{"File_Id__s": "2cfa"}, {"File_Id__s": "2c", "more": 1}], []),
        (FieldType.IMAGEUPLOAD, [{}, {"File_Id__s": " "}], ["It[0].File_Id__s", "It[1].File_Id__s"]),
        (FieldType.IMAGEUPLOAD, [{"File_Id__s": 5}], ["It[0].File_Id__s"]),
        (FieldType.MULTISELECTLOOKUP, {}, ["It"]),
        (FieldType.MULTISELECTLOOKUP, [{"Any": {"id": "5"}}, {"more": 1, "Any": {"id": "5"}}], []),
        (FieldType.MULTISELECTLOOKUP, [{"Any": {"id": 5.5}}], ["It[0].Any.id"]),
        (FieldType.TERRITORIES, [{"any": 1}, 5], ["It[1]"]),
    ],
)
def test_arrays_hold_what_their_type_says(type_: FieldType, value: object, places: list[str]) -> None:
    module = Module("Arrays", (Field("It", type_, type_.json_type),))
    assert [problem.path for problem in check(module, {"It": value})] == places


LISTINGS = Module(
    "Deals",
    (Field("Listings", FieldType.MULTISELECTLOOKUP, JsonType.ARRAY, link="Interested_Listings"),),
)


@pytest.mark.parametrize(
    ("item", "code", "place"),
    [
        ({"Interested_Listings": {"id": "3652397000001978005"}}, "", ""),
        ({"Interested_Listings": {"id": 3652397000001978005}, "more": 1}, "", ""),
        ({"Interested_Listings": {"Legacy_Id": "an external value"}}, "", ""),
        ({"Interested_Listings": {"name": "by name"}}, MANDATORY_NOT_FOUND, "Interested_Listings.id"),
        ({"Interested_Listings": {}}, MANDATORY_NOT_FOUND, "Interested_Listings.id"),
        ({}, MANDATORY_NOT_FOUND, "Interested_Listings"),
        ({"Interested_Listings": None}, MANDATORY_NOT_FOUND, "Interested_Listings"),
        ({"Other": {"id": "1"}}, MANDATORY_NOT_FOUND, "Interested_Listings"),
        ({"Interested_Listings": "1"}, INVALID_DATA, "Interested_Listings"),
        ({"Interested_Listings": {"id": "one"}}, INVALID_DATA, "Interested_Listings.id"),
    ],
)
def test_a_multi_select_lookup_names_records_under_its_link(item: object, code: str, place: str) -> None:
    found = [(p.code, p.path) for p in check(LISTINGS, {"Listings": [item]})]
    assert found == ([(code, f"Listings[0].{place}")] if code else [])


ROWS = (
    Field("Product_Name", FieldType.LOOKUP, JsonType.OBJECT, mandatory=True),
    Field("Quantity", FieldType.DOUBLE, JsonType.DOUBLE, 3),
    Field("Description", FieldType.TEXTAREA, JsonType.STRING, 5),
    Field("Contact", FieldType.EMAIL, JsonType.STRING, 30),
    Field("Call", FieldType.PHONE, JsonType.STRING, 30),
    Field("Site", FieldType.WEBSITE, JsonType.STRING),
    Field("Label", FieldType.TEXT, JsonType.STRING, 5, mandatory=True),
)
QUOTED = Module(
    "Some_Quotes",
    (Field("Items", FieldType.SUBFORM, JsonType.ARRAY, subfields=ROWS, items_max=3, mandatory=True),),
)
ROW = {"Product_Name": {"id": "1"}, "Label": "a"}


@pytest.mark.parametrize(
    ("rows", "problems"),
    [
        ([ROW], []),
        ([{**ROW, "Contact": "a@b.example", "Call": "+1 5", "Site": "a.example", "Description": ""}], []),
        ([{**ROW, "Contact": "", "Call": None, "Site": "", "Unknown": [1]}], []),
        ([{**ROW, "Contact": "ä@b.example", "Call": "91(987)6"}], []),
        ([], [(MANDATORY_NOT_FOUND, "Items")]),
        ([ROW] * 4, [(LIMIT_EXCEEDED, "Items")]),
        ([{}], [(MANDATORY_NOT_FOUND, "Items[0].Product_Name"), (MANDATORY_NOT_FOUND, "Items[0].Label")]),
        ([ROW, {**ROW, "Label": "  "}], [(MANDATORY_NOT_FOUND, "Items[1].Label")]),
        ([{**ROW, "Quantity": 1000}], [(INVALID_DATA, "Items[0].Quantity")]),
        ([{**ROW, "Quantity": "1"}], [(INVALID_DATA, "Items[0].Quantity")]),
        ([{**ROW, "Description": "123456"}], [(INVALID_DATA, "Items[0].Description")]),
        ([{**ROW, "Contact": "nobody"}], [(INVALID_DATA, "Items[0].Contact")]),
        (
            [{**ROW, "Call": "/"}, {**ROW, "Site": "x"}],
            [(INVALID_DATA, "Items[0].Call"), (INVALID_DATA, "Items[1].Site")],
        ),
        ([{**ROW, "Product_Name": {"id": 1.5}}], [(INVALID_DATA, "Items[0].Product_Name.id")]),
    ],
    ids=str,
)
def test_the_rows_of_a_subform_are_checked_as_records_are(
    rows: object, problems: list[tuple[str, str]]
) -> None:
    found = check(QUOTED, {"Items": rows})
    assert [(problem.code, problem.path) for problem in found] == problems
    assert all(problem.field == "Items" for problem in found)


def test_a_subform_whose_rows_are_not_known_takes_any_objects() -> None:
    module = Module("Some", (Field("Rows", FieldType.SUBFORM, JsonType.ARRAY),))
    assert check(module, {"Rows": [{"a": [1]}, {}]}) == []


CHOSEN = Module(
    "Chosen",
    (
        Field("Kind", FieldType.PICKLIST, JsonType.STRING, 120, options=(Option("A", "Shown"), Option("é"))),
        Field("Type", FieldType.PICKLIST, JsonType.STRING, 120, options=(Option("B"),), closed=True),
        Field("Many", FieldType.MULTISELECTPICKLIST, JsonType.ARRAY, options=(Option("A"), Option("C"))),
    ),
)


@pytest.mark.parametrize(
    ("record", "open_places", "strict_places"),
    [
        ({"Kind": "A", "Type": "B", "Many": ["A", "C"]}, [], []),
        ({"Kind": "é", "Type": None, "Many": None}, [], []),
        ({"Kind": "", "Type": "", "Many": []}, [], []),
        ({"Kind": "new", "Many": ["A", "new", ""]}, [], ["Kind", "Many[1]", "Many[2]"]),
        ({"Type": "new"}, ["Type"], ["Type"]),
        ({"Type": "b"}, ["Type"], ["Type"]),
        ({"Type": 5, "Many": [5]}, ["Type", "Many[0]"], ["Type", "Many[0]"]),
        ({"Kind": "Shown"}, [], ["Kind"]),
    ],
    ids=str,
)
def test_a_picklist_takes_new_values_unless_it_is_closed_or_the_check_is_strict(
    record: object, open_places: list[str], strict_places: list[str]
) -> None:
    assert [problem.path for problem in check(CHOSEN, record)] == open_places
    raw = msgspec.json.encode(record)
    strict = Checker(CHOSEN, strict_picklists=True)
    assert [problem.path for problem in strict.problems(raw)] == strict_places
    strict._learn(["Kind", "Type", "Many"])
    assert [problem.path for problem in strict.problems(raw)] == strict_places


def test_a_word_that_people_see_is_told_from_the_value_that_the_api_takes() -> None:
    (problem,) = Checker(CHOSEN, strict_picklists=True).problems(b'{"Kind":"Shown"}')
    assert "'A', not the word that people see" in problem.message


def test_a_module_without_fields_holds_lines_against_nothing_but_json() -> None:
    checker = Checker(Module("Calls", ()), strict_picklists=True)
    assert checker.problems(b'{"Call_Type":"x","Call_Duration":"0","Wizard":1,"$approved":5}') == ()
    assert checker.problems(b"[") != ()


def test_all_that_is_wrong_with_a_record_is_said() -> None:
    record = {"Email": "x", "Phone": "/", "Website": 5, "Company": "x" * 201, "Wizard": "1", "Owner": 1}
    found = [(problem.code, problem.path) for problem in check(LEADS, record)]
    assert found == [
        (MANDATORY_NOT_FOUND, "Last_Name"),
        (INVALID_DATA, "Email"),
        (INVALID_DATA, "Phone"),
        (INVALID_DATA, "Website"),
        (INVALID_DATA, "Company"),
        (INVALID_DATA, "Owner"),
        (DEPENDENT_FIELD_MISSING, "$wizard_connection_path"),
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 8, 9, 12])
def test_every_text_with_a_pattern_is_looked_at_however_many_there_are(count: int) -> None:
    names = [f"Mail_{number}" for number in range(count)]
    module = Module("Mails", tuple(Field(name, FieldType.EMAIL, JsonType.STRING, 100) for name in names))
    fine = dict.fromkeys(names, "a@b.example")
    assert check(module, fine) == []
    assert check(module, dict.fromkeys(names)) == []
    for name in names:
        assert [problem.path for problem in check(module, {**fine, name: "a\nb@c.example"})] == [name]


def test_values_that_are_fine_but_not_plain_take_no_slow_path() -> None:
    checker = Checker(LEADS)
    line = msgspec.json.encode(
        lead(Email="ä@b.example", Phone="91(987)654321", Website="ü.example", Mobile="")
    )
    assert checker.problems(line) == ()
    slow = spied(checker)
    assert checker.problems(line) == ()
    assert checker.problems(msgspec.json.encode(lead(Email=None, Phone=None))) == ()
    assert slow == []


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
    ("text", "decimals"),
    [
        (b"0.123456789", 0),
        (b"-250000.123456789", 0),
        (b"0.1234567890", 0),  # trailing zeros say nothing
        (b"1.00000000000000000000", 0),
        (b"984856.145357", 0),
        (b"1e-9", 0),
        (b"1234567890123.1234567891", 0),  # no double holds so much: it is one of three decimals
        (b"0.1234567891", 10),
        (b"-250000.1234567891", 10),
        (b"984856.1453570001", 10),  # a bit beside a number of six
        (b"0.30000000000000004", 17),  # what floats make of 0.1 + 0.2
        (b"1e-10", 10),
        (b"15.0E-12", 12),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_no_more_than_nine_digits_stand_behind_the_point(text: bytes, decimals: int) -> None:
    for line in (
        b'{"Last_Name":"x","Annual_Revenue":%s}',
        b'{"Last_Name":"x","Exchange_Rate":%s,"Annual_Revenue":5}',
    ):
        found = check(LEADS, line % text)
        assert [problem.maximum_length for problem in found] == [9] * bool(decimals)
        assert not decimals or f"has {decimals} digits behind the decimal point" in found[0].message


def test_digits_behind_the_point_are_counted_in_rows_and_rows_of_rows() -> None:
    quotes = standard_module("Quotes")
    assert quotes is not None
    fine = {"Quantity": 0.123456789, "Line_Tax": [{"percentage": 1.5}, {}], "Ours": 0.12345678912}
    rows = [fine, {"Quantity": 2, "Line_Tax": [{"percentage": 0.12345678912}]}]
    assert check(quotes, {"Subject": "x", "Quoted_Items": [fine]}) == []
    found = check(quotes, {"Subject": "x", "Quoted_Items": rows})
    assert [problem.path for problem in found] == ["Quoted_Items[1].Line_Tax[0].percentage"]


@pytest.mark.parametrize("nothing", [{}, None])
def test_an_object_of_nothing_is_no_value_of_a_mandatory_lookup(nothing: object) -> None:
    orders = standard_module("Purchase_Orders")
    assert orders is not None
    order = {"Subject": "x", "Purchased_Items": [{"Quantity": 1}]}
    assert check(orders, order | {"Vendor_Name": {"name": "Acme"}}) == []
    assert check(orders, order | {"Vendor_Name": {"id": "5"}, "Account_Name": nothing}) == []
    found = check(orders, order | {"Vendor_Name": nothing})
    assert [(problem.code, problem.path) for problem in found] == [(MANDATORY_NOT_FOUND, "Vendor_Name")]


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
        b'{"Last_Name":"x","Email":"%s"}' % (b"a@" * 2**19),
        b'{"Last_Name":"x","Phone":"%s"}' % (b"1  " * 2**18),
        b'{"Last_Name":"x","Website":"%s"}' % (b"a." * 2**19),
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


def test_rows_with_keys_that_were_seen_before_take_the_fast_path_and_are_judged_there() -> None:
    checker = Checker(QUOTED)
    slow = spied(checker)
    first = msgspec.json.encode({"Items": [ROW, {**ROW, "Total": 5, 'a"': [1]}]})
    assert checker.problems(first) == ()
    assert checker.problems(msgspec.json.encode({"Items": [{**ROW, "Total": {"any": None}}]})) == ()
    assert slow == [first]
    found = checker.problems(msgspec.json.encode({"Items": [{"Total": 1, "Label": "a"}]}))
    assert [problem.path for problem in found] == ["Items[0].Product_Name"]
    assert checker.problems(b'{"Items":null}') != ()


def test_a_refused_line_teaches_no_keys() -> None:
    checker = Checker(LEADS)
    slow = spied(checker)
    assert checker.problems(b'{"City":"a"}') != ()
    assert checker.problems(b'{"Last_Name":"x","City":"a"}') == ()
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
