"""Reading back over HTTP: queries, lists, what the system adds to a record, and what is not served."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from loader.sandbox.switches import Switch
from tests.scenario.sandbox_client import Client, Reply, client_of, lead

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with client_of(tmp_path, unique=("Leads.Email",)) as client:
        yield client


async def query(client: Client, text: str) -> Reply:
    return await client.call("POST", "/crm/v8/coql", json={"select_query": text})


# --- Queries ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clauses", "names"),
    [
        ("id is not null", "abcd"),
        ("City = 'Austin' and No_of_Employees > 5", "b"),
        ("City = 'Austin' or No_of_Employees >= 20", "abc"),
        ("(City = 'Austin' and No_of_Employees > 5) or City is null", "bd"),
        ("City like '%us%'", "ab"),
        ("No_of_Employees between 5 and 10", "ab"),
        ("id is not null order by No_of_Employees desc limit 2", "cb"),
        ("id is not null order by City desc, No_of_Employees desc", "cbad"),
        ("id is not null order by No_of_Employees limit 1, 2", "ab"),
        ("id is not null limit 2 offset 1", "bc"),
        ("City = 'Austin' limit 1 offset 1", "b"),
        ("Full_Name = 'Paul b'", "b"),
        ("Owner is not null and Created_Time > '2020-01-01T00:00:00+00:00'", "abcd"),
        ("Email_Opt_Out = true", "c"),
        ("Email in ('C@x.eu') and City is not null", "c"),
    ],
)
async def test_a_query_finds_sorts_and_pages(client: Client, clauses: str, names: str) -> None:
    await client.insert(
        lead(Last_Name="a", City="Austin", No_of_Employees=5),
        lead(Last_Name="b", City="Austin", No_of_Employees=10, First_Name="Paul"),
        lead(Last_Name="c", City="Lyon", No_of_Employees=20, Email="c@x.eu", Email_Opt_Out=True),
        lead(Last_Name="d"),
    )
    reply = await query(client, f"select Last_Name from Leads where {clauses}")
    assert reply.status == 200, reply.body
    assert "".join(each["Last_Name"] for each in reply.items) == names


async def test_a_page_of_a_query_says_whether_there_is_more(client: Client) -> None:
    await client.insert(*[lead()] * 5)
    for clause, info in (
        ("limit 2, 2", {"count": 2, "more_records": True}),
        ("order by id limit 3, 2", {"count": 2, "more_records": False}),
    ):
        reply = await query(client, f"select id from Leads where id is not null {clause}")
        assert reply.json["info"] == info
    assert (await query(client, "select id from Leads where id is null")).status == 204


@pytest.mark.parametrize(
    ("clause", "cost"), [("", 1), ("limit 201", 2), ("limit 1001", 3), ("limit 2000", 3)]
)
async def test_a_query_costs_by_the_rows_that_it_asks_for(client: Client, clause: str, cost: int) -> None:
    await query(client, f"select id from Leads where id is not null {clause}")
    assert client.rows("SELECT credits FROM calls ORDER BY call DESC LIMIT 1") == [(cost,)]


async def test_a_lookup_that_came_as_an_external_value_is_found_by_its_id(tmp_path: Path) -> None:
    async with client_of(tmp_path, external=("Accounts.Legacy_Id",)) as client:
        account = await client.id_of("Accounts", {"Account_Name": "ABC", "Legacy_Id": "17"})
        sent = {"Last_Name": "Daly", "Account_Name": {"Legacy_Id": "17"}}
        assert (
            await client.insert_into("Contacts", sent, external="Contacts.Account_Name.Legacy_Id")
        ).status == 201
        asked = f"select Last_Name from Contacts where Account_Name = '{account}'"
        assert len((await query(client, asked)).items) == 1
        assert (await query(client, asked.replace(account, "5"))).status == 204


async def test_a_query_that_its_module_does_not_take_has_the_words_of_the_api(client: Client) -> None:
    reply = await query(client, "select id from Leads where Last_Name > 'x'")
    assert (reply.status, reply.json["code"]) == (400, "INVALID_QUERY")
    assert reply.json["details"]["reason"] == "invalid operator found"
    missing = await query(client, "select id from Leads")
    assert (missing.json["message"], missing.json["details"]["clause"]) == ("missing clause", "where")


# --- Lists --------------------------------------------------------------------------------------------------


async def test_a_module_is_listed_page_by_page(client: Client) -> None:
    await client.insert(*(lead(Last_Name=f"{number}") for number in range(5)))
    pages = [await client.get(f"Leads?fields=Last_Name&per_page=2&page={page}") for page in (1, 2, 3, 4)]
    assert [reply.status for reply in pages] == [200, 200, 200, 204]
    assert [[each["Last_Name"] for each in reply.items] for reply in pages[:3]] == [
        ["4", "3"],
        ["2", "1"],
        ["0"],
    ]
    assert pages[0].json["info"] == {
        "per_page": 2,
        "count": 2,
        "page": 1,
        "sort_by": "id",
        "sort_order": "desc",
        "more_records": True,
    }
    assert pages[2].json["info"]["more_records"] is False
    upwards = await client.get("Leads?fields=Last_Name&sort_by=Created_Time&sort_order=asc")
    assert [each["Last_Name"] for each in upwards.items] == ["0", "1", "2", "3", "4"]
    assert upwards.json["info"]["per_page"] == 200


async def test_pages_of_a_token_are_told_to_be_queries(client: Client) -> None:
    reply = await client.get("Leads?fields=Last_Name&page_token=x")
    assert (reply.status, reply.json["code"]) == (400, "NOT_SERVED_BY_THE_SANDBOX")


# --- What is not served -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "v8/Leads/search?word=x", 404, "search of records"),
        ("POST", "v8/Leads/upsert", 404, "upsert of records"),
        ("GET", "v8/Leads/deleted", 404, "deleted records"),
        ("POST", "v8/Leads/actions/count", 404, "actions on records"),
        ("PUT", "v8/Leads", 405, "update of records"),
        ("PUT", "v8/Leads/5", 405, "update of records"),
        ("DELETE", "v8/Leads?ids=5", 405, "deletion of records"),
        ("DELETE", "v8/Leads/5", 405, "deletion of records"),
        ("GET", "v8/Leads/5/Notes", 404, "Notes of a record"),
        ("GET", "v8/settings/pipeline", 404, "settings/pipeline"),
        ("POST", "bulk/v8/write", 404, "bulk reads and writes"),
        ("POST", "v8/files", 404, "files API"),
    ],
)
async def test_what_is_not_served_is_named(
    client: Client, method: str, path: str, status: int, words: str
) -> None:
    reply = await client.call(method, f"/crm/{path}")
    assert (reply.status, reply.json["code"]) == (status, "NOT_SERVED_BY_THE_SANDBOX")
    assert words in reply.json["message"]
    assert ("Allow" in reply.headers) is (status == 405)


# --- What the system knows ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "name"),
    [
        ({"First_Name": "Paul", "Salutation": "Mr."}, "Paul Daly"),
        ({}, "Daly"),
        ({"First_Name": " "}, "Daly"),
    ],
)
async def test_a_full_name_is_composed(client: Client, members: dict[str, Any], name: str) -> None:
    record_id = await client.id_of("Leads", lead(**members))
    assert (await client.stored("Leads", record_id))["Full_Name"] == name


async def test_a_record_that_waits_for_approval_says_so(client: Client) -> None:
    reply = await client.insert(lead(**{"$approved": False}), lead(), lead(**{"$approved": True}), {})
    states = [each["details"].get("$approval_state") for each in reply.items]
    assert states == ["webform_unapproved", "approved", "approved", None]
    stored = [await client.stored("Leads", each["details"]["id"]) for each in reply.items[:3]]
    assert [each["$approval_state"] for each in stored] == states[:3]


async def test_a_key_that_is_spelled_with_escapes_is_the_same_key(client: Client) -> None:
    body = b'{"data":[{"Last_Name":"Daly","\\u0024approved":false},{"Last_Name":"Dupr\\u00e9"}]}'
    reply = await client.call("POST", "/crm/v8/Leads", data=body)
    states = [each["details"]["$approval_state"] for each in reply.items]
    assert states == ["webform_unapproved", "approved"]


async def test_an_id_too_large_for_any_record_is_not_there(tmp_path: Path) -> None:
    async with client_of(tmp_path, switches=frozenset({Switch.LOOKUPS_EXIST})) as client:
        sent = {"Last_Name": "Daly", "Account_Name": {"id": "9" * 19}}
        reply = await client.insert_into("Contacts", sent)
        assert reply.codes == ["INVALID_DATA"]
        assert reply.items[0]["message"] == "the id given seems to be invalid"


async def test_inserts_go_on_while_a_query_reads(client: Client) -> None:
    await client.insert(*(lead(City="Austin") for _ in range(100)))
    asked = query(client, "select id from Leads where City = 'Austin' limit 2000")
    found, inserted = await asyncio.gather(asked, client.insert(lead(City="Austin")))
    assert inserted.status == 201
    assert len(found.items) in (100, 101)
