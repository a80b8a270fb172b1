"""What an edition of the CRM allows: calls in flight, and credits in 24 hours. Facts, and one sum."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec


class Edition(msgspec.Struct, frozen=True):
    """One edition."""

    name: str
    concurrency: int
    """Calls in flight (limits page)."""
    credits_base: int
    """Credits of a rolling 24 hours that every organisation has (limits page)."""
    credits_per_user: int
    """What each licence adds."""
    credits_cap: int | None
    """The most that there may be; None: no end is documented."""


_ALL: Final = (
    Edition("free", 5, 5_000, 0, 5_000),
    Edition("standard", 10, 50_000, 250, 100_000),
    Edition("professional", 15, 50_000, 500, 3_000_000),
    Edition("enterprise", 20, 50_000, 1_000, 5_000_000),
    Edition("ultimate", 25, 50_000, 2_000, None),
)

EDITIONS: Final[Mapping[str, Edition]] = MappingProxyType({each.name: each for each in _ALL})
"""By name, as the command line has it (limits page, versions 4 and 8)."""


def credits_of(edition: str, users: int) -> int | None:
    """The credits of an organisation of this edition with so many licences; None: no such edition."""
    facts = EDITIONS.get(edition)
    if facts is None:
        return None
    credits_ = facts.credits_base + facts.credits_per_user * users
    return credits_ if facts.credits_cap is None else min(credits_, facts.credits_cap)
