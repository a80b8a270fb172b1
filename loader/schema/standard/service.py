"""Cases, solutions, appointments and services.

Sources: the vendor's client library for the names; the insert-records page for what is mandatory and for job
sheets.
"""

from __future__ import annotations

from loader.schema.fields import Field, FieldType, JsonType, Module
from loader.schema.standard import rows as r


def cases() -> Module:
    """Complaints and questions."""
    return Module(
        "Cases",
        (
            *r.USUAL,
            r.text("Subject", must=True),
            r.pick("Status", must=True),
            r.pick("Case_Origin", must=True),
            r.pick("Priority"),
            r.pick("Type"),
            r.pick("Case_Reason"),
            r.email("Email"),
            r.phone("Phone"),
            r.text("Reported_By"),
            r.look("Account_Name", "Accounts"),
            r.look("Deal_Name", "Deals"),
            r.look("Product_Name", "Products"),
            r.look("Related_To", "Contacts"),
            r.area("Description"),
            r.area("Internal_Comments"),
            r.area("Solution"),
            r.area("Add_Comment"),
            r.fixed("Comments", FieldType.OTHER, None),
            r.fixed("No_of_comments", FieldType.INTEGER, 9),
            r.fixed("Case_Number"),
            *r.SYSTEM,
            *r.LOCKED,
        ),
    )


def solutions() -> Module:
    """Answers that are kept."""
    return Module(
        "Solutions",
        (
            *r.USUAL,
            r.text("Solution_Title", must=True),
            r.pick("Status"),
            r.look("Product_Name", "Products"),
            r.area("Question"),
            r.area("Answer"),
            r.flag("Published"),
            r.area("Add_Comment"),
            r.fixed("Comments", FieldType.OTHER, None),
            r.fixed("No_of_comments", FieldType.INTEGER, 9),
            r.fixed("Solution_Number"),
            *r.SYSTEM,
            *r.LOCKED,
        ),
    )


def appointments() -> Module:
    """Appointments for a service. What is mandatory no source says."""
    return Module(
        "Appointments__s",
        (
            *r.USUAL,
            r.text("Appointment_Name"),
            r.look("Appointment_For"),
            r.look("Service_Name", "Services__s"),
            r.moment("Appointment_Start_Time"),
            r.moment("Appointment_End_Time"),
            r.unsure("Duration"),
            r.pick("Status"),
            r.pick("Location"),
            r.text("Address"),
            _REMIND_AT,
            r.pick("Cancellation_Reason"),
            r.area("Cancellation_Note"),
            r.pick("Reschedule_Reason"),
            r.area("Reschedule_Note"),
            r.area("Additional_Information"),
            # The page asks for it in words ("yes"); whether it is text or a checkbox is not said.
            r.unsure("Job_Sheet_Required"),
            r.unsure("Job_Sheet_Section__s"),
            r.text("Job_Sheet_Name__s"),
            r.area("Job_Sheet_Description__s"),
            r.fixed("Job_Sheet_Created__s", FieldType.BOOLEAN, 5),
            r.fixed("Reschedule_Count", FieldType.INTEGER, 9),
            *r.fixed_users("Cancelled_By", "Rescheduled_By"),
            *r.fixed_moments("Cancelled_Time", "Rescheduled_Time", "Rescheduled_From", "Rescheduled_To"),
            *r.SYSTEM,
        ),
    )


def rescheduled() -> Module:
    """The history of appointments that were moved.

    No source names its fields: these follow the appointments, and nothing of them is demanded.
    """
    return Module(
        "Appointments_Rescheduled_History__s",
        (
            *r.USUAL,
            r.text("Rescheduled_History_Name"),
            r.look("Appointment_Name", "Appointments__s"),
            r.moment("Rescheduled_From"),
            r.moment("Rescheduled_To"),
            r.moment("Rescheduled_Time"),
            r.unsure("Rescheduled_By"),
            r.pick("Reschedule_Reason"),
            r.area("Reschedule_Note"),
            *r.SYSTEM,
        ),
    )


def services() -> Module:
    """Services that appointments are made for. What is mandatory no source says."""
    return Module(
        "Services__s",
        (
            *r.USUAL,
            r.text("Service_Name"),
            r.unsure("Duration"),
            r.money("Price"),
            r.unsure("Tax"),
            r.pick("Status"),
            r.pick("Location"),
            r.unsure("Members"),
            r.pick("Availability_Type"),
            r.unsure("Available_Days"),
            r.unsure("Available_Dates"),
            r.unsure("Available_Timings"),
            *(r.unsure(f"{word}_{end}") for word in ("Available", "Unavailable") for end in ("From", "Till")),
            r.unsure("Job_Sheet_Required"),
            r.unsure("Job_Sheet_Section__s"),
            r.area("Description"),
            r.image(),
            *r.SYSTEM,
        ),
    )


_REMIND_AT = Field("Remind_At", FieldType.OTHER, JsonType.OTHER)
