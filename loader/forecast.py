"""What a load of so many records will take: calls, credits, time and days, by edition. Pure arithmetic.

The latency of a call is an assumption that the caller states; nobody has published one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from loader.throttle.credits import Standing
from loader.wire.editions import EDITIONS, credits_of
from loader.wire.limits import LARGE_CALLS_IN_FLIGHT_MAX, RECORDS_PER_CALL_MAX, credits_for

LATENCY_S: Final = 1.0
"""Assumed for a call of 100 records."""

DAY_S: Final = 24 * 3600


class EditionForecast(msgspec.Struct, frozen=True):
    """What the load takes where nothing else uses the organisation's credits."""

    edition: str
    places: int
    """Calls in flight: the edition's, and no more than the API's ten large ones."""
    credits_a_day: int
    seconds: float
    """From the first call to the last, waiting for credits to come back included."""
    days: int
    """Times 24 hours whose credits it uses."""


class Forecast(msgspec.Struct, frozen=True):
    """What a load of `records` records takes."""

    records: int
    calls: int
    credits: int
    latency_s: float
    users: int
    editions: tuple[EditionForecast, ...]


def forecast(records: int, *, alone: int = 0, users: int = 1, latency_s: float = LATENCY_S) -> Forecast:
    """The forecast for `records` records, of which `alone` travel in a call each."""
    full, rest = divmod(records - alone, RECORDS_PER_CALL_MAX)
    calls = full + (1 if rest else 0) + alone
    spent = full * credits_for(RECORDS_PER_CALL_MAX) + alone * credits_for(1)
    spent += credits_for(rest) if rest else 0
    editions = tuple(_edition(name, calls, spent, users=users, latency_s=latency_s) for name in EDITIONS)
    return Forecast(records, calls, spent, latency_s, users, editions)


class CreditForecast(msgspec.Struct, frozen=True):
    """The same load in an organisation of which something is known: what has been spent there."""

    spent: int
    """Credits of the last 24 hours."""
    a_day: int | None
    """Credits of the organisation; None: not known, and then neither is what follows."""
    kept: int
    free: int | None
    """What the load may spend at once."""
    seconds: float | None
    """Until its end, waiting for credits to come back included, where nobody else spends any."""


def in_organisation(plan: Forecast, standing: Standing) -> CreditForecast:
    """The forecast for an organisation that stands there."""
    usable = standing.usable
    if usable is None:
        return CreditForecast(standing.spent, None, 0, None, None)
    free = max(usable - standing.spent, 0)
    seconds = None
    if usable >= credits_for(RECORDS_PER_CALL_MAX):
        # What is spent of a day's credits can be spent again a day later, over and over.
        days, last = divmod(plan.credits - 1, usable) if plan.credits else (0, -1)
        sending_s = plan.calls * plan.latency_s / LARGE_CALLS_IN_FLIGHT_MAX
        seconds = max(sending_s, days * DAY_S + _free_in_s(last + 1 - free, standing.coming_back))
    return CreditForecast(standing.spent, standing.total, standing.kept, free, seconds)


def _free_in_s(missing: int, coming_back: Iterable[tuple[float, int]]) -> float:
    in_s = 0.0
    for at_s, credits in coming_back:
        if missing <= 0:
            break
        missing -= credits
        in_s = at_s
    return in_s


def _edition(name: str, calls: int, spent: int, *, users: int, latency_s: float) -> EditionForecast:
    places = min(EDITIONS[name].concurrency, LARGE_CALLS_IN_FLIGHT_MAX)
    daily = credits_of(name, users) or 1
    days = -(-spent // daily)
    sending_s = calls * latency_s / places
    # Credits come back 24 hours after each was spent: what is over one day's goes out a day later.
    beyond_s = 0.0 if days <= 1 else (days - 1) * DAY_S + sending_s * (spent - (days - 1) * daily) / spent
    return EditionForecast(name, places, daily, max(sending_s, beyond_s), days)
