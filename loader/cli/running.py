"""What `load` and `resume` share: run the load, show it, say how it ended."""

from __future__ import annotations

import os
import sys
from functools import partial

from loader.cli import errors, open_files
from loader.cli.screen import color_wanted, give, show, width
from loader.credentials import read_credentials
from loader.errors import ExitCode
from loader.report.display import display
from loader.report.progress import Progress
from loader.report.reasons import examples
from loader.report.summary import render, to_json
from loader.settings import LoadSettings


def run_load(
    settings: LoadSettings,
    *,
    fresh: bool = False,
    only_doubts: bool = False,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    show_progress: bool,
    no_color: bool,
) -> int:
    """Runs the load to its end or its stop; returns the exit code."""
    open_files.require(settings.concurrency)
    import anyio  # noqa: PLC0415 - with `job` a fifth of a second, which no mistyped flag should cost

    from loader import job  # noqa: PLC0415 - as above
    from loader.signals import ignore_from_now_on  # noqa: PLC0415 - as above

    state = Progress(concurrency=settings.concurrency, rate=settings.rate, limit=settings.limit)
    shown = display(
        state,
        sys.stderr,
        quiet=quiet,
        verbose=verbose,
        show_progress=show_progress,
        color=color_wanted(no_color=no_color),
    )
    with shown as observe:
        begin = partial(job.load, observe=observe, fresh=fresh, only_doubts=only_doubts)
        finished = anyio.run(begin, settings, partial(read_credentials, os.environ))
    if finished.summary.exit_code in (ExitCode.SIGINT, ExitCode.SIGTERM):
        ignore_from_now_on()
    if not quiet:
        if state.opened is None:
            show(["This load has finished before; nothing was sent."])
        show(render(finished.summary, load_dir=str(settings.load_dir), width=width()))
        if finished.summary.outcomes.rejected + finished.summary.outcomes.invalid:
            show(examples(settings.load_dir, width=width()))
    if finished.error is not None:
        errors.tell(finished.error)
    elif not finished.summary.complete and finished.summary.outcomes.pending:
        show([f"To go on: {how_to_go_on(settings)}"])
    if as_json:
        give(to_json(finished.summary))
    return finished.summary.exit_code


def how_to_go_on(settings: LoadSettings) -> str:
    """What to type when a load has stopped before its end."""
    if settings.from_stdin:
        return "pipe the same bytes into `loader load` again"
    return f"loader resume {settings.load_dir}"
