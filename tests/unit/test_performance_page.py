"""docs/design/performance.md: its commands can be typed, and nothing measured is missing from it."""

from __future__ import annotations

import argparse
import importlib
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from benchmarks import instructions
from benchmarks.__main__ import BUDGET
from benchmarks.cases import CASES
from benchmarks.clients import INSTALL_PEERS, INSTALL_SYSLOG_NG, INSTALL_WRK

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "design" / "performance.md").read_text()
COMMANDS = re.findall(r"python -m (benchmarks[\w.]*)((?: [^`|\n#]+)?)", PAGE)


@pytest.mark.parametrize(("module", "rest"), COMMANDS, ids=lambda text: text.strip())
def test_each_command_of_the_page_can_be_typed(module: str, rest: str) -> None:
    name = f"{module}.__main__" if module == "benchmarks" else module
    parser = cast(Callable[[], argparse.ArgumentParser], importlib.import_module(name).parser)
    parser().parse_args(shlex.split(rest))


def test_the_page_has_a_command_for_each_case() -> None:
    for name in CASES:
        assert re.search(rf"--only [\w -]*\b{name}\b", PAGE), name


def test_the_page_says_what_each_budget_is() -> None:
    for name in json.loads(BUDGET.read_text()):
        assert f"`{name}`" in PAGE, name


@pytest.mark.parametrize("install", [INSTALL_PEERS, INSTALL_SYSLOG_NG, INSTALL_WRK, instructions.INSTALL])
def test_the_page_says_how_to_install_what_is_compared(install: str) -> None:
    assert install in PAGE


def test_what_the_page_links_to_of_the_results_is_there() -> None:
    for name in re.findall(r"benchmarks/results/([\w.-]+)", PAGE):
        assert (ROOT / "benchmarks" / "results" / name).exists()
