"""`--log-format json`: each event as one line of JSON, and one canonical line in which a load tells its end.

Pure: the time is handed in. The names of events are those of `loader.events`, in small letters.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import msgspec

from loader.errors import LoaderError
from loader.events import (
    BatchAnswered,
    BatchInDoubt,
    BatchRefused,
    Event,
    FieldsIgnored,
    LoadOpened,
    LoadStopping,
    QuietPeriodBegan,
    RecordsHeld,
    ServiceUnreachable,
    TokenAwaited,
    Warned,
)
from loader.report.progress import Progress
from loader.report.summary import Summary

_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")
_ALWAYS = (LoadOpened, LoadStopping, FieldsIgnored, Warned, ServiceUnreachable, TokenAwaited)
_WARNINGS = (Warned, ServiceUnreachable, BatchInDoubt, RecordsHeld)


def name_of(kind: type[Event]) -> str:
    """`BatchAnswered` -> `batch_answered`."""
    return _CAPITAL.sub("_", kind.__name__).lower()


def of_event(event: Event, *, at: float, verbose: bool) -> str:
    """The line of an event at `at`, in Unix seconds; empty for those that only `verbose` tells."""
    if isinstance(event, QuietPeriodBegan) and event.alone:
        verbose = True
    settled_only = isinstance(event, BatchAnswered) and not event.refused
    if not isinstance(event, _ALWAYS) and (not verbose or settled_only):
        return ""
    level = "warning" if isinstance(event, (*_WARNINGS, BatchRefused)) else "info"
    return _line(name_of(type(event)), level, at, _facts(event))


def of_progress(state: Progress, *, at: float) -> str:
    """Where the load stands."""
    facts: dict[str, Any] = {
        "records_settled": state.settled,
        "records_expected": state.total,
        "outcomes": {outcome.value: number for outcome, number in state.outcomes.items()},
        "in_doubt": state.in_doubt,
        "records_per_second": round(state.per_second, 1),
        "calls_in_flight": state.in_flight,
        "calls_allowed": state.pacing.allowed,
        "sent_again": state.sent_again,
        "push_backs": state.push_backs,
        "latency_p50_s": state.latency_at(50),
        "latency_p99_s": state.latency_at(99),
        "seconds_left": state.seconds_left,
        "limited_by": state.limited_by(),
    }
    return _line("progress", "info", at, facts)


def of_end(
    summary: Summary | None, error: LoaderError | None, *, at: float, load_dir: str, exit_code: int
) -> str:
    """The canonical line: all that `summary.json` has, and why the load stopped, if it did."""
    level = "info" if exit_code == 0 else "error" if error is not None else "warning"
    facts: dict[str, Any] = {} if summary is None else _facts(summary)
    facts |= {"load_dir": load_dir, "exit_code": exit_code}
    if error is not None:
        facts["error"] = {"what": error.what, "why": error.why, "hint": error.hint}
    return _line("load_ended", level, at, facts)


def of_error(what: str, *, why: str, hint: str, at: float, exit_code: int, traceback: str = "") -> str:
    """The canonical line of a command that ended before there was a load, or by a defect."""
    told = {"what": what, "why": why, "hint": hint} | ({"traceback": traceback} if traceback else {})
    return _line("load_ended", "error", at, {"exit_code": exit_code, "error": told})


def of_check(found: dict[str, Any], *, at: float, dry_run_by: str, exit_code: int) -> str:
    """The canonical line of a dry run; `found` is what `loader check --json` prints."""
    facts = {**found, "dry_run_by": dry_run_by, "exit_code": exit_code}
    return _line("dry_run_ended", "warning" if exit_code else "info", at, facts)


def _facts(value: msgspec.Struct) -> dict[str, Any]:
    facts = msgspec.to_builtins(value)
    assert isinstance(facts, dict)
    return facts


def _line(name: str, level: str, at: float, facts: dict[str, Any]) -> str:
    when = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = {"at": when, "level": level, "event": name, **facts}
    try:
        encoded = msgspec.json.encode(line)
    except UnicodeEncodeError:  # a path may be any bytes; what is no character of it is escaped
        encoded = msgspec.json.encode(_as_text(line))
    if not encoded.isascii():
        # Whoever writes the line may know no other letters, and escapes of a terminal's are none of JSON's.
        encoded = json.dumps(msgspec.json.decode(encoded), separators=(",", ":")).encode()
    return encoded.decode().replace("\x7f", "\\u007f")


def _as_text(value: Any) -> Any:
    match value:
        case str():
            return value.encode(errors="backslashreplace").decode()
        case dict():
            return {_as_text(name): _as_text(one) for name, one in value.items()}
        case list() | tuple():
            return [_as_text(one) for one in value]
        case _:
            return value
