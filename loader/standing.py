"""A load seen from outside: where it stands and what became of each record, found out without touching it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import msgspec

from loader import recall
from loader.aftermath import lookup_of, open_doubts_of, stored_summary, summary_of
from loader.checkpoint.ledger import Ledger
from loader.checkpoint.results import outcomes_in_order
from loader.directory import fold_quietly, log_path, recorded_settings
from loader.errors import LoaderError
from loader.outcomes import Outcome
from loader.report import export
from loader.report.closing import OpenDoubts
from loader.report.standing import holder_of, survived
from loader.report.summary import Summary
from loader.settings import LoadSettings
from loader.source.lookup import Lookup


class Standing(msgspec.Struct, frozen=True):
    """Where a load stands."""

    settings: LoadSettings
    summary: Summary
    process: int | None
    """The process that works on it; None: none does."""
    since: float
    """When a process last took it up, in Unix seconds."""
    exit_code: int | None
    """Of the last run; None: it runs still, or was killed and had none."""
    doubts: OpenDoubts


def standing_of(load_dir: Path) -> Standing:
    """Where the load of that directory stands.

    Raises:
        LoaderError: there is no load, or its log cannot be read or believed.
    """
    settings = recorded_settings(load_dir)
    holder = holder_of(log_path(load_dir))
    ledger = fold_quietly(load_dir)
    if holder is None:
        ledger.stop(survived=survived(ledger))
    opened = ledger.last_open
    summary = summary_of(ledger, settings)
    exit_code: int | None = summary.exit_code
    if not summary.complete:
        stored = stored_summary(load_dir)
        of_this_run = stored is not None and holder is None and stored.resumes == summary.resumes
        exit_code = stored.exit_code if stored is not None and of_this_run else None
    since = opened.at if opened else 0.0
    return Standing(settings, summary, holder, since, exit_code, open_doubts_of(ledger, settings))


def results_of(
    load_dir: Path, *, only: Collection[Outcome] | None = None, warn: Callable[[str], None] = lambda _: None
) -> Iterator[export.Result]:
    """What became of each record (of `only` these), in input order, in flat memory.

    `warn` is told where the input cannot be looked at again: then the results have no offset and no key.

    Raises:
        LoaderError: there is no load, or its log cannot be read or believed.
    """
    settings = recorded_settings(load_dir)
    ledger = fold_quietly(load_dir)
    return export.results(
        outcomes_in_order(log_path(load_dir), survived=survived(ledger), only=only),
        only=only,
        lookup=_lookup(settings, ledger, warn),
        key=settings.key,
    )


def _lookup(settings: LoadSettings, ledger: Ledger, warn: Callable[[str], None]) -> Lookup | None:
    """The input, if it can be read again and is still the one that was loaded."""
    if settings.from_stdin:
        return None  # it has gone by, and offsets and keys with it
    known = ledger.last_open.input if ledger.last_open else None
    try:
        same = recall.recorded(recall.identity_of(settings)) == known
    except LoaderError:
        same = False
    if same:
        return lookup_of(settings)
    warn(f"{settings.input} is gone or was changed: the results are without offset and key")
    return None
