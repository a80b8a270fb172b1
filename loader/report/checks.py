"""What a check found, as lines for a person. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from loader.findings import Finding
from loader.forecast import CreditForecast, EditionForecast, Forecast
from loader.report import text
from loader.report.wrapping import wrapped

KINDS_SHOWN = 20


def counted(records: int, invalid: int, blank_lines: int) -> list[str]:
    """How many records are good."""
    good = records - invalid
    lines = [
        f"  good        {good:>13,}   {text.share(good, records)}".rstrip(),
        f"  invalid     {invalid:>13,}   {text.share(invalid, records)}".rstrip(),
        f"  records     {records:>13,}",
    ]
    return [*lines, f"  blank lines {blank_lines:>13,}"] if blank_lines else lines


def found(findings: Sequence[Finding], *, width: int) -> list[str]:
    """Each kind of finding with its first line, a count and where else it is."""
    lines = [line for one in findings[:KINDS_SHOWN] for line in _finding(one, width)]
    rest = findings[KINDS_SHOWN:]
    if rest:
        lines.append(f"  and {text.plural(len(rest), 'more kind')}, {sum(one.count for one in rest):,} times")
    return lines


def _finding(one: Finding, width: int) -> Iterator[str]:
    yield f"  {one.code} {one.field}".rstrip() + f"   {text.count(one.count)}"
    words = f"line {one.lines[0]:,}: {text.printable(one.message)}"
    yield from wrapped(words, width=width, first="      ", rest="        ")
    others = one.lines[1:]
    if others:
        more = " …" if one.count > len(one.lines) else ""
        yield f"      also line{'s' if len(others) > 1 else ''} {', '.join(map(text.count, others))}{more}"


def foreseen(plan: Forecast, *, own_edition: str) -> list[str]:
    """What the load would take, by edition; the organisation's own first."""
    head = (
        f"To load the good records: {text.plural(plan.calls, 'call')},"
        f" {text.plural(plan.credits, 'credit')}. With {text.plural(plan.users, 'user')} and"
        f" {text.latency(plan.latency_s)} a call (an assumption: --latency):"
    )
    editions = sorted(plan.editions, key=lambda one: one.edition != own_edition)
    rows = [_edition(one, own=one.edition == own_edition) for one in editions]
    return [head, "  edition         at once   credits a day   days   time", *rows]


def today(plan: CreditForecast) -> list[str]:
    """Where the organisation stands, and when the load would end there."""
    if plan.a_day is None or plan.free is None:
        return [
            f"In the last 24 hours loads of this machine spent {text.plural(plan.spent, 'credit')} there; how"
            " many there are a day is not known: --daily-credits N."
        ]
    kept = f", {plan.kept:,} are kept for other programs" if plan.kept else ""
    stands = (
        f"Today: {plan.free:,} of {text.plural(plan.a_day, 'credit')} are free ({plan.spent:,} spent in the"
        f" last 24 hours{kept})."
    )
    if plan.seconds is None:
        return [stands, "That is too little for a single call of 100 records."]
    return [stands, f"The load would end in {text.time_left(plan.seconds)}, if nobody else spends any."]


def _edition(one: EditionForecast, *, own: bool) -> str:
    name = f"{one.edition} (yours)" if own else one.edition
    left = text.time_left(one.seconds)
    return f"  {name:<20}{one.places:>3}   {one.credits_a_day:>13,}   {one.days:>4,}   {left}"
