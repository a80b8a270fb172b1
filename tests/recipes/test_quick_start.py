"""The quick start, typed from top to bottom: its blocks, word by word, by a shell in each of its terminals.

What cannot be had here is put in their place: a port of the system's choice for 8080, a sandbox for the
service of the data centre.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests import canary
from tests.crash.harness import Crm, environment, sandbox

GUIDE: Final = Path(__file__).parents[2] / "docs" / "guide" / "quick-start.md"
CODE: Final = "1000.quick.start"


def blocks(title: str) -> list[str]:
    """The samples under a heading of the page."""
    section = GUIDE.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


class Terminal:
    """A shell in the checkout, which keeps its directory and its variables from one block to the next."""

    def __init__(self, checkout: Path) -> None:
        self._shell = subprocess.Popen(
            ["bash"],
            cwd=checkout,
            env={
                **environment(checkout / "home", {}),
                "HOME": str(checkout / "home"),
                "PATH": os.environ["PATH"],
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._watch = threading.Timer(60, self._shell.kill)
        self._watch.start()

    def types(self, block: str) -> tuple[int, str]:
        """The exit code of the block's last command, and all that was said."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f'{block}\necho "=== $?"\n')
        self._shell.stdin.flush()
        said: list[str] = []
        for line in self._shell.stdout:
            if line.startswith("=== "):
                return int(line.split()[1]), "".join(said)
            said.append(line)
        raise AssertionError(f"the terminal is gone, after: {''.join(said)}")

    def close(self) -> None:
        self._shell.kill()
        self._shell.communicate()
        self._watch.cancel()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the environment that the page makes in it; the package is the one under test."""
    place = tmp_path / "checkout"
    (place / ".venv" / "bin").mkdir(parents=True)
    (place / "home").mkdir()
    (place / ".venv" / "bin" / "activate").write_text(f'PATH="{place}/.venv/bin:$PATH"\n')
    script = place / ".venv" / "bin" / "loader"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m loader "$@"\n')
    script.chmod(0o755)
    return place


@pytest.fixture
def crm(tmp_path: Path) -> Iterator[Crm]:
    (tmp_path / "service").mkdir()
    with sandbox(tmp_path / "service", "--unique", "Leads.Email", "--grant-code", CODE) as running:
        yield running


@pytest.fixture
def terminal(checkout: Path) -> Iterator[Terminal]:
    made = Terminal(checkout)
    yield made
    made.close()


def beside_the_sandbox(checkout: Path, begin: str) -> Iterator[str]:
    """Runs the sandbox of the page as in a terminal of its own; gives its address."""
    assert "--port 8080 " in begin
    words = begin.replace("8080", "0").partition("|")[0].split()
    with subprocess.Popen(
        [str(checkout / ".venv" / "bin" / words[0]), *words[1:]],
        cwd=checkout / "first-load",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=environment(checkout / "home", {}),
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        canary.belongs_in(checkout / "first-load" / "sandbox.json").write_text(line)
        yield json.loads(line)["url"]
        process.terminate()
        process.wait(20)


@pytest.fixture
def sandbox_of_the_page(checkout: Path, terminal: Terminal) -> Iterator[str]:
    make, begin, *_ = blocks("Load a file of your own into the sandbox")
    assert begin.split("|")[1].split() == ["tee", "sandbox.json"]
    assert terminal.types(make) == (0, "")
    yield from beside_the_sandbox(checkout, begin)


@pytest.fixture
def second(checkout: Path, sandbox_of_the_page: str) -> Iterator[Terminal]:
    assert sandbox_of_the_page
    made = Terminal(checkout)
    yield made
    made.close()


@pytest.fixture
def third(checkout: Path) -> Iterator[Terminal]:
    made = Terminal(checkout)
    yield made
    made.close()


def test_the_quick_start_works_from_top_to_bottom(
    checkout: Path, crm: Crm, sandbox_of_the_page: str, second: Terminal, third: Terminal
) -> None:
    load, results, retry = blocks("Load a file of your own into the sandbox")[2:]
    code, said = second.types(load.replace("http://127.0.0.1:8080", sandbox_of_the_page))
    assert code == 3, said
    code, said = second.types(results)
    assert (code, said.count('"outcome"')) == (0, 4), "three results, and the one that failed once more"
    code, said = second.types(retry)
    assert code == 0, said

    first_load = checkout / "first-load"
    target = f"--api-domain {crm.url}"
    begin, place, grant, doctor, check, trial, rest = [
        block.replace("--dc eu", target) for block in blocks("Load into your organisation")
    ]
    assert third.types(begin) == (0, "")
    assert third.types(place) == (0, "")
    secret = canary.belongs_in(checkout / "home" / ".loader" / "client-secret")
    secret.write_text(crm.credentials["LOADER_CLIENT_SECRET"] + "\n")
    canary.belongs_in(checkout / "home" / ".loader" / "refresh-token")
    grant = grant.replace("1000.YOURCLIENT", crm.credentials["LOADER_CLIENT_ID"])
    code, said = third.types(grant.replace("loader auth", f"echo {CODE} | loader auth"))
    assert code == 0, said
    for block, records in ((doctor, 0), (check, 0), (trial, 2), (rest, 3)):
        code, said = third.types(block)
        assert code == 0, said
        assert crm.database.rows == records
    assert {path.name for path in first_load.glob("*.load")} == {
        "leads.ndjson.load",
        "trial.ndjson.load",
        "rest.ndjson.load",
    }
