"""An organisation of its own over HTTP: the example of the reference pages, and each error that it gives."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.scenario.sandbox_client import Client, client_of

pytestmark = pytest.mark.timeout(30)

EXAMPLE = Path(__file__).parents[2] / "docs" / "reference" / "sandbox-org.toml"
FAIRS = {"id": "5725767000002734009"}
REFERRAL = "Employee Referral"


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with client_of(tmp_path, org=EXAMPLE) as client:
        yield client


def error(code: str, message: str, **details: Any) -> dict[str, Any]:
    return {"code": code, "details": details, "message": message, "status": "error"}


def place(path: str, position: int = 0) -> dict[str, str]:
    return {"api_name": path.rpartition(".")[2], "json_path": f"$.data[{position}].{path}"}


async def refusal(client: Client, module: str, record: dict[str, Any], **options: Any) -> Any:
    """What is said of a record that fails alone."""
    reply = await client.insert_into(module, record, **options)
    assert reply.status == 400, reply.body
    (item,) = reply.items
    return item


async def second_user(client: Client) -> Client:
    return await client.signed_in(refresh_token="1000.of-the-second-user.of-this-sandbox")


# --- Modules and fields -------------------------------------------------------------------------------------


async def test_a_custom_module_is_a_module_like_others(client: Client) -> None:
    record = {
        "Name": "Van",
        "Plate": "AB-17",
        "Mileage": 12.5,
        "Fuel": "EV",
        "Services_Done": [{"Done_On": "2026-01-02"}],
    }
    record_id = await client.id_of("Vehicles", record)
    stored = await client.stored("Vehicles", record_id)
    assert {name: stored[name] for name in record} == record


@pytest.mark.parametrize(
    ("changes", "code", "path"),
    [
        ({"Name": None}, "MANDATORY_NOT_FOUND", "Name"),
        ({"Plate": "X" * 13}, "INVALID_DATA", "Plate"),
        ({"Mileage": "far"}, "INVALID_DATA", "Mileage"),
        ({"Fuel": "Electric"}, "INVALID_DATA", "Fuel"),
        ({"Services_Done": [{"Done_On": "yesterday"}]}, "INVALID_DATA", "Services_Done[0].Done_On"),
        ({"Services_Done": [{"Done_On": "2026-01-02"}] * 21}, "LIMIT_EXCEEDED", "Services_Done"),
    ],
)
async def test_a_custom_field_has_its_type_and_its_limits(
    client: Client, changes: dict[str, Any], code: str, path: str
) -> None:
    item = await refusal(client, "Vehicles", {"Name": "Van"} | changes)
    assert (item["code"], item["details"]["json_path"]) == (code, f"$.data[0].{path}")


async def test_a_unique_field_may_tell_capitals_from_small_letters(client: Client) -> None:
    reply = await client.insert_into(
        "Vehicles", {"Name": "a", "Plate": "x"}, {"Name": "b", "Plate": "X"}, {"Name": "c", "Plate": "x"}
    )
    assert reply.codes == ["SUCCESS", "SUCCESS", "DUPLICATE_DATA"]


async def test_the_settings_list_modules_of_all_kinds(client: Client) -> None:
    modules = {each["api_name"]: each for each in (await client.get("settings/modules")).json["modules"]}
    assert modules["Vehicles"]["generated_type"] == "custom"
    assert modules["Vehicles"]["module_name"].startswith("CustomModule")
    assert modules["Vehicles"]["plural_label"] == "Company Vehicles"
    assert modules["Events"]["plural_label"] == "Meetings"
    assert modules["Leads"]["generated_type"] == "default"
    assert modules["Services_Done"]["generated_type"] == "subform"
    assert len({each["id"] for each in modules.values()}) == len(modules)


async def test_the_settings_describe_custom_fields_and_rows_of_subforms(client: Client) -> None:
    reply = await client.get("settings/fields?module=Vehicles")
    fields = {each["api_name"]: each for each in reply.json["fields"]}
    assert fields["Plate"]["unique"] == {"case_sensitive": True}
    assert (fields["Plate"]["length"], fields["Plate"]["custom_field"]) == (12, True)
    assert fields["Name"]["system_mandatory"] is True
    assert fields["Holder"]["lookup"]["module"]["api_name"] == "Accounts"
    assert [each["display_value"] for each in fields["Fuel"]["pick_list_values"]][-1] == "Electric"
    rows = await client.get(
        f"settings/fields?module={fields['Services_Done']['associated_module']['module']}"
    )
    assert [each["api_name"] for each in rows.json["fields"]] == ["Done_On", "Garage"]
    leads = (await client.get("settings/fields?module=Leads")).json["fields"]
    legacy = next(each for each in leads if each["api_name"] == "Legacy_Id")
    assert legacy["external"] == {"type": "user", "show": True}


async def test_the_settings_describe_layouts(client: Client) -> None:
    layouts = (await client.get("settings/layouts?module=Leads")).json["layouts"]
    assert [each["name"] for each in layouts] == ["Standard", "Fairs"]
    fields = {each["api_name"]: each for each in layouts[0]["sections"][0]["fields"]}
    assert (fields["Company"]["required"], fields["City"]["required"]) == (True, False)
    assert len(layouts[1]["sections"][0]["fields"]) == 6
    assert (await client.get("settings/layouts")).json["code"] == "REQUIRED_PARAM_MISSING"
    assert (await client.get("settings/layouts?module=Nope")).json["code"] == "INVALID_MODULE"


@pytest.mark.parametrize("module", ["Documents", "Projects"])
async def test_a_module_that_the_api_does_not_support(client: Client, module: str) -> None:
    item = await refusal(client, module, {"Name": "a"})
    assert item == error("INVALID_MODULE", "The given module is not supported in API", resource_path_index=0)


async def test_a_module_without_permission(client: Client) -> None:
    reply = await client.insert_into("Vendors", {"Vendor_Name": "a"})
    assert (reply.status, reply.json) == (
        403,
        error(
            "NO_PERMISSION",
            "Permission denied to add records",
            permissions=["Crm_Implied_Create_Vendors"],
        ),
    )
    item = await refusal(client, "Cases", {"Subject": "a"})
    words = "User does not have sufficient privilege to add records"
    assert item == error("AUTHORIZATION_FAILED", words, resource_path_index=0)


# --- Layouts ------------------------------------------------------------------------------------------------


async def test_a_layout_demands_its_fields_of_records_that_name_it(client: Client) -> None:
    assert (await client.insert({"Last_Name": "Daly"})).status == 201
    item = await refusal(client, "Leads", {"Last_Name": "Daly", "Layout": {"id": "5725767000000091055"}})
    assert item == error("MANDATORY_NOT_FOUND", "required field not found", **place("Company"))


async def test_a_layout_that_there_is_not(client: Client) -> None:
    item = await refusal(client, "Leads", {"Last_Name": "Daly", "Layout": {"id": "7"}})
    assert item == error("INVALID_DATA", "the id given seems to be invalid", **place("Layout.id"))


async def test_what_is_not_in_the_layout_is_neither_checked_nor_stored(client: Client) -> None:
    lead = {"Last_Name": "Daly", "City": 7, "Legacy_Id": "17", "State": "Texas", "Layout": FAIRS}
    first, second = [await client.id_of("Leads", lead) for _ in range(2)]
    stored = await client.stored("Leads", first)
    assert (stored["State"], stored["City"], stored["Legacy_Id"]) == ("Texas", None, None)
    assert first != second


async def test_a_layout_rule_counts_where_it_is_asked_for(client: Client) -> None:
    lead = {"Last_Name": "Daly", "Lead_Source": REFERRAL, "Layout": FAIRS}
    asked = {"apply_feature_execution": [{"name": "layout_rules"}]}
    assert (await client.insert(lead)).status == 201
    assert (await client.insert({"Last_Name": "Daly", "Lead_Source": REFERRAL}, **asked)).status == 201
    assert (await client.insert(lead | {"Lead_Source": "Trade Show"}, **asked)).status == 201
    assert (await client.insert(lead | {"Company": "ABC"}, **asked)).status == 201
    assert await refusal(client, "Leads", lead, **asked) == error(
        "MANDATORY_NOT_FOUND",
        "required field not found",
        **place("Company"),
        layout_rule={"name": "Referrals name a company", "id": "5725767000000761547"},
    )


async def test_a_stage_belongs_to_its_pipeline_and_the_pipeline_to_a_layout(client: Client) -> None:
    deal = {"Deal_Name": "Vans", "Pipeline": "Fleet", "Stage": "Offer"}
    assert (await client.insert_into("Deals", deal)).status == 201
    assert await refusal(client, "Deals", deal | {"Stage": "Qualification"}) == error(
        "INVALID_DATA", "Pipeline doesn't contain the Stage", **place("Stage")
    )
    assert await refusal(client, "Deals", deal | {"Pipeline": "Nope"}) == error(
        "INVALID_DATA", "Layout doesn't contain the Pipeline", **place("Pipeline")
    )
    assert await refusal(client, "Deals", deal | {"Pipeline": None}) == error(
        "MANDATORY_NOT_FOUND", "required field not found", **place("Pipeline")
    )


# --- Dependents, wizards, locks, services -------------------------------------------------------------------


async def test_a_field_that_needs_another_one(client: Client) -> None:
    product = {"Product_Name": "Van", "Product_Category": "Hardware"}
    assert (await client.insert_into("Products", product | {"Manufacturer": "ABC"})).status == 201
    assert (await client.insert_into("Products", {"Product_Name": "Van"})).status == 201
    assert await refusal(client, "Products", product) == error(
        "DEPENDENT_FIELD_MISSING",
        "The field 'Manufacturer' is required when 'Product_Category' is provided",
        dependee=place("Product_Category"),
        **place("Manufacturer"),
    )


WIZARD, FIRST, SECOND, UNUSED = (f"57257670000030000{number}" for number in ("01", "11", "12", "14"))
PATH = "$wizard_connection_path"


@pytest.mark.parametrize(
    ("members", "item"),
    [
        (
            {PATH: [FIRST, "5"]},
            error("INVALID_DATA", "Wizard connection id is invalid", **place(f"{PATH}[1]")),
        ),
        (
            {PATH: [SECOND, FIRST]},
            error("INVALID_DATA", "Wizard connections supplied do not form a valid path", **place(PATH)),
        ),
        (
            {PATH: [FIRST, UNUSED]},
            error("INVALID_DATA", "Wizard connections supplied do not form a valid path", **place(PATH)),
        ),
        (
            {},
            error(
                "DEPENDENT_FIELD_MISSING",
                "required field not found",
                dependee=place("Wizard"),
                **place(PATH),
            ),
        ),
        (
            {"Wizard": "5", PATH: [FIRST]},
            error("INVALID_DATA", "the id given seems to be invalid", **place("Wizard")),
        ),
    ],
)
async def test_a_way_through_a_wizard_that_there_is_not(
    client: Client, members: dict[str, Any], item: dict[str, Any]
) -> None:
    found = await refusal(client, "Leads", {"Last_Name": "Daly", "Wizard": WIZARD} | members)
    item["details"]["api_name"] = item["details"]["api_name"].removesuffix("[1]")
    assert found == item


async def test_a_way_through_a_wizard(client: Client) -> None:
    lead = {"Last_Name": "Daly", "Wizard": WIZARD, PATH: [FIRST, SECOND]}
    assert (await client.insert(lead)).status == 201


async def test_a_locked_record_is_not_to_be_linked(client: Client) -> None:
    linked = [{"Vehicle": {"id": "5"}}, {"Vehicle": {"id": "5725767000009000001"}}]
    deal = {"Deal_Name": "Vans", "Pipeline": "Fleet", "Stage": "Offer", "Test_Drives": linked}
    assert await refusal(client, "Deals", deal) == error(
        "RECORD_LOCKED",
        "Sorry, you cannot perform this operation as the record is locked.",
        **place("Test_Drives[1].Vehicle.id"),
        action="record_locking",
    )
    assert (await client.insert_into("Deals", deal | {"Test_Drives": linked[:1]})).status == 201


async def test_a_service_that_refuses(client: Client) -> None:
    campaign = {"Campaign_Name": "Spring", "Type": "Webinar"}
    item = await refusal(client, "Campaigns", campaign)
    assert (item["code"], item["details"]) == (
        "DEPENDENT_SERVICE_ERROR",
        {"dependency_error": "NO_PERMISSION"},
    )
    assert (await client.insert_into("Campaigns", campaign | {"Type": "Fair"})).status == 201


async def test_a_record_that_fails_by_the_organisations_rules_spoils_no_other(client: Client) -> None:
    reply = await client.insert_into(
        "Products",
        {"Product_Name": "a"},
        {"Product_Name": "b", "Product_Category": "Hardware"},
        {"Product_Name": 7, "Product_Category": "Hardware"},
        {"Product_Name": "d"},
    )
    assert reply.status == 207
    assert reply.codes == ["SUCCESS", "DEPENDENT_FIELD_MISSING", "INVALID_DATA", "SUCCESS"]
    assert client.count("records") == 2


# --- External ids -------------------------------------------------------------------------------------------

HEADER = "Contacts.Account_Name.Legacy_Id"
WRONG = "The external ID of the lookup field or the Price Book is incorrect"


async def test_a_lookup_by_an_external_value_refers_to_the_record_that_has_it(client: Client) -> None:
    account = await client.id_of("Accounts", {"Account_Name": "ABC", "Legacy_Id": "acct-17"})
    contact = {"Last_Name": "Daly", "Account_Name": {"Legacy_Id": " ACCT-17"}}
    reply = await client.insert_into("Contacts", contact, {"Last_Name": "Dolan"}, external=HEADER)
    assert reply.status == 201
    stored = await client.stored("Contacts", reply.items[0]["details"]["id"])
    assert stored["Account_Name"]["id"] == account
    assert client.rows("SELECT path, target_id FROM links") == [("Account_Name", int(account))]


@pytest.mark.parametrize(
    "lookup", [{"Legacy_Id": "acct-18"}, {"id": "5"}, {"Legacy_Id": None}, {"Legacy_Id": []}]
)
async def test_with_the_header_an_external_value_alone_counts(client: Client, lookup: dict[str, Any]) -> None:
    await client.id_of("Accounts", {"Account_Name": "ABC", "Legacy_Id": "acct-17"})
    item = await refusal(client, "Contacts", {"Last_Name": "Daly", "Account_Name": lookup}, external=HEADER)
    assert item == error("INVALID_DATA", WRONG, **place("Account_Name.Legacy_Id"))


async def test_without_the_header_an_id_alone_counts(client: Client) -> None:
    contact = {"Last_Name": "Daly", "Account_Name": {"Legacy_Id": "acct-17"}}
    item = await refusal(client, "Contacts", contact)
    assert item == error("MANDATORY_NOT_FOUND", "required field not found", **place("Account_Name.id"))
    both = contact | {"Account_Name": {"Legacy_Id": "acct-18", "id": "5725767000001000001"}}
    assert (await client.insert_into("Contacts", both)).status == 201


async def test_a_header_that_names_nothing_refuses_the_call(client: Client) -> None:
    reply = await client.insert_into("Contacts", {"Last_Name": "Daly"}, external="Contacts.Nope.Legacy_Id")
    assert (reply.status, reply.codes) == (400, ["INVALID_DATA"])
    assert client.count("records") == 0


async def test_a_lookup_to_several_modules_is_given_by_value_too(client: Client) -> None:
    account = await client.id_of("Accounts", {"Account_Name": "ABC", "Legacy_Id": "acct-17"})
    task = {"Subject": "Call", "$se_module": "Accounts", "What_Id": {"Legacy_Id": "acct-17"}}
    reply = await client.insert_into("Tasks", task, external="Tasks.What_Id->Accounts.Legacy_Id")
    assert reply.status == 201
    stored = await client.stored("Tasks", reply.items[0]["details"]["id"])
    assert stored["What_Id"]["id"] == account


async def test_an_external_id_of_the_organisation_is_taken_once(client: Client) -> None:
    account = {"Account_Name": "ABC", "Legacy_Id": "acct-17"}
    assert (await client.insert_into("Accounts", account)).status == 201
    other = await second_user(client)
    item = await refusal(other, "Accounts", account)
    assert item["code"] == "DUPLICATE_DATA"
    assert item["details"]["duplicate_record"]["Owner"]["name"] == "Patricia Boyle"


async def test_an_external_id_of_a_user_is_taken_once_by_each_user(client: Client) -> None:
    lead, other = {"Last_Name": "Daly", "Legacy_Id": "17"}, await second_user(client)
    assert (await client.insert(lead)).status == 201
    assert (await other.insert(lead)).status == 201
    items = [await refusal(each, "Leads", lead) for each in (client, other)]
    assert [each["code"] for each in items] == ["DUPLICATE_DATA"] * 2
    query = {"select_query": "select Last_Name from Leads where Legacy_Id in ('17')"}
    for each in (client, other):
        found = await each.call("POST", "/crm/v8/coql", json=query)
        assert found.json["info"]["count"] == 1


# --- Users --------------------------------------------------------------------------------------------------


async def test_every_user_makes_calls_in_their_own_name(client: Client) -> None:
    other = await second_user(client)
    created = (await other.insert({"Last_Name": "Daly"})).items[0]["details"]["Created_By"]
    assert created == {"name": "J Smith", "id": "5725767000000424162"}
    (user,) = (await other.get("users?type=CurrentUser")).json["users"]
    assert (user["id"], user["email"]) == (created["id"], "j.smith@example.com")
    names = [each["full_name"] for each in (await client.get("users?type=AllUsers")).json["users"]]
    assert names == ["Patricia Boyle", "J Smith"]
    (org,) = (await client.get("org")).json["org"]
    assert org["company_name"] == "Example Widgets"


async def test_several_duplicates_of_one_record_name_their_fields(client: Client) -> None:
    lead = {"Last_Name": "Daly", "Email": "a@b.cd", "Legacy_Id": "17"}
    record_id = await client.id_of("Leads", lead)
    item = await refusal(client, "Leads", lead)
    assert (item["code"], item["message"]) == ("MULTIPLE_OR_MULTI_ERRORS", "Multiple errors in the request")
    errors = item["details"]["errors"]
    assert [each["code"] for each in errors] == ["DUPLICATE_DATA"] * 2
    assert {each["details"]["api_name"] for each in errors} == {"Email", "Legacy_Id"}
    assert {each["details"]["duplicate_record"]["id"] for each in errors} == {record_id}
