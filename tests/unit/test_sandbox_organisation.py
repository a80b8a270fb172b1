"""The organisation's file: what it says, and the message for each thing that it cannot say."""

from pathlib import Path

import pytest

from loader.errors import UsageError
from loader.sandbox.catalogue import Catalogue, catalogue
from loader.sandbox.organisation import Organisation, read_organisation
from loader.schema.fields import FieldType

EXAMPLE = Path(__file__).parents[2] / "docs" / "reference" / "sandbox-org.toml"
PREFIX = 5_725_767


def served(organisation: Organisation) -> Catalogue:
    return catalogue(id_prefix=PREFIX, organisation=organisation)


def read(tmp_path: Path, text: str) -> Catalogue:
    file = tmp_path / "org.toml"
    file.write_text(text)
    return served(read_organisation(file))


def test_the_example_holds_together() -> None:
    modules = served(read_organisation(EXAMPLE))
    for name in modules:
        assert modules[name].problems(b"12"), name
        assert modules[name].fields_body.startswith(b'{"fields":[{')
        assert modules[name].layouts_body.startswith(b'{"layouts":[{')
    vehicles = modules["Vehicles"].module
    plate, rows = vehicles.field("Plate"), vehicles.field("Services_Done")
    assert plate is not None
    assert rows is not None
    assert (plate.length, plate.unique, plate.case_sensitive) == (12, True, True)
    assert (rows.type, rows.items_max) == (FieldType.SUBFORM, 20)
    assert [each.api_name for each in rows.subfields] == ["Done_On", "Garage"]


def test_a_standard_field_is_changed_only_in_what_is_named(tmp_path: Path) -> None:
    text = '[[modules.Leads.fields]]\napi_name = "Email"\nunique = true\nlength = 60\n'
    email = read(tmp_path, text)["Leads"].module.field("Email")
    assert email is not None
    assert (email.type, email.unique, email.length) == (FieldType.EMAIL, True, 60)


def test_without_a_file_each_module_has_one_layout_of_all_fields_that_may_be_set() -> None:
    modules = served(Organisation())
    for name in modules:
        module = modules[name].module
        (layout,) = module.layouts
        assert layout.fields == tuple(each.api_name for each in module.fields if each.creatable), name
        assert set(layout.required) >= {each.api_name for each in module.mandatory}, name
    assert "Company" in modules["Leads"].module.layouts[0].required
    (pipeline,) = modules["Deals"].module.layouts[0].pipelines
    assert pipeline.name == "Standard (Standard)"
    assert "Qualification" in pipeline.stages


def test_no_two_layouts_and_no_two_modules_have_one_id() -> None:
    modules = served(Organisation())
    layouts = [layout.id for each in modules.values() for layout in each.module.layouts]
    ids = [each.id for each in modules.facts()]
    assert len(set(layouts)) == len(layouts) == len(modules)
    assert len(set(ids)) == len(ids)


FIELD = '[[modules.Leads.fields]]\napi_name = "X"\n'
LAYOUT = '[[modules.Leads.layouts]]\nid = "7"\nname = "Fairs"\n'
RULE = '[[modules.Leads.layout_rules]]\nid = "9"\nname = "R"\n'
CUSTOM = "[modules.Vehicles]\ncustom = true\n"

