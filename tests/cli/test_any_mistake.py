"""Whatever a person types, sets or writes into loader.toml: one screen and an exit code, never a traceback.

Exit code 1 would be a defect of the loader. Nothing here reaches a service: there are no credentials, so a
command that is right by chance ends with 6 before it asks anybody.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loader.cli import main
from loader.cli.known_settings import known

SETTINGS = known()
AT_WORK = frozenset({"sandbox", "demo", "doctor"})
"""Nothing keeps these from doing their work but a mistake, so they are always given one."""
EXAMPLES = settings(
    max_examples=100,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
LINES_MAX = 24


class Screen(io.TextIOWrapper):
    """A stream that keeps what is written."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", errors="surrogateescape", write_through=True)

    @property
    def text(self) -> str:
        self.flush()
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode("utf-8", "surrogateescape")


@contextlib.contextmanager
def surroundings(changed: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(changed)
    try:
        yield
    finally:
        for name in changed:
            os.environ.pop(name, None)
        os.environ.update(before)


def told(arguments: list[str], variables: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Runs the command line; returns its exit code and what it said, which holds no traceback."""
    out, err = Screen(), Screen()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), surroundings(variables or {}):
        code = main.run(arguments)
    said = err.text
    assert code != 1, f"{arguments} {variables}: {said}"
    assert "Traceback" not in said
    if code not in (0, 3):
        assert "error: " in said, (arguments, said)
        assert len(said.splitlines()) <= LINES_MAX, said
    assert "\x1b" not in said
    return code, said


FLAGS = sorted(
    {
        flag
        for name in main.COMMANDS
        if (command := main.loader.get_command(click.Context(main.loader), name))
        for option in command.params
        for flag in option.opts
        if flag.startswith("-")
    }
)
WORDS = st.one_of(
    st.sampled_from(FLAGS),
    st.sampled_from(FLAGS).map(lambda flag: f"{flag}=1"),
    st.sampled_from(
        ["Leads", "leads.ndjson", "-", "nowhere.load", "here.load", "10", "1%", "30s", "eu", "--", ""]
    ),
    st.text(st.characters(exclude_characters="\x00"), max_size=12),
    st.text(string.digits + ".-+eEinfa%", max_size=6),
    st.just("\udcff"),
)


@pytest.fixture(autouse=True)
def _some_files() -> None:
    Path("leads.ndjson").write_text('{"Last_Name": "Lovelace"}\n')
    Path("here.load").mkdir()
    Path("here.load/checkpoint.log").write_bytes(b"no log at all")


@EXAMPLES
@given(name=st.sampled_from([*main.COMMANDS, "loda", ""]), words=st.lists(WORDS, max_size=6))
def test_any_command_line_ends_with_an_exit_code_and_one_screen(name: str, words: list[str]) -> None:
    told([name, *(["--no-such-flag"] if name in AT_WORK else []), *words])


PLAIN = st.one_of(
    st.integers(),
    st.integers(min_value=-20, max_value=2000),
    st.floats(),
    st.booleans(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(lambda text: "/" not in text),
    st.sampled_from(
        ["10", "1%", "30s", "eu", "none", "keyring:", "Leads", "https://h", "http://127.0.0.1:x"]
    ),
)
VALUES = st.one_of(PLAIN, st.lists(PLAIN, max_size=3))
KEYS = st.one_of(
    st.sampled_from(sorted(SETTINGS)),
    st.sampled_from(sorted(SETTINGS)).map(lambda key: key.replace("-", "_")),
    st.sampled_from(sorted(SETTINGS)).map(lambda key: key[:-1]),
    st.sampled_from(["new", "client-secret", "LOADER_DC", "sandbox"]),
)


def toml(value: Any) -> str:
    if isinstance(value, float):
        return "nan" if value != value else repr(value).replace("Infinity", "inf")
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    # A JSON text is a TOML text, but for DEL, which TOML wants escaped.
    return json.dumps(value).replace("\x7f", "\\u007f")


COMMANDS = st.sampled_from(
    [
        ["config", "show", "--origin"],
        ["load", "leads.ndjson", "--module", "Leads"],
        ["check", "leads.ndjson", "--module", "Leads"],
        ["resume", "nowhere.load"],
        ["fields", "Leads"],
    ]
)


@EXAMPLES
@given(command=COMMANDS, content=st.dictionaries(KEYS, VALUES, min_size=1, max_size=4))
def test_any_setting_in_a_file_is_taken_or_told(command: list[str], content: dict[str, Any]) -> None:
    Path("loader.toml").write_text("".join(f"{key} = {toml(value)}\n" for key, value in content.items()))
    told(command)


@EXAMPLES
@given(content=st.one_of(st.binary(max_size=60), st.text("=[]\"'#\n.{}, a1", max_size=40).map(str.encode)))
def test_any_bytes_in_a_file_are_taken_or_told(content: bytes) -> None:
    Path("loader.toml").write_bytes(content)
    told(["config", "show"])


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)


@EXAMPLES
@given(
    command=COMMANDS,
    variables=st.dictionaries(
        st.sampled_from(sorted(setting.variable for setting in SETTINGS.values())),
        st.one_of(
            TEXT.filter(lambda text: "/" not in text), PLAIN.map(str).filter(lambda text: "\0" not in text)
        ),
        max_size=4,
    ),
)
def test_any_variable_is_taken_or_told(command: list[str], variables: dict[str, str]) -> None:
    told(command, variables)


@pytest.mark.parametrize("arguments", ["load leads.ndjson --module", "fields", "load f --module Leads --key"])
def test_bytes_that_are_no_text_are_told_before_anybody_is_asked(arguments: str) -> None:
    variables = {"LOADER_ACCESS_TOKEN": "canary-1234", "LOADER_API_DOMAIN": "http://127.0.0.1:1"}
    code, said = told([*arguments.split(), "\udcff"], variables)
    assert (code, "not UTF-8" in said) == (2, True), said


@pytest.mark.parametrize(
    "content",
    [
        "limit = " + "9" * 5000,
        "limit = 0x" + "f" * 5000,
        "trigger = " + "[" * 3000,
        'key = "' + "\\u0000" + '"',
        "rate = nan",
        "rate = inf",
        f'timeout = "{"9" * 400}h"',
        "limit = 1979-05-27",
        "[limit]\na = 1",
        "\ufeffkey = 1",
        "= 1",
    ],
    ids=lambda content: content[:24],
)
def test_odd_values_of_a_file_are_told_with_their_line_or_key(content: str) -> None:
    Path("loader.toml").write_text(content)
    code, said = told(["load", "leads.ndjson", "--module", "Leads"])
    assert (code, "loader.toml" in said) == (2, True), said
