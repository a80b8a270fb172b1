"""A command that begins a load again says all that the load was begun with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from loader.begun import flags_of_load, how_to_start_over
from loader.settings import LoadSettings, Target, Threshold
from loader.wire.options import InsertOptions

US = Target("Leads", "https://www.zohoapis.com", "https://accounts.zoho.com")
HERE = Target("Leads", "http://127.0.0.1:8080", "http://127.0.0.1:8080")
EU = Target("Leads", "https://www.zohoapis.eu", "https://accounts.zoho.eu")
ELSE = Target("Leads", "https://crm.example", "https://accounts.example")
LEAVE = msgspec.structs.replace(EU, accounts_url="")


@pytest.mark.parametrize(
    ("more", "flags"),
    [
        pytest.param({}, "", id="nothing"),
        pytest.param({"target": EU}, "--dc eu", id="a data centre"),
        pytest.param({"target": LEAVE}, "--dc eu", id="a log that does not name the accounts address"),
        pytest.param({"target": HERE}, "--api-domain http://127.0.0.1:8080", id="an address"),
        pytest.param(
            {"target": ELSE},
            "--api-domain https://crm.example --accounts-url https://accounts.example",
            id="two addresses",
        ),
        pytest.param({"key": "Email", "key_unique": True}, "--key Email --key-unique", id="key"),
        pytest.param({"stamp": "Mark__c", "check": False}, "--stamp Mark__c --no-check", id="stamp"),
        pytest.param({"options": InsertOptions(trigger=())}, "--trigger none", id="no automation"),
        pytest.param(
            {
                "options": InsertOptions(
                    trigger=("workflow", "approval"),
                    lar_id="7",
                    apply_features=("layout_rules",),
                    skip_features=("cadences",),
                    external=("Leads.Owner.Ext__c",),
                ),
                "layout_id": "5",
                "approval_mode": True,
            },
            "--trigger workflow,approval --lar-id 7 --apply-feature layout_rules --skip-feature cadences"
            " --external Leads.Owner.Ext__c --layout-id 5 --approval-mode",
            id="options",
        ),
        pytest.param({"limit": 400, "ok_duplicates": True}, "--limit 400 --ok-duplicates", id="limit"),
        pytest.param(
            {
                "concurrency": 3,
                "rate": 0.5,
                "keep_credits": Threshold(percent=20),
                "daily_credits": 5000,
                "wait_s": 5400.0,
                "max_rejected": Threshold(count=7),
                "timeout_s": 0.25,
            },
            "--concurrency 3 --rate 0.5 --keep-credits 20% --daily-credits 5000 --wait 5400s --max-rejected 7"
            " --timeout 0.25s",
            id="pace",
        ),
        pytest.param({"append": True}, "", id="append is of one run"),
    ],
)
def test_what_differs_from_the_defaults_is_typed(more: dict[str, Any], flags: str) -> None:
    settings = LoadSettings(**{"input": "a", "load_dir": Path("a.load"), "target": US, **more})
    assert " ".join(flags_of_load(settings)) == f"--module Leads {flags}".rstrip()


@pytest.mark.parametrize(
    ("input_name", "load_dir", "more", "typed"),
    [
        ("a.ndjson", "a.ndjson.load", {}, "loader load a.ndjson --module Leads --new"),
        (
            "my leads.ndjson",
            "other",
            {"key": "Email", "target": EU},
            "loader load 'my leads.ndjson' --module Leads --dc eu --key Email --load-dir other --new",
        ),
        (
            "-",
            "a.load",
            {"stamp": "Mark__c"},
            "... | loader load - --module Leads --stamp Mark__c --load-dir a.load --new",
        ),
    ],
)
def test_to_start_over_is_typed_with_the_directory_and_the_target_of_the_load(
    input_name: str, load_dir: str, more: dict[str, Any], typed: str
) -> None:
    told = {"input": input_name, "load_dir": Path(load_dir), "target": US, **more}
    assert how_to_start_over(LoadSettings(**told)) == typed
