"""What a load will take: calls, credits, time and days."""

from __future__ import annotations

import pytest

from loader.forecast import DAY_S, EditionForecast, Forecast, forecast, in_organisation
from loader.report import checks
from loader.throttle.credits import Standing


def of(plan: Forecast, edition: str) -> EditionForecast:
    return next(each for each in plan.editions if each.edition == edition)


@pytest.mark.parametrize(
    ("records", "alone", "calls", "cost"),
    [
        (0, 0, 0, 0),
        (1, 0, 1, 1),
        (100, 0, 1, 10),
        (101, 0, 2, 11),
        (1_000_000, 0, 10_000, 100_000),
        (110, 10, 11, 20),  # ten that travel alone, and a full call
    ],
)
def test_calls_of_a_hundred_and_a_credit_for_each_ten_records(
    records: int, alone: int, calls: int, cost: int
) -> None:
    plan = forecast(records, alone=alone)
    assert (plan.records, plan.calls, plan.credits) == (records, calls, cost)


def test_ten_large_calls_at_once_whatever_the_edition_and_fewer_in_the_free_one() -> None:
    plan = forecast(1_000_000, latency_s=2.0)
    assert of(plan, "ultimate").places == of(plan, "standard").places == 10
    assert of(plan, "free").places == 5


def test_a_load_within_a_day_s_credits_takes_as_long_as_its_calls() -> None:
    plan = forecast(400_000, latency_s=1.0)
    assert of(plan, "enterprise") == EditionForecast("enterprise", 10, 51_000, 400.0, 1)


def test_what_is_over_a_day_s_credits_goes_out_a_day_later() -> None:
    plan = forecast(1_000_000, latency_s=1.0)
    standard = of(plan, "standard")
    assert (standard.credits_a_day, standard.days) == (50_250, 2)
    assert DAY_S < standard.seconds < DAY_S + 1_000
    assert of(plan, "free").days == 20


def test_licences_bring_credits_up_to_the_edition_s_cap() -> None:
    plan = forecast(10, users=1_000)
    assert of(plan, "standard").credits_a_day == 100_000
    assert of(plan, "enterprise").credits_a_day == 1_050_000
    assert of(plan, "ultimate").credits_a_day == 2_050_000


def stands(
    spent: int, total: int | None, *, kept: int = 0, back: tuple[tuple[float, int], ...] = ()
) -> Standing:
    return Standing(spent, total, kept, back)


@pytest.mark.parametrize(
    ("standing", "free", "seconds"),
    [
        (stands(0, 60_000), 60_000, 100.0),  # 1,000 calls, ten at once
        (stands(55_000, 60_000, back=((600.0, 5_000), (7_200.0, 50_000))), 5_000, 600.0),
        (stands(55_000, 60_000, back=((600.0, 4_999), (7_200.0, 50_001))), 5_000, 7_200.0),
        (stands(0, 60_000, kept=50_000), 10_000, 100.0),
        (stands(0, 60_000, kept=55_000), 5_000, float(DAY_S)),
        (stands(0, 60_000, kept=58_000), 2_000, 4.0 * DAY_S),
        (stands(2_000, 60_000, kept=58_000, back=((300.0, 2_000),)), 0, 4.0 * DAY_S + 300),
        (stands(70_000, 60_000, back=((300.0, 70_000),)), 0, 300.0),
        (stands(0, 60_000, kept=59_991), 9, None),
        (stands(5, None), None, None),
    ],
)
def test_where_an_organisation_stands_tells_when_the_load_would_end(
    standing: Standing, free: int | None, seconds: float | None
) -> None:
    today = in_organisation(forecast(100_000), standing)
    assert (today.spent, today.a_day, today.free, today.seconds) == (
        standing.spent,
        standing.total,
        free,
        seconds,
    )
    assert checks.today(today)


def test_nothing_to_load_waits_for_no_credits() -> None:
    assert in_organisation(forecast(0), stands(100, 100, back=((300.0, 100),))).seconds == 0.0
