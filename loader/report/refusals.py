"""The report's part on refused records, and on those whose value was taken: kinds, advice, examples. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from loader.outcomes import ErrorCount, Outcome
from loader.report import text
from loader.report.advice import typed
from loader.report.chronicle import Example, Kind
from loader.report.markup import NAME_CHARS, figure, foreign, section, table
from loader.report.summary import Summary
from loader.wire.codes import facts

KINDS_SHOWN = 40
DUPLICATE_KINDS_SHOWN = 8


def refused_records(
    summary: Summary, examples: Mapping[Kind, Sequence[Example]], *, load_dir: str, retry: str = ""
) -> Iterator[str]:
    """Refused records by code and field; nothing where none was refused.

    `retry`: the load to be named to `loader retry`, where that is another one.
    """
    errors = summary.errors
    if not errors:
        return
    refused = summary.outcomes.rejected + summary.outcomes.invalid
    rows = [
        _kind(one, number, examples, refused=refused, load_dir=load_dir, retry=retry)
        for number, one in enumerate(errors[:KINDS_SHOWN])
    ]
    rest = errors[KINDS_SHOWN:]
    if rest:
        rows.append(
            f'<tr><th scope="row">{text.plural(len(rest), "more kind")}</th>'
            f'<td class="n">{sum(one.count for one in rest):,}</td>'
            "<td>rejected-reasons.ndjson and summary.json have them all</td></tr>\n"
        )
    drawn = table(
        f"{text.plural(refused, 'refused record')} by code and field, most frequent first",
        ("Code and field", "#Records", "What to do, and examples"),
        rows,
        kind="kinds",
    )
    yield from section("refused", "Why records were refused", drawn)


def _kind(
    error: ErrorCount,
    number: int,
    examples: Mapping[Kind, Sequence[Example]],
    *,
    refused: int,
    load_dir: str,
    retry: str,
) -> str:
    found: list[Example] = []
    for outcome in (Outcome.REJECTED, Outcome.INVALID):
        found += examples.get((outcome, error.code, error.field), ())
    field = f"<br>{foreign(error.field, NAME_CHARS)}" if error.field else ""
    advice = typed(facts(error.code).advice, load_dir=load_dir, retry=retry)
    return (
        f'<tr><th scope="row"><code>{foreign(error.code, NAME_CHARS)}</code>{field}</th>'
        f'<td class="n" {figure(f"errors.{number}.count", error.count)}>{error.count:,}'
        f"<br><small>{text.share(error.count, refused).replace('<', '&lt;')}</small></td>"
        f"<td>{foreign(advice, 300)}{_examples(found)}</td></tr>\n"
    )


def _examples(found: Sequence[Example]) -> str:
    items = "".join(
        f"<li>line {one.line:,}: {foreign(one.message)}{_the_other(one)}</li>" for one in sorted(found)[:3]
    )
    return f"<ul>{items}</ul>" if items else ""


def _the_other(one: Example) -> str:
    return f" (record {foreign(one.id, NAME_CHARS)})" if one.id else ""


def duplicates(summary: Summary, examples: Mapping[Kind, Sequence[Example]]) -> Iterator[str]:
    """Records whose unique value was taken already; nothing where there was none.

    By whom it was taken, the log of this load cannot always say: a record from before it, or another line.
    """
    kinds = [
        (field, found) for (outcome, _, field), found in examples.items() if outcome is Outcome.DUPLICATE
    ]
    if not kinds:
        return
    rows = [
        f'<tr><th scope="row">{foreign(field, NAME_CHARS) or "(no field named)"}</th>'
        f"<td>{_examples(found)}</td></tr>\n"
        for field, found in kinds[:DUPLICATE_KINDS_SHOWN]
    ]
    number = summary.outcomes.duplicate
    drawn = table(
        f"{text.plural(number, 'record')} not inserted, by the field whose value was taken; the first lines,"
        " and the records that have the value: from before this load, or from another line of its input",
        ("Field", "Examples"),
        rows,
        kind="kinds",
    )
    yield from section("duplicates", "What was there already", drawn)
