"""Where the retries of a load stand, and what they have made of its refused records.

The retries stand in the load's directory as `retry-1`, `retry-2`, ...; what a retry is made of, and whether
there is one to make, is `retrying.py`.
"""

from __future__ import annotations

import re
from pathlib import Path

from loader.directory import fold_quietly, log_path, recorded_settings
from loader.errors import DiskError, LoaderError, UsageError
from loader.report.export import REJECTED
from loader.report.retried import Retried
from loader.report.standing import holder_of, survived
from loader.report.summary import Summary

_RETRY = re.compile(r"retry-([1-9]\d*)")


def first_of(load_dir: Path) -> Path:
    """The load whose refused records this one takes up, at the beginning of the line; or the load itself."""
    here = load_dir.resolve()  # `.` and `..` have no name
    if _RETRY.fullmatch(here.name) and log_path(here.parent).exists():
        return load_dir.parent if load_dir.name == here.name else here.parent
    return load_dir


def retries_in(load_dir: Path) -> list[Path]:
    """Those that have begun, in their order. One that crashed before its first frame is begun anew."""
    found: list[Path] = []
    while _has_begun(place := load_dir / f"retry-{len(found) + 1}"):
        found.append(place)
    return found


def _has_begun(place: Path) -> bool:
    try:
        recorded_settings(place)
    except UsageError:
        return False
    except DiskError:
        return True  # there is a log; what is wrong with it, whoever folds it will hear
    return True


def by_hand(load_dir: Path) -> Path:
    """Where the load is kept that somebody makes of a load's `rejected.ndjson` without `loader retry`."""
    return load_dir / f"{REJECTED}.load"


def retried(summary: Summary, load_dir: Path) -> Retried | None:
    """What later loads have made of the refused records of this one; None: there is no such load.

    A later log that cannot be read is no reason to say nothing of this load: then that is said.
    """
    if not summary.outcomes.rejected + summary.outcomes.invalid:
        return None
    place = load_dir
    try:
        later = _later_than(load_dir)
        in_the_crm, tally, sealed = 0, None, False
        for place in later:
            ledger = fold_quietly(place)
            if not ledger.sealed and holder_of(log_path(place)) is None:
                ledger.stop(survived=survived(ledger))
            tally, sealed = ledger.tally(), ledger.sealed
            in_the_crm += tally.inserted + tally.duplicate
    except (LoaderError, OSError):
        return Retried(str(place), again=str(place), readable=False)
    if tally is None:
        return None
    return Retried(
        str(place),
        again=str(first_of(place)),
        finished=sealed,
        in_the_crm=in_the_crm,
        refused=tally.rejected + tally.invalid,
        in_doubt=tally.in_doubt,
        pending=tally.pending,
    )


def _later_than(load_dir: Path) -> list[Path]:
    """The loads that take up what this one refused, and what each of them refused, in their order."""
    first = first_of(load_dir)
    number = 0 if first == load_dir else int(load_dir.resolve().name.removeprefix("retry-"))
    retries = retries_in(first)
    latest = retries[-1] if retries else first
    other = by_hand(latest)
    return [*retries[number:], *((other, *retries_in(other)) if _has_begun(other) else ())]
