"""How long to wait before the next try. Pure: the jitter is handed in."""

from __future__ import annotations

FIRST_S = 0.25
MAX_S = 30.0


def delay_s(tries: int, *, jitter: float) -> float:
    """Seconds before a further try, after `tries` of them: doubling, with the upper half spread at random.

    `jitter` is in [0, 1).
    """
    grown = min(MAX_S, FIRST_S * 2.0 ** min(max(tries - 1, 0), 16))
    return grown * (0.5 + jitter / 2)
