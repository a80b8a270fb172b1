"""The report of a load: one HTML page that needs nothing else, made of values. Pure.

It holds no script, and its Content-Security-Policy allows none. What comes from records or from the service
is cut, made printable and escaped by `markup.foreign`; nothing reaches the page around it. Each figure of
`summary.json` stands in it with `data-figure` (its name there) and `data-value`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from urllib.parse import quote

import msgspec

from loader.outcomes import Outcome
from loader.report import chart, text
from loader.report.chart import Part
from loader.report.chronicle import Chronicle
from loader.report.markup import fact, figure, foreign, section, table, time
from loader.report.pace import pace, runs
from loader.report.refusals import duplicates, refused_records
from loader.report.stylesheet import CSS
from loader.report.summary import Summary
from loader.report.verdict import Tone, Verdict

BYTES_MAX = 400_000
"""No report is larger, whatever the load was like: limits on what is shown see to it."""

IGNORED_SHOWN = 12
_WORDS = {
    Outcome.INSERTED: ("inserted", "new in the CRM, each once"),
    Outcome.DUPLICATE: ("duplicate", "not inserted: the CRM had a record with the same unique value already"),
    Outcome.REJECTED: ("rejected", "refused by the CRM"),
    Outcome.INVALID: ("invalid", "refused by the check, never sent"),
    Outcome.IN_DOUBT: ("in doubt", "in the CRM or not: nobody can tell yet; never sent again on a guess"),
    Outcome.PENDING: ("pending", "not sent yet"),
}
_SIGNS = {Tone.GOOD: "\N{CHECK MARK}", Tone.LOOK: "!", Tone.STOPPED: "\N{BLACK SQUARE}"}


class Link(msgspec.Struct, frozen=True):
    """A file beside the report."""

    path: str
    """Relative to the report."""
    words: str


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """All that a report says."""

    summary: Summary
    chronicle: Chronicle
    verdict: Verdict
    load_dir: str
    retry: str = ""
    """The load to be named to `loader retry`, where that is another one."""
    settings: Sequence[tuple[str, str]] = ()
    """Flags and what they were set to."""
    links: Sequence[Link] = ()
    stopped_by: Sequence[str] = ()
    """What, why and what to do: the words of the error that ended the load."""


def render(page: Page) -> str:
    """The whole page. The same values give the same bytes."""
    name = f"Load {foreign(page.summary.load_id)}: {foreign(text.name_of(page.summary.input))}"
    return "".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
            f'<meta http-equiv="Content-Security-Policy" content="{_policy()}">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            f"<title>{name}</title>\n<style>{CSS}</style>\n</head>\n<body>\n{chart.patterns()}\n<main>\n",
            *_head(page),
            *_outcomes(page),
            *pace(page.chronicle),
            *refused_records(page.summary, page.chronicle.examples, load_dir=page.load_dir, retry=page.retry),
            *duplicates(page.summary, page.chronicle.examples),
            *_effort(page),
            *runs(page.chronicle),
            *_origin(page),
            *_files(page),
            "<footer>Made of the checkpoint log alone; times are UTC. loader results "
            f"{foreign(page.load_dir)} tells every record.</footer>\n</main>\n</body>\n</html>\n",
        ]
    )


def _policy() -> str:
    """Nothing is loaded, nothing is run; the one style sheet is known by its checksum."""
    digest = base64.b64encode(hashlib.sha256(CSS.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


# --- the parts of the page ---


def _head(page: Page) -> Iterator[str]:
    summary, verdict = page.summary, page.verdict
    ended = "finished" if summary.complete else "not complete"
    yield f"<h1>{foreign(text.name_of(summary.input))} \N{RIGHTWARDS ARROW} {foreign(summary.module)}</h1>\n"
    yield (
        f'<p class="sub">load <span {figure("load_id", summary.load_id)}>{foreign(summary.load_id)}</span>'
        f"{_when(page.chronicle)}, "
        f"<span {figure('complete', summary.complete)}>{ended}</span>, "
        f"exit code <span {figure('exit_code', summary.exit_code)}>{summary.exit_code}</span></p>\n"
    )
    tone = verdict.tone.name.lower()
    yield f'<div class="verdict {tone}" role="status">'
    yield f'<p class="tone">{_SIGNS[verdict.tone]} {verdict.tone.value}</p>'
    yield f'<p id="verdict">{foreign(verdict.certain, 600)} {foreign(verdict.next)}</p>'
    if verdict.command:
        yield f"<pre><code>{foreign(verdict.command, 400)}</code></pre>"
    if page.stopped_by:
        yield f'<p class="why">{"<br>".join(foreign(one, 600) for one in page.stopped_by if one)}</p>'
    yield "</div>\n"


def _when(chronicle: Chronicle) -> str:
    if not chronicle.runs:
        return ""
    return f", {time(chronicle.runs[0].at)} to {time(chronicle.latest_at)} UTC"


def _outcomes(page: Page) -> Iterator[str]:
    outcomes, records = page.summary.outcomes, page.summary.records
    said = ", ".join(f"{outcomes.of(one):,} {_WORDS[one][0]}" for one in Outcome if outcomes.of(one))
    parts = [
        Part(one.value, f"{_WORDS[one][0]}: {outcomes.of(one):,}", outcomes.of(one) / max(records, 1))
        for one in Outcome
    ]
    rows = [
        f'<tr><th scope="row">{chart.swatch(one.value)}{_WORDS[one][0]}</th>'
        f'<td class="n" {figure(f"outcomes.{one.value}", outcomes.of(one))}>{outcomes.of(one):,}</td>'
        f'<td class="n">{text.share(outcomes.of(one), records).replace("<", "&lt;")}</td>'
        f'<td class="wide">{_WORDS[one][1]}</td></tr>\n'
        for one in Outcome
    ]
    rows.append(
        f'<tr><th scope="row">records</th><td class="n" {figure("records", records)}>{records:,}</td>'
        f'<td></td><td class="wide">{_account(page.summary)}</td></tr>\n'
    )
    bar = [chart.bar(parts, title=f"Outcomes: {said or 'no record'}")] if records else []
    drawn = table(
        "How many records stand where; the patterns are those of the bar",
        ("Outcome", "#Records", "#Share", "~Meaning"),
        rows,
        kind="runs",
    )
    yield from section("outcomes", "Outcomes", [*bar, *drawn])


def _account(summary: Summary) -> str:
    missing = summary.lines - summary.records - summary.blank_lines
    lines = f"<span {figure('lines', summary.lines)}>{text.plural(summary.lines, 'line')}</span>"
    blank = text.plural(summary.blank_lines, "blank one")
    blank = f"<span {figure('blank_lines', summary.blank_lines)}>{blank}</span>"
    if missing:
        return f"does NOT account for every line: {lines} were read, {blank}"
    return f"account for every one of {lines} read, {blank} among them"


def _effort(page: Page) -> Iterator[str]:
    summary = page.summary
    tiles = [
        ("time", "seconds", summary.seconds, text.duration(summary.seconds), ""),
        (
            "pace",
            "records_per_second",
            summary.records_per_second,
            text.rate(summary.records_per_second),
            "in the mean of that time",
        ),
        ("calls", "calls", summary.calls, f"{summary.calls:,}", ""),
        ("sent again", "retries", summary.retries, f"{summary.retries:,}", "calls that were not the first"),
        ("recovered", "recovered", summary.recovered, f"{summary.recovered:,}", "doubts shown to be ours"),
        (
            "found absent",
            "absent",
            summary.absent,
            f"{summary.absent:,}",
            "doubts, in two queries; sent again",
        ),
        ("credits", "credits", summary.credits, f"{summary.credits:,}", "of the insert calls"),
        ("token refreshes", "refreshes", summary.refreshes, f"{summary.refreshes:,}", ""),
        ("resumes", "resumes", summary.resumes, f"{summary.resumes:,}", ""),
    ]
    drawn = "".join(
        f"<div><dt>{label}</dt><dd {figure(name, value)}>{shown}"
        f"{f'<small>{more}</small>' if more else ''}</dd></div>"
        for label, name, value, shown, more in tiles
    )
    yield from section("effort", "What it took", [f'<dl class="tiles">{drawn}</dl>\n'])


def _origin(page: Page) -> Iterator[str]:
    yield from section(
        "origin",
        "Input and settings",
        [
            *table("What was loaded, and how it is told from another input", (), _input(page), kind="facts"),
            *table(
                "Settings that shaped the load",
                (),
                [fact(flag, f"<code>{foreign(value)}</code>") for flag, value in page.settings],
                kind="facts",
            ),
        ],
    )


def _input(page: Page) -> Iterator[str]:
    summary, chronicle = page.summary, page.chronicle
    yield fact("input", f"<span {figure('input', summary.input)}>{foreign(summary.input)}</span>")
    yield fact("module", f"<span {figure('module', summary.module)}>{foreign(summary.module)}</span>")
    ignored = ", ".join(summary.ignored_fields[:IGNORED_SHOWN])
    yield fact(
        "members that the API ignores",
        f"<span {figure('ignored_fields', len(summary.ignored_fields))}>"
        f"{foreign(ignored) or 'none known'}</span>",
    )
    if chronicle.head is not None:
        yield fact("CRM", foreign(chronicle.head.api_url))
        if chronicle.head.organisation:
            yield fact("organisation", foreign(chronicle.head.organisation))
    if chronicle.last_open is not None and chronicle.last_open.input.size is not None:
        identity = chronicle.last_open.input
        yield fact("size as stored", f"{identity.size:,} bytes")
        yield fact("last modified (UTC)", time(identity.mtime_ns / 1e9))
    if chronicle.seal is not None:
        yield fact("bytes read", f"{chronicle.seal.input_stop:,}, unpacked")
        yield fact(
            "checksum", f"<code>{chronicle.seal.checksum:08x}</code> (CRC-32 chained over its batches)"
        )


def _files(page: Page) -> Iterator[str]:
    if not page.links:
        return
    items = [
        f'<li><a href="{_address(one.path)}">{foreign(one.path)}</a>: {one.words}</li>' for one in page.links
    ]
    yield from section("files", "Files", [f'<ul class="files">{"".join(items)}</ul>\n'])


def _address(path: str) -> str:
    """A path may be any bytes; those that are not UTF-8 are kept as the system's own halves of characters."""
    return quote(path, safe="/.", errors="surrogateescape")
