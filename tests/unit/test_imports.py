"""Each module can be imported alone, and the quick commands stay free of what they do not need."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import loader

ROOT = Path(loader.__file__).parents[1]
WITH_AN_EXTRA = {"loader.adapters.dlt_destination"}
"""What imports a package that the tests' own environment lacks; `tests/adapters` imports it beside dlt."""
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(loader.__path__, "loader.")
    if not module.name.endswith("__main__") and module.name not in WITH_AN_EXTRA
)

STAGES = {name.split(".")[1] for name in (*MODULES, *WITH_AN_EXTRA, "loader.__main__") if "." in name}
"""The modules and packages directly below `loader`."""


def import_alone(statement: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", statement],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("name", MODULES)
def test_each_module_imports_alone(name: str) -> None:
    done = import_alone(f"import {name}")
    assert done.returncode == 0, done.stderr


def test_the_command_line_starts_without_the_http_library() -> None:
    done = import_alone("import loader.cli.main, sys; assert 'aiohttp' not in sys.modules")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("contract", "named", "others"),
    [
        ("The sandbox shares", "forbidden_modules", {"sandbox", "schema", "wire", "errors", "__main__"}),
        ("aiohttp stays", "source_modules", {"client", "sandbox"}),
    ],
)
def test_a_contract_names_all_that_it_does_not_leave_out(contract: str, named: str, others: set[str]) -> None:
    """A list that somebody forgot to lengthen forbids nothing."""
    found = contract_named(contract)
    assert {name.removeprefix("loader.") for name in found[named]} == STAGES - others


def test_the_overview_shows_the_ladder_that_the_contract_holds() -> None:
    overview = (ROOT / "docs/design/overview.md").read_text().partition("## Layers")[2].split("```")[1]
    shown = [line.partition("  ")[0] for line in overview.strip().splitlines() if not line.startswith(" ")]
    assert shown == contract_named("Stages point one way")["layers"]


def contract_named(beginning: str) -> dict[str, Any]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts: list[dict[str, Any]] = settings["tool"]["importlinter"]["contracts"]
    (found,) = [one for one in contracts if one["name"].startswith(beginning)]
    return found
