"""The token request and its answers."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest

from loader.wire.messages import HttpReply
from loader.wire.oauth import (
    DATA_CENTRES,
    AccessToken,
    Granted,
    TokenRefused,
    TokenThrottled,
    grant_request,
    read_grant,
    read_token,
    refresh_request,
)


def reply(body: str, status: int = 200) -> HttpReply:
    return HttpReply(status, body.encode(), {}, 0.1)


def test_the_secrets_travel_in_the_body_and_never_in_the_address() -> None:
    request = refresh_request(client_id="i d", client_secret="s&c", refresh_token="1000.r")
    assert (request.method, request.path) == ("POST", "/oauth/v2/token")
    assert parse_qs((request.body or b"").decode()) == {
        "grant_type": ["refresh_token"],
        "client_id": ["i d"],
        "client_secret": ["s&c"],
        "refresh_token": ["1000.r"],
    }
    assert request.headers == {"content-type": "application/x-www-form-urlencoded"}


def test_a_grant_gives_token_life_and_domain() -> None:
    body = '{"access_token":"1000.a","api_domain":"https://www.zohoapis.eu","token_type":"Bearer","expires_in":120}'
    assert read_token(reply(body)) == AccessToken("1000.a", 120.0, "https://www.zohoapis.eu")


def test_a_grant_without_its_life_counts_as_the_documented_hour() -> None:
    assert read_token(reply('{"access_token":"1000.a"}')) == AccessToken("1000.a", 3600.0)


def test_a_granted_token_is_never_shown() -> None:
    token = read_token(reply('{"access_token":"1000.canary"}'))
    assert "canary" not in f"{token!r} {token}"


@pytest.mark.parametrize("error", ["invalid_code", "invalid_client", "a_word_of_next_year"])
@pytest.mark.parametrize("status", [200, 400, 401])
def test_an_error_is_a_refusal_whatever_the_status(error: str, status: int) -> None:
    answer = read_token(reply(f'{{"error":"{error}"}}', status))
    assert isinstance(answer, TokenRefused)
    assert answer.error == error
    assert answer.reason


def test_an_error_beside_a_token_is_a_refusal() -> None:
    assert isinstance(read_token(reply('{"error":"invalid_code","access_token":"x"}')), TokenRefused)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (
            '{"error_description":"Too many requests","error":"Access Denied","status":"failure"}',
            400,
        ),
        ('{"error":"Access Denied"}', 200),
        ('{"error":"server_error"}', 500),
        ("<html>", 502),
        ("", 503),
        ("<html>", 429),
        ("", 200),
        ("{}", 200),
        ('{"access_token":""}', 200),
        ('{"access_token":17}', 200),
        ('{"access_token":"a\\r\\nX-Injected: 1"}', 200),
        ("[" * 100_000, 200),
        ('{"access_token":"\ud800"}'.encode("utf-8", "surrogatepass").decode("latin-1"), 200),
    ],
)
def test_what_holds_no_token_may_do_later(body: str, status: int) -> None:
    assert isinstance(read_token(reply(body, status)), TokenThrottled)


@pytest.mark.parametrize("status", [301, 302, 403, 404])
def test_a_host_that_is_no_token_service_is_refused(status: int) -> None:
    answer = read_token(reply("<html>", status))
    assert isinstance(answer, TokenRefused)
    assert "wrong host" in answer.reason


def test_each_data_centre_has_its_own_two_https_hosts() -> None:
    assert list(DATA_CENTRES) == ["us", "eu", "in", "au", "jp", "cn", "ca", "sa", "uk", "ae"]
    urls = [url for centre in DATA_CENTRES.values() for url in (centre.api_url, centre.accounts_url)]
    assert len(set(urls)) == len(urls)
    assert all(url.startswith("https://") and not url.endswith("/") for url in urls)
    assert DATA_CENTRES["ca"].accounts_url == "https://accounts.zohocloud.ca"


def test_a_grant_code_travels_in_the_body_too() -> None:
    request = grant_request(client_id="i", client_secret="s", code="1000.c")
    assert (request.method, request.path) == ("POST", "/oauth/v2/token")
    assert parse_qs((request.body or b"").decode()) == {
        "grant_type": ["authorization_code"],
        "client_id": ["i"],
        "client_secret": ["s"],
        "code": ["1000.c"],
    }


def test_a_code_is_answered_with_both_tokens_and_neither_is_ever_shown() -> None:
    body = (
        '{"access_token":"1000.canary","refresh_token":"1000.canary2","scope":"A.b.C D.e.F","expires_in":9}'
    )
    granted = read_grant(reply(body))
    assert granted == Granted("1000.canary2", AccessToken("1000.canary", 9.0, "", "A.b.C D.e.F"))
    assert "canary" not in f"{granted!r} {granted}"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"error":"invalid_code"}', "was used before"),
        ('{"error":"invalid_client"}', "client id"),
        ('{"error":"invalid_redirect_uri"}', "not a self client"),
        ('{"access_token":"1000.a"}', "no refresh token"),
        ('{"access_token":"1000.a","refresh_token":"a\\nb"}', "no refresh token"),
    ],
)
def test_a_code_that_is_good_for_nothing_is_refused_with_the_reason(body: str, words: str) -> None:
    refused = read_grant(reply(body))
    assert isinstance(refused, TokenRefused)
    assert words in refused.reason


def test_a_throttled_code_may_be_tried_later() -> None:
    assert isinstance(read_grant(reply('{"error":"Access Denied"}', 400)), TokenThrottled)
