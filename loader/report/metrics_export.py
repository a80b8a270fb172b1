"""Where a load's metrics go: a file that appears whole every few seconds, or a port that is asked.

The figures are read by a thread of their own while the load runs: counters, each read once, so what a reader
sees is at most one event old. That a figure cannot be written is no reason to stop a load.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from loader.errors import UsageError
from loader.report.export import AtomicFile
from loader.report.metrics import Meter, Sample, by_metric, to_text

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

WRITE_EVERY_S = 10.0
LOOKS_PER_S = 2


class MetricsFile:
    """Writes the metrics into a file, for as long as its context lasts and once at its end.

    The file is readable by others, as a textfile collector needs it.
    """

    def __init__(self, path: Path, meter: Meter, *, every_s: float = WRITE_EVERY_S) -> None:
        """Raises UsageError: the file cannot be written."""
        self._path = path
        self._meter = meter
        self._every_s = every_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._repeat, name="metrics", daemon=True)
        try:
            self.write()
        except OSError as error:
            raise UsageError(
                f"cannot write {path}",
                why=error.strerror or str(error),
                hint="--metrics-file takes a file in a directory that this user may write to.",
            ) from None
        self._thread.start()

    def write(self) -> None:
        with AtomicFile(self._path, mode=0o644) as file:
            file.write(to_text(self._meter.samples()))

    def close(self) -> str:
        """Writes the last figures; returns why they could not be written, if so."""
        self._ended.set()
        self._thread.join()
        try:
            self.write()
        except OSError as error:
            return f"{self._path} could not be written: {error.strerror or error}"
        return ""

    def _repeat(self) -> None:
        written_at = time.monotonic()
        while not self._ended.wait(1 / LOOKS_PER_S):
            now = time.monotonic()
            self._meter.state.look(now)
            if now - written_at >= self._every_s:
                written_at = now
                try:
                    self.write()
                except OSError:
                    continue  # told at the end, if it is still so then


@contextmanager
def served(port: int, host: str, meter: Meter) -> Iterator[int]:
    """`/metrics` at that port for as long as the context lasts; yields the port (0: the system chooses).

    Raises:
        UsageError: the extra is not installed, or the port is taken.
    """
    try:
        from prometheus_client import CollectorRegistry, start_http_server  # noqa: PLC0415 - an extra
        from prometheus_client.registry import Collector  # noqa: PLC0415 - as above
    except ImportError:
        raise UsageError(
            "--metrics-port needs the extra `metrics`",
            why="the package prometheus-client is not installed",
            hint="pip install 'crm-bulk-loader[metrics]', or use --metrics-file",
        ) from None

    class Figures(Collector):
        """What the meter has come to, whenever somebody asks."""

        def collect(self) -> Iterator[Family]:
            meter.state.look(time.monotonic())
            return families(meter.samples())

    registry = CollectorRegistry()
    registry.register(Figures())
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise UsageError(
            f"cannot listen at {host}:{port}",
            why=error.strerror or str(error),
            hint="--metrics-port takes a free port; 0 lets the system choose one.",
        ) from None
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def families(samples: list[Sample]) -> Iterator[Family]:
    """The samples as the Prometheus client's own values."""
    from prometheus_client.core import Metric as Family  # noqa: PLC0415 - an extra

    for metric, found in by_metric(samples).items():
        family = Family(metric.name.removesuffix("_total"), metric.help, metric.kind)
        for sample in found:
            family.add_sample(metric.name + sample.suffix, dict(sample.labels), sample.value)
        yield family
