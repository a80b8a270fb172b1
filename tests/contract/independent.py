"""A second opinion on records, written from the insert-records page alone. It knows nothing of the loader.

Slow, plain, and only yes or no. What the page leaves open is decided as the documentation says: the check
lets through what the API may take. The fields are those of the samples' custom module, and what the page
says of the standard ones.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import date, time
from typing import Any

Judge = Callable[[Any], bool]
"""Of a value that is there: whether the API takes it."""


# --- Patterns: the page's own, character by character ----------------------------------------------------


def _kind(character: str) -> str:
    return unicodedata.category(character)[0]


def _word(character: str) -> bool:
    return _kind(character) in "LMN"


def is_email(text: str) -> bool:
    """`^[+-_LMN][LMN and marks.]*@(?=.{4,256}$)((LMN+)(([-_]*LMN)*)[.])+[LM]{2,22}$`."""
    local, at, domain = text.partition("@")
    if not at or not local or not (_word(local[0]) or local[0] in "+-_"):
        return False
    if not all(_word(each) or each in "!#$%&'*+-/=?^_`{|}~." for each in local[1:]):
        return False
    if not 4 <= len(domain) <= 256:
        return False
    *labels, last = domain.split(".")
    if not labels or not 2 <= len(last) <= 22 or not all(_kind(each) in "LM" for each in last):
        return False
    return all(
        label and _word(label[0]) and _word(label[-1]) and all(_word(each) or each in "-_" for each in label)
        for label in labels
    )


_ALNUM = "[0-9a-zA-Z]"
_PRINTED_PHONE = re.compile(
    rf"^([+]?)(?![.-])(?>(?>[.-]?[ ]?{_ALNUM}+)+"
    rf"|([ ]?((?![.-])(?>[ .-]?{_ALNUM}+)+)(?![.])([ -]?{_ALNUM}+)?)+)+"
    rf"(?>(?>([,]+)?[;]?{_ALNUM}+)+(([#]{_ALNUM}+)+)?)?[#;]?$"
)
_PHONE_WITH_PARENTHESES = re.compile(
    rf"^([+]?)(?![.-])(?>(?>[.-]?[ ]?{_ALNUM}+)+"
    rf"|([ ]?\((?![.-])(?>[ .-]?{_ALNUM}+)+\)(?![.])([ -]?{_ALNUM}+)?)+)+"
    rf"(?>(?>([,]+)?[;]?{_ALNUM}+)+(([#]{_ALNUM}+)+)?)?[#;]?$"
)


def is_phone(text: str) -> bool:
    """The printed pattern, or the same with the parentheses that the page's own example has."""
    return bool(_PRINTED_PHONE.search(text) or _PHONE_WITH_PARENTHESES.search(text))


_URL = re.compile(
    r"^(http:\/\/www.|https:\/\/www.|ftp:\/\/www.|www.|http:\/\/|https:\/\/|ftp:\/\/|){1}"
    r"[^\x00-\x19\x22-\x27\x2A-\x2C\x2E-\x2F\x3A-\x3F\x5B-\x5E\x60\x7B\x7D-\x7F]+"
    r"(\.[^\x00-\x19\x22\x24-\x2C\x2E-\x2F\x3C\x3E\x40\x5B-\x5E\x60\x7B\x7D-\x7F]+)+([\/\?].*)*$"
)


def is_url(text: str) -> bool:
    """The printed pattern."""
    return bool(_URL.search(text))


# --- Types ("Sample Attributes") -------------------------------------------------------------------------


def text_of(most: int, pattern: Judge | None = None) -> Judge:
    """A string of so many characters; an empty one is no value, whatever its pattern."""

    def judge(value: Any) -> bool:
        if not isinstance(value, str) or len(value) > most:
            return False
        return not value or pattern is None or pattern(value)

    return judge


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def number_of(digits: int, *, whole: bool = False, decimals: int | None = None) -> Judge:
    """A number with so many digits before the point, and behind it; a double, as the page has it."""

    def judge(value: Any) -> bool:
        if not _is_number(value) or (whole and not isinstance(value, int)):
            return False
        if decimals is not None and round(value, decimals) != value:
            return False
        return bool(abs(value) < 10**digits)

    return judge


def is_date(value: Any) -> bool:
    """`yyyy-MM-dd`, a day that there is."""
    if not isinstance(value, str) or not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        return False
    try:
        date(*map(int, value.split("-")))
    except ValueError:
        return False
    return True


def is_moment(value: Any) -> bool:
    """`yyyy-MM-ddTHH:mm:ss` with an offset; captured answers take none too, and no fraction of a second."""
    if not isinstance(value, str):
        return False
    parts = re.fullmatch("(.{10})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:Z|[+-]([0-9]{2}):([0-9]{2}))?", value)
    if not parts or not is_date(parts[1]):
        return False
    try:
        time(int(parts[2]), int(parts[3]), int(parts[4]))
        time(int(parts[5] or 0), int(parts[6] or 0))
    except ValueError:
        return False
    return True


