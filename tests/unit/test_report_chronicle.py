"""How a load went, folded from its log: over kills and resumes, in a fixed size, never a record too many."""

from __future__ import annotations

import random

import pytest

from loader.checkpoint.entries import (
    BatchEntry,
    Doubt,
    Entry,
    Head,
    InputIdentity,
    InvalidEntry,
    NotApplied,
    Open,
    OtherOutcome,
    Outcomes,
    Resolved,
    Sent,
    WindowEntry,
)
from loader.checkpoint.ledger import Ledger
from loader.checkpoint.tally import ERROR_KINDS_MAX, OTHER_ERRORS
from loader.outcomes import Cause, Outcome
from loader.report.chronicle import (
    EXAMPLES_MAX,
    PAUSES_KEPT,
    RUNS_KEPT,
    SLICES_MAX,
    Chronicle,
    Example,
)

T = 1_700_000_000.0
INPUT = InputIdentity("file", "leads.ndjson", 4000, 1_700_000_000_000_000_000, 7, 8)
HEAD = Head(1, "0000-0000", T, "Leads", "https://crm.example", "org", "", None, None, True, {}, INPUT)
SIZE = 10


def opened(at: float) -> Open:
    return Open("boot", "host", 1, T + at, INPUT)


def cut(number: int, *invalid: InvalidEntry) -> WindowEntry:
    first = (number - 1) * SIZE + 1
    start = (number - 1) * 100
    if not invalid:
        return WindowEntry((BatchEntry(number, first, SIZE, start, start + 100, 1),))
    lines = ((first + len(invalid), first + SIZE),)
    return WindowEntry((BatchEntry(number, first, SIZE, start, start + 100, 1, lines, (), invalid),))


def lines_of(number: int) -> tuple[tuple[int, int], ...]:
    return (((number - 1) * SIZE + 1, number * SIZE + 1),)


def sent(number: int, at: float, *, attempt: int = 1, in_doubt: bool = False) -> Sent:
    return Sent(number, attempt, lines_of(number), T + at, in_doubt)


def answered(number: int, at: float, *others: OtherOutcome, attempt: int = 1) -> Outcomes:
    first = (number - 1) * SIZE + 1 + len(others)
    left = SIZE - len(others)
    return Outcomes(
        number, attempt, ((first, first + left),), bytes(8 * left), (), others, T + at if at else 0.0
    )


def told(*entries: Entry) -> Chronicle:
    chronicle = Chronicle()
    for entry in (HEAD, *entries):
        chronicle.apply(entry)
    return chronicle


def test_records_and_calls_fall_into_the_slices_of_their_time() -> None:
    chronicle = told(
        opened(0), cut(1), cut(2), sent(1, 0.0), sent(2, 0.25), answered(1, 0.5), answered(2, 1.0)
    )
    assert chronicle.seconds == 1.0
    settled = {number * chronicle.slice_s: one.settled for number, one in enumerate(chronicle.slices)}
    assert {at: count for at, count in settled.items() if count} == {0.5: SIZE, 1.0: SIZE}
    assert sum(one.flight_s for one in chronicle.slices) == pytest.approx(0.5 + 0.75)
    assert [one.in_flight_most for one in chronicle.slices] == [1, 1, 2, 2, 1, 1, 1, 1, 0]


def test_runs_stand_end_to_end_and_a_kill_ends_what_was_in_flight() -> None:
    chronicle = told(
        opened(0), cut(1), cut(2), sent(1, 1.0), sent(2, 2.0),
        opened(100_000), sent(1, 100_001.0, attempt=2, in_doubt=True), answered(1, 100_002.0, attempt=2),
    )  # fmt: skip
    assert chronicle.seconds == 4.0
    assert [(one.begins_s, one.seconds, one.calls, one.settled) for one in chronicle.runs] == [
        (0.0, 2.0, 2, 0),
        (2.0, 2.0, 1, SIZE),
    ]
    assert sum(one.flight_s for one in chronicle.slices) == pytest.approx(1.0 + 1.0)


def test_only_first_answers_count_as_latency() -> None:
    chronicle = told(
        opened(0), *(cut(number) for number in (1, 2, 3, 4)),
        sent(1, 0.0), answered(1, 0.2),
        sent(2, 1.0), NotApplied(2, 1, lines_of(2), "HTTP 429 TOO_MANY", T + 1.1),
        sent(3, 2.0), Doubt(3, 1, lines_of(3), "timeout", False, T + 9.0),
        sent(3, 10.0, attempt=2, in_doubt=True), answered(3, 19.0, attempt=2),
        sent(4, 20.0), answered(4, 0.0),
    )  # fmt: skip
    took = chronicle.latencies()
    assert took.calls == 1
    assert took.longest_s == pytest.approx(0.2)
    assert took.p50_s == pytest.approx(0.2, rel=0.05)
    assert Chronicle().latencies().calls == 0


@pytest.mark.parametrize("seed", [1, 2])
def test_percentiles_are_exact_to_five_percent(seed: int) -> None:
    chosen = random.Random(seed)
    chronicle, at, took = told(opened(0)), 0.0, []
    for number in range(1, 1500):
        latency = chosen.lognormvariate(-1.0, 1.0)
        for entry in (cut(number), sent(number, at), answered(number, at + latency)):
            chronicle.apply(entry)
        took.append(latency)
        at += latency + 0.01
    took.sort()
    found = chronicle.latencies()
    for share, value in ((0.5, found.p50_s), (0.9, found.p90_s), (0.99, found.p99_s)):
        assert value == pytest.approx(took[int(len(took) * share)], rel=0.06)
    assert found.longest_s == pytest.approx(took[-1], rel=1e-4)


