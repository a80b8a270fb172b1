"""The check and the sandbox accept a record if and only if a second opinion, written from the page, does.

The check is made as a load makes it: of the fields and layouts that the sandbox tells.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loader.schema.check import Checker
from loader.schema.layouts import layouts_from_metadata, with_layouts
from loader.schema.metadata import module_from_metadata, with_subfields
from tests.contract import independent as opinion
from tests.scenario.sandbox_client import Client, client_of

ORGANISATION = Path(__file__).parents[2] / "docs" / "samples" / "organisation.toml"
Record = dict[str, Any]

BOUNDED = settings(
    max_examples=int(os.environ.get("CONTRACT_EXAMPLES", "40")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest_asyncio.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with client_of(tmp_path, org=ORGANISATION) as each:
        yield each


async def checker_of(client: Client, name: str) -> Checker:
    """A check of the fields and layouts that the sandbox tells."""
    module = module_from_metadata(name, (await client.get(f"settings/fields?module={name}")).body)
    rows = {
        field.api_name: module_from_metadata(
            field.module, (await client.get(f"settings/fields?module={field.module}")).body
        )
        for field in module.fields
        if field.type == "subform" and field.module
    }
    layouts = layouts_from_metadata(name, (await client.get(f"settings/layouts?module={name}")).body)
    return Checker(with_layouts(with_subfields(module, rows), layouts))


async def _agree(
    client: Client, name: str, records: list[Record], takes: Callable[[Mapping[str, Any]], bool]
) -> None:
    checker = await checker_of(client, name)
    reply = await client.insert_into(name, *records)
    assert len(reply.items) == len(records)
    for record, item in zip(records, reply.items, strict=True):
        said = takes(record)
        problems = checker.problems(json.dumps(record).encode())
        assert (not problems) == said, f"the check says {problems or 'good'} of {record}"
        assert (item["status"] == "success") == said, f"the sandbox says {item} of {record}"


def sometimes(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[Record]:
    """An object with some of these members."""
    return st.fixed_dictionaries({}, optional=members)


anything = st.sampled_from([None, True, False, 0, 7, -3, 1.5, "", " ", "x", [], [1], ["x"], {}, {"a": 1}])
words = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["ada@example.com", "+49 30 123", "www.example.com", "x" * 255, "x" * 256, "2026-02-30"]),
)


def text_around(alphabet: str, *samples: str) -> st.SearchStrategy[str]:
    """Samples, and short texts of the characters that matter to a pattern."""
    return st.one_of(st.sampled_from(samples), st.text(alphabet=alphabet, max_size=14))


emails = text_around(
    "ab1@.-_+é ",
    "ada@example.com",
    "a@b.co",
    "zoë@éx.com",
    "a@-b.com",
    "a@b..com",
    "@b.com",
    "a" * 95 + "@b.com",
)
phones = text_around("0a ()+-.,;#", "+44 20 7946 0958", "91(987)654321", "-1", "12,3#4#", "1" * 31)
urls = text_around(
    "aw.:/?-# ", "https://www.example.com", "example.com/?q=1", "localhost", "http://", "www.a.b"
)
dates = st.one_of(
    st.dates().map(str), st.sampled_from(["2024-02-29", "2023-02-29", "1968", "2026-1-1", "0000-01-01"])
)
moments = st.one_of(
    st.builds(
        "{}T{:02}:{:02}:{:02}{}".format,
        dates,
        st.integers(0, 25),
        st.integers(0, 61),
        st.integers(0, 61),
        st.sampled_from(["", "Z", "+05:30", "-11:00", "+24:00", ".240Z", "+0530", "+05:61"]),
    ),
    dates,
)
numbers = st.one_of(
    st.integers(-(10**18), 10**18),
    st.sampled_from([0, -1, 999_999_999, 10**9, 99_999, 100_000, 10**16 - 1, 10**16, 1.5, -0.25]),
    # Of nine decimals and of ten; those that end in a zero have nine.
    st.builds(
        "{}.{:0{}}".format, st.integers(0, 10**6), st.integers(0, 10**9 - 1), st.sampled_from([9, 10])
    ).map(float),
    st.sampled_from([0.1 + 0.2, 1e-9, 1e-10, 123456.123456789]),
)
ids = st.sampled_from(["5725767000000410001", "1", "x", "", "12345678901234567890"])
references = st.one_of(
    ids.map(lambda one: {"id": one}),
    st.sampled_from([{"id": 7}, {"id": -7}, {"id": 10**19}, {"id": 0.5}, "Ada"]),
    st.sampled_from([{}, {"name": "Ada"}, {"id": None}, {"id": None, "name": "Ada"}]),
)


def lists(*items: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.one_of(*items), max_size=3)


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "Small": words,
    "Notes": st.one_of(words, st.sampled_from(["x" * 2000, "x" * 2001])),
    "Contact": emails,
    "Hotline": phones,
    "Page": urls,
    "Colour": words,
    "Extras": lists(words, anything),
    "Built": dates,
    "Seen": moments,
    "Doors": numbers,
    "Price": numbers,
    "Length": numbers,
    "Discount": numbers,
    "Chassis": st.one_of(
        st.integers(-(10**19), 10**19).map(str), st.sampled_from(["", "x", "-1", "0" * 18, "0" * 19])
    ),
    "Runs": st.booleans(),
    "Customer": references,
    "Driver": references,
    "Owners": lists(references.map(lambda one: {"Owners": one}), anything),
    "Mechanics": lists(references.map(lambda one: {"Mechanics": one}), anything),
    "Photos": lists(words.map(lambda one: {"File_Id__s": one}), anything),
    "Papers": lists(words.map(lambda one: {"File_Id__s": one}), anything),
    "Repairs": lists(sometimes(Part=words, Cost=numbers), anything),
    "Tag": lists(words.map(lambda one: {"name": one}), anything),
}
assert set(VALUES) | {"Name"} == set(opinion.VEHICLES)


def one_field() -> st.SearchStrategy[Record]:
    """A name, and one field with a value that is good, nearly good, or of any other type."""
    return st.sampled_from(sorted(VALUES)).flatmap(
        lambda key: st.one_of(VALUES[key], anything).map(lambda value: {"Name": "Beetle", key: value})
    )


vehicles = st.lists(
    st.one_of(one_field(), sometimes(Name=st.one_of(words, anything)), sometimes(**VALUES)),
    min_size=20,
    max_size=50,
)


@BOUNDED
@given(records=vehicles)
async def test_every_type_of_field(client: Client, records: list[Record]) -> None:
    await _agree(client, "Vehicles", records, opinion.takes_vehicle)


calls = sometimes(
    Subject=st.sampled_from(["Discussion", "", None]),
    Call_Type=st.sampled_from(["Inbound", "Outbound", "Missed", "Sideways", "", None]),
    Call_Start_Time=st.sampled_from(["2021-02-23T13:30:00+05:30", None]),
    Call_Duration=st.sampled_from(["10:00", "00:00", "0", "00:10", "", None]),
    Outbound_Call_Status=st.sampled_from(["Completed", "Perhaps", None]),
    What_Id=st.sampled_from([{"id": "1"}, None]),
    **{"$se_module": st.sampled_from(["Deals", None])},
)
deals = sometimes(
    Deal_Name=st.sampled_from(["Mega Deal", " ", None]),
    Stage=st.sampled_from(["Qualification", "Closed Won", "Nowhere", "", None]),
    Pipeline=st.sampled_from(["Standard (Standard)", "Other", "", None]),
    Probability=st.sampled_from([0, 100, 60.5, 101, -1, None]),
    Contact_Name=references,
    Account_Name=references,
)
events = sometimes(
    Event_Title=st.sampled_from(["Review", "", None]),
    Start_DateTime=moments,
    End_DateTime=moments,
    Participants=st.integers(0, 52).map(lambda count: [{"type": "email", "Email": "a@example.com"}] * count),
    Recurring_Activity=st.sampled_from([None, {"RRULE": "FREQ=DAILY;INTERVAL=1;DTSTART=2026-03-02;COUNT=1"}]),
    Remind_At=st.sampled_from(
        [
            None,
            [{"unit": 15, "period": "minutes"}],
            [{"unit": 60, "period": "mins"}, {"unit": 0, "period": "weeks"}],
            [{"unit": 61, "period": "mins"}],
            {"unit": 1, "period": "fortnights"},
            "15 mins",
            "2 hrs",
            "61 days",
            "3 moons",
            "2026-03-02T09:00:00Z",
            5,
        ]
    ),
)
price_books = sometimes(
    Price_Book_Name=st.sampled_from(["Retail", "", None]),
    Pricing_Details=st.one_of(
        lists(
            sometimes(from_range=st.just(1), to_range=st.just(10), discount=st.sampled_from([5, 7.5, "five"]))
        ),
        st.just("none"),
    ),
)
tasks = sometimes(
    Subject=st.sampled_from(["Call back", "x" * 255, "", None]),
    Recurring_Activity=st.sampled_from(
        [None, {"RRULE": "FREQ=DAILY;INTERVAL=1;COUNT=1"}, {"RRULE": "INTERVAL=1"}, {}, "FREQ=DAILY"]
    ),
    Remind_At=st.one_of(
        st.sampled_from([None, {}, 5, True]),
        lists(
            sometimes(
                ACTION=st.sampled_from(["EMAIL", "POPUP", "SMS", None]),
                TRIGGER=st.sampled_from(
                    ["2026-03-02T09:00:00+01:00", "-P1D", "-P6D", "-P7D", "-P3W", "-P4W", "soon", 5, None]
                ),
                TRIGGER_TIME=st.sampled_from(["10:30", "23:59", "24:00", "10:60", 10, None]),
            )
        ),
    ),
)
quotes = sometimes(
    Subject=st.sampled_from(["quote v6", "", None]),
    Quoted_Items=st.one_of(
        lists(sometimes(Product_Name=references, Quantity=numbers), anything), st.just("none")
    ),
)
orders = sometimes(
    Subject=st.sampled_from(["order", "", None]),
    Vendor_Name=st.one_of(references, st.none()),
    Purchased_Items=st.sampled_from([None, [], [{"Quantity": 1}]]),
    Purchase_Items=st.sampled_from([None, [], [{"Quantity": 1}]]),
)
appointments = sometimes(
    Status=st.sampled_from(["Scheduled", "Completed", None]),
    Job_Sheet_Required=st.sampled_from(["yes", "no", None]),
    Job_Sheet_Section__s=st.sampled_from([None, {}, {"Job_Sheet_Name__s": "x"}, [{"a": 1}], []]),
)
leads = sometimes(
    Last_Name=st.sampled_from(
        ["Daly", "x" * 80, "x" * 81, "\u00e9" * 80, "\U0001f600" * 80, " ", "", None, 5]
    ),
    Company=st.sampled_from(["ABC", "x" * 200, "x" * 201, None]),
    Email=st.one_of(emails, anything),
    Phone=st.one_of(phones, anything),
    Website=st.one_of(urls, anything),
    No_of_Employees=numbers,
    Annual_Revenue=numbers,
    Description=st.sampled_from(["x" * 32_000, "x" * 32_001]),
    Email_Opt_Out=anything,
    Owner=references,
    **{"$approved": anything},
)
SOUND: dict[str, Record] = {
    "Tasks": {"Subject": "x"},
    "Quotes": {"Subject": "x", "Quoted_Items": [{"Quantity": 1}]},
    "Purchase_Orders": {"Subject": "x", "Vendor_Name": {"id": "1"}, "Purchased_Items": [{"Quantity": 1}]},
    "Appointments__s": {"Job_Sheet_Required": "no"},
    "Leads": {"Last_Name": "Daly"},
    "Calls": {"Subject": "x", "Call_Type": "Outbound", "Call_Start_Time": "2021-02-23T13:30:00+05:30"},
    "Deals": {"Deal_Name": "x", "Stage": "Qualification", "Pipeline": "Standard (Standard)"},
    "Events": {
        "Event_Title": "x",
        "Start_DateTime": "2026-03-02T09:30:00+01:00",
        "End_DateTime": "2026-03-02T10:00:00+01:00",
    },
    "Price_Books": {
        "Price_Book_Name": "x",
        "Pricing_Details": [{"from_range": 1, "to_range": 2, "discount": 3}],
    },
}
OPINIONS = {
    "Tasks": (tasks, opinion.takes_task),
    "Quotes": (quotes, opinion.takes_quote),
    "Purchase_Orders": (orders, opinion.takes_purchase_order),
    "Appointments__s": (appointments, opinion.takes_appointment),
    "Leads": (leads, opinion.takes_lead),
    "Calls": (calls, opinion.takes_call),
    "Deals": (deals, opinion.takes_deal),
    "Events": (events, opinion.takes_event),
    "Price_Books": (price_books, opinion.takes_price_book),
}


@pytest.mark.parametrize("module", sorted(OPINIONS))
@BOUNDED
@given(data=st.data())
async def test_rules_of_standard_modules(client: Client, module: str, data: st.DataObject) -> None:
    members, takes = OPINIONS[module]
    # Half of the records change a good one; most of the others lack something.
    changed = members.map(lambda record: SOUND[module] | record)
    records = data.draw(st.lists(st.one_of(members, changed), min_size=10, max_size=30))
    await _agree(client, module, records, takes)


@pytest.mark.parametrize("module", sorted(SOUND))
def test_the_second_opinion_takes_what_is_good_and_not_everything(module: str) -> None:
    _, takes = OPINIONS[module]
    assert takes(SOUND[module])
    if module != "Appointments__s":  # no source says what is mandatory there
        assert not takes({})
