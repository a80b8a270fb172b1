"""What stops a command, as one screen on stderr and an exit code."""

from __future__ import annotations

import re
import sys
import textwrap
import traceback

import click

from loader.errors import ExitCode, LoaderError
from loader.report.listeners import let_go
from loader.report.text import printable

WIDTH = 98
LINES_MAX = 16
_WORD = r"(?:'[^']*'|[^\s'])+"
_FLAG = rf" --?[a-z][a-z-]*(?: (?=[A-Za-z0-9/']){_WORD})?"
_COMMAND = re.compile(rf"(?:\.\.\. \| )?\bloader [a-z]+ {_WORD}(?:{_FLAG})*|^(?:mv|jq) .+")
_UNBROKEN = "\0"


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
    _print(lines)
    return int(code)


def screen(what: str, *, why: str = "", hint: str = "") -> list[str]:
    """`error: what`, the cause and what to do next indented below; nothing in it that a terminal obeys."""
    below = [part for text in (why, hint) for line in text.splitlines() for part in _wrapped(line)]
    return [*_wrapped(what, first="error: "), *below[:LINES_MAX]]


def _wrapped(line: str, *, first: str = "  ") -> list[str]:
    # A command is there to be copied, and so is a path: a line breaks before it, not inside it. A terminal
    # with fewer columns puts no line end into what is copied.
    held = _COMMAND.sub(lambda command: command.group().replace(" ", _UNBROKEN), printable(line))
    parts = textwrap.wrap(
        held,
        WIDTH,
        initial_indent=first,
        subsequent_indent="  ",
        break_on_hyphens=False,
        break_long_words=False,
    )
    return [piece.replace(_UNBROKEN, " ") for part in parts for piece in _cut(part)]


def _cut(part: str) -> list[str]:
    """A long word that is neither a path nor a command, such as what a server says without a space."""
    if len(part) <= WIDTH or "/" in part or _UNBROKEN in part:
        return [part]
    return textwrap.wrap(
        part, WIDTH, initial_indent=part[: len(part) - len(part.lstrip())], subsequent_indent="  "
    )


def _defect(error: BaseException) -> list[str]:
    return screen(
        f"the loader has a defect: {type(error).__name__}: {str(error)[:300]}",
        why="What was recorded so far is in the load directory and can be continued.",
        hint="The traceback: run the same command with -v, or with LOADER_DEBUG=1 in the environment.\n"
        "Please report it, with that traceback, to the maintainers of crm-bulk-loader.",
    )


def _print(lines: list[str]) -> None:
    try:
        sys.stderr.write("\n".join(lines) + "\n")
        sys.stderr.flush()
    except OSError:
        let_go(sys.stderr)  # the exit code still says it
