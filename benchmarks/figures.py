"""What was measured, as values, and what follows from it: medians, ratios, verdicts. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

START_RECORDS: Final = 100
"""One call: what a client costs beside its records is what it costs with these."""


class Cost(msgspec.Struct, frozen=True):
    """What one run of a client cost it; and the server, apart."""

    cpu_s: float
    wall_s: float
    peak_mib: float
    server_cpu_s: float = 0.0


class Client(msgspec.Struct, frozen=True):
    """A client, round after round on the same file: its runs, and those with one call's records alone."""

    name: str
    leaves_out: str
    """What it does not do that a load does."""
    records: int = 0
    runs: Sequence[Cost] = ()
    starts: Sequence[Cost] = ()
    missing: str = ""
    """What to type to have it, where it is not installed."""


class Figure(msgspec.Struct, frozen=True):
    """One figure, as often as it was taken; its median counts."""

    name: str
    """A budget may have the same name."""
    unit: str
    values: Sequence[float]
    what: str = ""

    @property
    def median(self) -> float:
        """In `unit`."""
        return statistics.median(self.values)


class Section(msgspec.Struct, frozen=True):
    """What a case gives."""

    title: str
    clients: Sequence[Client] = ()
    figures: Sequence[Figure] = ()
    notes: Sequence[str] = ()


class Budget(msgspec.Struct, frozen=True):
    """What a figure may be at most, and what it should become."""

    at_most: float
    goal: float
    what: str


class Verdict(msgspec.Struct, frozen=True):
    """A budget and what was measured; None: nothing was."""

    name: str
    measured: float | None
    budget: Budget

    @property
    def kept(self) -> bool:
        """A budget that nobody measured is not kept."""
        return self.measured is not None and self.measured <= self.budget.at_most


class Report(msgspec.Struct, frozen=True):
    """A run of the benchmarks."""

    date: str
    """UTC, ISO 8601."""
    command: str
    machine: Mapping[str, str]
    sections: Sequence[Section]
    verdicts: Sequence[Verdict]

    @property
    def kept(self) -> bool:
        """Every budget is."""
        return all(verdict.kept for verdict in self.verdicts)


def cpu_us(client: Client) -> float:
    """CPU microseconds a record, start-up included: the median of the runs."""
    return statistics.median(run.cpu_s for run in client.runs) * 1e6 / client.records


def marginal_cpu_us(client: Client) -> list[float]:
    """CPU microseconds of one record more, run by run: without what starting costs."""
    start_s = statistics.median(start.cpu_s for start in client.starts)
    more = client.records - START_RECORDS
    return [(run.cpu_s - start_s) * 1e6 / more for run in client.runs]


def start_cpu_s(client: Client) -> float:
    """CPU seconds with one call's records."""
    return statistics.median(start.cpu_s for start in client.starts)


def records_per_s(client: Client) -> float:
    """Start-up left out, so that a short file shows the same as a long one."""
    start_s = statistics.median(start.wall_s for start in client.starts)
    run_s = statistics.median(run.wall_s for run in client.runs)
    return (client.records - START_RECORDS) / max(run_s - start_s, 1e-9)


def server_share(client: Client) -> float:
    """How busy the server was while the client ran, start-up left out: 1.0 is one core."""
    more = [
        statistics.median(run.server_cpu_s for run in client.runs)
        - statistics.median(start.server_cpu_s for start in client.starts),
        statistics.median(run.wall_s for run in client.runs)
        - statistics.median(start.wall_s for start in client.starts),
    ]
    return max(more[0], 0.0) / max(more[1], 1e-9)


def peak_mib(client: Client) -> float:
    """The highest of all runs."""
    return max(run.peak_mib for run in client.runs)


def paired_ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """The median of the rounds' own ratios: what disturbs a round disturbs both of its sides."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


def verdicts(
    sections: Iterable[Section], budgets: Mapping[str, Budget], *, all_of_them: bool
) -> list[Verdict]:
    """A verdict for each budget that was measured; with `all_of_them` for the others too."""
    measured = {figure.name: figure.median for section in sections for figure in section.figures}
    return [
        Verdict(name, measured.get(name), budget)
        for name, budget in budgets.items()
        if all_of_them or name in measured
    ]
