"""Flags, environment and files become settings; credentials come from nowhere but the environment."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from loader.cli.commands import load
from loader.cli.watching import Showing
from loader.credentials import read_credentials
from loader.errors import CredentialsError
from loader.settings import Credentials, LoadSettings, Threshold
from loader.wire.options import PLAIN, InsertOptions
from tests.canary import belongs_in
from tests.cli.conftest import Ran, Run

HERE, THERE = "http://127.0.0.1:1", "http://127.0.0.1:2"
EU = ("https://www.zohoapis.eu", "https://accounts.zoho.eu")
CANARY = "1000.canary-7f3a9c"
CLIENT = {"LOADER_CLIENT_ID": "id", "LOADER_CLIENT_SECRET": "secret", "LOADER_REFRESH_TOKEN": CANARY}


class Seen:
    """The settings that `load` would have run with."""

    settings: LoadSettings
    showing: Showing
    fresh: bool

    def __call__(self, settings: LoadSettings, showing: Showing, *, fresh: bool) -> int:
        self.settings, self.showing, self.fresh = settings, showing, fresh
        return 0


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    found = Seen()
    monkeypatch.setattr(load, "run_load", found)
    return found


LoadWith = Callable[[str, Mapping[str, str], str], Ran]


@pytest.fixture
def load_with(run: Run, monkeypatch: pytest.MonkeyPatch) -> LoadWith:
    """Runs `load f` with these flags, variables and `loader.toml`."""

    def ran(flags: str, variables: Mapping[str, str], file: str) -> Ran:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        Path("loader.toml").write_text(file)
        return run("load", "f", "--module", "Leads", *flags.split())

    return ran


def test_defaults(run: Run, seen: Seen) -> None:
    assert run("load", "leads.ndjson", "--module", "Leads").code == 0
    settings = seen.settings
    assert settings.load_dir == Path("leads.ndjson.load")
    assert settings.target.api_url == "https://www.zohoapis.com"
    assert settings.target.accounts_url == "https://accounts.zoho.com"
    assert (settings.concurrency, settings.rate, settings.limit, settings.key) == (10, None, None, "")
    assert (settings.timeout_s, settings.patience_s, settings.quiet_period_s) == (60.0, 300.0, 30.0)
    assert (settings.check, settings.ok_duplicates, seen.fresh) == (True, False, False)


def test_each_flag_arrives(run: Run, seen: Seen) -> None:
    flags = (
        "--module Contacts --api-domain http://127.0.0.1:8080 --load-dir d --key Email --key-unique"
        " --concurrency 3 --rate 2.5 --limit 7 --max-rejected 1% --timeout 200ms --patience 2h"
        " --quiet-period 5min --ok-duplicates --no-check --new -y"
    )
    assert run("load", "-", *flags.split()).code == 0
    settings = seen.settings
    assert (settings.target.module, settings.target.accounts_url) == ("Contacts", "http://127.0.0.1:8080")
    assert (settings.load_dir, settings.key, settings.key_unique) == (Path("d"), "Email", True)
    assert (settings.concurrency, settings.rate, settings.limit) == (3, 2.5, 7)
    assert settings.max_rejected == Threshold(percent=1.0)
    assert (settings.timeout_s, settings.patience_s, settings.quiet_period_s) == (0.2, 7200.0, 300.0)
    assert (settings.ok_duplicates, settings.check, seen.fresh) == (True, False, True)


def test_credits_are_spent_to_the_last_and_never_waited_for_unless_it_is_said(run: Run, seen: Seen) -> None:
    assert run("load", "f", "--module", "Leads").code == 0
    settings = seen.settings
    assert (settings.keep_credits, settings.daily_credits, settings.wait_s) == (Threshold(count=0), None, 0.0)
    assert settings.state_dir == Path(os.environ["HOME"]) / ".local/state/crm-bulk-loader"


@pytest.mark.parametrize("how", ["flags", "environment", "file"])
def test_the_flags_of_credits_arrive(run: Run, seen: Seen, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    values = {"keep-credits": "20%", "daily-credits": "60000", "wait": "25h", "state-dir": "s"}
    flags = [word for key, value in values.items() for word in (f"--{key}", value)]
    for key, value in values.items():
        if how == "environment":
            monkeypatch.setenv(f"LOADER_{key.upper().replace('-', '_')}", value)
    if how == "file":
        lines = [f'{key} = "{value}"\n' for key, value in values.items()]
        Path("loader.toml").write_text("".join(lines).replace('"60000"', "60000"))
    assert run("load", "f", "--module", "Leads", *(flags if how == "flags" else [])).code == 0
    settings = seen.settings
    assert (settings.keep_credits, settings.daily_credits) == (Threshold(percent=20.0), 60_000)
    assert (settings.wait_s, settings.state_dir) == (25 * 3600.0, Path("s"))


@pytest.mark.parametrize("flags", ["--daily-credits 9", "--daily-credits 100 --keep-credits 91"])
def test_credits_that_pay_for_no_call_are_refused(run: Run, seen: Seen, flags: str) -> None:
    told = run("load", "f", "--module", "Leads", *flags.split())
    assert told.code == 2
    assert "too little for a single call" in told.err


@pytest.mark.parametrize("share", ["100%", "100.0 %", "250%"])
def test_a_share_that_leaves_no_credit_is_refused(run: Run, seen: Seen, share: str) -> None:
    told = run("load", "f", "--module", "Leads", "--keep-credits", share)
    assert told.code == 2
    assert "leaves no credit for this load" in told.err
    assert run("load", "f", "--module", "Leads", "--keep-credits", "99.5%").code == 0


@pytest.mark.parametrize(
    ("flags", "variables", "file", "target"),
    [
        pytest.param("--dc eu", {"LOADER_API_DOMAIN": HERE}, "", EU, id="a flag before a variable"),
        pytest.param(f"--api-domain {HERE}", {"LOADER_DC": "eu"}, "", (HERE, HERE), id="the other way round"),
        pytest.param("", {"LOADER_DC": "eu"}, f'api-domain = "{HERE}"', EU, id="a variable before a file"),
        pytest.param(
            "--dc eu",
            {"LOADER_DC": "in", "LOADER_API_DOMAIN": HERE, "LOADER_ACCOUNTS_URL": THERE},
            "",
            EU,
            id="a target of a layer below counts for nothing, even where it is two",
        ),
        pytest.param(
            f"--api-domain {HERE}",
            {},
            f'api-domain = "{THERE}"\naccounts-url = "{THERE}"',
            (HERE, HERE),
            id="the other's place of tokens goes with it",
        ),
        pytest.param(
            f"--accounts-url {THERE}",
            {"LOADER_API_DOMAIN": HERE},
            "",
            (HERE, THERE),
            id="a layer above completes a target",
        ),
    ],
)
def test_the_highest_layer_that_names_a_target_names_all_of_it(
    load_with: LoadWith,
    seen: Seen,
    flags: str,
    variables: dict[str, str],
    file: str,
    target: tuple[str, str],
) -> None:
    told = load_with(flags, variables, file)
    assert told.code == 0, told.err
    assert (seen.settings.target.api_url, seen.settings.target.accounts_url) == target


def test_the_file_here_names_the_target_before_the_users_file(run: Run, seen: Seen) -> None:
    user = Path(os.environ["HOME"]) / ".config" / "crm-bulk-loader" / "loader.toml"
    user.parent.mkdir(parents=True)
    user.write_text(f'api-domain = "{HERE}"\n')
    Path("loader.toml").write_text('dc = "eu"\n')
    assert run("load", "f", "--module", "Leads").code == 0
    assert (seen.settings.target.api_url, seen.settings.target.accounts_url) == EU


@pytest.mark.parametrize(
    ("flags", "variables", "file", "words"),
    [
        (f"--dc eu --api-domain {HERE}", {}, "", "--dc and --api-domain name two targets"),
        (
            "",
            {"LOADER_DC": "eu", "LOADER_API_DOMAIN": HERE},
            "",
            "LOADER_DC and LOADER_API_DOMAIN name two targets",
        ),
        ("", {}, f'dc = "eu"\napi-domain = "{HERE}"', "loader.toml, line 2 name two targets"),
        (f"--accounts-url {HERE}", {}, "", "--accounts-url names half of a target"),
        ("", {"LOADER_ACCOUNTS_URL": HERE}, "", "--accounts-url names half of a target"),
    ],
)
def test_two_targets_of_one_layer_and_half_of_one_are_refused(
    load_with: LoadWith,
    flags: str,
    variables: dict[str, str],
    file: str,
    words: str,
) -> None:
    told = load_with(flags, variables, file)
    assert (told.code, words in told.err) == (2, True), told.err


@pytest.mark.parametrize(
    ("flags", "variables", "file", "place"),
    [
        ("-n", {}, "", "--dry-run"),
        ("", {"LOADER_DRY_RUN": "1"}, "", "LOADER_DRY_RUN"),
        ("", {}, "dry-run = true", "loader.toml, line 1"),
    ],
)
def test_a_dry_run_is_one_wherever_it_is_asked_for_and_says_where(
    load_with: LoadWith,
    seen: Seen,
    flags: str,
    variables: dict[str, str],
    file: str,
    place: str,
) -> None:
    Path("f").write_text('{"Last_Name": "Lovelace"}\n')
    told = load_with(flags, variables, file)
    assert told.code == 0
    assert told.err.startswith(f"dry run, by {place}: each record was checked, none was sent\n")
    assert not hasattr(seen, "settings")
    quietly = load_with(f"{flags} -q", variables, file).err
    assert (f"warning: a dry run, by {place}: no record was sent" in quietly) == (not flags)
    lines = load_with(f"{flags} --log-format json", variables, file).err.splitlines()
    last = json.loads(lines[-1])
    assert (last["event"], last["dry_run_by"], last["exit_code"]) == ("dry_run_ended", place, 0)
    assert (last["records"], last["invalid"]) == (1, 0)


def test_a_variable_that_says_no_dry_run_is_none(
    run: Run, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("loader.toml").write_text("dry-run = true")
    monkeypatch.setenv("LOADER_DRY_RUN", "0")
    assert run("load", "f", "--module", "Leads").code == 0
    assert seen.settings.input == "f"


@pytest.mark.parametrize("command", ["resume", "retry", "resolve"])
@pytest.mark.parametrize("how", ["LOADER_DRY_RUN", "loader.toml, line 1", "--dry-run"])
def test_a_command_without_a_dry_run_refuses_to_be_asked_for_one(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: str, how: str
) -> None:
    flags = ["-n"] if how == "--dry-run" else []
    if how == "LOADER_DRY_RUN":
        monkeypatch.setenv(how, "1")
    elif not flags:
        Path("loader.toml").write_text("dry-run = true")
    told = run(command, "nowhere.load", *flags)
    assert told.code == 2
    assert told.err.startswith(f"error: loader {command} has no --dry-run\n  {how} asks for one")
    monkeypatch.setenv("LOADER_DRY_RUN", "0")
    assert flags or "has no --dry-run" not in run(command, "nowhere.load").err


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("CONCURRENCY", "many", "'many' is not a whole number from 1 to 1,000"),
        ("CONCURRENCY", "0", "'0' is not a whole number from 1 to 1,000"),
        ("LIMIT", "1.5", "'1.5' is not a whole number from 1 on"),
        ("METRICS_PORT", "65536", "'65536' is not a whole number from 0 to 65,535"),
        ("RATE", "nan", "'nan' is not a number of calls: write it as 10 or 0.5"),
        ("RATE", "-1", "'-1' is not a number of calls"),
        ("QUIET", "perhaps", "it is true or false"),
    ],
)
def test_a_value_that_does_not_fit_is_told_in_plain_words(
    run: Run, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(f"LOADER_{variable}", value)
    told = run("load", "f", "--module", "Leads")
    assert told.code == 2
    assert words in told.err
    assert "Recognized values" not in told.err


def test_what_inserts_say_beside_their_records_is_left_out_unless_it_is_said(run: Run, seen: Seen) -> None:
    assert run("load", "f", "--module", "Leads").code == 0
    assert seen.settings.options == PLAIN
    assert (seen.settings.layout_id, seen.settings.approval_mode) == ("", False)


def test_the_flags_of_inserts_arrive(run: Run, seen: Seen) -> None:
    flags = (
        "--trigger workflow,approval --layout-id 554023000002734009 --lar-id 7 --apply-feature layout_rules"
        " --apply-feature range_validation,layout_rules --skip-feature cadences --approval-mode"
        " --external Leads.Account.Ext_Id --external Leads.What_Id->Deals.Ext_Id"
    )
    assert run("load", "f", "--module", "Leads", *flags.split()).code == 0
    assert seen.settings.options == InsertOptions(
        trigger=("workflow", "approval"),
        lar_id="7",
        apply_features=("layout_rules", "range_validation"),
        skip_features=("cadences",),
        external=("Leads.Account.Ext_Id", "Leads.What_Id->Deals.Ext_Id"),
    )
    assert (seen.settings.layout_id, seen.settings.approval_mode) == ("554023000002734009", True)


@pytest.mark.parametrize(
    ("content", "environment", "expected"),
    [
        pytest.param('trigger = "none"', {}, InsertOptions(trigger=()), id="a text"),
        pytest.param(
            'trigger = ["workflow", "blueprint"]',
            {},
            InsertOptions(trigger=("workflow", "blueprint")),
            id="a list",
        ),
        pytest.param(
            'skip_feature = "cadences, assignment_rules"',
            {},
            InsertOptions(skip_features=("cadences", "assignment_rules")),
            id="commas in a text",
        ),
        pytest.param(
            'external = ["Leads.A.B", "Leads.C.D"]\nlar-id = "7"',
            {},
            InsertOptions(external=("Leads.A.B", "Leads.C.D"), lar_id="7"),
            id="several keys",
        ),
        pytest.param("", {"LOADER_TRIGGER": "none"}, InsertOptions(trigger=()), id="a variable"),
        pytest.param(
            'trigger = "none"',
            {"LOADER_TRIGGER": "approval,workflow"},
            InsertOptions(trigger=("approval", "workflow")),
            id="a variable before the file",
        ),
        pytest.param(
            "",
            {"LOADER_EXTERNAL": "Leads.A.B Leads.C.D", "LOADER_SKIP_FEATURE": "cadences"},
            InsertOptions(external=("Leads.A.B", "Leads.C.D"), skip_features=("cadences",)),
            id="several in a variable",
        ),
        pytest.param(
            "",
            {"LOADER_TRIGGER": " workflow, approval "},
            InsertOptions(trigger=("workflow", "approval")),
            id="commas and blanks in a variable",
        ),
    ],
)
def test_they_may_also_stand_in_a_file_or_in_the_environment(
    run: Run,
    seen: Seen,
    monkeypatch: pytest.MonkeyPatch,
    content: str,
    environment: dict[str, str],
    expected: InsertOptions,
) -> None:
    Path("loader.toml").write_text(content)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert run("load", "f", "--module", "Leads").code == 0
    assert seen.settings.options == expected


def test_a_flag_that_may_be_repeated_replaces_what_the_file_says(run: Run, seen: Seen) -> None:
    Path("loader.toml").write_text('trigger = ["workflow"]\nlayout_id = "1"\napproval_mode = true\n')
    assert run("load", "f", "--module", "Leads", "--trigger", "none", "--layout-id", "2").code == 0
    assert seen.settings.options.trigger == ()
    assert (seen.settings.layout_id, seen.settings.approval_mode) == ("2", True)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--trigger workflows", ("--trigger", "'workflows'", "workflow, approval, blueprint")),
        ("--trigger none,workflow", ("--trigger", "none and workflow exclude each other")),
        ("--trigger workflow --trigger none", ("--trigger", "none and workflow exclude each other")),
        ("--trigger ,", ("--trigger", "names nothing")),
        ("--apply-feature layout_rule", ("--apply-feature", "layout_rules, range_validation")),
        ("--skip-feature cadence", ("--skip-feature", "cadences, assignment_rules")),
        ("--lar-id rule7", ("--lar-id", "'rule7'", "digits")),
        ("--layout-id Standard", ("--layout-id", "'Standard'", "digits")),
        ("--external Leads.Account", ("--external", "Module.Lookup.Field")),
        ("--external Contacts.Account_Name.Ext", ("--external", "begins with Contacts")),
    ],
)
def test_an_option_that_the_api_does_not_know_is_exit_2_and_says_what_it_knows(
    run: Run, seen: Seen, flags: str, words: tuple[str, ...]
) -> None:
    ran = run("load", "f", "--module", "Leads", *flags.split())
    assert ran.code == 2
    said = " ".join(ran.err.split())
    for word in words:
        assert word in said
    assert not hasattr(seen, "settings")


def test_flag_before_environment_before_file_here_before_file_of_the_user(
    run: Run, seen: Seen, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    user = tmp_path / "home" / ".config" / "crm-bulk-loader"
    user.mkdir(parents=True)
    (user / "loader.toml").write_text('concurrency = 1\nlimit = 1\nkey = "A"\nrate = 1\nmodule = "Leads"\n')
    Path("loader.toml").write_text('concurrency = 2\nlimit = 2\nkey = "B"\nquiet-period = "9s"\n')
    monkeypatch.setenv("LOADER_CONCURRENCY", "3")
    monkeypatch.setenv("LOADER_LIMIT", "3")
    assert run("load", "f", "--concurrency", "4").code == 0
    settings = seen.settings
    assert (settings.concurrency, settings.limit, settings.key, settings.rate) == (4, 3, "B", 1.0)
    assert settings.quiet_period_s == 9.0


def test_values_of_a_file_keep_their_kinds(run: Run, seen: Seen) -> None:
    Path("loader.toml").write_text(
        'module = "Leads"\nok_duplicates = true\nmax-rejected = 100\nno-check = false\n'
    )
    assert run("load", "f").code == 0
    assert seen.settings.ok_duplicates
    assert seen.settings.check
    assert seen.settings.max_rejected == Threshold(count=100)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param("concurency = 4", "Did you mean concurrency?", id="misspelt"),
        pytest.param("zzz = 4", "loader config show", id="unknown"),
        pytest.param("new = true", "cannot be set for good", id="starting over each time"),
        pytest.param('client_secret = "x"', "credentials do not belong", id="a secret"),
        pytest.param("concurrency = [1]", "single value", id="a list"),
        pytest.param("trigger = []", "names nothing", id="an empty list"),
        pytest.param("trigger = [1]", "a list of texts", id="a list of numbers"),
        pytest.param("trigger = {a = 1}", "a list of texts", id="a table"),
        pytest.param("trigger = 1", "'1' is none of", id="a number"),
        pytest.param("concurrency = ", "is not TOML", id="not TOML"),
        pytest.param('concurrency = "ten"', "--concurrency", id="no number"),
        pytest.param("timeout = 60", "is not a time", id="no unit"),
    ],
)
def test_a_file_that_cannot_be_right_is_exit_2(run: Run, seen: Seen, content: str, words: str) -> None:
    Path("loader.toml").write_text(content)
    ran = run("load", "f", "--module", "Leads")
    assert ran.code == 2
    assert words in " ".join(ran.err.split())


def test_a_broken_file_does_not_keep_help_or_status_away(run: Run) -> None:
    Path("loader.toml").write_text("= broken")
    assert run("load", "--help").code == 0
    assert "TOML" not in run("status").err


def test_stdin_needs_a_load_directory(run: Run, seen: Seen) -> None:
    ran = run("load", "-", "--module", "Leads")
    assert ran.code == 2
    assert "--load-dir" in ran.err


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param(
            CLIENT,
            Credentials(client_id="id", client_secret="secret", refresh_token=CANARY),
            id="refresh token",
        ),
        pytest.param({"LOADER_ACCESS_TOKEN": CANARY}, Credentials(access_token=CANARY), id="access token"),
        pytest.param(
            {**CLIENT, "LOADER_ACCESS_TOKEN": "other"},
            Credentials(client_id="id", client_secret="secret", refresh_token=CANARY),
            id="the one that can be renewed goes first",
        ),
    ],
)
def test_credentials_of_the_environment(environment: dict[str, str], expected: Credentials) -> None:
    found = read_credentials(environment)
    assert msgspec.structs.replace(found, named=()) == expected
    assert set(found.named) <= set(environment)


def test_credentials_say_where_they_were_read(tmp_path: Path) -> None:
    path = belongs_in(tmp_path / "secret")
    path.write_text("secret")
    path.chmod(0o600)
    environment = {**CLIENT, "LOADER_CLIENT_SECRET": "", "LOADER_CLIENT_SECRET_FILE": str(path)}
    named = ("LOADER_CLIENT_ID", "LOADER_CLIENT_SECRET_FILE", "LOADER_REFRESH_TOKEN")
    assert read_credentials(environment).named == named
    with pytest.raises(CredentialsError, match="set: LOADER_CLIENT_ID, LOADER_CLIENT_SECRET_FILE; missing"):
        read_credentials({**environment, "LOADER_REFRESH_TOKEN": ""})


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        pytest.param({}, "LOADER_CLIENT_ID, LOADER_CLIENT_SECRET, LOADER_REFRESH_TOKEN", id="none"),
        pytest.param({"LOADER_REFRESH_TOKEN": CANARY}, "LOADER_CLIENT_SECRET", id="half"),
        pytest.param({"LOADER_ACCESS_TOKEN": CANARY + "\r\nX: y"}, "LOADER_ACCESS_TOKEN", id="a line break"),
        pytest.param({"LOADER_ACCESS_TOKEN_FILE": "/no/such/file"}, "/no/such/file", id="no file"),
        pytest.param({"LOADER_ACCESS_TOKEN_FILE": "/"}, "LOADER_ACCESS_TOKEN_FILE", id="a directory"),
        pytest.param(
            {"LOADER_ACCESS_TOKEN": CANARY, "LOADER_ACCESS_TOKEN_FILE": "f"}, "Unset one", id="both"
        ),
    ],
)
def test_missing_credentials_name_the_variable_and_never_a_value(
    environment: dict[str, str], named: str
) -> None:
    with pytest.raises(CredentialsError) as caught:
        read_credentials(environment)
    assert named in str(caught.value)
    assert "canary" not in str(caught.value)
    assert caught.value.exit_code == 6


@pytest.mark.parametrize(("mode", "accepted"), [(0o600, True), (0o400, True), (0o640, False), (0o604, False)])
def test_a_file_with_a_secret_is_its_owners_alone(tmp_path: Path, mode: int, accepted: bool) -> None:
    path = tmp_path / "token"
    path.write_text(f"{CANARY}\n")
    path.chmod(mode)
    environment = {"LOADER_ACCESS_TOKEN_FILE": str(path)}
    if accepted:
        assert read_credentials(environment).access_token == CANARY
        return
    with pytest.raises(CredentialsError, match="others may read") as caught:
        read_credentials(environment)
    assert f"chmod 600 {path}" in caught.value.hint


def test_starting_over_is_asked_at_a_terminal_only(
    run: Run, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("f.load").mkdir()
    command = ("load", "f", "--module", "Leads", "--new")
    assert run(*command).code == 0
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)

    def refused(*_: Any, **__: Any) -> bool:
        raise click.Abort

    monkeypatch.setattr("click.confirm", refused)
    assert run(*command).code == 130
    assert run(*command, "-y").code == 0


def test_no_command_takes_a_secret_as_an_argument(run: Run) -> None:
    shown = run("load", "--help").out
    assert "--client" not in shown
    assert "token" not in shown.lower().replace("loader_refresh_token", "").replace(
        "loader_access_token", ""
    ).replace("where access tokens come from", "")
