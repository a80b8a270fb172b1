"""Leads: the field metadata of a real organisation, every field that is not custom, in its order.

Whether a field is unique is an organisation's own setting, so no field is unique here.
"""

from __future__ import annotations

from typing import Final

from loader.schema import fields as f
from loader.schema.fields import Field, FieldType, JsonType, Module
from loader.schema.standard import rows


def _optional(api_name: str, type_: FieldType, length: int, decimals: int | None = None) -> Field:
    return Field(api_name, type_, type_.json_type, length, decimals)


def _read_only(api_name: str, type_: FieldType, length: int) -> Field:
    return Field(api_name, type_, type_.json_type, length, creatable=False)


_T: Final = FieldType


def leads() -> Module:
    """People who may become customers."""
    return Module(
        "Leads",
        (
            _optional("Owner", _T.OWNERLOOKUP, f.LOOKUP_LENGTH),
            _optional("Company", _T.TEXT, 200),
            _optional("First_Name", _T.TEXT, 40),
            Field("Last_Name", _T.TEXT, JsonType.STRING, 80, mandatory=True),
            _optional("Designation", _T.TEXT, 100),
            _optional("Email", _T.EMAIL, f.EMAIL_LENGTH),
            _optional("Phone", _T.PHONE, f.PHONE_LENGTH),
            _optional("Fax", _T.TEXT, 30),
            _optional("Mobile", _T.PHONE, f.PHONE_LENGTH),
            _optional("Website", _T.WEBSITE, f.WEBSITE_LENGTH),
            _optional("Lead_Source", _T.PICKLIST, f.PICKLIST_LENGTH),
            _optional("Lead_Status", _T.PICKLIST, f.PICKLIST_LENGTH),
            _optional("Industry", _T.PICKLIST, f.PICKLIST_LENGTH),
            _optional("No_of_Employees", _T.INTEGER, f.INTEGER_DIGITS),
            _optional("Annual_Revenue", _T.CURRENCY, f.DOUBLE_DIGITS, 2),
            _optional("Rating", _T.PICKLIST, f.PICKLIST_LENGTH),
            _read_only("Created_By", _T.OWNERLOOKUP, f.LOOKUP_LENGTH),
            _read_only("Modified_By", _T.OWNERLOOKUP, f.LOOKUP_LENGTH),
            _read_only("Created_Time", _T.DATETIME, f.DATETIME_LENGTH),
            _read_only("Modified_Time", _T.DATETIME, f.DATETIME_LENGTH),
            _read_only("Full_Name", _T.TEXT, 120),
            _optional("Street", _T.TEXT, 250),
            _optional("City", _T.TEXT, 100),
            _optional("State", _T.TEXT, 100),
            _optional("Zip_Code", _T.TEXT, 30),
            _optional("Country", _T.TEXT, 100),
            _optional("Description", _T.TEXTAREA, f.TEXTAREA_LARGE_LENGTH),
            _optional("Skype_ID", _T.TEXT, 50),
            _optional("Email_Opt_Out", _T.BOOLEAN, f.BOOLEAN_LENGTH),
            _optional("Salutation", _T.PICKLIST, 25),
            _optional("Secondary_Email", _T.EMAIL, f.EMAIL_LENGTH),
            _read_only("Last_Activity_Time", _T.DATETIME, f.DATETIME_LENGTH),
            _optional("Twitter", _T.TEXT, 50),
            _optional("Layout", _T.LAYOUT, 50),
            Field("Tag", _T.TEXT, JsonType.ARRAY, 2_000),
            _optional("Record_Image", _T.PROFILEIMAGE, 255),
            _read_only("Converted_Date_Time", _T.DATETIME, f.DATETIME_LENGTH),
            _read_only("Lead_Conversion_Time", _T.INTEGER, f.INTEGER_DIGITS),
            _read_only("Unsubscribed_Mode", _T.PICKLIST, f.PICKLIST_LENGTH),
            _read_only("Unsubscribed_Time", _T.DATETIME, f.DATETIME_LENGTH),
            _read_only("Converted_Account", _T.LOOKUP, f.LOOKUP_LENGTH),
            _read_only("Converted_Contact", _T.LOOKUP, f.LOOKUP_LENGTH),
            _read_only("Converted_Deal", _T.LOOKUP, f.LOOKUP_LENGTH),
            _read_only("Territories", _T.TERRITORIES, 120),
            _read_only("id", _T.BIGINT, f.BIGINT_DIGITS),
            _read_only("Change_Log_Time__s", _T.DATETIME, f.DATETIME_LENGTH),
            _read_only("Converted__s", _T.BOOLEAN, f.BOOLEAN_LENGTH),
            _read_only("Locked__s", _T.BOOLEAN, f.BOOLEAN_LENGTH),
            _read_only("Last_Enriched_Time__s", _T.DATETIME, f.DATETIME_LENGTH),
            _read_only("Enrich_Status__s", _T.PICKLIST, f.PICKLIST_LENGTH),
            _optional("Wizard", _T.BIGINT, 50),
            _optional("Last_Visited_Time", _T.DATETIME, f.DATETIME_LENGTH),
            _optional("First_Visited_URL", _T.WEBSITE, 3_000),
            _optional("Average_Time_Spent_Minutes", _T.DOUBLE, f.DOUBLE_DIGITS, 2),
            _optional("Number_Of_Chats", _T.INTEGER, f.INTEGER_DIGITS),
            _optional("Referrer", _T.WEBSITE, 3_000),
            _optional("Visitor_Score", _T.BIGINT, 19),
            _optional("First_Visited_Time", _T.DATETIME, f.DATETIME_LENGTH),
            _optional("Days_Visited", _T.INTEGER, f.INTEGER_DIGITS),
            _read_only("Record_Status__s", _T.PICKLIST, f.PICKLIST_LENGTH),
            _optional("Data_Source", _T.PICKLIST, f.PICKLIST_LENGTH),
            # Of organisations with several currencies or with privacy settings (the vendor's client library).
            *rows.MONEY,
            rows.unsure("Data_Processing_Basis"),
            rows.unsure("Data_Processing_Basis_Details"),
        ),
    )
