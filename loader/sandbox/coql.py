"""COQL as the sandbox understands it: the text of a query into a tree, or the reason why not. Pure.

`select a, b from M where C order by a desc limit 5, 10`: one module, criteria in pairs. Whether the module
has the fields is looked up in `criteria.py`; running it is `querying.py`. Grammar from the COQL pages, errors
from the worked examples of the vendor's OpenAPI files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final, NoReturn

import msgspec

COLUMNS_MAX: Final = 50
CRITERIA_MAX: Final = 25
VALUES_MAX: Final = 50
"""Values of one `in`, columns and criteria (COQL limitations page)."""
LIMIT_MAX: Final = 2000
LIMIT_DEFAULT: Final = 200
OFFSET_MAX: Final = 100_000
"""The last row that a query reaches (COQL limitations page)."""

_DEPTH_MAX: Final = 50
"""Brackets inside brackets: more than 25 criteria in pairs can use."""

EXPECTED: Final = (
    "select a, b from Module where (Field in ('x', 'y') and Other is not null) order by a desc limit 0, 200;"
    " more than two criteria stand in pairs, ((A and B) and C); a quote inside a value is doubled; the"
    " sandbox has no joins, aliases, functions, groups or sub-queries"
)
"""What a refusal adds to the API's own words."""


class Operator(StrEnum):
    """What a criterion does with its values; `negated` turns round the first five."""

    EQUAL = "="
    LIKE = "like"
    IN = "in"
    NULL = "is null"
    BETWEEN = "between"
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="


class Criterion(msgspec.Struct, frozen=True):
    """A field, what is asked of it and the values, as texts, that it is held against."""

    field: str
    operator: Operator
    values: tuple[str, ...] = ()
    negated: bool = False

    @property
    def words(self) -> str:
        """The operator as the query has it."""
        if not self.negated:
            return str(self.operator)
        turned = {Operator.EQUAL: "!=", Operator.NULL: "is not null"}
        return turned.get(self.operator, f"not {self.operator}")


class Pair(msgspec.Struct, frozen=True):
    """Two criteria, of which both or either must hold."""

    both: bool
    left: Where
    right: Where


Where = Criterion | Pair


class Order(msgspec.Struct, frozen=True):
    """A field to sort by."""

    field: str
    descending: bool = False


class Query(msgspec.Struct, frozen=True):
    """Which fields of which records, in which order, how many of them and after how many others."""

    columns: tuple[str, ...]
    module: str
    where: Where
    order: tuple[Order, ...] = ()
    limit: int = LIMIT_DEFAULT
    offset: int = 0


class QueryError(msgspec.Struct, frozen=True):
    """Why a query is refused, in the API's terms; `details` is the answer's."""

    code: str
    message: str
    details: dict[str, Any]


def parse_query(text: str) -> Query | QueryError:
    """Reads a query; what it asks for is not looked up."""
    try:
        return _Parser(text).query()
    except _RefusedError as refused:
        return refused.error


def criteria_of(where: Where) -> Iterator[Criterion]:
    """Every criterion, from left to right."""
    if isinstance(where, Pair):
        yield from criteria_of(where.left)
        yield from criteria_of(where.right)
    else:
        yield where


