"""No credential is shown, logged or kept: not by a server that repeats it, not by a defect, not by a mistake.

What each test looks for itself is said by its asserts; everything that it leaves behind, and what its
processes say and are started with, the canary searches besides (`tests/canary.py`).
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path

import aiohttp
import msgspec
import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from loader.cli import errors
from loader.client.faults import detail_of, fault_of
from loader.client.masking import MASK, masked
from loader.errors import UsageError
from loader.settings import Credentials, require_safe_url
from loader.wire.messages import HttpReply
from loader.wire.oauth import refresh_request
from tests import canary
from tests.crash.harness import PYTHON, ROOT, Finished, environment
from tests.scenario.hostile_crm import Answer, Asked, HostileCrm, as_json, refused, serving

QUICK = ("--quiet-period", "10ms", "--patience", "1s", "--timeout", "5s")


def renewing() -> dict[str, str]:
    """Credentials that a token is obtained with."""
    return {
        "LOADER_CLIENT_ID": "1000.AN.ID",
        "LOADER_CLIENT_SECRET": canary.secret(),
        "LOADER_REFRESH_TOKEN": canary.secret(),
    }


def fixed() -> dict[str, str]:
    """An access token and nothing to renew it with."""
    return {"LOADER_ACCESS_TOKEN": canary.secret()}


def ran(directory: Path, command: list[str], given: Mapping[str, str]) -> Finished:
    """A command in a directory of its own, what it said looked at."""
    with subprocess.Popen(
        [PYTHON, "-m", "loader", *command],
        cwd=directory,
        env=environment(directory / "home", given),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        canary.look_at_arguments(process.pid)
        stdout, stderr = process.communicate(timeout=40)
    canary.look_at(stdout, f"stdout of {command[0]}")
    canary.look_at(stderr, f"stderr of {command[0]}")
    return Finished(process.returncode, stdout, stderr.decode(errors="replace"), 0.0)


def loaded(
    directory: Path, crm: HostileCrm, given: Mapping[str, str], *flags: str, records: int = 3
) -> Finished:
    """A load of a few leads."""
    source = directory / "leads.ndjson"
    source.write_text("".join(json.dumps({"Last_Name": f"Lead {one}"}) + "\n" for one in range(records)))
    with serving(crm):
        command = ["load", str(source), "--module", "Leads", *crm.target, *QUICK, *flags]
        return ran(directory, command, given)


def echo(status: int, code: str) -> Callable[[Asked], Answer]:
    """Refuses with everything that was asked in its message, header by header."""
    return lambda asked: refused(status, code, asked.everything)


# --- a server that repeats what it was sent ---

ECHOES = {
    "401, the token is wrong": (401, "INVALID_TOKEN", 6),
    "401, not understood": (401, "AUTHENTICATION_FAILURE", 6),
    "403": (403, "NO_PERMISSION", 6),
    "400, halved to each record": (400, "INVALID_DATA", 3),
    "404": (404, "INVALID_URL_PATTERN", 2),
    "500": (500, "INTERNAL_ERROR", 4),
    "400 with an unknown code": (400, "WHO_KNOWS", 3),
}


@pytest.mark.parametrize("kind", ECHOES)
def test_a_server_that_repeats_header_and_address_in_its_errors_leaks_nothing(
    tmp_path: Path, kind: str
) -> None:
    status, code, exit_code = ECHOES[kind]
    crm = HostileCrm(insert=echo(status, code))
    # Of a token that is obtained nobody but the loader and the server knows.
    given = renewing() if status == 401 else fixed()
    finished = loaded(tmp_path, crm, given, "-v", records=1)
    assert any(canary.MARK in asked.everything for asked in crm.asked), "the server had something to repeat"
    assert finished.exit_code == exit_code, finished.stderr
    assert canary.MARK.encode() not in (tmp_path / "leads.ndjson.load" / "checkpoint.log").read_bytes()


def test_what_else_the_server_says_is_still_told(tmp_path: Path) -> None:
    crm = HostileCrm(insert=echo(400, "INVALID_DATA"))
    loaded(tmp_path, crm, fixed(), records=1).ended(3)
    reasons = (tmp_path / "leads.ndjson.load" / "rejected-reasons.ndjson").read_text()
    assert "Authorization: Zoho-oauthtoken (secret)" in reasons


def test_per_record_errors_that_repeat_the_token_leak_nothing(tmp_path: Path) -> None:
    def each(asked: Asked) -> Answer:
        words = asked.everything[:400]
        item = {"code": "INVALID_DATA", "details": {"api_name": words}, "message": words, "status": "error"}
        doubt = item | {"code": "NEVER_HEARD_OF"}
        return as_json(207, {"data": [item, doubt, item | {"code": words}]})

    finished = loaded(tmp_path, HostileCrm(insert=each), fixed(), "-v", "--json").ended(4)
    assert canary.MARK.encode() not in finished.stdout


@pytest.mark.parametrize("question", ["fields", "users", "organisation"])
def test_a_question_before_the_load_that_is_answered_with_the_header_leaks_nothing(
    tmp_path: Path, question: str
) -> None:
    def answer(asked: Asked) -> Answer:
        return refused(400, asked.headers["Authorization"], asked.everything)

    crm = HostileCrm()
    setattr(crm, question, answer)
    finished = loaded(tmp_path, crm, fixed(), "-v")
    assert finished.exit_code in (0, 2, 6)
    assert canary.MARK not in finished.stderr


# --- the token service ---


def body_of(asked: Asked) -> str:
    return asked.body.decode()


def given_in(asked: Asked, name: str) -> str:
    return urllib.parse.parse_qs(body_of(asked))[name][0]


GARBAGE: dict[str, tuple[Callable[[Asked], Answer], int]] = {
    "an error that is the secret": (
        lambda asked: as_json(200, {"error": given_in(asked, "refresh_token")}),
        6,
    ),
    "an error that is the other secret": (
        lambda asked: as_json(400, {"error": given_in(asked, "client_secret")}),
        6,
    ),
    "an error that is the end of the secret": (
        lambda asked: as_json(200, {"error": body_of(asked)[-40:]}),
        6,
    ),
    "a throttle with the secret": (lambda asked: as_json(429, {"error": body_of(asked)}), 7),
    "plain text": (lambda asked: (200, asked.body), 7),
    "a page": (lambda asked: (404, b"<html>" + asked.body), 6),
    "an empty token": (lambda asked: as_json(200, {"access_token": "", "x": body_of(asked)}), 7),
    "a token with a line end": (lambda asked: as_json(200, {"access_token": f"a\n{body_of(asked)}"}), 7),
    "a domain made of the secret": (
        lambda asked: as_json(200, {"access_token": canary.secret(), "api_domain": body_of(asked)}),
        0,
    ),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_a_token_service_that_repeats_the_secrets_leaks_nothing(tmp_path: Path, kind: str) -> None:
    answer, exit_code = GARBAGE[kind]
    crm = HostileCrm(token=answer)
    finished = loaded(tmp_path, crm, renewing(), "-v").ended(exit_code)
    assert canary.MARK in crm.asked[0].everything
    assert canary.MARK not in finished.stderr


# --- a defect ---

DEFECTS = {
    "an exception of the HTTP library": """
