from __future__ import annotations

import msgspec
import pytest

from loader.schema.fields import Field, FieldType, JsonType
from loader.schema.metadata import MetadataError, module_from_metadata

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