def is_bigint(value: Any) -> bool:
    """Up to 18 digits, in a string."""
    return isinstance(value, str) and bool(re.fullmatch("-?[0-9]{1,18}", value))


def is_flag(value: Any) -> bool:
    """Only Boolean values."""
    return isinstance(value, bool)


def is_reference(value: Any) -> bool:
    """An object; its id, if it has one, is a string of digits; the vendor's own client writes a number."""
    if not isinstance(value, dict):
        return False
    if "id" not in value:
        return True
    identifier = value["id"]
    if isinstance(identifier, int) and not isinstance(identifier, bool):
        return 0 <= identifier < 10**19
    return isinstance(identifier, str) and bool(re.fullmatch("[0-9]{1,19}", identifier))


def list_of(judge: Judge, most: int | None = None) -> Judge:
    """An array of these."""
    return lambda value: (
        isinstance(value, list) and (most is None or len(value) <= most) and all(map(judge, value))
    )


def object_with(**members: Judge) -> Judge:
    """An object in which each of these members is good where it is there."""
    return lambda value: (
        isinstance(value, dict)
        and all(value.get(name) is None or judge(value[name]) for name, judge in members.items())
    )


def link_of(name: str) -> Judge:
    """An item of a multi-select lookup: the object with the id stands under the name."""
    return lambda value: (
        isinstance(value, dict) and name in value and is_reference(value[name]) and _has_id(value[name])
    )


def _has_id(value: Any) -> bool:
    return value.get("id") is not None


