"""`loader check`, `load --dry-run` and `loader fields`, as a person and as a program run them."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import own_state
from tests.crash.harness import Crm, sandbox

ORGANISATION = Path(__file__).parents[2] / "docs" / "reference" / "sandbox-org.toml"
LINES = (
    {"Last_Name": "Lovelace", "Email": "ada@example.com", "Zodiac": "x"},
    {"First_Name": "Nobody", "Email": "nobody@"},
    {"Last_Name": "Hopper", "Annual_Revenue": "12"},
)


@pytest.fixture
def leads(tmp_path: Path) -> Path:
    path = tmp_path / "leads.ndjson"
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES) + "\nnot json\n")
    return path


def run(
    *arguments: object,
    columns: int = 80,
    data: bytes | None = None,
    environment: Mapping[str, str] | None = None,
) -> Any:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOADER_")}
    return subprocess.run(
        [sys.executable, "-m", "loader", *map(str, arguments)],
        env=kept | {"COLUMNS": str(columns), "LOADER_STATE_DIR": own_state.fresh(), **(environment or {})},
        input=data,
        stdin=None if data is not None else subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
        check=False,
    )


def screen(done: Any) -> str:
    return " ".join(done.stderr.decode().split())


def test_an_input_without_a_record_is_warned_of_also_quietly(tmp_path: Path) -> None:
    path = tmp_path / "leads.ndjson"
    path.write_bytes(b"\n")
    done = run("check", path, "--module", "Leads", "--quiet")
    assert (done.returncode, done.stderr) == (0, b"warning: the input held no record\n")


def test_each_problem_is_told_with_its_line_its_field_and_what_is_right(leads: Path) -> None:
    done = run("check", leads, "--module", "Leads")
    assert done.returncode == 3, done.stderr
    assert done.stdout == b""
    told = screen(done)
    for words in (
        "good 1 25.00 %",
        "invalid 3 75.00 %",
        "MANDATORY_NOT_FOUND Last_Name 1 line 2: Last_Name is mandatory; give it a value",
        "INVALID_DATA Annual_Revenue 1 line 3: Annual_Revenue is the string '12'; it takes a number",
        "INVALID_DATA Email 1 line 2: Email is the string 'nobody@'",
        "NOT_JSON 1 line 5: the line is not JSON",
        "unknown field Zodiac 1 line 1",
        "1 call, 1 credit",
        f"Mend those lines, then: loader check {leads} --module Leads",
    ):
        assert words in told
    assert not Path(f"{leads}.load").exists()


def test_a_good_file_ends_with_0_and_the_command_that_loads_it(tmp_path: Path) -> None:
    path = tmp_path / "good.ndjson"
    path.write_text('{"Last_Name": "Lovelace"}\n' * 150)
    done = run("check", path, "--module", "Leads", "--users", "5", "--latency", "2s")
    assert done.returncode == 0
    assert f"To load them: loader load {path} --module Leads" in screen(done)
    assert "2 calls, 15 credits" in screen(done)
    assert "With 5 users and 2 s a call" in screen(done)


@pytest.mark.parametrize(
    "target",
    [
        ("--dc", "eu"),
        ("--api-domain", "http://127.0.0.1:9"),
        ("--api-domain", "http://127.0.0.1:9", "--accounts-url", "http://127.0.0.1:8"),
        ("--dc", "in", "--accounts-url", "http://127.0.0.1:8"),
        ("--dc", "us", "--accounts-url", "http://127.0.0.1:8"),
    ],
    ids=["a data centre", "an address", "two addresses", "both", "the usual one and an address"],
)
def test_the_next_command_goes_to_the_same_target(tmp_path: Path, target: tuple[str, ...]) -> None:
    path = tmp_path / "good.ndjson"
    path.write_text('{"Last_Name": "Lovelace"}\n')
    told = screen(run("check", path, "--module", "Leads", *target, columns=200))
    assert f"To load them: loader load {path} --module Leads {' '.join(target)}" in told
    dry = screen(run("load", path, "--module", "Leads", "--key", "Email", *target, "-n"))
    assert "To load them, type the same command without -n" in dry


def test_a_program_reads_the_same_as_json(leads: Path) -> None:
    done = run("check", leads, "--module", "Leads", "--json", "-q")
    told = json.loads(done.stdout)
    assert (told["records"], told["invalid"], told["blank_lines"], told["exit_code"]) == (4, 3, 1, 3)
    assert {(one["code"], one["field"], tuple(one["lines"])) for one in told["problems"]} == {
        ("MANDATORY_NOT_FOUND", "Last_Name", (2,)),
        ("INVALID_DATA", "Email", (2,)),
        ("INVALID_DATA", "Annual_Revenue", (3,)),
        ("NOT_JSON", "", (5,)),
    }
    assert {one["edition"] for one in told["forecast"]["editions"]} >= {"free", "enterprise"}
    assert done.stderr == b""


def test_dry_run_is_the_same_check(leads: Path) -> None:
    done = run("load", leads, "--module", "Leads", "-n")
    assert done.returncode == 3
    assert "These records would be refused; they are never sent" in screen(done)
    assert not Path(f"{leads}.load").exists()


def test_stdin_and_gzip_are_checked_too(leads: Path, tmp_path: Path) -> None:
    packed = tmp_path / "leads.ndjson.gz"
    packed.write_bytes(gzip.compress(leads.read_bytes()))
    assert run("check", packed, "--module", "Leads").returncode == 3
    assert run("check", "-", "--module", "Leads", data=leads.read_bytes()).returncode == 3


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_no_line_is_wider_than_the_screen_but_for_tables_and_commands(leads: Path, columns: int) -> None:
    done = run("check", leads, "--module", "Leads", columns=columns)
    for line in done.stderr.decode().splitlines():
        if line.startswith("      "):
            assert len(line) <= max(columns, 40)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("check", "nowhere.ndjson", "--module", "Leads"), "nowhere.ndjson"),
        (("check", "x.ndjson", "--module", "Meetings"), "Did you mean Events?"),
        (("check", "x.ndjson", "--module", "Vehicles"), "Set the credentials"),
        (("fields", "leads"), "Did you mean Leads?"),
        (("check", "x.ndjson"), "--module"),
    ],
)
def test_a_mistake_ends_with_2_and_says_what_to_do(arguments: tuple[str, ...], words: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert words in screen(done)
    assert b"Traceback" not in done.stderr


def test_half_of_the_credentials_end_with_6(leads: Path) -> None:
    done = run("check", leads, "--module", "Leads", environment={"LOADER_CLIENT_ID": "1000.X"})
    assert done.returncode == 6
    assert "LOADER_REFRESH_TOKEN" in screen(done)


def test_a_service_that_is_out_of_reach_is_given_up_when_patience_ends(leads: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # bound and not listening: whoever connects is refused
        done = run(
            *("check", leads, "--module", "Leads", "--patience", "200ms"),
            environment={
                "LOADER_API_DOMAIN": f"http://127.0.0.1:{probe.getsockname()[1]}",
                "LOADER_ACCESS_TOKEN": "1000.x",
            },
        )
    assert (done.returncode, "is out of reach" in screen(done)) == (7, True), done.stderr


def test_fields_shows_type_length_mandatory_and_possible_values() -> None:
    done = run("fields", "Calls")
    assert done.returncode == 0
    told = " ".join(done.stdout.decode().split())
    assert "Subject text (string) mandatory; up to 255 characters" in told
    assert "one of Inbound, Outbound, Missed" in told
    assert json.loads(run("fields", "Calls", "--json").stdout)["module"]["api_name"] == "Calls"


@pytest.fixture
def crm(tmp_path: Path) -> Iterator[Crm]:
    with sandbox(tmp_path, "--org", str(ORGANISATION), "--edition", "enterprise", "--users", "7") as running:
        yield running


def test_with_credentials_the_organisation_s_own_fields_layouts_and_edition_count(
    tmp_path: Path, crm: Crm
) -> None:
    path = tmp_path / "leads.ndjson"
    path.write_text(
        '{"Last_Name": "Daly", "Legacy_Id": "' + "x" * 41 + '"}\n'
        '{"Last_Name": "Daly", "Layout": {"id": "5725767000000091055"}}\n'
        '{"Last_Name": "Daly"}\n'
    )
    where = ("--api-domain", crm.url, "--accounts-url", crm.url)
    done = run("check", path, "--module", "Leads", *where, environment=crm.credentials)
    told = screen(done)
    assert done.returncode == 3, told
    assert "INVALID_DATA Legacy_Id 1 line 1" in told
    assert "MANDATORY_NOT_FOUND Company 1 line 2" in told
    assert "enterprise (yours)" in told
    assert "With 7 users" in told
    shown = run("fields", "Leads", *where, environment=crm.credentials).stdout.decode()
    assert "Legacy_Id" in shown
    assert "Layout Fairs (5725767000002734009)" in shown
    assert crm.database.records_taken == 0
