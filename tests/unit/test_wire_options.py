"""The options of inserts: what is sent of them, byte for byte, and what is refused before there is a call."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from loader.wire import requests
from loader.wire.options import (
    APPLY_FEATURES,
    PLAIN,
    SKIP_FEATURES,
    TRIGGERS,
    InsertOptions,
    OptionError,
)

PATH = "Contacts.Account_Name.External_Account_ID"

BODIES: dict[str, tuple[InsertOptions, dict[str, Any]]] = {
    "nothing is said": (PLAIN, {}),
    "no automation": (InsertOptions(trigger=()), {"trigger": []}),
    "some automations": (
        InsertOptions(trigger=("workflow", "blueprint")),
        {"trigger": ["workflow", "blueprint"]},
    ),
    "an assignment rule": (InsertOptions(lar_id="5545974000002858122"), {"lar_id": "5545974000002858122"}),
    "a feature to apply": (
        InsertOptions(apply_features=("layout_rules",)),
        {"apply_feature_execution": [{"name": "layout_rules"}]},
    ),
    "features to leave out": (
        InsertOptions(skip_features=("cadences", "connected_workflows")),
        {"skip_feature_execution": [{"name": "cadences"}, {"name": "connected_workflows"}]},
    ),
    "a path alone": (InsertOptions(external=(PATH,)), {}),
    "all": (
        InsertOptions((), "7", ("layout_rules",), ("cadences",), (PATH,)),
        {
            "trigger": [],
            "lar_id": "7",
            "apply_feature_execution": [{"name": "layout_rules"}],
            "skip_feature_execution": [{"name": "cadences"}],
        },
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_the_body_has_the_options_that_are_set_and_no_key_for_the_others(name: str) -> None:
    options, expected = BODIES[name]
    body = requests.insert("Contacts", [b'{"a":1}', b'{"b":2}'], options).body or b""
    assert body.startswith(b'{"data":[{"a":1},{"b":2}]')
    assert json.loads(body) == {"data": [{"a": 1}, {"b": 2}], **expected}
    assert list(json.loads(body)) == ["data", *expected]


def test_without_options_the_body_is_data_and_no_byte_more() -> None:
    assert requests.insert("Leads", [b"{}"]).body == b'{"data":[{}]}'


def test_what_follows_the_records_is_made_once_a_load() -> None:
    options = InsertOptions(trigger=())
    assert options.tail is options.tail
    assert options.headers is options.headers


def test_paths_travel_in_a_header_with_commas_between_them() -> None:
    second = "Contacts.What_Id->Deals.External_Deal_ID"
    headers = requests.insert("Contacts", [b"{}"], InsertOptions(external=(PATH, second))).headers
    assert headers == {"content-type": "application/json", "X-EXTERNAL": f"{PATH},{second}"}
    assert "X-EXTERNAL" not in requests.insert("Contacts", [b"{}"]).headers


@pytest.mark.parametrize(
    "path",
    [
        PATH,
        "Quotes.Quoted_Items.Product_Name.External_Product_ID",
        "Tasks.What_Id->Deals.External_Deal_ID",
        "Quotes.Quoted_Items.Any_Lookup->Products.External_ID",
        "Appointments__s.Service_Name.Ext__c",
    ],
)
def test_a_path_leads_from_the_module_over_a_lookup_to_a_field(path: str) -> None:
    InsertOptions(external=(path,)).require_for(path.partition(".")[0])


@pytest.mark.parametrize(
    "path",
    [
        "",
        "Contacts",
        "Contacts.Account_Name",
        "A.B.C.D.E",
        "Contacts.Account_Name.",
        ".Account_Name.X",
        "Contacts..X",
        "Contacts.Account Name.X",
        "Contacts.Account_Name.X,Contacts.Y.Z",
        "Contacts.What_Id->Deals",
        "Contacts->Deals.X",
        "Contacts.What_Id.Deals->X",
        "Contacts.A.B\r\nX-Evil: 1",
        "Contacts.A.B\n",
        "Kontakte.Straße.X",
    ],
)
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(OptionError, match=r"Module\.Lookup\.Field") as caught:
        InsertOptions(external=(path,))
    assert caught.value.option == "external"


def test_a_path_of_another_module_is_refused_for_this_one() -> None:
    with pytest.raises(OptionError, match="begins with Contacts, and the records go into Leads"):
        InsertOptions(external=(PATH,)).require_for("Leads")


def option_with(option: str, words: tuple[str, ...]) -> InsertOptions:
    return msgspec.structs.replace(PLAIN, **{option: words})


@pytest.mark.parametrize(
    ("option", "known"),
    [("trigger", TRIGGERS), ("apply_features", APPLY_FEATURES), ("skip_features", SKIP_FEATURES)],
)
def test_each_known_word_is_taken_and_an_unknown_one_is_answered_with_all_of_them(
    option: str, known: tuple[str, ...]
) -> None:
    assert option_with(option, known)
    for wrong in ("workflows", "", known[0].upper(), f"{known[0]} "):
        with pytest.raises(OptionError) as caught:
            option_with(option, (known[0], wrong))
        assert caught.value.option == option
        assert ", ".join(known) in str(caught.value)
        assert repr(wrong) in str(caught.value)


@pytest.mark.parametrize("wrong", ["abc", "12 ", "1" * 20, "-1", "١٢", "1.0"])
def test_the_id_of_an_assignment_rule_is_digits(wrong: str) -> None:
    with pytest.raises(OptionError) as caught:
        InsertOptions(lar_id=wrong)
    assert caught.value.option == "lar_id"


def test_options_that_say_the_same_are_equal() -> None:
    assert InsertOptions(trigger=()) == InsertOptions(trigger=())
    assert len({InsertOptions(trigger=()), InsertOptions(trigger=()), PLAIN}) == 2
