"""`loader retry`: loads what a load refused, when it was mended."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from loader.cli.configuration import ConfiguredCommand
from loader.cli.credentials_flag import credentials_flag
from loader.cli.pace_flags import credit_flags, paced
from loader.cli.parameters import display_flags
from loader.cli.running import run_load
from loader.cli.screen import say
from loader.cli.watching import Showing
from loader.errors import InputChangedError, LoaderError


@click.command(cls=ConfiguredCommand, short_help="Load the rejected records of a load, mended or not.")
@click.argument("load_dir", metavar="DIR", type=click.Path(path_type=Path))
@credentials_flag
@credit_flags
@display_flags
def retry(load_dir: Path, **flags: Any) -> int:
    """Loads DIR/rejected.ndjson, as it is now, into the same target with the same key and options.

    It is a load of its own in DIR/retry-1. Stopped, it goes on when the command is run again. When it has
    finished and refused records once more, mend DIR/retry-1/rejected.ndjson: the next run loads that into
    DIR/retry-2. No record is sent by two of them, and what a retry refused is sent again only when it was
    mended.
    """
    import anyio  # noqa: PLC0415 - not for --help

    from loader import retrying  # noqa: PLC0415 - as above

    showing = Showing.of(flags)
    found = anyio.run(partial(retrying.retry_of, load_dir))
    if isinstance(found, retrying.NothingLeft):
        if not showing.quiet:
            say(f"There is nothing to retry: {found.why}.")
        return found.exit_code
    if not (showing.quiet or showing.as_lines_of_json):
        say(f"Retry of {found.input}, kept in {found.load_dir}")

    def reworded(error: LoaderError) -> LoaderError:
        return retrying.changed(error, found.load_dir) if isinstance(error, InputChangedError) else error

    return run_load(paced(found, flags), showing, reworded=reworded)
