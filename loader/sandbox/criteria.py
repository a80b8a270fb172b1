"""Which records a query's criteria hold for, and how they are sorted: a query's tree against values.

Pure: fields, and the values that a record has, come in. Which operator a field takes and how its values are
compared depends on its type (COQL page, field types and their comparators). A field that has nothing answers
to `is null` alone, as in SQL: no page says what `!=` makes of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, tzinfo
from typing import Any, Final

import msgspec

from loader.sandbox.coql import Criterion, Operator, Order, QueryError, Where
from loader.schema.fields import Field, FieldType, JsonType, Module

Values = Mapping[str, Any]
"""What a record has, by API name."""
Matcher = Callable[[Values], bool]

_NUMBER: Final = re.compile(r"\s*-?[0-9]{1,400}(?:\.[0-9]{1,400})?\s*", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class _Kind(msgspec.Struct, frozen=True):
    """How the values of some types of field are compared; None is a value that cannot be compared."""

    equal: Callable[[Any], Any]
    order: Callable[[Any], Any] | None = None
    """None: it has no more and no less."""
    like: bool = False


class Refusal(msgspec.Struct, frozen=True):
    """A criterion that its field does not take."""

    error: QueryError


def matcher_of(where: Where, module: Module, zone: tzinfo) -> Matcher | Refusal:
    """A function that says whether a record's values fulfil `where`; times without an offset are `zone`'s."""
    if isinstance(where, Criterion):
        return _criterion(where, module, _kinds(zone))
    left, right = matcher_of(where.left, module, zone), matcher_of(where.right, module, zone)
    if isinstance(left, Refusal):
        return left
    if isinstance(right, Refusal):
        return right
    # Bound by name: a lambda that closed over the union would have to ask again.
    one, other = left, right
    if where.both:
        return lambda values: one(values) and other(values)
    return lambda values: one(values) or other(values)


def sort_keys(
    orders: Iterable[Order], module: Module, zone: tzinfo
) -> list[Callable[[Values], Any]] | Refusal:
    """For each order what a record is sorted by; a field that has nothing comes first."""
    keys = []
    for each in orders:
        field = module.field(each.field)
        if field is None:
            return unknown_column(each.field, module.api_name)
        kind = _kind_of(field, _kinds(zone))
        if kind is None:
            return _unsupported(each.field)
        keys.append(_sort_key(each.field, kind.order or kind.equal))
    return keys


def unknown_column(name: str, module: str) -> Refusal:
    """A field that the module does not have."""
    details = {"column_name": name, "module": module}
    return Refusal(QueryError("INVALID_QUERY", "column given seems to be invalid", details))


def _sort_key(name: str, key: Callable[[Any], Any]) -> Callable[[Values], Any]:
    def sorted_by(values: Values) -> Any:
        found = _something(values.get(name))
        comparable = None if found is None else key(found)
        return (False, 0) if comparable is None else (True, comparable)

    return sorted_by


def _criterion(each: Criterion, module: Module, kinds: Mapping[str, _Kind]) -> Matcher | Refusal:
    field = module.field(each.field)
    if field is None:
        return unknown_column(each.field, module.api_name)
    kind = _kind_of(field, kinds)
    if each.operator is Operator.NULL:
        return _by_name(each, lambda found: found is None or found == "")
    if kind is None:
        return _unsupported(each.field)
    match each.operator:
        case Operator.EQUAL | Operator.IN:
            wanted = frozenset(kind.equal(value) for value in each.values) - {None}
            return _by_name(each, lambda found: found is not None and (kind.equal(found) in wanted))
        case Operator.LIKE if kind.like:
            alike = _like(each.values[0])
            return _by_name(each, lambda found: found is not None and alike(str(found).casefold()))
        case Operator.LIKE:
            return _no_operator(each)
    if kind.order is None:
        return _no_operator(each)
    bounds = tuple(kind.order(value) for value in each.values)
    if None in bounds:
        details = {"reason": "invalid value found", "column_name": each.field, "operator": each.words}
        return Refusal(QueryError("INVALID_QUERY", "Invalid query formed", details))
    return _by_name(each, _compared(each.operator, bounds, kind.order))


def _compared(
    operator: Operator, bounds: tuple[Any, ...], order: Callable[[Any], Any]
) -> Callable[[Any], bool]:
    tests: Mapping[Operator, Callable[[Any], bool]] = {
        Operator.LESS: lambda value: value < bounds[0],
        Operator.AT_MOST: lambda value: value <= bounds[0],
        Operator.MORE: lambda value: value > bounds[0],
        Operator.AT_LEAST: lambda value: value >= bounds[0],
        Operator.BETWEEN: lambda value: bounds[0] <= value <= bounds[-1],
    }
    test = tests[operator]

    def holds(found: Any) -> bool:
        value = None if found is None else order(found)
        return value is not None and test(value)

    return holds


def _by_name(each: Criterion, holds: Callable[[Any], bool]) -> Matcher:
    """The test of a value as that of a record; turned round, it still does not hold for nothing at all."""
    name, negated = each.field, each.negated
    if not negated:
        return lambda values: holds(_something(values.get(name)))

    def does_not_hold(values: Values) -> bool:
        found = _something(values.get(name))
        return found is not None and not holds(found)

    return does_not_hold


def _something(value: Any) -> Any:
    """A value, or None where it is none: an empty array or object too; a blank text is an empty one."""
    if isinstance(value, str):
        return value if value.strip() else ""
    return None if value in ([], {}) else value


def _like(pattern: str) -> Callable[[str], bool]:
    """`x%` begins with, `%x` ends with, `%x%` contains; a % elsewhere is a character (COQL page)."""
    text = pattern.casefold()
    before, after = text.startswith("%"), len(text) > 1 and text.endswith("%")
    core = text[before : len(text) - after]
    if before and after:
        return lambda value: core in value
    if before:
        return lambda value: value.endswith(core)
    if after:
        return lambda value: value.startswith(core)
    return lambda value: value == core


def _no_operator(each: Criterion) -> Refusal:
    details = {"reason": "invalid operator found", "column_name": each.field, "operator": each.words}
    return Refusal(QueryError("INVALID_QUERY", "Invalid query formed", details))


def _unsupported(name: str) -> Refusal:
    return Refusal(QueryError("INVALID_QUERY", "unsupported column in criteria", {"column_name": name}))


# --- How values are compared --------------------------------------------------------------------------------

_NUMBERS: Final = frozenset((FieldType.INTEGER, FieldType.CURRENCY, FieldType.DOUBLE, FieldType.PERCENT))


def _kind_of(field: Field, kinds: Mapping[str, _Kind]) -> _Kind | None:
    """None: values of this type are not compared at all."""
    if field.json_type is JsonType.ARRAY and field.type is not FieldType.MULTISELECTPICKLIST:
        return None
    if field.type in _NUMBERS:
        return kinds["number"]
    if field.json_type is JsonType.OBJECT:
        return kinds["lookup"]
    return kinds.get(str(field.type), kinds["text"])


def _kinds(zone: tzinfo) -> Mapping[str, _Kind]:
    return {
        "text": _Kind(_text, like=True),
        "number": _Kind(_number_or_text, _number),
        "bigint": _Kind(_text, _number),
        "boolean": _Kind(_text),
        "lookup": _Kind(_id),
        "multiselectpicklist": _Kind(_joined, like=True),
        "date": _Kind(_text, _day),
        "datetime": _Kind(lambda value: _moment(value, zone), lambda value: _moment(value, zone)),
    }


def _text(value: Any) -> str:
    """Case and outer space do not count, as for unique values."""
    if isinstance(value, str):
        return value.strip().casefold()
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).strip().casefold()


def _number(value: Any) -> int | float | None:
    if isinstance(value, int | float):
        return value
    if not isinstance(value, str) or _NUMBER.fullmatch(value) is None:
        return None
    return float(value) if "." in value else int(value)


def _number_or_text(value: Any) -> int | float | str:
    number = _number(value)
    return _text(value) if number is None else number


def _id(value: Any) -> str:
    return str(value.get("id", "")) if isinstance(value, dict) else str(value).strip()


def _joined(value: Any) -> str:
    """Several options are written with semicolons between them (COQL page)."""
    return _text(";".join(map(str, value)) if isinstance(value, list) else value)


def _day(value: Any) -> str | None:
    try:
        return date.fromisoformat(str(value).strip()).isoformat()
    except ValueError:
        return None


def _moment(value: Any, zone: tzinfo) -> float | None:
    """Unix seconds."""
    try:
        moment = datetime.fromisoformat(str(value).strip())
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    return (moment - _EPOCH).total_seconds()
