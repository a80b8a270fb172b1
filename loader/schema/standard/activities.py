"""Tasks, events, calls and notes.

Sources: the sections of the insert-records page on each; the vendor's client library for further names.
"""

from __future__ import annotations

from loader.schema.fields import PARTICIPANTS_MAX, Field, FieldType, JsonType, Module
from loader.schema.standard import rows as r

# An object for recurring activities, an array of such for events, a text in answers: rules look into it.
_REMIND_AT = Field("Remind_At", FieldType.OTHER, JsonType.OTHER)
_RECURRING = Field("Recurring_Activity", FieldType.OTHER, JsonType.OBJECT)


def tasks() -> Module:
    """Things to do."""
    return Module(
        "Tasks",
        (
            *r.USUAL,
            r.text("Subject", must=True),
            r.date("Due_Date"),
            r.pick("Status"),
            r.pick("Priority"),
            r.look("Who_Id"),
            r.look("What_Id"),
            r.flag("Send_Notification_Email"),
            _REMIND_AT,
            _RECURRING,
            r.area("Description"),
            *r.SYSTEM,
            *r.LOCKED,
            *r.fixed_moments("Closed_Time"),
        ),
    )


def events() -> Module:
    """Meetings.

    Remind_At is in the list of mandatory fields and, by its own section, for recurring ones alone: a rule
    demands it of those.
    """
    return Module(
        "Events",
        (
            *r.USUAL,
            r.text("Event_Title", must=True),
            r.moment("Start_DateTime", must=True),
            r.moment("End_DateTime", must=True),
            r.flag("All_day"),
            r.text("Venue"),
            r.rows("Participants", most=PARTICIPANTS_MAX),
            r.look("Who_Id"),
            r.look("What_Id"),
            _REMIND_AT,
            _RECURRING,
            r.unsure("Remind_Participants"),
            r.area("Description"),
            *r.SYSTEM,
            *(
                r.fixed(f"Check_In_{name}")
                for name in ("State", "Address", "City", "Comment", "Country", "Sub_Locality")
            ),
            *r.fixed_users("Check_In_By"),
            *r.fixed_moments("Check_In_Time"),
            r.fixed("Check_In_Status", FieldType.PICKLIST, 120),
            r.unsure("Latitude"),
            r.unsure("Longitude"),
            r.unsure("ZIP_Code"),
        ),
    )


def calls() -> Module:
    """Calls.

    Start and duration are in the list of mandatory fields; by their own section a missed call needs no
    duration and the start is for scheduled and completed ones: rules demand them.
    """
    return Module(
        "Calls",
        (
            *r.USUAL,
            r.text("Subject", must=True),
            r.closed("Call_Type", "Inbound", "Outbound", "Missed", must=True),
            r.moment("Call_Start_Time"),
            r.text("Call_Duration"),
            r.unsure("Call_Duration_in_seconds"),
            r.pick("Call_Purpose"),
            r.pick("Call_Result"),
            r.text("Call_Agenda", 32_000),
            # The page has the one name, the vendor's client library the other.
            r.closed("Outbound_Call_Status", "Scheduled", "Completed"),
            r.closed("Outgoing_Call_Status", "Scheduled", "Completed"),
            r.look("Who_Id"),
            r.look("What_Id"),
            r.unsure("Reminder"),
            r.text("Caller_ID"),
            r.text("Dialled_Number"),
            r.unsure("CTI_Entry"),
            r.unsure("Scheduled_In_CRM"),
            r.unsure("Voice_Recording__s"),
            r.area("Description"),
            *r.SYSTEM,
        ),
    )


def notes() -> Module:
    """Notes on other records."""
    return Module(
        "Notes",
        (
            *r.USUAL,
            r.text("Note_Title"),
            r.area("Note_Content"),
            # Of any module; an object with its id and module, or the id alone in older versions.
            r.unsure("Parent_Id"),
            r.unsure("Associated_Id__s"),
            *r.SYSTEM,
        ),
    )
