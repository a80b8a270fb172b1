"""What stops a command, as one screen or one line of JSON on stderr, and an exit code."""

from __future__ import annotations

import time
import traceback
from typing import NamedTuple

import click

from loader.cli.screen import show, width
from loader.errors import ExitCode, LoaderError
from loader.report.text import printable
from loader.report.wrapping import wrapped

LINES_MAX = 16


class Told(NamedTuple):
    """What is said of an error."""

    what: str
    why: str
    hint: str
    code: ExitCode


def tell(error: BaseException, *, debug: bool = False, as_json: bool = False) -> int:
    """Says on stderr what happened; `as_json`: as one line for a program.

    Returns: the exit code that it means.
    """
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    told = _told(error)
    trace = "".join(traceback.format_exception(error)) if debug and told.code is ExitCode.DEFECT else ""
    if as_json:
        from loader.report.journal import of_error  # noqa: PLC0415 - only where there is something to say

        code, at = int(told.code), time.time()
        line = of_error(told.what, why=told.why, hint=told.hint, at=at, exit_code=code, traceback=trace)
        show([line])
    elif told.code is ExitCode.SIGINT and not isinstance(error, LoaderError):
        show([told.what])
    else:
        traced = [printable(line) for line in trace.splitlines()]
        show([*traced, *screen(told.what, why=told.why, hint=told.hint)])
    return int(told.code)


def _told(error: BaseException) -> Told:
    match error:
        case LoaderError():
            return Told(error.what, error.why, error.hint, error.exit_code)
        case click.Abort() | KeyboardInterrupt():
            return Told("interrupted", "", "", ExitCode.SIGINT)
        case click.UsageError():
            where = error.ctx.command_path if error.ctx else "loader"
            return Told(error.format_message(), "", f"{where} --help", ExitCode.USAGE)
        case click.ClickException():
            return Told(error.format_message(), "", "", ExitCode.USAGE)
        case _:
            return _defect(error)


def screen(what: str, *, why: str = "", hint: str = "") -> list[str]:
    """`error: what`, the cause and what to do next indented below; nothing in it that a terminal obeys."""
    causes, steps = _below(why), _below(hint)[:LINES_MAX]
    causes = causes[: max(LINES_MAX - len(steps), 1)]
    return [*wrapped(printable(what), width=width(), first="error: ")[:LINES_MAX], *causes, *steps]


def _below(text: str) -> list[str]:
    columns = width()
    return [part for line in text.splitlines() for part in wrapped(printable(line), width=columns)]


def _defect(error: BaseException) -> Told:
    return Told(
        f"the loader has a defect: {type(error).__name__}: {str(error)[:300]}",
        "What was recorded so far is in the load directory and can be continued.",
        "The traceback: run the same command with -v, or with LOADER_DEBUG=1 in the environment.\n"
        "Please report it, with that traceback, to the maintainers of crm-bulk-loader.",
        ExitCode.DEFECT,
    )
