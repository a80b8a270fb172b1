"""Whose duplicate? What the CRM says of a record in doubt, and what may be concluded from it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pytest

from loader.delivery.policy import Claim
from loader.delivery.reconcile import CLOCK_SLACK_S, Evidence, decide
from loader.outcomes import Outcome, RecordOutcome
from loader.wire.replies import ExistingRecord

SINCE = 10_000.0
US, THEM = "7001", "7002"
ID, OTHER = "5001", "5002"

DUPLICATE = RecordOutcome(8, Outcome.DUPLICATE, id=ID, code="DUPLICATE_DATA", field="Email")
REJECTED = RecordOutcome(8, Outcome.REJECTED, code="INVALID_DATA", field="Phone")


def claim(refusal: RecordOutcome = DUPLICATE, *, line: int = 8, ids: tuple[str, ...] = (ID,)) -> Claim:
    outcome = RecordOutcome(line, refusal.outcome, id=refusal.id, code=refusal.code, field=refusal.field)
    return Claim(line, b'{"Email":"a@x.eu"}', ids, outcome)


def existing(
    identifier: str = ID,
    *,
    at: float | None = SINCE,
    by: str = US,
    email: object = "a@x.eu",
) -> ExistingRecord:
    return ExistingRecord(identifier, at, by, {"Email": email})


def evidence(
    *records: ExistingRecord,
    key: str = "a@x.eu",
    users: frozenset[str] = frozenset({US}),
    taken: Mapping[str, Collection[int]] | None = None,
    complete: bool = True,
) -> Evidence:
    keys = {8: key, 9: key}
    return Evidence(records, keys, "Email", users, SINCE, taken or {}, complete)


# name: (claim, evidence, what it comes to)
OURS, THEIRS, UNKNOWN = "ours", "the refusal stands", "unknown"
CASES: Mapping[str, tuple[Claim, Evidence, str]] = {
    "created by us at the attempt's time": (claim(), evidence(existing()), OURS),
    "created by us long after": (claim(), evidence(existing(at=SINCE + 900)), OURS),
    "created by us within the slack of whole seconds": (
        claim(),
        evidence(existing(at=SINCE - CLOCK_SLACK_S)),
        OURS,
    ),
    "created by us before the slack": (claim(), evidence(existing(at=SINCE - CLOCK_SLACK_S - 0.001)), THEIRS),
    "created by another user whose credentials this load has used": (
        claim(),
        evidence(existing(by=THEM), users=frozenset({US, THEM})),
        OURS,
    ),
    "created before the attempt, whoever we are": (
        claim(),
        evidence(existing(at=SINCE - 60), users=frozenset()),
        THEIRS,
    ),
    "created by somebody else at the attempt's time": (claim(), evidence(existing(by=THEM)), THEIRS),
    "nobody told who we are": (claim(), evidence(existing(), users=frozenset()), UNKNOWN),
    "the answer does not say who made it": (claim(), evidence(existing(by="")), UNKNOWN),
    "the answer does not say when it was made": (claim(), evidence(existing(at=None)), UNKNOWN),
    "another line of this load has that id": (claim(), evidence(existing(), taken={ID: [3]}), THEIRS),
    "no line of this load has that id": (claim(), evidence(existing(), taken={ID: []}), OURS),
    "the key differs in case and blanks only": (claim(), evidence(existing(email="  A@X.EU ")), OURS),
    "the error names another unique field, whose record bears another key": (
        claim(ids=(OTHER,)),
        evidence(existing(OTHER, email="b@x.eu")),
        THEIRS,
    ),
    "the error names another unique field of our own record": (claim(ids=(ID,)), evidence(existing()), OURS),
    "several errors: one names our record, the other one theirs": (
        claim(ids=(OTHER, ID)),
        evidence(existing(OTHER, email="b@x.eu", by=THEM), existing()),
        OURS,
    ),
    "the record is not visible": (claim(), evidence(), UNKNOWN),
    "only another record is visible": (claim(), evidence(existing(OTHER, email="b@x.eu")), UNKNOWN),
    "the error names no record and the key finds ours": (claim(ids=()), evidence(existing()), OURS),
    "the error names no record and the key finds none": (claim(ids=()), evidence(), UNKNOWN),
    "the error names no record and the key finds theirs": (
        claim(ids=()),
        evidence(existing(by=THEM)),
        THEIRS,
    ),
    "the existing record has no key": (claim(), evidence(existing(email=None)), THEIRS),
    "refused, and the key finds ours": (claim(REJECTED, ids=()), evidence(existing()), OURS),
    "refused, and the key finds theirs": (claim(REJECTED, ids=()), evidence(existing(by=THEM)), THEIRS),
    "refused, and the key finds an older one of ours": (
        claim(REJECTED, ids=()),
        evidence(existing(at=SINCE - 3600)),
        THEIRS,
    ),
    "refused, and the key finds none": (claim(REJECTED, ids=()), evidence(), THEIRS),
    "refused, and the question was not answered": (
        claim(REJECTED, ids=()),
        evidence(complete=False),
        UNKNOWN,
    ),
    "refused, and there is no key to ask by": (claim(REJECTED, ids=()), evidence(key=""), UNKNOWN),
    "refused, and nobody told who we are": (
        claim(REJECTED, ids=()),
        evidence(existing(), users=frozenset()),
        UNKNOWN,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_whose_duplicate(case: str) -> None:
    claimed, known, expected = CASES[case]
    decided = decide([claimed], known)
    if expected == UNKNOWN:
        assert (list(decided.outcomes), list(decided.open)) == ([], [8])
        return
    (outcome,) = decided.outcomes
    assert decided.open == []
    if expected == OURS:
        assert outcome == RecordOutcome(8, Outcome.INSERTED, id=ID, recovered=True)
    else:
        assert outcome == claimed.refusal


def decide_lines(lines: Sequence[int], known: Evidence) -> dict[int, Outcome]:
    return {one.line: one.outcome for one in decide([claim(line=line) for line in lines], known).outcomes}


def test_one_existing_record_is_given_to_one_line_only() -> None:
    outcomes = decide_lines([8, 9], evidence(existing()))
    assert outcomes == {8: Outcome.INSERTED, 9: Outcome.DUPLICATE}


def test_an_unknown_line_does_not_keep_the_others_open() -> None:
    keys = {8: "a@x.eu", 9: "b@x.eu"}
    known = Evidence([existing()], keys, "Email", frozenset({US}), SINCE, {})
    decided = decide([claim(), claim(line=9, ids=(OTHER,))], known)
    assert [one.line for one in decided.outcomes] == [8]
    assert list(decided.open) == [9]
