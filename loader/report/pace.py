"""The report's part on time: records a second, calls in flight, latencies, runs. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from loader.report import chart, text
from loader.report.chart import Band, Chart, Mark
from loader.report.chronicle import Chronicle, RunSpan, Slice
from loader.report.markup import NAME_CHARS, foreign, plain_time, section, table, time

RUNS_SHOWN = 40
_BAND_SHARE_LEAST = 0.004


def pace(chronicle: Chronicle) -> Iterator[str]:
    """Charts over working time, and latencies; nothing where no call was made."""
    if not any(one.calls for one in chronicle.runs):
        return
    yield from section("pace", "Pace", [*_charts(chronicle), *_latencies(chronicle)])


def _charts(chronicle: Chronicle) -> Iterator[str]:
    seconds = max(chronicle.seconds, 1e-9)
    marks = [
        Mark(run.begins_s / seconds, str(number), f"resume {number}: {plain_time(run.at)}")
        for number, run in _numbered(chronicle)
        if number
    ]
    bands = [
        Band(
            one.begins_s / seconds,
            (one.begins_s + one.seconds) / seconds,
            f"nothing in flight for {text.duration(one.seconds)}"
            + (", after a 429" if one.pushed_back else ""),
        )
        for one in chronicle.pauses
        if one.seconds / seconds >= _BAND_SHARE_LEAST
    ]
    dots = [
        Mark((number + 0.5) * chronicle.slice_s / seconds, "", words)
        for number, one in enumerate(chronicle.slices)
        if (words := _trouble(one)) and (number + 0.5) * chronicle.slice_s <= seconds
    ]
    # What happened in a moment at the end is no pace; but a load that was no more than that is all there is.
    least_s = chronicle.slice_s / 2 if len(chronicle.slices) > 1 else 0.0
    parts_s = [
        min(max(seconds - number * chronicle.slice_s, least_s), chronicle.slice_s)
        for number in range(len(chronicle.slices))
    ]
    last = seconds / chronicle.slice_s - (len(chronicle.slices) - 1)
    for name, title, unit, values in (
        ("rate", "Records settled a second", " rec/s", [one.settled for one in chronicle.slices]),
        ("flight", "Calls in flight", "", [one.flight_s for one in chronicle.slices]),
    ):
        steps = [value / part_s for value, part_s in zip(values, parts_s, strict=True)]
        # No mean: that of the load stands under what it took, over a time that begins before its first call.
        # A last slice that is spread out may leave all of them below the mean; at some moment it was reached.
        peak = (
            max(*steps, sum(values) / seconds)
            if unit
            else max(one.in_flight_most for one in chronicle.slices)
        )
        words = f"{_short(peak)}{unit} at most"
        drawn = Chart(
            name=name,
            title=f"{title}: {words}",
            values=steps,
            last_share=min(max(last, 0.0), 1.0),
            most=chart.scale_of([*steps, peak]),
            ticks=_ticks(seconds),
            marks=marks,
            bands=bands,
            dots=dots if name == "flight" else (),
        )
        data = ",".join(f"{value:.6g}" for value in values)
        yield (
            f'<figure data-series="{name}" data-slice-s="{chronicle.slice_s:g}" data-values="{data}">'
            f"<figcaption>{title} <span>{words}</span></figcaption>"
            f"{chart.svg(drawn)}</figure>\n"
        )
    yield f'<p class="key">{_key(chronicle, marks=bool(marks), bands=bool(bands), dots=bool(dots))}</p>\n'


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"


def _trouble(one: Slice) -> str:
    parts = [f"{text.plural(one.pushed_back, 'call')} pushed back (429)"] if one.pushed_back else []
    parts += [f"{text.plural(one.doubtful, 'call')} without a clear answer"] if one.doubtful else []
    return ", ".join(parts)


def _key(chronicle: Chronicle, *, marks: bool, bands: bool, dots: bool) -> str:
    pushed = sum(one.pushed_back for one in chronicle.slices)
    doubtful = sum(one.doubtful for one in chronicle.slices)
    parts = ["Working time: the runs stand end to end."]
    parts += ["A dashed line with its number is a resume."] if marks else []
    parts += ["A shaded stretch had nothing in flight."] if bands else []
    parts += (
        ["A call counts until its answer is recorded, also while the CRM is asked about it."] if dots else []
    )
    parts += [f"A triangle: {_trouble(Slice(pushed_back=pushed, doubtful=doubtful))} in all."] if dots else []
    return " ".join(parts)


def _numbered(chronicle: Chronicle) -> list[tuple[int, RunSpan]]:
    """The runs that are kept, each with its number; 0 is the first."""
    later = chronicle.runs[1:]
    first_kept = chronicle.run_count - len(later)
    return [(0, chronicle.runs[0]), *enumerate(later, start=first_kept)] if chronicle.runs else []


def _ticks(seconds: float) -> list[str]:
    unit_s, unit = next(
        (size, name)
        for size, name, most in ((1, "s", 120), (60, "min", 7200), (3600, "h", 172_800), (86_400, "d", 1e99))
        if seconds < most
    )
    return ["0", *(f"{_short(seconds * part / 4 / unit_s)} {unit}" for part in (1, 2, 3, 4))]


def _latencies(chronicle: Chronicle) -> Iterator[str]:
    took = chronicle.latencies()
    if not took.calls:
        return
    row = "".join(
        f'<td data-figure="latency.{name}" data-value="{value:.6g}">{text.latency(value)}</td>'
        for name, value in (
            ("p50", took.p50_s),
            ("p90", took.p90_s),
            ("p99", took.p99_s),
            ("longest", took.longest_s),
        )
    )
    yield from table(
        f"How long {text.plural(took.calls, 'answered call')} took, from their first byte to their answer",
        ("p50", "p90", "p99", "longest"),
        [f"<tr>{row}</tr>\n"],
    )


def runs(chronicle: Chronicle) -> Iterator[str]:
    """A table of the runs, where there was more than one."""
    if chronicle.run_count < 2:
        return
    numbered = _numbered(chronicle)
    left_out = chronicle.run_count - min(len(numbered), RUNS_SHOWN)
    shown = [numbered[0], *numbered[1:][-(RUNS_SHOWN - 1) :]]
    rows = [
        f'<tr><th scope="row">{f"resume {number}" if number else "begin"}</th><td>{time(run.at)}</td>'
        f'<td class="n">{text.duration(run.seconds)}</td><td class="n">{run.calls:,}</td>'
        f'<td class="n">{run.settled:,}</td><td class="wide">{foreign(run.host, NAME_CHARS)}</td></tr>\n'
        for number, run in shown
    ]
    more = f"; {text.plural(left_out, 'run')} between them left out" if left_out else ""
    drawn = table(
        f"The runs of this load, each to the last thing that its log says{more}",
        ("Run", "Began (UTC)", "#Lasted", "#Calls", "#Records settled", "~Host"),
        rows,
        kind="runs",
    )
    yield from section("runs", "Runs", drawn)
