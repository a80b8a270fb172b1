"""How much an organisation may ask for: calls in flight and credits. Pure: `now` is handed in.

What a refusal looks like on the wire is `answers.py`; which call is asked for how much is `handlers.py`.
"""

from __future__ import annotations

from collections import deque
from typing import Final

LARGE_CALL_RECORDS: Final = 10
"""Inserts of more records than this count among the complex calls (limits page, sub-concurrency)."""

RECORDS_PER_CREDIT: Final = 10
"""An insert costs a credit for each 10 records (limits page)."""

CREDITS_WINDOW_S: Final = 24 * 3600
"""A spent credit comes back 24 hours after it was spent (limits page)."""

COQL_CREDITS: Final = ((200, 1), (1000, 2), (2000, 3))
"""Rows asked for and what a query for that many costs (COQL page)."""


def insert_credits(records: int) -> int:
    """What an insert of so many records costs; that a rest counts as a whole credit is an assumption."""
    return max(1, -(-records // RECORDS_PER_CREDIT))


def query_credits(limit: int) -> int:
    """What a COQL query for so many rows costs."""
    return next((cost for rows, cost in COQL_CREDITS if limit <= rows), COQL_CREDITS[-1][1])


class Places:
    """The calls that may be in flight at the same time; without a limit, any number."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.taken = 0

    def take(self) -> bool:
        """A place, or False where none is free; who got one gives it back once."""
        if self.limit is not None and self.taken >= self.limit:
            return False
        self.taken += 1
        return True

    def give_back(self) -> None:
        assert self.taken > 0, "a place was given back that nobody held"
        self.taken -= 1


class Credits:
    """A rolling account of 24 hours; without a total, nothing is counted."""

    def __init__(self, total: int | None) -> None:
        self.total = total
        self._spent: deque[tuple[float, int]] = deque()
        self._sum = 0

    def spend(self, cost: int, *, now: float) -> bool:
        """Takes so many credits, or none and False where fewer are left."""
        if self.total is None:
            return True
        self._forget(now)
        if self._sum + cost > self.total:
            return False
        self._spent.append((now, cost))
        self._sum += cost
        return True

    def shown(self, *, now: float) -> int | None:
        """What X-API-CREDITS-REMAINING says: nothing until half is used (limits page)."""
        if self.total is None:
            return None
        self._forget(now)
        return self.total - self._sum if self._sum * 2 >= self.total else None

    def _forget(self, now: float) -> None:
        while self._spent and self._spent[0][0] <= now - CREDITS_WINDOW_S:
            self._sum -= self._spent.popleft()[1]
