"""The queries that the sandbox reads, and those that it refuses."""

import pytest

from loader.sandbox.coql import Criterion, Operator, Order, Pair, Query, QueryError, Where, parse_query


def among(field: str, *values: str) -> Criterion:
    return Criterion(field, Operator.IN, values)


def equal(field: str, value: str) -> Criterion:
    return Criterion(field, Operator.EQUAL, (value,))


ID = ("id",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "select id, Email from Leads where Email in ('a','b') limit 7",
            Query(("id", "Email"), "Leads", among("Email", "a", "b"), (), 7),
        ),
        ("SELECT id FROM Leads WHERE Email IN ('a')", Query(ID, "Leads", among("Email", "a"), (), 200)),
        (
            "select id\nfrom Leads  where (Email in( 'a' , 'b' ))",
            Query(ID, "Leads", among("Email", "a", "b"), (), 200),
        ),
        (
            "select id from Leads where Number in (7, -2.50,'7')",
            Query(ID, "Leads", among("Number", "7", "-2.50", "7"), (), 200),
        ),
        ("select id from Leads where Email = 'a'", Query(ID, "Leads", equal("Email", "a"), (), 200)),
        (
            "select id from Leads where City in ('L''Aquila')",
            Query(ID, "Leads", among("City", "L'Aquila"), (), 200),
        ),
        (
            "select id from Leads where City in (')','(,','''')",
            Query(ID, "Leads", among("City", ")", "(,", "'"), (), 200),
        ),
        ("select id from Leads where City in ('')", Query(ID, "Leads", among("City", ""), (), 200)),
        (
            """select 'External' from "Leads" where City = "a ""b"" ' c" """,
            Query(("External",), "Leads", equal("City", 'a "b" \' c'), (), 200),
        ),
    ],
)
def test_a_query_is_read(text: str, expected: Query) -> None:
    assert parse_query(text) == expected


A, B, C = equal("A", "1"), equal("B", "2"), equal("C", "3")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id is not null", Criterion("id", Operator.NULL, (), True)),
        ("City IS NULL", Criterion("City", Operator.NULL)),
        ("City != 'x'", Criterion("City", Operator.EQUAL, ("x",), True)),
        ("City like '%x%'", Criterion("City", Operator.LIKE, ("%x%",))),
        ("City not like '%x%'", Criterion("City", Operator.LIKE, ("%x%",), True)),
        ("City not in ('x')", Criterion("City", Operator.IN, ("x",), True)),
        ("N between 1 and 2", Criterion("N", Operator.BETWEEN, ("1", "2"))),
        ("N not between 1 and 2", Criterion("N", Operator.BETWEEN, ("1", "2"), True)),
        ("N>=1", Criterion("N", Operator.AT_LEAST, ("1",))),
        ("N <= -1.5", Criterion("N", Operator.AT_MOST, ("-1.5",))),
        ("N > '1'", Criterion("N", Operator.MORE, ("1",))),
        ("N < 1", Criterion("N", Operator.LESS, ("1",))),
        ("Opt = true", equal("Opt", "true")),
        ("A = 1 and B = 2", Pair(True, A, B)),
        ("A = 1 or B = 2", Pair(False, A, B)),
        ("(A = 1 and (B = 2 or C = 3))", Pair(True, A, Pair(False, B, C))),
        ("((A = 1) and B = 2) or C = 3", Pair(False, Pair(True, A, B), C)),
        ("N between 1 and 2 and B = 2", Pair(True, Criterion("N", Operator.BETWEEN, ("1", "2")), B)),
    ],
)
def test_criteria_are_read(text: str, expected: Where) -> None:
    query = parse_query(f"select id from Leads where {text}")
    assert isinstance(query, Query), query
    assert query.where == expected


