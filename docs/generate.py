"""Writes the reference pages that are made of the code: `python docs/generate.py`.

With --check nothing is written, and the exit code says whether a page is stale.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click

from loader.cli.known_settings import Setting, known
from loader.cli.main import COMMANDS, loader
from loader.wire.codes import CODES, CodeFacts, ForCall, ForRecord

REFERENCE = Path(__file__).parent / "reference"
NOTE = "<!-- Made by docs/generate.py; change the code, not this page. -->"


def command_page() -> str:
    """Every command with its arguments and flags."""
    context = click.Context(loader, info_name="loader", terminal_width=100, max_content_width=100)
    parts = ["# Commands", NOTE, "Every command tells the same with `--help`."]
    for name in COMMANDS:
        command = loader.get_command(context, name)
        assert command is not None
        parts += [f"## loader {name}", COMMANDS[name], *_help(command, name, context)]
    return "\n\n".join(parts) + "\n"


def _help(command: click.Command, name: str, parent: click.Context) -> Iterator[str]:
    """The help of a command; of a group, that of each command in it."""
    inner = click.Context(command, info_name=name, parent=parent, terminal_width=100, max_content_width=100)
    if isinstance(command, click.Group):
        for below, each in command.commands.items():
            yield f"### loader {name} {below}"
            yield from _help(each, below, inner)
        return
    # Plain click: rich-click is for terminals.
    formatter = inner.make_formatter()
    click.Command.format_help(command, inner, formatter)
    yield f"```text\n{formatter.getvalue().rstrip()}\n```"


_ABOUT_SETTINGS = (
    "Every setting is a flag, a variable and a key in `loader.toml`. A flag goes before the environment, the"
    " environment before `loader.toml` in the present directory, that before the user's file, and that before"
    " the default. The user's file is `$XDG_CONFIG_HOME/crm-bulk-loader/loader.toml`, or"
    " `~/.config/crm-bulk-loader/loader.toml` where that variable is not set.",
    "`loader config show --origin` prints what counts now and where it came from; what it prints can be a"
    " `loader.toml` itself. One file serves all commands: each takes the settings that it has. A key may be"
    " written with `-` or `_`. A key that there is not ends a command with exit code 2 and names the nearest;"
    " a variable that is nearly one of these is a warning.",
    "Credentials are no settings and never stand in these files: see [credentials](../guide/credentials.md).",
)


def settings_page() -> str:
    """Every setting."""
    paragraphs = (textwrap.fill(paragraph, 118) for paragraph in _ABOUT_SETTINGS)
    return "\n\n".join(["# Configuration", NOTE, *paragraphs, *map(_setting, known().values())]) + "\n"


def _setting(setting: Setting) -> str:
    default = setting.default
    told = setting.told_default or (str(default).lower() if default is not None else "")
    rows = [
        ("flag", f"`{'`, `'.join(setting.option.opts)}`"),
        ("variable", f"`{setting.variable}`"),
        ("commands", ", ".join(f"`{name}`" for name in setting.commands)),
        ("an example", f"`{setting.example}`"),
        ("default", f"`{told}`" if told else "not set"),
    ]
    body = "\n".join(f"| {name} | {words} |" for name, words in rows)
    return f"## {setting.key}\n\n{setting.help or 'A directory.'}\n\n| | |\n|---|---|\n{body}"


_ABOUT_CODES = (
    "What a code means for the record that it is given to, and for a call that is refused with it as a whole."
    " A code that is not on this page leaves its records in doubt: it is never taken for a yes or a no. The"
    " words of a message decide nothing, and neither does the HTTP status where there is an answer for each"
    " record.",
    "*record*: an item of `data[]`, one for each record; also under HTTP 207, where others of the call were"
    " inserted. *one item*: the only item of `data[]`, for the whole call. *bare*: an object without `data`."
    " Old versions leave `json_path` out and put a duplicate's id into `details.id`; `details` may be an"
    " object or a list of them.",
)
_FOR_RECORD = {
    ForRecord.INSERTED: "inserted",
    ForRecord.DUPLICATE: "duplicate: not inserted, another record has the value",
    ForRecord.REJECTED: "rejected",
    ForRecord.LOCKED: "tried again, then rejected",
    ForRecord.IN_DOUBT: "in doubt",
}
_FOR_CALL = {
    ForCall.RENEW_TOKEN: "nothing was applied; a new access token, and the call is sent again",
    ForCall.STOP_CREDENTIALS: "nothing was applied; the load stops, exit 6",
    ForCall.STOP_CONFIGURATION: "nothing was applied; the load stops, exit 2",
    ForCall.HALVE: "nothing was applied; smaller calls find the record that causes it",
    ForCall.PUSHED_BACK: "nothing was applied; the call waits and is sent again",
    ForCall.IN_DOUBT: "all of its records are in doubt",
}


def codes_page() -> str:
    """Every code that a record or a call can meet."""
    head = [
        "# Codes",
        NOTE,
        *(textwrap.fill(paragraph, 118) for paragraph in _ABOUT_CODES),
    ]
    return "\n\n".join([*head, *map(_code, CODES.values())]) + "\n"


def _code(facts: CodeFacts) -> str:
    seen = facts.seen
    rows = [
        ("HTTP status", ", ".join(map(str, seen.statuses))),
        ("shape", ", ".join(seen.shapes)),
        ("messages", "<br>".join(seen.messages)),
        ("details", ", ".join(f"`{name}`" for name in seen.details)),
        ("the record is", _FOR_RECORD[facts.record]),
        ("a call refused with it", _FOR_CALL[facts.call] if seen.statuses else ""),
        ("what to do", facts.advice),
    ]
    body = "\n".join(f"| {name} | {words} |" for name, words in rows if words)
    return f"## {facts.code}\n\n| | |\n|---|---|\n{body}"


def main() -> int:
    """Write the pages, or say which are stale."""
    stale = []
    for name, page in (
        ("commands.md", command_page()),
        ("api-codes.md", codes_page()),
        ("configuration.md", settings_page()),
    ):
        path = REFERENCE / name
        if path.exists() and path.read_text() == page:
            continue
        stale.append(name)
        if "--check" not in sys.argv:
            path.write_text(page)
    if stale and "--check" in sys.argv:
        sys.stderr.write(f"stale: {', '.join(stale)}; run: python docs/generate.py\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
