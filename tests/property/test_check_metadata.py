from __future__ import annotations

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loader.schema.fields import Field, FieldType, JsonType, Module
from loader.schema.metadata import MetadataError, metadata_from_module, module_from_metadata

# Time says nothing here: the machine may be busy, and the first draw builds tables of all characters.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


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
    )


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
