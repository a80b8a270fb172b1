"""How many access tokens one refresh token may still obtain. Pure but for the memory of this process.

The token service locks out who asks for more than ten in ten minutes (OAuth page).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from loader.wire.limits import TOKENS_MAX, TOKENS_WINDOW_S


def wait_s(granted_at: Sequence[float], now: float) -> float:
    """0.0: one more token may be asked for; else the seconds until it may.

    `granted_at` holds Unix times in any order. One that lies further ahead than the window is no time at all.
    """
    counting = sorted(at for at in granted_at if now - TOKENS_WINDOW_S < at <= now + TOKENS_WINDOW_S)
    if len(counting) < TOKENS_MAX:
        return 0.0
    return counting[-TOKENS_MAX] + TOKENS_WINDOW_S - now


class OwnGrants:
    """The tokens that this process has asked for: nobody else uses the refresh token."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._granted: list[float] = []

    def try_turn(self) -> bool:
        return True

    def end_turn(self) -> None:
        """Nobody waits for it."""

    def take(self) -> float:
        now = self._clock()
        left = wait_s(self._granted, now)
        if left <= 0:
            self._granted = [*self._granted[-TOKENS_MAX + 1 :], now]
        return max(left, 0.0)

    def granted(self) -> None:
        if self._granted:
            self._granted[-1] = self._clock()

    def give_back(self) -> None:
        if self._granted:
            self._granted.pop()
