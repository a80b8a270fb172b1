"""The standard modules as a new organisation has them: the schema where live metadata cannot be read.

The tables are in `standard/`, each built when it is asked for. Custom fields are never there; an
organisation's own truth is its field metadata (`metadata.py`). Rules that go beyond a field are in
`rules.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from loader.schema.fields import Module
from loader.schema.standard import activities, inventory, leads, people, selling, service

_TABLES: Final[Mapping[str, Callable[[], Module]]] = {
    "Leads": leads.leads,
    "Accounts": people.accounts,
    "Contacts": people.contacts,
    "Deals": selling.deals,
    "Campaigns": selling.campaigns,
    "Tasks": activities.tasks,
    "Cases": service.cases,
    "Events": activities.events,
    "Calls": activities.calls,
    "Solutions": service.solutions,
    "Products": inventory.products,
    "Vendors": people.vendors,
    "Price_Books": inventory.price_books,
    "Quotes": inventory.quotes,
    "Sales_Orders": inventory.sales_orders,
    "Purchase_Orders": inventory.purchase_orders,
    "Invoices": inventory.invoices,
    "Appointments__s": service.appointments,
    "Appointments_Rescheduled_History__s": service.rescheduled,
    "Services__s": service.services,
    "Notes": activities.notes,
}

STANDARD: Final = tuple(_TABLES)
"""API names of the standard modules, in the order of the insert-records page."""

SCOPE_NAME: Final[Mapping[str, str]] = MappingProxyType(
    {
        name: name.replace("_", "").lower()
        for name in STANDARD
        if name not in ("Appointments__s", "Appointments_Rescheduled_History__s", "Services__s")
    }
    | {
        "Appointments__s": "appointments",
        "Appointments_Rescheduled_History__s": "appointments_rescheduled_history",
        "Services__s": "services",
    }
)
"""API name -> the word in ZohoCRM.modules.WORD.CREATE (insert-records page, "Possible module names")."""

API_NAME: Final[Mapping[str, str]] = MappingProxyType(
    {word: name for name, word in SCOPE_NAME.items()}
    | {
        "Meetings": "Events",
        "Price Books": "Price_Books",
        "Sales Orders": "Sales_Orders",
        "Purchase Orders": "Purchase_Orders",
        "Appointments": "Appointments__s",
        "Appointments Rescheduled History": "Appointments_Rescheduled_History__s",
        "Services": "Services__s",
    }
)
"""Other names that the insert-records page has for the modules -> API name."""


def standard_module(api_name: str) -> Module | None:
    """The built-in schema of the module with this API name (case counts), or None."""
    return _built(api_name) if api_name in _TABLES else None


@cache
def _built(api_name: str) -> Module:
    return _TABLES[api_name]()
