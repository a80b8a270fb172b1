"""The page's own samples: the check and the sandbox take each request; each answer is read as it is meant."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from loader.schema.check import Checker
from loader.schema.modules import standard_module
from loader.wire.answers import Answered, Inserted, read_insert
from loader.wire.messages import HttpReply
from tests.scenario.sandbox_client import Client, client_of

PAGE = Path(__file__).parent / "page"
SAMPLES: dict[str, Any] = {path.stem: json.loads(path.read_text()) for path in sorted(PAGE.glob("*.json"))}
ANSWERED = [name for name, sample in SAMPLES.items() if "response" in sample]


@pytest_asyncio.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with client_of(tmp_path, org=PAGE / "organisation.toml") as each:
        yield each


def _shape(value: Any) -> Any:
    """Members and kinds of values; which values they are differs."""
    if isinstance(value, dict):
        return {key: _shape(member) for key, member in value.items()}
    return type(value).__name__


@pytest.mark.parametrize("name", SAMPLES)
def test_the_check_takes_each_sample_request(name: str) -> None:
    module = standard_module(SAMPLES[name]["module"])
    assert module is not None
    for record in SAMPLES[name]["request"]["data"]:
        assert Checker(module).problems(json.dumps(record).encode()) == ()


@pytest.mark.parametrize("name", SAMPLES)
async def test_the_sandbox_takes_each_sample_request(client: Client, name: str) -> None:
    module, request = SAMPLES[name]["module"], dict(SAMPLES[name]["request"])
    reply = await client.insert_into(module, *request.pop("data"), **request)
    assert reply.status == 201, reply.body
    sample = SAMPLES.get(name, {}).get("response", SAMPLES["leads"]["response"])["data"][0]
    for item in reply.items:
        assert _shape(item) == _shape(sample)
        assert [item[key] for key in ("code", "message", "status")] == ["SUCCESS", "record added", "success"]


async def test_the_recurring_task_of_the_page_has_seven_items(client: Client) -> None:
    sample = SAMPLES["recurring-task"]
    reply = await client.insert_into("Tasks", *sample["request"]["data"])
    assert len(reply.items) == len(sample["response"]["data"]) == 7


@pytest.mark.parametrize("name", ANSWERED)
def test_the_loader_reads_each_sample_answer(name: str) -> None:
    sample = SAMPLES[name]
    body, records = json.dumps(sample["response"]).encode(), len(sample["request"]["data"])
    series = "Recurring_Activity" in sample["request"]["data"][0]
    answer = read_insert(HttpReply(201, body, {}, 0.1), records, series=series)
    first = sample["response"]["data"][0]["details"]["id"]
    if isinstance(answer, Inserted):
        assert answer.ids[0] == first
        assert len(answer.ids) == records
    else:
        assert isinstance(answer, Answered)
        assert [item.ok for item in answer.items] == [True] * records
        assert answer.items[0].id == first
