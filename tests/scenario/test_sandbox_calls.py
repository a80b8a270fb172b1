"""The sandbox over HTTP: a real client on loopback, and the database read by another connection."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from loader.errors import UsageError
from loader.sandbox.app import SandboxSettings, running
from loader.sandbox.faults import FaultKind, FaultShare
from tests.scenario.sandbox_client import Client, client_of, lead

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with client_of(tmp_path, unique=("Leads.Email",)) as client:
        yield client


# --- Tokens -------------------------------------------------------------------------------------------------


async def test_the_token_answer_points_back_at_the_sandbox(client: Client) -> None:
    reply = await client.token()
    assert reply.status == 200
    token = reply.json.pop("access_token")
    assert token.startswith("1000.")
    assert list(reply.json) == ["access_token", "scope", "api_domain", "token_type", "expires_in"]
    assert (reply.json["api_domain"], reply.json["token_type"]) == (client.ready.url, "Bearer")
    assert reply.json["expires_in"] == 3600


@pytest.mark.parametrize("how", ["query", "multipart", "form without a content type"])
async def test_credentials_come_as_query_multipart_or_bare_form(client: Client, how: str) -> None:
    ready = client.ready
    form = {"grant_type": "refresh_token", "client_id": ready.client_id}
    form |= {"client_secret": ready.client_secret, "refresh_token": ready.refresh_token}
    arguments: dict[str, Any] = {"params": form}
    if how == "multipart":
        writer = aiohttp.FormData(default_to_multipart=True)
        for name, value in form.items():
            writer.add_field(name, value)
        arguments = {"data": writer}
    elif how == "form without a content type":
        arguments = {"data": "&".join(f"{name}={value}" for name, value in form.items()).encode()}
    reply = await client.call("POST", "/oauth/v2/token", headers={}, **arguments)
    assert (reply.status, "access_token" in reply.json) == (200, True)


async def test_wrong_credentials_are_an_error_with_status_200(client: Client) -> None:
    for change, error in (
        ({"client_secret": "x"}, "invalid_client"),
        ({"refresh_token": "x"}, "invalid_code"),
    ):
        reply = await client.token(**change)
        assert (reply.status, reply.json) == (200, {"error": error})


async def test_the_eleventh_token_is_denied(client: Client) -> None:
    replies = [await client.token() for _ in range(10)]
    assert [reply.status for reply in replies] == [200] * 9 + [400]
    text = "You have made too many requests continuously. Please try again after some time."
    assert replies[-1].json == {
        "error_description": text,
        "error": "Access Denied",
        "status": "failure",
    }


@pytest.mark.parametrize(
    ("header", "code", "message"),
    [
        (None, "AUTHENTICATION_FAILURE", "Authentication failed"),
        ("Basic abc", "AUTHENTICATION_FAILURE", "Authentication failed"),
        ("Zoho-oauthtoken 1000.x.y", "INVALID_TOKEN", "invalid oauth token"),
    ],
)
async def test_a_call_without_a_good_token_is_refused(
    client: Client, header: str | None, code: str, message: str
) -> None:
    headers = {} if header is None else {"Authorization": header}
    body = json.dumps({"data": [lead()]}).encode()
    reply = await client.call("POST", "/crm/v8/Leads", data=body, headers=headers)
    assert reply.status == 401
    assert reply.json == {"code": code, "details": {}, "message": message, "status": "error"}
    assert client.count("records") == 0
    assert client.rows("SELECT records, status FROM calls ORDER BY call DESC LIMIT 1") == [(0, 401)]


async def test_a_token_dies_at_the_end_of_its_life(tmp_path: Path) -> None:
    async with client_of(tmp_path, token_life_s=1) as client:
        assert (await client.insert(lead())).status == 201
        async with asyncio.timeout(10):
            while (reply := await client.call("GET", "/crm/v8/org")).status == 200:
                await asyncio.sleep(0.05)
        assert reply.json["code"] == "INVALID_TOKEN"


# --- Insert -------------------------------------------------------------------------------------------------


async def test_an_insert_is_stored_byte_for_byte_and_answered_with_the_captured_headers(
    client: Client,
) -> None:
    raw = b'{"Last_Name" : "Dupr\xc3\xa9",  "Email":"A@b.cd"}'
    body = b'{"data":[' + raw + b'],"trigger":[],"lar_id":"1","skip_feature_execution":[{"name":"cadences"}]}'
    reply = await client.call("POST", "/crm/v8/Leads", data=body, skip_auto_headers=["Content-Type"])
    assert reply.status == 201
    assert reply.headers["Content-Type"] == "application/json;charset=UTF-8"
    assert int(reply.headers["Content-Length"]) == len(reply.body)
    assert "Date" in reply.headers
    assert datetime.fromisoformat(reply.headers["X-ACCESSTOKEN-RESET"]).tzinfo is not None
    assert "X-API-CREDITS-REMAINING" not in reply.headers
    details = reply.json["data"][0]["details"]
    created = datetime.fromisoformat(details["Created_Time"])
    assert (created.microsecond, created.utcoffset() is None) == (0, False)
    record_id, call = int(details["id"]), client.rows("SELECT max(call) FROM calls")[0][0]
    stored = (record_id, "Leads", raw, details["Created_Time"], details["Created_By"]["id"], call)
    assert client.rows("SELECT * FROM records") == [stored]
    assert client.rows("SELECT * FROM unique_values") == [("Leads", "Email", "a@b.cd", record_id)]
    assert client.rows("SELECT call, position, record_id FROM apply_log") == [(call, 0, record_id)]
    noted = client.rows(f"SELECT method, path, records, status, fault, answered FROM calls WHERE call={call}")
    assert noted == [("POST", "/crm/v8/Leads", 1, 201, None, 1)]


async def test_mixed_and_all_failed_calls_keep_one_item_a_record(client: Client) -> None:
    mixed = await client.insert(lead(), {}, lead(City=1))
    assert mixed.status == 207
    assert [item["code"] for item in mixed.json["data"]] == ["SUCCESS", "MANDATORY_NOT_FOUND", "INVALID_DATA"]
    failed = await client.insert({}, {})
    assert failed.status == 400
    assert [item["details"]["json_path"] for item in failed.json["data"]] == [
        "$.data[0].Last_Name",
        "$.data[1].Last_Name",
    ]
    assert client.count("records") == client.count("apply_log") == 1


@pytest.mark.parametrize("version", ["v2", "v2.1", "v3", "v4", "v5", "v6", "v7", "v8"])
async def test_every_version_inserts(client: Client, version: str) -> None:
    body = json.dumps({"data": [lead()]}).encode()
    assert (await client.call("POST", f"/crm/{version}/Leads", data=body)).status == 201


async def test_bearer_is_as_good_as_the_vendors_own_scheme(client: Client) -> None:
    token = client.headers["Authorization"].split()[1]
    body = json.dumps({"data": [lead()]}).encode()
    reply = await client.call(
        "POST", "/crm/v8/Leads", data=body, headers={"Authorization": f"Bearer {token}"}
    )
    assert reply.status == 201


async def test_of_two_concurrent_calls_with_one_value_exactly_one_inserts_it(tmp_path: Path) -> None:
    async with client_of(tmp_path, unique=("Leads.Email",), latency_s=0.05) as client:
        replies = await asyncio.gather(*(client.insert(lead(Email="a@b.cd")) for _ in range(4)))
        assert sorted(reply.status for reply in replies) == [201, 400, 400, 400]
        ids = {reply.json["data"][0]["details"]["id"] for reply in replies}
        assert len(ids) == 1
        assert client.count("records") == 1


async def test_a_duplicate_names_record_owner_and_module(client: Client) -> None:
    first = (await client.insert(lead(Email="a@b.cd"))).json["data"][0]["details"]
    reply = await client.insert(lead(Email="A@B.cd"))
    modules = (await client.call("GET", "/crm/v8/settings/modules")).json["modules"]
    assert reply.status == 400
    duplicate = reply.json["data"][0]["details"]["duplicate_record"]
    assert duplicate["id"] == first["id"]
    assert duplicate["Owner"] == first["Created_By"] | {"zuid": "75092197"}
    assert duplicate["module"] == {"api_name": "Leads", "id": modules[0]["id"]}


async def test_an_external_field_is_unique(tmp_path: Path) -> None:
    async with client_of(tmp_path, external=("Leads.Legacy_Id",)) as client:
        assert (await client.insert(lead(Legacy_Id="17"))).status == 201
        reply = await client.insert(lead(Legacy_Id="17"), lead(Legacy_Id="18"))
        assert [item["code"] for item in reply.json["data"]] == ["DUPLICATE_DATA", "SUCCESS"]


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        (
            "POST",
            "/crm/v8/Nonsense",
            400,
            {
                "data": [
                    {
                        "code": "INVALID_MODULE",
                        "details": {"resource_path_index": 0},
                        "message": "the module name given seems to be invalid",
                        "status": "error",
                    }
                ]
            },
        ),
        (
            "PATCH",
            "/crm/v8/Leads",
            400,
            {
                "data": [
                    {
                        "code": "INVALID_REQUEST_METHOD",
                        "details": {"resource_path_index": 0},
                        "message": "The HTTP request method type is not a valid one.",
                        "status": "error",
                    }
                ]
            },
        ),
        (
            "POST",
            "/crm/v9/Leads",
            404,
            {
                "code": "INVALID_URL_PATTERN",
                "details": {},
                "message": "Please check if the URL trying to access is a correct one",
                "status": "error",
            },
        ),
        (
            "POST",
            "/crm/v8/Leads",
            400,
            {
                "code": "INVALID_DATA",
                "details": {"expected_data_type": "jsonobject"},
                "message": "body",
                "status": "error",
            },
        ),
    ],
)
async def test_a_call_that_is_refused_as_a_whole(
    client: Client, method: str, path: str, status: int, body: dict[str, Any]
) -> None:
    reply = await client.call(method, path)
    assert (reply.status, reply.json) == (status, body)
    assert reply.headers["Content-Type"] == "application/json;charset=UTF-8"


async def test_a_body_that_is_not_packed_as_its_header_says_is_no_body(client: Client) -> None:
    headers = client.headers | {"Content-Encoding": "gzip"}
    reply = await client.call("POST", "/crm/v8/Leads", headers=headers, data=b'{"data":[{"Last_Name":"x"}]}')
    assert (reply.status, reply.json["message"]) == (400, "body")
    assert reply.headers["Content-Type"] == "application/json;charset=UTF-8"
    assert client.count("records") == 0


async def test_a_hundred_and_one_records_get_one_item_and_none_is_applied(client: Client) -> None:
    reply = await client.insert(*[lead()] * 101)
    assert (reply.status, len(reply.json["data"])) == (400, 1)
    assert reply.json["data"][0]["code"] == "LIMIT_EXCEEDED"
    assert client.count("records") == 0


# --- Quotas, latency and faults -----------------------------------------------------------------------------


async def test_large_calls_beyond_the_places_are_refused_and_apply_nothing(tmp_path: Path) -> None:
    async with client_of(tmp_path, concurrency=2, latency_s=1.0) as client:
        large, small = [lead()] * 11, [lead()] * 10
        replies = await asyncio.gather(
            *(client.insert(*large) for _ in range(3)), *(client.insert(*small) for _ in range(3))
        )
        assert sorted(reply.status for reply in replies[:3]) == [201, 201, 429]
        assert [reply.status for reply in replies[3:]] == [201] * 3
        refused = next(reply for reply in replies if reply.status == 429)
        assert refused.json["code"] == "TOO_MANY_REQUESTS"
        assert client.count("records") == 2 * 11 + 3 * 10
        assert (await client.insert(*large)).status == 201


async def test_a_client_with_no_more_calls_than_places_is_never_refused(tmp_path: Path) -> None:
    async with client_of(tmp_path, concurrency=3) as client:

        async def sender() -> set[int]:
            return {(await client.insert(*[lead()] * 11)).status for _ in range(30)}

        assert set().union(*await asyncio.gather(sender(), sender(), sender())) == {201}


async def test_spent_credits_refuse_calls_and_the_header_shows_what_is_left(tmp_path: Path) -> None:
    async with client_of(tmp_path, credits=4) as client:
        replies = [await client.insert(*[lead()] * n) for n in (1, 10, 11, 1)]
        assert [reply.status for reply in replies] == [201, 201, 201, 429]
        shown = [reply.headers.get("X-API-CREDITS-REMAINING") for reply in replies]
        assert shown == [None, "2", "0", "0"]
        assert (await client.call("GET", "/crm/v8/org")).status == 429
        assert client.count("records") == 22


async def test_records_are_applied_before_the_latency_and_the_lost_client_is_noted(tmp_path: Path) -> None:
    async with client_of(tmp_path, latency_s=5.0) as client:
        call = asyncio.create_task(client.insert(lead()))
        async with asyncio.timeout(10):
            while client.count("records") == 0:
                await asyncio.sleep(0.01)
        assert not call.done(), "the answer came before the latency was over"
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert client.count("records") == 1
        assert client.rows("SELECT status, answered FROM calls WHERE records = 1") == [(201, 0)]


@pytest.mark.parametrize(
    ("kind", "applied", "status"),
    [
        (FaultKind.DROP_BEFORE_APPLY, 0, None),
        (FaultKind.DROP_AFTER_APPLY, 1, None),
        (FaultKind.ERROR_500_BEFORE, 0, 500),
        (FaultKind.ERROR_500_AFTER, 1, 500),
        (FaultKind.TOO_MANY_REQUESTS, 0, 429),
    ],
)
async def test_a_fault_strikes_inserts_and_is_noted(
    tmp_path: Path, kind: FaultKind, applied: int, status: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    async with client_of(tmp_path, faults=(FaultShare(kind, 1.0),)) as client:
        if status is None:
            with pytest.raises(aiohttp.ClientConnectionError):
                await client.insert(lead())
        else:
            assert (await client.insert(lead())).status == status
        assert client.count("records") == client.count("apply_log") == applied
        noted = client.rows(
            "SELECT records, status, fault, answered FROM calls WHERE method='POST' AND records=1"
        )
        assert noted == [(1, status, str(kind), 0 if status is None else 1)]
        assert (await client.call("GET", "/crm/v8/org")).status == 200
    assert not caplog.records


def leads(count: int) -> list[dict[str, Any]]:
    return [lead(Email=f"lead{number}@x.eu") for number in range(count)]


async def test_an_answer_that_is_cut_promises_all_of_its_body(tmp_path: Path) -> None:
    async with client_of(tmp_path, faults=(FaultShare(FaultKind.TRUNCATE, 1.0),)) as client:
        with pytest.raises(aiohttp.ClientPayloadError):
            await client.insert(*leads(20))
        assert client.count("records") == 20
        assert (await client.call("GET", "/crm/v8/org")).status == 200


async def test_a_short_answer_lacks_the_last_record(tmp_path: Path) -> None:
    async with client_of(tmp_path, faults=(FaultShare(FaultKind.SHORT_ANSWER, 1.0),)) as client:
        reply = await client.insert(*leads(5))
        assert [item["code"] for item in reply.json["data"]] == ["SUCCESS"] * 4
        assert client.count("records") == 5


async def test_some_of_the_records_are_applied_and_always_the_same(tmp_path: Path) -> None:
    applied = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        fault = FaultShare(FaultKind.PARTIAL_APPLY, 1.0)
        async with client_of(tmp_path / name, faults=(fault,), seed=11) as client:
            for _ in range(3):
                with pytest.raises(aiohttp.ClientConnectionError):
                    await client.insert(*leads(100))
            applied.append(client.rows("SELECT call, count(*) FROM apply_log GROUP BY call"))
    assert applied[0] == applied[1]
    assert all(1 <= count <= 99 for _, count in applied[0])
    assert len({count for _, count in applied[0]}) > 1


async def test_a_late_call_is_applied_after_its_client_has_gone(tmp_path: Path) -> None:
    fault = FaultShare(FaultKind.LATE_APPLY, 1.0)
    async with client_of(tmp_path, faults=(fault,), late_s=1.0) as client:
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.insert(*leads(3))
        assert client.count("records") == 0
        async with asyncio.timeout(10):
            while client.count("records") == 0:
                await asyncio.sleep(0.02)
        assert client.count("records") == client.count("apply_log") == 3
        ((came, applied),) = set(client.rows("SELECT c.at, a.at FROM apply_log a JOIN calls c USING (call)"))
        assert 1.0 <= applied - came < 10
        assert client.rows("SELECT fault, status, answered FROM calls WHERE records=3") == [
            ("late-apply", None, 0)
        ]


async def test_what_would_be_late_when_the_sandbox_ends_is_never_applied(tmp_path: Path) -> None:
    fault = FaultShare(FaultKind.LATE_APPLY, 1.0)
    async with client_of(tmp_path, faults=(fault,), late_s=30.0) as client:
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.insert(*leads(3))
    async with client_of(tmp_path) as client:
        assert client.count("records") == 0


async def test_a_slow_answer_comes_after_all(tmp_path: Path) -> None:
    fault = FaultShare(FaultKind.SLOW, 1.0)
    async with client_of(tmp_path, faults=(fault,), slow_s=0.3) as client:
        began = time.monotonic()
        assert (await client.insert(lead())).status == 201
        assert time.monotonic() - began >= 0.3
        assert client.count("records") == 1


async def test_a_gateways_page_says_nothing_of_what_was_applied(tmp_path: Path) -> None:
    async with client_of(tmp_path, faults=(FaultShare(FaultKind.HTML_502, 1.0),)) as client:
        for _ in range(12):
            reply = await client.insert(lead())
            assert reply.status == 502
            assert reply.body.startswith(b"<html>")
        assert 0 < client.count("records") < 12


async def test_a_revoked_token_opens_nothing_and_the_next_one_does(tmp_path: Path) -> None:
    async with client_of(tmp_path, faults=(FaultShare(FaultKind.REVOKE_TOKEN, 1.0),)) as client:
        reply = await client.insert(lead())
        assert (reply.status, reply.json["code"]) == (401, "INVALID_TOKEN")
        assert (await client.call("GET", "/crm/v8/org")).status == 401
        assert client.count("records") == 0
        token = (await client.token()).json["access_token"]
        client.headers["Authorization"] = f"Zoho-oauthtoken {token}"
        assert (await client.call("GET", "/crm/v8/org")).status == 200


# --- Reading back -------------------------------------------------------------------------------------------


async def test_a_record_is_read_back_with_what_the_system_knows(client: Client) -> None:
    sent = lead(Email="a@b.cd", Annual_Revenue=250000.50, Created_By={"id": "1"}, Nonsense=1)
    details = (await client.insert(sent)).json["data"][0]["details"]
    reply = await client.call("GET", f"/crm/v8/Leads/{details['id']}")
    (record,) = reply.json["data"]
    assert reply.status == 200
    assert (record["id"], record["Email"], record["Annual_Revenue"]) == (details["id"], "a@b.cd", 250000.5)
    assert (record["Created_Time"], record["Created_By"]) == (details["Created_Time"], details["Created_By"])
    assert record["Owner"]["id"] == details["Created_By"]["id"]
    assert record["City"] is None
    assert "Nonsense" not in record


async def test_several_records_are_read_by_their_ids(client: Client) -> None:
    items = (await client.insert(lead(Email="a@b.cd"), lead(Email="b@b.cd"))).json["data"]
    ids = [item["details"]["id"] for item in items][::-1]
    reply = await client.call("GET", f"/crm/v8/Leads?ids={ids[0]},{ids[1]},5&fields=Email,Created_By&")
    assert [(each["id"], each["Email"]) for each in reply.json["data"]] == [
        (ids[0], "b@b.cd"),
        (ids[1], "a@b.cd"),
    ]
    assert list(reply.json["data"][0]) == ["Email", "Created_By", "id"]
    assert reply.json["info"]["count"] == 2


@pytest.mark.parametrize("path", ["Leads/5", "Leads?ids=5&fields=Email"])
async def test_nothing_found_is_a_204_without_a_body(client: Client, path: str) -> None:
    reply = await client.call("GET", f"/crm/v8/{path}")
    assert (reply.status, reply.body) == (204, b"")
    assert "Content-Type" not in reply.headers


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("Leads?ids=5", "REQUIRED_PARAM_MISSING"),
        ("Leads", "REQUIRED_PARAM_MISSING"),
        ("Leads?fields=Email&ids=", "REQUIRED_PARAM_MISSING"),
        ("Leads?fields=Email&page=11", "INVALID_DATA"),
        ("Leads?fields=Email&page=0", "INVALID_DATA"),
        ("Leads?fields=Email&per_page=201", "INVALID_DATA"),
        ("Leads?fields=Email&per_page=x", "INVALID_DATA"),
        ("Leads?fields=Email&sort_by=City", "INVALID_DATA"),
        ("Leads?fields=Email&sort_order=up", "INVALID_DATA"),
        ("Leads?fields=" + ",".join(["Email"] * 51), "LIMIT_EXCEEDED"),
        ("Leads?fields=Email&ids=" + ",".join(["5"] * 101), "LIMIT_EXCEEDED"),
        ("Leads?fields=Email&ids=5,x", "INVALID_DATA"),
        ("Leads/x", "INVALID_DATA"),
        ("settings/fields", "REQUIRED_PARAM_MISSING"),
    ],
)
async def test_a_read_that_cannot_be_answered_says_why(client: Client, path: str, code: str) -> None:
    reply = await client.call("GET", f"/crm/v8/{path}")
    assert (reply.status, reply.json["code"]) == (400, code)


async def test_fields_tell_what_is_unique(client: Client) -> None:
    reply = await client.call("GET", "/crm/v8/settings/fields?module=Leads")
    fields = {each["api_name"]: each for each in reply.json["fields"]}
    assert fields["Email"]["unique"] == {"case_sensitive": False}
    assert fields["Phone"]["unique"] == {}
    unknown = await client.call("GET", "/crm/v8/settings/fields?module=Nonsense")
    assert (unknown.status, unknown.json["code"]) == (400, "INVALID_MODULE")


async def test_the_current_user_is_the_creator_of_records(client: Client) -> None:
    details = (await client.insert(lead())).json["data"][0]["details"]
    (user,) = (await client.call("GET", "/crm/v8/users?type=CurrentUser")).json["users"]
    (org,) = (await client.call("GET", "/crm/v8/org")).json["org"]
    assert {"name": user["full_name"], "id": user["id"]} == details["Created_By"]
    assert all(isinstance(each["id"], str) and each["id"].isdigit() for each in (user, org))


@pytest.mark.parametrize("column", ["Email", "City"])
async def test_a_query_finds_records_by_unique_and_by_other_fields(client: Client, column: str) -> None:
    await client.insert(lead(Email="a@b.cd", City="a@b.cd"), lead(Email="o'b@b.cd", City="o'b@b.cd"), lead())
    query = f"select id, Created_By, {column} from Leads where {column} in ('A@B.CD', 'o''b@b.cd', 'x')"
    reply = await client.call("POST", "/crm/v8/coql", json={"select_query": query})
    assert reply.status == 200
    assert sorted(each[column] for each in reply.json["data"]) == ["a@b.cd", "o'b@b.cd"]
    assert reply.json["info"] == {"count": 2, "more_records": False}
    limited = await client.call("POST", "/crm/v8/coql", json={"select_query": query + " limit 1"})
    assert limited.json["info"] == {"count": 1, "more_records": True}


async def test_a_query_finds_records_by_id_or_nothing(client: Client) -> None:
    record_id = (await client.insert(lead())).json["data"][0]["details"]["id"]
    for wanted, status in ((record_id, 200), ("5", 204)):
        query = {"select_query": f"select Last_Name from Leads where id in ('{wanted}')"}
        assert (await client.call("POST", "/crm/v8/coql", json=query)).status == status


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "MANDATORY_NOT_FOUND"),
        (b'{"select_query":"select"}', "SYNTAX_ERROR"),
        (b'{"select_query":"select id from Nonsense where id in (\'1\')"}', "INVALID_QUERY"),
        (b'{"select_query":"select Nonsense from Leads where id in (\'1\')"}', "INVALID_QUERY"),
    ],
)
async def test_a_query_that_cannot_be_run_says_why(client: Client, body: bytes, code: str) -> None:
    reply = await client.call("POST", "/crm/v8/coql", data=body)
    assert (reply.status, reply.json["code"]) == (400, code)


# --- Settings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"unique": ("Leads.Nonsense",)},
        {"unique": ("Nonsense.Email",)},
        {"unique": ("Email",)},
        {"external": ("Leads",)},
        {"db": Path("/nonexistent/sandbox.db")},
    ],
)
async def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        async with running(SandboxSettings(**settings)):
            pass


async def test_a_taken_port_is_refused() -> None:
    async with running(SandboxSettings()) as ready:
        port = int(ready.url.rpartition(":")[2])
        with pytest.raises(UsageError, match="cannot listen"):
            async with running(SandboxSettings(port=port)):
                pass


@pytest.mark.parametrize(
    "wrong", [{"port": -1}, {"concurrency": 0}, {"latency_s": -1.0}, {"token_life_s": 0}]
)
def test_a_setting_out_of_bounds_names_its_flag(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="--" + next(iter(wrong)).removesuffix("_s").replace("_", "-")):
        SandboxSettings(**wrong)
