"""The commands against a sandbox of their own: screens, data, exit codes, and no secret anywhere."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import own_state
from tests.cli.conftest import ROOT

GOOD = [b'{"Last_Name":"Lead %d","Email":"lead.%d@example.com"}\n' % (n, n) for n in range(1, 251)]
BAD = b'{"Company":"\x1b[2J nobody","Email":"x\x1b]0;pwned\x07"}\n'
SECRETS = ("client_secret", "refresh_token")


class Crm(NamedTuple):
    """A sandbox that runs, and the environment in which commands reach it."""

    facts: dict[str, str]
    environment: dict[str, str]


def environment(home: Path, **extra: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LOADER_", "XDG_"))}
    return {**kept, "HOME": str(home), "PYTHONPATH": str(ROOT), "COLUMNS": "80", **extra}


@pytest.fixture(scope="module")
def crm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crm]:
    home = tmp_path_factory.mktemp("crm")
    command = [
        sys.executable,
        "-m",
        "loader",
        "sandbox",
        "--db",
        str(home / "crm.db"),
        "--token-grants",
        "1000",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(home)) as process:
        try:
            assert process.stdout
            facts = json.loads(process.stdout.readline())
            assert list(facts) == ["url", "client_id", "client_secret", "refresh_token", "pid"]
            assert facts["pid"] == process.pid
            credentials = {f"LOADER_{name.upper()}": facts[name] for name in ("client_id", *SECRETS)}
            yield Crm(facts, environment(home, LOADER_API_DOMAIN=facts["url"], **credentials))
        finally:
            process.terminate()
            process.wait(10)
    assert process.returncode == 0


class Ran(NamedTuple):
    code: int
    out: bytes
    err: str


class Desk:
    """A directory to work in."""

    def __init__(self, directory: Path, crm: Crm) -> None:
        self.directory = directory
        self.crm = crm
        self.said = b""

    def run(self, *arguments: str, **changed: str) -> Ran:
        surroundings = {**self.crm.environment, "LOADER_STATE_DIR": own_state.fresh(), **changed}
        done = subprocess.run(
            [sys.executable, "-m", "loader", *arguments],
            cwd=self.directory,
            env={name: value for name, value in surroundings.items() if value},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=30,
        )
        self.said += done.stdout + done.stderr
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        return Ran(done.returncode, done.stdout, done.stderr.decode())

    def write(self, name: str, lines: list[bytes]) -> str:
        (self.directory / name).write_bytes(b"".join(lines))
        return name


@pytest.fixture
def desk(tmp_path: Path, crm: Crm) -> Iterator[Desk]:
    desk = Desk(tmp_path, crm)
    yield desk
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    for name in SECRETS:
        secret = crm.facts[name].encode()
        assert secret not in desk.said, f"{name} was printed"
        assert not any(secret in content for content in files), f"{name} is in a file"


def test_a_load_from_its_flags_to_its_files(desk: Desk) -> None:
    name = desk.write("leads.ndjson", [*GOOD[:120], b"\n", BAD, *GOOD[120:]])
    ran = desk.run("load", name, "--module", "Leads", "--json")
    assert ran.code == 3, ran.err
    summary = json.loads(ran.out)
    assert ran.out.count(b"\n") == 1
    assert summary["outcomes"] == {
        "inserted": 250,
        "duplicate": 0,
        "rejected": 0,
        "invalid": 1,
        "in_doubt": 0,
        "pending": 0,
    }
    assert (summary["complete"], summary["exit_code"], summary["blank_lines"]) == (True, 3, 1)
    assert "accounts for every line (and 1 blank line)" in ran.err
    assert "\x1b" not in ran.err
    load_dir = desk.directory / "leads.ndjson.load"
    assert json.loads((load_dir / "summary.json").read_bytes()) == summary
    assert (load_dir / "rejected.ndjson").read_bytes() == BAD
    assert json.loads((load_dir / "rejected-reasons.ndjson").read_bytes())["line"] == 122


def test_a_finished_load_says_so_and_gives_its_exit_code_again(desk: Desk) -> None:
    command = ("load", desk.write("again.ndjson", [*GOOD[:3], BAD]), "--module", "Leads")
    first = desk.run(*command)
    assert first.code == 3
    log = (desk.directory / "again.ndjson.load" / "checkpoint.log").read_bytes()
    again = desk.run(*command, LOADER_REFRESH_TOKEN="", LOADER_CLIENT_ID="", LOADER_CLIENT_SECRET="")
    assert (again.code, "nothing was sent" in again.err) == (3, True)
    resumed = desk.run("resume", "again.ndjson.load")
    assert (resumed.code, "nothing was sent" in resumed.err) == (3, True)
    assert (desk.directory / "again.ndjson.load" / "checkpoint.log").read_bytes() == log


def test_results_tell_each_line_in_order(desk: Desk) -> None:
    name = desk.write("some.ndjson", [GOOD[0], b"\n", BAD, GOOD[1]])
    desk.run("load", name, "--module", "Leads", "--key", "Email")
    rows = [json.loads(line) for line in desk.run("results", f"{name}.load").out.splitlines()]
    assert [(row["line"], row["offset"], row["outcome"]) for row in rows] == [
        (1, 0, "inserted"),
        (3, len(GOOD[0]) + 1, "invalid"),
        (4, len(GOOD[0]) + 1 + len(BAD), "inserted"),
    ]
    assert rows[0]["key"] == "lead.1@example.com"
    assert [
        json.loads(line)["line"] for line in desk.run("results", f"{name}.load", "--failed").out.splitlines()
    ] == [3]
    by_outcome = desk.run(
        "results", f"{name}.load", "--outcome", "inserted", "--format", "csv"
    ).out.splitlines()
    assert [line.split(b",")[0] for line in by_outcome] == [b"line", b"1", b"4"]
    assert b"\x1b" not in desk.run("results", f"{name}.load").out
    (desk.directory / name).unlink()
    gone = desk.run("results", f"{name}.load")
    assert "is gone or was changed" in gone.err
    assert [json.loads(line)["line"] for line in gone.out.splitlines()] == [1, 3, 4]


def test_status_touches_nothing(desk: Desk) -> None:
    name = desk.write("status.ndjson", GOOD[:5])
    desk.run("load", name, "--module", "Leads", "-q")
    load_dir = desk.directory / f"{name}.load"
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in load_dir.iterdir()}
    ran = desk.run("status", "--json")
    assert ran.code == 0
    assert " finished" in ran.err.splitlines()[0]
    assert json.loads(ran.out)["complete"] is True
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in load_dir.iterdir()} == before


def test_members_that_the_api_ignores_are_told_and_stop_nothing(desk: Desk) -> None:
    odd = GOOD[1].replace(b"{", b'{"Zodiac":"x",', 1)
    name = desk.write("odd.ndjson", [GOOD[0], odd])
    ran = desk.run("load", name, "--module", "Leads", "--json")
    assert (ran.code, json.loads(ran.out)["ignored_fields"]) == (0, ["Zodiac"])
    said = " ".join(ran.err.split())
    assert (
        said.count("worth a look: records have a member that no insert sets, and the API ignores it: Zodiac")
        == 1
    )
    assert "ignored Zodiac the API ignores these members; why: loader check odd.ndjson --module Leads" in said
    with (desk.directory / name).open("ab") as stream:
        stream.write(GOOD[2].replace(b"{", b'{"Colour":"red",', 1))
    more = desk.run("load", name, "--module", "Leads", "--append", "--json", "-q")
    assert (more.code, more.err) == (0, "")
    assert json.loads(more.out)["ignored_fields"] == ["Zodiac", "Colour"], "what the run before met is kept"
    unchecked = desk.run("load", desk.write("u.ndjson", [odd]), "--module", "Leads", "--no-check", "--json")
    assert (unchecked.code, json.loads(unchecked.out)["ignored_fields"]) == (0, [])


def test_quiet_says_nothing(desk: Desk) -> None:
    assert desk.run("load", desk.write("q.ndjson", GOOD[:2]), "--module", "Leads", "-q") == (0, b"", "")


def test_new_starts_over_and_keeps_the_old_directory(desk: Desk) -> None:
    name = desk.write("new.ndjson", GOOD[:2])
    assert desk.run("load", name, "--module", "Leads").code == 0
    before = (desk.directory / "new.ndjson.load" / "checkpoint.log").read_bytes()
    again = desk.run("load", name, "--module", "Leads", "--new")
    assert (again.code, "inserted            2" in again.err) == (0, True)
    logs = [path.read_bytes() for path in desk.directory.glob("new.ndjson.load*/checkpoint.log")]
    assert len(logs) == 2
    assert before in logs


@pytest.mark.parametrize(
    ("changed", "arguments", "code"),
    [
        pytest.param({"LOADER_REFRESH_TOKEN": "1000.no"}, ["--module", "Leads"], 6, id="wrong token"),
        pytest.param(
            {"LOADER_REFRESH_TOKEN": "", "LOADER_CLIENT_ID": "", "LOADER_CLIENT_SECRET": ""},
            ["--module", "Leads"],
            6,
            id="no credentials",
        ),
        pytest.param({}, ["--module", "Nonsense"], 2, id="unknown module"),
        pytest.param({}, ["--module", "Leads", "--key", "Nonsense"], 2, id="unknown field"),
        pytest.param(
            {"LOADER_API_DOMAIN": "http://127.0.0.1:9"},
            ["--module", "Leads", "--patience", "200ms"],
            7,
            id="unreachable",
        ),
    ],
)
def test_what_keeps_a_load_from_beginning(
    desk: Desk, changed: dict[str, str], arguments: list[str], code: int
) -> None:
    ran = desk.run("load", desk.write("x.ndjson", GOOD[:2]), *arguments, **changed)
    assert ran.code == code, ran.err
    assert "error: " in ran.err
    assert ran.out == b""
    assert len(ran.err.splitlines()) <= 24


def test_a_running_load_is_seen_and_stops_kindly(desk: Desk) -> None:
    name = desk.write("long.ndjson", GOOD * 40)
    command = [sys.executable, "-m", "loader", "load", name, "--module", "Leads", "--rate", "2"]
    with subprocess.Popen(
        command, cwd=desk.directory, env=desk.crm.environment, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr
        assert process.stderr.readline().startswith(b"load ")  # the log is open from here on
        running = desk.run("status", f"{name}.load", "--json")
        second = desk.run("load", name, "--module", "Leads")
        process.send_signal(signal.SIGTERM)
        said = process.stderr.read().decode()
        assert process.wait(20) == 143, said
    since = r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d [A-Z+-]\S*"
    assert re.search(rf"is running: process {process.pid}, {since}", " ".join(running.err.split()))
    assert re.search(rf"Process {process.pid} on \S+, {since}", " ".join(second.err.split()))
    assert json.loads(running.out)["exit_code"] is None
    assert second.code == 11
    assert "exit 143" in said
    assert "SIGTERM" in said
    stopped = desk.run("status", f"{name}.load", "--json")
    assert json.loads(stopped.out)["exit_code"] == 143
    assert f"has stopped. To go on: loader resume {name}.load" in stopped.err