class _RefusedError(Exception):
    def __init__(self, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.error = QueryError(code, message, details)


class _Token(msgspec.Struct, frozen=True):
    kind: str
    """text, number, word, mark or end."""
    text: str
    """As it is written; of a text what is between the quotes."""
    at: int


# A quote inside a value is written twice (vendor's COQL questions and answers); numbers go without quotes.
_TOKEN: Final = re.compile(
    r"""\s*(?:
        '(?P<single>[^']*(?:''[^']*)*)'
      | "(?P<double>[^"]*(?:""[^"]*)*)"
      | (?P<number>-?[0-9]+(?:\.[0-9]+)?)(?![A-Za-z_.0-9])
      | (?P<word>[A-Za-z_][A-Za-z0-9_.]*)
      | (?P<mark><=|>=|!=|[=<>(),])
    )""",
    re.VERBOSE | re.ASCII,
)
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_KEYWORDS: Final = frozenset(
    ("select", "from", "where", "and", "or", "not", "in", "like", "is", "null", "between")
).union(("order", "by", "asc", "desc", "limit", "offset"))
_ELSEWHERE: Final = frozenset(("as", "group", "having", "distinct", "join"))
"""Words of queries that the service may take and the sandbox does not; so is a second `select`."""


def _tokens(text: str) -> list[_Token]:
    found, at = [], 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise _near(text[at:].split(maxsplit=1)[0])
        kind = match.lastgroup or ""
        written = match[kind]
        if kind in ("single", "double"):
            quote = "'" if kind == "single" else '"'
            kind, written = "text", written.replace(quote * 2, quote)
        found.append(_Token(kind, written, match.start(match.lastgroup or 0)))
        at = match.end()
    return [*found, _Token("end", "", end)]


def _near(word: str) -> _RefusedError:
    message = "error occured while parsing the query"
    return _RefusedError("SYNTAX_ERROR", message, near=word[:40], expected=EXPECTED)


class _Parser:
    """One token after the other, from the left; nothing is read twice."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._place = 0
        self._criteria = 0

    def query(self) -> Query:
        self._expect("select")
        columns = self._columns()
        self._expect("from")
        module = self._name()
        if not self._takes("where"):
            if self._next.kind == "end" or self._word in ("order", "limit", "offset"):
                raise _RefusedError("SYNTAX_ERROR", "missing clause", clause="where", expected=EXPECTED)
            self._unexpected()
        where = self._either(1)
        order = self._order()
        limit, offset = self._limit()
        if self._next.kind != "end":
            self._unexpected()
        return Query(columns, module, where, order, limit, offset)

    # --- Tokens -----------------------------------------------------------------------------------------

    @property
    def _next(self) -> _Token:
        return self._tokens[self._place]

    @property
    def _word(self) -> str:
        """The next token as a word of the language; empty where it is none."""
        return self._next.text.lower() if self._next.kind in ("word", "mark") else ""

    def _taken(self) -> _Token:
        token = self._next
        self._place += token.kind != "end"
        return token

    def _takes(self, word: str) -> bool:
        if self._word != word:
            return False
        self._place += 1
        return True

    def _expect(self, word: str) -> None:
        if not self._takes(word):
            self._unexpected()

    def _unexpected(self) -> NoReturn:
        token = self._next
        inner = self._word == "select"
        joined = token.kind == "word" and "." in token.text
        if inner or joined or self._word in _ELSEWHERE or self._is_call():
            message = "given coql query not supported"
            raise _RefusedError("SYNTAX_ERROR", message, near=token.text[:40], expected=EXPECTED)
        line = self._text.count("\n", 0, token.at) + 1
        column = token.at - self._text.rfind("\n", 0, token.at)
        details = {"line": line, "column": column, "near": token.text[:40], "expected": EXPECTED}
        raise _RefusedError("SYNTAX_ERROR", "unexpected token", **details)

    def _is_call(self) -> bool:
        """The next token is the name of a function, whose brackets follow."""
        if self._next.kind != "word" or self._word in _KEYWORDS:
            return False
        following = self._tokens[self._place + 1]
        return following.kind == "mark" and following.text == "("

    # --- Clauses ----------------------------------------------------------------------------------------

    def _columns(self) -> tuple[str, ...]:
        columns = [self._name()]
        while self._takes(","):
            columns.append(self._name())
        for number, column in enumerate(_at_most(columns, COLUMNS_MAX, "select")):
            if column in columns[:number]:
                raise _RefusedError("DUPLICATE_DATA", "duplicate select column", column_name=column)
        return tuple(columns)

    def _name(self) -> str:
        """A field or a module; a word of the language stands in quotes (vendor's questions and answers)."""
        token = self._next
        plain = token.kind == "word" and self._word not in _KEYWORDS | _ELSEWHERE
        if not (plain or token.kind == "text") or _NAME.fullmatch(token.text) is None:
            self._unexpected()
        if self._is_call():
            self._unexpected()
        return self._taken().text

    def _either(self, depth: int) -> Where:
        """One criterion or two: of more than two the page wants pairs."""
        left = self._factor(depth)
        joint = self._word
        if joint not in ("and", "or"):
            return left
        self._taken()
        pair = Pair(joint == "and", left, self._factor(depth))
        if self._word in ("and", "or"):
            raise _near(self._next.text)
        return pair

    def _factor(self, depth: int) -> Where:
        if depth > _DEPTH_MAX:
            raise _near(self._next.text)
        if self._takes("("):
            where = self._either(depth + 1)
            self._expect(")")
            return where
        self._criteria += 1
        if self._criteria > CRITERIA_MAX:
            raise _over("where", CRITERIA_MAX)
        return self._criterion()

    def _criterion(self) -> Criterion:
        field = self._name()
        if self._takes("is"):
            negated = self._takes("not")
            self._expect("null")
            return Criterion(field, Operator.NULL, (), negated)
        if self._takes("!="):
            return Criterion(field, Operator.EQUAL, (self._value(),), True)
        negated = self._takes("not")
        word = self._word
        if negated and word not in ("like", "in", "between"):
            message = "operator not supported"
            raise _RefusedError("SYNTAX_ERROR", message, operator="not", expected=EXPECTED)
        if word not in {str(each) for each in Operator} - {"is null"}:
            self._unexpected()
        self._taken()
        return Criterion(field, Operator(word), self._values(Operator(word)), negated)

    def _values(self, operator: Operator) -> tuple[str, ...]:
        if operator is Operator.BETWEEN:
            least = self._value()
            self._expect("and")
            return (least, self._value())
        if operator is not Operator.IN:
            return (self._value(),)
        self._expect("(")
        values = [self._value()]
        while self._takes(","):
            values.append(self._value())
        self._expect(")")
        return tuple(_at_most(values, VALUES_MAX, "in"))

    def _value(self) -> str:
        if self._next.kind not in ("text", "number") and self._word not in ("true", "false"):
            self._unexpected()
        return self._taken().text

    def _order(self) -> tuple[Order, ...]:
        if not self._takes("order"):
            return ()
        self._expect("by")
        found = [self._sorted_by()]
        while self._takes(","):
            found.append(self._sorted_by())
        return tuple(found)

    def _sorted_by(self) -> Order:
        field = self._name()
        descending = self._takes("desc")
        if not descending:
            self._takes("asc")
        return Order(field, descending)

    def _limit(self) -> tuple[int, int]:
        """Rows to give, and rows to step over before: `limit 10`, `limit 5, 10`, `limit 10 offset 5`."""
        limit, offset = LIMIT_DEFAULT, 0
        if self._takes("limit"):
            limit = self._count("limit")
            if self._takes(","):
                offset, limit = limit, self._count("limit")
        if self._takes("offset"):
            offset = self._count("offset")
        if limit < 1:
            raise _too_little("limit")
        if limit > LIMIT_MAX:
            raise _over("limit", LIMIT_MAX)
        if offset + limit > OFFSET_MAX:
            raise _over("offset", OFFSET_MAX)
        return limit, offset

    def _count(self, clause: str) -> int:
        token = self._next
        if token.kind == "end":
            self._unexpected()
        if token.kind != "number" or "." in token.text or len(token.text) > 9:
            message = f"{clause} given seems to be invalid"
            raise _RefusedError("INVALID_QUERY", message, **{clause: token.text[:40]})
        if token.text.startswith("-"):
            raise _too_little(clause)
        return int(self._taken().text)


def _too_little(clause: str) -> _RefusedError:
    return _RefusedError("INVALID_DATA", f"{clause} should be greater than 0")


def _at_most(words: list[str], most: int, clause: str) -> list[str]:
    if len(words) > most:
        raise _over(clause, most)
    return words


def _over(clause: str, most: int) -> _RefusedError:
    return _RefusedError("LIMIT_EXCEEDED", f"{clause} is over its limit", clause=clause, maximum=most)
