"""`loader check`: a dry run, every record judged and none sent."""

from __future__ import annotations

from pathlib import Path

import click

from loader.cli.checks import run_check
from loader.cli.configuration import ConfiguredCommand
from loader.cli.credentials_flag import credentials_flag
from loader.cli.pace_flags import patience_from_the_start, state_flag, state_folder
from loader.cli.parameters import COUNT_OR_SHARE, DURATION, Whole, complete_file, setting, target_flags
from loader.forecast import LATENCY_S
from loader.settings import NOTHING_KEPT, LoadSettings, Threshold
from loader.target import target_of


@click.command(cls=ConfiguredCommand, short_help="Judge every record; send none.")
@click.argument("source", metavar="FILE", shell_complete=complete_file)
@target_flags()
@credentials_flag
@setting("--layout-id", default="", metavar="ID", help="Layout of each record that names none.")
@setting("--limit", type=Whole(1), metavar="N", help="Check no more than the first N records.")
@setting("--users", type=Whole(1), metavar="N", help="Licences that the forecast counts with.")
@setting(
    "--latency",
    type=DURATION,
    default=LATENCY_S,
    metavar="TIME",
    help="Of a call, for the forecast.  [default: 1s]",
)
@setting(
    "--daily-credits",
    type=Whole(1),
    metavar="N",
    help="Credits of the organisation in 24 hours.  [default: its edition's]",
)
@setting("--keep-credits", type=COUNT_OR_SHARE, help="Credits of a day left to other programs.")
@patience_from_the_start
@state_flag
@setting("--json", "as_json", is_flag=True, help="Print what was found as JSON to stdout.")
@setting("--quiet", "-q", is_flag=True, help="Say nothing but warnings and errors.")
@setting("--no-color", is_flag=True, help="No colours; NO_COLOR in the environment does the same.")
def check(
    source: str,
    *,
    module: str,
    dc: str | None,
    api_domain: str | None,
    accounts_url: str | None,
    layout_id: str,
    limit: int | None,
    users: int | None,
    latency: float,
    daily_credits: int | None,
    keep_credits: Threshold | None,
    patience: float,
    state_dir: Path | None,
    as_json: bool,
    quiet: bool,
    no_color: bool,
) -> int:
    """Checks every record of FILE against MODULE's fields, and sends none.

    With credentials in the environment the fields, layouts and options are the organisation's own; without,
    the built-in ones. Tells what would be refused and why, what may be a mistake, and what the load would
    take in each edition. Exit code 0: all records are good; 3: some are not.
    """
    settings = LoadSettings(
        input=source,
        load_dir=Path(),
        target=target_of(module, dc=dc, api_domain=api_domain, accounts_url=accounts_url),
        limit=limit,
        layout_id=layout_id,
        daily_credits=daily_credits,
        keep_credits=keep_credits or NOTHING_KEPT,
        patience_s=patience,
        state_dir=state_folder(state_dir),
    )
    return run_check(
        settings, users=users, latency_s=latency, as_json=as_json, quiet=quiet, no_color=no_color
    )
