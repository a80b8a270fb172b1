"""The table of what the page describes: complete, fresh, and each row with a test that is there."""

from __future__ import annotations

import ast
from functools import cache

import pytest

from loader.schema.fields import FieldType
from loader.schema.modules import STANDARD
from loader.wire.codes import CODES
from loader.wire.options import OPTION_KEYS
from tests.contract import coverage
from tests.contract.errors import DESERVED

ROWS = [(heading, row) for heading, rows in coverage.groups().items() for row in rows]

ELSEWHERE = {
    "SUCCESS": "no error",
    "OAUTH_SCOPE_MISMATCH": "tests/contract/test_errors.py, by credentials with fewer scopes",
    "TOO_MANY_REQUESTS": "tests/contract/test_errors.py, by credits that are spent",
    "INTERNAL_ERROR": "tests/scenario/test_sandbox_calls.py, by a fault",
    "RATE_LIMIT_EXCEEDED": "another name for TOO_MANY_REQUESTS, read in tests/unit/test_policy.py",
    "SERVICE_UNAVAILABLE": "read in tests/unit/test_policy.py",
    "PROCESSING_ERROR": "read in tests/unit/test_policy.py",
    "EXPECTED_FIELD_MISSING": "read in tests/unit/test_wire_replies.py; when it comes no source says",
    "PATTERN_NOT_MATCHED": "as above",
    "NOT_ALLOWED": "as above",
    "NOT_APPROVED": "as above",
    "ALREADY_MODIFIED": "of updates alone",
    "REQUIRED_PARAM_MISSING": "of reads alone",
}
"""Codes that no plain insert into the example organisation gets."""


@cache
def _functions(path: str) -> frozenset[str]:
    tree = ast.parse((coverage.ROOT / path).read_text())
    return frozenset(
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


@pytest.mark.parametrize(
    ("heading", "row"), ROWS, ids=[f"{heading}: {row.what}"[:80] for heading, row in ROWS]
)
def test_each_row_names_a_test_that_is_there(heading: str, row: coverage.Row) -> None:
    path, _, name = row.test.partition("::")
    assert name.startswith("test_")
    assert name in _functions(path)


def test_the_page_is_fresh() -> None:
    assert coverage.PAGE.read_text() == coverage.page(), "python -m tests.contract.coverage"


def test_no_module_type_or_option_is_without_a_row() -> None:
    words = " ".join(row.what for _, row in ROWS)
    assert set(STANDARD) <= {row.what for row in coverage.MODULES}
    assert {str(type_) for type_ in FieldType} == set(coverage.TYPES)
    for key in OPTION_KEYS:
        assert key in words


def test_no_code_of_the_api_is_without_a_request_that_deserves_it() -> None:
    of_the_api = {code for code, facts in CODES.items() if facts.seen.statuses}
    assert of_the_api == {row.code for row in DESERVED} | set(ELSEWHERE)


ON_THE_PAGE = {
    "INVALID_MODULE": 2,
    "INVALID_DATA": 5,
    "MULTIPLE_OR_MULTI_ERRORS": 1,
    "DEPENDENT_FIELD_MISSING": 2,
    "DEPENDENT_SERVICE_ERROR": 3,
    "MANDATORY_NOT_FOUND": 2,
    "DEPENDENT_MISMATCH": 3,
    "INVALID_URL_PATTERN": 1,
    "OAUTH_SCOPE_MISMATCH": 1,
    "NO_PERMISSION": 1,
    "INTERNAL_ERROR": 1,
    "INVALID_REQUEST_METHOD": 1,
    "AUTHORIZATION_FAILED": 1,
    "DUPLICATE_DATA": 1,
    "LIMIT_EXCEEDED": 1,
    "RECORD_LOCKED": 1,
}
"""Causes of each code that "Possible Errors" names, counted there and not here."""


@pytest.mark.parametrize("code", ON_THE_PAGE)
def test_each_cause_of_an_error_on_the_page_has_its_row(code: str) -> None:
    rows = [row for row in coverage.groups()["Errors"] if row.what.startswith(f"{code},")]
    assert len({row.what for row in rows}) >= ON_THE_PAGE[code]
