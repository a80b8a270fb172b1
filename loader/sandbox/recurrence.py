"""How often a recurring event or task happens. Pure: a rule in, the records that it makes out.

The insert-records page shows `FREQ=DAILY;INTERVAL=1;DTSTART=2023-05-20;UNTIL=2023-05-28`, and several items
in the answer to it. Parts that are not named here (BYDAY ...) are stepped over.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, Final

import msgspec

FIELD: Final = "Recurring_Activity"

OCCURRENCES_MAX: Final = 100
"""Our bound on what one record may become: no page names one."""

_DAYS: Final = {"DAILY": 1, "WEEKLY": 7}
_MONTHS: Final = {"MONTHLY": 1, "YEARLY": 12}
_MOVED: Final = ("Start_DateTime", "End_DateTime", "Due_Date")
"""Fields of events and tasks that say when; each occurrence has its own."""

_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Recurrence(msgspec.Struct, frozen=True):
    """A rule, as far as it is understood."""

    frequency: str
    interval: int = 1
    start: date | None = None
    until: date | None = None
    count: int = OCCURRENCES_MAX


def recurrence_of(rule: str) -> Recurrence | None:
    """What an RRULE says, or None where it cannot be read."""
    pairs = (part.split("=", 1) for part in rule.split(";") if "=" in part)
    parts = {name.strip().upper(): value.strip() for name, value in pairs}
    frequency = parts.get("FREQ", "").upper()
    if frequency not in _DAYS and frequency not in _MONTHS:
        return None
    try:
        found = Recurrence(
            frequency,
            int(parts.get("INTERVAL", "1")),
            _date(parts["DTSTART"]) if "DTSTART" in parts else None,
            _date(parts["UNTIL"]) if "UNTIL" in parts else None,
            int(parts.get("COUNT", OCCURRENCES_MAX)),
        )
    except ValueError:
        return None
    return found if found.interval > 0 and found.count > 0 else None


def _date(text: str) -> date:
    """A date, or the date of a time: `2023-05-20`, `20230520`, `20230520T090000Z`."""
    digits = text[:10].replace("-", "") if "-" in text[:10] else text[:8]
    return date.fromisoformat(f"{digits[:4]}-{digits[4:6]}-{digits[6:]}")


def days_of(recurrence: Recurrence, *, otherwise: date) -> tuple[date, ...]:
    """When it happens; the first time always. `otherwise` is the start of a rule that names none."""
    start = recurrence.start or otherwise
    most = min(recurrence.count, OCCURRENCES_MAX)
    days = [start]
    for day in _later(recurrence, start):
        if len(days) == most or (recurrence.until is not None and day > recurrence.until):
            break
        days.append(day)
    return tuple(days)


def _later(recurrence: Recurrence, start: date) -> Iterator[date]:
    if recurrence.frequency in _DAYS:
        step = _DAYS[recurrence.frequency] * recurrence.interval
        for number in range(start.toordinal() + step, date.max.toordinal() + 1, step):
            yield date.fromordinal(number)
        return
    months = _MONTHS[recurrence.frequency] * recurrence.interval
    month = start.year * 12 + start.month - 1 + months
    while month < 12 * date.max.year:
        year, index = divmod(month, 12)
        # A month without such a day has no occurrence.
        if start.day <= calendar.monthrange(year, index + 1)[1]:
            yield date(year, index + 1, start.day)
        month += months


def occurrences(raw: bytes, *, today: date) -> tuple[bytes, ...]:
    """The records that this one becomes, the first as it is written.

    A rule that is not understood makes one: which rules the API refuses, no page says.
    """
    members = _MEMBERS.decode(raw)
    rule = _rule(members)
    recurrence = recurrence_of(rule) if rule is not None else None
    if recurrence is None:
        return (raw,)
    starts = (_moment(members.get(name)) for name in _MOVED)
    first = next((day for each in starts if (day := _day(each)) is not None), today)
    days = days_of(recurrence, otherwise=first)
    return (raw, *(_moved(members, day - days[0]) for day in days[1:]))


def _rule(members: dict[str, msgspec.Raw]) -> str | None:
    value: Any = msgspec.json.decode(members.get(FIELD, b"null"))
    rule = value.get("RRULE") if isinstance(value, dict) else None
    return rule if isinstance(rule, str) else None


def _moment(raw: msgspec.Raw | None) -> str:
    """The text of a date or a time; empty where there is none."""
    value = None if raw is None else msgspec.json.decode(raw)
    return value if isinstance(value, str) else ""


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None


def _moved(members: dict[str, msgspec.Raw], by: timedelta) -> bytes:
    new = dict[str, Any](members)
    for name in _MOVED:
        text = _moment(members.get(name))
        day = _day(text)
        if day is not None and day <= date.max - by:
            new[name] = (day + by).isoformat() + text[10:]
    return msgspec.json.encode(new)
