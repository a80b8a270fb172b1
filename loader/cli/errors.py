"""What stops a command, as one screen on stderr and an exit code."""

from __future__ import annotations

import traceback

import click

from loader.cli.screen import show, width
from loader.errors import ExitCode, LoaderError
from loader.report.text import printable
from loader.report.wrapping import wrapped

LINES_MAX = 16


def tell(error: BaseException, *, debug: bool = False) -> int:
    """Says on stderr what happened.

    Returns: the exit code that it means.
    """
    match error:
        case click.exceptions.Exit():
            return error.exit_code
        case LoaderError():
            lines, code = screen(error.what, why=error.why, hint=error.hint), error.exit_code
        case click.Abort() | KeyboardInterrupt():
            lines, code = ["interrupted"], ExitCode.SIGINT
        case click.UsageError():
            where = error.ctx.command_path if error.ctx else "loader"
            lines, code = screen(error.format_message(), hint=f"{where} --help"), ExitCode.USAGE
        case click.ClickException():
            lines, code = screen(error.format_message()), ExitCode.USAGE
        case _:
            lines, code = _defect(error), ExitCode.DEFECT
    if debug and code is ExitCode.DEFECT:
        lines = [printable(line) for line in "".join(traceback.format_exception(error)).splitlines()] + lines
    show(lines)
    return int(code)


def screen(what: str, *, why: str = "", hint: str = "") -> list[str]:
    """`error: what`, the cause and what to do next indented below; nothing in it that a terminal obeys."""
    causes, steps = _below(why), _below(hint)[:LINES_MAX]
    causes = causes[: max(LINES_MAX - len(steps), 1)]
    return [*wrapped(printable(what), width=width(), first="error: ")[:LINES_MAX], *causes, *steps]


def _below(text: str) -> list[str]:
    columns = width()
    return [part for line in text.splitlines() for part in wrapped(printable(line), width=columns)]


def _defect(error: BaseException) -> list[str]:
    return screen(
        f"the loader has a defect: {type(error).__name__}: {str(error)[:300]}",
        why="What was recorded so far is in the load directory and can be continued.",
        hint="The traceback: run the same command with -v, or with LOADER_DEBUG=1 in the environment.\n"
        "Please report it, with that traceback, to the maintainers of crm-bulk-loader.",
    )
