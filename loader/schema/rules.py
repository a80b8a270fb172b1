"""What the fields of a record must be to each other: the rules that the API has for single modules.

Each rule reads a decoded record and finds problems; none knows the schema, the organisation or the time but
by what it is given. What an organisation rules for itself (layout rules, dependents of its picklists) is not
in the metadata, and so is the service's alone; what its layouts demand is `placement.py`. Unless a rule says
otherwise it is of the insert-records page. A value of the wrong type is the field's problem, not the rule's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

import msgspec

from loader.schema.explain import is_no_value, too_many
from loader.schema.fields import PARTICIPANTS_MAX
from loader.schema.problems import (
    DEPENDENT_FIELD_MISSING,
    DEPENDENT_MISMATCH,
    INVALID_DATA,
    MANDATORY_NOT_FOUND,
    Problem,
)

Record = Mapping[str, Any]
Found = Iterator[Problem]


class CrossRule(msgspec.Struct, frozen=True):
    """A rule that joins fields; called with a record and the Unix time (None: unknown)."""

    find: Callable[[Record, float | None], Found]
    keys: tuple[str, ...] = ()
    """A record with none of these has no problem by this rule; empty: every record may have one."""
    mandatory: str = ""
    """The rule says no more than that this field is mandatory, which the field may say itself."""

    def __call__(self, record: Record, now: float | None) -> Found:
        return self.find(record, now)

    def concerns(self, keys: Container[str]) -> bool:
        """Whether a record of no more than these keys can have a problem by this rule."""
        return not self.keys or any(key in keys for key in self.keys)


def rules_of(module_api_name: str) -> tuple[CrossRule, ...]:
    """The rules of every module, then those of this one."""
    return (*_EVERYWHERE, *_RULES.get(module_api_name, ()))


def _given(record: Record, key: str) -> bool:
    return not is_no_value(record.get(key))


def _absent(path: str, why: str, *, dependee: str = "", code: str = MANDATORY_NOT_FOUND) -> Problem:
    field = re.split(r"[.\[]", path, maxsplit=1)[0]
    words = "required field not found" if code == DEPENDENT_FIELD_MISSING else ""
    return Problem(code, f"{path} {why}", field, path=path, api_message=words, dependee=dependee)


def _wrong(path: str, why: str, *, expected: str = "", api_message: str = "") -> Problem:
    field = re.split(r"[.\[]", path, maxsplit=1)[0]
    return Problem(INVALID_DATA, f"{path} {why}", field, expected, path=path, api_message=api_message)


def _mismatch(key: str, why: str, *, dependee: str, api_message: str = "") -> Problem:
    return Problem(
        DEPENDENT_MISMATCH, f"{key} {why}", key, path=key, api_message=api_message, dependee=dependee
    )


def _wizard(record: Record, _now: float | None) -> Found:
    key = "$wizard_connection_path"
    if _given(record, "Wizard") and not _given(record, key):
        why = "is required with Wizard; give it the ids of the wizard's connections, in their order"
        yield _absent(key, why, dependee="Wizard", code=DEPENDENT_FIELD_MISSING)


_EVERYWHERE: Final = (CrossRule(_wizard, ("Wizard",)),)


# --- Calls -------------------------------------------------------------------------------------------------

CALL_TYPES: Final = ("Inbound", "Outbound", "Missed")
CALL_STATUS_KEYS: Final = ("Outgoing_Call_Status", "Outbound_Call_Status")
"""The page has the second name, the vendor's SDK the first; a record may use either."""

_DURATION: Final = re.compile(r"[0-9]{1,9}(?::[0-9]{1,2}){0,2}")
_DIGIT_OTHER_THAN_ZERO: Final = re.compile("[1-9]")


def _call_type(record: Record, _now: float | None) -> Found:
    kind = record.get("Call_Type")
    if isinstance(kind, str) and kind.strip() and kind not in CALL_TYPES:
        yield _wrong("Call_Type", f"is {kind[:40]!a}; it takes one of {', '.join(CALL_TYPES)}")


