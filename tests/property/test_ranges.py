"""Ranges against plain sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.checkpoint import ranges

lines = st.sets(st.integers(1, 60), max_size=40)


def ranges_of(members: set[int]) -> ranges.Ranges:
    return ranges.from_lines(sorted(members))


@given(lines)
def test_lines_come_back_as_they_went_in(members: set[int]) -> None:
    made = ranges_of(members)
    back = ranges.to_lines(made)
    assert list(back) == sorted(members)
    assert ranges.is_sound(made)
    assert ranges.count(made) == len(members)
    assert isinstance(back, range) == (len(made) == 1)
    assert [line for line in range(70) if ranges.contains(made, line)] == sorted(members)


@given(lines, lines)
def test_operations_agree_with_those_of_sets(left: set[int], right: set[int]) -> None:
    a, b = ranges_of(left), ranges_of(right)
    assert ranges.union(a, b) == ranges_of(left | right)
    assert ranges.difference(a, b) == ranges_of(left - right)
    assert ranges.intersection(a, b) == ranges_of(left & right)
    assert ranges.covers(a, b) == (right <= left)
    assert ranges.disjoint(a, b) == left.isdisjoint(right)


@given(st.lists(st.integers(1, 20), max_size=10))
def test_any_order_and_repetition_can_be_taken(numbers: list[int]) -> None:
    assert ranges.from_unordered(numbers) == ranges_of(set(numbers))


@given(st.integers(1, 10), st.integers(0, 10))
def test_a_range_is_one_pair(start: int, count: int) -> None:
    made = ranges.from_lines(range(start, start + count))
    assert made == (((start, start + count),) if count else ())


@pytest.mark.parametrize("wrong", [(1, 1), (2, 1), (1, 3, 2)])
def test_lines_out_of_order_are_refused(wrong: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="ascend"):
        ranges.from_lines(wrong)


@pytest.mark.parametrize("wrong", [((2, 2),), ((3, 5), (1, 2)), ((1, 3), (3, 4)), ((5, 2),), ((-1, 2),)])
def test_unsound_ranges_are_known(wrong: ranges.Ranges) -> None:
    assert not ranges.is_sound(wrong)


def test_lines_that_do_not_ascend_are_no_set() -> None:
    with pytest.raises(ValueError, match="must ascend"):
        ranges.from_lines([3, 2])
    with pytest.raises(ValueError, match="must ascend"):
        ranges.from_lines([2, 2])
