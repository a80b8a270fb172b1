"""`loader load`: flags in, a load, its exit code out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from loader.cli.checks import run_check
from loader.cli.configuration import ConfiguredCommand, place_in
from loader.cli.credentials_flag import credentials_flag
from loader.cli.insert_flags import insert_flags, insert_options
from loader.cli.pace_flags import credit_flags, paced, patience_from_the_start
from loader.cli.parameters import (
    COUNT_OR_SHARE,
    DURATION,
    RATE,
    Whole,
    complete_file,
    display_flags,
    setting,
    target_flags,
)
from loader.cli.running import run_load
from loader.cli.watching import Showing
from loader.errors import UsageError
from loader.report.text import printable
from loader.settings import STDIN, LoadSettings
from loader.target import target_of


@click.command(cls=ConfiguredCommand, short_help="Load a file into a module; run again, it continues.")
@click.argument("source", metavar="FILE", shell_complete=complete_file)
@target_flags()
@credentials_flag
@setting(
    "--load-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the load is kept.  [default: FILE.load]",
)
@setting("--key", default="", metavar="FIELD", help="Field with the source's own key: it settles doubts.")
@setting("--key-unique", is_flag=True, help="The key is unique, though the metadata cannot be read.")
@setting("--stamp", default="", metavar="FIELD", help="Unique text field that the load writes its key into.")
@setting(
    "--concurrency",
    type=Whole(1, 1000),
    default=10,
    show_default=True,
    help="Calls at once, at most.",
)
@setting("--rate", type=RATE, metavar="N", help="Calls a second, at most.")
@credit_flags
@setting("--limit", type=Whole(1), metavar="N", help="Load no more than the first N records.")
@setting("--max-rejected", type=COUNT_OR_SHARE, help="Stop beyond so many refused records.")
@setting("--timeout", type=DURATION, default=60.0, metavar="TIME", help="For one call.  [default: 60s]")
@patience_from_the_start
@setting(
    "--quiet-period", type=DURATION, default=30.0, metavar="TIME", help="Rest of a doubt.  [default: 30s]"
)
@setting("--ok-duplicates", is_flag=True, help="Exit 0 although some records were there already.")
@setting("--append", is_flag=True, help="Go on with what was appended to FILE since.")
@setting("--no-check", is_flag=True, help="Send records without checking them against the module's fields.")
@insert_flags
@click.option("--new", is_flag=True, help="Start over in a fresh directory; the old one is kept.")
@setting("--dry-run", "-n", is_flag=True, help="Check every record and send none, as: loader check")
@click.option("--yes", "-y", is_flag=True, help="Ask nothing.")
@display_flags
def load(source: str, **flags: Any) -> int:
    """Loads FILE into a module. Run again with the same file and target, it continues.

    FILE is NDJSON, one record a line, also as gzip or zstd; - is stdin, and then --load-dir is required.
    Credentials come from LOADER_CLIENT_ID, LOADER_CLIENT_SECRET and LOADER_REFRESH_TOKEN, or from
    LOADER_ACCESS_TOKEN; each also as ..._FILE. Each flag also is LOADER_... in the environment and a key in
    loader.toml. Times are written 200ms, 30s, 5min, 2h; NAMES have commas between them, and in loader.toml
    they may be a list.
    """
    if source == STDIN and sys.stdin is None:
        raise UsageError("cannot read stdin", why="it is closed", hint="Pipe the records in, or name a file")
    settings = settings_of(source, flags)
    if flags["dry_run"]:
        return run_check(
            settings,
            as_json=flags["as_json"],
            quiet=flags["quiet"],
            no_color=flags["no_color"],
            dry_run_by=place_in(click.get_current_context(), "dry_run"),
            as_lines_of_json=flags["log_format"] == "json",
        )
    if flags["new"] and not flags["yes"]:
        confirm_new(settings.load_dir)
    return run_load(settings, Showing.of(flags), fresh=flags["new"])


def settings_of(source: str, flags: dict[str, Any]) -> LoadSettings:
    """The flags as settings.

    Raises:
        UsageError: flags that do not go together.
    """
    settings = LoadSettings(
        input=source,
        load_dir=_load_dir(source, flags["load_dir"]),
        target=target_of(
            flags["module"],
            dc=flags["dc"],
            api_domain=flags["api_domain"],
            accounts_url=flags["accounts_url"],
        ),
        key=flags["key"],
        key_unique=flags["key_unique"],
        stamp=flags["stamp"],
        concurrency=flags["concurrency"],
        rate=flags["rate"],
        limit=flags["limit"],
        max_rejected=flags["max_rejected"],
        timeout_s=flags["timeout"],
        patience_s=flags["patience"],
        quiet_period_s=flags["quiet_period"],
        ok_duplicates=flags["ok_duplicates"],
        append=flags["append"],
        check=not flags["no_check"],
        options=insert_options(flags),
        layout_id=flags["layout_id"],
        approval_mode=flags["approval_mode"],
    )
    return paced(settings, flags)


def _load_dir(source: str, given: Path | None) -> Path:
    if given is not None:
        return given
    if source == STDIN:
        raise UsageError(
            "a load from stdin needs a load directory",
            why="there is no file beside which it could be",
            hint="Add --load-dir DIR to the same command",
        )
    return Path(f"{source.rstrip('/')}.load")


def confirm_new(load_dir: Path) -> None:
    """Asks a person at a terminal: starting over may insert records twice. A script has said it already."""
    if not load_dir.exists() or sys.stdin is None or not sys.stdin.isatty():
        return
    place = printable(str(load_dir))
    click.confirm(
        f"{place} holds an earlier load. Start over? What it inserted would be inserted again.",
        abort=True,
        err=True,
    )
