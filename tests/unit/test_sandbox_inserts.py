"""What becomes of each record of an insert, and the item that the answer has for it."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import msgspec
import pytest

from loader.sandbox import answers
from loader.sandbox.answers import Answer, SuccessTemplate, User
from loader.sandbox.catalogue import Served
from loader.sandbox.inserts import Body, Decision, Known, decide, read_body
from loader.sandbox.switches import Statuses
from loader.schema.modules import standard_module

USER = User(id="5725767000000411001")
TIME = "2023-05-10T01:10:47-07:00"
FIRST_ID = 5725767000000524157


def served(*unique: str) -> Served:
    module = standard_module("Leads")
    assert module is not None
    for field in unique:
        module = module.with_unique(field)
    return Served(module, module_id="5725767000000002175")


def nobody(field: str, values: Sequence[str]) -> Mapping[str, int]:
    return {}


def known(owners: Callable[[str, Sequence[str]], Mapping[str, int]] = nobody, creator: User = USER) -> Known:
    return Known(owners, lambda _: creator, USER, FIRST_ID, date(2023, 5, 10))


def answer_to(
    *records: dict[str, Any], unique: tuple[str, ...] = (), taken: Mapping[tuple[str, str], int] | None = None
) -> tuple[int, list[dict[str, Any]], Decision]:
    def owners(field: str, values: Sequence[str]) -> Mapping[str, int]:
        return {
            value: owner
            for (name, value), owner in (taken or {}).items()
            if name == field and value in values
        }

    raws = [json.dumps(record).encode() for record in records]
    decision = decide(served(*unique), raws, known(owners))
    assert isinstance(decision, Decision)
    answer = decision.answer(SuccessTemplate(USER, TIME), Statuses())
    return answer.status, json.loads(answer.body)["data"], decision


def lead(**members: Any) -> dict[str, Any]:
    return {"Last_Name": "Daly"} | members


def test_a_success_item_has_the_members_of_the_insert_records_page_in_their_order() -> None:
    status, items, _ = answer_to(lead())
    assert status == 201
    expected = {
        "code": "SUCCESS",
        "details": {
            "Modified_Time": "2023-05-10T01:10:47-07:00",
            "Modified_By": {"name": "Patricia Boyle", "id": "5725767000000411001"},
            "Created_Time": "2023-05-10T01:10:47-07:00",
            "id": "5725767000000524157",
            "Created_By": {"name": "Patricia Boyle", "id": "5725767000000411001"},
            "$approval_state": "approved",
        },
        "message": "record added",
        "status": "success",
    }
    assert json.dumps(items[0]) == json.dumps(expected)


def test_items_stand_in_the_order_of_the_records_and_ids_go_to_applied_ones_only() -> None:
    status, items, decision = answer_to(lead(), {}, lead(), {"Company": "ABC"}, lead())
    assert status == 207
    assert [item["status"] for item in items] == ["success", "error", "success", "error", "success"]
    ids = [item["details"]["id"] for item in items if item["status"] == "success"]
    assert ids == [str(FIRST_ID + n) for n in range(3)]
    assert [(each.id, each.position) for each in decision.records] == [
        (FIRST_ID + n, 2 * n) for n in range(3)
    ]


def test_a_missing_mandatory_field() -> None:
    status, items, decision = answer_to({"Company": "ABC"})
    assert status == 400
    assert decision.records == ()
    assert items == [
        {
            "code": "MANDATORY_NOT_FOUND",
            "details": {"api_name": "Last_Name", "json_path": "$.data[0].Last_Name"},
            "message": "required field not found",
            "status": "error",
        }
    ]


def test_a_value_of_another_type() -> None:
    _, items, _ = answer_to(lead(), lead(No_of_Employees="many"))
    assert items[1] == {
        "code": "INVALID_DATA",
        "details": {
            "expected_data_type": "integer",
            "api_name": "No_of_Employees",
            "json_path": "$.data[1].No_of_Employees",
        },
        "message": "invalid data",
        "status": "error",
    }


def test_a_value_that_is_too_long() -> None:
    _, items, _ = answer_to(lead(Last_Name="x" * 81))
    assert items[0]["code"] == "INVALID_DATA"
    assert items[0]["details"] == {
        "maximum_length": 80,
        "api_name": "Last_Name",
        "json_path": "$.data[0].Last_Name",
    }


def test_a_problem_inside_a_value_is_named_by_its_last_step() -> None:
    _, items, _ = answer_to(lead(Tag=[{"name": 1}]))
    assert items[0]["details"]["json_path"] == "$.data[0].Tag[0].name"
    assert items[0]["details"]["api_name"] == "name"


def test_only_the_first_problem_of_a_record_is_reported() -> None:
    _, items, _ = answer_to({"City": 1, "State": 2})
    assert items[0]["code"] == "MANDATORY_NOT_FOUND"


def test_a_duplicate_names_the_record_that_has_the_value() -> None:
    status, items, decision = answer_to(
        lead(City=" Paris "),
        unique=("City",),
        taken={("City", "paris"): 2008662000006256222},
    )
    assert status == 400
    assert decision.records == ()
    assert items == [
        {
            "code": "DUPLICATE_DATA",
            "details": {
                "api_name": "City",
                "duplicate_record": {
                    "Owner": {"name": "Patricia Boyle", "id": "5725767000000411001", "zuid": "75092197"},
                    "module": {"api_name": "Leads", "id": "5725767000000002175"},
                    "id": "2008662000006256222",
                },
                "json_path": "$.data[0].City",
                "id": "2008662000006256222",
                "more_records": False,
            },
            "message": "duplicate data",
            "status": "error",
        }
    ]


def test_several_duplicates_of_one_record_are_combined() -> None:
    taken = {("Email", "a@b.cd"): 7, ("Phone", "123"): 8}
    _, items, _ = answer_to(lead(Email="a@b.cd", Phone="123"), unique=("Email", "Phone"), taken=taken)
    assert (items[0]["code"], items[0]["message"]) == (
        "MULTIPLE_OR_MULTI_ERRORS",
        "Multiple errors in the request",
    )
    errors = items[0]["details"]["errors"]
    assert [(each["code"], each["details"]["api_name"], each["details"]["id"]) for each in errors] == [
        ("DUPLICATE_DATA", "Email", "7"),
        ("DUPLICATE_DATA", "Phone", "8"),
    ]


def test_of_equal_values_in_one_call_the_first_wins() -> None:
    _, items, _ = answer_to(lead(Email="a@b.cd"), lead(Email="A@B.CD"), unique=("Email",))
    assert items[0]["status"] == "success"
    assert items[1]["code"] == "DUPLICATE_DATA"
    assert items[1]["details"]["duplicate_record"]["id"] == items[0]["details"]["id"]


def test_a_record_that_fails_takes_no_value() -> None:
    _, items, _ = answer_to(
        lead(Email="a@b.cd", City=1),
        lead(Email="a@b.cd", Phone="1"),
        lead(Email="a@b.cd", Phone="2"),
        lead(Phone="2"),
        unique=("Email", "Phone"),
    )
    assert [item["code"] for item in items] == ["INVALID_DATA", "SUCCESS", "DUPLICATE_DATA", "SUCCESS"]


@pytest.mark.parametrize("value", [None, "", "  "])
def test_no_value_is_never_a_duplicate(value: str | None) -> None:
    status, _, _ = answer_to(lead(City=value), lead(City=value), unique=("City",))
    assert status == 201


def test_without_a_unique_field_equal_records_are_all_applied() -> None:
    status, items, _ = answer_to(lead(Email="a@b.cd"), lead(Email="a@b.cd"))
    assert status == 201
    assert len({item["details"]["id"] for item in items}) == 2


def test_a_record_that_is_no_object_fails_alone() -> None:
    raws = [b'{"Last_Name":"Daly"}', b"12"]
    decision = decide(served(), raws, known())
    assert isinstance(decision, Decision)
    assert decision.failed[1]["details"] == {
        "expected_data_type": "jsonobject",
        "json_path": "$.data[1]",
    }


def test_bytes_that_are_not_utf8_spoil_the_whole_body() -> None:
    raws = [b'{"Last_Name":"Daly"}', b'{"Last_Name":"\xff"}']
    assert decide(served(), raws, known()) is answers.BODY_NOT_AN_OBJECT


def test_records_are_taken_from_the_body_byte_for_byte() -> None:
    body = b'{"trigger": [], "data" : [ {"Last_Name" :"\xc3\xa9\\u00e9", "a":1e400 } ,\n{}], "lar_id":"1"}'
    assert read_body(body) == Body([b'{"Last_Name" :"\xc3\xa9\\u00e9", "a":1e400 }', b"{}"])


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b"", answers.BODY_NOT_AN_OBJECT),
        (b"[]", answers.BODY_NOT_AN_OBJECT),
        (b"{", answers.BODY_NOT_AN_OBJECT),
        (b'{"data":[{]}', answers.BODY_NOT_AN_OBJECT),
        (b"{}", answers.DATA_MISSING),
        (b'{"data":[]}', answers.DATA_MISSING),
        (b'{"data":{}}', answers.DATA_NOT_AN_ARRAY),
        (b'{"data":[' + b",".join([b"{}"] * 101) + b"]}", answers.too_many_records(100)),
    ],
)
def test_a_body_that_is_refused_as_a_whole(body: bytes, answer: Answer) -> None:
    assert read_body(body) == answer


def test_a_hundred_records_are_not_too_many() -> None:
    body = read_body(b'{"data":[' + b",".join([b"{}"] * 100) + b"]}")
    assert isinstance(body, Body)
    assert len(body.records) == 100


def test_the_answer_to_more_than_a_hundred_records_has_one_item() -> None:
    assert json.loads(answers.too_many_records(100).body) == {
        "data": [
            {
                "code": "LIMIT_EXCEEDED",
                "details": {"maximum_length": 100, "api_name": "data"},
                "message": "count of records in your request exceeds the limit",
                "status": "error",
            }
        ]
    }


def test_templates_and_single_items_agree() -> None:
    template = SuccessTemplate(USER, TIME)
    assert b"[" + template.items(7, 2) + b"]" == b"[" + template.item(7) + b"," + template.item(8) + b"]"
    assert msgspec.json.decode(b"[" + template.items(7, 2) + b"]")
