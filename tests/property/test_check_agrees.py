"""The fast path is only a short cut: it passes nothing that the slow path refuses."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from loader.schema.check import Checker
from loader.schema.fields import Field, FieldType, JsonType, Module
from loader.schema.problems import Problem


def _field(type_: FieldType, *, mandatory: bool, length: int | None) -> Field:
    name = f"{type_}_{'must' if mandatory else 'may'}"
    return Field(name, type_, type_.json_type, length, mandatory=mandatory)


OPTIONAL = tuple(_field(type_, mandatory=False, length=6) for type_ in FieldType)
MODULE = Module(
    "Everything",
    (
        *OPTIONAL,
        Field("Tag", FieldType.TEXT, JsonType.ARRAY, 2_000),
        Field("Read_Only", FieldType.DATE, JsonType.STRING, 20, creatable=False),
        Field("Odd", FieldType.INTEGER, JsonType.STRING, 3),
        Field("Strange", FieldType.TEXT, JsonType.OTHER, 3),
        _field(FieldType.SUBFORM, mandatory=True, length=None),
        _field(FieldType.TEXT, mandatory=True, length=6),
        _field(FieldType.BIGINT, mandatory=True, length=None),
        _field(FieldType.DATE, mandatory=True, length=None),
        _field(FieldType.DOUBLE, mandatory=True, length=None),
        _field(FieldType.OTHER, mandatory=True, length=None),
    ),
)
NAMES = [field.api_name for field in MODULE.fields]
SOUND = {
    "subform_must": [{"a": 1}],
    "text_must": "Daly",
    "bigint_must": "1",
    "date_must": "2017-08-16",
    "double_must": 1.5,
    "other_must": 5,
}

moments = st.builds(
    "{}-{:02}-{:02}{}{:02}:{:02}:{:02}{}".format,
    st.sampled_from(["2024", "2023", "1900", "2000", "0000", "0004", "9999", "12"]),
    st.integers(0, 13),
    st.integers(0, 32),
    st.sampled_from("TTTTt "),
    st.integers(0, 24),
    st.sampled_from([0, 59, 60]),
    st.sampled_from([0, 59, 60]),
    st.sampled_from(["", "Z", "+05:30", "-11:00", "+24:00", "+0530", ".1Z", "z", "\n", "+05:60"]),
)
texts = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["", " ", "\u00a0", "\x1c", "1", "-1", "+1", "1234567", "٣", "a\n", "1\n"]),
    moments,
    moments.map(lambda text: text[:10]),
    st.dates().map(str),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    texts,
    st.integers(-(10**7), 10**7),
    st.integers(-(10**25), 10**25),
    st.floats(allow_nan=False, allow_infinity=False).filter(lambda real: abs(abs(real) - 10**6) > 0.001),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "id"]), inner),
    max_leaves=5,
)
members = st.dictionaries(st.sampled_from(NAMES), values, max_size=4)


class Watched(Checker):
    """A checker, compiled for all of the module's keys, that counts the lines of its slow path."""

    def __init__(self, module: Module) -> None:
        super().__init__(module)
        self._learn(NAMES)
        self.explained = 0

    def _explain(self, raw: bytes) -> tuple[Problem, ...]:
        self.explained += 1
        return super()._explain(raw)


WARM = Watched(MODULE)
# Time says nothing here: the machine may be busy, and the first draw builds tables of all characters.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def verdict(raw: bytes) -> tuple[tuple[Problem, ...], bool]:
    """What the warm checker says, and whether its fast path did; a cold one, all slow, must say the same."""
    before = WARM.explained
    found = WARM.problems(raw)
    assert found == Checker(MODULE).problems(raw)
    return found, WARM.explained == before


def encoded(record: dict[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode("utf-8", "replace")


@unhurried
@given(members)
@example({"datetime_may": "2000-02-29T00:00:00+23:59"})
@example({"datetime_may": "1900-02-29T00:00:00Z"})
@example({"datetime_may": "0000-02-29T00:00:00Z"})
@example({"text_must": "\x1f"})
@example({"integer_may": 10**6, "double_may": 10**6, "double_must": 10**300})
@example({"Tag": [{"name": "a", "id": []}]})
def test_the_fast_path_refuses_a_record_exactly_if_the_slow_path_explains_why(drawn: dict[str, Any]) -> None:
    record = {**SOUND, **drawn}
    found, fast = verdict(encoded(record))
    strings_of_unknown_type = isinstance(record["other_must"], str)
    assert fast is (not found and not strings_of_unknown_type)
    assert all(problem.field in record for problem in found)


@unhurried
@given(members, st.integers(0, 400), st.binary(min_size=1, max_size=3), st.integers(0, 3))
def test_damaged_lines_get_one_verdict_and_none_that_passes_is_broken(
    drawn: dict[str, Any], at: int, put: bytes, cut: int
) -> None:
    raw = encoded({**SOUND, **drawn})
    at %= len(raw)
    damaged = raw[:at] + put + raw[at + cut :]
    found, _ = verdict(damaged)
    if not found:
        assert isinstance(json.loads(damaged.decode()), dict)


@unhurried
@given(st.binary(max_size=40))
def test_any_bytes_get_a_verdict(raw: bytes) -> None:
    found, fast = verdict(raw)
    assert found  # no forty bytes hold the mandatory fields
    assert not fast


def one_by_one(name: str, text: str) -> bytes:
    return b"{%s}" % b",".join(
        b'"%s":%s' % (key.encode(), text.encode() if key == name else msgspec.json.encode(value))
        for key, value in {**SOUND, name: None}.items()
    )


numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,8})(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)


@unhurried
@given(st.sampled_from(["integer_may", "double_may", "currency_may", "double_must", "text_may"]), numbers)
@example("double_may", "999999.99999999999999999")
@example("double_may", "0.000001e12")
def test_numbers_are_judged_as_they_are_written(name: str, text: str) -> None:
    found, _ = verdict(one_by_one(name, text))
    if name in {"double_may", "currency_may"}:
        mantissa, _, exponent = text.lower().partition("e")
        whole, _, fraction = mantissa.lstrip("-").partition(".")
        # The value without its sign and fraction, by whole numbers alone.
        shift = int(exponent or 0) - len(fraction)
        digits = int(whole + fraction)
        size = digits * 10**shift if shift >= 0 else digits // 10**-shift
        assert bool(found) is (size >= 10**6)
