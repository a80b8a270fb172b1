"""The places in flight of an organisation, divided among the loads that want them. Pure.

Max-min fair: nobody gets more than it can use, and what one leaves the others share evenly.
"""

from __future__ import annotations

from collections.abc import Sequence


def divided(places: int, wanted: Sequence[int]) -> list[int]:
    """`places` among those who want so many each, in this order; who wants any gets one at least.

    The order decides who gets what cannot be divided, so all who divide must have the same.
    """
    shares = [0] * len(wanted)
    left = places
    # The most modest first: what they leave is for the others.
    waiting = sorted((want, index) for index, want in enumerate(wanted) if want > 0)
    order = sorted(index for _, index in waiting)
    for position, (want, index) in enumerate(waiting):
        heads = len(waiting) - position
        # Whoever stands in front of the order among those who wait gets the place more.
        more = sum(1 for other in order if other < index) < left % heads
        shares[index] = max(1, min(want, left // heads + more))
        order.remove(index)
        left = max(0, left - shares[index])
    return shares
