"""Accounts, contacts and vendors.

Sources: the vendor's client library for the names, the layout sample of its widget library for lengths of
contacts, leads of the same name for the rest; mandatory fields: insert-records page.
"""

from __future__ import annotations

from loader.schema.fields import FieldType, Module
from loader.schema.standard import rows as r


def accounts() -> Module:
    """Companies."""
    return Module(
        "Accounts",
        (
            *r.USUAL,
            r.text("Account_Name", must=True),
            r.text("Account_Number", 100),
            r.text("Account_Site", 100),
            r.pick("Account_Type"),
            r.pick("Ownership"),
            r.pick("Industry"),
            r.pick("Rating"),
            r.money("Annual_Revenue"),
            r.whole("Employees"),
            r.unsure("SIC_Code"),
            r.text("Ticker_Symbol", 100),
            r.look("Parent_Account", "Accounts"),
            r.phone("Phone"),
            r.text("Fax", 30),
            r.url("Website"),
            *r.address("Billing_", "Code"),
            *r.address("Shipping_", "Code"),
            r.area("Description"),
            r.image(),
            *r.MONEY,
            *r.SYSTEM,
            *r.LOCKED,
            *r.fixed_moments("Last_Activity_Time", "Change_Log_Time__s", "Last_Enriched_Time__s"),
            r.fixed("Enrich_Status__s", FieldType.PICKLIST, 120),
            r.fixed("Territories", FieldType.TERRITORIES, 120),
        ),
    )


def contacts() -> Module:
    """People of companies."""
    return Module(
        "Contacts",
        (
            *r.USUAL,
            r.pick("Salutation", 120),
            r.text("First_Name", 40),
            r.text("Last_Name", 80, must=True),
            r.look("Account_Name", "Accounts"),
            r.look("Vendor_Name", "Vendors"),
            r.email("Email"),
            r.email("Secondary_Email"),
            r.text("Title", 100),
            r.text("Department", 50),
            r.phone("Phone", 50),
            r.phone("Home_Phone"),
            r.phone("Other_Phone"),
            r.phone("Mobile"),
            r.phone("Asst_Phone"),
            r.text("Fax", 30),
            r.date("Date_of_Birth"),
            r.text("Assistant", 50),
            # A text in older organisations, a lookup in newer ones.
            r.unsure("Reports_To"),
            r.look("Reporting_To", "Contacts"),
            r.pick("Lead_Source"),
            r.flag("Email_Opt_Out"),
            r.text("Skype_ID", 50),
            r.text("Twitter", 50),
            *r.address("Mailing_", "Zip"),
            *r.address("Other_", "Zip"),
            r.area("Description"),
            r.image(),
            *r.VISITS,
            r.unsure("Data_Processing_Basis"),
            r.unsure("Data_Processing_Basis_Details"),
            *r.SYSTEM,
            *r.LOCKED,
            r.fixed("Full_Name", FieldType.TEXT, 120),
            *r.fixed_moments(
                "Last_Activity_Time", "Change_Log_Time__s", "Last_Enriched_Time__s", "Unsubscribed_Time"
            ),
            r.fixed("Enrich_Status__s", FieldType.PICKLIST, 120),
            r.fixed("Unsubscribed_Mode", FieldType.PICKLIST, 120),
            r.fixed("Territories", FieldType.TERRITORIES, 120),
        ),
    )


def vendors() -> Module:
    """Companies that one buys from."""
    return Module(
        "Vendors",
        (
            *r.USUAL,
            r.text("Vendor_Name", must=True),
            r.email("Email"),
            r.phone("Phone"),
            r.url("Website"),
            r.pick("GL_Account"),
            r.text("Category"),
            *r.address("", "Zip_Code"),
            r.area("Description"),
            r.flag("Email_Opt_Out"),
            r.image(),
            *r.SYSTEM,
            *r.LOCKED,
            *r.fixed_moments("Unsubscribed_Time"),
            r.fixed("Unsubscribed_Mode", FieldType.PICKLIST, 120),
        ),
    )
