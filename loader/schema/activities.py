"""What the fields of a call, an event or a task must be to each other (insert-records page)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

import msgspec

from loader.schema.cross import CrossRule, Found, Record, absent, is_given, mismatch, wrong
from loader.schema.explain import is_no_value, too_many
from loader.schema.fields import PARTICIPANTS_MAX

# --- Calls -------------------------------------------------------------------------------------------------

CALL_TYPES: Final = ("Inbound", "Outbound", "Missed")
CALL_STATUS_KEYS: Final = ("Outgoing_Call_Status", "Outbound_Call_Status")
"""The page has the second name, the vendor's SDK the first; a record may use either."""

_DURATION: Final = re.compile(r"[0-9]{1,9}(?::[0-9]{1,2}){0,2}")
_DIGIT_OTHER_THAN_ZERO: Final = re.compile("[1-9]")


def _call_type(record: Record, _now: float | None) -> Found:
    kind = record.get("Call_Type")
    if isinstance(kind, str) and kind.strip() and kind not in CALL_TYPES:
        yield wrong("Call_Type", f"is {kind[:40]!a}; it takes one of {', '.join(CALL_TYPES)}")


def _call_duration(record: Record, _now: float | None) -> Found:
    """Hours and minutes, or minutes and seconds (the API's own answers have the latter); never nothing."""
    duration = record.get("Call_Duration")
    if not isinstance(duration, str) or not duration.strip():
        return
    if _DURATION.fullmatch(duration.strip()) is None:
        yield wrong("Call_Duration", f'is {duration[:40]!a}; it takes hours and minutes, "00:10"')
    elif record.get("Call_Type") in ("Inbound", "Outbound") and not _DIGIT_OTHER_THAN_ZERO.search(duration):
        why = "is zero, which only a missed call may be; give it how long the call lasted"
        yield mismatch(
            "Call_Duration", why, dependee="Call_Type", api_message="Call Duration can not be zero."
        )


def _call_status(record: Record, now: float | None) -> Found:
    """An inbound call that was not missed is completed; an outbound one without a status may be either."""
    for key in CALL_STATUS_KEYS:
        status = record.get(key)
        if status == "Scheduled":
            yield from _scheduled_call(record, key, now)
        elif status == "Completed":
            yield from _completed_call(record, key, ("Call_Start_Time", "Call_Duration"))
        elif isinstance(status, str) and status:
            yield wrong(key, f"is {status[:40]!a}; it takes one of Scheduled, Completed")
    if record.get("Call_Type") == "Inbound":
        yield from _completed_call(record, "Call_Type", ("Call_Start_Time", "Call_Duration"))
    elif record.get("Call_Type") == "Outbound" and not any(is_given(record, key) for key in CALL_STATUS_KEYS):
        yield from _completed_call(record, "Call_Type", ("Call_Start_Time",))


def _completed_call(record: Record, dependee: str, needed: tuple[str, ...]) -> Found:
    for key in needed:
        if not is_given(record, key):
            yield absent(key, "is mandatory for a call that took place; give it a value", dependee=dependee)


def _scheduled_call(record: Record, status_key: str, now: float | None) -> Found:
    if not is_given(record, "Who_Id") and not is_given(record, "What_Id"):
        why = "or What_Id is mandatory for a scheduled call; name the record that the call is about"
        yield absent("Who_Id", why, dependee=status_key)
    start = record.get("Call_Start_Time")
    if is_no_value(start):
        yield absent("Call_Start_Time", "is mandatory for a scheduled call", dependee=status_key)
    elif now is not None and (moment := _moment(start)) is not None and moment <= now:
        why = "is not in the future; a scheduled call has yet to begin, others are Completed"
        yield mismatch("Call_Start_Time", why, dependee=status_key)


def _moment(text: object) -> float | None:
    """Unix seconds of a time with an offset; without one it is the user's own, which is not known here."""
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    if moment is None or moment.tzinfo is None:
        return None
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()


def _what_has_module(record: Record, _now: float | None) -> Found:
    if is_given(record, "What_Id") and not is_given(record, "$se_module"):
        why = 'is mandatory with What_Id; give it the module of that record, "Accounts"'
        yield absent("$se_module", why, dependee="What_Id")


# --- Events and tasks --------------------------------------------------------------------------------------

EVENT_WHAT_MODULES: Final = (
    "Accounts",
    "Deals",
    "Products",
    "Quotes",
    "Sales_Orders",
    "Purchase_Orders",
    "Invoices",
    "Campaigns",
    "Vendors",
    "Cases",
)
PARTICIPANT_TYPES: Final = ("lead", "contact", "user", "email")


