"""The fold: what is known of each record, and what it refuses to believe."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import msgspec
import pytest

from loader.checkpoint.entries import (
    BatchEntry,
    Doubt,
    Entry,
    InvalidEntry,
    NewerLoaderError,
    NotApplied,
    Open,
    OtherOutcome,
    Outcomes,
    Sent,
    WindowEntry,
    batch_entry,
)
from loader.checkpoint.ledger import DamagedLogError, Ledger
from loader.checkpoint.tally import ERROR_KINDS_MAX, OTHER_ERRORS
from loader.checkpoint.unsettled import Doubtful
from loader.errors import ExitCode
from loader.outcomes import Cause, ErrorCount, Outcome
from tests.unit.checkpoint_samples import HEAD, INPUT, batch

LINES = ((1, 5),)
PACKED = bytes(8)


def opened(boot: str = "a", *, at: float = 10.0, survived: bool = True) -> Open:
    return Open(boot, "host", 1, at, INPUT, survived=survived)


def cut(number: int = 1, size: int = 4) -> WindowEntry:
    return WindowEntry((batch_entry(batch(number, size=size)),))


def folded(*entries: Entry) -> Ledger:
    ledger = Ledger()
    for entry in (HEAD, opened(survived=False), *entries):
        ledger.apply(entry)
    return ledger


SENT = Sent(1, 1, LINES, 20.0)
SENT_2 = Sent(1, 2, LINES, 30.0, True)
BACK = NotApplied(1, 1, LINES, "429")
BACK_2 = NotApplied(1, 2, LINES, "429")
DOUBT = Doubt(1, 1, LINES, "no answer")
HELD = Doubt(1, 1, LINES, "no answer", True)


@pytest.mark.parametrize(
    ("history", "boot", "survived", "fate"),
    [
        ("never sent, same boot", "a", True, "allowed"),
        ("never sent, same boot but the tail is not believed", "a", False, 10.0),
        ("never sent, another boot", "b", True, 10.0),
        ("never sent, no boot id", "", True, 10.0),
        ("sent", "a", True, 20.0),
        ("sent, another boot", "b", True, 20.0),
        ("not applied", "a", True, "allowed"),
        ("not applied, another boot", "b", True, 20.0),
        ("doubt", "a", True, 20.0),
        ("doubt, sent again, not applied", "a", True, 20.0),
        ("not applied, sent again", "a", True, 30.0),
        ("sent twice, nobody said why", "a", True, 20.0),
        ("held", "a", True, "held"),
    ],
)
def test_what_a_record_is_after_a_restart(history: str, boot: str, survived: bool, fate: str | float) -> None:
    entries: dict[str, list[Entry]] = {
        "never sent": [],
        "sent": [SENT],
        "not applied": [SENT, BACK],
        "doubt": [SENT, DOUBT],
        "doubt, sent again, not applied": [SENT, DOUBT, SENT_2, BACK_2],
        "not applied, sent again": [SENT, BACK, SENT_2],
        "sent twice, nobody said why": [SENT, SENT_2, BACK_2],
        "held": [SENT, HELD],
    }
    known = history.replace(", another boot", "").replace(", no boot id", "").split(", same boot")[0]
    ledger = folded(cut(), *entries[known], opened(boot, at=40.0, survived=survived))
    (found,) = ledger.open_batches()
    assert found.open == LINES
    assert found.sent == ()
    if fate == "allowed":
        assert (found.allowed, found.doubts, found.held) == (LINES, (), ())
    elif fate == "held":
        assert (found.allowed, found.held) == ((), LINES)
        assert found.doubts == (Doubtful(LINES, 20.0),)
    else:
        assert (found.allowed, found.held) == ((), ())
        assert found.doubts == (Doubtful(LINES, float(fate)),)


@pytest.mark.parametrize(
    ("cause", "reason", "credits"),
    [
        (Cause.PUSHED_BACK, "HTTP 400 TOO_MANY_REQUESTS", 1),
        (Cause.TOKEN_REFUSED, "any words", 1),
        (Cause.UNREACHED, "connection refused", 1),
        (Cause.OTHER, "HTTP 401 OAUTH_SCOPE_MISMATCH", 2),
        (Cause.OTHER, "HTTP 429 in words that prove nothing", 2),
        (99, "of a later loader", 2),
        (Cause.UNTOLD, "HTTP 429 TOO_MANY_REQUESTS", 1),
        (Cause.UNTOLD, "HTTP 401 INVALID_TOKEN", 1),
        (Cause.UNTOLD, "HTTP 400 INVALID_MODULE", 2),
        (Cause.UNTOLD, "connection refused", 2),
    ],
)
def test_a_call_that_was_not_let_in_costs_no_credits(cause: int, reason: str, credits: int) -> None:
    ledger = folded(cut(), SENT, NotApplied(1, 1, LINES, reason, 0.0, cause), SENT_2)
    assert ledger.tally().credits == credits
    assert ledger.tally().calls == 2


def test_a_doubt_is_not_forgotten_by_a_second_crash_on_the_new_boot() -> None:
    ledger = folded(cut(), opened("b"), opened("b"), opened("b"))
    (found,) = ledger.open_batches()
    assert found.allowed == ()
    assert found.in_doubt == LINES
    assert ledger.resumes == 3


def test_not_applied_ends_no_doubt_of_an_earlier_attempt() -> None:
    ledger = folded(cut(), SENT, DOUBT, SENT_2, BACK_2)
    assert ledger.may_repeat(1, LINES)
    (found,) = ledger.open_batches()
    assert found.in_doubt == LINES
    assert found.last_attempt == 2


def test_parts_of_a_batch_have_their_own_fates() -> None:
    ledger = folded(
        cut(),
        Sent(1, 1, ((1, 3),), 20.0),
        Doubt(1, 1, ((1, 2),), "half"),
        Sent(1, 2, ((3, 4),), 25.0),
        Outcomes(1, 1, ((2, 3),), PACKED),
    )
    (found,) = ledger.open_batches()
    assert found.open == ((1, 2), (3, 5))
    assert found.allowed == ((4, 5),)
    assert found.sent == ((3, 4),)
    assert found.doubts == (Doubtful(((1, 2),), 20.0),)
    assert not ledger.may_repeat(1, ((4, 5),))
    assert ledger.may_repeat(1, ((3, 4),))
    ledger.stop(survived=True)
    (found,) = ledger.open_batches()
    assert found.doubts == (Doubtful(((1, 2),), 20.0), Doubtful(((3, 4),), 25.0))


def test_halves_sent_under_one_number_are_both_in_flight() -> None:
    ledger = folded(cut(), Sent(1, 2, ((1, 3),), 20.0), Sent(1, 2, ((3, 5),), 21.0))
    assert next(ledger.open_batches()).sent == LINES


def test_the_tally_adds_up() -> None:
    entry = BatchEntry(
        1, 1, 8, 0, 80, 9, ((1, 3), (4, 8)), ((3, 4),), (InvalidEntry(8, 70, "NOT_JSON", "m", ""),)
    )
    ledger = folded(
        WindowEntry((entry,)),
        Sent(1, 1, ((1, 3), (4, 8)), 20.0),
        Outcomes(1, 1, ((1, 2),), PACKED, (), (OtherOutcome(2, 3, "", "BAD", "m", "Email"),)),
        Outcomes(1, 1, (), b"", (), (OtherOutcome(4, 2, "7"), OtherOutcome(5, 1, "8", recovered=True))),
        Doubt(1, 1, ((6, 7),), "r", True),
    )
    tally = ledger.tally()
    got = {outcome.value: tally.count(outcome) for outcome in Outcome}
    assert got == {"inserted": 2, "duplicate": 1, "rejected": 1, "invalid": 1, "in_doubt": 1, "pending": 1}
    assert tally.records == ledger.records == 7
    assert (tally.blank, tally.held, tally.recovered, tally.calls, tally.retries) == (1, 1, 1, 1, 0)
    assert tally.errors == (ErrorCount("BAD", "Email", 1), ErrorCount("NOT_JSON", "", 1))
    assert (ledger.next_line, ledger.next_offset, ledger.next_batch) == (9, 80, 2)
    assert ledger.last_span == entry.span


def test_a_seal_is_believed_only_if_it_agrees() -> None:
    ledger = folded(cut(), SENT, Outcomes(1, 1, LINES, bytes(32)))
    ledger.apply(ledger.seal_entry(at=5.0))
    assert (ledger.sealed, ledger.open_records) == (True, 0)
    ledger.apply(cut(2))
    assert (ledger.sealed, ledger.open_records) == (False, 4)
    other = folded(cut(), SENT, Outcomes(1, 1, LINES, bytes(32)))
    with pytest.raises(DamagedLogError, match="SEAL"):
        other.apply(msgspec.structs.replace(other.seal_entry(at=5.0), checksum=1))
    unfinished = folded(cut())
    with pytest.raises(DamagedLogError, match="SEAL"):
        unfinished.apply(unfinished.seal_entry(at=5.0))


SETTLED = Outcomes(1, 1, ((1, 2),), PACKED)


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([HEAD], "HEAD"),
        ([cut(), SENT, SETTLED, SETTLED], "final outcome already"),
        ([cut(), SENT, Outcomes(1, 1, ((4, 6),), bytes(16))], "in no window"),
        ([SENT], "in no window"),
        ([cut(), Sent(2, 1, ((5, 6),), 1.0)], "in no window"),
        ([cut(), Sent(1, 1, ((3, 2),), 1.0)], "no proper set"),
        ([cut(), SENT, NotApplied(1, 1, ((4, 6),), "r")], "in no window"),
        ([cut(), SENT, Doubt(1, 1, ((9, 10),), "r")], "in no window"),
        ([cut(), SENT, Outcomes(1, 1, ((1, 3),), PACKED)], "do not match"),
        ([cut(), SENT, Outcomes(1, 1, ((1, 3),), b"", ("x",))], "do not match"),
        ([cut(), SENT, Outcomes(1, 1, ((1, 2),), PACKED, (), (OtherOutcome(1, 3),))], "twice"),
        ([cut(), SENT, Outcomes(1, 1, (), b"", (), (OtherOutcome(1, 3), OtherOutcome(1, 2)))], "twice"),
        ([cut(2)], "batch 2 stands where batch 1"),
        ([cut(), cut()], "batch 1 stands where batch 2"),
        ([WindowEntry((BatchEntry(1, 2, 1, 0, 1, 0),))], "does not begin where"),
        ([WindowEntry((BatchEntry(1, 1, 1, 5, 6, 0),))], "does not begin where"),
        ([WindowEntry((BatchEntry(1, 1, 1, 0, -1, 0),))], "does not begin where"),
        ([WindowEntry((BatchEntry(1, 1, 2, 0, 9, 0, ((1, 4),)),))], "lines of batch 1"),
        ([WindowEntry((BatchEntry(1, 1, 2, 0, 9, 0, ((1, 2),), ((1, 2),)),))], "lines of batch 1"),
        ([WindowEntry((BatchEntry(1, 1, 0, 0, 9, 0, ((1, 2),)),))], "lines of batch 1"),
    ],
)
def test_what_contradicts_the_log_is_damage_with_its_place(entries: list[Entry], why: str) -> None:
    ledger = folded(*entries[:-1])
    with pytest.raises(DamagedLogError, match=why) as caught:
        ledger.apply(entries[-1], offset=4711)
    assert "at byte 4,711" in str(caught.value)
    assert caught.value.exit_code is ExitCode.DISK


def test_an_invalid_line_named_twice_is_damage() -> None:
    twice = (InvalidEntry(1, 0, "C", "m"), InvalidEntry(1, 0, "C", "m"))
    with pytest.raises(DamagedLogError):
        folded(WindowEntry((BatchEntry(1, 1, 2, 0, 9, 0, ((2, 3),), (), twice),)))


def test_a_log_that_does_not_begin_with_head_is_damaged() -> None:
    with pytest.raises(DamagedLogError, match="HEAD"):
        Ledger().apply(opened())


def test_a_higher_format_version_is_refused() -> None:
    with pytest.raises(NewerLoaderError, match="format version 2"):
        Ledger().apply(msgspec.structs.replace(HEAD, format_version=2))


def test_kinds_of_errors_are_bounded() -> None:
    ledger = folded(cut(size=ERROR_KINDS_MAX + 50), Sent(1, 1, ((1, ERROR_KINDS_MAX + 51),), 1.0))
    others = tuple(OtherOutcome(line, 3, "", f"C{line}") for line in range(1, ERROR_KINDS_MAX + 51))
    ledger.apply(Outcomes(1, 1, (), others=others))
    errors = ledger.tally().errors
    assert errors[0] == ErrorCount(*OTHER_ERRORS, 50)
    assert len(errors) == ERROR_KINDS_MAX + 1


def test_memory_is_flat_over_a_million_outcomes() -> None:
    ledger = folded()
    packed = bytes(800)

    def load(first: int, last: int) -> None:
        for number in range(first, last):
            lines: Any = ((number * 100 - 99, number * 100 + 1),)
            ledger.apply(cut(number, 100))
            ledger.apply(Sent(number, 1, lines, 1.0))
            ledger.apply(Outcomes(number, 1, lines, packed))

    load(1, 100)
    gc.collect()
    tracemalloc.start()
    try:
        load(100, 10_001)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert ledger.tally().inserted == 1_000_000
    assert grown < 20_000


def test_who_opened_the_load_and_how_long_its_runs_took() -> None:
    ledger = Ledger()
    assert (ledger.latest_run_s, ledger.earlier_s, ledger.latest_at, ledger.resumes) == (0.0, 0.0, 0.0, 0)
    first = msgspec.structs.replace(opened(survived=False), user_id="ada")
    second = msgspec.structs.replace(opened(at=100.0), user_id="")
    third = msgspec.structs.replace(opened(at=50.0), user_id="bob")  # the clock went back
    for entry in (HEAD, first, cut(), SENT, BACK):
        ledger.apply(entry)
    assert (ledger.latest_run_s, ledger.earlier_s, ledger.latest_at) == (10.0, 0.0, 20.0)
    ledger.apply(second)
    assert (ledger.latest_run_s, ledger.earlier_s, ledger.latest_at) == (0.0, 10.0, 100.0)
    ledger.apply(third)
    assert (ledger.latest_run_s, ledger.earlier_s) == (50.0, 10.0)
    assert ledger.user_ids == {"ada", "bob"}
    assert ledger.resumes == 2


@pytest.mark.parametrize("answer", [BACK, DOUBT, SETTLED], ids=lambda one: type(one).__name__)
def test_a_run_lasts_to_its_last_answer_and_no_doubt_is_younger_for_it(
    answer: NotApplied | Doubt | Outcomes,
) -> None:
    ledger = folded(cut(), SENT, msgspec.structs.replace(answer, at=SENT.at + 7.0))
    assert ledger.latest_run_s == 17.0  # opened at 10, sent at 20
    assert ledger.latest_at == SENT.at
    ledger.apply(opened(at=100.0))
    assert ledger.earlier_s == 17.0


def test_what_has_no_open_batch_has_no_attempt_and_repeats_nothing() -> None:
    ledger = folded(cut())
    assert (ledger.batch(2), ledger.last_attempt(2), ledger.last_attempt(1)) == (None, 0, 0)
    assert not ledger.may_repeat(2, LINES)
    assert not ledger.may_repeat(1, LINES)
    ledger.apply(Sent(1, 3, ((1, 3),), 20.0))
    assert ledger.last_attempt(1) == 3
    assert ledger.may_repeat(1, ((2, 4),))
    assert not ledger.may_repeat(1, ((3, 5),))
    ledger.apply(Doubt(1, 3, ((1, 3),), "no answer"))
    assert ledger.may_repeat(1, ((2, 4),))
    assert not ledger.may_repeat(1, ((3, 5),))


def test_a_new_attempt_at_held_records_asks_no_person_any_more() -> None:
    (left,) = folded(cut(), SENT, HELD, Sent(1, 2, ((1, 3),), 30.0, True)).open_batches()
    assert (left.held, left.in_doubt, left.sent) == (((3, 5),), LINES, ())
