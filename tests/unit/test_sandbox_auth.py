"""Access tokens: who gets one, how long it is believed, and when there are no more."""

import pytest

from loader.sandbox.auth import ACTIVE_TOKENS_MAX, Belief, ClientSecrets, Grant, Refusal, Tokens

CLIENT = ClientSecrets("id", "secret", "refresh")
FORM = {
    "grant_type": "refresh_token",
    "client_id": "id",
    "client_secret": "secret",
    "refresh_token": "refresh",
}


def grant(tokens: Tokens, now: float = 0.0) -> str:
    answer = tokens.grant(FORM, now=now)
    assert isinstance(answer, Grant)
    return answer.access_token


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"client_id": "x"}, Refusal.INVALID_CLIENT),
        ({"client_secret": "x"}, Refusal.INVALID_CLIENT),
        ({"refresh_token": "x"}, Refusal.INVALID_CODE),
        ({"grant_type": "x"}, Refusal.UNSUPPORTED_GRANT),
    ],
)
def test_a_wrong_credential_gets_no_token(change: dict[str, str], refusal: Refusal) -> None:
    assert Tokens(CLIENT, life_s=3600).grant(FORM | change, now=0) is refusal


def test_the_eleventh_token_in_ten_minutes_is_denied_until_the_first_is_ten_minutes_old() -> None:
    tokens = Tokens(CLIENT, life_s=3600)
    for second in range(10):
        grant(tokens, now=second)
    assert tokens.grant(FORM, now=599) is Refusal.ACCESS_DENIED
    assert isinstance(tokens.grant(FORM, now=600), Grant)


def test_a_grant_code_gives_a_refresh_token_once_and_an_access_token_with_it() -> None:
    tokens = Tokens(CLIENT, life_s=3600, codes=("code",))
    form = {**FORM, "grant_type": "authorization_code", "code": "code"}
    assert tokens.grant(form | {"client_secret": "x"}, now=0) is Refusal.INVALID_CLIENT
    granted = tokens.grant(form, now=0)
    assert isinstance(granted, Grant)
    assert granted.refresh_token == "refresh"
    assert tokens.believe(f"Bearer {granted.access_token}", now=1) is Belief.BELIEVED
    assert tokens.grant(form, now=0) is Refusal.INVALID_CODE
    again = tokens.grant(FORM | {"refresh_token": granted.refresh_token}, now=0)
    assert isinstance(again, Grant)
    assert again.refresh_token == "", "only a code is answered with a refresh token"


def test_refusals_do_not_count_towards_the_ten() -> None:
    tokens = Tokens(CLIENT, life_s=3600)
    for _ in range(20):
        tokens.grant(FORM | {"refresh_token": "x"}, now=0)
    grant(tokens)


@pytest.mark.parametrize("scheme", ["Zoho-oauthtoken", "Bearer", "bearer"])
def test_a_token_is_believed_under_both_schemes_until_its_life_ends(scheme: str) -> None:
    tokens = Tokens(CLIENT, life_s=60)
    header = f"{scheme} {grant(tokens, now=100)}"
    assert tokens.believe(header, now=159) is Belief.BELIEVED
    assert tokens.believe(header, now=160) is Belief.UNKNOWN_TOKEN
    assert tokens.expiry(header) == 160


@pytest.mark.parametrize("header", [None, "", "Basic abc", "Zoho-oauthtoken", "Zoho-oauthtoken "])
def test_what_is_no_token_is_told_apart_from_a_wrong_one(header: str | None) -> None:
    tokens = Tokens(CLIENT, life_s=60)
    assert tokens.believe(header, now=0) is Belief.NO_TOKEN
    assert tokens.believe("Zoho-oauthtoken wrong", now=0) is Belief.UNKNOWN_TOKEN


def test_one_token_too_many_ends_the_oldest() -> None:
    tokens = Tokens(CLIENT, life_s=3600, grants_max=100)
    given = [grant(tokens) for _ in range(ACTIVE_TOKENS_MAX + 1)]
    beliefs = [tokens.believe(f"Bearer {each}", now=1) for each in given]
    assert beliefs == [Belief.UNKNOWN_TOKEN] + [Belief.BELIEVED] * ACTIVE_TOKENS_MAX


def test_secrets_do_not_show_when_printed() -> None:
    client = ClientSecrets.new()
    assert client.client_secret not in repr(client)
    assert client.refresh_token not in repr(client)
