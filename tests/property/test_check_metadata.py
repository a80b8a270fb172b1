from __future__ import annotations

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loader.schema.fields import Field, FieldType, JsonType, Layout, Module, Option, Pipeline
from loader.schema.layouts import layouts_from_metadata, metadata_from_layouts, with_layouts
from loader.schema.metadata import MetadataError, metadata_from_module, module_from_metadata

# Time says nothing here: the machine may be busy, and the first draw builds tables of all characters.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


words = st.text(max_size=6)
options = st.builds(lambda value, shown: Option(value, shown if shown != value else ""), words, words)


@st.composite
def modules(draw: st.DrawFn) -> Module:
    names = draw(st.lists(st.text(min_size=1, max_size=10), min_size=1, max_size=6, unique=True))
    return Module("Vehicles", tuple(draw(fields(name)) for name in names))


@st.composite
def fields(draw: st.DrawFn, name: str) -> Field:
    type_ = draw(st.sampled_from(FieldType))
    external = draw(st.booleans())
    unique = external or draw(st.booleans())
    return Field(
        name,
        type_,
        draw(st.sampled_from(JsonType)),
        draw(st.none() | st.integers(1, 50_000)),
        draw(st.none() | st.integers(0, 9)),
        mandatory=draw(st.booleans()),
        # What the metadata says of a subform is stepped over: it always may be set.
        creatable=type_ is FieldType.SUBFORM or draw(st.booleans()),
        unique=unique,
        case_sensitive=unique and draw(st.booleans()),
        external=external,
        options=tuple(draw(st.lists(options, max_size=3))),
        module=draw(st.sampled_from(["", "Accounts"])) if type_ is not FieldType.MULTIUSERLOOKUP else "",
        link=draw(st.sampled_from(["", "Listings"]))
        if type_ is FieldType.MULTISELECTLOOKUP
        else linked(type_, name),
    )


def linked(type_: FieldType, name: str) -> str:
    return name if type_ is FieldType.MULTIUSERLOOKUP else ""


@unhurried
@given(modules())
def test_a_module_comes_back_from_its_metadata_as_it_went(module: Module) -> None:
    answer = msgspec.json.encode({"fields": metadata_from_module(module)})
    assert module_from_metadata("Vehicles", answer) == module


@unhurried
@given(modules(), st.integers(0, 5_000), st.binary(max_size=3))
def test_damaged_metadata_is_a_module_or_a_metadata_error(module: Module, at: int, put: bytes) -> None:
    answer = msgspec.json.encode({"fields": metadata_from_module(module)})
    at %= len(answer)
    damaged = answer[:at] + put + answer[at + 1 :]
    try:
        read = module_from_metadata("Vehicles", damaged)
    except MetadataError:
        return
    assert read.fields


names = st.lists(st.sampled_from(["Last_Name", "Pipeline", "Stage", "Unknown", "é"]), unique=True)
pipelines = st.builds(Pipeline, words, st.lists(words, unique=True, max_size=3).map(tuple))


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    fields = draw(names)
    required = [name for name in fields if draw(st.booleans())]
    many = draw(st.lists(pipelines, max_size=3)) if "Pipeline" in fields else []
    return Layout(draw(words), draw(words), tuple(fields), tuple(required), tuple(many))


@unhurried
@given(st.lists(layouts(), min_size=1, max_size=3))
def test_layouts_come_back_from_their_metadata_as_they_went(drawn: list[Layout]) -> None:
    known = (
        Field("Last_Name", FieldType.TEXT, JsonType.STRING, 80),
        Field("Stage", FieldType.PICKLIST, JsonType.STRING),
    )
    module = with_layouts(Module("Deals", known), tuple(drawn))
    answer = msgspec.json.encode({"layouts": metadata_from_layouts(module)})
    assert layouts_from_metadata("Deals", answer) == module.layouts


@unhurried
@given(st.lists(layouts(), min_size=1, max_size=3), st.integers(0, 5_000), st.binary(max_size=3))
def test_damaged_layouts_are_layouts_or_a_metadata_error(drawn: list[Layout], at: int, put: bytes) -> None:
    answer = msgspec.json.encode({"layouts": metadata_from_layouts(Module("Deals", (), tuple(drawn)))})
    at %= len(answer)
    try:
        read = layouts_from_metadata("Deals", answer[:at] + put + answer[at + 1 :])
    except MetadataError:
        return
    assert read
