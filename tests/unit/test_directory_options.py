"""The options of a load are kept in its log, taken over from there, and never changed under way."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from loader import begun, directory, recall
from loader.checkpoint import scan
from loader.checkpoint.entries import Head
from loader.checkpoint.log import Opening
from loader.errors import DiskError, UsageError
from loader.settings import LoadSettings, Target
from loader.wire.options import InsertOptions

TARGET = Target("Contacts", "https://crm.example", "https://accounts.example")
ALL = InsertOptions(
    trigger=("workflow", "approval"),
    lar_id="77",
    apply_features=("layout_rules",),
    skip_features=("cadences", "assignment_rules"),
    external=("Contacts.Account_Name.Ext", "Contacts.What_Id->Deals.Ext"),
)
CASES: dict[str, dict[str, object]] = {
    "none": {},
    "no automation": {"options": InsertOptions(trigger=())},
    "all": {"options": ALL, "layout_id": "5", "approval_mode": True},
    "a layout": {"layout_id": "5"},
    "approval mode": {"approval_mode": True},
}


def settings_with(tmp_path: Path, changes: dict[str, object]) -> LoadSettings:
    path = tmp_path / "contacts.ndjson"
    path.touch()
    settings = LoadSettings(input=str(path), load_dir=tmp_path / "load", target=TARGET)
    return msgspec.structs.replace(settings, **changes)


def begin(settings: LoadSettings) -> Head:
    opening = Opening(recall.recorded(recall.identity_of(settings)), 1000.0, "user")
    log = directory.create(settings, opening, organisation="org")
    log.close()
    (head,) = (entry for _, entry in scan.scan(log.path) if isinstance(entry, Head))
    return head


@pytest.mark.parametrize("name", CASES)
def test_a_resume_has_the_options_that_the_load_began_with(tmp_path: Path, name: str) -> None:
    settings = settings_with(tmp_path, CASES[name])
    begin(settings)
    assert directory.recorded_settings(settings.load_dir) == settings


@pytest.mark.parametrize("name", CASES)
def test_the_same_command_again_goes_on(tmp_path: Path, name: str) -> None:
    settings = settings_with(tmp_path, CASES[name])
    assert directory.with_recorded_options(begin(settings), settings) == settings


@pytest.mark.parametrize("name", CASES)
def test_what_is_not_said_again_is_taken_over(tmp_path: Path, name: str) -> None:
    settings = settings_with(tmp_path, CASES[name])
    plain = settings_with(tmp_path, {})
    assert directory.with_recorded_options(begin(settings), plain) == settings


@pytest.mark.parametrize(
    ("before", "now", "flag", "words"),
    [
        ({}, {"options": InsertOptions(trigger=())}, "--trigger", ("not set", "none")),
        (
            {"options": InsertOptions(trigger=())},
            {"options": ALL},
            "--trigger",
            ("none", "workflow,approval"),
        ),
        (
            {"options": InsertOptions(lar_id="1")},
            {"options": InsertOptions(lar_id="2")},
            "--lar-id",
            ("1", "2"),
        ),
        (
            {},
            {"options": InsertOptions(apply_features=("layout_rules",))},
            "--apply-feature",
            ("not set", "layout_rules"),
        ),
        (
            {},
            {"options": InsertOptions(skip_features=("cadences",))},
            "--skip-feature",
            ("not set", "cadences"),
        ),
        (
            {"options": ALL},
            {"options": InsertOptions(external=("Contacts.A.B",))},
            "--external",
            ("Contacts.A.B",),
        ),
        ({"layout_id": "5"}, {"layout_id": "6"}, "--layout-id", ("5", "6")),
        ({}, {"approval_mode": True}, "--approval-mode", ("not set", "true")),
    ],
)
def test_other_options_belong_to_another_load(
    tmp_path: Path, before: dict[str, object], now: dict[str, object], flag: str, words: tuple[str, ...]
) -> None:
    head = begin(settings_with(tmp_path, before))
    with pytest.raises(UsageError, match="belongs to another load") as caught:
        directory.with_recorded_options(head, settings_with(tmp_path, now))
    assert flag in caught.value.why
    assert all(word in caught.value.why for word in words)
    assert "--new" in caught.value.hint


def test_a_log_from_before_there_were_options_has_none(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, {})
    old = msgspec.structs.replace(begin(settings), options={})
    assert directory.with_recorded_options(old, settings) == settings


def test_an_option_that_only_a_newer_loader_knows_stops_the_load(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, {})
    newer = msgspec.structs.replace(begin(settings), options={"trigger": "workflow,telepathy"})
    with pytest.raises(DiskError, match="newer loader") as caught:
        directory.with_recorded_options(newer, settings)
    assert "telepathy" in caught.value.why


def test_the_log_says_it_in_the_words_of_the_flags(tmp_path: Path) -> None:
    head = begin(settings_with(tmp_path, CASES["all"]))
    told = {key: words for key, words in head.options.items() if key not in ("pace", "accounts_url")}
    assert told == {
        "trigger": "workflow,approval",
        "lar_id": "77",
        "apply_feature": "layout_rules",
        "skip_feature": "cadences,assignment_rules",
        "external": "Contacts.Account_Name.Ext,Contacts.What_Id->Deals.Ext",
        "layout_id": "5",
        "approval_mode": "true",
    }


def test_options_are_told_as_they_are_typed(tmp_path: Path) -> None:
    assert begun.told(settings_with(tmp_path, CASES["none"])) == ""
    assert begun.told(settings_with(tmp_path, CASES["no automation"])) == "--trigger none"
    assert begun.told(settings_with(tmp_path, CASES["all"])).endswith("--layout-id 5 --approval-mode")


@pytest.mark.parametrize("wrong", ["abc", "1" * 20, " 5"])
def test_a_layout_id_is_digits(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(UsageError, match="--layout-id"):
        settings_with(tmp_path, {"layout_id": wrong})


def test_a_path_begins_with_the_module_of_the_load(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--external") as caught:
        settings_with(tmp_path, {"options": InsertOptions(external=("Leads.A.B",))})
    assert "Contacts" in str(caught.value)
