"""`loader auth`: a grant code becomes a kept refresh token, and what the credentials allow is told."""

from __future__ import annotations

import contextlib
import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loader.cli.grant import keeping
from loader.errors import DiskError
from loader.identity import Identity
from loader.report.identity import who
from loader.settings import Credentials
from tests.canary import belongs_in
from tests.cli.conftest import Run
from tests.crash.harness import Crm, environment, sandbox

CODE = "1000.canary-code-4f1d"
CODES = [f"{CODE}.{number}" for number in range(12)]
SCOPES = "ZohoCRM.modules.leads.CREATE,ZohoCRM.settings.fields.READ,ZohoCRM.users.READ,ZohoCRM.org.READ"


@dataclass
class Desk:
    """A directory and a sandbox; no secret is in anything that was said."""

    directory: Path
    crm: Crm
    codes: list[str]
    said: list[bytes] = field(default_factory=list)

    def run(self, *arguments: str, data: str = "", without: str = "", **variables: str) -> Any:
        given = {
            name: value for name, value in self.crm.credentials.items() if name != "LOADER_REFRESH_TOKEN"
        }
        given = {name: value for name, value in given.items() if name != without}
        done = subprocess.run(
            [sys.executable, "-m", "loader", *arguments],
            cwd=self.directory,
            env=environment(
                self.directory / "home", {"LOADER_API_DOMAIN": self.crm.url, **given, **variables}
            ),
            input=data.encode(),
            capture_output=True,
            timeout=30,
            check=False,
        )
        self.said += [done.stdout, done.stderr]
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        return done

    def code(self) -> str:
        """One that was not used before."""
        return self.codes.pop()

    @property
    def token(self) -> str:
        return self.crm.credentials["LOADER_REFRESH_TOKEN"]


@pytest.fixture(scope="module")
def crm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Crm, list[str]]]:
    codes = list(CODES)
    flags = [word for code in codes for word in ("--grant-code", code)]
    home = tmp_path_factory.mktemp("crm")
    with sandbox(home, "--scopes", SCOPES, "--token-grants", "1000", *flags) as running:
        yield running, codes


@pytest.fixture
def desk(tmp_path: Path, crm: tuple[Crm, list[str]]) -> Iterator[Desk]:
    desk = Desk(tmp_path, *crm)
    yield desk
    said = b"".join(desk.said)
    for secret in (desk.token, desk.crm.credentials["LOADER_CLIENT_SECRET"], CODE):
        assert secret.encode() not in said


def screen(done: Any) -> str:
    return " ".join(done.stderr.decode().split())


def test_a_piped_code_becomes_a_file_that_only_its_owner_may_read_and_a_load_works_with_it(
    desk: Desk,
) -> None:
    done = desk.run("auth", "--grant", "--store", "token", data=desk.code() + "\n")
    assert done.returncode == 0, done.stderr
    kept = belongs_in(desk.directory / "token")
    assert kept.read_text() == desk.token + "\n"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert f"LOADER_REFRESH_TOKEN_FILE={kept}" in screen(done)
    (desk.directory / "leads.ndjson").write_text('{"Last_Name": "Lovelace"}\n')
    loaded = desk.run("load", "leads.ndjson", "--module", "Leads", LOADER_REFRESH_TOKEN_FILE="token")
    assert loaded.returncode == 0, loaded.stderr


def test_a_code_may_come_from_a_variable_or_a_file_and_the_token_goes_where_it_is_read(desk: Desk) -> None:
    belongs_in(desk.directory / "kept")
    belongs_in(desk.directory / "other")
    done = desk.run("auth", LOADER_GRANT_CODE=desk.code(), LOADER_REFRESH_TOKEN_FILE="kept")
    assert done.returncode == 0, done.stderr
    assert (desk.directory / "kept").read_text() == desk.token + "\n"
    code = desk.directory / "code"
    code.write_text(desk.code())
    code.chmod(0o600)
    done = desk.run("auth", "--store", "other", LOADER_GRANT_CODE_FILE="code")
    assert done.returncode == 0, done.stderr
    code.chmod(0o644)
    assert desk.run("auth", "--store", "third", LOADER_GRANT_CODE_FILE="code").returncode == 6


def test_a_code_is_good_for_one_try_and_a_wrong_one_leaves_nothing_behind(desk: Desk) -> None:
    code = desk.code()
    belongs_in(desk.directory / "token")
    assert desk.run("auth", "--grant", "--store", "token", data=code).returncode == 0
    done = desk.run("auth", "--grant", "--store", "again", data=code)
    assert done.returncode == 6
    assert "invalid_code" in screen(done)
    assert "was used before" in screen(done)
    assert sorted(path.name for path in desk.directory.iterdir()) == ["here", "home", "token"]


