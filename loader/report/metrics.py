"""The figures of a load for a monitoring system, and how Prometheus wants them written. Pure.

The names are promised (docs/reference/metrics.md). Of a load that goes on the records are counted from where
its log stands; calls and the like are counted for each run anew.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec

from loader.events import (
    BatchAnswered,
    BatchInDoubt,
    BatchRefused,
    Event,
    LoadOpened,
    TokenRefreshed,
)
from loader.outcomes import Outcome
from loader.report.progress import Progress
from loader.report.summary import Summary
from loader.report.text import name_of

LATENCY_BUCKETS_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

Labels = tuple[tuple[str, str], ...]


class Metric(msgspec.Struct, frozen=True):
    """A figure that has a name."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str


class Sample(msgspec.Struct, frozen=True):
    """A metric's value; a histogram's are its `_bucket`, `_sum` and `_count`."""

    metric: Metric
    value: float
    labels: Labels = ()
    suffix: str = ""


RECORDS = Metric("crm_loader_records_total", "counter", "Records with their final outcome.")
IN_DOUBT = Metric("crm_loader_records_in_doubt", "gauge", "Records that may be in the CRM or not.")
EXPECTED = Metric("crm_loader_records_expected", "gauge", "Records that the input seems to have.")
PER_SECOND = Metric("crm_loader_records_per_second", "gauge", "Records settled a second, lately.")
CALLS = Metric("crm_loader_calls_total", "counter", "Inserts by what came of them.")
IN_FLIGHT = Metric("crm_loader_calls_in_flight", "gauge", "Inserts that are not answered yet.")
ALLOWED = Metric("crm_loader_calls_allowed", "gauge", "Calls that may be in flight at this moment.")
SENT_AGAIN = Metric("crm_loader_calls_sent_again_total", "counter", "Inserts that were not the first try.")
PUSH_BACKS = Metric("crm_loader_push_backs_total", "counter", "Calls that the service refused with 429.")
LATENCY = Metric("crm_loader_call_seconds", "histogram", "Seconds from an insert to its answer.")
REFRESHES = Metric("crm_loader_token_refreshes_total", "counter", "Access tokens obtained.")
INPUT_BYTES = Metric("crm_loader_input_bytes", "gauge", "Size of the input as stored.")
INPUT_READ = Metric("crm_loader_input_bytes_read", "gauge", "How much of the input has been read.")
RESUMES = Metric("crm_loader_resumes", "gauge", "How often this load was gone on with.")
RUNNING = Metric("crm_loader_running", "gauge", "1 while the load runs.")
STARTED = Metric("crm_loader_start_time_seconds", "gauge", "When this run began, in Unix seconds.")
ENDED = Metric("crm_loader_end_time_seconds", "gauge", "When this run ended, in Unix seconds.")
EXIT_CODE = Metric("crm_loader_exit_code", "gauge", "With which exit code this run ended.")
COMPLETE = Metric("crm_loader_complete", "gauge", "1 if each record has its final outcome.")

METRICS: Final = (
    RECORDS, IN_DOUBT, EXPECTED, PER_SECOND, CALLS, IN_FLIGHT, ALLOWED, SENT_AGAIN, PUSH_BACKS, LATENCY,
    REFRESHES, INPUT_BYTES, INPUT_READ, RESUMES, RUNNING, STARTED, ENDED, EXIT_CODE, COMPLETE,
)  # fmt: skip
_FINAL = (Outcome.INSERTED, Outcome.DUPLICATE, Outcome.REJECTED, Outcome.INVALID)


