"""The guide to the adapters names all that can be configured, and its samples are as the code takes them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import click
import msgspec

from loader.adapters.singer import Config, Stream, command

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guide" / "adapters.md").read_text()
DESTINATION = ROOT / "loader" / "adapters" / "dlt_destination.py"


def test_each_argument_of_the_destination_has_its_place() -> None:
    # Read, not imported: dlt comes with an extra.
    (function,) = (
        each
        for each in ast.parse(DESTINATION.read_text()).body
        if isinstance(each, ast.FunctionDef) and each.name == "load_file"
    )
    names = [each.arg for each in function.args.kwonlyargs]
    assert "load_dirs" in names
    assert [name for name in names if f"`{name}`" not in GUIDE] == []


def test_each_key_and_flag_of_the_target_has_its_place() -> None:
    names = [*Config.__struct_fields__, *Stream.__struct_fields__]
    assert [name for name in names if f"`{name}`" not in GUIDE] == []
    flags = [each.opts[0] for each in command.params if isinstance(each, click.Option)]
    assert [flag for flag in flags if f"`{flag}" not in GUIDE and flag != "--version"] == []


def test_the_sample_of_a_configuration_is_one() -> None:
    (sample,) = re.findall(r"^```json\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
    config = msgspec.json.decode(sample, type=Config)
    assert config.streams == {"people": Stream("Leads", key="Email"), "logins": None}
