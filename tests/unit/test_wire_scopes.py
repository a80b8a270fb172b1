"""Which scopes a feature lacks."""

from __future__ import annotations

import pytest

from loader.wire.scopes import FEATURES, Feature, missing, wanted

BY_NAME = {feature.name: feature for feature in FEATURES}
LOAD: Feature = BY_NAME["load"]


@pytest.mark.parametrize(
    ("granted", "module", "lacking"),
    [
        ("ZohoCRM.modules.ALL", "Leads", ()),
        ("ZohoCRM.modules.CREATE", "Leads", ()),
        ("zohocrm.modules.leads.write", "Leads", ()),
        ("ZohoCRM.modules.pricebooks.ALL", "Price_Books", ()),
        ("ZohoCRM.modules.custom.CREATE", "Vehicles", ()),
        ("ZohoCRM.modules.deals.ALL", "Leads", ("ZohoCRM.modules.leads.CREATE",)),
        ("ZohoCRM.modules.deals.ALL", "", ()),
        ("ZohoCRM.modules.READ", "Leads", ("ZohoCRM.modules.leads.CREATE",)),
        ("ZohoCRM.settings.ALL", "", ("ZohoCRM.modules.ALL",)),
        ("ZohoBooks.modules.ALL", "Leads", ("ZohoCRM.modules.leads.CREATE",)),
        ("ZohoCRM", "Leads", ("ZohoCRM.modules.leads.CREATE",)),
    ],
)
def test_a_load_needs_to_create_in_its_module(granted: str, module: str, lacking: tuple[str, ...]) -> None:
    assert missing(LOAD, [granted], module=module) == lacking


@pytest.mark.parametrize(
    ("granted", "lacking"),
    [
        ("ZohoCRM.settings.ALL", ()),
        ("ZohoCRM.settings.fields.READ", ()),
        ("ZohoCRM.settings.layouts.READ", ("ZohoCRM.settings.fields.READ",)),
        ("ZohoCRM.settings.fields.CREATE", ("ZohoCRM.settings.fields.READ",)),
    ],
)
def test_the_live_check_needs_the_fields(granted: str, lacking: tuple[str, ...]) -> None:
    assert missing(BY_NAME["live check"], [granted], module="Leads") == lacking


def test_what_is_asked_for_covers_every_feature() -> None:
    for module in ("", "Leads"):
        assert all(missing(each, wanted(module).split(","), module=module) == () for each in FEATURES)
