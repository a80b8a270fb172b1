"""A layout that the module has not is refused before a record is sent; where layouts are unknown, none is."""

from __future__ import annotations

from pathlib import Path

import pytest

from loader.errors import UsageError
from loader.preflight import Preflight
from loader.rungs import require_layout
from loader.schema.fields import Layout, Module
from loader.settings import LoadSettings, Target

STANDARD = Layout("554023000002734009", "Standard")


def check(layout_id: str, *layouts: Layout) -> None:
    target = Target("Leads", "https://crm.example", "https://accounts.example")
    settings = LoadSettings(input="f", load_dir=Path("d"), target=target, layout_id=layout_id)
    facts = Preflight(Module("Leads", (), layouts), True, "org", "user", 0.0)
    require_layout(settings, facts)


def test_one_of_the_modules_layouts_is_taken() -> None:
    check(STANDARD.id, Layout("5"), STANDARD)


def test_where_no_layout_is_named_or_none_is_known_there_is_nothing_to_check() -> None:
    check("", STANDARD)
    check("7")


def test_another_layout_is_refused_and_the_modules_own_are_told() -> None:
    with pytest.raises(UsageError, match="module Leads has no layout 7") as caught:
        check("7", STANDARD, *(Layout(str(number)) for number in range(100, 112)))
    assert "554023000002734009 Standard, 100, 101" in caught.value.why
    assert caught.value.why.endswith("108 ...")
