"""The canary itself: what it would find, and what it lets be."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from loader.sandbox.auth import MARK, ClientSecrets, Grant, Tokens
from tests import canary

ROOT = Path(__file__).resolve().parents[2]

HEAD = """
import subprocess, sys
from pathlib import Path
import pytest
from tests import canary
"""

LEAKS = """
def test_a_file(tmp_path):
    (tmp_path / "report.html").write_text("x" * 9 + canary.secret())

def test_a_file_in_a_folder(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "log").write_text(canary.secret())

def test_a_mark_across_two_reads(tmp_path):
    (tmp_path / "log").write_bytes(b"x" * (2**20 - 12) + canary.secret().encode())

def test_a_screen_that_broke_it(tmp_path):
    broken = canary.secret().replace(canary.MARK, canary.MARK[:5] + "\\n  " + canary.MARK[5:])
    (tmp_path / "loader.stderr").write_text(broken)

def test_what_a_test_prints():
    print(canary.secret())

def test_what_a_process_says():
    script = "from tests import canary; print(canary.secret())"
    subprocess.run([sys.executable, "-c", script], check=True)

def test_an_argument():
    subprocess.run([sys.executable, "-c", "pass", "--token=" + canary.secret()], check=True)

def test_the_arguments_of_a_running_process():
    sleeper = [sys.executable, "-c", "input()", canary.secret()]
    with subprocess.Popen(sleeper, stdin=subprocess.PIPE) as process:
        canary.take_finds()
        canary.look_at_arguments(process.pid)

def test_what_the_harness_looked_at():
    canary.look_at(canary.secret(), "stderr")
"""

HARMLESS = """
import os

def test_a_part_of_the_mark(tmp_path):
    (tmp_path / "log").write_text(canary.MARK[:-1])

def test_a_file_that_it_belongs_in(tmp_path):
    canary.belongs_in(tmp_path / "token").write_text(canary.secret())

def test_a_sandbox_s_database(tmp_path):
    (tmp_path / "crm.db").write_text(canary.secret())
    (tmp_path / "crm.db-wal").write_text(canary.secret())

def test_an_environment():
    subprocess.run([sys.executable, "-c", "pass"], env={**os.environ, "X": canary.secret()}, check=True)

def test_a_named_pipe(tmp_path):
    os.mkfifo(tmp_path / "fifo")
"""

LATE_LEAK = """
@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("module")
    yield place
    (place / "late").write_text(canary.secret())

def test_of_a_module(place):
    pass
"""


def pytest_on(source: str, *flags: str) -> subprocess.CompletedProcess[str]:
    """A session of its own, far from this one's temporary directory, which is searched too."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "test_planted.py"
        file.write_text(HEAD + source)
        where = [f"--rootdir={place}", f"--basetemp={place}/base", str(file)]
        plugins = ["-p", "tests.canary", "-p", "no:cacheprovider", "-c", os.devnull]
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *plugins, *flags, *where],
            cwd=place,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )


def test_each_leak_fails_its_test_and_the_find_names_file_and_offset_but_not_the_secret() -> None:
    done = pytest_on(LEAKS, "--show-capture=no")
    assert done.returncode == 1, done.stdout + done.stderr
    for name in re.findall(r"def (test_\w+)", LEAKS):
        told = rf"ERROR at teardown of {name} _+\na secret is where none may be"
        assert re.search(told, done.stdout), done.stdout
    assert "report.html, byte 14\n" in done.stdout
    assert canary.MARK not in done.stdout


def test_a_leak_of_a_module_in_a_worker_fails_the_session() -> None:
    done = pytest_on(LATE_LEAK, "-n", "1")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "late, byte 5" in done.stdout


def test_where_secrets_belong_they_are_let_be() -> None:
    done = pytest_on(HARMLESS)
    assert done.returncode == 0, done.stdout
    assert "5 passed" in done.stdout


def test_every_secret_of_a_sandbox_bears_the_mark_in_each_of_its_parts() -> None:
    assert canary.MARK == MARK
    client = ClientSecrets.new()
    form = {
        "grant_type": "refresh_token",
        "client_id": client.client_id,
        "client_secret": client.client_secret,
        "refresh_token": client.refresh_token,
    }
    granted = Tokens(client, life_s=60).grant(form, now=0)
    assert isinstance(granted, Grant)
    assert client.client_secret.count(MARK) == 1
    for token in (client.refresh_token, granted.access_token):
        assert [MARK in part for part in token.split(".")] == [False, True, True]
        assert len(token) == 5 + 32 + 1 + 32
    assert client != ClientSecrets.new()
