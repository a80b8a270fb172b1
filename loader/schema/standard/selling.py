"""Deals and campaigns.

Sources: field metadata of an organisation's deals, the vendor's client library for the names; mandatory
fields: insert-records page.
"""

from __future__ import annotations

from loader.schema.fields import Field, FieldType, JsonType, Module
from loader.schema.standard import rows as r


def deals() -> Module:
    """Sales on their way. Pipeline is mandatory where pipelines are enabled, which the layouts show."""
    return Module(
        "Deals",
        (
            *r.USUAL,
            r.text("Deal_Name", 120, must=True),
            r.pick("Stage", must=True),
            r.pick("Pipeline"),
            r.money("Amount"),
            r.date("Closing_Date"),
            # Whole per cents or decimals: bounds are a rule of the module.
            Field("Probability", FieldType.INTEGER, JsonType.DOUBLE, 9),
            r.look("Account_Name", "Accounts"),
            r.look("Contact_Name", "Contacts"),
            r.look("Campaign_Source", "Campaigns"),
            r.pick("Type"),
            r.pick("Lead_Source"),
            r.text("Next_Step", 100),
            r.area("Description"),
            r.pick("Reason_For_Loss__s"),
            r.unsure("Territory"),
            *r.MONEY,
            *r.SYSTEM,
            *r.LOCKED,
            r.fixed("Expected_Revenue", FieldType.CURRENCY, 16),
            r.fixed("Overall_Sales_Duration", FieldType.INTEGER, 9),
            r.fixed("Sales_Cycle_Duration", FieldType.INTEGER, 9),
            r.fixed("Lead_Conversion_Time", FieldType.INTEGER, 9),
            *r.fixed_moments("Last_Activity_Time", "Change_Log_Time__s"),
        ),
    )


def campaigns() -> Module:
    """Campaigns."""
    return Module(
        "Campaigns",
        (
            *r.USUAL,
            r.text("Campaign_Name", must=True),
            r.pick("Type"),
            r.pick("Status"),
            r.date("Start_Date"),
            r.date("End_Date"),
            r.money("Expected_Revenue"),
            r.money("Budgeted_Cost"),
            r.money("Actual_Cost"),
            r.unsure("Expected_Response"),
            r.unsure("Num_sent"),
            r.look("Parent_Campaign", "Campaigns"),
            r.area("Description"),
            *r.MONEY,
            *r.SYSTEM,
        ),
    )