def test_what_is_kept_already_is_replaced_only_when_that_is_said_and_the_code_is_not_used_up(
    desk: Desk,
) -> None:
    kept = belongs_in(desk.directory / "token")
    kept.write_text("older")
    code = desk.code()
    refused = desk.run("auth", "--grant", "--store", "token", data=code)
    assert (refused.returncode, kept.read_text()) == (2, "older")
    assert desk.run("auth", "--grant", "--store", "token", "--yes", data=code).returncode == 0
    assert (kept.read_text(), kept.stat().st_mode & 0o777) == (desk.token + "\n", 0o600)


def test_a_store_that_is_a_directory_is_refused_before_the_code_is_used_even_with_yes(desk: Desk) -> None:
    (desk.directory / "folder").mkdir()
    code = desk.code()
    done = desk.run("auth", "--grant", "--store", "folder", "--yes", data=code)
    assert done.returncode == 2
    assert "grant code is not used up" in screen(done)
    assert f"loader auth --grant --store folder/refresh-token --api-domain {desk.crm.url}" in screen(done)
    kept = belongs_in(desk.directory / "folder" / "refresh-token")
    assert desk.run("auth", "--grant", "--store", "folder/refresh-token", data=code).returncode == 0
    assert kept.read_text() == desk.token + "\n"


def test_a_token_that_could_not_be_written_says_what_is_kept_and_what_to_type(tmp_path: Path) -> None:
    place = tmp_path / "the token"
    place.write_text("older")
    with keeping(str(place), Credentials(), replace=True) as keep:
        next(tmp_path.glob("*.new")).unlink()  # somebody tidied up while the code was used
        with pytest.raises(DiskError) as refused:
            keep("1000.new")
    assert "The grant code is used up" in refused.value.why
    assert f"{place} holds what it held before" in refused.value.why
    assert refused.value.hint.endswith(f"then: loader auth --grant --store '{place}' --yes")
    assert place.read_text() == "older"


