"""`loader doctor`: with everything in order, and without what a load needs."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash.harness import Crm, environment, sandbox


@pytest.fixture(scope="module")
def crm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crm]:
    with sandbox(tmp_path_factory.mktemp("crm"), "--token-grants", "1000") as running:
        yield running


def doctor(directory: Path, *arguments: str, **variables: str) -> Any:
    return subprocess.run(
        [sys.executable, "-m", "loader", "doctor", *arguments],
        cwd=directory,
        env=environment(directory / "home", variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=40,
        check=False,
    )


def states(done: Any) -> dict[str, str]:
    return {each["check"]: each["state"] for each in json.loads(done.stdout)["findings"]}


def test_with_everything_in_order_it_exits_0_and_has_sent_no_record(tmp_path: Path, crm: Crm) -> None:
    variables = {"LOADER_API_DOMAIN": crm.url, **crm.credentials}
    done = doctor(tmp_path, "--module", "Leads", **variables)
    told = done.stderr.decode()
    assert done.returncode == 0, told
    assert done.stdout == b""
    for check in ("versions", "open files", "disk: room", "disk: writing", "API: connection", "clock"):
        assert check in told
    assert "organisation" in told
    assert "problems: 0" in told.splitlines()[-1]
    assert max(map(len, told.splitlines())) <= 100
    assert not any(secret in told for secret in list(crm.credentials.values())[1:])
    assert crm.database.insert_calls == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "home"]
    as_json = doctor(tmp_path, "--json", **variables)
    found = states(as_json)
    assert (as_json.returncode, as_json.stderr) == (0, b"")
    assert found["scopes: load"] == found["scopes: settle doubts by COQL"] == found["clock"] == "ok"


def test_without_a_network_and_without_credentials_it_says_all_that_it_can(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # bound and not listening: whoever connects is refused
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        bare = doctor(tmp_path, "--json", LOADER_API_DOMAIN=url)
        with_token = doctor(tmp_path, "--json", LOADER_API_DOMAIN=url, LOADER_ACCESS_TOKEN="canary-1234")
    assert bare.returncode == 6
    assert states(bare)["API: connection"] == states(bare)["credentials"] == "problem"
    assert states(bare)["disk: writing"] == "ok"
    assert with_token.returncode == 7
    assert states(with_token)["credentials"] == "warning"
    assert b"canary" not in with_token.stdout + with_token.stderr


def test_where_there_is_no_refresh_token_yet_it_says_how_to_make_one(tmp_path: Path, crm: Crm) -> None:
    client = {name: value for name, value in crm.credentials.items() if name != "LOADER_REFRESH_TOKEN"}
    for given, advice in (
        ({**client, "LOADER_REFRESH_TOKEN_FILE": "not-yet"}, "loader auth --grant"),
        (client, "loader auth --grant --store FILE"),
        ({}, "loader auth --grant --store FILE"),
    ):
        done = doctor(tmp_path, "--json", LOADER_API_DOMAIN=crm.url, **given)
        assert done.returncode == 6
        found = next(each for each in json.loads(done.stdout)["findings"] if each["check"] == "credentials")
        assert f"; From a grant code: {advice}" in found["todo"], found


def test_wrong_credentials_and_missing_scopes_are_exit_6(tmp_path: Path, crm: Crm) -> None:
    wrong = {**crm.credentials, "LOADER_REFRESH_TOKEN": "1000.wrong.wrong", "LOADER_API_DOMAIN": crm.url}
    done = doctor(tmp_path, **wrong)
    assert done.returncode == 6
    assert "invalid_code" in done.stderr.decode()
    with sandbox(tmp_path, "--scopes", "ZohoCRM.users.READ") as narrow:
        done = doctor(tmp_path, "--json", **{"LOADER_API_DOMAIN": narrow.url, **narrow.credentials})
    assert done.returncode == 6
    assert states(done)["scopes: load"] == "problem"
    assert states(done)["scopes: live check"] == "warning"


def test_a_disk_that_cannot_be_written_to_is_exit_9(tmp_path: Path, crm: Crm) -> None:
    variables = {"LOADER_API_DOMAIN": crm.url, **crm.credentials}
    done = doctor(tmp_path, "--load-dir", "/proc/nowhere/leads.load", **variables)
    assert done.returncode == 9, done.stderr.decode()


def test_a_mistake_in_the_configuration_is_exit_2(tmp_path: Path) -> None:
    (tmp_path / "loader.toml").write_text("concurency = 4\n")
    done = doctor(tmp_path)
    assert (done.returncode, b"Did you mean concurrency?" in done.stderr) == (2, True)
