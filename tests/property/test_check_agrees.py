"""The fast path is only a short cut: it passes nothing that the slow path refuses."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from loader.schema.check import Checker
from loader.schema.fields import Field, FieldType, JsonType, Layout, Module, Option, Pipeline
from loader.schema.problems import Problem


def _field(type_: FieldType, *, mandatory: bool, length: int | None) -> Field:
    name = f"{type_}_{'must' if mandatory else 'may'}"
    return Field(name, type_, type_.json_type, length, mandatory=mandatory)


OPTIONAL = tuple(_field(type_, mandatory=False, length=6) for type_ in FieldType)
OPTIONS = (Option("A"), Option("é", "Shown"), Option(""), Option("5"))
CELLS = (
    *(_field(type_, mandatory=False, length=6) for type_ in FieldType if type_ is not FieldType.SUBFORM),
    *(
        _field(type_, mandatory=True, length=8)
        for type_ in (FieldType.TEXT, FieldType.EMAIL, FieldType.PHONE)
    ),
)
MODULE = Module(
    "Everything",
    (
        *OPTIONAL,
        Field("Tag", FieldType.TEXT, JsonType.ARRAY, 2_000),
        Field("Read_Only", FieldType.DATE, JsonType.STRING, 20, creatable=False),
        Field("Odd", FieldType.INTEGER, JsonType.STRING, 3),
        Field("Strange", FieldType.TEXT, JsonType.OTHER, 3),
        Field("Links", FieldType.MULTISELECTLOOKUP, JsonType.ARRAY, link="id", items_max=2),
        Field("Rows", FieldType.SUBFORM, JsonType.ARRAY, subfields=CELLS, items_max=2),
        Field("Choice", FieldType.PICKLIST, JsonType.STRING, 120, options=OPTIONS, closed=True),
        Field("Must", FieldType.PICKLIST, JsonType.STRING, 120, mandatory=True, options=OPTIONS, closed=True),
        Field("Choices", FieldType.MULTISELECTPICKLIST, JsonType.ARRAY, options=OPTIONS, closed=True),
        _field(FieldType.WEBSITE, mandatory=True, length=20),
        _field(FieldType.LOOKUP, mandatory=True, length=None),
        _field(FieldType.IMAGEUPLOAD, mandatory=True, length=None),
        _field(FieldType.SUBFORM, mandatory=True, length=None),
        _field(FieldType.TEXT, mandatory=True, length=6),
        _field(FieldType.BIGINT, mandatory=True, length=None),
        _field(FieldType.DATE, mandatory=True, length=None),
        _field(FieldType.DOUBLE, mandatory=True, length=None),
        _field(FieldType.OTHER, mandatory=True, length=None),
    ),
)
NAMES = [
    *(field.api_name for field in MODULE.fields),
    *("$approved", "$se_module", "$wizard_connection_path", "$line_tax", "Wizard"),
]
SOUND = {
    "Must": "A",
    "website_must": "a.example",
    "lookup_must": {"id": "5"},
    "imageupload_must": [{"File_Id__s": "2cfa"}],
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
    st.sampled_from(
        ["A", "é", "Shown", "a@b.de", "ä@b.de", "a.de", "91(9)6", "a@b", "x..de", " a@b.de", "a\nb"]
    ),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    texts,
    st.integers(-(10**7), 10**7),
    st.integers(-(10**25), 10**25),
    st.floats(allow_nan=False, allow_infinity=False).filter(lambda real: abs(abs(real) - 10**6) > 0.001),
)
MEMBERS = ["name", "id", "id", "email", "File_Id__s", "percentage", *(cell.api_name for cell in CELLS)]
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=3),
    max_leaves=5,
)
ROW = {"text_must": "a", "email_must": "a@b.de", "phone_must": "5"}
rows = st.lists(
    st.dictionaries(st.sampled_from(MEMBERS), values, max_size=3).map(lambda row: {**ROW, **row}), max_size=3
)
members = st.dictionaries(st.sampled_from(NAMES), values, max_size=4) | st.fixed_dictionaries(
    {"Rows": rows}, optional=dict.fromkeys(NAMES[::7], values)
)


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
    fast = WARM.explained == before
    assert not (fast and found)
    return found, fast


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
@example({"Rows": [{**ROW, "email_must": ""}, {**ROW, "phone_may": "91(9)6"}]})
@example({"Must": "", "Choice": "", "Choices": [""]})
@example({"email_may": None, "phone_may": None, "website_may": None})
@example({"Links": [{"id": {"id": "5"}}, {"id": {}}, {"id": {"x": 1}}]})
@example({"lookup_may": {"id": 5}, "Links": [{"id": {"id": 10**19 - 1}}]})
@example({"lookup_may": {"id": -1}, "Links": [{"id": {"id": 10**19}}]})
@example({"other_must": []})
def test_the_fast_path_passes_nothing_that_the_slow_path_refuses(drawn: dict[str, Any]) -> None:
    record = {**SOUND, **drawn}
    found, fast = verdict(encoded(record))
    event(f"fast: {fast}, problems: {bool(found)}")
    assert all(problem.field in record or problem.dependee in record for problem in found)
    assert all(problem.path.startswith(problem.field) and problem.message for problem in found)


USUAL: dict[str, Any] = {
    "text_may": "Daly",
    "textarea_may": "a\nb",
    "email_may": "a@b.de",
    "phone_may": "+49 22",
    "website_may": "a.de/x",
    "picklist_may": "new",
    "multiselectpicklist_may": ["a", "b"],
    "date_may": "2017-08-16",
    "datetime_may": "2017-08-16T14:32:23+05:30",
    "integer_may": 12,
    "bigint_may": "000012",
    "currency_may": 250000.90,
    "double_may": -1,
    "percent_may": 25,
    "boolean_may": True,
    "lookup_may": {"id": "425248000000104001", "name": "Daly"},
    "ownerlookup_may": {"email": "a@b.de"},
    "layout_may": {"id": "1"},
    "profileimage_may": "2cfa",
    "subform_may": [{"any": 1}],
    "Rows": [{**ROW, "double_may": 1.5, "email_may": "a@b.de", "lookup_may": {"id": "1"}}],
    "fileupload_may": [{"File_Id__s": "2cfa"}],
    "multiselectlookup_may": [{"Any": {"id": "5"}}],
    "Links": [{"id": {"id": "5", "name": "a"}}],
    "multiuserlookup_may": [{"Any": {"id": "5"}}],
    "Choice": "é",
    "Choices": ["A", "5"],
    "Tag": [{"name": "fair"}],
    "$approved": False,
    "$se_module": "Deals",
    "$wizard_connection_path": ["5"],
    "$line_tax": [{"percentage": 1.5, "name": "VAT"}],
    "unknown": {"any": [1]},
}


@unhurried
@given(
    st.lists(st.sampled_from(sorted(USUAL)), unique=True, max_size=8), st.sets(st.sampled_from(sorted(USUAL)))
)
def test_what_is_usual_takes_the_fast_path(names: list[str], nulls: set[str]) -> None:
    record = {**SOUND, **{name: None if name in nulls else USUAL[name] for name in names}}
    WARM.problems(encoded({**SOUND, "unknown": 1}))
    found, fast = verdict(encoded(record))
    assert found == ()
    assert fast


STAGES = Pipeline("Standard", ("Won", "Lost"))
RULED = {
    name: Module(
        name,
        (
            Field("Subject", FieldType.TEXT, JsonType.STRING, 30, mandatory=True),
            Field("Layout", FieldType.LAYOUT, JsonType.OBJECT),
            Field("What_Id", FieldType.LOOKUP, JsonType.OBJECT),
        ),
        layouts=(
            Layout("1", "One", ("Subject", "Status", "Pipeline", "Stage"), ("Status",), (STAGES,)),
            Layout("2", "Two", (), ("Subject",)),
        )
        if name == "Deals"
        else (),
    )
    for name in (
        "Calls",
        "Events",
        "Tasks",
        "Deals",
        "Quotes",
        "Purchase_Orders",
        "Price_Books",
        "Appointments__s",
    )
}
RULED_VALUES: dict[str, list[Any]] = {
    "Layout": [{"id": "1"}, {"id": "2"}, {"id": "3"}, {"id": 1}, {"id": 3}, {}, 5],
    "What_Id": [{"id": "5"}, {"id": 5}],
    "$se_module": ["Deals", "Leads", " ", 5],
    "Who_Id": [{"id": "5"}],
    "Call_Type": ["Inbound", "Missed", "Other", 5],
    "Call_Duration": ["0", "00:10", "x", 5],
    "Call_Start_Time": ["2017-08-16T14:32:23+05:30", "2099-08-16T14:32:23+05:30", "soon", 5],
    "Outgoing_Call_Status": ["Scheduled", "Completed"],
    "Outbound_Call_Status": ["Scheduled", "Completed"],
    "Participants": [[{"type": "lead"}], [{"type": "x"}, 5], [{}] * 51, {}],
    "Recurring_Activity": [{"RRULE": "FREQ=DAILY"}, {"RRULE": "x"}, {"RRULE": 5}, {}, "x"],
    "Remind_At": [
        {"ALARM": "ACTION=EMAIL;TRIGGER=DATE-TIME:2017-08-16T14:32:23+05:30"},
        [{"ACTION": "x", "TRIGGER": "-P1D"}, 5],
        {"ACTION": "EMAIL", "TRIGGER": "-P9D"},
        "x",
    ],
    "Quoted_Items": [[{}], [], "x"],
    "Purchase_Items": [[{}], []],
    "Purchased_Items": [[{}]],
    "Pricing_Details": [[{"from_range": 1, "to_range": 2, "discount": 0}], [{"discount": 1}], [5], 5],
    "Probability": [0, 100, 101, -1, 5.5, 1e300, "5", True],
    "Pipeline": ["Standard", "Other", 5, []],
    "Stage": ["Won", "Other", 5],
    "Status": ["Completed", "Open", " "],
    "Job_Sheet_Required": ["yes", True, "no"],
    "Job_Sheet_Section__s": [{"a": 1}, []],
    "Wizard": ["5", 5],
    "$wizard_connection_path": [["5"], [], [5]],
}


@unhurried
@given(
    st.sampled_from(sorted(RULED)),
    st.fixed_dictionaries(
        {}, optional={key: st.none() | st.sampled_from(pool) for key, pool in RULED_VALUES.items()}
    ),
    st.sampled_from(["", "1", "2", "3"]),
    st.sampled_from([None, 1.7e9]),
)
def test_a_warm_checker_and_a_cold_one_agree_on_rules_that_join_fields(
    name: str, drawn: dict[str, Any], layout_id: str, now: float | None
) -> None:
    clock = None if now is None else lambda: now
    warm = Checker(RULED[name], now=clock, layout_id=layout_id)
    warm._learn(["Subject", *RULED_VALUES])
    raw = encoded({"Subject": "x", **drawn})
    found = Checker(RULED[name], now=clock, layout_id=layout_id).problems(raw)
    assert warm.problems(raw) == found
    places = [(problem.code, problem.path) for problem in found]
    assert len(set(places)) == len(places)
    event(f"problems: {bool(found)}")


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


lines = st.one_of(
    st.just(encoded(SOUND)),
    members.map(lambda drawn: encoded({**SOUND, **drawn})),
    st.binary(max_size=9),
    st.dictionaries(st.sampled_from(["new", "newer", *NAMES[:3]]), scalars).map(
        lambda drawn: encoded({**SOUND, **drawn})
    ),
)


@unhurried
@given(st.lists(lines, max_size=6))
@example([encoded(SOUND), encoded({**SOUND, "text_must": "a\nb"}), encoded(SOUND)])
@example([encoded({**SOUND, "email_must": "a@b.de\n5\nwww.a.de\na\na@b.de"}), encoded(SOUND)])
def test_lines_judged_together_get_the_verdicts_that_each_gets_alone(raws: list[bytes]) -> None:
    alone = [Checker(MODULE).problems(raw) for raw in raws]
    assert Checker(MODULE).problems_of(raws) == alone
    assert WARM.problems_of(raws) == alone


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
        # Behind the point it is the double that counts.
        too_fine = size < 10**6 and round(float(text), 9) != float(text)
        assert bool(found) is (size >= 10**6 or too_fine)
