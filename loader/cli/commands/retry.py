"""`loader retry`: loads what a load refused, when it was mended."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loader.cli.configuration import ConfiguredCommand
from loader.cli.credentials_flag import credentials_flag
from loader.cli.pace_flags import credit_flags, paced, patience_flag
from loader.cli.parameters import display_flags, no_dry_run
from loader.cli.running import run_load
from loader.cli.screen import give, say, show
from loader.cli.watching import Showing
from loader.errors import InputChangedError, LoaderError
from loader.report.journal import of_end

if TYPE_CHECKING:
    from loader.retrying import NothingLeft


def _told(found: NothingLeft, showing: Showing) -> int:
    from loader.report.summary import to_json  # noqa: PLC0415 - not for --help

    if showing.as_lines_of_json:
        load_dir = str(found.load_dir)
        show([of_end(found.summary, None, at=time.time(), load_dir=load_dir, exit_code=found.exit_code)])
    elif not showing.quiet:
        say(f"There is nothing to retry: {found.why}.")
    if showing.as_json:
        give(to_json(found.summary))
    return found.exit_code


@click.command(cls=ConfiguredCommand, short_help="Load the rejected records of a load, mended or not.")
@click.argument("load_dir", metavar="DIR", type=click.Path(path_type=Path))
@no_dry_run
@credentials_flag
@credit_flags
@patience_flag
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
        return _told(found, showing)
    if not (showing.quiet or showing.as_lines_of_json):
        say(f"Retry of {found.input}, kept in {found.load_dir}")

    def reworded(error: LoaderError) -> LoaderError:
        return retrying.changed(error, found.load_dir) if isinstance(error, InputChangedError) else error

    return run_load(paced(found, flags), showing, reworded=reworded)
