"""Places in flight and the rolling account of credits."""

import pytest

from loader.sandbox.quotas import CREDITS_WINDOW_S, Credits, Places, insert_credits, query_credits


@pytest.mark.parametrize(("records", "cost"), [(1, 1), (10, 1), (11, 2), (91, 10), (100, 10)])
def test_an_insert_costs_a_credit_for_each_ten_records(records: int, cost: int) -> None:
    assert insert_credits(records) == cost


@pytest.mark.parametrize(("rows", "cost"), [(1, 1), (200, 1), (201, 2), (1000, 2), (1001, 3), (2000, 3)])
def test_a_query_costs_by_the_rows_that_it_asks_for(rows: int, cost: int) -> None:
    assert query_credits(rows) == cost


def test_a_place_is_refused_when_all_are_taken_and_free_again_when_given_back() -> None:
    places = Places(2)
    assert places.take()
    assert places.take()
    assert not places.take()
    places.give_back()
    assert places.take()


def test_a_place_that_nobody_holds_cannot_be_given_back() -> None:
    with pytest.raises(AssertionError):
        Places(1).give_back()


def test_credits_are_refused_whole_when_fewer_are_left() -> None:
    account = Credits(15)
    assert account.spend(10, now=0)
    assert not account.spend(10, now=1)
    assert account.spend(5, now=2)
    assert not account.spend(1, now=3)


def test_each_credit_comes_back_24_hours_after_it_was_spent() -> None:
    account = Credits(20)
    account.spend(10, now=0)
    account.spend(10, now=100)
    assert not account.spend(10, now=CREDITS_WINDOW_S - 1)
    assert account.spend(10, now=CREDITS_WINDOW_S)
    assert not account.spend(10, now=CREDITS_WINDOW_S + 99)
    assert account.spend(10, now=CREDITS_WINDOW_S + 100)


def test_what_is_left_is_shown_once_half_is_used() -> None:
    account = Credits(20)
    account.spend(9, now=0)
    assert account.shown(now=0) is None
    account.spend(1, now=0)
    assert account.shown(now=0) == 10
    assert account.shown(now=CREDITS_WINDOW_S) is None


def test_without_a_total_nothing_is_refused_and_nothing_shown() -> None:
    account = Credits(None)
    assert account.spend(10**9, now=0)
    assert account.shown(now=0) is None
