"""`--otel`: a load as an OpenTelemetry span, each insert as a span in it. Needs the extra `otel`.

Where the spans go is said in the surroundings, as for any program (OTEL_EXPORTER_OTLP_ENDPOINT and the like).
No content of a record and no id is in them.
"""

from __future__ import annotations

import logging
import re
import threading
from typing import TYPE_CHECKING

from loader.errors import UsageError
from loader.events import BatchAnswered, BatchInDoubt, BatchRefused, BatchSent, Event, LoadOpened
from loader.wire.codes import CODES

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, Tracer

LOAD_SPAN = "crm_loader.load"
CALL_SPAN = "crm_loader.insert"
CLOSE_S = 5.0
"""So long the spans that are left may take to be sent; a load that has ended is not kept for them."""
_STATUS_AND_CODE = re.compile(r"(HTTP \d{3}\b)?,? ?([A-Z_]+(?=:|$))?")


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
                self._end(event.batch, event.attempt, "not applied", {}, failed=status_of(event.reason))
            case BatchInDoubt():
                self._end(event.batch, event.attempt, "in doubt", {}, failed=status_of(event.reason))
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


def status_of(reason: str) -> str:
    """What of a reason may leave for a service of others: HTTP status and API code.

    The rest of it is the API's own message, which may quote a record.
    """
    found = _STATUS_AND_CODE.match(reason)
    status, code = found.groups() if found else (None, None)
    return " ".join(filter(None, (status, code if code in CODES else None))) or "no clear answer"


class Exporting:
    """A tracer whose spans are sent, in the background, to where OTEL_EXPORTER_OTLP_... says."""

    def __init__(self, exporter: SpanExporter | None = None) -> None:
        """`exporter` takes the spans in place of OTLP's.

        Raises:
            UsageError: the extra is not installed.
        """
        try:
            from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - an extra
            from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - as above
            from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - as above

            exporter = exporter or _otlp()
        except ImportError:
            raise UsageError(
                "--otel needs the extra `otel`",
                why="the OpenTelemetry packages are not installed",
                hint="pip install 'crm-bulk-loader[otel]'",
            ) from None
        # It tells of a service that is away on stderr, where the load is shown; `close` tells it once.
        logging.getLogger("opentelemetry").addHandler(logging.NullHandler())
        logging.getLogger("opentelemetry").propagate = False
        resource = Resource.create({"service.name": "crm-bulk-loader"})
        # Without a handler at exit, which would wait half a minute for a service that is away.
        self._provider: TracerProvider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self.spans = Spans(self._provider.get_tracer("loader"))

    def close(self, *, exit_code: int, within_s: float = CLOSE_S) -> str:
        """Ends the spans and sends what is left of them; returns why some are not, if that took too long."""
        self.spans.ended(exit_code=exit_code)
        closing = threading.Thread(target=self._provider.shutdown, name="spans", daemon=True)
        closing.start()
        closing.join(within_s)
        return f"spans were left unsent after {within_s:g} s" if closing.is_alive() else ""


def _otlp() -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - an extra
        OTLPSpanExporter,
    )

    exporter: SpanExporter = OTLPSpanExporter()
    return exporter
