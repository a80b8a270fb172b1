"""The vendor's own SDK against the sandbox: what it reads is what the sandbox did.

The SDK runs under its own interpreter, which the environment variable LOADER_SDK_PYTHON names; `.ci/run`
makes it. These tests are asked for with `pytest -m sdk tests/clients`. Its quirks are the client's, and so
are facts here: it reads ids of users as numbers, gives times in the zone of the machine, and drops
`details.errors`.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest

from tests import canary
from tests.clients.served import Sandbox, sandbox_with

pytestmark = [pytest.mark.sdk, pytest.mark.timeout(60)]

VARIABLE: Final = "LOADER_SDK_PYTHON"
DRIVER: Final = Path(__file__).with_name("official_sdk.py")

# Two pipelines: "Proposal" is a stage that the SDK knows and that is in one of them only.
ORGANISATION: Final = """
[[modules.Deals.layouts]]
id = "5725767000000091023"
name = "Standard"

[[modules.Deals.layouts.pipelines]]
name = "Standard (Standard)"
stages = ["Qualification", "Needs Analysis", "Closed Won", "Closed Lost"]

[[modules.Deals.layouts.pipelines]]
name = "Fleet"
stages = ["Value Proposition", "Closed Won", "Closed Lost"]

[modules.Vendors]
refuses = "NO_PERMISSION"
"""

Json = dict[str, Any]


def choice(value: str) -> Json:
    return {"$": "choice", "value": value}


def record(record_id: str) -> Json:
    return {"$": "record", "value": record_id}


class Sdk:
    """The SDK in its own process: one command at a time, and all that it answers."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, **command: Any) -> tuple[list[Json], Json]:
        """The items that the SDK found in the answer, and what it says of the call."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        items: list[Json] = []
        for line in self._process.stdout:
            answer = json.loads(line)
            if "call" in answer:
                return items, answer["call"]
            items.append(answer)
        raise AssertionError("the SDK's process ended: " + _errors_of(self._process))

    def insert(self, module: str, *records: Json, **options: Any) -> tuple[list[Json], Json]:
        return self.ask(do="insert", module=module, records=records, **options)

    def inserted(self, module: str, record: Json) -> str:
        """The id of a record that is inserted for this."""
        items, call = self.insert(module, record)
        assert call["http_status"] == 201, items
        return str(items[0]["details"]["id"])

    def read(self, module: str, record_id: str) -> Json:
        items, _ = self.ask(do="read", module=module, id=record_id)
        (item,) = items
        record: Json = item["record"]
        return record


def _errors_of(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return process.stderr.read()


@pytest.fixture(scope="session")
def interpreter() -> str:
    """The interpreter that has the SDK. Without one these tests fail: who asks for them wants them run."""
    named = os.environ.get(VARIABLE, "")
    if not named:
        pytest.fail(
            f"{VARIABLE} is not set, so the SDK cannot be run. Make its environment and name it:\n"
            "  python3 -m venv .venv-sdk && .venv-sdk/bin/pip install -r tests/clients/requirements.txt\n"
            f"  {VARIABLE}=.venv-sdk/bin/python pytest -m sdk tests/clients"
        )
    return str(Path(named).absolute())


@contextmanager
def sdk_at(sandbox: Sandbox, interpreter: str, directory: Path) -> Iterator[Sdk]:
    """The SDK, pointed at the sandbox and at nothing else: no proxy and no settings of this machine."""
    directory.mkdir()
    canary.belongs_in(directory / "tokens.csv")
    command = [interpreter, "-I", str(DRIVER), str(directory)]
    environment = {"HOME": str(directory), "NO_PROXY": "127.0.0.1"}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment, cwd=directory
    ) as process:
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps(sandbox.ready) + "\n")
            process.stdin.flush()
            yield Sdk(process)
        finally:
            process.kill()


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    organisation = tmp_path / "org.toml"
    organisation.write_text(ORGANISATION)
    flags = ("--org", str(organisation), "--unique", "Leads.Email", "--unique", "Leads.Phone")
    with sandbox_with(tmp_path, *flags, "--unique", "Contacts.Email") as served:
        yield served


@pytest.fixture
def sdk(sandbox: Sandbox, interpreter: str, tmp_path: Path) -> Iterator[Sdk]:
    with sdk_at(sandbox, interpreter, tmp_path / "sdk") as client:
        yield client


def sent(record: Mapping[str, Any]) -> Json:
    """What the SDK makes of a record on its way: its words for types are gone."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict) and "$" in value:
            return {"id": value["value"]} if value["$"] == "record" else value["value"]
        return value

    return {name: plain(value) for name, value in record.items()}


def as_sent(stored: Mapping[str, Any]) -> Json:
    """A stored record with the ids of its lookups as text: the SDK writes them as numbers or as text."""
    return {
        name: {"id": str(value["id"])} if isinstance(value, dict) else value for name, value in stored.items()
    }


