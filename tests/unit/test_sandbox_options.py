"""What stands parallel to the records, X-EXTERNAL, and what the API says where it cannot be."""

from typing import Any

import pytest

from loader.sandbox.answers import Answer
from loader.sandbox.externals import ExternalPath, external_paths
from loader.sandbox.options import Options, options_of
from loader.schema.fields import Field, FieldType, JsonType, Module
from loader.wire.options import APPLY_FEATURES, SKIP_FEATURES, TRIGGERS


@pytest.mark.parametrize(
    "given",
    [
        {"trigger": []},
        {"trigger": list(TRIGGERS)},
        {"trigger": None, "lar_id": None},
        {"lar_id": "3652397000002045001"},
        {"apply_feature_execution": []},
        {"apply_feature_execution": [{"name": "range_validation"}]},
        {"skip_feature_execution": [{"name": name, "action": "insert"} for name in SKIP_FEATURES]},
    ],
)
def test_options_that_change_nothing_here(given: dict[str, Any]) -> None:
    assert options_of(**given) == Options()


def test_layout_rules_are_applied_when_they_are_asked_for() -> None:
    given = [{"name": name} for name in APPLY_FEATURES]
    assert options_of(apply_feature_execution=given) == Options(layout_rules=True)


INVALID = ("INVALID_DATA", "invalid data")
MISSING = ("MANDATORY_NOT_FOUND", "required field not found")


@pytest.mark.parametrize(
    ("given", "error", "details"),
    [
        (
            {"skip_feature_execution": [{"name": "cadence"}]},
            INVALID,
            {
                "api_name": "name",
                "json_path": "$.skip_feature_execution[0].name",
                "supported_values": list(SKIP_FEATURES),
            },
        ),
        (
            {"apply_feature_execution": [{"name": "layout_rules"}, {"name": 7}]},
            INVALID,
            {
                "api_name": "name",
                "json_path": "$.apply_feature_execution[1].name",
                "supported_values": list(APPLY_FEATURES),
            },
        ),
        (
            {"skip_feature_execution": [{}]},
            MISSING,
            {"api_name": "name", "json_path": "$.skip_feature_execution[0].name"},
        ),
        (
            {"apply_feature_execution": [{"name": None}]},
            MISSING,
            {"api_name": "name", "json_path": "$.apply_feature_execution[0].name"},
        ),
        (
            {"skip_feature_execution": "cadences"},
            INVALID,
            {
                "expected_data_type": "jsonarray",
                "api_name": "skip_feature_execution",
                "json_path": "$.skip_feature_execution",
            },
        ),
        (
            {"skip_feature_execution": ["cadences"]},
            INVALID,
            {
                "expected_data_type": "jsonobject",
                "api_name": "skip_feature_execution",
                "json_path": "$.skip_feature_execution[0]",
            },
        ),
        (
            {"trigger": ["workflow", "nothing"]},
            INVALID,
            {"api_name": "trigger", "json_path": "$.trigger[1]", "supported_values": list(TRIGGERS)},
        ),
        (
            {"trigger": "workflow"},
            INVALID,
            {"expected_data_type": "jsonarray", "api_name": "trigger", "json_path": "$.trigger"},
        ),
        (
            {"lar_id": 7},
            INVALID,
            {"expected_data_type": "text", "api_name": "lar_id", "json_path": "$.lar_id"},
        ),
        (
            {"lar_id": "first rule"},
            ("INVALID_DATA", "the id given seems to be invalid"),
            {"api_name": "lar_id", "json_path": "$.lar_id"},
        ),
    ],
)
def test_an_option_that_cannot_be(
    given: dict[str, Any], error: tuple[str, str], details: dict[str, Any]
) -> None:
    assert options_of(**given) == {
        "code": error[0],
        "details": details,
        "message": error[1],
        "status": "error",
    }


# --- X-EXTERNAL ---------------------------------------------------------------------------------------------


def text(name: str, *, external: bool = False) -> Field:
    return Field(name, FieldType.TEXT, JsonType.STRING, 255, unique=external, external=external)


def lookup(name: str, module: str, type_: FieldType = FieldType.LOOKUP, link: str = "") -> Field:
    return Field(name, type_, type_.json_type, module=module, link=link)


ACCOUNTS = Module("Accounts", (text("Account_Name"), text("Legacy_Id", external=True)))
QUOTES = Module(
    "Quotes",
    (
        lookup("Account_Name", "Accounts"),
        lookup("What_Id", ""),
        lookup("Partners", "Accounts", FieldType.MULTISELECTLOOKUP, "Partner"),
        Field(
            "Quoted_Items",
            FieldType.SUBFORM,
            JsonType.ARRAY,
            subfields=(lookup("Product_Name", "Accounts"), text("Note")),
        ),
        text("Subject"),
    ),
)


def paths(header: str) -> Any:
    return external_paths(header, QUOTES, lambda name: ACCOUNTS if name == "Accounts" else None)


@pytest.mark.parametrize(
    ("word", "lookup"),
    [
        ("Quotes.Account_Name.Legacy_Id", "Account_Name"),
        ("Quotes.What_Id->Accounts.Legacy_Id", "What_Id"),
        ("Quotes.Quoted_Items.Product_Name.Legacy_Id", "Quoted_Items.Product_Name"),
        ("Quotes.Quoted_Items.Product_Name->Accounts.Legacy_Id", "Quoted_Items.Product_Name"),
        ("Quotes.Partners.Partner.Legacy_Id", "Partners.Partner"),
    ],
)
def test_a_path_of_the_header(word: str, lookup: str) -> None:
    assert paths(word) == {lookup: ExternalPath(lookup, "Accounts", "Legacy_Id")}


def test_several_paths_stand_in_one_header() -> None:
    assert set(paths("Quotes.Account_Name.Legacy_Id, Quotes.What_Id->Accounts.Legacy_Id,")) == {
        "Account_Name",
        "What_Id",
    }


@pytest.mark.parametrize(
    "word",
    [
        "Account_Name.Legacy_Id",
        "Quotes",
        "Deals.Account_Name.Legacy_Id",
        "Quotes.Nope.Legacy_Id",
        "Quotes.Subject.Legacy_Id",
        "Quotes.Account_Name.Account_Name",
        "Quotes.Account_Name.Nope",
        "Quotes.What_Id.Legacy_Id",
        "Quotes.What_Id->Nope.Legacy_Id",
        "Quotes.Quoted_Items.Note.Legacy_Id",
        "Quotes.Quoted_Items.Nope.Legacy_Id",
        "Quotes.Partners.Other.Legacy_Id",
        "Quotes.Subject.Product_Name.Legacy_Id",
        "a b",
    ],
)
def test_a_header_that_names_what_is_not_there_is_refused(word: str) -> None:
    answer = paths(f"Quotes.Account_Name.Legacy_Id,{word}")
    assert isinstance(answer, Answer)
    assert answer.status == 400
    assert b"The value of the external field is invalid." in answer.body
