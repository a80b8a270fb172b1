"""Scopes: what each opens, and what is no scope."""

import pytest

from loader.errors import UsageError
from loader.sandbox.scopes import CREATE, DEFAULT, READ, Scopes, words_of

WORDS = {
    "Leads": words_of("Leads", custom=False),
    "Price_Books": words_of("Price_Books", custom=False),
    "Events": words_of("Events", custom=False),
    "Vehicles": words_of("Vehicles", custom=True),
}


@pytest.mark.parametrize(
    ("scope", "module", "create", "read"),
    [
        ("ZohoCRM.modules.ALL", "Leads", True, True),
        ("ZohoCRM.modules.CREATE", "Leads", True, False),
        ("ZohoCRM.modules.READ", "Leads", False, True),
        ("ZohoCRM.modules.leads.ALL", "Leads", True, True),
        ("ZohoCRM.modules.leads.CREATE", "Leads", True, False),
        ("ZohoCRM.modules.Leads.WRITE", "Leads", True, False),
        ("ZohoCRM.modules.leads.READ", "Leads", False, True),
        ("ZohoCRM.modules.leads.UPDATE", "Leads", False, False),
        ("ZohoCRM.modules.leads.ALL", "Events", False, False),
        ("ZohoCRM.modules.pricebooks.CREATE", "Price_Books", True, False),
        ("ZohoCRM.modules.price_books.CREATE", "Price_Books", True, False),
        ("ZohoCRM.modules.events.CREATE", "Events", True, False),
        ("ZohoCRM.modules.custom.CREATE", "Vehicles", True, False),
        ("ZohoCRM.modules.custom.CREATE", "Leads", False, False),
        ("ZohoCRM.settings.ALL", "Leads", False, False),
    ],
)
def test_what_a_scope_opens_of_a_module(scope: str, module: str, *, create: bool, read: bool) -> None:
    scopes = Scopes([scope], WORDS)
    assert scopes.module(module, CREATE) is create
    assert scopes.module(module, READ) is read


@pytest.mark.parametrize(
    ("scope", "opened"),
    [
        ("ZohoCRM.settings.ALL", {"fields", "layouts", "modules"}),
        ("ZohoCRM.settings.READ", {"fields", "layouts", "modules"}),
        ("ZohoCRM.settings.fields.READ", {"fields"}),
        ("ZohoCRM.settings.layouts.ALL", {"layouts"}),
        ("ZohoCRM.settings.modules.UPDATE", set()),
        ("ZohoCRM.modules.ALL", set()),
    ],
)
def test_what_a_scope_opens_of_the_settings(scope: str, opened: set[str]) -> None:
    scopes = Scopes([scope], WORDS)
    assert {part for part in ("fields", "layouts", "modules") if scopes.settings(part)} == opened


@pytest.mark.parametrize("group", ["users", "org", "coql"])
def test_what_a_scope_opens_beside_modules_and_settings(group: str) -> None:
    assert Scopes([f"ZohoCRM.{group}.READ"], WORDS).group(group)
    assert Scopes([f"ZohoCRM.{group}.ALL"], WORDS).group(group)
    assert not Scopes(["ZohoCRM.modules.ALL"], WORDS).group(group)


def test_the_usual_scopes_open_all_that_there_is() -> None:
    scopes = Scopes(DEFAULT, WORDS)
    assert all(scopes.module(name, operations) for name in WORDS for operations in (CREATE, READ))
    assert all(scopes.settings(part) for part in ("fields", "layouts", "modules"))
    assert all(scopes.group(name) for name in ("users", "org", "coql"))


@pytest.mark.parametrize(
    "word", ["", "leads", "ZohoCRM", "ZohoCRM.modules", "ZohoCRM.modules.laeds.ALL", "a.b.c", "ZohoCRM. .ALL"]
)
def test_what_is_no_scope_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="cannot be used"):
        Scopes([word], WORDS)
