"""`loader config show`, where a setting came from, and what a mistake in one is answered with."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from loader.cli.known_settings import known
from tests.cli.conftest import Run

CANARY = "1000.canary-7f3a9c"


def shown(run: Run) -> dict[str, dict[str, object]]:
    ran = run("config", "show", "--json")
    assert ran.code == 0, ran.err
    return {one["key"]: one for one in json.loads(ran.out)["settings"]}


def test_every_setting_is_shown_with_its_value_and_where_it_came_from(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    user = tmp_path / "home" / ".config" / "crm-bulk-loader" / "loader.toml"
    user.parent.mkdir(parents=True)
    user.write_text('rate = 5\nkey = "A"\n')
    Path("loader.toml").write_text('# mine\n\nkey = "Email"\nconcurrency = 3\ntrigger = ["workflow"]\n')
    monkeypatch.setenv("LOADER_CONCURRENCY", "4")
    found = shown(run)
    assert list(found) == list(known())
    origins = {
        key: (found[key]["value"], found[key]["origin"], found[key]["where"], found[key]["line"])
        for key in ("concurrency", "key", "rate", "trigger", "dc", "limit")
    }
    assert origins == {
        "concurrency": ("4", "environment", "LOADER_CONCURRENCY", None),
        "key": ("Email", "file", "loader.toml", 3),
        "rate": ("5", "file", str(user), 1),
        "trigger": (["workflow"], "file", "loader.toml", 5),
        "dc": ("us", "default", "default", None),
        "limit": (None, "default", "default", None),
    }
    told = run("config", "show").out
    assert "# LOADER_CONCURRENCY" in told
    assert "# loader.toml, line 3" in told
    assert run("config", "show", "--origin").out == told


def test_what_is_shown_can_be_a_loader_toml(run: Run) -> None:
    Path("loader.toml").write_text('module = "Leads"\nmax-rejected = "1%"\nexternal = ["Leads.A.B"]\n')
    first = run("config", "show").out
    assert tomllib.loads(first)["max-rejected"] == "1%"
    Path("loader.toml").write_text(first)
    assert tomllib.loads(run("config", "show").out) == tomllib.loads(first)


def test_the_user_configuration_is_where_the_base_directory_specification_says(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = tmp_path / "elsewhere" / "crm-bulk-loader"
    place.mkdir(parents=True)
    (place / "loader.toml").write_text("rate = 7\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "elsewhere"))
    assert shown(run)["rate"]["value"] == "7"
    monkeypatch.setenv("XDG_CONFIG_HOME", "elsewhere")
    assert shown(run)["rate"]["value"] is None, "a relative one counts as none"


def test_secrets_are_never_shown(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(CANARY)
    monkeypatch.setenv("LOADER_REFRESH_TOKEN", CANARY)
    monkeypatch.setenv("LOADER_CLIENT_SECRET_FILE", str(path))
    for arguments in (("--origin",), ("--json",), ()):
        ran = run("config", "show", *arguments)
        assert "canary" not in ran.out + ran.err
    assert "# LOADER_REFRESH_TOKEN: set, not shown" in ran.out
    assert "# LOADER_CLIENT_SECRET: in the file that LOADER_CLIENT_SECRET_FILE names" in ran.out


@pytest.mark.parametrize(
    ("address", "told"),
    [
        (f"https://user:{CANARY}@crm.example", "https://(secret)@crm.example"),
        (f"https://{CANARY}@crm.example:8443", "https://(secret)@crm.example:8443"),
        (f"https://user:/{CANARY}@{CANARY}@crm.example", "https://(secret)@crm.example"),
        (f"user:{CANARY}@crm.example", "(secret)@crm.example"),
        ("https://crm.example:8443", "https://crm.example:8443"),
    ],
)
def test_a_password_in_an_address_is_not_shown(
    run: Run, monkeypatch: pytest.MonkeyPatch, address: str, told: str
) -> None:
    monkeypatch.setenv("LOADER_ACCOUNTS_URL", address)
    Path("loader.toml").write_text(f'api-domain = "{address}"\n')
    for arguments in (("--origin",), ("--json",), ()):
        ran = run("config", "show", *arguments)
        assert ran.code == 0
        assert "canary" not in ran.out + ran.err
        assert ran.out.count(f'"{told}"') == 2


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("LOADER_CONCURENCY", "LOADER_CONCURRENCY"),
        ("LOADER_REFRESH_TOKEN_FIEL", "LOADER_REFRESH_TOKEN_FILE"),
        ("LOADER_USRES", "LOADER_USERS"),
        ("LOADER_SERVICE_HOST", ""),
    ],
)
def test_a_misspelt_variable_is_a_warning_that_names_the_nearest(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str, meant: str
) -> None:
    monkeypatch.setenv(name, "4")
    for command in (("config", "show"), ("fields", "Leads")):
        ran = run(*command)
        assert ran.code == 0
        warned = f"warning: the variable {name} is not read: did you mean {meant}?"
        assert (warned in ran.err) == bool(meant), ran.err


def test_the_warning_is_a_line_of_json_where_all_others_are(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOADER_CONCURENCY", "4")
    ran = run("load", "missing.ndjson", "--module", "Leads", "--log-format", "json")
    assert json.loads(ran.err.splitlines()[0])["event"] == "warned"


@pytest.mark.parametrize(
    ("variables", "file", "shown_as"),
    [
        ({"LOADER_DC": "eu"}, 'api-domain = "http://127.0.0.1:1"', {"dc": "eu"}),
        (
            {"LOADER_API_DOMAIN": "http://127.0.0.1:1"},
            'dc = "eu"',
            {"api-domain": "http://127.0.0.1:1"},
        ),
        (
            {"LOADER_API_DOMAIN": "http://127.0.0.1:1"},
            'accounts-url = "http://127.0.0.1:2"',
            {"api-domain": "http://127.0.0.1:1"},
        ),
        (
            {"LOADER_ACCOUNTS_URL": "http://127.0.0.1:1"},
            "",
            {"dc": "us", "accounts-url": "http://127.0.0.1:1"},
        ),
    ],
)
def test_what_a_layer_above_sets_aside_of_a_target_is_shown_as_not_set(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    file: str,
    shown_as: dict[str, str],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    Path("loader.toml").write_text(file)
    parts = ("dc", "api-domain", "accounts-url")
    told = tomllib.loads(run("config", "show").out)
    assert {key: told[key] for key in parts if key in told} == shown_as


def test_settings_that_cannot_work_together_are_shown_with_a_warning(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("loader.toml").write_text('dc = "eu"\napi-domain = "http://127.0.0.1:1"\n')
    ran = run("config", "show")
    assert ran.code == 0
    assert "warning: loader.toml, line 1 and loader.toml, line 2 name two targets" in ran.err
    monkeypatch.setenv("LOADER_NEW", "1")
    assert "warning: the variable LOADER_NEW cannot be used" in run("config", "show").err


@pytest.mark.parametrize("command", ["load f --module Leads", "resume nowhere.load", "fields Leads"])
@pytest.mark.parametrize("name", ["NEW", "YES"])
def test_a_flag_that_is_meant_for_one_run_is_no_variable(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: str, name: str
) -> None:
    monkeypatch.setenv(f"LOADER_{name}", "1")
    ran = run(*command.split())
    assert ran.code == 2
    assert ran.err.startswith(f"error: the variable LOADER_{name} cannot be used\n")
    assert f"Type it as a flag: --{name.lower()}" in ran.err
    assert f"unset LOADER_{name}" in ran.err


def test_a_flag_of_two_words_that_is_misspelt_is_a_warning_too(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOADER_DRYRUN", "1")
    assert "did you mean LOADER_DRY_RUN?" in run("fields", "Leads").err


def test_config_alone_says_what_to_type(run: Run) -> None:
    ran = run("config")
    assert (ran.code, ran.err) == (2, "error: Missing command.\n  loader config --help\n")


def test_a_bad_value_is_told_with_its_place_and_what_to_type(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("loader.toml").write_text('key = "Email"\npatience = 60\n')
    ran = run("load", "f", "--module", "Leads")
    assert ran.code == 2
    assert ran.err.startswith("error: loader.toml, line 2: patience cannot be used\n")
    assert 'patience = "30s"' in ran.err
    monkeypatch.setenv("LOADER_PATIENCE", "soon")
    ran = run("load", "f", "--module", "Leads")
    assert ran.err.startswith("error: the variable LOADER_PATIENCE cannot be used\n")
    assert "LOADER_PATIENCE=30s" in ran.err


def test_a_file_is_for_all_commands_and_each_takes_what_it_has(run: Run) -> None:
    Path("loader.toml").write_text('key = "Email"\nusers = 5\nlatency = "2s"\n')
    assert run("fields", "Leads").code == 0
    assert "nowhere.load" in run("resume", "nowhere.load").err


def test_settings_of_what_is_shown_count_for_resume_too(run: Run) -> None:
    Path("loader.toml").write_text('quiet = "perhaps"\n')
    ran = run("resume", "nowhere.load")
    assert (ran.code, "loader.toml, line 1: quiet cannot be used" in ran.err) == (2, True)


def test_each_setting_has_its_heading_in_the_reference() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"
    text = page.read_text()
    for key, setting in known().items():
        assert f"\n## {key}\n" in text
        assert f"`{setting.variable}`" in text
