"""The command line as a person meets it: one run in this process, with surroundings of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from loader.cli import main

ROOT = Path(__file__).resolve().parents[2]


class Ran(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture(autouse=True)
def _own_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the person who runs the tests, and a present directory that is empty."""
    for name in os.environ:
        if name.startswith(("LOADER_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs `loader ARGUMENTS`."""

    def ran(*arguments: str) -> Ran:
        capfd.readouterr()
        code = main.run(arguments)
        return Ran(code, *capfd.readouterr())

    return ran
