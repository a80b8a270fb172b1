"""What was found of one thing, and what a list of findings comes to. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import msgspec

from loader.errors import ExitCode


class State(StrEnum):
    """How a thing is."""

    OK = "ok"
    WARNING = "warning"
    """A load works, but not as well as it might."""
    PROBLEM = "problem"
    """A load would stop here."""


class Finding(msgspec.Struct, frozen=True):
    """One line of the doctor's."""

    check: str
    state: State
    said: str
    todo: str = ""
    """What to do; empty where all is well."""
    exit_code: ExitCode = ExitCode.OK
    """What a load would end with; of a problem only."""


def ok(check: str, said: str) -> Finding:
    """All is well."""
    return Finding(check, State.OK, said)


def warning(check: str, said: str, todo: str = "") -> Finding:
    """A load works all the same."""
    return Finding(check, State.WARNING, said, todo)


def problem(check: str, said: str, todo: str, exit_code: ExitCode) -> Finding:
    """A load would stop with this exit code."""
    return Finding(check, State.PROBLEM, said, todo, exit_code)


_WORST_FIRST: Final = (ExitCode.USAGE, ExitCode.DISK, ExitCode.CREDENTIALS, ExitCode.NOT_NOW)
"""What has to be mended before the next can be seen to."""


def worst(findings: Iterable[Finding]) -> ExitCode:
    """The exit code of the problem to mend first; 0 where there is none."""
    codes = {each.exit_code for each in findings if each.state is State.PROBLEM}
    return next((code for code in _WORST_FIRST if code in codes), ExitCode.OK)
