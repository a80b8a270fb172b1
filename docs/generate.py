"""Writes the reference pages that are made of the code: `python docs/generate.py`.

With --check nothing is written, and the exit code says whether a page is stale.
"""

from __future__ import annotations

import ast
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click

import loader.events
from loader.adapters.singer import NAME as TARGET_NAME
from loader.adapters.singer import command as target
from loader.cli.known_settings import Setting, known
from loader.cli.main import COMMANDS
from loader.cli.main import loader as program
from loader.wire.codes import CODES, CodeFacts, ForCall, ForRecord

REFERENCE = Path(__file__).parent / "reference"
NOTE = "<!-- Made by docs/generate.py; change the code, not this page. -->"


def command_page() -> str:
    """Every command with its arguments and flags."""
    context = click.Context(program, info_name="loader", terminal_width=100, max_content_width=100)
    parts = ["# Commands", NOTE, "Every command tells the same with `--help`."]
    for name in COMMANDS:
        command = program.get_command(context, name)
        assert command is not None
        parts += [f"## loader {name}", COMMANDS[name], *_help(command, name, context)]
    parts += [f"## {TARGET_NAME}", "A target for Singer taps: [adapters](../guide/adapters.md#singer)."]
    parts += _help(target, TARGET_NAME, None)
    return "\n\n".join(parts) + "\n"


def _help(command: click.Command, name: str, parent: click.Context | None) -> Iterator[str]:
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


_ABOUT_FLAGS = (
    "Every flag once, whatever command has it. What is a setting too may also stand in the environment and in"
    " `loader.toml`. Every command has `--help`; `loader --version` prints the version."
)


def flags_page() -> str:
    """Every flag, by its name."""
    found: dict[str, list[tuple[str, click.Option]]] = {}
    for place, option in (*_options(program, "loader", None), *_options(target, TARGET_NAME, None)):
        found.setdefault(_flag(option), []).append((place, option))
    parts = [_flag_section(flag, found[flag]) for flag in sorted(found, key=str.casefold)]
    return "\n\n".join(["# Flags", NOTE, textwrap.fill(_ABOUT_FLAGS, 118), *parts]) + "\n"


def _options(
    command: click.Command, path: str, parent: click.Context | None
) -> Iterator[tuple[str, click.Option]]:
    """The flags of a command and of all commands below it, each with the words that lead to it."""
    context = click.Context(command, info_name=path, parent=parent)
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            yield path, parameter
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _options(below, f"{path} {name}", context)


def _flag(option: click.Option) -> str:
    """Its long name."""
    return max(option.opts, key=len)


def _flag_section(flag: str, places: list[tuple[str, click.Option]]) -> str:
    """What a flag does; where commands differ in that, what it does in each."""
    by_help: dict[str, list[str]] = {}
    for place, option in places:
        by_help.setdefault((option.help or "").strip(), []).append(f"`{place}`")
    others = {name for _, option in places for name in (*option.opts, *option.secondary_opts)}
    setting = next((setting for setting in known().values() if flag in setting.option.opts), None)
    lines = [f"## {flag}"]
    lines += [f"{', '.join(commands)}: {words}" for words, commands in by_help.items()]
    if others - {flag}:
        lines.append(f"Also: `{'`, `'.join(sorted(others - {flag}))}`")
    if setting is not None:
        commands = ", ".join(f"`{name}`" for name in setting.commands)
        lines.append(f"A setting of {commands}: [{setting.key}](configuration.md#{setting.key})")
    return "\n\n".join(lines)


_ABOUT_EVENTS = (
    "What happens during a load, told to whoever listens: the screen, the report, metrics, log lines, spans,"
    " and what a Python program hands over as `observe=` ([from Python](../guide/python.md)). An observer is"
    " called on the event loop with one of these values; it returns at once and does not raise. Events are"
    " in `loader.events`. A later version may add events and fields; none loses its meaning.",
    "With `--log-format json` an event is named as here, in small letters with `_` between the words:"
    " [log lines](metrics.md#log-lines).",
)


def events_page() -> str:
    """Every event with its fields, of their own docstrings."""
    source = Path(loader.events.__file__).read_text()
    events = [
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "Event" for base in node.bases)
    ]
    paragraphs = (textwrap.fill(paragraph, 118) for paragraph in _ABOUT_EVENTS)
    return "\n\n".join(["# Events", NOTE, *paragraphs, *map(_event, events)]) + "\n"


def _event(node: ast.ClassDef) -> str:
    """The words below a field are its own."""
    rows: list[str] = []
    for part in node.body:
        if isinstance(part, ast.AnnAssign):
            kind = ast.unparse(part.annotation).replace("|", "or")
            rows.append(f"| `{ast.unparse(part.target)}` | {kind} | |")
        elif isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant) and rows:
            words = " ".join(str(part.value.value).split())
            rows[-1] = f"{rows[-1].removesuffix('|')}{words} |"
    body = f"## {node.name}\n\n{ast.get_docstring(node)}"
    return body + ("\n\n| field | type | |\n|---|---|---|\n" + "\n".join(rows) if rows else "")


_ABOUT_SETTINGS = (
    "Every setting is a flag, a variable and a key in `loader.toml`. A flag goes before the environment, the"
    " environment before `loader.toml` in the present directory, that before the user's file, and that before"
    " the default. The user's file is `$XDG_CONFIG_HOME/crm-bulk-loader/loader.toml`, or"
    " `~/.config/crm-bulk-loader/loader.toml` where that variable is not set.",
    "`dc`, `api-domain` and `accounts-url` belong together: the highest of these layers that has `dc` or"
    " `api-domain` names the target, and what the layers below it say of a target does not count. Both in one"
    " layer, or `accounts-url` with neither, end a command with exit code 2. `accounts-url` may be left out"
    " for the address of a data centre, and for one of this machine (`http://127.0.0.1:...`), where access"
    " tokens are asked for at the same host; any other `api-domain` needs it.",
    "`loader config show` prints what counts now and where it came from; what it prints can be a"
    " `loader.toml` itself. One file serves all commands: each takes the settings that it has. A key may"
    " be written with `-` or `_`. A key that there is not ends a command with exit code 2 and names the"
    " nearest; a variable that is nearly one of these is a warning that names it, any other `LOADER_...`"
    " may be somebody else's and is passed over. `--new` and `--yes` are meant for one run: as a key, or"
    " as `LOADER_NEW` and `LOADER_YES`, they end a command with exit code 2. `dry-run` counts for `load`;"
    " `resume`, `retry` and `resolve`, which have no dry run, refuse to run while it is set.",
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
        ("flags.md", flags_page()),
        ("events.md", events_page()),
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
