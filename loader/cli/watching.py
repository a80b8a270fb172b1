"""To whom a load is shown while it runs: the display, and whoever else wants its events."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec

from loader.cli import errors
from loader.cli.screen import color_wanted, show
from loader.errors import ExitCode
from loader.report import journal
from loader.report.display import Display, display
from loader.report.progress import Progress
from loader.report.telling import say

if TYPE_CHECKING:
    from loader.errors import LoaderError
    from loader.events import Event, Observer
    from loader.report.spans import Exporting
    from loader.report.summary import Summary
    from loader.settings import LoadSettings


class Showing(msgspec.Struct, frozen=True):
    """The display flags of a command."""

    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    no_progress: bool = False
    no_color: bool = False
    log_format: str = "text"
    metrics_file: Path | None = None
    metrics_port: int | None = None
    metrics_host: str = "127.0.0.1"
    otel: bool = False
    report_to: Path | None = None

    @classmethod
    def of(cls, flags: Mapping[str, Any]) -> Self:
        return cls(**{name: flags[name] for name in cls.__struct_fields__})

    @property
    def as_lines_of_json(self) -> bool:
        """stderr is for a program: nothing but JSON goes there."""
        return self.log_format == "json"


class Watching:
    """Those who watch one run of a load."""

    def __init__(self, showing: Showing, settings: LoadSettings) -> None:
        self._showing = showing
        self._settings = settings
        self._ending: list[Callable[[int, Summary | None], None]] = []
        self._exporting: Exporting | None = None
        self._exit_code: int = ExitCode.DEFECT
        self.state = self._progress()

    def _progress(self) -> Progress:
        settings = self._settings
        return Progress(concurrency=settings.concurrency, rate=settings.rate, limit=settings.limit)

    @contextmanager
    def observer(self) -> Iterator[Observer]:
        """The observer of the load, for as long as it runs.

        Raises:
            UsageError: a file, a port or an extra that is asked for cannot be used.
        """
        showing = self._showing
        with ExitStack() as stack:
            shown: Display = display(
                self.state,
                sys.stderr,
                quiet=showing.quiet,
                verbose=showing.verbose,
                show_progress=not showing.no_progress,
                color=color_wanted(no_color=showing.no_color),
                as_json=showing.as_lines_of_json,
            )
            observers: list[Observer] = [shown, *self._metered(stack), *self._traced()]
            # Last: what the others have to say stands above the block.
            stack.enter_context(shown)
            if len(observers) == 1:
                yield observers[0]
                return

            def observe(event: Event) -> None:
                for each in observers:
                    each(event)

            yield observe

    def _metered(self, stack: ExitStack) -> Iterator[Observer]:
        showing = self._showing
        if showing.metrics_file is None and showing.metrics_port is None:
            return
        from loader.report.metrics import Meter  # noqa: PLC0415 - few loads are metered
        from loader.report.metrics_export import MetricsFile, served  # noqa: PLC0415 - as above

        meter = Meter(self._progress(), began_at=time.time())
        self._ending.append(
            lambda code, summary: meter.ended(at=time.time(), exit_code=code, summary=summary)
        )
        if showing.metrics_file is not None:
            file = MetricsFile(showing.metrics_file, meter)

            def close(code: int, summary: Summary | None) -> None:  # noqa: ARG001 - as all that end
                if failure := file.close():
                    self.warn(failure)

            self._ending.append(close)
        if showing.metrics_port is not None:
            port = stack.enter_context(served(showing.metrics_port, showing.metrics_host, meter))
            if not (showing.quiet or showing.as_lines_of_json):
                show([f"metrics at http://{showing.metrics_host}:{port}/metrics"])
        yield meter

    def _traced(self) -> Iterator[Observer]:
        if not self._showing.otel:
            return
        from loader.report.spans import Exporting  # noqa: PLC0415 - an extra

        self._exporting = Exporting()
        yield self._exporting.spans

    def warn(self, text: str) -> None:
        """Something that went wrong beside the load."""
        if self._showing.as_lines_of_json:
            from loader.events import Warned  # noqa: PLC0415 - as above

            say(sys.stderr, journal.of_event(Warned(text), at=time.time(), verbose=False))
        else:
            show([f"warning: {text}"])

    def ended(self, summary: Summary | None, error: LoaderError | None, *, exit_code: int) -> None:
        """The run is over: the last figures, and for a program its canonical line."""
        self._exit_code = exit_code
        for each in self._ending:
            each(exit_code, summary)
        if self._showing.as_lines_of_json:
            load_dir = str(self._settings.load_dir)
            at = time.time()
            say(sys.stderr, journal.of_end(summary, error, at=at, load_dir=load_dir, exit_code=exit_code))
        elif error is not None:
            errors.tell(error)

    def close(self) -> None:
        """All has been said: what may take a few seconds, and tells nobody here anything, comes last."""
        exporting, self._exporting = self._exporting, None
        if exporting is not None and (failure := exporting.close(exit_code=self._exit_code)):
            self.warn(failure)
