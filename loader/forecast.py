"""What a load of so many records will take: calls, credits, time and days, by edition. Pure arithmetic.

The latency of a call is an assumption that the caller states; nobody has published one.
"""

from __future__ import annotations

from typing import Final

import msgspec

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


def _edition(name: str, calls: int, spent: int, *, users: int, latency_s: float) -> EditionForecast:
    places = min(EDITIONS[name].concurrency, LARGE_CALLS_IN_FLIGHT_MAX)
    daily = credits_of(name, users) or 1
    days = -(-spent // daily)
    sending_s = calls * latency_s / places
    # Credits come back 24 hours after each was spent: what is over one day's goes out a day later.
    beyond_s = 0.0 if days <= 1 else (days - 1) * DAY_S + sending_s * (spent - (days - 1) * daily) / spent
    return EditionForecast(name, places, daily, max(sending_s, beyond_s), days)
