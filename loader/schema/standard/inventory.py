"""Products, price books and the modules with line items.

Sources: the section of the insert-records page on inventory modules; the vendor's client library for the
names.
"""

from __future__ import annotations

from loader.schema.fields import Field, Module
from loader.schema.standard import rows as r


def products() -> Module:
    """What is sold."""
    return Module(
        "Products",
        (
            *r.USUAL,
            r.text("Product_Name", must=True),
            r.text("Product_Code"),
            r.pick("Product_Category"),
            r.flag("Product_Active"),
            r.pick("Manufacturer"),
            r.look("Vendor_Name", "Vendors"),
            r.money("Unit_Price"),
            r.money("Commission_Rate"),
            r.unsure("Tax"),
            r.flag("Taxable"),
            r.pick("Usage_Unit"),
            r.real("Qty_in_Stock"),
            r.real("Qty_in_Demand"),
            r.real("Qty_Ordered"),
            r.real("Reorder_Level"),
            r.user("Handler"),
            r.date("Sales_Start_Date"),
            r.date("Sales_End_Date"),
            r.date("Support_Start_Date"),
            r.date("Support_Expiry_Date"),
            r.area("Description"),
            r.image(),
            *r.SYSTEM,
            *r.LOCKED,
        ),
    )


def price_books() -> Module:
    """Prices by quantity. That each row names its range and discount is a rule."""
    return Module(
        "Price_Books",
        (
            *r.USUAL,
            r.text("Price_Book_Name", must=True),
            r.flag("Active"),
            r.pick("Pricing_Model"),
            r.rows(
                "Pricing_Details", r.real("from_range"), r.real("to_range"), r.real("discount"), must=True
            ),
            r.area("Description"),
            *r.SYSTEM,
            *r.LOCKED,
        ),
    )


def quotes() -> Module:
    """Offers."""
    return Module(
        "Quotes",
        (
            *_document("Quoted_Items"),
            r.pick("Quote_Stage"),
            r.date("Valid_Till"),
            r.look("Deal_Name", "Deals"),
            r.text("Team"),
            r.pick("Carrier"),
            r.fixed("Quote_Number"),
        ),
    )


def sales_orders() -> Module:
    """Orders of customers."""
    return Module(
        "Sales_Orders",
        (
            *_document("Ordered_Items"),
            r.pick("Status"),
            r.date("Due_Date"),
            r.look("Deal_Name", "Deals"),
            r.look("Quote_Name", "Quotes"),
            r.text("Customer_No"),
            r.text("Purchase_Order"),
            r.text("Pending"),
            r.pick("Carrier"),
            r.money("Excise_Duty"),
            r.money("Sales_Commission"),
            r.fixed("SO_Number"),
        ),
    )


def purchase_orders() -> Module:
    """Orders to vendors.

    The page calls the line items by the one name, the vendor's client library by the other; that one of them
    is there is a rule.
    """
    return Module(
        "Purchase_Orders",
        (
            *_document("Purchase_Items", must=False),
            _line_items("Purchased_Items", must=False),
            r.look("Vendor_Name", "Vendors", must=True),
            r.pick("Status"),
            r.date("PO_Date"),
            r.date("Due_Date"),
            r.text("Requisition_No"),
            r.text("Tracking_Number"),
            r.pick("Carrier"),
            r.money("Excise_Duty"),
            r.money("Sales_Commission"),
            # A number that people give in some organisations, and that the service gives in others.
            r.unsure("PO_Number"),
        ),
    )


def invoices() -> Module:
    """Bills."""
    return Module(
        "Invoices",
        (
            *_document("Invoiced_Items"),
            r.pick("Status"),
            r.date("Invoice_Date"),
            r.date("Due_Date"),
            r.unsure("Sales_Order"),
            r.text("Purchase_Order"),
            r.money("Excise_Duty"),
            r.money("Sales_Commission"),
            r.fixed("Invoice_Number"),
        ),
    )


def _document(items: str, *, must: bool = True) -> tuple[Field, ...]:
    """What the four modules with line items share."""
    return (
        *r.USUAL,
        r.text("Subject", must=True),
        _line_items(items, must=must),
        r.look("Account_Name", "Accounts"),
        r.look("Contact_Name", "Contacts"),
        r.unsure("Discount"),
        r.unsure("Tax"),
        r.unsure("Adjustment"),
        r.unsure("Sub_Total"),
        r.unsure("Grand_Total"),
        *r.address("Billing_", "Code"),
        *r.address("Shipping_", "Code"),
        r.area("Terms_and_Conditions"),
        r.area("Description"),
        *r.MONEY,
        *r.SYSTEM,
        *r.LOCKED,
    )


def _line_items(name: str, *, must: bool) -> Field:
    """The keys that the page's sample names; the rest of a row is the organisation's own."""
    return r.rows(
        name,
        r.look("Product_Name", "Products"),
        r.real("Quantity"),
        r.unsure("Discount"),
        r.look("Price_Book_Name", "Price_Books"),
        r.area("Description"),
        r.rows("Line_Tax", r.real("percentage"), r.text("name")),
        must=must,
    )