MISTAKES = {
    "unknown key": ('compny = "X"', "compny: there is no such key"),
    "unknown key of a field": (
        FIELD + 'data_type = "text"\nlenght = 7',
        "modules.Leads.fields[0].lenght: there",
    ),
    "missing key": ('[[users]]\nname = "A"', "users[0].email: it is missing"),
    "wrong kind": (
        FIELD + 'data_type = "text"\nlength = "7"',
        "modules.Leads.fields[0].length: Expected `int",
    ),
    "not a table": ("[modules]\nLeads = 7", "modules.Leads: Expected `object`"),
    "not TOML": ("modules = [", "it is not TOML"),
    "unknown module": ("[modules.Laeds]\nlabel = 'x'", "modules.Laeds: there is no such standard module"),
    "custom standard module": ("[modules.Leads]\ncustom = true", "modules.Leads.custom: it is a standard"),
    "no data type": (FIELD, "modules.Leads.fields[0].data_type: it is missing, and X is a new field"),
    "unknown data type": (FIELD + 'data_type = "txt"', "modules.Leads.fields[0].data_type: 'txt' is none of"),
    "other data type": (
        '[[modules.Leads.fields]]\napi_name = "Email"\ndata_type = "text"',
        "modules.Leads.fields[0].data_type: Email is a email here",
    ),
    "bad API name": (
        '[[modules.Leads.fields]]\napi_name = "My Field"\ndata_type = "text"',
        "modules.Leads.fields[0].api_name: 'My Field' is no API name",
    ),
    "field named twice": (
        (FIELD + 'data_type = "text"\n') * 2,
        "modules.Leads.fields[1].api_name: X is named twice",
    ),
    "length of nothing": (
        FIELD + 'data_type = "text"\nlength = 0',
        "modules.Leads.fields[0].length: 0 is no",
    ),
    "options of a text": (
        FIELD + 'data_type = "text"\noptions = ["a"]',
        "modules.Leads.fields[0].options: X is a text: it has none",
    ),
    "decimals of a text": (
        FIELD + 'data_type = "text"\ndecimal_place = 2',
        "fields[0].decimal_place: X is a",
    ),
    "external number": (
        FIELD + 'data_type = "integer"\nexternal = "org"',
        "fields[0].external: X is a integer",
    ),
    "unknown external": (
        FIELD + 'data_type = "text"\nexternal = "all"',
        "modules.Leads.fields[0].external: Inv",
    ),
    "external of calls": (
        '[[modules.Calls.fields]]\napi_name = "X"\ndata_type = "text"\nexternal = "org"',
        "modules.Calls.fields[0].external: calls have no external fields",
    ),
    "lookup to nothing": (
        FIELD + 'data_type = "lookup"\nlookup = "Acounts"',
        "modules.Leads.fields[0].lookup: there is no module Acounts",
    ),
    "unknown type in a subform": (
        CUSTOM + '[[modules.Vehicles.fields]]\napi_name = "Rows"\ndata_type = "subform"\n'
        '[[modules.Vehicles.fields.fields]]\napi_name = "A"\ndata_type = "x"',
        "modules.Vehicles.fields[0].fields[0].data_type: 'x' is none of",
    ),
    "layout id": (LAYOUT.replace('"7"', '"seven"'), "modules.Leads.layouts[0].id: 'seven' is no id"),
    "layout twice": (LAYOUT * 2, "modules.Leads.layouts[1].id: 7 is the id of another layout"),
    "layout with an unknown field": (
        LAYOUT + 'fields = ["Last_Name", "Nope"]',
        "modules.Leads.layouts[0].fields[1]: Leads has no field Nope",
    ),
    "layout without a mandatory field": (
        LAYOUT + 'fields = ["Company"]',
        "modules.Leads.layouts[0].fields: Last_Name is mandatory",
    ),
    "required and not there": (
        LAYOUT + 'fields = ["Last_Name"]\nrequired = ["City"]',
        "modules.Leads.layouts[0].required[0]: the layout has no field City",
    ),
    "pipelines of leads": (
        LAYOUT + '[[modules.Leads.layouts.pipelines]]\nname = "P"\nstages = ["S"]',
        "modules.Leads.layouts[0].pipelines: Leads has no pipelines",
    ),
    "rule of an unknown layout": (
        RULE + 'layout = "8"\nwhen = { field = "City", value = "x" }\nmandatory = []',
        "modules.Leads.layout_rules[0].layout: there is no layout 8",
    ),
    "rule about an unknown field": (
        LAYOUT + RULE + 'layout = "7"\nwhen = { field = "Nope", value = "x" }\nmandatory = []',
        "modules.Leads.layout_rules[0].when.field: Leads has no field Nope",
    ),
    "rule that demands an unknown field": (
        LAYOUT + RULE + 'layout = "7"\nwhen = { field = "City", value = "x" }\nmandatory = ["Nope"]',
        "modules.Leads.layout_rules[0].mandatory[0]: Leads has no field Nope",
    ),
    "dependent on nothing": (
        '[[modules.Leads.dependents]]\nfield = "City"\nneeds = "Nope"',
        "modules.Leads.dependents[0].needs: Leads has no field Nope",
    ),
    "wizard without a path": (
        '[[modules.Leads.wizards]]\nid = "5"\nname = "W"\npaths = []',
        "modules.Leads.wizards[0].paths: a wizard has a path",
    ),
    "service with an unknown error": (
        '[modules.Campaigns.dependent_service]\nerror = "NO"',
        "modules.Campaigns.dependent_service.error: Invalid enum value 'NO'",
    ),
    "service about an unknown field": (
        '[modules.Campaigns.dependent_service]\nerror = "NO_PERMISSION"\n'
        'when = { field = "Nope", value = 1 }',
        "modules.Campaigns.dependent_service.when.field: Campaigns has no field Nope",
    ),
    "unknown refusal": ('[modules.Leads]\nrefuses = "NO"', "modules.Leads.refuses: Invalid enum value 'NO'"),
    "locked word": ('locked = ["x"]', "locked[0]: 'x' is no id"),
    "user id": ('[[users]]\nid = "me"\nname = "A"\nemail = "a@b.cd"', "users[0].id: 'me' is no id"),
}


@pytest.mark.parametrize(("text", "why"), MISTAKES.values(), ids=list(MISTAKES))
def test_a_mistake_names_its_key(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(UsageError) as raised:
        read(tmp_path, text)
    assert raised.value.what == f"--org {tmp_path / 'org.toml'} cannot be used"
    assert why in raised.value.why
    assert "sandbox-org.toml" in raised.value.hint


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_organisation(tmp_path / "none.toml")