@pytest.mark.parametrize(
    ("cause", "words"),
    [(Cause.PUSHED_BACK, "HTTP 400 TOO_MANY_REQUESTS"), (Cause.UNTOLD, "HTTP 429 TOO_MANY_REQUESTS")],
    ids=["told", "of an older loader"],
)
def test_push_backs_doubts_and_pauses_are_kept(cause: Cause, words: str) -> None:
    chronicle = told(
        opened(0), cut(1), cut(2),
        sent(1, 0.0), NotApplied(1, 1, lines_of(1), words, T + 0.25, cause),
        sent(1, 10.25, attempt=2), Doubt(1, 2, lines_of(1), "reset", False, T + 10.5),
        Resolved(1, lines_of(1), "query", "twice", T + 40.5),
        WindowEntry((), ((1, lines_of(1)),)), sent(1, 40.5, attempt=3), answered(1, 41.0, attempt=3),
        sent(2, 41.25), answered(2, 41.5),
    )  # fmt: skip
    assert sum(one.pushed_back for one in chronicle.slices) == 1
    assert sum(one.doubtful for one in chronicle.slices) == 1
    assert [(one.begins_s, one.seconds, one.pushed_back) for one in chronicle.pauses] == [
        (0.25, 10.0, True),
        (10.5, 30.0, False),
    ]


def test_a_few_lines_of_each_kind_are_examples() -> None:
    refused = [OtherOutcome(line, 3, "", "INVALID_DATA", f"no {line}", "Email") for line in range(11, 16)]
    there = OtherOutcome(16, 2, "77", "DUPLICATE_DATA", "duplicate", "Email")
    ours = OtherOutcome(17, 1, "78", recovered=True)
    chronicle = told(
        opened(0), cut(1, InvalidEntry(1, 0, "NOT_JSON", "what")), cut(2),
        sent(2, 1.0), answered(2, 2.0, *refused, there, ours),
    )  # fmt: skip
    assert chronicle.examples == {
        (Outcome.INVALID, "NOT_JSON", ""): [Example(1, "what")],
        (Outcome.REJECTED, "INVALID_DATA", "Email"): [Example(line, f"no {line}") for line in (11, 12, 13)],
        (Outcome.DUPLICATE, "DUPLICATE_DATA", "Email"): [Example(16, "duplicate", "77")],
    }
    assert EXAMPLES_MAX == 3


def test_kinds_beyond_the_limit_are_one() -> None:
    chronicle = told(opened(0), cut(1), sent(1, 1.0))
    for kind in range(ERROR_KINDS_MAX + 5):
        chronicle.apply(Outcomes(1, 1, (), others=(OtherOutcome(1, 3, "", f"CODE_{kind}", "m"),)))
    assert len(chronicle.examples) == ERROR_KINDS_MAX + 1
    assert len(chronicle.examples[Outcome.REJECTED, *OTHER_ERRORS]) == EXAMPLES_MAX


def test_a_load_of_days_with_thousands_of_runs_stays_small_and_loses_no_record() -> None:
    chosen = random.Random(3)
    chronicle, ledger, at = told(), Ledger(), 0.0
    ledger.apply(HEAD)
    for number in range(1, 3000):
        entries: list[Entry] = [opened(at), cut(number)] if number % 2 else [cut(number)]
        for entry in (*entries, sent(number, at + 1), answered(number, at + 1 + chosen.random())):
            chronicle.apply(entry)
            ledger.apply(entry)
        at += chosen.expovariate(1 / 600)
    tally = ledger.tally()
    assert len(chronicle.slices) <= SLICES_MAX
    assert len(chronicle.runs) == RUNS_KEPT + 1
    assert len(chronicle.pauses) == PAUSES_KEPT
    assert chronicle.runs[0].begins_s == 0
    assert chronicle.run_count == tally.resumes + 1 == 1500
    assert sum(one.settled for one in chronicle.slices) == tally.records
    assert chronicle.seconds == pytest.approx(ledger.earlier_s + ledger.latest_run_s)
    assert min(one.seconds for one in chronicle.pauses) > 600


def test_a_log_without_times_of_answers_is_told_by_its_calls() -> None:
    chronicle = told(
        opened(0), cut(1), cut(2), sent(1, 1.0), answered(1, 0.0), sent(2, 2.0), answered(2, 0.0)
    )
    assert sum(one.settled for one in chronicle.slices) == 2 * SIZE
    assert chronicle.latencies().calls == 0
    assert chronicle.seconds == 2.0


def test_a_clock_that_goes_back_between_runs_does_not_matter() -> None:
    chronicle = told(
        opened(50), cut(1), sent(1, 60.0), opened(0), sent(1, 1.0, attempt=2), answered(1, 2.0, attempt=2)
    )
    assert chronicle.seconds == 12.0
    assert [one.seconds for one in chronicle.runs] == [10.0, 2.0]


def test_nothing_told_takes_no_time() -> None:
    assert Chronicle().seconds == 0.0
