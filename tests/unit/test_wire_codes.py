"""The table of error codes: what it must never say, whatever rows it gains."""

from __future__ import annotations

import pytest

from loader.wire.codes import CODES, ForCall, ForRecord, facts

NAMED = [
    "SUCCESS",
    "INVALID_DATA",
    "MANDATORY_NOT_FOUND",
    "DUPLICATE_DATA",
    "MULTIPLE_OR_MULTI_ERRORS",
    "LIMIT_EXCEEDED",
    "RECORD_LOCKED",
    "INVALID_MODULE",
    "INVALID_TOKEN",
    "OAUTH_SCOPE_MISMATCH",
    "AUTHENTICATION_FAILURE",
    "NO_PERMISSION",
    "AUTHORIZATION_FAILED",
    "INVALID_REQUEST_METHOD",
    "INVALID_URL_PATTERN",
    "TOO_MANY_REQUESTS",
    "INTERNAL_ERROR",
    "PROCESSING_ERROR",
    "SERVICE_UNAVAILABLE",
    "NOT_JSON",
    "NOT_AN_OBJECT",
    "NESTED_TOO_DEEPLY",
    "LINE_TOO_LONG",
]


@pytest.mark.parametrize("code", NAMED)
def test_each_code_that_a_load_can_meet_has_a_row_with_advice(code: str) -> None:
    assert facts(code) is CODES[code]
    assert facts(code).code == code
    assert facts(code).advice.endswith((".", "DIR"))


@pytest.mark.parametrize("code", ["", "success", "A_CODE_OF_NEXT_YEAR", "SUCCESS "])
def test_an_unknown_code_leaves_everything_in_doubt(code: str) -> None:
    row = facts(code)
    assert (row.code, row.record, row.call) == (code, ForRecord.IN_DOUBT, ForCall.IN_DOUBT)
    assert "resolve" in row.advice


def test_only_success_inserts_and_only_one_code_is_a_duplicate() -> None:
    by_meaning = {meaning: [c for c, row in CODES.items() if row.record is meaning] for meaning in ForRecord}
    assert by_meaning[ForRecord.INSERTED] == ["SUCCESS"]
    assert by_meaning[ForRecord.DUPLICATE] == ["DUPLICATE_DATA"]
    assert by_meaning[ForRecord.LOCKED] == ["RECORD_LOCKED"]


def test_a_failure_of_the_service_never_rejects_a_record() -> None:
    for code in (
        "INTERNAL_ERROR",
        "PROCESSING_ERROR",
        "SERVICE_UNAVAILABLE",
        "TOO_MANY_REQUESTS",
        "INVALID_TOKEN",
    ):
        assert facts(code).record is ForRecord.IN_DOUBT


def test_only_an_invalid_token_is_renewed() -> None:
    """A missing scope answers with the same status; renewing for it would never end."""
    assert [code for code, row in CODES.items() if row.call is ForCall.RENEW_TOKEN] == ["INVALID_TOKEN"]


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        CODES["SUCCESS"] = facts("X")  # type: ignore[index]
    with pytest.raises(AttributeError):
        facts("SUCCESS").advice = ""  # type: ignore[misc]
