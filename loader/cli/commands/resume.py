"""`loader resume`: goes on with a load as its log recorded it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from loader.cli.configuration import ConfiguredCommand
from loader.cli.credentials_flag import credentials_flag
from loader.cli.pace_flags import credit_flags, paced, patience_flag
from loader.cli.parameters import display_flags, no_dry_run
from loader.cli.running import run_load
from loader.cli.watching import Showing


@click.command(cls=ConfiguredCommand, short_help="Continue the load of a load directory.")
@click.argument("load_dir", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--append", is_flag=True, help="Go on with what was appended to the input since.")
@no_dry_run
@credentials_flag
@credit_flags
@patience_flag
@display_flags
def resume(load_dir: Path, *, append: bool, **flags: Any) -> int:
    """Continues the load of DIR with what it recorded: input, target, options, key and pace.

    An input that grew since is refused, unless --append says that this is meant; also a finished load goes on
    then. A load from stdin is continued by piping the same bytes into `loader load` again; one that has
    finished says so and reads nothing.
    """
    from loader.directory import recorded_settings  # noqa: PLC0415 - not for --help

    settings = msgspec.structs.replace(recorded_settings(load_dir), append=append)
    return run_load(paced(settings, flags), Showing.of(flags), unread=True)
