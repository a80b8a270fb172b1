"""The delay before the next try."""

from __future__ import annotations

import pytest

from loader.delivery.backoff import FIRST_S, MAX_S, delay_s


def test_the_longest_delay_doubles_from_the_first_one_up_to_its_bound() -> None:
    nearly_one = 1 - 1e-12
    delays = [delay_s(tries, jitter=nearly_one) for tries in range(1, 10)]
    assert delays == pytest.approx([0.25, 0.5, 1, 2, 4, 8, 16, 30, 30])


@pytest.mark.parametrize("tries", [1, 2, 5, 8, 40, 10**6])
def test_jitter_spreads_the_upper_half_of_the_delay(tries: int) -> None:
    longest = min(MAX_S, FIRST_S * 2 ** min(tries - 1, 30))
    assert delay_s(tries, jitter=0.0) == pytest.approx(longest / 2)
    assert delay_s(tries, jitter=0.5) == pytest.approx(longest * 0.75)


def test_before_the_first_try_the_delay_is_the_first_one() -> None:
    assert delay_s(0, jitter=0.0) == delay_s(1, jitter=0.0)
