"""What the fields of a record must be to each other: the rules that the API has for single modules.

Those of calls, events and tasks are `activities.py`. What an organisation rules for itself (layout rules,
dependents of its picklists) is not in the metadata, and so is the service's alone; what its layouts demand is
`placement.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from loader.schema.activities import RULES_OF_ACTIVITIES
from loader.schema.cross import CrossRule, Found, Record, absent, is_given, mismatch, wrong
from loader.schema.explain import is_no_value
from loader.schema.problems import DEPENDENT_FIELD_MISSING


def rules_of(module_api_name: str) -> tuple[CrossRule, ...]:
    """The rules of every module, then those of this one."""
    return (*_EVERYWHERE, *_RULES.get(module_api_name, ()))


def _wizard(record: Record, _now: float | None) -> Found:
    key = "$wizard_connection_path"
    if is_given(record, "Wizard") and not is_given(record, key):
        why = "is required with Wizard; give it the ids of the wizard's connections, in their order"
        yield absent(key, why, dependee="Wizard", code=DEPENDENT_FIELD_MISSING)


_EVERYWHERE: Final = (CrossRule(_wizard, ("Wizard",)),)


# --- Inventory, deals, appointments ------------------------------------------------------------------------


def _line_items(*keys: str) -> CrossRule:
    """Line items are mandatory, and none is as good as no key; of several names any one will do."""

    def find(record: Record, _now: float | None) -> Found:
        if not any(is_given(record, key) for key in keys):
            yield absent(keys[0], "is mandatory; give it a line item at least")

    return CrossRule(find, mandatory=keys[0] if len(keys) == 1 else "")


PRICING_DETAILS: Final = ("from_range", "to_range", "discount")


def _pricing_details(record: Record, _now: float | None) -> Found:
    rows = record.get("Pricing_Details")
    for index, row in enumerate(rows if isinstance(rows, list) else ()):
        for key in PRICING_DETAILS:
            if isinstance(row, dict) and is_no_value(row.get(key)):
                yield absent(f"Pricing_Details[{index}].{key}", "is mandatory; give it a number")


def _probability(record: Record, _now: float | None) -> Found:
    share = record.get("Probability")
    if isinstance(share, int | float) and not isinstance(share, bool) and not 0 <= share <= 100:
        why = "is below 0 or above 100; it takes a percentage"
        yield wrong("Probability", why, api_message="Given Probability is not valid")


JOB_SHEET: Final = "Job_Sheet_Section__s"
JOB_SHEET_REQUIRED_KEYS: Final = ("Job_Sheet_Required", "Job_Sheet_Required__s")


def _job_sheet(record: Record, _now: float | None) -> Found:
    given = is_given(record, JOB_SHEET)
    for key in JOB_SHEET_REQUIRED_KEYS:
        answer = record.get(key)
        yes = answer is True or (isinstance(answer, str) and answer.strip().lower() in ("yes", "true"))
        if yes and not given:
            why = f"is required, as {key} is yes; give it the job sheet"
            yield absent(JOB_SHEET, why, dependee=key, code=DEPENDENT_FIELD_MISSING)
    if given and record.get("Status") != "Completed":
        why = "is for appointments that are Completed; leave it out, or complete the appointment"
        yield mismatch(JOB_SHEET, why, dependee="Status")


_RULES: Final[Mapping[str, tuple[CrossRule, ...]]] = MappingProxyType(
    {
        **RULES_OF_ACTIVITIES,
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
