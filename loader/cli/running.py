"""What `load` and `resume` share: run the load, show it, say how it ended."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from loader import begun
from loader.cli import open_files
from loader.cli.credentials_flag import credentials_reader
from loader.cli.screen import give, say, show, width
from loader.cli.watching import Showing, Watching
from loader.errors import ExitCode, LoaderError
from loader.report.closing import NO_RECORD, OpenDoubts, render
from loader.report.reasons import examples
from loader.report.summary import Summary, to_json
from loader.settings import LoadSettings, how_to_go_on

if TYPE_CHECKING:
    from loader.run import Finished


def run_load(
    settings: LoadSettings,
    showing: Showing,
    *,
    fresh: bool = False,
    only_doubts: bool = False,
    unread: bool = False,
    reworded: Callable[[LoaderError], LoaderError] = lambda error: error,
) -> int:
    """Runs the load to its end or its stop, and tells which it was; returns the exit code.

    `fresh`, `only_doubts` and `unread` are those of `job.load`. `reworded` says what stops it before its end
    in words of the command's own.
    """
    watching = Watching(showing, settings)

    def run() -> int:
        finished = _run(settings, showing, watching, fresh=fresh, only_doubts=only_doubts, unread=unread)
        return _told(settings, showing, watching, finished)

    return watched(watching, run, reworded=reworded)


def watched(
    watching: Watching,
    run: Callable[[], int],
    *,
    reworded: Callable[[LoaderError], LoaderError] = lambda error: error,
) -> int:
    """Runs what tells its own end; where an error ends it, that is told here. Returns the exit code."""
    try:
        return run()
    except LoaderError as error:
        watching.ended(None, reworded(error), exit_code=error.exit_code)
        return error.exit_code
    finally:
        watching.close()


def _run(
    settings: LoadSettings,
    showing: Showing,
    watching: Watching,
    *,
    fresh: bool,
    only_doubts: bool,
    unread: bool,
) -> Finished:
    open_files.require(settings.concurrency)
    from loader import job  # noqa: PLC0415 - a fifth of a second, which no mistyped flag should cost
    from loader.cli import event_loop  # noqa: PLC0415 - as above
    from loader.reporting import require_writable  # noqa: PLC0415 - as above

    if showing.report_to is not None:
        require_writable(showing.report_to)
    with watching.observer() as observe:
        begin = partial(job.load, observe=observe, fresh=fresh, only_doubts=only_doubts, unread=unread)
        return event_loop.run(begin, settings, credentials_reader(settings.target))


def _told(settings: LoadSettings, showing: Showing, watching: Watching, finished: Finished) -> int:
    """Says how the load ended, on the screen and wherever else it was asked for; returns the exit code."""
    from loader.signals import ignore_from_now_on  # noqa: PLC0415 - not for --help

    summary = finished.summary
    if summary.exit_code in (ExitCode.SIGINT, ExitCode.SIGTERM):
        ignore_from_now_on()
    if summary.complete and not summary.records:
        watching.warn(NO_RECORD)
    if not (showing.quiet or showing.as_lines_of_json):
        if watching.state.opened is None:
            say("This load has finished before; nothing was sent.")
        place = settings.load_dir
        # An error that stopped the load may have kept these from being written, and goes first on the screen.
        written = finished.error is None or _are_there(summary, place)
        show(closing_screen(summary, settings, finished.doubts, files=written, with_examples=written))
        if not written:
            say("The files of refused and doubtful records could not be written; the next run writes them.")
    write_report_too(settings, summary, watching, showing.report_to, error=finished.error)
    watching.ended(summary, finished.error, exit_code=summary.exit_code)
    unfinished = not summary.complete and summary.outcomes.pending
    if finished.error is None and unfinished and not showing.as_lines_of_json:
        say(f"To go on: {how_to_go_on(settings)}")
    if showing.as_json:
        give(to_json(summary))
    return summary.exit_code


def _are_there(summary: Summary, load_dir: Path) -> bool:
    """The files that this load's outcomes call for."""
    from loader.directory import is_there  # noqa: PLC0415 - not for --help
    from loader.report.export import IN_DOUBT, REJECTED  # noqa: PLC0415 - as above

    counted = summary.outcomes
    wanted = {REJECTED: counted.rejected + counted.invalid, IN_DOUBT: counted.in_doubt}
    return all(is_there(load_dir / name) for name, count in wanted.items() if count)


def closing_screen(
    summary: Summary,
    settings: LoadSettings,
    doubts: OpenDoubts,
    *,
    report: Path | None = None,
    files: bool = True,
    with_examples: bool = False,
) -> list[str]:
    """What a load came to, in lines for this terminal. `report`: where it is, if not in its directory.

    `files`: its files are there. `with_examples`: also of refused records that nobody has taken up since.
    """
    from loader import retries  # noqa: PLC0415 - not for --help
    from loader.directory import is_there  # noqa: PLC0415 - as above
    from loader.reporting import REPORT  # noqa: PLC0415 - as above

    load_dir = settings.load_dir
    path = report or load_dir / REPORT
    first, later = retries.first_of(load_dir), retries.retried(summary, load_dir)
    lines = render(
        summary,
        load_dir=str(load_dir) if files else "",
        report=str(path) if is_there(path) else "",
        retry=str(first),
        retried=later,
        load_flags=(*begun.target_flags(settings), *begun.record_flags(settings)),
        check_flags=begun.target_flags(settings),
        doubts=doubts,
        width=width(),
    )
    if with_examples and later is None and summary.outcomes.rejected + summary.outcomes.invalid:
        lines += examples(load_dir, retry=first, width=width())
    return lines


def write_report_too(
    settings: LoadSettings,
    summary: Summary,
    watching: Watching,
    path: Path | None,
    *,
    error: LoaderError | None = None,
) -> None:
    """The report where it was asked for; the exit code speaks of the records, whether that works or not."""
    from loader.reporting import write_report  # noqa: PLC0415 - not for --help

    if path is None:
        return
    try:
        write_report(settings, summary, error=error, to=path)
    except LoaderError as fault:
        watching.warn(f"{fault.what}: {fault.why}. The same report is in {settings.load_dir}")
