"""What stops a command is one screen on stderr and an exit code, and never a traceback unasked."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from loader.cli import errors, main
from loader.errors import (
    CredentialsError,
    DiskError,
    ExitCode,
    InputChangedError,
    LockedError,
    UsageError,
    command,
)
from tests.cli.conftest import ROOT, Run

CHANGED = InputChangedError(
    "the input changed since this load began",
    why="leads.ndjson, line 120,401: checksum 9f21c0aa, the checkpoint log says 4be017d2",
    hint="Nothing was sent. To load the new file: loader load leads.ndjson --module Leads --new",
)


def test_a_loader_error_is_shown_as_promised(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert errors.tell(CHANGED) == 8
    assert capsys.readouterr().err == (
        "error: the input changed since this load began\n"
        "  leads.ndjson, line 120,401: checksum 9f21c0aa, the checkpoint log says 4be017d2\n"
        "  Nothing was sent. To load the new file: loader load leads.ndjson --module Leads --new\n"
    )


def test_a_loader_error_on_60_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    errors.tell(CHANGED)
    assert capsys.readouterr().err == (
        "error: the input changed since this load began\n"
        "  leads.ndjson, line 120,401: checksum 9f21c0aa, the\n"
        "  checkpoint log says 4be017d2\n"
        "  Nothing was sent. To load the new file:\n"
        "  loader load leads.ndjson --module Leads --new\n"
    )


@pytest.mark.parametrize("columns", ["60", "80", "100", "200"])
@pytest.mark.parametrize("length", range(40, 80, 3))
def test_a_command_to_copy_stands_on_one_line(
    length: int, columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    load = "/" + "a" * (length - 1)
    errors.tell(UsageError("x", hint=f"Finish it first: loader resume {load}, then loader resolve {load}"))
    said = capsys.readouterr().err.splitlines()
    assert any(f"loader resume {load}," in line for line in said), said
    assert any(f"loader resolve {load}" in line for line in said), said
    longest = len(f"  loader resolve {load},")
    assert max(map(len, said)) <= max(int(columns), longest)


def test_the_step_to_take_is_said_however_long_the_causes_are(capsys: pytest.CaptureFixture[str]) -> None:
    errors.tell(DiskError("x", why="\n".join(["cause"] * 100), hint="loader resume leads.load"))
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == "  loader resume leads.load"
    assert len(said) <= 1 + errors.LINES_MAX


@pytest.mark.parametrize("length", [30, 60, 90, 200])
@pytest.mark.parametrize("place", ["/data/{}", "/data/of the night/{}"])
def test_a_command_is_whole_with_its_flags_however_long_and_can_be_typed(
    length: int, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = place.format("n" * length)
    typed = f"{command('load', path, '--module', 'Leads', '--load-dir', path)} --new"
    assert shlex.split(typed) == ["loader", "load", path, "--module", "Leads", "--load-dir", path, "--new"]
    errors.tell(UsageError("x", why=f"{path} shrank", hint=f"Put it back. To load the new file: {typed}"))
    said = capsys.readouterr().err.splitlines()
    assert any(line.endswith(typed) for line in said), said


@pytest.mark.parametrize("length", [50, 100, 300])
def test_a_path_is_not_broken_and_words_of_a_server_are(
    length: int, capsys: pytest.CaptureFixture[str]
) -> None:
    path = "/" + "p" * length
    errors.tell(DiskError(f"{path} cannot be opened", why="w" * 450, hint=f"mv {path} {path}.other"))
    said = capsys.readouterr().err.splitlines()
    assert any(path in line for line in said)
    assert f"  mv {path} {path}.other" in said
    assert max(len(line) for line in said if "w" * 40 in line) <= 80


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), 2),
        (CredentialsError("x"), 6),
        (DiskError("x"), 9),
        (LockedError("x"), 11),
        (click.UsageError("x"), 2),
        (click.ClickException("x"), 2),
        (click.Abort(), 130),
        (KeyboardInterrupt(), 130),
        (click.exceptions.Exit(0), 0),
        (ValueError("x"), 1),
        (RecursionError(), 1),
    ],
)
def test_exit_codes(error: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert errors.tell(error) == code
    assert "Traceback" not in capsys.readouterr().err


def test_a_defect_says_where_the_traceback_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert errors.tell(ZeroDivisionError("a\x1b[2J")) == ExitCode.DEFECT
    said = capsys.readouterr().err
    assert "LOADER_DEBUG=1" in said
    assert "\x1b" not in said
    errors.tell(ZeroDivisionError("a"), debug=True)
    assert "ZeroDivisionError" in capsys.readouterr().err.splitlines()[0]


def test_an_error_is_one_screen_whatever_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    errors.tell(DiskError("w" * 500, why="\n".join(["y\x07 " * 50] * 40), hint="z"))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 100
    assert "\x07" not in "".join(lines)


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("load",),
        ("load", "x.ndjson"),
        ("load", "x.ndjson", "--module", "Leads", "--bogus"),
        ("load", "x.ndjson", "--module", "Leads", "--dc", "mars"),
        ("load", "x.ndjson", "--module", "Leads", "--rate", "0"),
        ("load", "x.ndjson", "--module", "Leads", "--timeout", "30"),
        ("load", "x.ndjson", "--module", "Leads", "--max-rejected", "many"),
        ("load", "-", "--module", "Leads"),
        ("load", "x.ndjson", "--module", "Leads", "--dc", "eu", "--api-domain", "https://h"),
        ("load", "x.ndjson", "--module", "Leads", "--api-domain", "http://example.com"),
        ("load", "x.ndjson", "--module", "Leads", "--api-domain", "https://example.com"),
        ("load", "missing.ndjson", "--module", "Leads"),
        ("resume", "nowhere.load"),
        ("status", "nowhere.load"),
        ("status",),
        ("results", "nowhere.load"),
        ("results", "nowhere.load", "--format", "parquet"),
        ("results", "nowhere.load", "--outcome", "lost"),
        ("sandbox", "--fault", "nonsense=1"),
        ("sandbox", "--latency", "soon"),
        ("sandbox", "--db", "no/such/place.db"),
    ],
    ids=" ".join,
)
def test_what_cannot_work_is_exit_2_on_one_screen(run: Run, arguments: tuple[str, ...]) -> None:
    ran = run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: ")
    assert "Traceback" not in ran.err
    assert len(ran.err.splitlines()) <= 12


@pytest.mark.parametrize(
    ("arguments", "variables", "file"),
    [
        (("load", "--log-format", "json"), {}, ""),
        (("load", "x.ndjson", "--module", "Leads", "--log-format=json", "--bogus"), {}, ""),
        (("load", "x.ndjson", "--module", "Leads", "--dc", "mars"), {"LOADER_LOG_FORMAT": "json"}, ""),
        (("load", "-", "--module", "Leads"), {}, 'log_format = "json"'),
        (("resume", "nowhere.load"), {"LOADER_LOG_FORMAT": "json"}, ""),
        (("retry", "nowhere.load"), {}, 'bogus = 1\nlog-format = "json"'),
        (("resolve", "nowhere.load", "--log-format", "json"), {"LOADER_YES": "1"}, ""),
        (("load", "x.ndjson", "--module", "Leads", "--log-format", "json"), {}, "no toml"),
    ],
)
def test_an_error_is_one_line_of_json_where_all_else_is(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    variables: dict[str, str],
    file: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    Path("loader.toml").write_text(file)
    ran = run(*arguments)
    line = json.loads(ran.err)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert (line["event"], line["level"], line["exit_code"]) == ("load_ended", "error", 2)
    assert line["error"]["what"]
    assert line["error"].keys() == {"what", "why", "hint"}


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (("load", "--log-format", "xml"), {"LOADER_LOG_FORMAT": "json"}),
        (("load", "--log-format", "text"), {"LOADER_LOG_FORMAT": "json"}),
        (("load", "--", "--log-format", "json"), {}),
        (("check", "missing.ndjson", "--module", "Leads"), {"LOADER_LOG_FORMAT": "json"}),
        (("loda",), {"LOADER_LOG_FORMAT": "json"}),
    ],
)
def test_an_error_is_a_screen_where_nobody_asks_for_json(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert run(*arguments).err.startswith("error: ")


def test_a_defect_is_one_line_of_json_too_with_its_traceback_where_it_is_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    errors.tell(ZeroDivisionError("ä\x7f"), as_json=True)
    line = capsys.readouterr().err
    assert line.isascii()
    assert "traceback" not in json.loads(line)["error"]
    errors.tell(ZeroDivisionError("a"), as_json=True, debug=True)
    told = json.loads(capsys.readouterr().err)
    assert told["exit_code"] == 1
    assert "ZeroDivisionError: a" in told["error"]["traceback"]


def test_an_unexpected_error_of_a_command_is_a_defect(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loader.cli.commands.status.only_load_in", lambda _: 1 / 0)
    ran = run("status")
    assert ran.code == 1
    assert ran.err.startswith("error: the loader has a defect: ZeroDivisionError")


def test_a_reader_that_goes_away_is_no_error() -> None:
    """As in `loader results DIR | head`: what follows in the buffer is dropped without a word."""
    script = (
        "import sys; from loader.cli import main\n"
        "def lost(*a, **k): sys.stdout.write('x' * 100000); sys.stdout.flush()\n"
        "main.loader.main = lost\n"
        "print('first', flush=True); sys.stdin.read(); main.main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout
    assert process.stdin
    assert process.stderr
    process.stdout.readline()
    process.stdout.close()
    process.stdin.close()
    said = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=20), said) == (0, b"")


def test_help_lists_every_command_and_imports_none(run: Run) -> None:
    ran = run("--help")
    assert ran.code == 0
    assert all(f"\n  {name} " in ran.out for name in main.COMMANDS)


@pytest.mark.parametrize("command", list(main.COMMANDS))
def test_each_command_has_help(run: Run, command: str) -> None:
    ran = run(command, "--help")
    assert ran.code == 0
    assert ran.out.startswith(f"Usage: loader {command} ")
