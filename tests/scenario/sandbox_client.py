"""A client of a sandbox in the same process: plain HTTP on loopback, and its database read from outside."""

import json
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from loader.sandbox.app import Ready, SandboxSettings, running


def lead(**members: Any) -> dict[str, Any]:
    """A lead that is taken as it is."""
    return {"Last_Name": "Daly"} | members


@dataclass
class Reply:
    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def items(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.json["data"]
        return items

    @property
    def codes(self) -> list[str]:
        return [item["code"] for item in self.items]


@dataclass
class Client:
    """A client of one sandbox, with a token that the sandbox gave it."""

    session: aiohttp.ClientSession
    ready: Ready
    database: Path
    headers: dict[str, str] = field(default_factory=dict)

    async def call(self, method: str, path: str, **arguments: Any) -> Reply:
        arguments.setdefault("headers", self.headers)
        async with self.session.request(method, self.ready.url + path, **arguments) as answer:
            return Reply(answer.status, await answer.read(), answer.headers)

    async def get(self, path: str) -> Reply:
        return await self.call("GET", f"/crm/v8/{path}")

    async def token(self, **changes: str) -> Reply:
        form = {
            "grant_type": "refresh_token",
            "client_id": self.ready.client_id,
            "client_secret": self.ready.client_secret,
            "refresh_token": self.ready.refresh_token,
        }
        return await self.call("POST", "/oauth/v2/token", data=form | changes, headers={})

    async def signed_in(self, **changes: str) -> "Client":
        """A client with a new token; `changes` are of the token request."""
        token = (await self.token(**changes)).json["access_token"]
        headers = {"Authorization": f"Zoho-oauthtoken {token}"}
        return Client(self.session, self.ready, self.database, headers)

    async def insert(self, *records: Any, **parallel: Any) -> Reply:
        """Leads."""
        return await self.insert_into("Leads", *records, **parallel)

    async def insert_into(
        self, module: str, *records: Any, external: str | None = None, **parallel: Any
    ) -> Reply:
        headers = self.headers if external is None else self.headers | {"X-EXTERNAL": external}
        body = json.dumps({"data": records} | parallel).encode()
        return await self.call("POST", f"/crm/v8/{module}", data=body, headers=headers)

    async def id_of(self, module: str, record: dict[str, Any]) -> str:
        """The id of a record that is inserted for this."""
        reply = await self.insert_into(module, record)
        assert reply.status == 201, reply.body
        return str(reply.items[0]["details"]["id"])

    async def stored(self, module: str, record_id: str) -> dict[str, Any]:
        """A record as it is read back."""
        record: dict[str, Any] = (await self.get(f"{module}/{record_id}")).items[0]
        return record

    def rows(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as reader:
            return reader.execute(query).fetchall()

    def count(self, table: str) -> int:
        return int(self.rows(f"SELECT count(*) FROM {table}")[0][0])


@asynccontextmanager
async def client_of(tmp_path: Path, **settings: Any) -> AsyncIterator[Client]:
    database = tmp_path / "sandbox.db"
    async with (
        running(SandboxSettings(db=database, **settings)) as ready,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
    ):
        yield await Client(session, ready, database).signed_in()