def assert_applied(sandbox: Sandbox, module: str, items: list[Json], records: list[Json]) -> None:
    """Each success that the SDK read is in the apply-log, at its place, with its values, and no more."""
    successes = {
        item["details"]["id"]: (item["position"], sent(records[item["position"]]))
        for item in items
        if item["read_as"] == "SuccessResponse"
    }
    assert all(item["status"] == "success" for item in items if item["read_as"] == "SuccessResponse")
    applied = sandbox.applied(module)
    assert {key: (place, as_sent(values)) for key, (place, values) in applied.items()} == successes


LEAD: Final[Json] = {
    "Last_Name": "Lovelace",
    "First_Name": "Ada",
    "Company": "Zoë & Söhne",
    "Email": "ada@example.com",
    "Phone": "+44 20 7946 0018",
    "Lead_Source": choice("Advertisement"),
    "Annual_Revenue": 125000.5,
    "No_of_Employees": 12,
    "Email_Opt_Out": True,
    "Description": 'of two\nlines, with "quotes" and 日本語',
}


def test_leads_good_and_bad_end_as_the_sandbox_has_them(sandbox: Sandbox, sdk: Sdk) -> None:
    records = [
        LEAD,
        {"First_Name": "Nobody", "Company": "Example"},
        {"Last_Name": "Hopper", "Email": "grace@example.com"},
        {"Last_Name": "Byron", "Email": "ADA@example.com"},
        {"Last_Name": "Byron", "Email": "ada@example.com", "Phone": LEAD["Phone"]},
        {"Last_Name": "Long", "Fax": "1" * 200},
        {"Last_Name": "Wordy", "First_Name": "x" * 41},
    ]
    items, call = sdk.insert("Leads", *records, trigger=[])
    assert (call["http_status"], call["read_as"], call["items"]) == (207, "ActionWrapper", len(records))
    assert [item["code"] for item in items] == [
        "SUCCESS",
        "MANDATORY_NOT_FOUND",
        "SUCCESS",
        "DUPLICATE_DATA",
        "MULTIPLE_OR_MULTI_ERRORS",
        "INVALID_DATA",
        "INVALID_DATA",
    ]
    assert_applied(sandbox, "Leads", items, records)
    assert sandbox.inserts() == [("/crm/v8/Leads", len(records), 207)]


def test_the_sdk_reads_why_a_lead_was_refused(sandbox: Sandbox, sdk: Sdk) -> None:
    taken = sdk.inserted("Leads", LEAD)
    items, call = sdk.insert(
        "Leads",
        {"First_Name": "Nobody"},
        {"Last_Name": "Byron", "Email": LEAD["Email"]},
        {"Last_Name": "Byron", "Email": LEAD["Email"], "Phone": LEAD["Phone"]},
        {"Last_Name": "Wordy", "First_Name": "x" * 41},
    )
    missing, duplicate, several, long = items
    assert call["http_status"] == 400, "every record failed, and the verdicts are in `data` all the same"
    assert {item["read_as"] for item in items} == {"APIException"}
    assert {item["status"] for item in items} == {"error"}
    assert missing["message"] == "required field not found"
    assert missing["details"] == {"api_name": "Last_Name", "json_path": "$.data[0].Last_Name"}
    assert duplicate["message"] == "duplicate data"
    assert duplicate["details"]["api_name"] == "Email"
    assert duplicate["details"]["json_path"] == "$.data[1].Email"
    assert str(duplicate["details"]["duplicate_record"]["id"]) == str(duplicate["details"]["id"]) == taken
    assert duplicate["details"]["duplicate_record"]["module"]["api_name"] == "Leads"
    assert several["message"] == "Multiple errors in the request"
    assert several["details"] == {}, "the SDK drops details.errors"
    assert long["details"]["api_name"] == "First_Name"
    assert long["details"]["maximum_length"] == "40", "the SDK makes text of it"
    assert list(sandbox.applied("Leads")) == [taken]


def test_the_sdk_reads_back_what_it_inserted(sandbox: Sandbox, sdk: Sdk) -> None:
    items, _ = sdk.insert("Leads", LEAD)
    details = items[0]["details"]
    read = sdk.read("Leads", details["id"])
    assert {name: read[name] for name in LEAD} == sent(LEAD)
    assert str(read["id"]) == details["id"]
    ((created_time, created_by),) = sandbox.rows("SELECT created_time, created_by FROM records")
    for place in (details, read):
        assert datetime.fromisoformat(place["Created_Time"]) == datetime.fromisoformat(created_time)
        assert str(place["Created_By"]["id"]) == created_by
    assert sdk.ask(do="read", module="Leads", id=str(int(details["id"]) + 1))[1]["http_status"] == 204