from aiohttp import ClientResponseError, RequestInfo
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL
def judge(attempt, reply):
    headers = CIMultiDict(Authorization="Zoho-oauthtoken " + os.environ["LOADER_ACCESS_TOKEN"])
    url = URL("http://x/crm/v8/Leads")
    raise ClientResponseError(RequestInfo(url, "POST", CIMultiDictProxy(headers), url), (), status=400,
                              message="bad", headers=headers)
""",
    "a group of exceptions about values": """
from loader.client.tokens import NumberedToken
from loader.settings import Credentials
def judge(attempt, reply):
    secret = os.environ["LOADER_ACCESS_TOKEN"]
    values = [NumberedToken(secret, 1), Credentials(access_token=secret, client_secret=secret), reply]
    raise ExceptionGroup("several", [RuntimeError(repr(one)) for one in values])
""",
    "an assertion about a local value": """
def judge(attempt, reply):
    token = os.environ["LOADER_ACCESS_TOKEN"]
    assert not token, "a token"
""",
}


@pytest.mark.parametrize("defect", DEFECTS)
@pytest.mark.parametrize("verbose", [True, False], ids=["-v", "plain"])
def test_a_defect_shows_its_traceback_and_no_secret(tmp_path: Path, defect: str, verbose: bool) -> None:
    (tmp_path / "patch").mkdir()
    planted = (
        "import os\n" + DEFECTS[defect] + "import loader.delivery.deliver as there\nthere.judge = judge\n"
    )
    (tmp_path / "patch" / "sitecustomize.py").write_text(planted)
    given = {**fixed(), "PYTHONPATH": f"{tmp_path / 'patch'}{os.pathsep}{ROOT}"}
    finished = loaded(tmp_path, HostileCrm(), given, *(["-v"] if verbose else []))
    assert finished.exit_code == 1, finished.stderr
    assert "the loader has a defect" in finished.said
    assert ("Traceback" in finished.stderr) is verbose
    assert canary.MARK not in finished.stderr


def test_no_representation_of_what_carries_a_secret_shows_it() -> None:
    secret = canary.secret()
    request = refresh_request(client_id="id", client_secret=secret, refresh_token=secret)
    assert secret.encode() in (request.body or b"")
    granted = HttpReply(200, b'{"access_token":"' + secret.encode() + b'"}', {"x": secret}, 0.1, 3)
    held = Credentials(client_secret=secret, refresh_token=secret, access_token=secret)
    for value in (request, granted, held, [request], {"reply": granted}, RuntimeError(held)):
        assert secret not in f"{value!r} {value}"
    assert repr(request) == f"HttpRequest(POST /oauth/v2/token, {len(request.body or b'')} bytes)"
    assert repr(granted) == f"HttpReply(200, {len(granted.body)} bytes, token 3)"


def test_of_an_exception_of_the_http_library_only_its_kind_is_told() -> None:
    secret = canary.secret()
    url = URL(f"https://user:{secret}@crm.example/?token={secret}")
    headers = CIMultiDict(Authorization=f"Zoho-oauthtoken {secret}")
    info = aiohttp.RequestInfo(url, "POST", CIMultiDictProxy(headers), url)
    for error in (
        aiohttp.ClientResponseError(info, (), status=400, message=secret, headers=headers),
        aiohttp.InvalidURL(url, secret),
        aiohttp.ClientPayloadError(secret),
        ValueError(secret),
    ):
        assert secret not in detail_of(error, fault_of(error, handed_over=True))


# --- mistakes of a person ---


@pytest.mark.parametrize("key", ["client_secret", "refresh-token", "Token"])
def test_a_secret_in_the_configuration_file_is_refused_and_not_repeated(tmp_path: Path, key: str) -> None:
    file = canary.belongs_in(tmp_path / "loader.toml")
    file.write_text(f'{key} = "{canary.secret()}"\n')
    finished = ran(tmp_path, ["load", "leads.ndjson", "--module", "Leads"], {}).ended(2)
    finished.is_one_screen()
    assert "credentials do not belong into this file" in finished.said


@pytest.mark.parametrize(
    "content",
    ['client_secret = {}\n"', 'module = "Leads\n{}', "{}", '[client]\nsecret = "{}"', 'key = ["{}"]'],
)
def test_a_configuration_file_that_cannot_be_read_is_not_repeated(tmp_path: Path, content: str) -> None:
    file = canary.belongs_in(tmp_path / "loader.toml")
    file.write_text(content.format(canary.secret()))
    finished = ran(tmp_path, ["load", "leads.ndjson", "--module", "Leads"], {}).ended(2)
    assert "loader.toml" in finished.stderr


@pytest.mark.parametrize("flag", ["--api-domain", "--accounts-url"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_address_with_a_password_is_refused_and_not_repeated(
    tmp_path: Path, flag: str, scheme: str
) -> None:
    """Given in the environment: everybody on the machine would have seen an argument already."""
    name = "LOADER_" + flag[2:].replace("-", "_").upper()
    other = {"LOADER_ACCOUNTS_URL": "https://a.example", "LOADER_API_DOMAIN": "https://b.example"}
    address = f"{scheme}://somebody:{canary.secret()}@crm.example/"
    finished = ran(tmp_path, ["load", "x", "--module", "Leads"], other | {name: address}).ended(2)
    finished.is_one_screen()
    assert f"error: the address of {flag} cannot be used it has a name or a password" in finished.said


@pytest.mark.parametrize(
    "address", ["http://crm.example/?token={}", "ftp://{}", "{}", "http://[{}", "https://h:{}/"]
)
def test_an_address_that_cannot_be_used_is_not_repeated(address: str) -> None:
    with pytest.raises(UsageError) as raised:
        require_safe_url(address.format(canary.secret()), flag="--api-domain")
    assert canary.MARK not in str(raised.value)
    assert "--api-domain" in str(raised.value)


@pytest.mark.parametrize("name", ["LOADER_CLIENT_SECRET", "LOADER_REFRESH_TOKEN", "LOADER_ACCESS_TOKEN"])
def test_a_secret_in_the_place_of_its_file_s_path_is_not_repeated(tmp_path: Path, name: str) -> None:
    source = tmp_path / "leads.ndjson"
    source.write_text('{"Last_Name":"x"}\n')
    command = ["load", str(source), "--module", "Leads", "--api-domain", "http://127.0.0.1:9"]
    finished = ran(tmp_path, command, {f"{name}_FILE": canary.secret()}).ended(6)
    assert f"{name}_FILE takes the path of a file" in " ".join(finished.stderr.split())


def test_credentials_come_from_files_that_nobody_else_may_read_and_go_nowhere_else(tmp_path: Path) -> None:
    given = {"LOADER_CLIENT_ID": "1000.AN.ID"}
    for name, value in renewing().items():
        if canary.MARK in value:
            path = canary.belongs_in(tmp_path / f"{name}.txt")
            path.write_text(value + "\n")
            path.chmod(0o600)
            given[f"{name}_FILE"] = str(path)
    crm = HostileCrm()
    loaded(tmp_path, crm, given, "-v", "--json").ended(0)
    assert canary.MARK in next(asked for asked in crm.asked if "oauth" in asked.path).everything


# --- what other programs may see ---


@pytest.mark.timeout(120)
def test_no_process_of_the_demo_has_a_secret_among_its_arguments_or_its_words(tmp_path: Path) -> None:
    ended = threading.Event()
    seen: set[bytes] = set()

    def look() -> None:
        while not ended.wait(0.005):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_bytes())
                except OSError:
                    continue

    watching = threading.Thread(target=look)
    watching.start()
    try:
        finished = ran(tmp_path, ["demo", "--dir", "kept"], {})
    finally:
        ended.set()
        watching.join()
    finished.ended(0)
    ours = [one for one in seen if b"loader\0" in one]
    assert any(b"\0sandbox\0" in one for one in ours), "the sandbox of the demo was seen"
    assert any(b"\0resume\0" in one for one in ours)
    for one in ours:
        canary.look_at(one, "the arguments of a process of the demo")
        assert canary.MARK.encode() not in one


# --- the parts ---


@pytest.mark.parametrize(
    ("secret", "written"),
    [
        ("abcdefgh1234", "abcdefgh1234"),
        ("1000.abc/def+x=", "1000.abc/def+x="),
        ("1000.abc/def+x=", "1000.abc\\/def+x="),
        ("1000.abc/def+x=", "1000.abc%2Fdef%2Bx%3D"),
        ("1000.abc~def gh", "1000.abc~def+gh"),
    ],
)
def test_a_secret_is_masked_however_it_is_written(secret: str, written: str) -> None:
    body = f'{{"message":"{written} and {written}"}}'.encode()
    assert masked(body, (secret,)) == b'{"message":"' + MASK + b" and " + MASK + b'"}'


def test_what_is_too_short_to_be_a_secret_changes_no_answer() -> None:
    body = b'{"data":[{"id":"1"}]}'
    assert masked(body, ("", "1", "id", "1234567")) is body


def test_a_masked_answer_still_is_the_answer() -> None:
    secret = canary.secret()
    body = json.dumps({"data": [{"id": "5"}], "message": f"you sent {secret}"}).encode()
    assert msgspec.json.decode(masked(body, (secret,))) == {
        "data": [{"id": "5"}],
        "message": "you sent (secret)",
    }


def test_the_screen_of_an_error_is_not_asked_for_attributes_that_hold_headers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    secret = canary.secret()
    headers = CIMultiDict(Authorization=secret)
    url = URL("http://crm.example/")
    info = aiohttp.RequestInfo(url, "POST", CIMultiDictProxy(headers), url)
    errors.tell(aiohttp.ClientResponseError(info, (), status=400, headers=headers), debug=True)
    shown = capsys.readouterr().err
    assert "Traceback" in shown or "ClientResponseError" in shown
    assert secret not in shown
