"""A budget and places that remember what the gate asked of them."""

from __future__ import annotations

from collections.abc import Sequence

from loader.events import CreditsCounted


class FakeBudget:
    """Credits without a window: so many are left, and those missing are free in `wait_s`."""

    def __init__(self, left: int = 1_000_000, *, wait_s: Sequence[float] = ()) -> None:
        self.left = left
        self.waits = list(wait_s)
        """What the next calls of `take` answer; then what is left decides."""
        self.out = False
        self.known: CreditsCounted | None = None
        self.corrected: list[int] = []
        self.taken: list[int] = []
        self.given_back: list[int] = []

    @property
    def spent(self) -> int:
        return sum(self.taken) - sum(self.given_back)

    def take(self, credits: int) -> float:
        if self.waits:
            return self.waits.pop(0) or self._spend(credits)
        return self._spend(credits)

    def _spend(self, credits: int) -> float:
        assert self.spent + credits <= self.left
        self.taken.append(credits)
        return 0.0

    def give_back(self, credits: int) -> None:
        self.given_back.append(credits)

    def counted(self) -> CreditsCounted | None:
        return self.known

    def spent_out(self) -> bool:
        return self.out

    def correct(self, remaining: int) -> None:
        self.corrected.append(remaining)


class FakePlaces:
    """Other loads leave this one so many places."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.wanted: list[bool] = []

    def share(self, ceiling: int, *, wants: bool) -> int:
        self.wanted.append(wants)
        return min(self.left, ceiling)
