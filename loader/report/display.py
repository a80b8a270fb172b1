"""Shows a running load on stderr: a live block on a terminal, a plain line now and then without one.

An observer only counts, and hands over what is to be told. A thread of its own writes, and draws at most four
times a second, so that neither many events nor none at all change what a person sees.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Self, TextIO

from loader.events import (
    BatchAnswered,
    BatchInDoubt,
    BatchRefused,
    CreditsRanOut,
    CreditsReturned,
    Event,
    FieldsIgnored,
    GatePaused,
    LimitLowered,
    LimitRaised,
    LoadOpened,
    LoadStopping,
    PlacesShared,
    QuietPeriodBegan,
    RecordsHeld,
    ServiceUnreachable,
    TokenAwaited,
    TokenRefreshed,
    Warned,
)
from loader.report import journal, progress, terminal, text
from loader.report.limiting import why_paused
from loader.report.live import DRAWS_PER_S, LiveBlock
from loader.report.progress import Progress
from loader.report.telling import Telling

LINE_EVERY_S = 10.0
QUIET_TOLD_S = 1.0
"""A rest that is shorter is over before it is read."""
IGNORED_WIDTH = 60
REFUSALS_SHOWN_MAX = 20
"""Of one answer; `loader results DIR --failed` shows them all."""


def told(event: Event, *, verbose: bool) -> str:
    """The line that an event is worth by itself; empty for the many that are only counted."""
    match event:
        case Warned():
            return f"warning: {text.printable(event.text)}"
        case ServiceUnreachable():
            host, reason = text.printable(event.host), text.printable(event.reason)
            return f"{host} is out of reach ({reason}); giving up in {text.time_left(event.gives_up_in_s)}"
        case TokenAwaited():
            host, reason = text.printable(event.host), text.printable(event.reason)
            waited = f"waiting to ask {host} for an access token ({reason}); nothing is lost"
            if event.goes_on_in_s is None:
                return f"{waited}, it is tried again; giving up {_when(event.gives_up_in_s)}"
            return f"{waited}, it goes on by itself {_when(event.goes_on_in_s)}"
        case QuietPeriodBegan() if event.alone and event.seconds >= QUIET_TOLD_S:
            return (
                f"records in doubt rest for {text.time_left(event.seconds)} (--quiet-period), for the CRM may"
                f" still apply what it got; then they are {event.then}"
            )
        case CreditsRanOut():
            return f"the day's credits are spent; sending goes on in {text.time_left(event.wait_s)}"
        case CreditsReturned():
            return "there are credits again"
        case FieldsIgnored():
            return f"worth a look: {ignored(event.names)}"
        case LoadStopping():
            return f"{event.signal}: nothing new is sent, waiting for answers; once more stops at once"
    return _detail(event) if verbose else ""


def _when(in_s: float) -> str:
    """`in 4 m, at 18:47:12 CET`: by the clock of who reads it."""
    # A second more: who looks then is not too early.
    at = datetime.now().astimezone() + timedelta(seconds=in_s + 1)
    return f"in {text.time_left(in_s)}, at {at:%H:%M:%S %Z}"


def ignored(names: Sequence[str]) -> str:
    """Which members of records come to nothing, as far as there is room for their names."""
    shown = text.joined([text.printable(name) for name in names], width=IGNORED_WIDTH)
    what = "a member that no insert sets" if len(names) == 1 else f"{len(names)} members that no insert sets"
    return f"records have {what}, and the API ignores {'it' if len(names) == 1 else 'them'}: {shown}"


def _detail(event: Event) -> str:
    match event:
        case BatchRefused():
            return (
                f"batch {event.batch}, attempt {event.attempt}: not applied, {text.printable(event.reason)}"
            )
        case BatchAnswered():
            return "\n".join(_refusals(event))
        case BatchInDoubt():
            doubt = f"{text.plural(event.records, 'record')} in doubt, {text.printable(event.reason)}"
            return f"batch {event.batch}, attempt {event.attempt}: {doubt}"
        case RecordsHeld():
            return f"{text.plural(event.records, 'record')} held: in the CRM or not, only a person can tell"
        case GatePaused():
            return f"{why_paused(event)}: nothing is sent for {text.duration(event.pause_s)}"
        case LimitRaised():
            return f"{text.plural(event.limit, 'call')} at once from now on"
        case LimitLowered():
            return f"429 for call {event.refused} of those in flight: {event.limit} at once from now on"
        case PlacesShared():
            return f"other loads on this machine leave {event.share} of {event.ceiling} places"
        case TokenRefreshed():
            return "a new access token"
        case _:
            return ""


def _refusals(event: BatchAnswered) -> Iterator[str]:
    """A line for each refused record, with all that the API says of it."""
    for one in event.refused[:REFUSALS_SHOWN_MAX]:
        why = f"{one.code} {one.field}".rstrip() + (f": {one.message}" if one.message else "")
        yield f"line {one.line}: rejected, {text.printable(why)}"
    if len(event.refused) > REFUSALS_SHOWN_MAX:
        yield f"and {len(event.refused) - REFUSALS_SHOWN_MAX} more of batch {event.batch}"


class Quiet:
    """`-q`: warnings and nothing else."""

    def __init__(self, out: TextIO) -> None:
        self._telling = Telling(out)

    def __call__(self, event: Event, /) -> None:
        if isinstance(event, Warned):
            self._telling.add(told(event, verbose=False))

    def __enter__(self) -> Self:
        self._telling.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._telling.__exit__(*error)


class PlainLines:
    """For a log: how the load stands, every ten seconds, and what is worth a line by itself.

    `told` and `standing` are the words for an event and for the load as it stands; no word, no line.
    """

    def __init__(
        self,
        state: Progress,
        out: TextIO,
        *,
        verbose: bool = False,
        every_s: float | None = LINE_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
        told: Callable[[Event], str] | None = None,
        standing: Callable[[Progress], str] = progress.line,
    ) -> None:
        self._state = state
        self._told = told or partial(_plainly, verbose=verbose)
        self._standing = standing
        self._every_s = every_s
        self._clock = clock
        self._looked_s = 0.0
        tick = None if every_s is None else self._look
        self._telling = Telling(out, tick=tick, tick_s=1 / DRAWS_PER_S)

    def __call__(self, event: Event, /) -> None:
        self._state.apply(event)
        if line := self._told(event):
            self._telling.add(line)

    def __enter__(self) -> Self:
        self._state.look(self._clock())
        self._telling.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._telling.__exit__(*error)

    def _look(self) -> None:
        self._state.look(self._clock())
        self._looked_s += 1 / DRAWS_PER_S
        if self._every_s is not None and self._looked_s >= self._every_s:
            self._looked_s = 0.0
            self._telling.add(self._standing(self._state))


def _plainly(event: Event, *, verbose: bool) -> str:
    return _opening(event) if isinstance(event, LoadOpened) else told(event, verbose=verbose)


def _opening(event: LoadOpened) -> str:
    resumed = f", resume {event.resumes}" if event.resumes else ""
    name, host = text.name_of(event.input_name), text.printable(event.host)
    return f"load {event.load_id}: {name} → {text.printable(event.module)} @ {host}{resumed}"


Display = Quiet | PlainLines | LiveBlock


def display(
    state: Progress,
    out: TextIO,
    *,
    quiet: bool = False,
    verbose: bool = False,
    show_progress: bool = True,
    color: bool = True,
    as_json: bool = False,
) -> Display:
    """The display that fits the stream and the wishes; a context manager and an Observer in one."""
    if as_json:
        return _json_lines(state, out, quiet=quiet, verbose=verbose, show_progress=show_progress)
    if quiet:
        return Quiet(out)
    if not show_progress:
        return PlainLines(state, out, verbose=verbose, every_s=None)
    if not terminal.redraws(out):
        return PlainLines(state, out, verbose=verbose)
    return LiveBlock(
        state,
        out,
        told=partial(told, verbose=verbose),
        size=partial(terminal.size, out),
        color=color,
        ascii_only=not terminal.takes_unicode(out),
        reflows=terminal.reflows(),
    )


def _json_lines(
    state: Progress, out: TextIO, *, quiet: bool, verbose: bool, show_progress: bool
) -> PlainLines:
    def told(event: Event) -> str:
        if quiet and not isinstance(event, Warned):
            return ""
        return journal.of_event(event, at=time.time(), verbose=verbose)

    def standing(state: Progress) -> str:
        return journal.of_progress(state, at=time.time())

    every_s = LINE_EVERY_S if show_progress and not quiet else None
    return PlainLines(state, out, every_s=every_s, told=told, standing=standing)
