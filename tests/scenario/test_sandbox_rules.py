"""The errors of the Insert Records page that standard modules give, each from a request that deserves it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.scenario.sandbox_client import Client, client_of

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with client_of(tmp_path) as client:
        yield client


def error(code: str, message: str, path: str, **details: Any) -> dict[str, Any]:
    api_name = path.rpartition(".")[2].partition("[")[0]
    place = {"api_name": api_name, "json_path": f"$.data[0].{path}"}
    return {"code": code, "details": {**details, **place}, "message": message, "status": "error"}


def dependee(name: str) -> dict[str, str]:
    return {"api_name": name, "json_path": f"$.data[0].{name}"}


SOON = "2099-01-02T09:00:00+05:30"
CALL = {"Subject": "Discussion", "Call_Type": "Outbound", "Call_Start_Time": SOON, "Call_Duration": "10:00"}
EVENT = {
    "Event_Title": "Meeting",
    "Start_DateTime": "2023-05-20T09:00:00+05:30",
    "End_DateTime": "2023-05-20T10:00:00+05:30",
    "Remind_At": [{"unit": 15, "period": "minutes"}],
}
DEAL = {"Deal_Name": "Vans", "Stage": "Qualification", "Pipeline": "Standard (Standard)"}
LINE = {"Product_Name": {"id": "3652397000000416001"}, "Quantity": 100}
EVERY_DAY = {"RRULE": "FREQ=DAILY;INTERVAL=1;DTSTART=2023-05-20;UNTIL=2023-05-28"}
INVALID = ("INVALID_DATA", "invalid data")
MISSING = ("MANDATORY_NOT_FOUND", "required field not found")

REFUSED: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "a value of another type": (
        "Leads",
        {"Last_Name": "Daly", "No_of_Employees": "many"},
        error(*INVALID, "No_of_Employees", expected_data_type="integer"),
    ),
    "a value that is too long": (
        "Leads",
        {"Last_Name": "x" * 81},
        error(*INVALID, "Last_Name", maximum_length=80),
    ),
    "an e-mail address that is none": (
        "Leads",
        {"Last_Name": "Daly", "Email": "daly at example"},
        error(*INVALID, "Email", expected_data_type="email"),
    ),
    "a mandatory field that is missing": (
        "Accounts",
        {"Phone": "9900000000"},
        error(*MISSING, "Account_Name"),
    ),
    "a probability above 100": (
        "Deals",
        DEAL | {"Probability": 101},
        error("INVALID_DATA", "Given Probability is not valid", "Probability"),
    ),
    "a stage of another pipeline": (
        "Deals",
        DEAL | {"Stage": "Somewhere"},
        error("INVALID_DATA", "Pipeline doesn't contain the Stage", "Stage"),
    ),
    "a deal without a pipeline": ("Deals", DEAL | {"Pipeline": None}, error(*MISSING, "Pipeline")),
    "a call of no duration": (
        "Calls",
        CALL | {"Call_Duration": "00:00"},
        error(
            "DEPENDENT_MISMATCH",
            "Call Duration can not be zero.",
            "Call_Duration",
            dependee=dependee("Call_Type"),
        ),
    ),
    "a call about a record of no module": (
        "Calls",
        CALL | {"What_Id": {"id": "3652397000000649013"}},
        error(*MISSING, "$se_module"),
    ),
    "an event for 51": (
        "Events",
        EVENT | {"Participants": [{"type": "email", "Email": "a@b.cd"}] * 51},
        error(
            "LIMIT_EXCEEDED",
            "Only 50 participants can be added to an event.",
            "Participants",
            maximum_length=50,
        ),
    ),
    "a recurring event without a reminder": (
        "Events",
        {name: value for name, value in EVENT.items() if name != "Remind_At"}
        | {"Recurring_Activity": EVERY_DAY},
        error(*MISSING, "Remind_At"),
    ),
    "a wizard without a way": (
        "Leads",
        {"Last_Name": "Daly", "Wizard": "3652397000003000001"},
        error(
            "DEPENDENT_FIELD_MISSING",
            "required field not found",
            "$wizard_connection_path",
            dependee=dependee("Wizard"),
        ),
    ),
    "a quote without items": ("Quotes", {"Subject": "quote"}, error(*MISSING, "Quoted_Items")),
    "an order without items": ("Sales_Orders", {"Subject": "order"}, error(*MISSING, "Ordered_Items")),
    "an invoice without items": ("Invoices", {"Subject": "invoice"}, error(*MISSING, "Invoiced_Items")),
    "a purchase without items": (
        "Purchase_Orders",
        {"Subject": "purchase", "Vendor_Name": {"id": "3652397000000416001"}},
        error(*MISSING, "Purchased_Items"),
    ),
    "a row of a subform with a value of another type": (
        "Quotes",
        {"Subject": "quote", "Quoted_Items": [LINE, LINE | {"Quantity": "many"}]},
        error(*INVALID, "Quoted_Items[1].Quantity", expected_data_type="double"),
    ),
    "an appointment that needs a job sheet": (
        "Appointments__s",
        {"Appointment_Name": "Repair", "Job_Sheet_Required": "yes"},
        error(
            "DEPENDENT_FIELD_MISSING",
            "required field not found",
            "Job_Sheet_Section__s",
            dependee=dependee("Job_Sheet_Required"),
        ),
    ),
    "a job sheet of an appointment that is not completed": (
        "Appointments__s",
        {"Appointment_Name": "Repair", "Status": "Scheduled", "Job_Sheet_Section__s": {"Note": "x"}},
        error(
            "DEPENDENT_MISMATCH",
            "dependent fields do not match",
            "Job_Sheet_Section__s",
            dependee=dependee("Status"),
        ),
    ),
    "a price for no range": (
        "Price_Books",
        {"Price_Book_Name": "Book", "Pricing_Details": [{"from_range": 1, "discount": 5}]},
        error(*MISSING, "Pricing_Details[0].to_range"),
    ),
}


@pytest.mark.parametrize(("module", "record", "item"), REFUSED.values(), ids=list(REFUSED))
async def test_what_a_standard_module_refuses(
    client: Client, module: str, record: dict[str, Any], item: dict[str, Any]
) -> None:
    reply = await client.insert_into(module, record)
    assert (reply.status, reply.items) == (400, [item])
    assert client.count("records") == 0


TAKEN: dict[str, tuple[str, dict[str, Any]]] = {
    "a new value of a picklist": ("Leads", {"Last_Name": "Daly", "Industry": "automobile"}),
    "a long integer with zeros in front": ("Leads", {"Last_Name": "Daly", "Visitor_Score": "0012345600012"}),
    "a deal": ("Deals", DEAL | {"Probability": 100}),
    "a completed call by the page's name": ("Calls", CALL | {"Outbound_Call_Status": "Completed"}),
    "a completed call by the SDK's name": ("Calls", CALL | {"Outgoing_Call_Status": "Completed"}),
    "a purchase by the page's name": (
        "Purchase_Orders",
        {"Subject": "p", "Vendor_Name": {"id": "3652397000000416001"}, "Purchased_Items": [LINE]},
    ),
    "a purchase by the SDK's name": (
        "Purchase_Orders",
        {"Subject": "p", "Vendor_Name": {"id": "3652397000000416001"}, "Purchase_Items": [LINE]},
    ),
    "a wizard of an organisation whose wizards are not known": (
        "Leads",
        {"Last_Name": "Daly", "Wizard": "3652397000003000001", "$wizard_connection_path": ["7"]},
    ),
    "a record in approval mode": ("Contacts", {"Last_Name": "Daly", "$approved": False}),
}


@pytest.mark.parametrize(("module", "record"), TAKEN.values(), ids=list(TAKEN))
async def test_what_a_standard_module_takes(client: Client, module: str, record: dict[str, Any]) -> None:
    record_id = await client.id_of(module, record)
    stored = await client.stored(module, record_id)
    for name, value in record.items():
        if not name.startswith("$"):
            assert stored[name] == value, name


# --- Recurring events and tasks -----------------------------------------------------------------------------


async def test_a_recurring_event_is_several_records_with_an_item_each(client: Client) -> None:
    reply = await client.insert_into("Events", EVENT | {"Recurring_Activity": EVERY_DAY})
    assert reply.status == 201
    assert reply.codes == ["SUCCESS"] * 9
    ids = [item["details"]["id"] for item in reply.items]
    assert len(set(ids)) == 9
    starts = [(await client.stored("Events", each))["Start_DateTime"] for each in ids]
    assert starts == [f"2023-05-{day}T09:00:00+05:30" for day in range(20, 29)]
    assert client.rows("SELECT position, count(*) FROM apply_log GROUP BY position") == [(0, 9)]
    assert client.rows("SELECT records FROM calls WHERE path LIKE '%Events' AND method = 'POST'") == [(1,)]


async def test_items_of_a_recurring_task_stand_where_the_task_stood(client: Client) -> None:
    task = {"Subject": "Call", "Due_Date": "2023-05-20"}
    rule = {"RRULE": "FREQ=WEEKLY;INTERVAL=1;COUNT=3"}
    reply = await client.insert_into("Tasks", {}, task | {"Recurring_Activity": rule}, task)
    assert reply.status == 207
    assert reply.codes == ["MANDATORY_NOT_FOUND"] + ["SUCCESS"] * 4
    assert client.rows("SELECT position FROM apply_log ORDER BY seq") == [(1,), (1,), (1,), (2,)]
