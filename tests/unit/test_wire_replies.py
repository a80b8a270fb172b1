"""Answers read into types. The doubtful shapes are the point: none may pass for another record's answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.wire import replies
from loader.wire.answers import Answered, CallRefused, Inserted, ItemError, Unreadable, read_insert
from loader.wire.messages import HttpReply
from loader.wire.replies import ExistingRecord, read_existing, read_refusal


def reply(body: object, status: int = 201, **headers: str) -> HttpReply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpReply(status, raw, headers, 0.1)


def success(identifier: object = "5725767000000524157", **more: object) -> dict[str, Any]:
    user = {"name": "Patricia Boyle", "id": "5725767000000411001"}
    details = {"Created_Time": "2023-05-10T01:10:47-07:00", "id": identifier, "Created_By": user, **more}
    return {"code": "SUCCESS", "details": details, "message": "record added", "status": "success"}


def error(code: str, message: str = "invalid data", **details: object) -> dict[str, Any]:
    return {"code": code, "details": details, "message": message, "status": "error"}


def data(*items: object) -> dict[str, Any]:
    return {"data": list(items)}


def answered(body: object, records: int, status: int = 207) -> Answered:
    answer = read_insert(reply(body, status), records)
    assert isinstance(answer, Answered), answer
    return answer


def unreadable(body: object, records: int, status: int = 201) -> Unreadable:
    answer = read_insert(reply(body, status), records)
    assert isinstance(answer, Unreadable), answer
    assert 0 < len(answer.reason) <= 200
    return answer


# --- one answer a record -----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202, 207, 400])
def test_all_successes_give_their_ids_in_order(status: int) -> None:
    body = data(success("1"), success("2"), success("3", **{"$approval_state": "approved"}))
    assert read_insert(reply(body, status), 3) == Inserted(["1", "2", "3"])


@pytest.mark.parametrize("status", [200, 201, 202, 207, 400])
def test_errors_are_read_under_any_status_that_answers_records(status: int) -> None:
    answer = answered(
        data(success("1"), error("INVALID_DATA", api_name="Email", json_path="$.data[1].Email")), 2, status
    )
    first, second = answer.items
    assert (first.ok, first.id) == (True, "1")
    assert (second.ok, second.code, second.field, second.index) == (False, "INVALID_DATA", "Email", 1)


def test_an_item_that_names_another_record_shows_it() -> None:
    path = "$.data[0].Email"
    assert answered(data(success("1"), error("INVALID_DATA", json_path=path)), 2).items[1].index == 0
    assert answered(data(success("1"), success("2", json_path=path)), 2, 201).items[1].index == 0


def test_an_error_within_an_error_that_names_another_record_shows_it() -> None:
    inner = [error("DUPLICATE_DATA", json_path=f"$.data[{index}].Email") for index in (0, 1)]
    assert (
        answered(data(error("MULTIPLE_OR_MULTI_ERRORS", errors=inner), success("1")), 2).items[0].index == 1
    )


@pytest.mark.parametrize(
    "path", ["$.data[].x", "$.data[x].y", "$.data[99999999999999999999].x", "$.data[-1].x"]
)
def test_a_path_into_data_that_makes_no_sense_names_no_record(path: str) -> None:
    assert answered(data(error("INVALID_DATA", json_path=path), success("1")), 2).items[0].index == -1


def test_an_error_of_the_older_version_names_no_index() -> None:
    item = answered(data(error("INVALID_DATA", api_name="Email"), success("1")), 2).items[0]
    assert (item.index, item.field) == (None, "Email")


def test_a_value_within_a_field_is_named_by_the_way_to_it() -> None:
    nested = error("MANDATORY_NOT_FOUND", api_name="id", json_path="$.data[0].Contact_Name.id")
    listed = error("INVALID_DATA", api_name="Quantity", json_path="$.data[1].Quoted_Items[3].Quantity")
    fields = [item.field for item in answered(data(nested, listed), 2, 400).items]
    assert fields == ["Contact_Name.id", "Quoted_Items.Quantity"]


DUPLICATES: dict[str, tuple[object, tuple[str, ...]]] = {
    "both places": ({"api_name": "Email", "id": "7", "duplicate_record": {"id": "7"}}, ("7",)),
    "the old place": ({"api_name": "Email", "id": "7"}, ("7",)),
    "the new place": ({"api_name": "Email", "duplicate_record": {"id": "7", "Owner": {"id": "9"}}}, ("7",)),
    "two that differ": ({"id": "8", "duplicate_record": {"id": "7"}}, ("7", "8")),
    "details as a list": ([{"api_name": "Email", "id": "7"}], ("7",)),
    "a number": ({"id": 7, "duplicate_record": {"id": 7}}, ()),
    "no digits": ({"id": "x7"}, ()),
    "details missing": (None, ()),
    "an empty list": ([], ()),
}


@pytest.mark.parametrize("name", DUPLICATES)
def test_the_existing_id_of_a_duplicate_is_read_wherever_it_stands(name: str) -> None:
    details, expected = DUPLICATES[name]
    item = {"code": "DUPLICATE_DATA", "details": details, "message": "duplicate data", "status": "error"}
    assert answered(data(item, success("1")), 2).items[0].duplicate_ids == expected


def test_an_id_in_another_error_is_no_duplicate() -> None:
    assert answered(data(error("INVALID_DATA", id="7"), success("1")), 2).items[0].duplicate_ids == ()


def test_several_errors_of_a_record_are_kept_each() -> None:
    inner = [
        error("DUPLICATE_DATA", "duplicate data", api_name="Email", duplicate_record={"id": "7"}),
        error("INVALID_DATA", "bad", api_name="Phone", json_path="$.data[0].Phone"),
    ]
    item = answered(data(error("MULTIPLE_OR_MULTI_ERRORS", errors=inner)), 1, 400).items[0]
    assert item.errors == (
        ItemError("DUPLICATE_DATA", "Email", "duplicate data, record 7", ("7",)),
        ItemError("INVALID_DATA", "Phone", "bad"),
    )
    assert item.message == (
        "2 errors: DUPLICATE_DATA Email: duplicate data, record 7; INVALID_DATA Phone: bad"
    )
    assert (item.code, item.field, item.duplicate_ids, item.index) == (
        "MULTIPLE_OR_MULTI_ERRORS",
        "Email",
        ("7",),
        0,
    )


def test_a_lone_error_is_the_only_records_own() -> None:
    body = data(error("INVALID_DATA", api_name="Email"))
    assert answered(body, 1, 400).items[0].code == "INVALID_DATA"


# --- what cannot be an answer for each record --------------------------------------------------------------


BROKEN: dict[str, tuple[object, int]] = {
    "empty": (b"", 2),
    "not JSON": (b"<html><body>502</body></html>", 2),
    "cut": (b'{"data":[{"code":"SUCCESS"', 2),
    "bytes after the end": (b'{"data":[]} x', 2),
    "invalid UTF-8": (b'{"data":[{"code":"\xff"}]}', 1),
    "nested too deeply": (b'{"data":' + b"[" * 100_000, 1),
    "a list": ([success("1")], 1),
    "null": (b"null", 1),
    "no data": ({}, 1),
    "data null": ({"data": None}, 1),
    "data an object": ({"data": success("1")}, 1),
    "no answers": (data(), 1),
    "too few": (data(success("1")), 2),
    "too many": (data(success("1"), success("2")), 1),
    "an answer null": (data(success("1"), None), 2),
    "the same id twice": (data(success("1"), success("1")), 2),
    "the same id twice beside an error": (data(success("1"), success("1"), error("INVALID_DATA")), 3),
    "an id as a number": (data(success(5725767000000524157), success("2")), 2),
    "an id that is no id": (data(success("abc"), success("2")), 2),
    "an empty id": (data(success(""), success("2")), 2),
    "an id in other digits": (data(success("\u0661\u0662"), success("2")), 2),
    "an id beyond 19 digits": (data(success("1" * 20)), 1),
    "an id with a blank": (data(success("1 "), success("2")), 2),
    "no id": (data({"code": "SUCCESS", "status": "success", "details": {}}), 1),
    "no details": (data({"code": "SUCCESS", "status": "success"}), 1),
    "no status": (data({"code": "SUCCESS", "details": {"id": "1"}}), 1),
    "another status": (data({"code": "SUCCESS", "status": "queued", "details": {"id": "1"}}), 1),
    "a success by another name": (data({**success("1"), "code": "ACCEPTED"}), 1),
    "an error called success": (data({**success("1"), "status": "error"}), 1),
    "an error without a code": (data({"status": "error", "details": {}}), 1),
}


@pytest.mark.parametrize("status", [200, 201, 400])
@pytest.mark.parametrize("name", BROKEN)
def test_whatever_departs_from_the_documented_shape_is_unreadable(name: str, status: int) -> None:
    body, records = BROKEN[name]
    unreadable(body, records, status)


@pytest.mark.parametrize("status", [204, 302, 404, 409, 500])
def test_successes_under_a_status_that_has_none_are_unreadable(status: int) -> None:
    unreadable(data(success("1"), success("2")), 2, status)


SHORT: dict[str, dict[str, Any]] = {
    "of the first record": error("INVALID_DATA", api_name="Email", json_path="$.data[0].Email"),
    "of no record that it names": error("INVALID_DATA", api_name="Email"),
    "a duplicate": error("DUPLICATE_DATA", id="7"),
    "a limit within a record": error(
        "LIMIT_EXCEEDED", api_name="Participants", json_path="$.data[0].Participants"
    ),
    "a limit of a field": error("LIMIT_EXCEEDED", api_name="Participants"),
    "a permission for a field": error("NO_PERMISSION", json_path="$.data[0].Owner"),
    "an unknown code": error("A_CODE_OF_NEXT_YEAR"),
    "a failure": error("INTERNAL_ERROR"),
}


@pytest.mark.parametrize("name", SHORT)
def test_a_lone_error_that_may_be_one_records_own_says_nothing_about_the_others(name: str) -> None:
    """A short answer must not pass for "the whole call was refused": the rest may have been inserted."""
    unreadable(data(SHORT[name]), 2, 400)


# --- the call as a whole -----------------------------------------------------------------------------------


WHOLE: dict[str, dict[str, Any]] = {
    "too many records": error("LIMIT_EXCEEDED", maximum_length=100, api_name="data"),
    "a module that is none": error("INVALID_MODULE", resource_path_index=0),
    "a method that is none": error("INVALID_REQUEST_METHOD", resource_path_index=0),
    "a missing privilege": error("AUTHORIZATION_FAILED", resource_path_index=0),
    "an option that is none": error(
        "INVALID_DATA", api_name="name", json_path="$.apply_feature_execution[0].name"
    ),
    "an option by its name alone": error("INVALID_DATA", api_name="lar_id"),
    "data itself": error("INVALID_DATA", json_path="$.data", expected_data_type="jsonarray"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_lone_error_that_speaks_of_the_request_refuses_the_call(name: str) -> None:
    answer = read_insert(reply(data(WHOLE[name]), 400), 100)
    assert isinstance(answer, CallRefused)
    assert answer.code == WHOLE[name]["code"]


@pytest.mark.parametrize("name", [name for name in WHOLE if name != "too many records"])
def test_it_does_so_for_a_call_of_one_record_too(name: str) -> None:
    assert isinstance(read_insert(reply(data(WHOLE[name]), 400), 1), CallRefused)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("INVALID_TOKEN", 401),
        ("OAUTH_SCOPE_MISMATCH", 401),
        ("NO_PERMISSION", 403),
        ("INVALID_URL_PATTERN", 404),
        ("TOO_MANY_REQUESTS", 429),
        ("INTERNAL_ERROR", 500),
        ("INVALID_DATA", 400),
        ("A_CODE_OF_NEXT_YEAR", 418),
    ],
)
def test_a_bare_error_refuses_the_call(code: str, status: int) -> None:
    answer = read_insert(reply(error(code, "why", permissions=["Crm_Implied_View_Leads"]), status), 100)
    assert answer == CallRefused(code, "why", detail="permission Crm_Implied_View_Leads")


@pytest.mark.parametrize(
    "body", [{"code": ""}, {"code": 5, "status": "error"}, {"code": "X", "status": "success"}]
)
def test_an_object_that_is_no_error_refuses_nothing(body: dict[str, object]) -> None:
    unreadable(body, 2, 400)


OPTIONS: dict[str, tuple[dict[str, Any], str, str]] = {
    "by its path": (
        error("INVALID_DATA", api_name="name", json_path="$.apply_feature_execution[0].name"),
        "apply_feature_execution",
        "",
    ),
    "with what is possible": (
        error(
            "INVALID_DATA",
            api_name="name",
            json_path="$.skip_feature_execution[0].name",
            supported_values=["cadences"],
        ),
        "skip_feature_execution",
        "possible: cadences",
    ),
    "an item of a list": (error("INVALID_DATA", api_name="trigger", json_path="$.trigger[0]"), "trigger", ""),
    "by its name": (error("INVALID_DATA", api_name="lar_id"), "lar_id", ""),
    "the header": (error("INVALID_DATA", api_name="X-EXTERNAL"), "X-EXTERNAL", ""),
    "another key beside data": (error("INVALID_DATA", json_path="$.process"), "", ""),
    "a key that only begins like one": (error("INVALID_DATA", json_path="$.triggers"), "", ""),
    "all data": (error("INVALID_DATA", json_path="$.data"), "", ""),
}


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_that_is_refused_is_named(name: str, wrapped: bool) -> None:
    one, option, detail = OPTIONS[name]
    answer = read_insert(reply(data(one) if wrapped else one, 400), 100)
    assert isinstance(answer, CallRefused)
    assert (answer.option, answer.detail) == (option, detail)


def test_the_apis_words_are_kept_short() -> None:
    long = "x" * 10_000
    item = answered(data(error("INVALID_DATA", long, api_name=long), success("1")), 2).items[0]
    assert (len(item.message), len(item.field)) == (200, 200)
    hints = error("INVALID_DATA", long, expected_data_type=long, supported_values=[long] * 50)
    item = answered(data(hints, success("1")), 2).items[0]
    assert len(item.message) <= 403
    many = error("MULTIPLE_OR_MULTI_ERRORS", errors=[error(long, long, api_name=long)] * 1000)
    item = answered(data(many, success("1")), 2).items[0]
    assert len(item.message) <= 400


# --- what an error says, in the forms that were seen -------------------------------------------------------

USER = {"name": "Pranav", "id": "2008662000000454001", "zuid": "75092197"}
EXISTING = "2008662000006256222"
TOLD: dict[str, tuple[dict[str, Any], str, str]] = {
    "a type": (
        error("INVALID_DATA", expected_data_type="integer", api_name="N", json_path="$.data[0].N"),
        "N",
        "invalid data (expected integer: 12 without quotes)",
    ),
    "a length": (
        error("INVALID_DATA", maximum_length=2, api_name="N", json_path="$.data[0].N"),
        "N",
        "invalid data (at most 2 characters or digits)",
    ),
    "a length as text": (
        error("INVALID_DATA", maximum_length="2", api_name="N"),
        "N",
        "invalid data (at most 2 characters or digits)",
    ),
    "the older form, without a path, both": (
        error("INVALID_DATA", expected_data_type="date", maximum_length=20, api_name="Date_of_Birth"),
        "Date_of_Birth",
        'invalid data (expected date: "2017-08-16", at most 20 characters)',
    ),
    "digits": (
        error("INVALID_DATA", expected_data_type="integer", maximum_length=9, api_name="N"),
        "N",
        "invalid data (expected integer: 12 without quotes, at most 9 digits)",
    ),
    "items": (
        error("LIMIT_EXCEEDED", "too many", maximum_length=50, json_path="$.data[0].Participants"),
        "Participants",
        "too many (at most 50 items)",
    ),
    "a value, in words": (
        error("INVALID_DATA", "The field value given for Company is invalid", api_name="Company"),
        "Company",
        "The field value given for Company is invalid",
    ),
    "a lookup": (
        error("INVALID_DATA", "the id given seems to be invalid", api_name="id", json_path="$.data[0].A.id"),
        "A.id",
        "the id given seems to be invalid",
    ),
    "a layout rule": (
        error(
            "MANDATORY_NOT_FOUND",
            "required field not found",
            api_name="Name",
            layout_rule={"name": "Layout Rule", "id": "5410702000000761547"},
        ),
        "Name",
        "required field not found (layout rule Layout Rule)",
    ),
    "a dependent": (
        error(
            "DEPENDENT_FIELD_MISSING",
            "missing",
            api_name="Product_Subcategory",
            dependee={"api_name": "Product_Category", "json_path": "$.data[0].Product_Category"},
        ),
        "Product_Subcategory",
        "missing (it depends on Product_Category)",
    ),
    "a dependee by its name alone": (
        error("DEPENDENT_MISMATCH", "no", api_name="A", dependee="B"),
        "A",
        "no (it depends on B)",
    ),
    "fields that were expected": (
        error("EXPECTED_FIELD_MISSING", "no", expected_fields=[{"api_name": "A"}, "B", 7, {}]),
        "",
        "no (expected fields A, B)",
    ),
    "values that are possible": (
        error("INVALID_DATA", api_name="Stage", supported_values=["Won", "Lost"]),
        "Stage",
        "invalid data (possible: Won, Lost)",
    ),
    "permissions": (
        error("NOT_ALLOWED", "no", permissions=["Crm_Implied_Create_Leads"]),
        "",
        "no (permission Crm_Implied_Create_Leads)",
    ),
    "a joined service": (
        error("DEPENDENT_SERVICE_ERROR", "no", dependency_error="CANNOT_PROCESS"),
        "",
        "no (CANNOT_PROCESS)",
    ),
    "a duplicate": (
        error(
            "DUPLICATE_DATA",
            "duplicate data",
            api_name="U",
            duplicate_record={"Owner": USER, "id": EXISTING},
            id=EXISTING,
            more_records=False,
        ),
        "U",
        "duplicate data",
    ),
    "a duplicate in another module": (
        error(
            "DUPLICATE_DATA",
            "duplicate data",
            api_name="U",
            duplicate_record={"id": EXISTING, "module": {"api_name": "Contacts", "id": "9"}},
            more_records=True,
        ),
        "U",
        "duplicate data (of a record in Contacts, and of others)",
    ),
    "details as a list": (
        {
            "code": "INVALID_DATA",
            "status": "error",
            "message": "invalid data",
            "details": [
                {"api_name": "Email", "expected_data_type": "email"},
                {"api_name": "Phone", "maximum_length": 30},
            ],
        },
        "Email",
        'invalid data (Email: expected email: "p.daly@example.com"; Phone: at most 30 characters or digits)',
    ),
    "details of no use": (
        {"code": "INVALID_DATA", "status": "error", "message": "invalid data", "details": "x"},
        "",
        "invalid data",
    ),
    "no words": (
        {"code": "INVALID_DATA", "status": "error", "details": {"maximum_length": 3}},
        "",
        "at most 3 characters or digits",
    ),
    "lengths that are none": (
        error("INVALID_DATA", maximum_length=True, supported_values="x"),
        "",
        "invalid data",
    ),
}


@pytest.mark.parametrize("name", TOLD)
def test_an_error_is_told_with_what_its_details_add(name: str) -> None:
    one, field, message = TOLD[name]
    item = answered(data(one, success("1")), 2).items[0]
    assert (item.field, item.message) == (field, message)


MANY = [
    error(
        "DUPLICATE_DATA",
        "duplicate data",
        api_name="Email",
        duplicate_record={"Owner": USER, "module": {"api_name": "Leads", "id": "9"}, "id": "71"},
        json_path="$.data[0].Email",
        more_records=True,
    ),
    error("DUPLICATE_DATA", "duplicate data", api_name="Mobile", id="72"),
    error("INVALID_DATA", api_name="Born", expected_data_type="date", maximum_length=20),
]
SEVERAL: dict[str, object] = {
    "in errors": {"errors": MANY},
    "in errors of a list": [{"errors": MANY[:2]}, {"errors": MANY[2]}],
    "as details themselves": MANY,
}


@pytest.mark.parametrize("name", SEVERAL)
def test_all_errors_of_a_record_are_told_wherever_they_stand(name: str) -> None:
    one = {
        "code": "MULTIPLE_OR_MULTI_ERRORS",
        "status": "error",
        "message": "Multiple errors",
        "details": SEVERAL[name],
    }
    item = answered(data(one, success("1")), 2).items[0]
    assert item.message == (
        "3 errors: DUPLICATE_DATA Email: duplicate data (of a record in Leads, and of others), record 71;"
        " DUPLICATE_DATA Mobile: duplicate data, record 72;"
        " INVALID_DATA Born: invalid data (expected date, at most 20 characters)"
    )
    assert (item.field, item.duplicate_ids) == ("Email", ("71", "72"))
    assert [error.code for error in item.errors] == ["DUPLICATE_DATA", "DUPLICATE_DATA", "INVALID_DATA"]


def test_a_single_error_among_several_is_told_as_one() -> None:
    inner = [error("INVALID_DATA", api_name="Born", expected_data_type="date")]
    item = answered(data(error("MULTIPLE_OR_MULTI_ERRORS", errors=inner), success("1")), 2).items[0]
    assert item.message == "1 error: INVALID_DATA Born: invalid data (expected date)"


def test_of_very_many_errors_codes_and_fields_are_told() -> None:
    inner = [error("DUPLICATE_DATA", "duplicate data " * 9, api_name=f"F{number}") for number in range(9)]
    item = answered(data(error("MULTIPLE_OR_MULTI_ERRORS", errors=inner), success("1")), 2).items[0]
    assert item.message == "9 errors: " + "; ".join(f"DUPLICATE_DATA F{number}" for number in range(9))


def test_one_of_several_details_that_names_another_record_shows_it() -> None:
    parts = [{"api_name": "A", "json_path": f"$.data[{index}].A"} for index in (0, 1)]
    one = {"code": "INVALID_DATA", "status": "error", "message": "", "details": parts}
    assert answered(data(one, success("1")), 2).items[0].index == 1


# --- one record of which the API makes several -------------------------------------------------------------


def test_the_items_of_a_series_are_one_records_answer_and_the_first_id_is_its_own() -> None:
    body = data(*(success(str(number)) for number in range(40, 47)))
    assert read_insert(reply(body), 1, series=True) == Inserted(["40"])
    assert read_insert(reply(data(success("40"))), 1, series=True) == Inserted(["40"])
    with_place = data(*(success(str(number), json_path="$.data[0]") for number in (40, 41)))
    answer = read_insert(reply(with_place), 1, series=True)
    assert isinstance(answer, Answered)
    assert [item.id for item in answer.items] == ["40"]


def test_without_the_word_that_it_recurs_more_items_than_records_say_nothing() -> None:
    unreadable(data(success("1"), success("2")), 1)


ODD_SERIES: dict[str, dict[str, Any]] = {
    "a mixed one": data(success("1"), error("INVALID_DATA")),
    "an error first": data(error("INVALID_DATA"), success("1")),
    "errors alone": data(error("INVALID_DATA"), error("INVALID_DATA")),
    "the same id twice": data(success("1"), success("1")),
    "an item that is neither": data(success("1"), {"status": "ok"}),
    "an item of another record": data(success("1"), success("2", json_path="$.data[1]")),
    "no item": data(),
}


@pytest.mark.parametrize("name", ODD_SERIES)
def test_an_odd_series_says_nothing_for_certain(name: str) -> None:
    answer = read_insert(reply(ODD_SERIES[name], 207), 1, series=True)
    assert isinstance(answer, Unreadable)
    assert answer.reason


def test_a_recurring_record_may_be_refused_like_any_other() -> None:
    answer = read_insert(reply(data(error("INVALID_DATA", api_name="Remind_At")), 400), 1, series=True)
    assert isinstance(answer, Answered)
    assert answer.items[0].code == "INVALID_DATA"


# --- whatever arrives --------------------------------------------------------------------------------------

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["success", "error", "SUCCESS", "7"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["data", "code", "status", "details", "message", "id", "errors", "json_path", "info"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    body=_JSON | st.binary(max_size=40),
    status=st.sampled_from([200, 201, 207, 400, 401, 500]),
    records=st.integers(1, 3),
)
def test_no_body_raises_and_every_success_has_an_id_of_its_own(
    body: object, status: int, records: int
) -> None:
    given_reply = reply(body, status)
    answer = read_insert(given_reply, records)
    if isinstance(answer, Inserted):
        assert len(set(answer.ids)) == records
        assert all(one.isdigit() for one in answer.ids)
    elif isinstance(answer, Answered):
        assert len(answer.items) == records
        assert all(bool(item.id) is item.ok for item in answer.items)
    read_refusal(given_reply)
    read_existing(given_reply, ["Email"])
    replies.read_user_id(given_reply)
    replies.read_organisation_id(given_reply)
    replies.read_edition(given_reply)


@given(outcomes=st.lists(st.booleans(), min_size=1, max_size=100))
def test_each_answer_is_given_to_its_own_record(outcomes: list[bool]) -> None:
    items = [
        success(str(index + 1)) if ok else error("INVALID_DATA", json_path=f"$.data[{index}].Email")
        for index, ok in enumerate(outcomes)
    ]
    answer = read_insert(reply(data(*items), 207), len(outcomes))
    if isinstance(answer, Inserted):
        assert all(outcomes)
        assert answer.ids == [str(index + 1) for index in range(len(outcomes))]
        return
    assert isinstance(answer, Answered)
    assert not all(outcomes)
    for index, (item, ok) in enumerate(zip(answer.items, outcomes, strict=True)):
        assert item.ok is ok
        assert item.id == (str(index + 1) if ok else "")


# --- reads -------------------------------------------------------------------------------------------------


def test_existing_records_come_with_creator_time_and_asked_fields() -> None:
    body = data(
        {"id": "7", "Email": "a@b.c", "Created_Time": "2023-05-10T01:10:47-07:00", "Created_By": {"id": "9"}},
        {"id": "8", "Email": None, "Created_Time": "yesterday", "Created_By": None},
    )
    assert read_existing(reply(body, 200), ["Email", "Phone"]) == [
        ExistingRecord("7", 1683706247.0, "9", {"Email": "a@b.c"}),
        ExistingRecord("8", None, "", {"Email": None}),
    ]


def test_a_creation_time_without_its_offset_is_not_known() -> None:
    (found,) = _existing({"id": "7", "Created_Time": "2023-05-10T01:10:47"})
    assert found.created_time is None


def _existing(one: dict[str, object]) -> list[ExistingRecord]:
    found = read_existing(reply(data(one), 200), [])
    assert not isinstance(found, Unreadable)
    return list(found)


def test_nothing_found_is_an_answer_too() -> None:
    assert read_existing(reply(b"", 204), ["Email"]) == ()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (error("INVALID_TOKEN"), 401, "INVALID_TOKEN"),
        (b"<html>", 502, ""),
        (b"", 200, ""),
        ({"data": [{"Email": "x"}]}, 200, ""),
        ({"data": [{"id": 7}]}, 200, ""),
        ({"data": [{"id": "7"}], "info": {"more_records": True}}, 200, ""),
    ],
)
def test_a_read_that_is_not_answered_whole_is_unreadable(body: object, status: int, code: str) -> None:
    found = read_existing(reply(body, status), ["Email"])
    assert isinstance(found, Unreadable)
    assert found.code == code


def test_user_and_organisation_are_known_by_ids() -> None:
    user = reply({"users": [{"id": "9", "full_name": "Ada"}]}, 200)
    organisation = reply({"org": [{"id": "5", "license_details": {"paid_type": "enterprise"}}]}, 200)
    assert replies.read_user_id(user) == "9"
    assert replies.read_organisation_id(organisation) == "5"
    assert replies.read_edition(organisation) == "enterprise"


@pytest.mark.parametrize("body", [b"", {"users": []}, {"users": [{"id": 9}]}, error("OAUTH_SCOPE_MISMATCH")])
def test_what_an_answer_does_not_say_is_empty(body: object) -> None:
    assert replies.read_user_id(reply(body, 200)) == ""
    assert replies.read_edition(reply(body, 200)) == ""


def test_a_refusal_is_read_bare_or_wrapped_and_is_empty_where_there_is_none() -> None:
    assert read_refusal(reply(error("INVALID_MODULE", "why"), 400)) == CallRefused("INVALID_MODULE", "why")
    assert read_refusal(reply(data(error("INVALID_MODULE", "why")), 400)) == CallRefused(
        "INVALID_MODULE", "why"
    )
    assert read_refusal(reply(b"<html>", 400)).code == ""


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"date": "Sun, 06 Nov 1994 08:49:37 GMT"}, 784111777.0),
        ({"date": "Sun, 06 Nov 1994 08:49:37 -0000"}, 784111777.0),
        ({"date": "yesterday"}, None),
        ({"date": ""}, None),
        ({}, None),
    ],
)
def test_the_servers_clock_is_read_from_its_date_header(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert replies.server_time(headers) == seconds
