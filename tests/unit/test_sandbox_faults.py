"""Which call gets which fault."""

from collections import Counter

import pytest

from loader.errors import UsageError
from loader.sandbox.faults import FaultKind, FaultPlan, FaultShare, parse_fault


def test_a_fault_is_a_kind_and_a_share() -> None:
    assert parse_fault("drop-after-apply=0.01") == FaultShare(FaultKind.DROP_AFTER_APPLY, 0.01)
    assert parse_fault("429=1") == FaultShare(FaultKind.TOO_MANY_REQUESTS, 1.0)


@pytest.mark.parametrize(
    "text", ["", "slower=0.1", "429", "429=", "429=0", "429=-1", "429=1.1", "429=x", "429=nan"]
)
def test_what_is_no_fault_is_refused_with_the_kinds_that_exist(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_fault(text)
    assert all(kind in raised.value.why for kind in FaultKind)
    assert "--fault" in raised.value.hint


def test_the_same_seed_and_call_give_the_same_fault_in_any_order() -> None:
    shares = (FaultShare(FaultKind.DROP_AFTER_APPLY, 0.5),)
    forward = [FaultPlan(shares, seed=7).of(call) for call in range(50)]
    plan = FaultPlan(shares, seed=7)
    backward = [plan.of(call) for call in reversed(range(50))]
    assert forward == backward[::-1]
    assert forward != [FaultPlan(shares, seed=8).of(call) for call in range(50)]


def test_each_kind_gets_its_share_of_the_calls() -> None:
    plan = FaultPlan(
        (FaultShare(FaultKind.DROP_BEFORE_APPLY, 0.1), FaultShare(FaultKind.ERROR_500_AFTER, 0.3)), seed=1
    )
    counts = Counter(plan.of(call) for call in range(10_000))
    assert 900 < counts[FaultKind.DROP_BEFORE_APPLY] < 1100
    assert 2800 < counts[FaultKind.ERROR_500_AFTER] < 3200


def test_a_share_of_one_is_every_call_and_no_share_is_none() -> None:
    assert {FaultPlan((FaultShare(FaultKind.TOO_MANY_REQUESTS, 1),), seed=0).of(n) for n in range(99)} == {
        "429"
    }
    assert {FaultPlan((), seed=0).of(n) for n in range(99)} == {None}


def test_shares_of_more_than_all_calls_are_refused() -> None:
    with pytest.raises(UsageError):
        FaultPlan((FaultShare(FaultKind.TOO_MANY_REQUESTS, 0.6),) * 2, seed=0)


def test_what_else_a_fault_depends_on_is_drawn_from_the_seed_too() -> None:
    plan, again = FaultPlan((), seed=3), FaultPlan((), seed=3)
    assert [plan.applies(n) for n in range(50)] == [again.applies(n) for n in range(50)]
    assert {plan.applies(n) for n in range(50)} == {True, False}
    firsts = [plan.first_records(n, 100) for n in range(500)]
    assert firsts == [again.first_records(n, 100) for n in range(500)]
    assert min(firsts) >= 1
    assert max(firsts) <= 99
    assert len(set(firsts)) > 50
    assert {plan.first_records(n, 1) for n in range(50)} == {0}
    assert {plan.first_records(n, 2) for n in range(50)} == {1}
