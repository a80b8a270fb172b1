"""Places divided among loads: fair, whole, and nobody left with none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.throttle.sharing import divided


@pytest.mark.parametrize(
    ("places", "wanted", "shares"),
    [
        (10, [10], [10]),
        (10, [10, 10], [5, 5]),
        (10, [10, 10, 10], [4, 3, 3]),
        (10, [10, 4], [6, 4]),
        (10, [4, 10], [4, 6]),
        (10, [1, 10, 10], [1, 5, 4]),
        (10, [0, 10], [0, 10]),
        (10, [4, 4], [4, 4]),
        (3, [10] * 5, [1] * 5),
        (10, [], []),
    ],
)
def test_how_places_are_divided(places: int, wanted: list[int], shares: list[int]) -> None:
    assert divided(places, wanted) == shares


@given(st.integers(1, 100), st.lists(st.integers(0, 50), max_size=20))
def test_a_division_is_whole_and_fair(places: int, wanted: list[int]) -> None:
    shares = divided(places, wanted)
    wanting = [share for share, want in zip(shares, wanted, strict=True) if want]
    assert all(share <= want for share, want in zip(shares, wanted, strict=True))
    assert all(share >= 1 for share in wanting)
    assert sum(shares) == min(sum(wanted), max(places, len(wanting)))
    # Who got less than it wanted got no less than anybody else, but for what cannot be divided.
    short = [share for share, want in zip(shares, wanted, strict=True) if share < want]
    assert all(max(shares) - share <= 1 for share in short)
