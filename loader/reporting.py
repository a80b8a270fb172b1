"""Writes the report of a load: into its directory at each end of a run, and where it is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from loader import retries
from loader.begun import told
from loader.checkpoint.entries import Entry
from loader.checkpoint.scan import scan
from loader.directory import log_path
from loader.errors import DiskError, LoaderError, UsageError, command
from loader.report import export
from loader.report.chronicle import Chronicle
from loader.report.html import Link, Page, render
from loader.report.summary import Summary
from loader.report.verdict import verdict
from loader.settings import LoadSettings, how_to_go_on

REPORT = export.REPORT

_FILES = (
    (export.REJECTED, "the original lines of refused records: mend them here"),
    (export.REASONS, "why, line by line"),
    (export.IN_DOUBT, "the original lines of records that may be in the CRM or not"),
    (export.SUMMARY, "the figures of this page for programs"),
    ("checkpoint.log", "all that is known of the load; never edit it"),
)


def write_report(
    settings: LoadSettings,
    summary: Summary,
    *,
    error: LoaderError | None = None,
    to: Path | None = None,
    chronicle: Callable[[], Chronicle] | None = None,
) -> Path:
    """Writes the report into the load directory, or `to` another place; its links lead to the same files.

    `error` is what stopped the load, if something did. `chronicle` gives what is known of its way already;
    None: the log is read for it.

    Raises:
        DiskError: it could not be written, for whatever reason: a load that is recorded does not fail by its
            report.
    """
    path = settings.load_dir / REPORT if to is None else to
    load_dir = settings.load_dir
    try:
        retry = str(retries.first_of(load_dir))
        page = Page(
            summary=summary,
            chronicle=chronicle_of(log_path(load_dir)) if chronicle is None else chronicle(),
            verdict=verdict(
                summary,
                load_dir=str(load_dir),
                to_go_on=how_to_go_on(settings),
                retry=retry,
                retried=retries.retried(summary, load_dir),
                by_error=error is not None,
            ),
            load_dir=str(load_dir),
            retry=retry,
            settings=list(settings_told(settings)),
            links=list(_links(settings.load_dir, path.parent)),
            stopped_by=() if error is None else (error.what, error.why, error.hint),
        )
        with export.AtomicFile(path) as stored:
            stored.write(render(page).encode())
    except LoaderError:
        raise
    except Exception as fault:
        why = fault.strerror if isinstance(fault, OSError) else None
        raise DiskError(
            f"cannot write the report {path}",
            why=why or f"{type(fault).__name__}: {fault}",
            hint=f"The load itself is recorded: {command('status', settings.load_dir)}",
        ) from fault
    return path


def has_its_report(load_dir: Path) -> bool:
    """Whether the report there is of the run that left the summary, which a run writes just before it."""
    with suppress(OSError):
        return (load_dir / REPORT).stat().st_mtime_ns >= (load_dir / export.SUMMARY).stat().st_mtime_ns
    return False


def chronicle_of(log: Path) -> Chronicle:
    """How the load went whose log this is; one pass over it."""
    chronicle = Chronicle()
    for _, entry in scan(log):
        chronicle.apply(entry)
    return chronicle


class Retelling:
    """A chronicle that is made while somebody else reads the log, who does not fail by its faults."""

    def __init__(self) -> None:
        self._chronicle = Chronicle()
        self._fault: Exception | None = None

    def apply(self, entry: Entry) -> None:
        """Adds one entry, as `Chronicle.apply`. Raises nothing."""
        if self._fault is None:
            try:
                self._chronicle.apply(entry)
            except Exception as fault:  # told where the report is made
                self._fault = fault

    def chronicle(self) -> Chronicle:
        """The chronicle. Raises what it failed by, if it did."""
        if self._fault is not None:
            raise self._fault
        return self._chronicle


def require_writable(path: Path) -> None:
    """Refuses a place where no report can be written, before anything is sent.

    Raises:
        UsageError: its directory is not there, or it is a directory itself.
    """
    try:
        is_folder, has_folder = path.is_dir(), path.parent.is_dir()
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError(f"--report {path} cannot be written", why=why, hint="Name another place.") from None
    if is_folder:
        raise UsageError(f"--report {path} cannot be written", why="it is a directory", hint="Name a file.")
    if not has_folder or not os.access(path.parent, os.W_OK):
        why = "may not be written to" if has_folder else "does not exist"
        raise UsageError(
            f"--report {path} cannot be written", why=f"{path.parent} {why}", hint="Name another place."
        )


def _links(load_dir: Path, beside: Path) -> Iterator[Link]:
    place = os.path.relpath(load_dir, beside)
    prefix = "" if place == os.curdir else f"{place}/"
    return (Link(prefix + name, words) for name, words in _FILES if (load_dir / name).exists())


def settings_told(settings: LoadSettings) -> Iterator[tuple[str, str]]:
    """The settings that shape a load, as flags; of those that are not set, none."""
    threshold = settings.max_rejected
    rows = {
        "--key": settings.key,
        "--key-unique": settings.key_unique and "yes",
        "--stamp": settings.stamp,
        "--concurrency": settings.concurrency,
        "--rate": settings.rate and f"{settings.rate:g} calls/s",
        "--limit": settings.limit,
        "--max-rejected": threshold
        and (threshold.count if threshold.percent is None else f"{threshold.percent:g}%"),
        "--timeout": f"{settings.timeout_s:g} s",
        "--patience": f"{settings.patience_s:g} s",
        "--quiet-period": f"{settings.quiet_period_s:g} s",
        "--ok-duplicates": settings.ok_duplicates and "yes",
        "--no-check": not settings.check and "yes",
        "options of each insert": told(settings),
    }
    return ((flag, str(value)) for flag, value in rows.items() if value not in (None, False, ""))
