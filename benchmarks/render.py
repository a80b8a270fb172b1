"""A report -> Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from benchmarks.figures import (
    Client,
    Figure,
    Report,
    Section,
    Verdict,
    cpu_us,
    marginal_cpu_us,
    peak_mib,
    records_per_s,
    server_share,
    start_cpu_s,
)

CLIENT_HEAD = (
    "client", "records", "CPU-us a record", "of one more", "start-up CPU-s", "records/s", "peak MiB",
    "sink busy", "leaves out",
)  # fmt: skip


def rendered(report: Report) -> str:
    """The whole report."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"# {report.date}: `{report.command}`"
    yield ""
    for name, value in report.machine.items():
        yield f"- {name}: {value}"
    for section in report.sections:
        yield from section_lines(section)
    if report.verdicts:
        yield ""
        yield "## Budget"
        yield ""
        yield from table(
            ("budget", "measured", "at most", "goal", ""), [_verdict_cells(one) for one in report.verdicts]
        )


def section_lines(section: Section) -> Iterator[str]:
    """One case."""
    yield ""
    yield f"## {section.title}"
    if section.clients:
        yield ""
        yield from table(CLIENT_HEAD, [_client_cells(client) for client in section.clients])
    if section.figures:
        yield ""
        yield from table(
            ("figure", "median", "from", "to", "unit", ""), [_figure_cells(one) for one in section.figures]
        )
    for note in section.notes:
        yield ""
        yield note


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """In columns, so that it can be read as it is."""
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    for row in (head, ["-" * width for width in widths], *rows):
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"


def _client_cells(client: Client) -> list[str]:
    if client.missing:
        return [client.name, *["-"] * 7, f"not installed: {client.missing}"]
    return [
        client.name,
        f"{client.records:,}",
        f"{cpu_us(client):.2f}",
        f"{median(marginal_cpu_us(client)):.2f}",
        f"{start_cpu_s(client):.2f}",
        f"{records_per_s(client):,.0f}",
        f"{peak_mib(client):.0f}",
        f"{server_share(client):.0%}",
        client.leaves_out,
    ]


def _figure_cells(figure: Figure) -> list[str]:
    return [
        figure.name,
        number(figure.median),
        *(("", "") if len(figure.values) < 2 else (number(min(figure.values)), number(max(figure.values)))),
        figure.unit,
        figure.what,
    ]


def _verdict_cells(verdict: Verdict) -> list[str]:
    measured = "not measured" if verdict.measured is None else number(verdict.measured)
    budget = verdict.budget
    return [
        verdict.name,
        measured,
        number(budget.at_most),
        number(budget.goal),
        "kept" if verdict.kept else "EXCEEDED" if verdict.measured is not None else "NOT MEASURED",
    ]


def number(value: float) -> str:
    """With as many digits as mean something."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"