def is_file(value: Any) -> bool:
    """`File_Id__s`, string, mandatory."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("File_Id__s"), str)
        and bool(value["File_Id__s"].strip())
    )


VEHICLES: Mapping[str, Judge] = {
    "Name": text_of(120),
    "Small": text_of(255),
    "Notes": text_of(2000),
    "Contact": text_of(100, is_email),
    "Hotline": text_of(30, is_phone),
    "Page": text_of(255, is_url),
    "Colour": text_of(120),
    "Extras": list_of(lambda value: isinstance(value, str)),
    "Built": is_date,
    "Seen": is_moment,
    "Doors": number_of(9, whole=True),
    "Price": number_of(16, decimals=9),
    "Length": number_of(16, decimals=9),
    "Discount": number_of(5),
    "Chassis": is_bigint,
    "Runs": is_flag,
    "Customer": is_reference,
    "Driver": is_reference,
    "Owners": list_of(link_of("Owners")),
    "Mechanics": list_of(link_of("Mechanics")),
    "Photos": list_of(is_file),
    "Papers": list_of(is_file),
    "Repairs": list_of(object_with(Part=text_of(100), Cost=number_of(16, decimals=9))),
    "Tag": list_of(object_with(name=lambda value: isinstance(value, str))),
}


def takes_vehicle(record: Mapping[str, Any]) -> bool:
    """The custom module of the samples: Name is mandatory."""
    name = record.get("Name")
    if not isinstance(name, str) or not name.strip():
        return False
    return all(record[key] is None or judge(record[key]) for key, judge in VEHICLES.items() if key in record)


# --- Rules of standard modules ---------------------------------------------------------------------------


def _is_there(record: Mapping[str, Any], key: str) -> bool:
    value = record.get(key)
    return value is not None and not (isinstance(value, str) and not value.strip())


def takes_call(record: Mapping[str, Any]) -> bool:
    """Completed, missed and scheduled calls ("Sample Input to Insert a Call"); none is scheduled here."""
    if not _is_there(record, "Subject") or record.get("Call_Type") not in ("Inbound", "Outbound", "Missed"):
        return False
    duration, kind = record.get("Call_Duration"), record["Call_Type"]
    if _is_there(record, "Call_Duration") and kind != "Missed" and not re.search("[1-9]", str(duration)):
        return False
    status = record.get("Outbound_Call_Status")
    if status is not None and status not in ("Completed", ""):
        return False
    took_place = kind == "Inbound" or (kind == "Outbound" and status in (None, ""))
    if (took_place or status == "Completed") and not _is_there(record, "Call_Start_Time"):
        return False
    # Completed: the duration is mandatory. An outbound call without a status need not be.
    if (kind == "Inbound" or status == "Completed") and not _is_there(record, "Call_Duration"):
        return False
    return not _is_there(record, "What_Id") or _is_there(record, "$se_module")


def takes_deal(record: Mapping[str, Any]) -> bool:
    """A name, a stage, a pipeline where pipelines are enabled; a probability; a contact by its id."""
    if not all(_is_there(record, key) for key in ("Deal_Name", "Stage", "Pipeline")):
        return False
    if record["Pipeline"] != "Standard (Standard)" or record["Stage"] not in ("Qualification", "Closed Won"):
        return False
    probability, contact, account = map(record.get, ("Probability", "Contact_Name", "Account_Name"))
    if contact is not None and not (is_reference(contact) and _has_id(contact)):
        return False
    if account is not None and not is_reference(account):
        return False
    return probability is None or (_is_number(probability) and 0 <= probability <= 100)


def takes_event(record: Mapping[str, Any]) -> bool:
    """Title, start and end; no more than 50 participants; a recurring one reminds."""
    if not _is_there(record, "Event_Title"):
        return False
    if not all(is_moment(record.get(key)) for key in ("Start_DateTime", "End_DateTime")):
        return False
    if len(record.get("Participants") or []) > 50:
        return False
    if not _is_reminder(record.get("Remind_At")):
        return False
    return record.get("Recurring_Activity") is None or bool(record.get("Remind_At"))


def _is_reminder(value: Any) -> bool:
    """Unit: numbers between 0 to 60; period: mins, hrs, days, weeks, and the words of the sample."""
    if isinstance(value, str):
        words = value.split()
        return len(words) != 2 or not words[0].isdigit() or _is_span(int(words[0]), words[1])
    if isinstance(value, list):
        return all(_is_reminder(each) for each in value)
    if isinstance(value, dict):
        return _is_span(value.get("unit", 0), value.get("period", "mins"))
    return value is None


def _is_span(unit: Any, period: Any) -> bool:
    return unit in range(61) and period in ("mins", "hrs", "days", "weeks", "minutes", "hours")


def takes_price_book(record: Mapping[str, Any]) -> bool:
    """Pricing details with from_range, to_range and discount."""
    rows = record.get("Pricing_Details")
    if not _is_there(record, "Price_Book_Name") or not isinstance(rows, list) or not rows:
        return False
    return all(
        isinstance(row, dict)
        and all(_is_number(row.get(key)) for key in ("from_range", "to_range", "discount"))
        for row in rows
    )


def takes_task(record: Mapping[str, Any]) -> bool:
    """A subject; reminders with ACTION and TRIGGER, and TRIGGER_TIME where that counts days or weeks."""
    if not _is_there(record, "Subject"):
        return False
    activity = record.get("Recurring_Activity")
    if activity is not None and not (isinstance(activity, dict) and "FREQ=" in str(activity.get("RRULE"))):
        return False
    given = record.get("Remind_At")
    reminders = given if isinstance(given, list) else [given]
    return all(_is_task_reminder(each, bool(activity)) for each in reminders)


def _is_task_reminder(value: Any, recurring: bool) -> bool:
    if value is None or value == {}:
        return True
    if not isinstance(value, dict) or value.get("ACTION") not in ("EMAIL", "POPUP"):
        return False
    trigger, at = value.get("TRIGGER"), value.get("TRIGGER_TIME")
    if isinstance(trigger, str) and re.fullmatch("-P([1-6]D|[123]W)", trigger):
        return recurring and isinstance(at, str) and bool(re.fullmatch("([01][0-9]|2[0-3]):[0-5][0-9]", at))
    return is_moment(trigger)


def takes_quote(record: Mapping[str, Any]) -> bool:
    """A subject and line items, whose quantities are numbers and whose products are records."""
    items = record.get("Quoted_Items")
    if not _is_there(record, "Subject") or not isinstance(items, list) or not items:
        return False
    return all(
        object_with(Product_Name=is_reference, Quantity=number_of(16, decimals=9))(row) for row in items
    )


def takes_purchase_order(record: Mapping[str, Any]) -> bool:
    """A subject, a vendor, and line items under the page's name or that of the client library."""
    vendor = record.get("Vendor_Name")
    if not _is_there(record, "Subject") or not is_reference(vendor) or not vendor:
        return False
    given = [record.get(key) for key in ("Purchased_Items", "Purchase_Items")]
    return any(given) and all(each is None or isinstance(each, list) for each in given)


def takes_appointment(record: Mapping[str, Any]) -> bool:
    """A job sheet where it is required, and only of a completed appointment."""
    sheet = bool(record.get("Job_Sheet_Section__s"))
    if record.get("Job_Sheet_Required") == "yes" and not sheet:
        return False
    return not sheet or record.get("Status") == "Completed"


def takes_lead(record: Mapping[str, Any]) -> bool:
    """The documentation's organisation: lengths of its metadata, patterns of the page."""
    judges: Mapping[str, Judge] = {
        "Company": text_of(200),
        "Email": text_of(100, is_email),
        "Phone": text_of(30, is_phone),
        "Website": text_of(255, is_url),
        "No_of_Employees": number_of(9, whole=True),
        "Annual_Revenue": number_of(16, decimals=9),
        "Description": text_of(32_000),
        "Email_Opt_Out": is_flag,
        "Owner": is_reference,
        "$approved": is_flag,
    }
    name = record.get("Last_Name")
    if not isinstance(name, str) or not name.strip() or len(name) > 80:
        return False
    return all(record.get(key) is None or judge(record[key]) for key, judge in judges.items())
