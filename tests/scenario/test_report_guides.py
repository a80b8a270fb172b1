"""The guides to report and results do what they say: their commands and programs run as they stand."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import canary
from tests.crash.harness import ROOT, Desk, sandbox

pytestmark = pytest.mark.timeout(120)
GUIDES = ROOT / "docs" / "guide"
COMMANDS_MAX_S = 60
LEADS = [
    *({"Last_Name": f"Lead {number}", "Email": f"lead.{number}@example.com"} for number in range(1, 121)),
    {"Last_Name": "Twice", "Email": "lead.5@example.com"},
    {"Email": "nameless@example.com"},
    {"Last_Name": "Formula", "Email": "+48@example.com"},
]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    directory = tmp_path_factory.mktemp("guides")
    source = directory / "leads.ndjson"
    source.write_bytes(b"".join(json.dumps(lead).encode() + b"\n" for lead in LEADS))
    with sandbox(directory, "--unique", "Leads.Email") as crm:
        desk = Desk(directory, crm, source, ("--key", "Email"))
        desk.load().ended(3)
        for command in blocks("results.md", "sh"):
            typed(desk, re.sub(r"^pip install .*$", "", command, flags=re.MULTILINE))
        yield desk


def blocks(guide: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", (GUIDES / guide).read_text(), re.DOTALL | re.MULTILINE)


def typed(desk: Desk, commands: str, *, codes: tuple[int, ...] = (0,)) -> None:
    """The commands in a shell, in the directory of the input."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-uo", "pipefail", "-s"],
        input=commands,
        capture_output=True,
        text=True,
        env={**desk.surroundings(), "PATH": path, "LOADER_API_DOMAIN": desk.crm.url},
        cwd=desk.directory,
        timeout=COMMANDS_MAX_S,
        check=False,
    )
    assert done.returncode in codes, done.stderr
    assert "error" not in done.stderr, done.stderr
    canary.look_at(done.stdout + done.stderr, "what the guide's commands say")


def test_the_files_of_the_guide_hold_what_it_says(desk: Desk) -> None:
    def of(name: str) -> list[str]:
        return [json.loads(line)["outcome"] for line in (desk.directory / name).read_bytes().splitlines()]

    assert of("failed.ndjson") == ["invalid"]
    assert of("look-at-these.ndjson") == ["duplicate"]
    table = (desk.directory / "results.csv").read_bytes()
    assert table.count(b"\r\n") == len(LEADS) + 1
    assert b"'+48@example.com" in table
    assert (desk.directory / "results.parquet").read_bytes().startswith(b"PAR1")


@pytest.mark.parametrize("library", ["duckdb", "pandas"])
def test_the_programs_of_the_guide_run(desk: Desk, library: str) -> None:
    pytest.importorskip(library, reason=f"NO {library.upper()}: what the guide does with it is not run")
    programs = [one for one in blocks("results.md", "python") if f"import {library}" in one]
    assert programs
    for program in programs:
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=desk.directory,
            capture_output=True,
            text=True,
            timeout=COMMANDS_MAX_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        if "print" in program:
            assert "inserted" in done.stdout
            assert "MANDATORY_NOT_FOUND" in done.stdout
    if library == "duckdb":
        ids = (desk.directory / "ids.csv").read_text().splitlines()
        assert len(ids) == 1 + len(LEADS) - 1  # a head line, and all but the one that was refused


def test_the_commands_of_the_report_s_guide_write_it(desk: Desk) -> None:
    (commands,) = blocks("report.md", "sh")
    # The organisation of the guide is in Europe; the one here is the sandbox.
    for command in commands.replace(" --dc eu", "").splitlines():
        (desk.directory / "leads-report.html").unlink(missing_ok=True)
        typed(desk, command, codes=(0, 3))
        assert "lead" in (desk.directory / "leads-report.html").read_text()


def test_the_pictures_of_the_report_are_small() -> None:
    for name in re.findall(r"\.\./images/([\w.-]+)", (GUIDES / "report.md").read_text()):
        assert 10_000 < (ROOT / "docs" / "images" / name).stat().st_size < 150_000
