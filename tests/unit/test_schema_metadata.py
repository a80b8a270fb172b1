from __future__ import annotations

import msgspec
import pytest

from loader.schema.check import Checker
from loader.schema.fields import Field, FieldType, JsonType, Module, Option
from loader.schema.metadata import (
    MetadataError,
    metadata_from_module,
    module_from_metadata,
    with_subfields,
)

EMAIL = {
    "api_name": "Email",
    "data_type": "email",
    "json_type": "string",
    "length": 100,
    "decimal_place": None,
    "system_mandatory": False,
    "unique": {"case_sensitive": False},
    "external": None,
    "operation_type": {"web_create": True, "web_update": True, "api_create": True, "api_update": True},
    "pick_list_values": [],
    "lookup": {},
    "a_key_of_next_year": {"deep": [1, 2]},
}


def read(**changes: object) -> Field:
    row = {key: value for key, value in {**EMAIL, **changes}.items() if value != "left out"}
    return module_from_metadata("Leads", msgspec.json.encode({"fields": [row]})).fields[0]


def test_one_field_as_the_api_writes_it() -> None:
    assert read() == Field("Email", FieldType.EMAIL, JsonType.STRING, 100, unique=True)


@pytest.mark.parametrize(
    ("unique", "is_unique", "case_sensitive"),
    [
        ({}, False, False),
        (None, False, False),
        ({"case_sensitive": True}, True, True),
        ({"casesensitive": "left out"}, True, False),
        ({"casesensitive": True}, True, True),
        ({"casesensitive": False}, True, False),
    ],
)
def test_unique_in_each_of_its_spellings(unique: object, is_unique: bool, case_sensitive: bool) -> None:
    field = read(unique=unique)
    assert (field.unique, field.case_sensitive) == (is_unique, case_sensitive)


def test_an_external_id_is_unique_by_its_nature() -> None:
    field = read(data_type="text", unique={}, external={"type": "org", "show": True})
    assert (field.external, field.unique) == (True, True)


@pytest.mark.parametrize(
    ("changes", "creatable"),
    [
        ({"operation_type": {"api_create": False}}, False),
        ({"operation_type": "left out", "api_create": False}, False),
        ({"operation_type": "left out", "api_create": True}, True),
        ({"operation_type": "left out"}, True),
        ({"data_type": "subform", "json_type": "jsonarray", "operation_type": {"api_create": False}}, True),
        ({"data_type": "ownerlookup", "field_read_only": True}, True),
    ],
)
def test_whether_an_insert_may_set_a_field(changes: dict[str, object], creatable: bool) -> None:
    assert read(**changes).creatable is creatable


def test_a_subform_has_no_length_and_an_unknown_type_is_other() -> None:
    assert read(data_type="subform", json_type="jsonarray", length="left out").length is None
    assert read(data_type="hologram", json_type="jsonb").type is FieldType.OTHER
    assert read(json_type="left out").json_type is JsonType.STRING


def test_a_length_that_would_forbid_every_value_is_no_length() -> None:
    assert read(length=0).length is None
    assert read(length=-1).length is None


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>busy</html>",
        b"[]",
        b"{}",
        b'{"fields":[]}',
        b'{"fields":[{"api_name":"Email"}]}',
        b'{"fields":[{"api_name":"","data_type":"text"}]}',
        b'{"fields":[{"api_name":"A","data_type":"text","length":"long"}]}',
        b'{"fields":[{"api_name":"A","data_type":"text"},{"api_name":"A","data_type":"text"}]}',
        b'{"fields":"\xff"}',
        b"[" * 100_000,
        b'{"fields":' + b"[" * 100_000,
        b'{"fields":[{"api_name":"A","data_type":"text","x":' + b"[" * 100_000,
    ],
    ids=lambda answer: repr(answer[:40]),
)
def test_nonsense_is_named_with_its_module(answer: bytes) -> None:
    with pytest.raises(MetadataError, match="field metadata of Leads"):
        module_from_metadata("Leads", answer)


@pytest.mark.parametrize("values", [None, [], "left out"])
def test_a_picklist_without_options_is_read(values: object) -> None:
    assert read(data_type="picklist", pick_list_values=values).options == ()


