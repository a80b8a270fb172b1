"""A load of what another load refused: which file it reads, where it is kept, and when there is none to make.

The retries of a load stand in its directory as `retry-1`, `retry-2`, ...: the first reads the load's
`rejected.ndjson`, each other that of the retry before it. So a record goes down the line until it is
inserted, and none is sent by two of them.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from loader import recall
from loader.aftermath import is_mended, stored_summary, summary_of
from loader.checkpoint.ledger import Ledger
from loader.directory import fold_quietly, log_path, readable, recorded_settings
from loader.errors import ExitCode, InputChangedError, LockedError, UsageError, command
from loader.report.export import REJECTED
from loader.report.standing import holder_of
from loader.report.summary import Summary
from loader.report.text import plural
from loader.retries import by_hand, first_of, retries_in
from loader.settings import LoadSettings
from loader.source.streams import open_input


class NothingLeft(msgspec.Struct, frozen=True):
    """There is no record to send."""

    why: str
    summary: Summary
    """Of the last of the retries, or of the load where there is none."""
    load_dir: Path
    """Of the same."""
    exit_code: int = 0
    """Of the retry that left nothing."""


async def retry_of(load_dir: Path) -> LoadSettings | NothingLeft:
    """The load that retries what `load_dir` refused: the latest one as long as it goes on, or a new one.

    `load_dir` may be a load or one of its retries; both mean the whole line.

    Raises:
        LockedError: the load is running.
        UsageError: the load is not finished, or its rejected records are not there, or in another load.
        InputChangedError: a file that a retry has loaded was changed since.
        DiskError: the disk does not let it be found out.
    """
    with readable(load_dir, what="the load directory"):
        return await _retry_of(load_dir)


async def _retry_of(load_dir: Path) -> LoadSettings | NothingLeft:
    first = first_of(load_dir)
    if first == load_dir:
        recorded_settings(load_dir)  # it says so if there is no load
    retries = retries_in(first)
    _require_at_rest(first, load_dir)
    for place in (first, *retries):
        ledger = fold_quietly(place)
        if not ledger.sealed:
            if place != first:
                return recorded_settings(place)
            raise _unfinished(place, ledger)
        if place != first:
            await _require_unchanged(place, ledger)
    latest = retries[-1] if retries else first
    rejected = latest / REJECTED
    tally, summary = ledger.tally(), summary_of(ledger, recorded_settings(latest))
    if not (tally.rejected or tally.invalid) and (retries or not rejected.exists()):
        if not retries:
            return NothingLeft(f"the load of {latest} refused none", summary, latest)
        why = f"{latest} has loaded them, and refused none"
        return NothingLeft(why, summary, latest, summary.exit_code)
    if retries and rejected.exists() and not is_mended(latest):
        why = (
            f"{latest} has loaded them, and what it refused was not mended. Mend {rejected}, or touch it if"
            " the CRM takes it now as it is"
        )
        return NothingLeft(why, summary, latest, summary.exit_code)
    _require_to_be_loaded(rejected)
    if not rejected.stat().st_size:
        return NothingLeft(f"{rejected} is empty", summary, latest)
    place = first / f"retry-{len(retries) + 1}"
    # All lines were refused once: how many, or how few, to stop at was said of another input.
    return msgspec.structs.replace(
        recorded_settings(first), input=str(rejected), load_dir=place, limit=None, max_rejected=None
    )


def _require_at_rest(first: Path, load_dir: Path) -> None:
    """A load that runs may refuse more, and writes the file of what it refused at its end."""
    process = holder_of(log_path(first))
    if process is not None:
        raise LockedError(
            f"the load of {first} is running: process {process}",
            why=f"It may refuse more records, and writes {REJECTED} at its end",
            hint=f"Where it stands: {command('status', first)}\n"
            f"When it has ended: {command('retry', load_dir)}",
        )


def _require_to_be_loaded(rejected: Path) -> None:
    if not rejected.exists():
        raise UsageError(
            f"there are no rejected records to retry: {rejected} does not exist",
            why="The load refused some: somebody has moved the file",
            hint=f"What became of each record: {command('results', rejected.parent)} --failed",
        )
    if log_path(other := by_hand(rejected.parent)).exists():
        raise UsageError(
            f"{rejected} has been loaded already",
            why=f"not by a retry, but into {other}; a retry would send the same records again",
            hint=f"Go on with that load: {command('resume', other)}, or {command('retry', other)}",
        )


def _unfinished(load_dir: Path, ledger: Ledger) -> UsageError:
    """A load that goes on may refuse more records and writes their file anew: no retry can read that yet.

    Whether its input was read to its end only its last run can say, by the exit code that it left.
    """
    tally, settings = ledger.tally(), recorded_settings(load_dir)
    stored = stored_summary(load_dir)
    resolve = command("resolve", load_dir)
    if stored is not None and stored.exit_code == ExitCode.IN_DOUBT and not tally.pending:
        return UsageError(
            f"the load of {load_dir} has records in doubt",
            why=f"{plural(tally.in_doubt, 'record')} may be in the CRM or not; until that is"
            f" settled the load is not finished, and {REJECTED} may still grow",
            hint=f"Settle them first, by a key or by your word: {resolve}",
        )
    on = "pipe the same bytes into its `loader load` again"
    on = on if settings.from_stdin else command("resume", load_dir)
    then = f"; should records be in doubt then: {resolve}" if tally.in_doubt or tally.pending else ""
    return UsageError(
        f"the load of {load_dir} is not finished",
        why=f"{plural(tally.in_doubt + tally.pending, 'record')} that it has read have no final outcome,"
        f" and there may be more that it has not read yet; it may refuse some, and writes {REJECTED} anew",
        hint=f"Finish it first: {on}{then}",
    )


async def _require_unchanged(place: Path, ledger: Ledger) -> None:
    """What a finished retry has loaded is the same still, or gone; else somebody mended the wrong file."""
    settings = recorded_settings(place)
    if not _exists(settings.input):
        return
    async with await open_input(settings.input) as stream:
        try:
            await recall.look(stream, ledger, settings, identity=recall.identity_of(settings))
        except InputChangedError as error:
            raise changed(error, place) from None


def _exists(path: str) -> bool:
    return Path(path).exists()


def changed(error: InputChangedError, place: Path) -> InputChangedError:
    """The same error with what to do about it in a retry: to start over would send its records twice."""
    if "--append" in error.hint:
        return error
    return InputChangedError(
        error.what,
        why=error.why,
        hint=f"Nothing was sent. {place} was begun with that file as it was: put it back, then run the same"
        f" command again. What {place} refuses comes into {place / REJECTED}: mend that",
    )
