"""`loader resolve`: settles what is in doubt, by asking the CRM or by a person's word."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from loader.cli.configuration import ConfiguredCommand
from loader.cli.credentials_flag import credentials_flag
from loader.cli.pace_flags import credit_flags, paced, patience_flag
from loader.cli.parameters import display_flags, no_dry_run
from loader.cli.running import closing_screen, run_load, watched, write_report_too
from loader.cli.screen import give, show
from loader.cli.watching import Showing, Watching
from loader.errors import UsageError, command
from loader.settings import LoadSettings, how_to_go_on

if TYPE_CHECKING:
    from loader.report.closing import OpenDoubts
    from loader.report.summary import Summary

_LINES = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")


@click.command(
    cls=ConfiguredCommand, short_help="Settle what is in doubt: ask the CRM, or take a person's word."
)
@click.argument("load_dir", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--as",
    "word",
    type=click.Choice(["applied", "not-applied"]),
    help="A person has looked: take them as inserted, or as not in the CRM.",
)
@click.option("--lines", metavar="5,7-9", help="With --as: only the records of these lines.")
@click.option("--key", metavar="FIELD", help="Ask by this field; the load's own key is known already.")
@click.option("--key-unique", is_flag=True, help="The key is unique, though the metadata cannot be read.")
@no_dry_run
@credentials_flag
@credit_flags
@patience_flag
@display_flags
def resolve(
    load_dir: Path,
    *,
    word: str | None,
    lines: str | None,
    key: str | None,
    key_unique: bool,
    **flags: Any,
) -> int:
    """Settles the records of DIR that are in doubt, and sends nothing else.

    With a key the CRM is asked: records that it holds are ours, others are sent again. Without one, look the
    records of in-doubt.ndjson up yourself and say --as applied, or --as not-applied: then `loader resume DIR`
    sends them.
    """
    from loader.directory import recorded_settings  # noqa: PLC0415 - not for --help
    from loader.report.summary import to_json  # noqa: PLC0415 - as above

    showing = Showing.of(flags)
    settings = recorded_settings(load_dir)
    if (nothing := _nothing_in_doubt(settings)) is not None:
        if not (showing.quiet or showing.as_lines_of_json):
            show([f"No record of {load_dir} is in doubt; nothing was sent or changed."])
            show([f"To go on: {how_to_go_on(settings)}"] if nothing.outcomes.pending else [])
        if showing.as_json:
            give(to_json(nothing))
        return nothing.exit_code
    if word is not None:
        chosen = None if lines is None else lines_of(lines)
        return _by_word(settings, showing, applied=word == "applied", lines=chosen)
    if lines is not None:
        example = f"{command('resolve', load_dir)} --as not-applied --lines 5,7-9"
        raise UsageError("--lines goes with --as", hint=example)
    settings = msgspec.structs.replace(
        paced(settings, flags), key=key or settings.key, key_unique=key_unique or settings.key_unique
    )
    if not (settings.key or settings.stamp):
        raise UsageError(
            "this load has no key by which the CRM could be asked",
            why="Nothing else tells one record from another. It began without one, and a --key that was given"
            " to `loader resolve` before is not kept: give it again, if it helped",
            hint=f"To ask by a field of the records: {command('resolve', load_dir)} --key FIELD\n"
            f"Or look the records of {load_dir}/in-doubt.ndjson up, then one of:\n"
            f"{command('resolve', load_dir)} --as applied\n{command('resolve', load_dir)} --as not-applied",
        )
    return run_load(settings, showing, only_doubts=True)


def _nothing_in_doubt(settings: LoadSettings) -> Summary | None:
    """Where the load stands, if it is certain that none of its records is in doubt.

    Raises:
        DiskError: the log cannot be read or believed.
    """
    from loader.directory import log_path, readable  # noqa: PLC0415 - not for --help
    from loader.standing import standing_of  # noqa: PLC0415 - as above

    path = log_path(settings.load_dir)
    with readable(path.parent, what="the load directory"):
        if any(path.parent.glob(f"{path.name}.side-*")):
            return None  # what a failed disk left is not read yet
    standing = standing_of(settings.load_dir)
    certain = standing.process is None and not standing.summary.outcomes.in_doubt
    return standing.summary if certain else None


def lines_of(text: str) -> tuple[tuple[int, int], ...]:
    """`5,7-9` as sorted ranges of line numbers, each with its stop.

    Raises:
        UsageError: it is not written so.
    """
    from loader.checkpoint.ranges import NONE, union  # noqa: PLC0415 - not for --help

    if not _LINES.fullmatch(text.replace(" ", "")):
        raise UsageError(f"--lines {text!r} cannot be read", hint="Write line numbers as 5,7-9")
    chosen = NONE
    for part in text.replace(" ", "").split(","):
        first, _, last = part.partition("-")
        start, stop = int(first), int(last or first) + 1
        chosen = union(chosen, ((start, stop),) if start < stop else NONE)
    return chosen


def _by_word(
    settings: LoadSettings,
    showing: Showing,
    *,
    applied: bool,
    lines: tuple[tuple[int, int], ...] | None,
) -> int:
    import anyio  # noqa: PLC0415 - not for --help

    from loader.resolution import resolve_by_word  # noqa: PLC0415 - as above

    watching = Watching(msgspec.structs.replace(showing, no_progress=True), settings)

    def settle() -> int:
        with watching.observer() as observe:
            summary, doubts = anyio.run(
                partial(resolve_by_word, settings, applied=applied, lines=lines, observe=observe)
            )
        return _told(settings, showing, watching, summary, doubts)

    return watched(watching, settle)


def _told(
    settings: LoadSettings, showing: Showing, watching: Watching, summary: Summary, doubts: OpenDoubts
) -> int:
    from loader.report.summary import to_json  # noqa: PLC0415 - not for --help

    if not (showing.quiet or showing.as_lines_of_json):
        show(closing_screen(summary, settings, doubts))
        if summary.outcomes.pending:
            show([f"To send what is not applied: {how_to_go_on(settings)}"])
    write_report_too(settings, summary, watching, showing.report_to)
    watching.ended(summary, None, exit_code=summary.exit_code)
    if showing.as_json:
        give(to_json(summary))
    return summary.exit_code