@pytest.mark.parametrize(
    ("text", "order", "offset", "limit"),
    [
        ("", (), 0, 200),
        ("limit 5", (), 0, 5),
        ("limit 10, 5", (), 10, 5),
        ("limit 5 offset 10", (), 10, 5),
        ("offset 10", (), 10, 200),
        ("limit 0, 2000", (), 0, 2000),
        ("order by City", (Order("City"),), 0, 200),
        ("order by City asc, id DESC limit 1", (Order("City"), Order("id", True)), 0, 1),
    ],
)
def test_order_and_limit_are_read(text: str, order: tuple[Order, ...], offset: int, limit: int) -> None:
    query = parse_query(f"select id from Leads where id is not null {text}")
    assert isinstance(query, Query), query
    assert (query.order, query.offset, query.limit) == (order, offset, limit)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "select * from Leads where Email in ('a')",
        "select id from Leads",
        "select id from Leads limit 5",
        "select id from Leads where Email in ()",
        "select id from Leads where Email in (a)",
        "select id from Leads where Email in ('a'",
        "select id from Leads where Email in ('L'Aquila')",
        "select id from Leads where Email = 12abc",
        "select id from Leads where Email",
        "select id from Leads where Email is 'x'",
        "select id from Leads where A = 1 and",
        "select id from Leads where A = 1 and B = 2 and C = 3",
        "select id from Leads where A = 1 or B = 2 and C = 3",
        "select id from Leads where N not = 1",
        "select id from Leads where A = 1 order id",
        "select id from Leads where A = 1 limit",
        "select id from Leads where A = 1 nonsense",
        "select id from Leads nonsense where A = 1",
        "select id, from Leads where A = 1",
        "delete from Leads where Email in ('a')",
        "select id from Leads where " + "(" * 60 + "A = 1" + ")" * 60,
    ],
)
def test_anything_else_is_a_syntax_error_that_shows_the_form(text: str) -> None:
    error = parse_query(text)
    assert isinstance(error, QueryError)
    assert error.code == "SYNTAX_ERROR"
    assert "select a, b from Module" in str(error.details["expected"])


@pytest.mark.parametrize(
    "text",
    [
        "select COUNT(id) from Leads where id is not null",
        "select City as Town from Leads where id is not null",
        "select Account_Name.Account_Name from Contacts where id is not null",
        "select id from Contacts where Account_Name.Account_Name = 'Zylker'",
        "select City from Leads where id is not null group by City",
        "select id from Leads where id in (select id from Leads where id is not null)",
    ],
)
def test_what_the_service_has_and_the_sandbox_has_not_is_told_apart(text: str) -> None:
    error = parse_query(text)
    assert isinstance(error, QueryError)
    assert (error.code, error.message) == ("SYNTAX_ERROR", "given coql query not supported")
    assert "the sandbox has no joins, aliases, functions, groups or sub-queries" in error.details["expected"]


def test_where_a_query_breaks_off_is_told_by_line_and_column() -> None:
    error = parse_query("select id\nfrom Leads where City = from")
    assert isinstance(error, QueryError)
    assert error.message == "unexpected token"
    assert {name: error.details[name] for name in ("line", "column", "near")} == {
        "line": 2,
        "column": 25,
        "near": "from",
    }


@pytest.mark.parametrize(
    ("text", "code", "message", "details"),
    [
        ("select id from Leads", "SYNTAX_ERROR", "missing clause", {"clause": "where"}),
        (
            "select id from Leads where A = 1 limit s",
            "INVALID_QUERY",
            "limit given seems to be invalid",
            {"limit": "s"},
        ),
        ("select id from Leads where A = 1 limit 0", "INVALID_DATA", "limit should be greater than 0", {}),
        ("select id from Leads where A = 1 limit -1", "INVALID_DATA", "limit should be greater than 0", {}),
        (
            "select id from Leads where N not > 1",
            "SYNTAX_ERROR",
            "operator not supported",
            {"operator": "not"},
        ),
        (
            "select id, City, id from Leads where A = 1",
            "DUPLICATE_DATA",
            "duplicate select column",
            {"column_name": "id"},
        ),
    ],
)
def test_errors_have_the_words_of_the_vendors_examples(
    text: str, code: str, message: str, details: dict[str, str]
) -> None:
    error = parse_query(text)
    assert isinstance(error, QueryError)
    shown = {name: value for name, value in error.details.items() if name != "expected"}
    assert (error.code, error.message, shown) == (code, message, details)


MANY = " and ".join(["(A = 1"] * 26) + ")" * 26


@pytest.mark.parametrize(
    ("text", "clause", "maximum"),
    [
        (f"select id from Leads where Email in ({','.join(['1'.join(chr(39) * 2)] * 51)})", "in", 50),
        (f"select {','.join(['id'] * 51)} from Leads where Email in ('a')", "select", 50),
        ("select id from Leads where Email in ('a') limit 2001", "limit", 2000),
        ("select id from Leads where Email in ('a') limit 99999, 2", "offset", 100_000),
        (f"select id from Leads where {MANY}", "where", 25),
    ],
)
def test_a_clause_over_its_limit_is_named(text: str, clause: str, maximum: int) -> None:
    error = parse_query(text)
    assert isinstance(error, QueryError)
    assert (error.code, error.details) == ("LIMIT_EXCEEDED", {"clause": clause, "maximum": maximum})
