from __future__ import annotations

import msgspec
import pytest

from loader.schema.fields import Field, FieldType, JsonType, Module
from loader.schema.modules import standard_module

LAST_NAME = Field("Last_Name", FieldType.TEXT, JsonType.STRING, 80, mandatory=True)
EMAIL = Field("Email", FieldType.EMAIL, JsonType.STRING, 100)
LEADS = Module("Leads", (LAST_NAME, EMAIL))


def test_a_word_that_this_version_does_not_know_is_other() -> None:
    assert FieldType("hologram") is FieldType.OTHER
    assert JsonType("jsonb") is JsonType.OTHER


@pytest.mark.parametrize(
    ("type_", "json_type"),
    [
        (FieldType.BIGINT, JsonType.STRING),  # a long integer travels in quotes
        (FieldType.PERCENT, JsonType.DOUBLE),
        (FieldType.INTEGER, JsonType.INTEGER),
        (FieldType.LAYOUT, JsonType.OBJECT),
        (FieldType.SUBFORM, JsonType.ARRAY),
        (FieldType.OTHER, JsonType.OTHER),
    ],
)
def test_a_type_knows_its_usual_json(type_: FieldType, json_type: JsonType) -> None:
    assert type_.json_type is json_type


def test_a_field_is_found_by_its_exact_name() -> None:
    assert LEADS.field("Email") is EMAIL
    assert LEADS.field("email") is None


def test_a_field_that_no_insert_may_set_is_never_mandatory() -> None:
    read_only = Field("Number", FieldType.TEXT, JsonType.STRING, mandatory=True, creatable=False)
    assert Module("Cases", (LAST_NAME, read_only)).mandatory == (LAST_NAME,)


def test_with_unique_changes_a_copy_and_no_other_field() -> None:
    changed = LEADS.with_unique("Email")
    assert changed.field("Email") == msgspec.structs.replace(EMAIL, unique=True)
    assert changed.field("Last_Name") == LAST_NAME
    assert LEADS.field("Email") == EMAIL
    with pytest.raises(KeyError, match="Nothing"):
        LEADS.with_unique("Nothing")


def test_with_external_makes_a_field_unique_or_adds_a_text_field() -> None:
    changed = LEADS.with_external("Email").field("Email")
    assert changed is not None
    assert changed.unique
    assert changed.external
    added = LEADS.with_external("Legacy_Id").field("Legacy_Id")
    assert added is not None
    assert (added.type, added.external, added.unique) == (FieldType.TEXT, True, True)


def test_a_field_named_twice_makes_no_module() -> None:
    with pytest.raises(ValueError, match="names a field twice"):
        Module("Leads", (EMAIL, EMAIL))


def test_leads_are_built_in_and_only_the_last_name_is_mandatory() -> None:
    leads = standard_module("Leads")
    assert leads is not None
    assert [field.api_name for field in leads.mandatory] == ["Last_Name"]
    assert not any(field.unique or field.external for field in leads.fields)
    assert len(leads.fields) == 65
    tag = leads.field("Tag")
    assert tag is not None
    assert (tag.type, tag.json_type) == (FieldType.TEXT, JsonType.ARRAY)


def test_a_module_that_is_not_built_in_is_none() -> None:
    assert standard_module("leads") is None
    assert standard_module("Vehicles") is None
