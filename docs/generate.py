"""Writes the reference pages that are made of the code: `python docs/generate.py`.

With --check nothing is written, and the exit code says whether a page is stale.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from loader.cli.main import COMMANDS, loader
from loader.wire.codes import CODES

REFERENCE = Path(__file__).parent / "reference"
NOTE = "<!-- Made by docs/generate.py; change the code, not this page. -->"


def command_page() -> str:
    """Every command with its arguments and flags."""
    context = click.Context(loader, info_name="loader", terminal_width=100, max_content_width=100)
    parts = ["# Commands", NOTE, "Every command tells the same with `--help`."]
    for name in COMMANDS:
        command = loader.get_command(context, name)
        assert command is not None
        inner = click.Context(
            command, info_name=name, parent=context, terminal_width=100, max_content_width=100
        )
        # Plain click: rich-click is for terminals.
        formatter = inner.make_formatter()
        click.Command.format_help(command, inner, formatter)
        parts += [f"## loader {name}", COMMANDS[name], f"```text\n{formatter.getvalue().rstrip()}\n```"]
    return "\n\n".join(parts) + "\n"


def codes_page() -> str:
    """Every code that a record or a call can meet."""
    rows = [
        f"| `{code}` | {facts.record.name.lower().replace('_', ' ')} | {facts.advice} |"
        for code, facts in CODES.items()
    ]
    head = [
        "# Codes",
        "",
        NOTE,
        "",
        "What a code means for the record that it is given to. A code that is not in this table leaves its",
        "record in doubt: it is never taken for a yes or a no.",
        "",
        "| code | the record is | what to do |",
        "|---|---|---|",
    ]
    return "\n".join([*head, *rows]) + "\n"


def main() -> int:
    """Write the pages, or say which are stale."""
    stale = []
    for name, page in (("commands.md", command_page()), ("api-codes.md", codes_page())):
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
