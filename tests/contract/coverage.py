"""What the insert-records page describes, row for row, and the test that shows it: `coverage.md`.

    python -m tests.contract.coverage           writes the page
    python -m tests.contract.coverage --check   says whether it is stale

A row names a test of this repository, `file::function`; `test_coverage.py` looks each of them up.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from loader.schema.modules import STANDARD

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "coverage.md"

SAMPLES = "tests/contract/test_samples.py::test_check_and_sandbox_give_the_same_verdict_record_for_record"
CHECK = "tests/unit/test_schema_check.py::"
RULES = "tests/unit/test_schema_rules.py::"
LAYOUTS = "tests/unit/test_schema_layouts.py::"
PATTERNS = "tests/unit/test_schema_patterns.py::"
METADATA = "tests/unit/test_schema_metadata.py::"
ORGANISATION = "tests/scenario/test_sandbox_organisation.py::"
LIMITS = "tests/scenario/test_sandbox_limits.py::"
CALLS = "tests/scenario/test_sandbox_calls.py::"
READS = "tests/scenario/test_sandbox_reads.py::"
INSERTS = "tests/unit/test_sandbox_inserts.py::"
WORDS = "tests/unit/test_wire_options.py::"
OPTIONS = "tests/unit/test_sandbox_options.py::"
SENT = "tests/scenario/test_options.py::"
STANDARD_RULES = "tests/scenario/test_sandbox_rules.py::"
CONTRACT = "tests/contract/test_errors.py::"
ERRORS = CONTRACT + "test_the_sandbox_gives_each_error_of_the_page"


class Row(NamedTuple):
    """One thing that the page describes."""

    what: str
    test: str


MODULES = (
    *(Row(name, SAMPLES) for name in STANDARD),
    Row("custom modules", SAMPLES),
    Row(
        "leads, contacts and deals, inserted by the vendor's own client",
        "tests/clients/test_official_sdk.py::test_deals_good_and_bad",
    ),
    Row(
        "each sample request",
        "tests/contract/test_page_samples.py::test_the_sandbox_takes_each_sample_request",
    ),
    Row(
        "each sample answer", "tests/contract/test_page_samples.py::test_the_loader_reads_each_sample_answer"
    ),
    Row(
        "each type, against a second opinion", "tests/contract/test_independent.py::test_every_type_of_field"
    ),
    Row(
        "each field of each module, whatever it is given",
        "tests/contract/test_every_field.py"
        "::test_the_check_and_the_sandbox_agree_on_odd_values_in_every_field",
    ),
    Row(
        "mandatory fields",
        "tests/unit/test_schema_modules.py::test_mandatory_is_what_the_page_calls_mandatory_always",
    ),
    Row("scopes", LIMITS + "test_a_call_needs_its_scope"),
)

# By the API's word for the type; `-`: a member of a record that is no field with a type of its own.
TYPES = {
    "text": Row("single line", SAMPLES),
    "textarea": Row("multi line: small, large, rich", SAMPLES),
    "email": Row("e-mail", PATTERNS + "test_emails"),
    "phone": Row("phone", PATTERNS + "test_phones"),
    "website": Row("URL", PATTERNS + "test_websites"),
    "picklist": Row(
        "picklist", CHECK + "test_a_picklist_takes_new_values_unless_it_is_closed_or_the_check_is_strict"
    ),
    "multiselectpicklist": Row("multi-select picklist", SAMPLES),
    "date": Row("date", CHECK + "test_a_date_is_a_day_of_the_calendar"),
    "datetime": Row("date and time", CHECK + "test_a_datetime_that_the_api_is_not_known_to_take_is_refused"),
    "integer": Row("number", SAMPLES),
    "currency": Row("currency", SAMPLES),
    "double": Row("decimal", CHECK + "test_digits_before_the_point_are_counted_as_they_are_written"),
    "percent": Row("percent", SAMPLES),
    "bigint": Row("long integer", SAMPLES),
    "boolean": Row("checkbox", SAMPLES),
    "lookup": Row("lookup", CHECK + "test_a_contact_is_named_by_its_id_and_an_account_by_its_name_too"),
    "ownerlookup": Row("owner", SAMPLES),
    "userlookup": Row("user", SAMPLES),
    "layout": Row("layout", LAYOUTS + "test_a_layout_demands_and_ignores_for_the_records_that_name_it"),
    "subform": Row("subform", CHECK + "test_the_rows_of_a_subform_are_checked_as_records_are"),
    "multiselectlookup": Row(
        "multi-select lookup", CHECK + "test_a_multi_select_lookup_names_records_under_its_link"
    ),
    "multiuserlookup": Row("multi-user lookup", SAMPLES),
    "imageupload": Row("image upload", SAMPLES),
    "fileupload": Row("file upload", SAMPLES),
    "profileimage": Row("picture of a record", CHECK + "test_what_is_refused_and_in_which_words"),
    "territories": Row("territories", CHECK + "test_what_is_let_through"),
    "formula": Row("formula: an insert may not set it", METADATA + "test_whether_an_insert_may_set_a_field"),
    "rollup_summary": Row(
        "roll-up: an insert may not set it", METADATA + "test_whether_an_insert_may_set_a_field"
    ),
    "other": Row("any other type", CHECK + "test_a_type_that_is_unknown_takes_anything"),
}
MEMBERS = (
    Row(
        "Pipeline and Stage", LAYOUTS + "test_a_stage_belongs_to_the_pipeline_and_the_pipeline_to_the_layout"
    ),
    Row("Wizard, $wizard_connection_path", ORGANISATION + "test_a_way_through_a_wizard"),
    Row("$approved", SENT + "test_each_call_says_the_options_and_each_record_gets_what_it_lacks"),
    Row("$approved: false, what the answer says", READS + "test_a_record_that_waits_for_approval_says_so"),
    Row("$se_module", RULES + "test_events"),
    Row("$line_tax", SAMPLES),
    Row(
        "send_notification, Send_Notification_Email",
        "tests/contract/test_page_samples.py::test_the_sandbox_takes_each_sample_request",
    ),
    Row("Tag", CHECK + "test_arrays_hold_what_their_type_says"),
)

RULE_ROWS = (
    Row("a value of exactly its length, and one longer", CHECK + "test_what_is_refused_and_in_which_words"),
    Row(
        "digits before the point, up to 16",
        CHECK + "test_digits_before_the_point_are_counted_as_they_are_written",
    ),
    Row(
        "digits behind the point, up to 9",
        CHECK + "test_no_more_than_nine_digits_stand_behind_the_point",
    ),
    Row(
        "names that are no API name",
        LIMITS + "test_a_key_that_is_no_field_is_stepped_over_unless_the_switch_is_on",
    ),
    Row("calls: type, duration, status, scheduled ones in the future", RULES + "test_calls"),
    Row("calls: a duration of zero", RULES + "test_a_call_of_no_duration_has_the_words_of_the_api"),
    Row("events: participants, reminders (unit and period), What_Id with its module", RULES + "test_events"),
    Row("events: 50 participants", RULES + "test_too_many_participants_have_the_words_of_the_api"),
    Row(
        "recurring events: one record, several items",
        STANDARD_RULES + "test_a_recurring_event_is_several_records_with_an_item_each",
    ),
    Row(
        "recurring tasks: one record, several items",
        STANDARD_RULES + "test_items_of_a_recurring_task_stand_where_the_task_stood",
    ),
    Row(
        "recurring records travel alone",
        SENT + "test_recurring_records_travel_alone_and_have_one_outcome_each",
    ),
    Row("task reminders: ACTION, TRIGGER, TRIGGER_TIME", RULES + "test_reminders_of_tasks"),
    Row("line items, pricing details, job sheets", RULES + "test_rules_of_other_modules"),
    Row(
        "deals: probability", RULES + "test_a_wrong_probability_and_a_missing_path_have_the_words_of_the_api"
    ),
    Row(
        "deals: a stage belongs to its pipeline",
        ORGANISATION + "test_a_stage_belongs_to_its_pipeline_and_the_pipeline_to_a_layout",
    ),
    Row("wizard paths", ORGANISATION + "test_a_way_through_a_wizard_that_there_is_not"),
    Row("layout rules", ORGANISATION + "test_a_layout_rule_counts_where_it_is_asked_for"),
    Row("mandatory by the layout", ORGANISATION + "test_a_layout_demands_its_fields_of_records_that_name_it"),
    Row(
        "fields outside the layout are ignored",
        ORGANISATION + "test_what_is_not_in_the_layout_is_neither_checked_nor_stored",
    ),
    Row("dependents", ORGANISATION + "test_a_field_that_needs_another_one"),
    Row("unique fields", INSERTS + "test_a_duplicate_names_the_record_that_has_the_value"),
    Row(
        "a multi-select lookup to a locked record", ORGANISATION + "test_a_locked_record_is_not_to_be_linked"
    ),
    Row("100 records a call", CALLS + "test_a_hundred_and_one_records_get_one_item_and_none_is_applied"),
)

_KNOWN = "test_each_known_word_is_taken_and_an_unknown_one_is_answered_with_all_of_them"
OPTION_ROWS = (
    Row("trigger: absent", WORDS + "test_without_options_the_body_is_data_and_no_byte_more"),
    Row("trigger: `[]`", WORDS + "test_the_body_has_the_options_that_are_set_and_no_key_for_the_others"),
    Row("trigger: each value", WORDS + _KNOWN),
    Row("lar_id", WORDS + "test_the_id_of_an_assignment_rule_is_digits"),
    Row("apply_feature_execution: each value", WORDS + _KNOWN),
    Row(
        "apply_feature_execution: layout_rules",
        OPTIONS + "test_layout_rules_are_applied_when_they_are_asked_for",
    ),
    Row("skip_feature_execution: each value", WORDS + _KNOWN),
    Row("Layout, approval mode", SENT + "test_each_call_says_the_options_and_each_record_gets_what_it_lacks"),
    Row("X-EXTERNAL", ORGANISATION + "test_a_lookup_by_an_external_value_refers_to_the_record_that_has_it"),
    Row(
        "a refused option blames no record",
        SENT + "test_a_refused_option_stops_the_load_and_blames_no_record",
    ),
    Row("kept by the load, its resume and its retry", SENT + "test_a_retry_has_the_options_of_its_load"),
)


# What no plain insert into the example organisation gets.
OTHER_ERRORS = (
    Row(
        "OAUTH_SCOPE_MISMATCH, HTTP 401: no scope to create",
        CONTRACT + "test_a_call_without_the_scope_is_no_matter_of_a_new_token",
    ),
    Row(
        "INTERNAL_ERROR, HTTP 500: Internal Server Error", CALLS + "test_a_fault_strikes_inserts_and_is_noted"
    ),
    Row(
        "TOO_MANY_REQUESTS, HTTP 429: calls in flight, credits",
        CONTRACT + "test_too_many_calls_and_spent_credits_are_429",
    ),
    *(
        Row(
            f"DEPENDENT_SERVICE_ERROR, HTTP 400: {each}",
            CONTRACT + "test_a_dependent_service_gives_each_of_its_errors",
        )
        for each in ("NO_PERMISSION", "LIMIT_EXCEEDED", "PROCESSING_ERROR")
    ),
    Row(
        "DEPENDENT_MISMATCH, HTTP 400: a job sheet of another appointment (of updates; read as any other)",
        CONTRACT + "test_the_loader_reads_each_error_of_the_page",
    ),
)


def _error_rows() -> tuple[Row, ...]:
    from tests.contract.errors import DESERVED

    plain = (
        Row(f"{row.code}, HTTP {row.status}: {', '.join(filter(None, (row.message, row.why)))}", ERRORS)
        for row in DESERVED
    )
    return (*plain, *OTHER_ERRORS)


def groups() -> dict[str, tuple[Row, ...]]:
    """All rows by heading."""
    return {
        "Modules": MODULES,
        "Field types": (*TYPES.values(), *MEMBERS),
        "Rules": RULE_ROWS,
        "Request options": OPTION_ROWS,
        "Errors": _error_rows(),
    }


def page() -> str:
    """The page as it should be."""
    parts = [
        "# Coverage of the insert-records page",
        "<!-- Made by tests/contract/coverage.py; change that, not this page. -->",
        "What the page describes, and the test that shows that the loader, the sandbox or both have it.\n"
        "A module, type, option or code that the code knows and this page does not fails a test, and so\n"
        "does a row whose test is not there.",
    ]
    for heading, rows in groups().items():
        lines = [
            f"| {row.what} | `{row.test.partition('::')[2]}`, {row.test.partition('::')[0]} |" for row in rows
        ]
        parts.append("\n".join([f"## {heading}", "", "| what | shown by |", "|---|---|", *lines]))
    return "\n\n".join(parts) + "\n"


def main() -> int:
    """Write the page, or say that it is stale."""
    if "--check" not in sys.argv:
        PAGE.write_text(page())
        return 0
    return 0 if PAGE.exists() and PAGE.read_text() == page() else 1


if __name__ == "__main__":
    raise SystemExit(main())
