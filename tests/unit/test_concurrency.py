"""The adaptive limit by itself: what each answer does to it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from loader.throttle.concurrency import QUIET_ROUNDS_FIRST, QUIET_ROUNDS_MAX, Flight, Limit, PushBack


class Load:
    """Calls through a limit; a round is one call for each place that the limit gives, at the same time."""

    def __init__(self, limit: Limit, *, cap: int, ceiling: int = 25) -> None:
        self.limit = limit
        self.cap = cap
        self.ceiling = ceiling
        self.now = 0.0
        self.refused = 0
        self.meanings: list[PushBack] = []

    def round(self, *, held_back: bool = True) -> None:
        flights = [self.limit.began(self.now, in_flight=others) for others in range(self.limit.value)]
        for flight in flights[self.cap :]:
            self.refused += 1
            self.meanings.append(self.limit.pushed_back(flight))
        self.now += 0.2
        for flight in flights[: self.cap]:
            self.limit.passed(flight, self.now, held_back=held_back, ceiling=self.ceiling)

    def rounds(self, number: int) -> list[int]:
        """The limit after each."""
        seen = []
        for _ in range(number):
            self.round()
            seen.append(self.limit.value)
        return seen


def test_it_doubles_each_round_trip_until_the_places_that_are_documented_then_it_grows_by_one() -> None:
    assert Load(Limit(25), cap=25).rounds(6) == [4, 8, 10, 11, 12, 13]


def test_it_never_grows_beyond_the_ceiling() -> None:
    assert Load(Limit(25), cap=25, ceiling=5).rounds(3) == [4, 5, 5]
    assert Limit(1).value == 1


def test_it_stays_where_it_is_while_something_else_holds_the_load_back() -> None:
    load = Load(Limit(25), cap=25)
    for _ in range(20):
        load.round(held_back=False)
    assert load.limit.value == 2


def test_after_a_refused_try_it_stays_one_below_and_tries_again_after_10_20_40_quiet_round_trips() -> None:
    load = Load(Limit(25), cap=3)
    values = load.rounds(400)
    tries = [place for place, value in enumerate(values) if value == 4]
    gaps = [later - earlier for earlier, later in pairwise(tries[1:])]
    assert gaps[:4] == [20 + 1, 40 + 1, 80 + 1, 160 + 1]
    assert tries[1] - tries[0] == QUIET_ROUNDS_FIRST + 1
    assert QUIET_ROUNDS_MAX == 160
    assert load.refused == len(tries)
    assert set(load.meanings) == {PushBack.STEP_BACK}


def test_a_level_that_holds_when_it_is_tried_again_lets_the_limit_grow_on() -> None:
    load = Load(Limit(25), cap=3)
    load.rounds(5)
    load.cap = 8
    assert load.rounds(30)[-1] == 8


def test_of_a_burst_that_is_refused_the_lowest_level_counts_whatever_is_heard_first() -> None:
    limit = Limit(25, start=16)
    flights = [limit.began(0.0, in_flight=others) for others in range(16)]
    limit.passed(flights[0], 0.2, held_back=False, ceiling=25)
    for flight in reversed(flights[10:]):
        assert limit.pushed_back(flight) is PushBack.STEP_BACK
    assert (limit.value, limit.refused) == (10, 11)


def test_calls_that_are_refused_in_turn_take_no_place_from_each_other() -> None:
    """Each counted the refused ones before it as in flight: their levels are lower than they seem."""
    limit = proven(10)
    flights = [limit.began(9.0, in_flight=9) for _ in range(7)]
    for flight in flights:
        limit.pushed_back(flight)
    assert limit.value == 3


def test_a_push_back_with_no_level_known_to_hold_halves_once_for_all_calls_of_the_round_trip() -> None:
    limit = Limit(25, start=8)
    flights = [limit.began(0.0, in_flight=others) for others in range(8)]
    assert limit.pushed_back(flights[7]) is PushBack.HALVED
    assert limit.value == 4
    assert [limit.pushed_back(flight) for flight in flights[5:7]] == [PushBack.LATE] * 2
    assert limit.value == 4


def test_a_lone_refusal_at_a_level_that_held_may_be_chance() -> None:
    limit = proven(10)
    assert limit.pushed_back(limit.began(9.0, in_flight=9)) is PushBack.STEP_BACK
    assert limit.value == 9


def test_refusals_one_after_another_are_no_chance() -> None:
    limit = proven(10)
    meanings = [limit.pushed_back(limit.began(9.0, in_flight=limit.value - 1)) for _ in range(3)]
    assert meanings == [PushBack.STEP_BACK, PushBack.STEP_BACK, PushBack.HALVED]
    assert limit.value == 4


def test_refusals_with_calls_between_that_pass_stay_chance() -> None:
    limit = proven(10)
    for _ in range(3):
        assert limit.pushed_back(limit.began(9.0, in_flight=limit.value - 1)) is PushBack.STEP_BACK
        limit.passed(limit.began(9.1, in_flight=0), 9.3, held_back=False, ceiling=25)
    assert limit.value == 7


def test_a_call_alone_that_is_refused_says_nothing_about_levels() -> None:
    limit = proven(10)
    assert limit.pushed_back(limit.began(9.0, in_flight=0)) is PushBack.HALVED
    assert (limit.value, limit.refused) == (1, None)


def test_errors_that_are_no_push_back_change_nothing_and_another_call_tries_the_level() -> None:
    limit = Limit(25)
    load = Load(limit, cap=25)
    load.rounds(3)
    at_ten = [limit.began(load.now, in_flight=others) for others in range(10)]
    for flight in at_ten:
        limit.failed(flight)
    assert limit.value == 10
    assert load.rounds(2) == [11, 12]


def test_a_call_that_follows_a_try_does_not_prove_the_level() -> None:
    """While a refused call is on its way back, the others are one fewer than they count."""
    limit = proven(10)
    limit.value = 11
    tried = limit.began(9.0, in_flight=10)
    follower = limit.began(9.1, in_flight=10)
    limit.passed(follower, 9.3, held_back=True, ceiling=25)
    assert limit.value == 11
    assert limit.pushed_back(tried) is PushBack.STEP_BACK
    assert limit.value == 10


def test_a_call_above_a_refused_level_that_passes_by_luck_proves_the_level_below_only() -> None:
    limit = Limit(25, start=12)
    flights = [limit.began(0.0, in_flight=others) for others in range(12)]
    limit.passed(flights[0], 0.2, held_back=False, ceiling=25)
    limit.pushed_back(flights[10])
    limit.passed(flights[11], 0.2, held_back=True, ceiling=25)
    assert (limit.value, limit.refused) == (10, 11)


def test_the_round_trip_is_that_of_calls_that_passed() -> None:
    limit = Limit(25)
    seen = [limit.round_trip_s]
    for began, ended in ((1.0, 1.2), (2.0, 3.0)):
        limit.passed(limit.began(began, in_flight=0), ended, held_back=False, ceiling=25)
        seen.append(limit.round_trip_s)
    limit.failed(limit.began(4.0, in_flight=0))
    assert seen == [None, pytest.approx(0.2), pytest.approx(0.3)]


def proven(level: int) -> Limit:
    """A limit that holds at this level, each level below proved."""
    limit = Limit(25, start=level)
    flights: list[Flight] = [limit.began(0.0, in_flight=others) for others in range(level)]
    for flight in flights:
        limit.passed(flight, 0.2, held_back=False, ceiling=25)
    return limit