def _call_duration(record: Record, _now: float | None) -> Found:
    """Hours and minutes, or minutes and seconds (the API's own answers have the latter); never nothing."""
    duration = record.get("Call_Duration")
    if not isinstance(duration, str) or not duration.strip():
        return
    if _DURATION.fullmatch(duration.strip()) is None:
        yield _wrong("Call_Duration", f'is {duration[:40]!a}; it takes hours and minutes, "00:10"')
    elif record.get("Call_Type") in ("Inbound", "Outbound") and not _DIGIT_OTHER_THAN_ZERO.search(duration):
        why = "is zero, which only a missed call may be; give it how long the call lasted"
        yield _mismatch(
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
        elif isinstance(status, str) and status.strip():
            yield _wrong(key, f"is {status[:40]!a}; it takes one of Scheduled, Completed")
    if record.get("Call_Type") == "Inbound":
        yield from _completed_call(record, "Call_Type", ("Call_Start_Time", "Call_Duration"))
    elif record.get("Call_Type") == "Outbound" and not any(_given(record, key) for key in CALL_STATUS_KEYS):
        yield from _completed_call(record, "Call_Type", ("Call_Start_Time",))


def _completed_call(record: Record, dependee: str, needed: tuple[str, ...]) -> Found:
    for key in needed:
        if not _given(record, key):
            yield _absent(key, "is mandatory for a call that took place; give it a value", dependee=dependee)


def _scheduled_call(record: Record, status_key: str, now: float | None) -> Found:
    if not _given(record, "Who_Id") and not _given(record, "What_Id"):
        why = "or What_Id is mandatory for a scheduled call; name the record that the call is about"
        yield _absent("Who_Id", why, dependee=status_key)
    start = record.get("Call_Start_Time")
    if is_no_value(start):
        yield _absent("Call_Start_Time", "is mandatory for a scheduled call", dependee=status_key)
    elif now is not None and (moment := _moment(start)) is not None and moment <= now:
        why = "is not in the future; a scheduled call has yet to begin, others are Completed"
        yield _mismatch("Call_Start_Time", why, dependee=status_key)


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
    if _given(record, "What_Id") and not _given(record, "$se_module"):
        why = 'is mandatory with What_Id; give it the module of that record, "Accounts"'
        yield _absent("$se_module", why, dependee="What_Id")


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
    if not _given(record, "What_Id") or not isinstance(module, str) or not module.strip():
        return
    if module not in EVENT_WHAT_MODULES:
        yield _wrong(
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
            yield _wrong(f"Participants[{index}].type", why)


def _recurring_event_reminds(record: Record, _now: float | None) -> Found:
    if _given(record, "Recurring_Activity") and not _given(record, "Remind_At"):
        why = "is mandatory for a recurring event; give it when to remind"
        yield _absent("Remind_At", why, dependee="Recurring_Activity")


def _recurrence(record: Record, _now: float | None) -> Found:
    activity = record.get("Recurring_Activity")
    if activity is None:
        return
    if not isinstance(activity, dict):
        why = 'takes an object, {"RRULE": "FREQ=DAILY;INTERVAL=1;DTSTART=2023-05-20;UNTIL=2023-05-28"}'
        yield _wrong("Recurring_Activity", why, expected="jsonobject")
        return
    rule, path = activity.get("RRULE"), "Recurring_Activity.RRULE"
    if is_no_value(rule):
        yield _absent(path, 'is mandatory; give it a rule, "FREQ=DAILY;INTERVAL=1"')
    elif not isinstance(rule, str):
        yield _wrong(path, 'takes a string, "FREQ=DAILY;INTERVAL=1"', expected="text")
    elif not _parts(rule).get("FREQ"):
        yield _wrong(path, f'is {rule[:40]!a}; it needs a frequency, "FREQ=DAILY;INTERVAL=1"')


def _parts(text: str) -> dict[str, str]:
    """`FREQ=NONE;ACTION=EMAIL` as a mapping; keys in capitals."""
    pairs = (part.partition("=") for part in text.split(";"))
    return {key.strip().upper(): value.strip() for key, _, value in pairs}


_REMINDER_ACTION: Final = re.compile("(?:EMAIL|POPUP)(?:(?:AND|,)(?:EMAIL|POPUP))?")
_BEFORE: Final = re.compile("-P(?:[1-6]D|[1-3]W)")


def _task_reminder(record: Record, _now: float | None) -> Found:
    """One reminder or an array of them, each an object, or a string under ALARM or by itself."""
    given = record.get("Remind_At")
    recurring = _given(record, "Recurring_Activity")
    many = isinstance(given, list)
    for index, each in enumerate(given if isinstance(given, list) else [given]):
        path = f"Remind_At[{index}]" if many else "Remind_At"
        alarm = each.get("ALARM", each) if isinstance(each, dict) else each
        if isinstance(alarm, str) and alarm.strip():
            # Of one text the API can name no part.
            yield from _reminder(_parts(alarm), path if alarm is each else f"{path}.ALARM", recurring, "")
        elif isinstance(alarm, dict) and alarm:
            yield from _reminder(alarm, path, recurring, ".")


def _reminder(parts: Mapping[str, Any], path: str, recurring: bool, dot: str) -> Found:
    def place(key: str) -> str:
        return f"{path}{dot}{key}" if dot else path

    action, trigger = parts.get("ACTION"), parts.get("TRIGGER")
    if is_no_value(action):
        yield _absent(place("ACTION"), "needs ACTION, which is mandatory: EMAIL or POPUP")
    elif not isinstance(action, str) or _REMINDER_ACTION.fullmatch(action) is None:
        yield _wrong(place("ACTION"), "takes EMAIL or POPUP as ACTION")
    if is_no_value(trigger):
        yield _absent(place("TRIGGER"), "needs TRIGGER, which is mandatory: a date and time")
    elif not isinstance(trigger, str) or not trigger.startswith("-P"):
        if _trigger_moment(trigger) is None:
            yield _wrong(place("TRIGGER"), "takes a date and time as TRIGGER", expected="datetime")
    elif _BEFORE.fullmatch(trigger) is None:
        yield _wrong(place("TRIGGER"), "takes -P1D to -P6D or -P1W to -P3W as TRIGGER")
    elif not recurring:
        yield _wrong(
            place("TRIGGER"), "takes a date and time as TRIGGER; -PnD and -PmW are for recurring tasks"
        )
    elif is_no_value(parts.get("TRIGGER_TIME")):
        yield _absent(place("TRIGGER_TIME"), 'needs TRIGGER_TIME, mandatory with -PnD and -PmW: "10:30"')


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


# --- Inventory, deals, appointments ------------------------------------------------------------------------


def _line_items(*keys: str) -> CrossRule:
    """Line items are mandatory, and none is as good as no key; of several names any one will do."""

    def find(record: Record, _now: float | None) -> Found:
        if not any(_given(record, key) for key in keys):
            yield _absent(keys[0], "is mandatory; give it a line item at least")

    return CrossRule(find, mandatory=keys[0] if len(keys) == 1 else "")


PRICING_DETAILS: Final = ("from_range", "to_range", "discount")


def _pricing_details(record: Record, _now: float | None) -> Found:
    rows = record.get("Pricing_Details")
    for index, row in enumerate(rows if isinstance(rows, list) else ()):
        for key in PRICING_DETAILS:
            if isinstance(row, dict) and is_no_value(row.get(key)):
                yield _absent(f"Pricing_Details[{index}].{key}", "is mandatory; give it a number")


def _probability(record: Record, _now: float | None) -> Found:
    share = record.get("Probability")
    if isinstance(share, int | float) and not isinstance(share, bool) and not 0 <= share <= 100:
        why = "is below 0 or above 100; it takes a percentage"
        yield _wrong("Probability", why, api_message="Given Probability is not valid")


JOB_SHEET: Final = "Job_Sheet_Section__s"
JOB_SHEET_REQUIRED_KEYS: Final = ("Job_Sheet_Required", "Job_Sheet_Required__s")


def _job_sheet(record: Record, _now: float | None) -> Found:
    given = _given(record, JOB_SHEET)
    for key in JOB_SHEET_REQUIRED_KEYS:
        answer = record.get(key)
        yes = answer is True or (isinstance(answer, str) and answer.strip().lower() in ("yes", "true"))
        if yes and not given:
            why = f"is required, as {key} is yes; give it the job sheet"
            yield _absent(JOB_SHEET, why, dependee=key, code=DEPENDENT_FIELD_MISSING)
    if given and record.get("Status") != "Completed":
        why = "is for appointments that are Completed; leave it out, or complete the appointment"
        yield _mismatch(JOB_SHEET, why, dependee="Status")


_RULES: Final[Mapping[str, tuple[CrossRule, ...]]] = MappingProxyType(
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
        ),
        "Tasks": (
            CrossRule(_recurrence, ("Recurring_Activity",)),
            CrossRule(_task_reminder, ("Remind_At",)),
        ),
        "Quotes": (_line_items("Quoted_Items"),),
        "Sales_Orders": (_line_items("Ordered_Items"),),
        "Invoices": (_line_items("Invoiced_Items"),),
        # The page's name, then the one of the vendor's SDK.
        "Purchase_Orders": (_line_items("Purchased_Items", "Purchase_Items"),),
        "Price_Books": (CrossRule(_pricing_details, ("Pricing_Details",)),),
        "Deals": (CrossRule(_probability, ("Probability",)),),
        "Appointments__s": (CrossRule(_job_sheet, (JOB_SHEET, *JOB_SHEET_REQUIRED_KEYS)),),
    }
)