def test_a_code_is_not_shown_to_another_data_centre_by_the_command_that_is_told(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = belongs_in(tmp_path / "token")
    place.write_text("1000.in-use")
    monkeypatch.setenv("LOADER_CLIENT_ID", "id")
    monkeypatch.setenv("LOADER_CLIENT_SECRET", "not-a-real-one")
    there = run("auth", "--grant", "--store", str(place), "--dc", "eu")
    assert (there.code, " --yes --dc eu\n" in there.err) == (2, True), there.err
    nowhere = run("auth", "--grant", "--dc", "eu", "--module", "Deals")
    assert "loader auth --grant --store FILE --dc eu --module Deals" in " ".join(nowhere.err.split())
    lacking = run("load", "f", "--module", "Leads", "--dc", "eu")
    assert lacking.code == 2, "the input is missed first"
    (tmp_path / "here" / "f").write_text('{"Last_Name":"a"}\n')
    lacking = run("load", "f", "--module", "Leads", "--dc", "eu")
    assert (lacking.code, "loader auth --grant --store FILE --dc eu" in lacking.err) == (6, True), lacking.err


def test_one_licence_is_one() -> None:
    facts = Identity("Ada", "7", "Acme", "9", "free", 1, "eu", "https://crm", True, (), ())
    assert "edition       free, 1 licence" in list(who(facts))
    assert "edition       free, 2 licences" in list(who(msgspec.structs.replace(facts, licences=2)))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("auth", "--grant"), 2, "where is the refresh token to be kept?"),
        (("auth", "--grant", "--store", "no/such/place"), 2, "No such file or directory"),
        (("auth", "--grant", "--store", "token"), 6, "there is no grant code"),
        (("auth", "--store", "token"), 2, "--store is for a new refresh token"),
        (("auth",), 6, "loader auth --grant --store FILE"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_missing_is_told_before_a_code_is_used(
    desk: Desk, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = desk.run(*arguments)
    assert (done.returncode, words in screen(done)) == (code, True), done.stderr


def test_a_code_needs_its_client(desk: Desk) -> None:
    done = desk.run("auth", "--grant", "--store", "t", data="x", without="LOADER_CLIENT_SECRET")
    assert done.returncode == 6
    assert "missing: LOADER_CLIENT_SECRET" in screen(done)


def test_user_organisation_edition_and_what_the_scopes_allow_are_told(desk: Desk) -> None:
    done = desk.run("auth", "--module", "Leads", "--json", LOADER_REFRESH_TOKEN=desk.token)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["organisation"] == "Sandbox"
    assert found["edition"] == "enterprise"
    assert found["user_id"]
    missing = {each["name"]: each["missing"] for each in found["features"]}
    assert missing == {
        "load": [],
        "live check": [],
        "layouts": ["ZohoCRM.settings.layouts.READ"],
        "settle doubts by COQL": ["ZohoCRM.coql.READ", "ZohoCRM.modules.leads.READ"],
        "organisation and edition": [],
    }
    assert "without: what layouts demand is not checked" in screen(done)


def test_a_scope_that_a_load_needs_and_lacks_is_exit_6(desk: Desk) -> None:
    done = desk.run("auth", "--module", "Deals", LOADER_REFRESH_TOKEN=desk.token)
    assert done.returncode == 6
    assert "needs ZohoCRM.modules.deals.CREATE (missing)" in screen(done)
    assert "ZohoCRM.modules.deals.CREATE,ZohoCRM.settings.fields.READ" in screen(done)


def test_credentials_that_are_refused_are_exit_6(desk: Desk) -> None:
    assert desk.run("auth", LOADER_REFRESH_TOKEN="1000.wrong.wrong").returncode == 6


def test_an_access_token_alone_is_shown_with_scopes_unknown(desk: Desk) -> None:
    granted = subprocess.run(
        [
            sys.executable,
            "-c",
            "import json, os, urllib.parse, urllib.request as r; e = os.environ; "
            "f = {n: e['LOADER_' + n.upper()] for n in ('client_id', 'client_secret', 'refresh_token')}; "
            "b = urllib.parse.urlencode({**f, 'grant_type': 'refresh_token'}).encode(); "
            "print(json.load(r.urlopen(e['URL'] + '/oauth/v2/token', b))['access_token'])",
        ],
        env={**os.environ, **desk.crm.credentials, "URL": desk.crm.url},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    token = granted.stdout.strip()
    done = desk.run("auth", without="LOADER_CLIENT_ID", LOADER_CLIENT_SECRET="", LOADER_ACCESS_TOKEN=token)
    assert done.returncode == 0, done.stderr
    assert "not known: the service does not name the scopes" in screen(done)
    assert token not in screen(done)


def test_at_a_terminal_the_code_is_asked_for_and_not_shown(desk: Desk) -> None:
    belongs_in(desk.directory / "token")
    given = {name: value for name, value in desk.crm.credentials.items() if name != "LOADER_REFRESH_TOKEN"}
    ours, theirs = os.openpty()
    with os.fdopen(ours, "r+b", buffering=0) as terminal:
        # In a session of its own it has no other terminal to ask at.
        process = subprocess.Popen(
            [sys.executable, "-m", "loader", "auth", "--grant", "--store", "token"],
            cwd=desk.directory,
            env=environment(desk.directory / "home", {"LOADER_API_DOMAIN": desk.crm.url, **given}),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        try:
            said = b""
            while b"Grant code" not in said:
                said += terminal.read(1024)
            terminal.write(desk.code().encode() + b"\n")
            with contextlib.suppress(OSError):  # how a terminal tells that the other side has gone
                while piece := terminal.read(1024):
                    said += piece
        finally:
            process.kill()
            process.wait(10)
    desk.said.append(said)
    assert (desk.directory / "token").read_text() == desk.token + "\n", said
    assert b"The refresh token is kept in token" in said


class TestKeyring:
    """With a keyring of the test's own, found as the keyring package finds any."""

    @pytest.fixture
    def ring(self, desk: Desk) -> dict[str, str]:
        pytest.importorskip("keyring", reason="the keyring extra is not installed: its tests did not run")
        path = belongs_in(desk.directory / "ring.json")
        backend = "tests.cli.keyring_in_a_file.Keyring"
        return {"PYTHON_KEYRING_BACKEND": backend, "TEST_KEYRING": str(path)}

    def test_a_grant_is_kept_in_the_keyring_and_a_load_reads_it_there(
        self, desk: Desk, ring: dict[str, str]
    ) -> None:
        done = desk.run("auth", "--grant", "--store", "keyring", data=desk.code(), **ring)
        assert done.returncode == 0, done.stderr
        entries = json.loads(Path(ring["TEST_KEYRING"]).read_text())
        assert sorted(entries) == [
            f"crm-bulk-loader/{name}" for name in ("client-id", "client-secret", "refresh-token")
        ]
        (desk.directory / "leads.ndjson").write_text('{"Last_Name": "Lovelace"}\n')
        (desk.directory / "loader.toml").write_text('credentials = "keyring"\n')
        bare = {"LOADER_CLIENT_ID": "", "LOADER_CLIENT_SECRET": "", **ring}
        loaded = desk.run("load", "leads.ndjson", "--module", "Leads", **bare)
        assert loaded.returncode == 0, loaded.stderr
        again = desk.run("auth", "--grant", "--store", "keyring", data="x", **ring)
        assert (again.returncode, "holds a refresh token already" in screen(again)) == (2, True)
        shown = desk.run("config", "show", "--origin", **bare)
        assert b"refresh-token" in shown.stdout

    def test_organisations_have_keyrings_of_their_own_names(self, desk: Desk, ring: dict[str, str]) -> None:
        assert (
            desk.run("auth", "--grant", "--store", "keyring:acme", data=desk.code(), **ring).returncode == 0
        )
        assert desk.run("auth", "--credentials", "keyring:acme", **ring).returncode == 0
        other = desk.run("auth", "--credentials", "keyring:other", **ring)
        assert other.returncode == 6
        assert "loader auth --grant --store keyring:other" in screen(other)

    def test_a_keyring_that_will_not_open_is_exit_6_and_its_words_are_kept_back(
        self, desk: Desk, ring: dict[str, str]
    ) -> None:
        locked = {**ring, "PYTHON_KEYRING_BACKEND": "tests.cli.keyring_in_a_file.Locked"}
        done = desk.run("auth", "--credentials", "keyring", **locked)
        assert done.returncode == 6
        assert "the system keyring cannot be read" in screen(done)
        assert "canary" not in screen(done)

    def test_a_keyring_that_takes_no_token_says_that_the_code_is_used_up_and_what_to_type(
        self, desk: Desk, ring: dict[str, str]
    ) -> None:
        full = {**ring, "PYTHON_KEYRING_BACKEND": "tests.cli.keyring_in_a_file.Full"}
        done = desk.run("auth", "--grant", "--store", "keyring:acme", data=desk.code(), **full)
        assert done.returncode == 6
        assert "grant code is used up, and the refresh token that it gave is not kept" in screen(done)
        assert "another code in the API console, then: loader auth --grant --store keyring:acme" in screen(
            done
        )
        assert "canary" not in screen(done)
        assert not Path(ring["TEST_KEYRING"]).exists()

    def test_without_a_keyring_on_the_machine_files_are_proposed(
        self, desk: Desk, ring: dict[str, str]
    ) -> None:
        none = {**ring, "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
        done = desk.run("auth", "--credentials", "keyring", **none)
        assert (done.returncode, "there is no keyring on this machine" in screen(done)) == (6, True)

    def test_without_the_package_the_extra_is_named(self, desk: Desk) -> None:
        # A directory before all others, in which the package is one that cannot be found.
        (desk.directory / "keyring.py").write_text("raise ModuleNotFoundError('no', name='keyring')\n")
        path = os.pathsep.join((str(desk.directory), str(Path(__file__).parents[2])))
        done = desk.run("auth", "--credentials", "keyring", PYTHONPATH=path)
        assert (done.returncode, "crm-bulk-loader[keyring]" in screen(done)) == (2, True)


def counted(state: Path) -> int:
    """The access tokens that the loads of the machine know of."""
    (times,) = state.glob("credentials/*/grants")
    _, *granted_at = struct.unpack("<8s10d", times.read_bytes())
    return sum(at > 0 for at in granted_at)


def test_each_command_counts_its_access_token_and_the_next_one_too_many_says_what_is_true(desk: Desk) -> None:
    state = desk.directory / "state"
    (desk.directory / "leads.ndjson").write_text('{"Last_Name": "Lovelace"}\n')
    belongs_in(desk.directory / "token")
    own = {"LOADER_STATE_DIR": str(state), "LOADER_REFRESH_TOKEN_FILE": "token"}
    assert desk.run("auth", "--grant", data=desk.code(), **own).returncode == 0
    assert counted(state) == 2, "one comes with the grant code, one tries the refresh token"
    commands = (("doctor",), ("fields", "Leads"), ("check", "leads.ndjson", "--module", "Leads"))
    for number, arguments in enumerate(commands, start=3):
        desk.run(*arguments, **own)
        assert counted(state) == number, arguments
    for _ in range(5):
        assert desk.run("fields", "Leads", **own).returncode == 0
    assert counted(state) == 10
    refused = desk.run("auth", **own)
    assert refused.returncode == 7
    said = screen(refused)
    assert "gives no access token" in said
    assert "one refresh token is good for 10 access tokens in 10 minutes, and this machine has taken" in said
    assert "Nothing is lost. Run the same command again at " in said
    assert "out of reach" not in said
