"""The rolling 24 hours: what counts, what comes back when, and what the service's own count corrects."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.throttle.credits import MINUTE_S, Minute, Window, minute_of, wait_s
from loader.wire.limits import CREDITS_WINDOW_S

NOW = 1_800_000_000.0
"""The first second of a minute."""
DAY = float(CREDITS_WINDOW_S)


def spent(*at: tuple[float, int]) -> Window:
    window = Window()
    for when, credits in at:
        window.spend(credits, NOW + when)
    return window


@pytest.mark.parametrize(
    ("spent_at", "after", "expected"),
    [
        (0.0, 0.0, 10),
        (0.0, DAY - 1, 10),
        (0.0, DAY + MINUTE_S - 1, 10),  # others of its minute may be younger
        (0.0, DAY + MINUTE_S, 0),
        (59.0, DAY + MINUTE_S - 1, 10),
        (59.0, DAY + MINUTE_S, 0),
        (0.0, -3600.0, 10),  # the clock was set back
        (0.0, -2 * 3600.0, 0),  # a clock that was far ahead: it would count for the day after next
        (0.0, -2 * DAY, 0),  # that is no time at which anything was spent
    ],
)
def test_a_minute_counts_until_all_of_it_is_a_day_old(spent_at: float, after: float, expected: int) -> None:
    assert spent((spent_at, 10)).spent(NOW + after) == expected


@pytest.mark.parametrize(
    ("before", "credits", "usable", "expected"),
    [
        ([], 10, 100, 0.0),
        ([(-60, 90)], 10, 100, 0.0),
        ([(-60, 91)], 10, 100, DAY),
        ([(-600, 5), (-60, 90)], 10, 100, DAY - 540),
        ([(-600, 5), (-60, 91)], 10, 100, DAY),
        ([(-60, 91)], 10, None, 0.0),
        ([(3600, 91)], 10, 100, DAY + MINUTE_S),  # the clock was set back: never more than a day at a time
        ([], 10, 9, DAY + MINUTE_S),
        ([], 10, -5, DAY + MINUTE_S),
    ],
)
def test_how_long_to_wait_for_credits(
    before: list[tuple[float, int]], credits: int, usable: int | None, expected: float
) -> None:
    assert wait_s(spent(*before), credits, usable=usable, now=NOW) == expected


def test_what_was_not_charged_is_taken_from_the_last_minutes() -> None:
    window = spent((-120, 10), (-60, 10), (0, 5))
    changed = window.give_back(12, NOW)
    assert changed == [Minute(minute_of(NOW), 0, 0), Minute(minute_of(NOW) - 1, 3, 0)]
    assert window.spent(NOW) == 13
    window.give_back(1000, NOW)
    assert window.spent(NOW) == 0


@pytest.mark.parametrize(
    ("own_before", "others_before", "service", "own", "others"),
    [
        (50, 0, 50, 50, 0),
        (50, 0, 80, 50, 30),  # other programs spend too
        (50, 30, 60, 50, 10),  # some of theirs has come back
        (50, 30, 20, 50, 0),  # ours may be on its way still: never less than we know of
        (50, 0, 0, 50, 0),
    ],
)
def test_the_services_own_count_corrects_what_others_spent(
    own_before: int, others_before: int, service: int, own: int, others: int
) -> None:
    window = Window([Minute(minute_of(NOW) - 30, own_before, others_before)])
    window.correct(service, NOW)
    assert (window.own(NOW), window.spent(NOW)) == (own, own + others)


def test_a_count_that_is_behind_calls_on_their_way_takes_nothing_back() -> None:
    window = Window([Minute(minute_of(NOW) - 30, 0, 40), Minute(minute_of(NOW), 100, 0)])
    assert window.correct(80, NOW) == []
    assert window.spent(NOW) == 140


TIMES = st.floats(0, 3 * DAY)
SPENDINGS = st.lists(st.tuples(TIMES, st.integers(1, 100)), max_size=40)


@given(SPENDINGS, st.floats(0, 5 * DAY))
def test_it_never_counts_less_than_the_service_and_a_minute_later_no_more(
    spendings: list[tuple[float, int]], ahead: float
) -> None:
    """The model: a list of times and credits."""
    window = Window()
    spendings.sort()
    for at, credits in spendings:
        window.spend(credits, NOW + at)
    now = NOW + max([at for at, _ in spendings], default=0.0) + ahead

    def model(moment: float) -> int:
        return sum(credits for at, credits in spendings if moment - (NOW + at) < DAY)

    assert model(now) <= window.spent(now)
    assert window.spent(now + MINUTE_S) <= model(now)


@given(SPENDINGS, st.integers(1, 100), st.integers(100, 1000))
def test_who_waits_as_told_finds_the_credits_free_and_not_a_minute_before(
    spendings: list[tuple[float, int]], credits: int, usable: int
) -> None:
    window = Window()
    for at, each in sorted(spendings):
        window.spend(each, NOW + at)
    now = NOW + max([at for at, _ in spendings], default=0.0)
    early = Window(window.minutes())
    left = wait_s(window, credits, usable=usable, now=now)
    assert 0.0 <= left <= DAY + MINUTE_S
    assert wait_s(window, credits, usable=usable, now=now + left + 0.001) == 0.0
    if left > MINUTE_S:
        assert wait_s(early, credits, usable=usable, now=now + left - 1.0) > 0.0


@given(SPENDINGS, st.lists(st.integers(0, 500), max_size=5))
def test_taking_back_and_correcting_never_makes_less_than_nothing(
    spendings: list[tuple[float, int]], counts: list[int]
) -> None:
    window = Window()
    now = NOW
    for at, credits in sorted(spendings):
        now = NOW + at
        window.spend(credits, now)
    for number, count in enumerate(counts):
        (window.give_back if number % 2 else window.correct)(count, now)
        assert all(one.own >= 0 and one.others >= 0 for one in window.minutes())
        assert window.spent(now) == sum(one.own + one.others for one in window.minutes())
        assert window.spent(now) == sum(credits for _, credits in window.coming_back(now))
