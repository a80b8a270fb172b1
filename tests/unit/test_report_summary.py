"""The figures of a load, its exit code and its closing screen."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from loader.checkpoint.tally import Tally
from loader.errors import ExitCode
from loader.outcomes import ErrorCount
from loader.report import closing
from loader.report import summary as report
from loader.report.summary import Effort, Outcomes, Summary

ERRORS = (ErrorCount("MANDATORY_NOT_FOUND", "", 285), ErrorCount("INVALID_DATA", "Email", 1084))


def tally(errors: tuple[ErrorCount, ...] = ERRORS, **counts: int) -> Tally:
    empty: dict[str, Any] = dict.fromkeys(Tally.__struct_fields__, 0)
    return Tally(**{**empty, "errors": errors, **counts})


def summary_of(given: Tally, *, seconds: float = 11_464.0, **settings: object) -> Summary:
    arguments = {"complete": True, **settings}
    return report.summarise(
        given,
        load_id="01JD8-7QK2",
        module="Leads",
        input_name="leads.ndjson",
        effort=Effort(credits=1_000_010, refreshes=4, seconds=seconds),
        **arguments,  # type: ignore[arg-type]
    )


MIGRATION = tally(
    inserted=9_994_120, duplicate=4_511, rejected=1_369, calls=100_001, retries=16, resumes=2, recovered=12
)


def test_the_closing_screen_of_a_migration() -> None:
    assert closing.render(summary_of(MIGRATION), load_dir="leads.ndjson.load", width=100) == [
        f"{'load 01JD8-7QK2 finished in 3 h 11 m 04 s':<94}exit 3",
        "  inserted    9,994,120   99.94 %",
        "  duplicate       4,511    0.05 %",
        "  rejected        1,369    0.01 %   INVALID_DATA Email 1,084 · MANDATORY_NOT_FOUND 285",
        "  in doubt            0",
        "  input      10,000,000   accounts for every line",
        "  872 rec/s · 100,001 calls · 16 sent again · 12 recovered · 2 resumes · 1.0 M credits",
        "  rejected   leads.ndjson.load/rejected.ndjson   fix, then: loader load that-file --module Leads",
        "             or, with the same target, key and options: loader retry leads.ndjson.load",
        "  reasons    leads.ndjson.load/rejected-reasons.ndjson",
        "  duplicate  field and record of each: loader results leads.ndjson.load --outcome duplicate",
    ]


def test_the_closing_screen_of_a_migration_on_80_columns() -> None:
    assert closing.render(summary_of(MIGRATION), load_dir="leads.ndjson.load") == [
        "load 01JD8-7QK2 finished in 3 h 11 m 04 s                                 exit 3",
        "  inserted    9,994,120   99.94 %",
        "  duplicate       4,511    0.05 %",
        "  rejected        1,369    0.01 %   INVALID_DATA Email 1,084",
        "                                    MANDATORY_NOT_FOUND 285",
        "  in doubt            0",
        "  input      10,000,000   accounts for every line",
        "  872 rec/s · 100,001 calls · 16 sent again · 12 recovered · 2 resumes",
        "  1.0 M credits",
        "  rejected   leads.ndjson.load/rejected.ndjson",
        "             fix, then: loader load that-file --module Leads",
        "             or, with the same target, key and options:",
        "             loader retry leads.ndjson.load",
        "  reasons    leads.ndjson.load/rejected-reasons.ndjson",
        "  duplicate  field and record of each:",
        "             loader results leads.ndjson.load --outcome duplicate",
    ]


def test_the_closing_screen_names_a_few_of_the_members_that_the_api_ignores() -> None:
    names = [f"Custom_Field_{number}" for number in range(70)]
    summary = summary_of(tally(inserted=10, errors=()), ignored_fields=["\x1b[2J", "\x1b[2J", *names])
    assert len(summary.ignored_fields) == report.IGNORED_MAX
    lines = closing.render(summary, load_dir="d", width=60)
    assert lines[-3] == f"  ignored    \\x1b[2J · Custom_Field_0 · {report.IGNORED_MAX - 2} more"
    assert lines[-2:] == [
        "             the API ignores these members; why:",
        "             loader check leads.ndjson --module Leads",
    ]
    assert max(map(len, lines)) <= 60


def test_the_closing_screen_names_the_report_last() -> None:
    lines = closing.render(summary_of(MIGRATION), load_dir="d", report="d/report.html\x1b[2J")
    assert lines[-1] == "  report     d/report.html\\x1b[2J"
    assert lines[:-1] == closing.render(summary_of(MIGRATION), load_dir="d")


def test_a_load_that_is_not_finished_does_not_ask_for_a_retry_yet() -> None:
    counted = tally(inserted=80, rejected=5, in_doubt=10, pending=5)
    stopped = summary_of(counted, complete=False, stopped_by=ExitCode.NOT_NOW)
    said = closing.render(stopped, load_dir="my leads.load", width=120)
    assert said[-4:] == [
        "  rejected   my leads.load/rejected.ndjson   it may still grow",
        "             when the load is finished, fix, then: loader retry 'my leads.load'",
        "  reasons    my leads.load/rejected-reasons.ndjson",
        "  in doubt   my leads.load/in-doubt.ndjson   go on first; what is left then:"
        " loader resolve 'my leads.load'",
    ]
    counted = tally(inserted=80, rejected=5, in_doubt=10)
    ended = closing.render(summary_of(counted, complete=False), load_dir="leads.load", width=120)
    assert "when the load is finished" in ended[-3]
    assert ended[-1].endswith("look them up, then: loader resolve leads.load")


def test_a_kind_of_error_that_fits_nowhere_beside_its_number_stands_below_it() -> None:
    kinds = (ErrorCount("MANDATORY_NOT_FOUND", "Last_Name", 207),)
    lines = closing.render(summary_of(tally(inserted=1, rejected=207, errors=kinds)), width=60)
    assert "             MANDATORY_NOT_FOUND Last_Name 207" in lines


def test_a_stopped_load_shows_what_is_pending_and_in_doubt() -> None:
    stopped = summary_of(
        tally(inserted=80, in_doubt=15, pending=5, blank=1, errors=()),
        complete=False,
        stopped_by=ExitCode.SIGTERM,
        seconds=2.5,
    )
    lines = closing.render(stopped, load_dir="d/")
    assert lines[0].startswith("load 01JD8-7QK2 stopped in 2.50 s")
    assert lines[0].endswith("exit 143")
    assert "  in doubt           15   15.00 %" in lines
    assert "  pending             5    5.00 %" in lines
    assert "  input             100   accounts for every line read so far (and 1 blank line)" in lines
    assert any("d/in-doubt.ndjson" in line for line in lines)
    assert not any("rejected.ndjson" in line for line in lines)


@pytest.mark.parametrize(("lines", "words"), [(12, "2 too few"), (9, "1 too many")])
def test_lines_without_an_outcome_are_said_aloud(lines: int, words: str) -> None:
    shown = closing.render(summary_of(tally(inserted=10, errors=()), lines=lines))
    assert any("does NOT account for every line" in line and words in line for line in shown)


def test_control_characters_of_a_code_do_not_reach_the_screen() -> None:
    hostile = tally(inserted=1, rejected=1, errors=(ErrorCount("\x1b[2J", "F\x07", 1),))
    assert "\x1b" not in "\n".join(closing.render(summary_of(hostile), load_dir="d\x1b]0;"))


@pytest.mark.parametrize("width", [60, 80, 100])
def test_the_closing_screen_keeps_to_the_width(width: int) -> None:
    lines = closing.render(summary_of(MIGRATION), load_dir="leads.ndjson.load", width=width)
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize(
    ("outcomes", "ok_duplicates", "stopped_by", "code"),
    [
        pytest.param(Outcomes(inserted=5), False, None, ExitCode.OK, id="all inserted"),
        pytest.param(Outcomes(), False, None, ExitCode.OK, id="nothing to do"),
        pytest.param(Outcomes(duplicate=1), False, None, ExitCode.NOT_ALL_INSERTED, id="duplicate"),
        pytest.param(Outcomes(duplicate=1), True, None, ExitCode.OK, id="duplicates are fine"),
        pytest.param(Outcomes(duplicate=1, invalid=1), True, None, ExitCode.NOT_ALL_INSERTED, id="invalid"),
        pytest.param(Outcomes(rejected=1), False, None, ExitCode.NOT_ALL_INSERTED, id="rejected"),
        pytest.param(Outcomes(rejected=1, in_doubt=1), False, None, ExitCode.IN_DOUBT, id="4 before 3"),
        pytest.param(Outcomes(in_doubt=1), False, ExitCode.NOT_NOW, ExitCode.NOT_NOW, id="a stop goes first"),
        pytest.param(Outcomes(pending=1), False, None, ExitCode.NOT_NOW, id="pending"),
    ],
)
def test_exit_codes(
    outcomes: Outcomes, ok_duplicates: bool, stopped_by: ExitCode | None, code: ExitCode
) -> None:
    assert report.exit_code_of(outcomes, ok_duplicates=ok_duplicates, stopped_by=stopped_by) is code


def test_json_has_the_promised_fields_in_their_order() -> None:
    stored = json.loads(report.to_json(summary_of(MIGRATION), indent=2))
    promised = (
        "load_id module input records outcomes errors calls retries recovered credits refreshes resumes"
        " seconds records_per_second complete exit_code"
    )
    assert list(stored)[:16] == promised.split()
    assert list(stored["outcomes"]) == ["inserted", "duplicate", "rejected", "invalid", "in_doubt", "pending"]
    assert stored["records"] == sum(stored["outcomes"].values()) == 10_000_000
    assert stored["errors"][0] == {"code": "INVALID_DATA", "field": "Email", "count": 1084}


def test_json_is_read_back() -> None:
    summary = summary_of(MIGRATION)
    assert report.from_json(report.to_json(summary)) == summary
    assert b"\n" not in report.to_json(summary)


def test_a_load_with_options_is_retried_by_the_command_that_keeps_them() -> None:
    flags = ("--module", "Leads", "--dc", "eu", "--trigger", "none")
    said = closing.render(summary_of(MIGRATION), load_dir="leads.ndjson.load", load_flags=flags, width=120)
    assert not any("loader load" in line for line in said), "without the flags it would run the automations"
    assert any(line.strip() == "loader retry leads.ndjson.load" for line in said)


def test_what_a_key_could_not_settle_names_its_reasons_and_not_the_same_command_again() -> None:
    reasons = [(f"reason {number}", 1) for number in range(6)]
    doubtful = summary_of(tally(inserted=1, in_doubt=6), complete=False)
    said = "\n".join(
        closing.render(doubtful, load_dir="d", doubts=closing.OpenDoubts(reasons, asked=True), width=120)
    )
    assert "1 record: reason 3\n" in said
    assert "and others" in said
    assert "reason 4" not in said
    assert "look them up; those that the CRM has: loader resolve d --as applied --lines LINES" in said
    assert not re.search(r"loader resolve d$", said, re.MULTILINE)


def test_an_input_without_a_record_says_so() -> None:
    assert "  the input held no record" in closing.render(summary_of(tally(errors=())))
