"""Metrics, lines of JSON and spans: what of a load's events they tell, and how."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from urllib.request import urlopen

import pytest
from msgspec.structs import replace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families

from loader import events
from loader.errors import NotNowError, UsageError
from loader.events import (
    BatchAnswered,
    BatchInDoubt,
    BatchRefused,
    BatchSent,
    Event,
    LoadOpened,
    TokenRefreshed,
    Warned,
    WindowIntended,
)
from loader.outcomes import Outcome
from loader.report import journal
from loader.report.metrics import METRICS, Meter, to_text
from loader.report.metrics_export import MetricsFile, served
from loader.report.progress import Progress
from loader.report.spans import CALL_SPAN, LOAD_SPAN, Exporting, Spans, status_of
from loader.report.summary import Outcomes, Summary

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "metrics.md").read_text()
OPENED = LoadOpened(
    "LOAD-0001", "Leads", "www.zohoapis.eu", '/data/a "b"\\c.ndjson', 1000, 1, {Outcome.INSERTED: 50}
)
EVENTS: tuple[Event, ...] = (
    OPENED,
    TokenRefreshed(),
    WindowIntended(300, 2, 0, 500, 500),
    BatchSent(1, 1, 100),
    BatchAnswered(1, 1, 0.2, 97, 2, 1, 0),
    BatchSent(2, 1, 100),
    BatchRefused(2, 1, "HTTP 429"),
    BatchSent(2, 2, 100),
    BatchInDoubt(2, 2, 100, "no answer in time"),
    BatchSent(3, 1, 100),
)
SUMMARY = Summary(
    load_id="LOAD-0001", module="Leads", input="leads.ndjson", records=150, outcomes=Outcomes(150)
)


def metered() -> Meter:
    meter = Meter(Progress(concurrency=10), began_at=1000.0)
    for event in EVENTS:
        meter(event)
    return meter


def figures(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Name and own labels -> value, as a parser that somebody else wrote reads them."""
    shared = ("load", "module", "input")
    return {
        (one.name, tuple(sorted((k, v) for k, v in one.labels.items() if k not in shared))): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def test_the_text_says_what_happened() -> None:
    meter = metered()
    meter.ended(at=1010.5, exit_code=4, summary=None)
    found = figures(to_text(meter.samples()).decode())
    expected = {
        ("crm_loader_records_total", (("outcome", "inserted"),)): 147.0,
        ("crm_loader_records_total", (("outcome", "duplicate"),)): 2.0,
        ("crm_loader_records_total", (("outcome", "rejected"),)): 1.0,
        ("crm_loader_records_total", (("outcome", "invalid"),)): 2.0,
        ("crm_loader_records_in_doubt", ()): 100.0,
        ("crm_loader_calls_total", (("result", "answered"),)): 1.0,
        ("crm_loader_calls_total", (("result", "refused"),)): 1.0,
        ("crm_loader_calls_total", (("result", "in_doubt"),)): 1.0,
        ("crm_loader_calls_in_flight", ()): 1.0,
        ("crm_loader_calls_sent_again_total", ()): 1.0,
        ("crm_loader_call_seconds_bucket", (("le", "0.1"),)): 0.0,
        ("crm_loader_call_seconds_bucket", (("le", "0.25"),)): 1.0,
        ("crm_loader_call_seconds_bucket", (("le", "+Inf"),)): 1.0,
        ("crm_loader_call_seconds_sum", ()): 0.2,
        ("crm_loader_call_seconds_count", ()): 1.0,
        ("crm_loader_token_refreshes_total", ()): 1.0,
        ("crm_loader_input_bytes", ()): 1000.0,
        ("crm_loader_resumes", ()): 1.0,
        ("crm_loader_running", ()): 0.0,
        ("crm_loader_start_time_seconds", ()): 1000.0,
        ("crm_loader_end_time_seconds", ()): 1010.5,
        ("crm_loader_exit_code", ()): 4.0,
        ("crm_loader_complete", ()): 0.0,
    }
    assert {name: found.get(name) for name in expected} == expected


def test_a_load_that_had_nothing_left_keeps_the_figures_that_it_finished_with() -> None:
    meter = Meter(Progress(concurrency=10), began_at=1000.0)
    finished = replace(SUMMARY, outcomes=Outcomes(147, 2, 1), resumes=1, complete=True)
    meter.ended(at=1010.5, exit_code=3, summary=finished)
    text = to_text(meter.samples()).decode()
    assert 'crm_loader_records_total{load="LOAD-0001",module="Leads",input="leads.ndjson"' in text
    found = figures(text)
    assert found["crm_loader_records_total", (("outcome", "inserted"),)] == 147
    assert found["crm_loader_records_total", (("outcome", "rejected"),)] == 1
    assert (found["crm_loader_resumes", ()], found["crm_loader_complete", ()]) == (1, 1)


def test_what_an_earlier_run_left_in_doubt_is_no_call_of_this_one() -> None:
    meter = Meter(Progress(concurrency=10), began_at=1000.0)
    meter(BatchInDoubt(1, 1, 100, "left in doubt", earlier=True))
    assert (
        figures(to_text(meter.samples()).decode())["crm_loader_calls_total", (("result", "in_doubt"),)] == 0
    )


def test_labels_are_escaped() -> None:
    families = text_string_to_metric_families(to_text(metered().samples()).decode())
    labels = next(iter(families)).samples[0].labels
    assert (labels["load"], labels["module"], labels["input"]) == ("LOAD-0001", "Leads", 'a "b"\\c.ndjson')


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_each_metric_is_in_the_reference(metric: object) -> None:
    name, kind = metric.name, metric.kind  # type: ignore[attr-defined]
    assert f"| `{name}` | {kind} |" in PAGE


def test_the_file_appears_whole_and_says_the_end(tmp_path: Path) -> None:
    meter = metered()
    path = tmp_path / "load.prom"
    file = MetricsFile(path, meter)
    assert figures(path.read_text())["crm_loader_running", ()] == 1.0
    assert path.stat().st_mode & 0o777 == 0o644
    meter.ended(at=1010.5, exit_code=0, summary=SUMMARY)
    assert file.close() == ""
    assert figures(path.read_text())["crm_loader_exit_code", ()] == 0.0
    assert [one.name for one in tmp_path.iterdir()] == ["load.prom"]


def test_a_file_that_cannot_be_written_is_said_before_the_load_begins(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write"):
        MetricsFile(tmp_path / "no-such-directory" / "load.prom", metered())


def test_a_directory_that_goes_away_is_said_at_the_end(tmp_path: Path) -> None:
    place = tmp_path / "collector"
    place.mkdir()
    file = MetricsFile(place / "load.prom", metered())
    (place / "load.prom").unlink()
    place.rmdir()
    assert "could not be written" in file.close()


def test_the_port_serves_the_same_figures() -> None:
    meter = metered()
    with (
        served(0, "127.0.0.1", meter) as port,
        urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page,
    ):
        over_http = figures(page.read().decode())
    assert over_http == figures(to_text(meter.samples()).decode())


def test_a_port_that_is_taken_is_a_usage_error() -> None:
    with (
        served(0, "127.0.0.1", metered()) as port,
        pytest.raises(UsageError, match="cannot listen"),
        served(port, "127.0.0.1", metered()),
    ):
        pass


def test_lines_of_json_tell_what_matters_and_with_verbose_the_rest() -> None:
    lines = [journal.of_event(event, at=0.12, verbose=False) for event in (*EVENTS, Warned("mind"))]
    told = [json.loads(line) for line in lines if line]
    assert [line["event"] for line in told] == ["load_opened", "warned"]
    assert told[1] == {
        "at": "1970-01-01T00:00:00.120Z",
        "level": "warning",
        "event": "warned",
        "text": "mind",
    }
    verbose = [journal.of_event(event, at=0.0, verbose=True) for event in EVENTS]
    names = [json.loads(line)["event"] for line in verbose if line]
    assert "batch_in_doubt" in names
    assert "batch_answered" not in names, "an answer that refuses nothing is no news"


def test_the_canonical_line_has_the_summary_and_the_error() -> None:
    error = NotNowError("the service is out of reach", why="no answer", hint="again later")
    line = json.loads(journal.of_end(SUMMARY, error, at=0.0, load_dir="a.load", exit_code=7))
    assert (line["event"], line["level"], line["exit_code"]) == ("load_ended", "error", 7)
    assert (line["outcomes"]["inserted"], line["load_dir"]) == (150, "a.load")
    assert line["error"] == {"what": error.what, "why": error.why, "hint": error.hint}
    nothing = json.loads(journal.of_end(None, error, at=0.0, load_dir="a.load", exit_code=7))
    assert (nothing["event"], nothing["exit_code"]) == ("load_ended", 7)


def test_a_path_that_is_no_text_is_told_all_the_same() -> None:
    line = journal.of_end(None, UsageError("not \udcff"), at=0.0, load_dir="a\udcff.load", exit_code=2)
    told = json.loads(line)
    assert (told["load_dir"], told["error"]["what"]) == ("a\\udcff.load", "not \\udcff")


def test_each_event_has_a_name_of_its_own() -> None:
    kinds = [one for one in vars(events).values() if isinstance(one, type) and issubclass(one, Event)]
    assert len(kinds) > 10
    assert len({journal.name_of(one) for one in kinds}) == len(kinds)
    assert (journal.name_of(Warned), journal.name_of(BatchInDoubt)) == ("warned", "batch_in_doubt")


def test_each_call_is_a_span_of_the_load() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans = Spans(provider.get_tracer("test"))
    for event in EVENTS:
        spans(event)
    spans.ended(exit_code=4)
    provider.shutdown()
    found = exporter.get_finished_spans()
    calls = [span for span in found if span.name == CALL_SPAN]
    (load,) = [span for span in found if span.name == LOAD_SPAN]
    results = [(span.attributes or {})["crm_loader.result"] for span in calls]
    assert results == ["answered", "not applied", "in doubt", "given up"]
    assert all(span.parent and load.context and span.parent.span_id == load.context.span_id for span in calls)
    assert (load.attributes or {})["crm_loader.exit_code"] == 4
    assert (calls[0].attributes or {})["crm_loader.inserted"] == 97


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("HTTP 429 TOO_MANY_REQUESTS: Daly, ada@daly.example", "HTTP 429 TOO_MANY_REQUESTS"),
        ("HTTP 400 DALY_ADA: ada@daly.example", "HTTP 400"),
        ("HTTP 200, not JSON: Daly", "HTTP 200"),
        ("INTERNAL_ERROR: Daly", "INTERNAL_ERROR"),
        ("DALY", "no clear answer"),
        ("Daly said no", "no clear answer"),
        ("", "no clear answer"),
    ],
)
def test_no_message_of_the_api_is_in_a_span(reason: str, told: str) -> None:
    assert status_of(reason) == told
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans = Spans(provider.get_tracer("test"))
    refused = (OPENED, BatchSent(1, 1, 1), BatchRefused(1, 1, reason))
    for event in (*refused, BatchSent(1, 2, 1), BatchInDoubt(1, 2, 1, reason)):
        spans(event)
    provider.shutdown()
    assert [span.status.description for span in exporter.get_finished_spans()] == [told, told]


class Away(SpanExporter):
    """A service that takes no span until it is let."""

    def __init__(self) -> None:
        self.let = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.let.wait(60)
        return SpanExportResult.FAILURE


def test_an_ended_load_does_not_wait_for_a_service_that_takes_no_spans() -> None:
    away = Away()
    exporting = Exporting(away)
    exporting.spans(OPENED)
    assert exporting.close(exit_code=0, within_s=0.05) == "spans were left unsent after 0.05 s"
    away.let.set()
    assert Exporting(InMemorySpanExporter()).close(exit_code=0) == ""


def test_what_the_spans_complain_about_does_not_get_between_the_lines_of_the_load() -> None:
    Exporting(InMemorySpanExporter()).close(exit_code=0)
    assert not logging.getLogger("opentelemetry").propagate
    assert logging.getLogger("opentelemetry").handlers
