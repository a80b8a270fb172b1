"""Whatever a field of whatever module is given, the check and the sandbox say the same of it.

The check is made as a load makes it, of what the sandbox tells of its fields and layouts. Which records are
right is for `independent.py`; here it is that nothing is refused by one and taken by the other.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from loader.schema.modules import STANDARD, standard_module
from tests.contract.test_independent import checker_of
from tests.scenario.sandbox_client import client_of

Record = dict[str, Any]

ITEMS = {"Quotes": "Quoted_Items", "Sales_Orders": "Ordered_Items", "Invoices": "Invoiced_Items"}
SOUND: dict[str, Record] = {
    "Leads": {"Last_Name": "x"},
    "Contacts": {"Last_Name": "x"},
    "Accounts": {"Account_Name": "x"},
    "Deals": {"Deal_Name": "x", "Stage": "Qualification", "Pipeline": "Standard (Standard)"},
    "Campaigns": {"Campaign_Name": "x"},
    "Tasks": {"Subject": "x"},
    "Cases": {"Subject": "x", "Status": "New", "Case_Origin": "Web"},
    "Events": {
        "Event_Title": "x",
        "Start_DateTime": "2026-03-02T09:30:00+01:00",
        "End_DateTime": "2026-03-02T10:00:00+01:00",
    },
    "Calls": {"Subject": "x", "Call_Type": "Missed"},
    "Solutions": {"Solution_Title": "x"},
    "Products": {"Product_Name": "x"},
    "Vendors": {"Vendor_Name": "x"},
    "Price_Books": {
        "Price_Book_Name": "x",
        "Pricing_Details": [{"from_range": 1, "to_range": 2, "discount": 3}],
    },
    **{module: {"Subject": "x", items: [{"Quantity": 1}]} for module, items in ITEMS.items()},
    "Purchase_Orders": {"Subject": "x", "Vendor_Name": {"id": "1"}, "Purchased_Items": [{"Quantity": 1}]},
    "Appointments__s": {},
    "Appointments_Rescheduled_History__s": {},
    "Services__s": {},
    "Notes": {},
}
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 1.5, 10**16, 12345678901234567890, 0.1 + 0.2),
    *("", " ", "x", "x" * 256, "\u0000", "\u00e9" * 120, "yes", "Deals", "Completed", "Scheduled", "Inbound"),
    *("2024-02-30", "2024-02-29", "2017-08-16T14:32:23+05:30", "2017-08-16T14:32:23.000Z", "61 mins"),
    *({}, {"id": "1"}, {"id": 1}, {"id": "x"}, {"id": None}, {"name": "x"}, {"RRULE": "FREQ=DAILY;COUNT=1"}),
    *(
        [],
        [{}],
        [None],
        [1],
        ["x"],
        [{"name": "x"}],
        [{"id": "1"}],
        [{"Quantity": 1}],
        [{"type": "email"}] * 51,
    ),
)
MEMBERS = ("$approved", "$se_module", "$line_tax", "$wizard_connection_path", "Nobody_Knows")


def test_every_module_has_a_sound_record() -> None:
    assert set(SOUND) == set(STANDARD)


def records_of(module: str) -> list[Record]:
    """Each field with a third of the odd values, and records with several of them; the same in every run."""
    described = standard_module(module)
    assert described is not None
    draw = random.Random(module)
    keys = [*(field.api_name for field in described.fields), *MEMBERS]
    single = [{key: value} for key in keys for value in draw.sample(ODD, len(ODD) // 3)]
    several = [{key: draw.choice(ODD) for key in draw.sample(keys, 4)} for _ in range(60)]
    return [SOUND[module] | each for each in (*single, *several)]


@pytest.mark.parametrize("module", sorted(SOUND))
async def test_the_check_and_the_sandbox_agree_on_odd_values_in_every_field(
    module: str, tmp_path: Path
) -> None:
    records = records_of(module)
    async with client_of(tmp_path) as client:
        checker = await checker_of(client, module)
        for start in range(0, len(records), 100):
            batch = records[start : start + 100]
            items = (await client.insert_into(module, *batch)).items
            assert len(items) == len(batch)
            for number, (record, item) in enumerate(zip(batch, items, strict=True)):
                problems = checker.problems(json.dumps(record).encode())
                said = [problem.code for problem in problems[:1]] or ["SUCCESS"]
                assert said == [item["code"]], f"{record}: {problems}, {item}"
                path = item["details"].get("json_path", "")
                assert not problems or path.startswith(f"$.data[{number}].")
