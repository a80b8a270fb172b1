"""Editions, scopes and switches over HTTP."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from loader.errors import UsageError
from loader.sandbox.app import SandboxSettings, running
from loader.sandbox.switches import Switch
from loader.wire.editions import EDITIONS, credits_of
from tests.scenario.sandbox_client import Client, client_of

pytestmark = pytest.mark.timeout(30)


def lead(**members: Any) -> dict[str, Any]:
    return {"Last_Name": "Daly"} | members


# --- Editions -----------------------------------------------------------------------------------------------


async def statuses_of(client: Client, *sizes: int) -> list[int]:
    """The statuses of inserts of so many records that are sent at the same time."""
    replies = await asyncio.gather(*(client.insert(*[lead()] * size) for size in sizes))
    return [reply.status for reply in replies]


async def test_an_edition_bounds_all_calls_in_flight(tmp_path: Path) -> None:
    async with client_of(tmp_path, edition="free", latency_s=0.3) as client:
        assert EDITIONS["free"].concurrency == 5
        assert sorted(await statuses_of(client, *[1] * 7)) == [201] * 5 + [429] * 2
        assert client.count("records") == 5


async def test_large_calls_have_ten_places_in_every_edition(tmp_path: Path) -> None:
    async with client_of(tmp_path, edition="ultimate", latency_s=0.5) as client:
        statuses = await statuses_of(client, *[11] * 12, *[1] * 5)
        assert sorted(statuses[:12]) == [201] * 10 + [429] * 2
        assert statuses[12:] == [201] * 5


async def test_an_edition_has_credits_and_says_what_is_left_from_half_on(tmp_path: Path) -> None:
    async with client_of(tmp_path, edition="free") as client:
        for _ in range(249):
            reply = await client.insert(*[lead()] * 100)
        assert "X-API-CREDITS-REMAINING" not in reply.headers
        reply = await client.insert(*[lead()] * 100)
        assert reply.headers["X-API-CREDITS-REMAINING"] == "2500"
        assert credits_of("free", 1) == 5000


async def test_flags_go_before_the_edition(tmp_path: Path) -> None:
    async with client_of(tmp_path, edition="free", credits=2, concurrency=1, latency_s=0.2) as client:
        assert sorted(await statuses_of(client, 1, 1)) == [201, 429]
        assert await statuses_of(client, 1) == [201]
        assert await statuses_of(client, 1) == [429]


async def test_the_organisation_says_its_edition_and_its_licences(tmp_path: Path) -> None:
    async with client_of(tmp_path, edition="professional", users=12) as client:
        (org,) = (await client.get("org")).json["org"]
        assert org["license_details"] == {
            "paid": True,
            "paid_type": "professional",
            "users_license_purchased": 12,
        }


@pytest.mark.parametrize(
    "wrong", [{"edition": "gold"}, {"users": 0}, {"scopes": ()}, {"concurrency": 0}, {"credits": -1}]
)
def test_a_limit_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="--" + next(iter(wrong))):
        SandboxSettings(**wrong)


# --- Scopes -------------------------------------------------------------------------------------------------

COQL = {"select_query": "select id from Leads where Last_Name = 'Daly'"}
CALLS: dict[str, tuple[str, str, Any]] = {
    "insert": ("POST", "Leads", {"data": [lead()]}),
    "insert elsewhere": ("POST", "Contacts", {"data": [lead()]}),
    "by ids": ("GET", "Leads?ids=5&fields=City", None),
    "by id": ("GET", "Leads/5", None),
    "coql": ("POST", "coql", COQL),
    "fields": ("GET", "settings/fields?module=Leads", None),
    "layouts": ("GET", "settings/layouts?module=Leads", None),
    "modules": ("GET", "settings/modules", None),
    "users": ("GET", "users?type=CurrentUser", None),
    "org": ("GET", "org", None),
}


@pytest.mark.parametrize(
    ("scopes", "opened"),
    [
        (("ZohoCRM.modules.ALL",), {"insert", "insert elsewhere", "by ids", "by id"}),
        (("ZohoCRM.modules.leads.CREATE",), {"insert"}),
        (("ZohoCRM.modules.leads.WRITE",), {"insert"}),
        (("ZohoCRM.modules.leads.READ",), {"by ids", "by id"}),
        (("ZohoCRM.modules.contacts.ALL",), {"insert elsewhere"}),
        (("ZohoCRM.coql.READ",), set()),
        (("ZohoCRM.coql.READ", "ZohoCRM.modules.leads.READ"), {"by ids", "by id", "coql"}),
        (("ZohoCRM.settings.ALL",), {"fields", "layouts", "modules"}),
        (("ZohoCRM.settings.fields.READ", "ZohoCRM.org.READ"), {"fields", "org"}),
        (("ZohoCRM.settings.layouts.READ", "ZohoCRM.users.READ"), {"layouts", "users"}),
        (("ZohoCRM.settings.modules.READ",), {"modules"}),
    ],
)
async def test_a_call_needs_its_scope(tmp_path: Path, scopes: tuple[str, ...], opened: set[str]) -> None:
    async with client_of(tmp_path, scopes=scopes) as client:
        token = await client.token()
        assert token.json["scope"] == " ".join(scopes)
        for name, (method, path, body) in CALLS.items():
            reply = await client.call(method, f"/crm/v8/{path}", json=body)
            if name in opened:
                assert reply.status in (200, 201, 204), name
                continue
            assert (reply.status, reply.json) == (
                401,
                {
                    "code": "OAUTH_SCOPE_MISMATCH",
                    "details": {},
                    "message": "invalid oauth scope to access this URL",
                    "status": "error",
                },
            ), name


async def test_a_module_that_there_is_not_is_no_question_of_scopes(tmp_path: Path) -> None:
    async with client_of(tmp_path, scopes=("ZohoCRM.modules.leads.ALL",)) as client:
        assert (await client.insert_into("Nope", lead())).codes == ["INVALID_MODULE"]


async def test_a_scope_of_a_module_that_is_not_served_is_refused() -> None:
    with pytest.raises(UsageError, match="laeds"):
        async with running(SandboxSettings(scopes=("ZohoCRM.modules.laeds.ALL",))):
            pass


# --- Switches -----------------------------------------------------------------------------------------------


def with_switch(tmp_path: Path, *names: str, **settings: Any) -> Any:
    return client_of(tmp_path, switches=frozenset(names), **settings)


async def test_all_failed_as_202(tmp_path: Path) -> None:
    async with with_switch(tmp_path, Switch.ALL_FAILED_202) as client:
        assert (await client.insert({})).status == 202
        assert (await client.insert({}, lead())).status == 207


async def test_mixed_as_200(tmp_path: Path) -> None:
    async with with_switch(tmp_path, Switch.MIXED_200) as client:
        assert (await client.insert({}, lead())).status == 200
        assert (await client.insert({})).status == 400
        assert (await client.insert(lead())).status == 201


async def test_errors_without_paths(tmp_path: Path) -> None:
    async with with_switch(tmp_path, Switch.NO_JSON_PATH, unique=("Leads.Email", "Leads.City")) as client:
        both = lead(Email="a@b.cd", City="Paris")
        assert (await client.insert(both)).status == 201
        for reply in (
            await client.insert({}, both, lead(Email="a@b.cd"), lead(City=1)),
            await client.insert(lead(), skip_feature_execution=[{}]),
        ):
            assert b"json_path" not in reply.body
            assert b"api_name" in reply.body


async def test_a_picklist_takes_new_values_unless_the_switch_is_on(tmp_path: Path) -> None:
    (tmp_path / "strict").mkdir()
    org = tmp_path / "org.toml"
    org.write_text('[[modules.Leads.fields]]\napi_name = "Lead_Status"\noptions = ["-None-", "Contacted"]\n')
    for path, on, status in ((tmp_path, (), 201), (tmp_path / "strict", (Switch.STRICT_PICKLISTS,), 400)):
        async with with_switch(path, *on, org=org) as client:
            assert (await client.insert(lead(Lead_Status="Somewhere between"))).status == status
            assert (await client.insert(lead(Lead_Status="Contacted"))).status == 201


async def test_a_key_that_is_no_field_is_stepped_over_unless_the_switch_is_on(tmp_path: Path) -> None:
    async with with_switch(tmp_path, Switch.REFUSE_UNKNOWN_FIELDS) as client:
        reply = await client.insert(lead(Nonsense=1), lead(**{"$approved": False}))
        assert reply.codes == ["INVALID_DATA", "SUCCESS"]
        assert reply.items[0]["message"] == "the field api name given seems to be invalid"
        assert reply.items[0]["details"] == {"api_name": "Nonsense", "json_path": "$.data[0].Nonsense"}


async def test_a_lookup_names_a_record_that_there_is_when_the_switch_is_on(tmp_path: Path) -> None:
    async with with_switch(tmp_path, Switch.LOOKUPS_EXIST) as client:
        account = await client.id_of("Accounts", {"Account_Name": "ABC"})
        contact = await client.id_of("Contacts", lead(Account_Name={"id": account}))
        user = (await client.get("users?type=CurrentUser")).json["users"][0]["id"]
        for record, good in (
            (lead(Account_Name={"id": "5725767000009999999"}), False),
            (lead(Account_Name={"id": contact}), False),
            (lead(Account_Name={"name": "ABC"}), True),
            (lead(Owner={"id": user}), True),
            (lead(Owner={"id": account}), False),
        ):
            reply = await client.insert_into("Contacts", record)
            assert (reply.status == 201) is good, record
            if not good:
                assert reply.items[0]["message"] == "the id given seems to be invalid"
                assert reply.items[0]["details"]["api_name"] == "id"


async def test_errors_of_options_are_wrapped_unless_the_switch_is_on(tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    async with client_of(tmp_path) as client:
        reply = await client.insert(lead(), skip_feature_execution=[{"name": "cadence"}])
        assert (reply.status, reply.codes) == (400, ["INVALID_DATA"])
        wrapped = reply.items[0]
        assert client.count("records") == 0
    async with with_switch(tmp_path / "bare", Switch.BARE_OPTION_ERRORS) as client:
        reply = await client.insert(lead(), skip_feature_execution=[{"name": "cadence"}])
        assert (reply.status, reply.json) == (400, wrapped)


async def test_an_unknown_switch_is_refused() -> None:
    with pytest.raises(UsageError, match="--switch 'nonsense'"):
        async with running(SandboxSettings(switches=frozenset({"nonsense"}))):
            pass