def _event_what(record: Record, _now: float | None) -> Found:
    module = record.get("$se_module")
    if not is_given(record, "What_Id") or not isinstance(module, str) or not module.strip():
        return
    if module not in EVENT_WHAT_MODULES:
        yield wrong(
            "$se_module", f"is {module[:40]!a}; an event takes one of {', '.join(EVENT_WHAT_MODULES)}"
        )


def _participants(record: Record, _now: float | None) -> Found:
    people = record.get("Participants")
    if not isinstance(people, list):
        return
    if len(people) > PARTICIPANTS_MAX:
        yield too_many("Participants", "Participants", len(people), PARTICIPANTS_MAX)
    for index, person in enumerate(people):
        kind = person.get("type") if isinstance(person, dict) else None
        if isinstance(kind, str) and kind not in PARTICIPANT_TYPES:
            why = f"is {kind[:40]!a}; it takes one of {', '.join(PARTICIPANT_TYPES)}"
            yield wrong(f"Participants[{index}].type", why)


def _recurring_event_reminds(record: Record, _now: float | None) -> Found:
    if is_given(record, "Recurring_Activity") and not is_given(record, "Remind_At"):
        why = "is mandatory for a recurring event; give it when to remind"
        yield absent("Remind_At", why, dependee="Recurring_Activity")


_PERIODS: Final = ("mins", "hrs", "days", "weeks")
_PERIOD: Final = re.compile("(?:min(?:ute)?|h(?:ou)?r|day|week)s?", re.IGNORECASE)
"""The page's words, and those of its sample: minutes and days."""
REMINDER_UNITS_MAX: Final = 60
_UNIT_PERIOD: Final = re.compile(r"\s*([0-9]{1,9})\s+(\S{1,40})\s*")
_DIGITS: Final = re.compile("[0-9]{1,9}")


def _event_reminder(record: Record, _now: float | None) -> Found:
    """`{"unit": 15, "period": "minutes"}` or "15 mins", one or an array; other texts are let through."""
    given = record.get("Remind_At")
    many = isinstance(given, list)
    for index, each in enumerate(given if isinstance(given, list) else [given]):
        path = f"Remind_At[{index}]" if many else "Remind_At"
        if isinstance(each, dict):
            yield from _unit(each.get("unit"), f"{path}.unit")
            yield from _period(each.get("period"), f"{path}.period")
        elif isinstance(each, str):
            if (parts := _UNIT_PERIOD.fullmatch(each)) is not None:
                yield from _unit(int(parts[1]), path)
                yield from _period(parts[2], path)
        elif each is not None:
            yield wrong(path, 'takes an object, {"unit": 15, "period": "mins"}', expected="jsonobject")


def _unit(unit: object, path: str) -> Found:
    if isinstance(unit, str) and _DIGITS.fullmatch(unit):
        unit = int(unit)
    if unit is None or (
        isinstance(unit, int) and not isinstance(unit, bool) and 0 <= unit <= REMINDER_UNITS_MAX
    ):
        return
    yield wrong(path, f"takes a whole number from 0 to {REMINDER_UNITS_MAX} as unit", expected="integer")


def _period(period: object, path: str) -> Found:
    if period is not None and not (isinstance(period, str) and _PERIOD.fullmatch(period.strip())):
        yield wrong(path, f"takes one of {', '.join(_PERIODS)} as period")


def _recurrence(record: Record, _now: float | None) -> Found:
    activity = record.get("Recurring_Activity")
    if activity is None:
        return
    if not isinstance(activity, dict):
        why = 'takes an object, {"RRULE": "FREQ=DAILY;INTERVAL=1;DTSTART=2023-05-20;UNTIL=2023-05-28"}'
        yield wrong("Recurring_Activity", why, expected="jsonobject")
        return
    rule, path = activity.get("RRULE"), "Recurring_Activity.RRULE"
    if is_no_value(rule):
        yield absent(path, 'is mandatory; give it a rule, "FREQ=DAILY;INTERVAL=1"')
    elif not isinstance(rule, str):
        yield wrong(path, 'takes a string, "FREQ=DAILY;INTERVAL=1"', expected="text")
    elif not _parts(rule).get("FREQ"):
        yield wrong(path, f'is {rule[:40]!a}; it needs a frequency, "FREQ=DAILY;INTERVAL=1"')


def _parts(text: str) -> dict[str, str]:
    """`FREQ=NONE;ACTION=EMAIL` as a mapping; keys in capitals."""
    pairs = (part.partition("=") for part in text.split(";"))
    return {key.strip().upper(): value.strip() for key, _, value in pairs}


_REMINDER_ACTION: Final = re.compile("(?:EMAIL|POPUP)(?:(?:AND|,)(?:EMAIL|POPUP))?")
_BEFORE: Final = re.compile("-P(?:[1-6]D|[1-3]W)")
_TIME_OF_DAY: Final = re.compile("(?:[01]?[0-9]|2[0-3])[:.][0-5][0-9](?:[:.][0-5][0-9])?")
"""With a dot, as the sample of an event has it, or a colon."""


