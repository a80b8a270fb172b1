"""The options that picklists have in a new organisation. Facts only.

From the field metadata of a Leads module in the vendor's documentation (what people see is sometimes another
word than what the API takes), and from the layouts page for contacts. The picklists that are not here have
options too, which no source lists; what `--org` says of a picklist goes before all of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from loader.schema.fields import Field, Module, Option


def _options(*words: str | tuple[str, str]) -> tuple[Option, ...]:
    """Values; a pair is a value and the word that people see."""
    return tuple(Option(each) if isinstance(each, str) else Option(*each) for each in ("-None-", *words))


_LEAD_SOURCE: Final = _options(
    "Advertisement",
    "Cold Call",
    "Employee Referral",
    "External Referral",
    ("OnlineStore", "Online Store"),
    "Facebook",
    "Twitter",
    "Partner",
    "Public Relations",
    ("Sales Mail Alias", "Sales Email Alias"),
    "Seminar Partner",
    ("Seminar-Internal", "Internal Seminar"),
    "Trade Show",
    "Web Form",
    "Web Download",
    "Web Research",
    "Chat",
)
_LEAD_STATUS: Final = _options(
    "Attempted to Contact",
    "Contact in Future",
    "Contacted",
    "Junk Lead",
    "Lost Lead",
    "Not Contacted",
    "Pre-Qualified",
    "Not Qualified",
)
_INDUSTRY: Final = _options(
    "ASP (Application Service Provider)",
    "Data/Telecom OEM",
    "ERP (Enterprise Resource Planning)",
    "Government/Military",
    "Large Enterprise",
    "ManagementISV",
    "MSP (Management Service Provider)",
    ("Network Equipment (Enterprise)", "Network Equipment Enterprise"),
    "Non-management ISV",
    "Optical Networking",
    "Service Provider",
    "Small/Medium Enterprise",
    "Storage Equipment",
    "Storage Service Provider",
    "Systems Integrator",
    "Wireless Industry",
    "ERP",
    "Management ISV",
)
_RATING: Final = _options(
    "Acquired", "Active", "Market Failed", "Project Cancelled", ("ShutDown", "Shut Down")
)
_SALUTATION: Final = _options("Mr.", "Mrs.", "Ms.", "Dr.", "Prof.")

_OPTIONS: Final[Mapping[str, Mapping[str, tuple[Option, ...]]]] = MappingProxyType(
    {
        "Leads": {
            "Lead_Source": _LEAD_SOURCE,
            "Lead_Status": _LEAD_STATUS,
            "Industry": _INDUSTRY,
            "Rating": _RATING,
            "Salutation": _SALUTATION,
        },
        "Contacts": {"Lead_Source": _LEAD_SOURCE, "Salutation": _SALUTATION},
    }
)


def with_options(module: Module) -> Module:
    """The same standard module, its picklists having the options that are known of them."""
    known = _OPTIONS.get(module.api_name, {})

    def filled(field: Field) -> Field:
        options = known.get(field.api_name)
        return field if options is None else msgspec.structs.replace(field, options=options)

    return msgspec.structs.replace(module, fields=tuple(map(filled, module.fields))) if known else module
