"""The sandbox as a process of its own: what it says when it is ready, and what a kill leaves."""

import json
import signal
import sqlite3
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(60)

PROGRAM = """
import asyncio, sys
from pathlib import Path
from loader.sandbox.app import SandboxSettings, serve
settings = SandboxSettings(db=Path(sys.argv[1]), unique=("Leads.Email",))
asyncio.run(serve(settings, ready=lambda ready: print(ready.line(), flush=True)))
"""


@contextmanager
def sandbox(database: Path) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(database)], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def post(url: str, body: bytes, headers: dict[str, str] | None = None) -> Any:
    request = urllib.request.Request(url, body, headers or {}, method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


def token_of(ready: dict[str, Any]) -> dict[str, str]:
    form = {name: ready[name] for name in ("client_id", "client_secret", "refresh_token")}
    form["grant_type"] = "refresh_token"
    answer = post(ready["url"] + "/oauth/v2/token", urllib.parse.urlencode(form).encode())
    return {"Authorization": f"Zoho-oauthtoken {answer['access_token']}"}


def insert(ready: dict[str, Any], headers: dict[str, str], emails: list[str]) -> list[str]:
    body = json.dumps({"data": [{"Last_Name": "Daly", "Email": each} for each in emails]}).encode()
    data = post(ready["url"] + "/crm/v8/Leads", body, headers)["data"]
    return [item["details"]["id"] for item in data]


def stored_ids(database: Path) -> set[str]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as reader:
        return {str(record_id) for (record_id,) in reader.execute("SELECT id FROM records")}


def test_the_ready_line_names_url_client_and_pid(tmp_path: Path) -> None:
    with sandbox(tmp_path / "sandbox.db") as (process, ready):
        assert list(ready) == ["url", "client_id", "client_secret", "refresh_token", "pid"]
        assert ready["pid"] == process.pid
        assert ready["url"].startswith("http://127.0.0.1:")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(tmp_path: Path, number: signal.Signals) -> None:
    database = tmp_path / "sandbox.db"
    with sandbox(database) as (process, ready):
        ids = insert(ready, token_of(ready), ["a@b.cd"])
        process.send_signal(number)
        assert process.wait(20) == 0
    assert stored_ids(database) == set(ids)


def test_kill_9_in_the_middle_of_calls_keeps_every_row_that_was_answered(tmp_path: Path) -> None:
    database = tmp_path / "sandbox.db"
    answered: list[str] = []
    with sandbox(database) as (process, ready):
        headers = token_of(ready)

        def send() -> None:
            try:
                for call in range(10_000):
                    answered.extend(insert(ready, headers, [f"{call}.{n}@b.cd" for n in range(100)]))
            except OSError:
                return  # the sandbox is gone

        sender = threading.Thread(target=send)
        sender.start()
        while len(answered) < 1000 and sender.is_alive():
            sender.join(0.01)
        process.kill()
        sender.join(30)
        assert not sender.is_alive()
    stored = stored_ids(database)
    assert len(answered) >= 1000
    assert set(answered) <= stored
    assert len(stored) - len(answered) in {0, 100}
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as reader:
        logged = {str(each) for (each,) in reader.execute("SELECT record_id FROM apply_log")}
    assert logged == stored


def test_a_sandbox_on_the_same_database_goes_on_with_client_records_and_numbers(tmp_path: Path) -> None:
    database = tmp_path / "sandbox.db"
    with sandbox(database) as (process, before):
        (first,) = insert(before, token_of(before), ["a@b.cd"])
        process.kill()
    with sandbox(database) as (_, after):
        assert after["refresh_token"] == before["refresh_token"]
        (second,) = insert(after, token_of(before | {"url": after["url"]}), ["b@b.cd"])
    assert int(second) == int(first) + 1
    assert stored_ids(database) == {first, second}


def test_a_second_sandbox_is_refused_until_the_first_is_dead(tmp_path: Path) -> None:
    database = tmp_path / "sandbox.db"
    with sandbox(database) as (process, ready):
        done = subprocess.run(
            command("--db", str(database)), capture_output=True, text=True, timeout=30, check=False
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert f"another sandbox holds {database}" in " ".join(done.stderr.split())
        insert(ready, token_of(ready), ["a@b.cd"])
        process.kill()
        process.wait(20)
        with sandbox(database) as (_, after):
            assert after["refresh_token"] == ready["refresh_token"]


# --- The command --------------------------------------------------------------------------------------------

EXAMPLE = Path(__file__).parents[2] / "docs" / "reference" / "sandbox-org.toml"


def command(*flags: str) -> list[str]:
    return [sys.executable, "-m", "loader", "sandbox", "--port", "0", *flags]


def test_the_command_takes_organisation_edition_scopes_and_switches(tmp_path: Path) -> None:
    flags = [
        "--db",
        str(tmp_path / "crm.db"),
        "--org",
        str(EXAMPLE),
        "--edition",
        "professional",
        "--users",
        "3",
    ]
    flags += ["--scopes", "ZohoCRM.org.READ, ZohoCRM.modules.vehicles.CREATE", "--switch", "no-json-path"]
    flags += ["--switch", "all-failed-202"]
    with subprocess.Popen(command(*flags), stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            headers = token_of(ready)
            request = urllib.request.Request(ready["url"] + "/crm/v8/org", headers=headers)
            with urllib.request.urlopen(request, timeout=10) as answer:
                (org,) = json.loads(answer.read())["org"]
            assert org["license_details"]["paid_type"] == "professional"
            assert org["license_details"]["users_license_purchased"] == 3
            (item,) = post(ready["url"] + "/crm/v8/Vehicles", b'{"data":[{}]}', headers)["data"]
            assert item["details"] == {"api_name": "Name"}
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--org", "/nonexistent/org.toml"], "--org /nonexistent/org.toml cannot be used"),
        (["--edition", "gold"], "--edition 'gold' cannot be used"),
        (["--scopes", ","], "--scopes names no scope"),
        (["--scopes", "ZohoCRM.modules.laeds.ALL"], "there is no module 'laeds' here"),
        (["--switch", "nonsense"], "--switch 'nonsense' cannot be used"),
    ],
)
def test_a_flag_that_cannot_be_ends_the_command_with_code_2(flags: list[str], words: str) -> None:
    done = subprocess.run(command(*flags), capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
