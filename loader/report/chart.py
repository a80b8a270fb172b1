"""Charts of a load as inline SVG. Pure; only shapes are stretched, so text keeps its size at any width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

import msgspec

from loader.report.text import rough

MARKS_LABELLED_MIN_PERCENT = 4.0
"""Labels of marks that are nearer than this would lie on each other; the table beside has them all."""


class Mark(msgspec.Struct, frozen=True):
    """A moment worth a line through the chart, at a share (0 to 1) of its width."""

    share: float
    label: str
    title: str


class Band(msgspec.Struct, frozen=True):
    """A stretch of the chart, from share to share."""

    begin: float
    end: float
    title: str


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """One value for each slice of time, as steps."""

    name: str
    """Of one word, for the ids of its title."""
    title: str
    values: Sequence[float]
    last_share: float = 1.0
    """How much of the last slice has passed."""
    most: float
    """The top of the scale."""
    ticks: Sequence[str]
    """Labels under the time axis, evenly spaced from its begin to its end."""
    marks: Sequence[Mark] = ()
    bands: Sequence[Band] = ()
    dots: Sequence[Mark] = ()
    """Small triangles at the foot."""


def scale_of(values: Sequence[float]) -> float:
    """A round number at or above all of them, at least 1."""
    most = max(values, default=0.0)
    step = 1.0
    while True:
        for factor in (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0):
            if step * factor >= most:
                return step * factor
        step *= 10.0


def svg(chart: Chart) -> str:
    """The chart, as wide as what surrounds it and 200 px high."""
    return "".join(
        [
            f'<svg class="chart" role="img" aria-labelledby="{chart.name}-title" width="100%" height="200">',
            f'<title id="{chart.name}-title">{escape(chart.title)}</title>',
            '<svg x="0" y="20" width="100%" height="150" viewBox="0 0 1000 100" preserveAspectRatio="none">',
            *(_band(one) for one in chart.bands),
            *(f'<line class="grid" x1="0" x2="1000" y1="{y}" y2="{y}"/>' for y in (0, 50)),
            _steps(chart),
            '<line class="axis" x1="0" x2="1000" y1="100" y2="100"/>',
            *(_mark_line(one) for one in chart.marks),
            "</svg>",
            _text("0.3%", 33, _number(chart.most)),
            _text("0.3%", 108, _number(chart.most / 2)),
            *_mark_labels(chart.marks),
            *(_dot(one) for one in chart.dots),
            *_tick_labels(chart.ticks),
            "</svg>",
        ]
    )


def _number(value: float) -> str:
    return f"{value:g}" if value < 1000 else rough(value)


def _steps(chart: Chart) -> str:
    count = max(len(chart.values) - 1 + chart.last_share, 1e-9)
    points = ["M0 100"]
    for number, value in enumerate(chart.values):
        end = min(number + 1, count) * 1000 / count
        height = 100 - min(value / chart.most, 1.0) * 100
        points.append(f"V{height:.4g}H{end:.5g}")
    outline = "".join(points)
    return f'<path class="area" d="{outline}V100Z"/><path class="line" d="{outline}"/>'


def _band(band: Band) -> str:
    begin, width = band.begin * 1000, max((band.end - band.begin) * 1000, 1)
    title = f"<title>{escape(band.title)}</title>"
    return f'<rect class="pause" x="{begin:.5g}" y="0" width="{width:.5g}" height="100">{title}</rect>'


def _mark_line(mark: Mark) -> str:
    x = f"{mark.share * 1000:.5g}"
    title = f"<title>{escape(mark.title)}</title>"
    return f'<line class="mark" x1="{x}" x2="{x}" y1="0" y2="100">{title}</line>'


def _mark_labels(marks: Sequence[Mark]) -> Iterator[str]:
    free_from = 0.0
    for mark in marks:
        percent = mark.share * 100
        if percent >= free_from:
            anchor = "end" if percent > 85 else "middle" if percent > 5 else "start"
            yield _text(f"{percent:.4g}%", 13, mark.label, anchor)
            free_from = percent + max(MARKS_LABELLED_MIN_PERCENT, len(mark.label) * 2.0)


def _dot(mark: Mark) -> str:
    x = f"{mark.share * 100:.4g}%"
    title = f"<title>{escape(mark.title)}</title>"
    return (
        f'<svg class="dot" x="{x}" y="160" overflow="visible"><path d="M-4 0L4 0L0 9Z">{title}</path></svg>'
    )


def _tick_labels(ticks: Sequence[str]) -> Iterator[str]:
    last = len(ticks) - 1
    for number, label in enumerate(ticks):
        anchor = "start" if number == 0 else "end" if number == last else "middle"
        yield _text(f"{number * 100 / max(last, 1):.4g}%", 190, label, anchor)


def _text(x: str, y: int, label: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(label)}</text>'


class Part(msgspec.Struct, frozen=True):
    """One part of a bar."""

    name: str
    """Also names its pattern."""
    label: str
    share: float


PART_PERCENT_LEAST = 0.7
"""A part that there is can be seen, however small."""


def bar(parts: Sequence[Part], *, title: str) -> str:
    """The parts side by side; each has a pattern of its own beside its colour."""
    shown = [part for part in parts if part.share > 0]
    widths = [max(part.share * 100, PART_PERCENT_LEAST) for part in shown]
    total = sum(widths) or 1.0
    drawn, x = [], 0.0
    for part, width in zip(shown, widths, strict=True):
        percent = width * 100 / total
        drawn.append(
            f'<rect x="{x:.5g}%" y="0" width="{percent:.5g}%" height="100%" fill="url(#p-{part.name})">'
            f"<title>{escape(part.label)}</title></rect>"
        )
        x += percent
    return (
        f'<svg class="bar" role="img" aria-labelledby="bar-title" width="100%" height="28">'
        f'<title id="bar-title">{escape(title)}</title>{"".join(drawn)}</svg>'
    )


def swatch(name: str) -> str:
    """The key to a part of the bar."""
    return (
        f'<svg class="swatch" width="14" height="14" aria-hidden="true">'
        f'<rect width="14" height="14" fill="url(#p-{name})"/></svg>'
    )


_PATTERN_SHAPES = {
    "inserted": "",
    "duplicate": '<circle cx="4" cy="4" r="1.6"/>',
    "rejected": '<path d="M-2 10L10 -2M-2 2L2 -2M6 10L10 6"/>',
    "invalid": '<path d="M-2 -2L10 10M-2 6L2 10M6 -2L10 2"/>',
    "in_doubt": '<path d="M0 4H8M4 0V8"/>',
    "pending": '<path d="M0 4H8"/>',
}


def patterns() -> str:
    """What `bar` and `swatch` are filled with."""
    drawn = "".join(
        f'<pattern id="p-{name}" class="o-{name}" width="8" height="8" patternUnits="userSpaceOnUse">'
        f'<rect width="8" height="8"/>{shape}</pattern>'
        for name, shape in _PATTERN_SHAPES.items()
    )
    return f'<svg class="patterns" width="0" height="0" aria-hidden="true"><defs>{drawn}</defs></svg>'