def test_a_full_call_of_100_leads(sandbox: Sandbox, sdk: Sdk) -> None:
    records: list[Json] = [{"Last_Name": f"Lead {n}", "Email": f"{n // 2}@example.com"} for n in range(100)]
    items, call = sdk.insert("Leads", *records)
    assert (call["http_status"], [item["position"] for item in items]) == (207, list(range(100)))
    assert [item["code"] for item in items] == ["SUCCESS", "DUPLICATE_DATA"] * 50
    assert_applied(sandbox, "Leads", items, records)


def test_contacts_good_and_bad(sandbox: Sandbox, sdk: Sdk) -> None:
    account = sdk.inserted("Accounts", {"Account_Name": "Analytical Engines"})
    records: list[Json] = [
        {
            "Last_Name": "Somerville",
            "Email": "mary@example.com",
            "Account_Name": record(account),
            "Date_of_Birth": {"$": "date", "value": "1980-12-26"},
            "Mailing_City": "Jedburgh",
            "Lead_Source": choice("Advertisement"),
        },
        {"First_Name": "Mary", "Account_Name": record(account)},
        {"Last_Name": "Double", "Email": "MARY@example.com"},
        {"Last_Name": "No address", "Email": "nobody at example"},
    ]
    items, call = sdk.insert("Contacts", *records)
    assert call["http_status"] == 207
    assert [item["code"] for item in items] == [
        "SUCCESS",
        "MANDATORY_NOT_FOUND",
        "DUPLICATE_DATA",
        "INVALID_DATA",
    ]
    assert items[1]["details"]["api_name"] == "Last_Name"
    assert items[3]["details"]["api_name"] == "Email"
    assert_applied(sandbox, "Contacts", items, records)
    read = sdk.read("Contacts", items[0]["details"]["id"])
    assert read["Date_of_Birth"] == "1980-12-26"
    assert str(read["Account_Name"]["id"]) == account


def test_deals_good_and_bad(sandbox: Sandbox, sdk: Sdk) -> None:
    account = sdk.inserted("Accounts", {"Account_Name": "Analytical Engines"})
    contact = sdk.inserted("Contacts", {"Last_Name": "Somerville"})
    standard = choice("Standard (Standard)")
    records: list[Json] = [
        {
            "Deal_Name": "Difference engine no. 2",
            "Pipeline": standard,
            "Stage": choice("Qualification"),
            "Amount": 17000.25,
            "Closing_Date": {"$": "date", "value": "2027-03-31"},
            "Account_Name": record(account),
            "Contact_Name": record(contact),
        },
        {"Deal_Name": "Another pipeline's", "Pipeline": standard, "Stage": choice("Value Proposition")},
        {"Deal_Name": "That pipeline", "Pipeline": choice("Fleet"), "Stage": choice("Value Proposition")},
        {"Pipeline": standard, "Stage": choice("Qualification")},
    ]
    items, call = sdk.insert("Deals", *records)
    assert call["http_status"] == 207
    assert [item["code"] for item in items] == [
        "SUCCESS",
        "INVALID_DATA",
        "SUCCESS",
        "MANDATORY_NOT_FOUND",
    ]
    assert items[1]["message"] == "Pipeline doesn't contain the Stage"
    assert items[1]["details"]["api_name"] == "Stage"
    assert items[3]["details"] == {"api_name": "Deal_Name", "json_path": "$.data[3].Deal_Name"}
    assert_applied(sandbox, "Deals", items, records)
    read = sdk.read("Deals", items[0]["details"]["id"])
    assert (read["Stage"], read["Amount"], read["Closing_Date"]) == ("Qualification", 17000.25, "2027-03-31")
    assert [str(read[name]["id"]) for name in ("Account_Name", "Contact_Name")] == [account, contact]


@pytest.mark.parametrize(
    ("records", "code", "field"),
    [
        ([{"Last_Name": 5}], "TYPE ERROR", "Last_Name"),
        ([LEAD, {"Last_Name": "x", "No_of_Employees": "twelve"}], "TYPE ERROR", "No_of_Employees"),
    ],
    ids=["a number for a text", "a text for a number"],
)
def test_what_the_sdk_refuses_itself_never_reaches_the_sandbox(
    sandbox: Sandbox, sdk: Sdk, records: list[Json], code: str, field: str
) -> None:
    items, call = sdk.insert("Leads", *records)
    assert (items, call["raised"], call["code"]) == ([], "SDKException", code)
    assert call["details"]["field"] == field
    assert sandbox.inserts() == []


def test_a_call_of_101_records_is_one_item_for_the_whole_call(sandbox: Sandbox, sdk: Sdk) -> None:
    items, call = sdk.insert("Leads", *[LEAD] * 101)
    assert (call["http_status"], [item["code"] for item in items]) == (400, ["LIMIT_EXCEEDED"])
    assert sandbox.applied("Leads") == {}


