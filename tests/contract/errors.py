"""Each error of the insert-records page, and of the pages around it, with a request that deserves it.

Codes, statuses and messages are the page's ("Possible Errors"), or of the vendor's published examples and of
captured answers. The organisation is the documentation's own example.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from tests.scenario.sandbox_client import Client, Reply

Send = Callable[[Client], Awaitable[Reply]]

LEAD = {"Last_Name": "Daly"}
DEAL = {"Deal_Name": "Vans", "Pipeline": "Standard (Standard)", "Stage": "Qualification"}
CALL = {
    "Subject": "Discussion",
    "Call_Type": "Outbound",
    "Call_Start_Time": "2021-02-23T13:30:00+05:30",
    "Outbound_Call_Status": "Completed",
    "Call_Duration": "10:00",
}
EVENT = {
    "Event_Title": "Review",
    "Start_DateTime": "2026-03-02T09:30:00+01:00",
    "End_DateTime": "2026-03-02T10:00:00+01:00",
}
WIZARD = "5725767000003000001"
PATH = "$wizard_connection_path"
FIRST, SECOND = "5725767000003000011", "5725767000003000012"


class Deserved(NamedTuple):
    """An error, and a request that gets it."""

    code: str
    status: int
    message: str
    """Empty: the page has no words for it."""
    send: Send
    details: tuple[str, ...] = ()
    """Members that `details` has."""
    why: str = ""
    """What deserves it, where the words do not say so."""


def insert(module: str, *records: Any, **body: Any) -> Send:
    """An insert of these records."""
    return lambda client: client.insert_into(module, *records, **body)


def call(method: str, path: str, **arguments: Any) -> Send:
    """Any call."""
    return lambda client: client.call(method, path, **arguments)


async def twice(client: Client) -> Reply:
    """The same e-mail address again."""
    await client.insert_into("Leads", LEAD | {"Email": "daly@example.com"})
    return await client.insert_into("Leads", LEAD | {"Email": "Daly@example.com"})


async def twice_over(client: Client) -> Reply:
    """The same e-mail address and the same external id again."""
    lead = LEAD | {"Email": "daly@example.com", "Legacy_Id": "17"}
    await client.insert_into("Leads", lead)
    return await client.insert_into("Leads", lead)


PLACE = ("api_name", "json_path")

DESERVED = (
    Deserved(
        "INVALID_MODULE",
        400,
        "The module name given seems to be invalid",
        insert("Nope", LEAD),
        ("resource_path_index",),
    ),
    Deserved(
        "INVALID_MODULE", 400, "The given module is not supported in API", insert("Documents", {"Name": "x"})
    ),
    Deserved(
        "INVALID_DATA",
        400,
        "Given Probability is not valid",
        insert("Deals", DEAL | {"Probability": 101}),
        PLACE,
    ),
    Deserved(
        "INVALID_DATA",
        400,
        "Pipeline doesn't contain the Stage",
        insert("Deals", DEAL | {"Stage": "Offer"}),
        PLACE,
    ),
    Deserved(
        "INVALID_DATA",
        400,
        "Layout doesn't contain the Pipeline",
        insert("Deals", DEAL | {"Pipeline": "x"}),
        PLACE,
    ),
    Deserved("MULTIPLE_OR_MULTI_ERRORS", 400, "Multiple errors in the request", twice_over, ("errors",)),
    Deserved(
        "INVALID_DATA",
        400,
        "Wizard connections supplied do not form a valid path",
        insert("Leads", LEAD | {"Wizard": WIZARD, PATH: [SECOND, FIRST]}),
    ),
    Deserved(
        "INVALID_DATA",
        400,
        "Wizard connection id is invalid",
        insert("Leads", LEAD | {"Wizard": WIZARD, PATH: [FIRST, "5"]}),
    ),
    Deserved(
        "DEPENDENT_FIELD_MISSING",
        400,
        "Required field not found",
        insert("Leads", LEAD | {"Wizard": WIZARD}),
        (*PLACE, "dependee"),
        why="a wizard without $wizard_connection_path",
    ),
    Deserved(
        "DEPENDENT_FIELD_MISSING",
        400,
        "Required field not found",
        insert("Appointments__s", {"Appointment_Name": "Repair", "Job_Sheet_Required": "yes"}),
        (*PLACE, "dependee"),
        why="Job_Sheet_Required is yes and there is no job sheet",
    ),
    Deserved(
        "DEPENDENT_SERVICE_ERROR",
        400,
        "",
        insert("Campaigns", {"Campaign_Name": "Spring", "Type": "Webinar"}),
        ("dependency_error",),
        why="a service that campaigns depend on",
    ),
    Deserved(
        "INVALID_DATA",
        400,
        "Invalid Data",
        insert("Leads", LEAD | {"No_of_Employees": "12"}),
        (*PLACE, "expected_data_type"),
        why="a value of another type",
    ),
    Deserved(
        "INVALID_DATA",
        400,
        "Invalid Data",
        insert("Leads", {"Last_Name": "x" * 81}),
        (*PLACE, "maximum_length"),
        why="a value longer than the field",
    ),
    Deserved(
        "INVALID_DATA",
        400,
        "",
        insert("Leads", LEAD, skip_feature_execution=[{"name": "naps"}]),
        (*PLACE, "supported_values"),
        why="a wrong name in skip_feature_execution",
    ),
    Deserved(
        "MANDATORY_NOT_FOUND",
        400,
        "",
        insert("Leads", LEAD, skip_feature_execution=[{}]),
        PLACE,
        why="no name in skip_feature_execution",
    ),
    Deserved(
        "MANDATORY_NOT_FOUND", 400, "Required field not found", insert("Leads", {"City": "Austin"}), PLACE
    ),
    Deserved(
        "DEPENDENT_MISMATCH",
        400,
        "",
        insert(
            "Appointments__s",
            {
                "Appointment_Name": "Repair",
                "Status": "Scheduled",
                "Job_Sheet_Section__s": {"Job_Sheet_Name__s": "x"},
            },
        ),
        why="a job sheet of an appointment that is not completed",
    ),
    Deserved(
        "INVALID_URL_PATTERN",
        404,
        "Please check if the URL trying to access is a correct one",
        call("POST", "/crm/v8/a/b/c/d"),
    ),
    Deserved(
        "NO_PERMISSION",
        403,
        "",
        insert("Vendors", {"Vendor_Name": "Carpenter"}),
        ("permissions",),
        why="permission denied to add records",
    ),
    Deserved(
        "INVALID_REQUEST_METHOD",
        400,
        "The http request method type is not a valid one",
        call("PATCH", "/crm/v8/Leads"),
    ),
    Deserved(
        "AUTHORIZATION_FAILED",
        400,
        "",
        insert("Cases", {"Subject": "It squeaks", "Status": "New", "Case_Origin": "Web"}),
        why="no privilege to add records",
    ),
    Deserved("DUPLICATE_DATA", 400, "duplicate data", twice, (*PLACE, "id", "duplicate_record")),
    Deserved(
        "LIMIT_EXCEEDED",
        400,
        "Only 50 participants can be added to an event",
        insert("Events", EVENT | {"Participants": [{"type": "email", "Email": "a@example.com"}] * 51}),
    ),
    Deserved(
        "LIMIT_EXCEEDED",
        400,
        "count of records in your request exceeds the limit",
        insert("Leads", *[LEAD] * 101),
        ("maximum_length", "api_name"),
    ),
    Deserved(
        "RECORD_LOCKED",
        400,
        "Sorry, you cannot perform this operation as the record is locked",
        insert("Deals", DEAL | {"Test_Drives": [{"Vehicle": {"id": "5725767000009000001"}}]}),
    ),
    Deserved(
        "DEPENDENT_MISMATCH",
        400,
        "Call Duration can not be zero",
        insert("Calls", CALL | {"Call_Duration": "00:00"}),
    ),
    Deserved(
        "INVALID_DATA",
        400,
        "the id given seems to be invalid",
        insert("Contacts", LEAD | {"Account_Name": {"id": "x"}}),
        PLACE,
    ),
    Deserved("INVALID_DATA", 400, "body", call("POST", "/crm/v8/Leads", data=b"[]"), ("expected_data_type",)),
    Deserved(
        "AUTHENTICATION_FAILURE",
        401,
        "Authentication failed",
        call("POST", "/crm/v8/Leads", data=b"{}", headers={}),
    ),
    Deserved(
        "INVALID_TOKEN",
        401,
        "invalid oauth token",
        call("POST", "/crm/v8/Leads", data=b"{}", headers={"Authorization": "Zoho-oauthtoken 1000.x.y"}),
    ),
)
