"""The built-in modules: each that the insert-records page names, with what it calls mandatory."""

from __future__ import annotations

import subprocess
import sys

import pytest

from loader.schema import fields as f
from loader.schema.fields import Field, FieldType, JsonType
from loader.schema.modules import API_NAME, SCOPE_NAME, STANDARD, standard_module

SUPPORTED = (
    "Leads",
    "Accounts",
    "Contacts",
    "Deals",
    "Campaigns",
    "Tasks",
    "Cases",
    "Meetings",
    "Calls",
    "Solutions",
    "Products",
    "Vendors",
    "Price Books",
    "Quotes",
    "Sales Orders",
    "Purchase Orders",
    "Invoices",
    "Appointments",
    "Appointments Rescheduled History",
    "Services",
)
POSSIBLE = (
    "leads",
    "accounts",
    "contacts",
    "deals",
    "campaigns",
    "tasks",
    "cases",
    "events",
    "calls",
    "solutions",
    "products",
    "vendors",
    "pricebooks",
    "quotes",
    "salesorders",
    "purchaseorders",
    "invoices",
    "appointments",
    "appointments_rescheduled_history",
    "services",
    "notes",
)

MANDATORY = {
    "Leads": {"Last_Name"},
    "Contacts": {"Last_Name"},
    "Accounts": {"Account_Name"},
    "Deals": {"Deal_Name", "Stage", "Pipeline"},
    "Tasks": {"Subject"},
    "Calls": {"Subject", "Call_Type", "Call_Start_Time", "Call_Duration"},
    "Events": {"Event_Title", "Start_DateTime", "Remind_At", "End_DateTime"},
    "Products": {"Product_Name"},
    "Quotes": {"Subject", "Quoted_Items"},
    "Invoices": {"Subject", "Invoiced_Items"},
    "Campaigns": {"Campaign_Name"},
    "Vendors": {"Vendor_Name"},
    "Price_Books": {"Price_Book_Name", "Pricing_Details"},
    "Cases": {"Case_Origin", "Status", "Subject"},
    "Solutions": {"Solution_Title"},
    "Purchase_Orders": {"Subject", "Vendor_Name", "Purchased_Items"},
    "Sales_Orders": {"Subject", "Ordered_Items"},
}
BY_RULE = {
    ("Deals", "Pipeline"): "where pipelines are enabled",
    ("Calls", "Call_Start_Time"): "for scheduled and completed calls",
    ("Calls", "Call_Duration"): "for completed calls",
    ("Events", "Remind_At"): "for recurring meetings",
    ("Purchase_Orders", "Purchased_Items"): "or Purchase_Items",
}
"""What the page's list calls mandatory and another of its sentences makes depend on the record."""

DIGITS_MAX = {
    FieldType.INTEGER: f.INTEGER_DIGITS,
    FieldType.CURRENCY: f.DOUBLE_DIGITS,
    FieldType.DOUBLE: f.DOUBLE_DIGITS,
    FieldType.PERCENT: f.PERCENT_DIGITS,
}


@pytest.mark.parametrize("name", SUPPORTED)
def test_each_supported_module_of_the_page_is_built_in(name: str) -> None:
    module = standard_module(API_NAME.get(name, name))
    assert module is not None
    assert module.api_name in STANDARD


def test_each_module_has_the_scope_word_of_the_page() -> None:
    assert sorted(SCOPE_NAME.values()) == sorted(POSSIBLE)
    for word in POSSIBLE:
        assert standard_module(API_NAME[word]) is not None


@pytest.mark.parametrize("name", STANDARD)
def test_mandatory_is_what_the_page_calls_mandatory_always(name: str) -> None:
    module = standard_module(name)
    assert module is not None
    always = {field for field in MANDATORY.get(name, set()) if (name, field) not in BY_RULE}
    assert {field.api_name for field in module.mandatory} == always
    for field in MANDATORY.get(name, set()):
        assert module.field(field) is not None, "a rule demands it"


def _and_of_rows(fields: tuple[Field, ...]) -> list[Field]:
    return [each for field in fields for each in (field, *_and_of_rows(field.subfields))]


@pytest.mark.parametrize("name", STANDARD)
def test_no_number_is_longer_than_the_page_allows_and_every_lookup_leads_to_a_module(name: str) -> None:
    module = standard_module(name)
    assert module is not None
    for field in _and_of_rows(module.fields):
        if field.type in DIGITS_MAX:
            assert field.length is not None
            assert field.length <= DIGITS_MAX[field.type], field.api_name
        if field.module:
            assert field.module in STANDARD, field.api_name


def test_both_names_of_what_the_sources_call_differently_are_fields() -> None:
    for name, fields in (
        ("Purchase_Orders", ("Purchase_Items", "Purchased_Items")),
        ("Calls", ("Outgoing_Call_Status", "Outbound_Call_Status")),
    ):
        module = standard_module(name)
        assert module is not None
        assert all(module.field(field) is not None for field in fields)


def test_possible_values_of_the_page_are_the_only_ones() -> None:
    calls = standard_module("Calls")
    assert calls is not None
    kind = calls.field("Call_Type")
    assert kind is not None
    assert kind.closed
    assert [option.value for option in kind.options] == ["Inbound", "Outbound", "Missed"]


def test_an_event_takes_fifty_participants() -> None:
    events = standard_module("Events")
    assert events is not None
    participants = events.field("Participants")
    assert participants is not None
    assert participants.items_max == 50
    assert participants.json_type is JsonType.ARRAY


def test_an_unknown_module_is_none_and_case_counts() -> None:
    assert standard_module("leads") is None
    assert standard_module("Vehicles") is None


def test_asking_for_one_module_builds_no_other() -> None:
    code = (
        "from loader.schema import modules;"
        "modules.standard_module('Deals');"
        "print(modules._built.cache_info().currsize)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "1"