def test_options_are_what_the_api_takes_and_what_people_see() -> None:
    rows = [
        {"display_value": "-None-", "actual_value": "-None-", "sequence_number": 1, "type": "used"},
        {"display_value": "Houston", "actual_value": "Houston Showroom", "id": "5"},
        {"display_value": "Straße", "colour_code": None},
        {"actual_value": "Only actual", "display_value": None},
    ]
    assert read(data_type="picklist", pick_list_values=rows).options == (
        Option("-None-"),
        Option("Houston Showroom", "Houston"),
        Option("Straße"),
        Option("Only actual"),
    )


@pytest.mark.parametrize(
    ("changes", "module", "link"),
    [
        ({"data_type": "lookup", "lookup": {"module": {"api_name": "Accounts", "id": "1"}}}, "Accounts", ""),
        ({"data_type": "lookup", "lookup": {"module": "Accounts"}}, "Accounts", ""),
        ({"data_type": "lookup", "lookup": {"module": None}}, "", ""),
        ({"data_type": "lookup", "lookup": None}, "", ""),
        (
            {
                "data_type": "multiselectlookup",
                "multiselectlookup": {
                    "linking_module": {"api_name": "LeadsXProducts"},
                    "lookup_apiname": "Leads",
                    "connected_module": {"api_name": "Products"},
                    "connectedlookup_apiname": "Interested_Products",
                },
            },
            "Products",
            "Interested_Products",
        ),
        ({"data_type": "multiselectlookup", "multiselectlookup": {}}, "", ""),
        ({"data_type": "multiuserlookup"}, "", "Email"),
        ({"data_type": "subform", "associated_module": {"module": "Addresses", "id": "5"}}, "Addresses", ""),
        ({"data_type": "subform", "associated_module": None}, "", ""),
    ],
)
def test_what_a_field_refers_to(changes: dict[str, object], module: str, link: str) -> None:
    field = read(**changes)
    assert (field.module, field.link) == (module, link)


def test_the_rows_of_a_subform_get_the_fields_of_their_module_but_need_not_name_their_record() -> None:
    lookup = Field("Parent_Id", FieldType.LOOKUP, JsonType.OBJECT, mandatory=True, module="Leads")
    street = Field("Street", FieldType.TEXT, JsonType.STRING, 20, mandatory=True)
    leads = Module(
        "Leads",
        (
            Field("Addresses", FieldType.SUBFORM, JsonType.ARRAY),
            Field("More", FieldType.SUBFORM, JsonType.ARRAY),
        ),
    )
    changed = with_subfields(leads, {"Addresses": Module("Alternate_Address", (lookup, street))})
    checker = Checker(changed)
    assert checker.problems(b'{"Addresses":[{"Street":"a"}],"More":[{"any":1}]}') == ()
    found = checker.problems(b'{"Addresses":[{"Street":"a","Parent_Id":5},{}]}')
    assert [problem.path for problem in found] == ["Addresses[0].Parent_Id", "Addresses[1].Street"]


def test_a_module_of_412_fields_with_long_accented_picklists_is_read_and_checked() -> None:
    accents = [f"Été n° {number} · Ünïcödé" for number in range(160)]
    rows: list[dict[str, object]] = [
        {
            **EMAIL,
            "api_name": f"Field_{number}",
            "data_type": "picklist" if number % 4 else "text",
            "length": 120,
            "unique": {},
            "pick_list_values": [
                {"display_value": word, "actual_value": f"{word} ({number})"}
                for word in accents + accents[:5]
            ]
            if number % 4
            else None,
        }
        for number in range(412)
    ]
    module = module_from_metadata("Deals", msgspec.json.encode({"fields": rows}))
    assert len(module.fields) == 412
    assert all(len(field.options) == 165 for field in module.fields if field.type is FieldType.PICKLIST)
    record = {f"Field_{number}": f"{accents[number % 160]} ({number})" for number in range(412)}
    for strict in (False, True):
        checker = Checker(module, strict_picklists=strict)
        assert checker.problems(msgspec.json.encode(record)) == ()
        wrong = msgspec.json.encode({**record, "Field_1": accents[0], "Field_2": "x" * 121})
        assert [problem.path for problem in checker.problems(wrong)] == (
            ["Field_1", "Field_2"] if strict else ["Field_2"]
        )
    assert (
        module_from_metadata("Deals", msgspec.json.encode({"fields": metadata_from_module(module)})) == module
    )