class Meter:
    """Counts a load's events; an Observer. `samples` is what it has come to."""

    def __init__(self, state: Progress, *, began_at: float) -> None:
        """`began_at` in Unix seconds."""
        self.state = state
        self._began_at = began_at
        self._ended: tuple[float, int, bool] | None = None
        self._calls: Counter[str] = Counter(answered=0, refused=0, in_doubt=0)
        self._latencies = [0] * (len(LATENCY_BUCKETS_S) + 1)
        self._latency_sum_s = 0.0
        self._refreshes = 0

    def __call__(self, event: Event, /) -> None:
        self.state.apply(event)
        match event:
            case BatchAnswered():
                if event.latency_s:
                    self._calls["answered"] += 1
                    self._latencies[bisect_left(LATENCY_BUCKETS_S, event.latency_s)] += 1
                    self._latency_sum_s += event.latency_s
            case BatchRefused():
                self._calls["refused"] += 1
            case BatchInDoubt():
                self._calls["in_doubt"] += not event.earlier
            case TokenRefreshed():
                self._refreshes += 1
            case _:
                pass

    def ended(self, *, at: float, exit_code: int, summary: Summary | None) -> None:
        """The run is over. Where nothing was left for it to do, its figures are those of the summary."""
        if self.state.opened is None and summary is not None:
            self.state.apply(_as_opened(summary))
        self._ended = (at, exit_code, summary is not None and summary.complete)

    def samples(self) -> list[Sample]:
        """All figures that have a value now."""
        state, opened = self.state, self.state.opened
        found = [
            *(Sample(RECORDS, state.outcomes[one], (("outcome", one.value),)) for one in _FINAL),
            Sample(IN_DOUBT, state.in_doubt),
            Sample(PER_SECOND, state.per_second),
            *(Sample(CALLS, number, (("result", result),)) for result, number in self._calls.items()),
            Sample(IN_FLIGHT, state.in_flight),
            Sample(ALLOWED, state.pacing.allowed),
            Sample(SENT_AGAIN, state.sent_again),
            Sample(PUSH_BACKS, state.push_backs),
            *self._histogram(),
            Sample(REFRESHES, self._refreshes),
            Sample(INPUT_READ, state.input_bytes_read),
            Sample(RUNNING, self._ended is None),
            Sample(STARTED, self._began_at),
        ]
        if state.total is not None:
            found.append(Sample(EXPECTED, state.total))
        if opened is not None:
            found.append(Sample(RESUMES, opened.resumes))
            if opened.input_bytes is not None:
                found.append(Sample(INPUT_BYTES, opened.input_bytes))
        if self._ended is not None:
            at, exit_code, complete = self._ended
            found += [Sample(ENDED, at), Sample(EXIT_CODE, exit_code), Sample(COMPLETE, complete)]
        labels = _labels_of(opened)
        return [msgspec.structs.replace(one, labels=(*labels, *one.labels)) for one in found]

    def _histogram(self) -> Iterable[Sample]:
        total = 0
        for bound, number in zip((*LATENCY_BUCKETS_S, float("inf")), self._latencies, strict=True):
            total += number
            yield Sample(LATENCY, total, (("le", _number(bound)),), "_bucket")
        yield Sample(LATENCY, self._latency_sum_s, (), "_sum")
        yield Sample(LATENCY, total, (), "_count")


def _as_opened(summary: Summary) -> LoadOpened:
    counts = summary.outcomes
    before = {outcome: counts.of(outcome) for outcome in Outcome}
    return LoadOpened(summary.load_id, summary.module, "", summary.input, None, summary.resumes, before)


def _labels_of(opened: LoadOpened | None) -> Labels:
    if opened is None:
        return ()
    return (("load", opened.load_id), ("module", opened.module), ("input", name_of(opened.input_name)))


def by_metric(samples: Iterable[Sample]) -> Mapping[Metric, list[Sample]]:
    """The samples of each metric that has any, in the order of `METRICS`."""
    grouped: dict[Metric, list[Sample]] = {metric: [] for metric in METRICS}
    for sample in samples:
        grouped[sample.metric].append(sample)
    return {metric: found for metric, found in grouped.items() if found}


def to_text(samples: Iterable[Sample]) -> bytes:
    """The text format of Prometheus, version 0.0.4, as a textfile collector reads it."""
    lines: list[str] = []
    for metric, found in by_metric(samples).items():
        lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}"]
        for sample in found:
            labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in sample.labels)
            named = f"{metric.name}{sample.suffix}" + (f"{{{labels}}}" if labels else "")
            lines.append(f"{named} {_number(sample.value)}")
    return "".join(f"{line}\n" for line in lines).encode(errors="replace")


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if value == int(value) else repr(float(value))
