"""`loader results`: one line a record, to stdout."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from loader.cli.help import Command
from loader.cli.screen import show
from loader.errors import DiskError, UsageError
from loader.outcomes import Outcome
from loader.report.listeners import let_go

FORMATS = ("ndjson", "csv", "parquet")


@click.command(cls=Command, short_help="What became of each record, one line a record.")
@click.argument("load_dir", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--failed", is_flag=True, help="Only what is rejected, invalid or in doubt.")
@click.option(
    "--outcome",
    "wanted",
    type=click.Choice([one.value for one in Outcome]),
    multiple=True,
    help="Only these; may be repeated.",
)
@click.option(
    "--format", "form", default="ndjson", show_default=True, metavar="|".join(FORMATS), help="How to write."
)
def results(load_dir: Path, *, failed: bool, wanted: tuple[str, ...], form: str) -> int:
    """Prints what became of each record of the load in DIR, in input order, one line a record.

    --failed shows the records that somebody has to look at: rejected, invalid and in doubt. A duplicate is in
    the CRM already (--outcome duplicate), a pending record was not tried yet (--outcome pending). Parquet
    needs the extra `arrow` and a place to be written to: > results.parquet
    """
    from loader.report import export, formats  # noqa: PLC0415 - not for --help
    from loader.standing import results_of  # noqa: PLC0415 - as above

    written = _form(form)
    only = set(export.FAILED if failed else ()) | {Outcome(one) for one in wanted}
    rows = results_of(load_dir, only=only or None, warn=lambda text: show([f"warning: {text}"]))
    try:
        formats.write_results(rows, sys.stdout.buffer, formats.Format(written))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        let_go(sys.stdout)  # as `head` does when it has enough
    except OSError as error:
        let_go(sys.stdout)
        raise DiskError(
            "the results could not be printed to their end",
            why=error.strerror or str(error),
            hint="Look after the place that they are written to, then run the same command again",
        ) from error
    return 0


def _form(form: str) -> str:
    if form not in FORMATS:
        raise UsageError(
            f"--format {form} cannot be used",
            why="there is no such format",
            hint="Use --format ndjson, csv or parquet.",
        )
    if form == "parquet":
        from loader.report.parquet import require_arrow  # noqa: PLC0415 - an extra

        if sys.stdout.isatty():
            raise UsageError(
                "Parquet is not for a terminal",
                why="it is binary",
                hint="loader results DIR --format parquet > results.parquet",
            )
        require_arrow()
    return form
