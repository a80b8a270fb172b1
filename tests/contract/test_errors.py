"""Each error of the insert-records page comes from the sandbox, and the loader reads it as what it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from loader.wire.answers import Answered, CallRefused, read_insert
from loader.wire.codes import CODES
from loader.wire.messages import HttpReply
from tests.contract.errors import DESERVED, LEAD, Deserved
from tests.scenario.sandbox_client import Client, Reply, client_of

ORGANISATION = Path(__file__).parents[2] / "docs" / "reference" / "sandbox-org.toml"


@pytest_asyncio.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with client_of(tmp_path, org=ORGANISATION) as each:
        yield each


def _ids(row: Deserved) -> str:
    return f"{row.code} {row.message}".strip()


@pytest.mark.parametrize("row", DESERVED, ids=_ids)
async def test_the_sandbox_gives_each_error_of_the_page(client: Client, row: Deserved) -> None:
    reply = await row.send(client)
    assert reply.status == row.status
    body = reply.json
    error = body["data"][0] if "data" in body else body
    assert set(error) == {"code", "details", "message", "status"}
    assert (error["code"], error["status"]) == (row.code, "error")
    if row.message:
        assert error["message"].rstrip(".").casefold() == row.message.casefold()
    assert set(row.details) <= set(error["details"])
    path = error["details"].get("json_path", "$.")
    assert path.startswith("$."), "where, from the body down"


@pytest.mark.parametrize("row", DESERVED, ids=_ids)
async def test_the_loader_reads_each_error_of_the_page(client: Client, row: Deserved) -> None:
    reply = await row.send(client)
    answer = read_insert(HttpReply(reply.status, reply.body, {}, 0.1), 1)
    if isinstance(answer, CallRefused):
        assert answer.code == row.code
    else:
        assert isinstance(answer, Answered)
        assert [item.code for item in answer.items] == [row.code]
    assert row.code in CODES
    assert row.status in CODES[row.code].seen.statuses


async def test_a_call_without_the_scope_is_no_matter_of_a_new_token(tmp_path: Path) -> None:
    async with client_of(tmp_path, scopes=("ZohoCRM.modules.contacts.CREATE",)) as client:
        reply: Reply = await client.insert_into("Leads", LEAD)
        assert (reply.status, reply.json["code"]) == (401, "OAUTH_SCOPE_MISMATCH")


@pytest.mark.parametrize("error", ["NO_PERMISSION", "LIMIT_EXCEEDED", "PROCESSING_ERROR", "CANNOT_PROCESS"])
async def test_a_dependent_service_gives_each_of_its_errors(tmp_path: Path, error: str) -> None:
    path = tmp_path / "org.toml"
    path.write_text(f'[modules.Campaigns.dependent_service]\nerror = "{error}"\n')
    async with client_of(tmp_path, org=path) as client:
        reply = await client.insert_into("Campaigns", {"Campaign_Name": "Spring"})
    assert (reply.status, reply.codes) == (400, ["DEPENDENT_SERVICE_ERROR"])
    assert reply.items[0]["details"] == {"dependency_error": error}
    answer = read_insert(HttpReply(reply.status, reply.body, {}, 0.1), 1)
    assert isinstance(answer, Answered)
    assert error in answer.items[0].message, "a person sees which"


async def test_too_many_calls_and_spent_credits_are_429(tmp_path: Path) -> None:
    async with client_of(tmp_path, credits=1) as client:
        assert (await client.insert_into("Leads", LEAD)).status == 201
        reply = await client.insert_into("Leads", LEAD)
        assert (reply.status, reply.json["code"]) == (429, "TOO_MANY_REQUESTS")