def _task_reminder(record: Record, _now: float | None) -> Found:
    """One reminder or an array of them, each an object, or a string under ALARM or by itself."""
    given = record.get("Remind_At")
    recurring = is_given(record, "Recurring_Activity")
    many = isinstance(given, list)
    for index, each in enumerate(given if isinstance(given, list) else [given]):
        path = f"Remind_At[{index}]" if many else "Remind_At"
        alarm = each.get("ALARM", each) if isinstance(each, dict) else each
        if isinstance(alarm, str) and alarm.strip():
            # Of one text the API can name no part.
            yield from _reminder(_parts(alarm), path if alarm is each else f"{path}.ALARM", recurring, "")
        elif isinstance(alarm, dict) and alarm:
            yield from _reminder(alarm, path, recurring, ".")
        elif alarm is not None and not isinstance(alarm, str | dict):
            why = 'takes an object, {"ACTION": "EMAIL", "TRIGGER": "2023-05-28T10:30:00+05:30"}'
            yield wrong(path, why, expected="jsonobject")


def _reminder(parts: Mapping[str, Any], path: str, recurring: bool, dot: str) -> Found:
    def place(key: str) -> str:
        return f"{path}{dot}{key}" if dot else path

    action, trigger = parts.get("ACTION"), parts.get("TRIGGER")
    if is_no_value(action):
        yield absent(place("ACTION"), "needs ACTION, which is mandatory: EMAIL or POPUP")
    elif not isinstance(action, str) or _REMINDER_ACTION.fullmatch(action) is None:
        yield wrong(place("ACTION"), "takes EMAIL or POPUP as ACTION")
    if is_no_value(trigger):
        yield absent(place("TRIGGER"), "needs TRIGGER, which is mandatory: a date and time")
    elif not isinstance(trigger, str) or not trigger.startswith("-P"):
        if _trigger_moment(trigger) is None:
            yield wrong(place("TRIGGER"), "takes a date and time as TRIGGER", expected="datetime")
    elif _BEFORE.fullmatch(trigger) is None:
        yield wrong(place("TRIGGER"), "takes -P1D to -P6D or -P1W to -P3W as TRIGGER")
    elif not recurring:
        yield wrong(
            place("TRIGGER"), "takes a date and time as TRIGGER; -PnD and -PmW are for recurring tasks"
        )
    elif is_no_value(parts.get("TRIGGER_TIME")):
        yield absent(place("TRIGGER_TIME"), 'needs TRIGGER_TIME, mandatory with -PnD and -PmW: "10:30"')
    elif not isinstance(at := parts["TRIGGER_TIME"], str) or _TIME_OF_DAY.fullmatch(at.strip()) is None:
        yield wrong(place("TRIGGER_TIME"), 'takes the time of a day of 24 hours as TRIGGER_TIME: "10:30"')


def _trigger_moment(trigger: object) -> datetime | None:
    try:
        return (
            datetime.fromisoformat(trigger.removeprefix("DATE-TIME:")) if isinstance(trigger, str) else None
        )
    except ValueError:
        return None


class _Recurring(msgspec.Struct, gc=False):
    Recurring_Activity: Any = None


_RECURRING: Final = msgspec.json.Decoder(_Recurring, float_hook=float)


def is_recurring(raw: bytes) -> bool:
    """Whether the record makes several: the API answers it with an item for each, so it travels alone."""
    # A backslash may spell the key in another way.
    if b"Recurring_Activity" not in raw and b"\\" not in raw:
        return False
    try:
        return _RECURRING.decode(raw).Recurring_Activity is not None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


RULES_OF_ACTIVITIES: Final[Mapping[str, tuple[CrossRule, ...]]] = MappingProxyType(
    {
        "Calls": (
            CrossRule(_call_type, ("Call_Type",)),
            CrossRule(_call_duration, ("Call_Duration",)),
            CrossRule(_call_status, ("Call_Type", *CALL_STATUS_KEYS)),
            CrossRule(_what_has_module, ("What_Id",)),
        ),
        "Events": (
            CrossRule(_what_has_module, ("What_Id",)),
            CrossRule(_event_what, ("$se_module",)),
            CrossRule(_participants, ("Participants",)),
            CrossRule(_recurrence, ("Recurring_Activity",)),
            CrossRule(_recurring_event_reminds, ("Recurring_Activity",)),
            CrossRule(_event_reminder, ("Remind_At",)),
        ),
        "Tasks": (
            CrossRule(_recurrence, ("Recurring_Activity",)),
            CrossRule(_task_reminder, ("Remind_At",)),
        ),
    }
)