def test_a_module_that_is_none_is_an_error_of_the_whole_call(sandbox: Sandbox, sdk: Sdk) -> None:
    items, call = sdk.insert("Nowhere", {"Name": "x"})
    assert (items, call["raised"], call["code"]) == ([], "SDKException", "API_EXCEPTION")
    assert call["details"]["code"] == "INVALID_MODULE"
    assert call["details"]["message"] == "the module name given seems to be invalid"
    (asked,) = sandbox.rows("SELECT path, status FROM calls WHERE status >= 400")
    assert asked == ("/crm/v8/settings/fields", 400), "it asks for the fields before it inserts"
    assert sandbox.inserts() == []


def test_a_module_that_the_user_may_not_fill_is_an_error_of_the_whole_call(
    sandbox: Sandbox, sdk: Sdk
) -> None:
    items, call = sdk.insert("Vendors", {"Vendor_Name": "x"})
    assert (items, call["http_status"], call["read_as"]) == ([], 403, "APIException")
    assert (call["status"], call["code"]) == ("error", "NO_PERMISSION")
    assert call["details"] == {"permissions": ["Crm_Implied_Create_Vendors"]}
    assert sandbox.applied("Vendors") == {}
    assert sandbox.inserts() == [("/crm/v8/Vendors", 0, 403)]


def test_an_option_that_is_none_is_one_item_for_the_whole_call(sandbox: Sandbox, sdk: Sdk) -> None:
    items, call = sdk.insert("Leads", LEAD, {"Last_Name": "Hopper"}, trigger=["wokflow"])
    assert (call["http_status"], call["read_as"], len(items)) == (400, "ActionWrapper", 1)
    assert (items[0]["code"], items[0]["details"]["json_path"]) == ("INVALID_DATA", "$.trigger[0]")
    assert sandbox.applied("Leads") == {}


@pytest.mark.parametrize(
    ("flags", "status", "code"),
    [
        (
            ("--scopes", "ZohoCRM.settings.ALL,ZohoCRM.users.READ,ZohoCRM.org.READ"),
            401,
            "OAUTH_SCOPE_MISMATCH",
        ),
        (("--fault", "429=1"), 429, "TOO_MANY_REQUESTS"),
        (("--fault", "error-500-before=1"), 500, "INTERNAL_ERROR"),
        (("--fault", "revoke-token=1"), 401, "INVALID_TOKEN"),
    ],
)
def test_a_call_that_is_refused_as_a_whole_is_read_as_one_error(
    interpreter: str, tmp_path: Path, flags: tuple[str, ...], status: int, code: str
) -> None:
    with sandbox_with(tmp_path, *flags) as sandbox, sdk_at(sandbox, interpreter, tmp_path / "sdk") as sdk:
        items, call = sdk.insert("Leads", LEAD)
        assert (items, call["read_as"], call["http_status"]) == ([], "APIException", status)
        assert (call["status"], call["code"]) == ("error", code)
        assert sandbox.applied("Leads") == {}


@pytest.mark.parametrize(
    ("switch", "good", "status"),
    [("all-failed-202", [], 202), ("mixed-200", [LEAD], 200), ("no-json-path", [LEAD], 207)],
)
def test_the_sdk_reads_each_record_whichever_way_the_sources_have_it(
    interpreter: str, tmp_path: Path, switch: str, good: list[Json], status: int
) -> None:
    with (
        sandbox_with(tmp_path, "--switch", switch) as sandbox,
        sdk_at(sandbox, interpreter, tmp_path / "sdk") as sdk,
    ):
        records = [{"First_Name": "Nobody"}, {"Company": "Nothing"}, *good]
        items, call = sdk.insert("Leads", *records)
        assert call["http_status"] == status
        assert [item["code"] for item in items] == ["MANDATORY_NOT_FOUND"] * 2 + ["SUCCESS"] * len(good)
        assert all(("json_path" in item["details"]) == (switch != "no-json-path") for item in items[:2])
        assert_applied(sandbox, "Leads", items, records)


def test_a_bare_error_of_an_option_is_read_as_one_error(interpreter: str, tmp_path: Path) -> None:
    with (
        sandbox_with(tmp_path, "--switch", "bare-option-errors") as sandbox,
        sdk_at(sandbox, interpreter, tmp_path / "sdk") as sdk,
    ):
        items, call = sdk.insert("Leads", LEAD, trigger=["wokflow"])
        assert (items, call["read_as"], call["http_status"]) == ([], "APIException", 400)
        assert (call["code"], call["details"]["json_path"]) == ("INVALID_DATA", "$.trigger[0]")
        assert sandbox.applied("Leads") == {}
