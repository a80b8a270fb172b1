"""The queries that the sandbox reads, and those that it refuses."""

import pytest

from loader.sandbox.coql import Query, QueryError, parse_query


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "select id, Email from Leads where Email in ('a','b') limit 7",
            Query(("id", "Email"), "Leads", "Email", ("a", "b"), 7),
        ),
        ("SELECT id FROM Leads WHERE Email IN ('a')", Query(("id",), "Leads", "Email", ("a",), 200)),
        (
            "select id\nfrom Leads  where (Email in( 'a' , 'b' ))",
            Query(("id",), "Leads", "Email", ("a", "b"), 200),
        ),
        (
            "select id from Leads where Number in (7, -2.50,'7')",
            Query(("id",), "Leads", "Number", ("7", "-2.50", "7"), 200),
        ),
        ("select id from Leads where Email = 'a'", Query(("id",), "Leads", "Email", ("a",), 200)),
        (
            "select id from Leads where City in ('L''Aquila')",
            Query(("id",), "Leads", "City", ("L'Aquila",), 200),
        ),
        (
            "select id from Leads where City in (')','(,','''')",
            Query(("id",), "Leads", "City", (")", "(,", "'"), 200),
        ),
        ("select id from Leads where City in ('')", Query(("id",), "Leads", "City", ("",), 200)),
    ],
)
def test_a_query_is_read(text: str, expected: Query) -> None:
    assert parse_query(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "select * from Leads where Email in ('a')",
        "select id from Leads",
        "select id from Leads where Email in ()",
        "select id from Leads where Email in (a)",
        "select id from Leads where Email in ('a'",
        "select id from Leads where Email in ('L'Aquila')",
        "select id from Leads where Email in ('a') order by id",
        "select id from Leads where Email in ('a') and City = 'b'",
        "delete from Leads where Email in ('a')",
        "select id from Leads where Email in ('a') limit -1",
    ],
)
def test_anything_else_is_a_syntax_error_that_shows_the_form(text: str) -> None:
    error = parse_query(text)
    assert isinstance(error, QueryError)
    assert error.code == "SYNTAX_ERROR"
    assert "select a, b from Module" in str(error.details["expected"])


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        (f"select id from Leads where Email in ({','.join(['1'.join(chr(39) * 2)] * 51)})", "in"),
        (f"select {','.join(['id'] * 51)} from Leads where Email in ('a')", "select"),
        ("select id from Leads where Email in ('a') limit 2001", "limit"),
    ],
)
def test_a_clause_over_its_limit_is_named(text: str, clause: str) -> None:
    error = parse_query(text)
    assert isinstance(error, QueryError)
    assert (error.code, error.details["clause"]) == ("LIMIT_EXCEEDED", clause)
