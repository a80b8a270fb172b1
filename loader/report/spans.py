"""`--otel`: a load as an OpenTelemetry span, each insert as a span in it. Needs the extra `otel`.

Where the spans go is said in the surroundings, as for any program (OTEL_EXPORTER_OTLP_ENDPOINT and the like).
No content of a record and no id is in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loader.errors import UsageError
from loader.events import BatchAnswered, BatchInDoubt, BatchRefused, BatchSent, Event, LoadOpened

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

LOAD_SPAN = "crm_loader.load"
CALL_SPAN = "crm_loader.insert"


class Spans:
    """An Observer that turns events into spans of a tracer."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._load: Span | None = None
        self._calls: dict[tuple[int, int], Span] = {}

    def __call__(self, event: Event, /) -> None:
        match event:
            case LoadOpened():
                self._load = self._tracer.start_span(LOAD_SPAN)
                self._load.set_attributes(
                    {
                        "crm_loader.load_id": event.load_id,
                        "crm_loader.module": event.module,
                        "crm_loader.resumes": event.resumes,
                        "server.address": event.host,
                    }
                )
            case BatchSent():
                self._begin(event)
            case BatchAnswered():
                counts = {
                    "crm_loader.inserted": event.inserted,
                    "crm_loader.duplicate": event.duplicate,
                    "crm_loader.rejected": event.rejected,
                }
                self._end(event.batch, event.attempt, "answered", counts)
            case BatchRefused():
                self._end(event.batch, event.attempt, "not applied", {}, failed=event.reason)
            case BatchInDoubt():
                self._end(event.batch, event.attempt, "in doubt", {}, failed=event.reason)
            case _:
                pass

    def ended(self, *, exit_code: int) -> None:
        """The run is over: what is still open ends with it."""
        for batch, attempt in list(self._calls):
            self._end(batch, attempt, "given up", {}, failed="the load ended")
        if self._load is not None:
            self._load.set_attribute("crm_loader.exit_code", exit_code)
            self._load.end()
            self._load = None

    def _begin(self, event: BatchSent) -> None:
        from opentelemetry.trace import set_span_in_context  # noqa: PLC0415 - an extra

        context = set_span_in_context(self._load) if self._load is not None else None
        span = self._tracer.start_span(CALL_SPAN, context=context)
        span.set_attributes(
            {
                "crm_loader.batch": event.batch,
                "crm_loader.attempt": event.attempt,
                "crm_loader.records": event.records,
            }
        )
        self._calls[event.batch, event.attempt] = span

    def _end(
        self, batch: int, attempt: int, result: str, counts: dict[str, int], *, failed: str = ""
    ) -> None:
        span = self._calls.pop((batch, attempt), None)
        if span is None:
            return  # one answer may settle some records and leave others in doubt: the first word ends it
        span.set_attribute("crm_loader.result", result)
        span.set_attributes(counts)
        if failed:
            from opentelemetry.trace import StatusCode  # noqa: PLC0415 - an extra

            span.set_status(StatusCode.ERROR, failed)
        span.end()


class Exporting:
    """A tracer whose spans are sent, in the background, to where OTEL_EXPORTER_OTLP_... says."""

    def __init__(self) -> None:
        """Raises UsageError: the extra is not installed."""
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - an extra
                OTLPSpanExporter,
            )
            from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - as above
            from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - as above
            from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - as above
        except ImportError:
            raise UsageError(
                "--otel needs the extra `otel`",
                why="the OpenTelemetry packages are not installed",
                hint="pip install 'crm-bulk-loader[otel]'",
            ) from None
        self._provider = TracerProvider(resource=Resource.create({"service.name": "crm-bulk-loader"}))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self.spans = Spans(self._provider.get_tracer("loader"))

    def close(self, *, exit_code: int) -> None:
        """End the spans and send what is left of them."""
        self.spans.ended(exit_code=exit_code)
        self._provider.shutdown()
