"""Access tokens: single flight, renewal in time, patience, and no secret anywhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import datetime

import msgspec
import pytest

from loader.client.token_memory import NumberedToken
from loader.client.tokens import Tokens
from loader.errors import CredentialsError, NotNowError
from loader.events import Event, ServiceUnreachable, TokenAwaited, TokenRefreshed
from loader.wire.limits import TOKENS_MAX, TOKENS_WINDOW_S
from loader.wire.messages import Fault, HttpReply, HttpRequest, NoReply, Reply

SECRETS = ("canary-client-secret", "canary-refresh-token", "canary-access-token")
WALL = 1_800_000_000.0
"""Unix seconds at which the clock of these tests stood at 0."""
DOWN = NoReply(Fault.UNREACHABLE, "no connection", 0.0)
UNWELL = HttpReply(503, b"busy", {}, 0.0)
THROTTLED = HttpReply(400, b'{"error":"Access Denied","status":"failure"}', {}, 0.0)
REFUSED = HttpReply(200, b'{"error":"invalid_code"}', {}, 0.0)


class Given(msgspec.Struct, frozen=True):
    client_id: str = ""
    client_secret: str = ""
    refresh_token: str = ""
    access_token: str = ""
    named: tuple[str, ...] = ()


NAMED = ("LOADER_CLIENT_SECRET_FILE", "LOADER_REFRESH_TOKEN")
REFRESHABLE = Given("client", SECRETS[0], SECRETS[1], named=NAMED)
FIXED = Given(access_token=SECRETS[2])


class Service:
    """A token service on a clock that only sleeping moves."""

    def __init__(self, *answers: Reply, expires_in: float = 3600, takes_s: float = 0.0) -> None:
        self.answers = list(answers)
        self.expires_in = expires_in
        self.takes_s = takes_s
        self.asked: list[HttpRequest] = []
        self.asked_at: list[float] = []
        self.events: list[Event] = []
        self.now = 1000.0
        self.in_flight = 0
        self.in_flight_max = 0

    async def send(self, request: HttpRequest) -> Reply:
        self.asked.append(request)
        self.asked_at.append(self.now)
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)
        try:
            for _ in range(5):
                await asyncio.sleep(0)
        finally:
            self.in_flight -= 1
        self.now += self.takes_s
        if self.answers:
            return self.answers.pop(0)
        body = {
            "access_token": f"{SECRETS[2]}-{len(self.asked)}",
            "api_domain": "https://www.zohoapis.eu",
            "expires_in": self.expires_in,
        }
        return HttpReply(200, json.dumps(body).encode(), {}, 0.0)

    async def sleep(self, delay_s: float) -> None:
        self.now += delay_s
        await asyncio.sleep(0)

    def tokens(
        self,
        given: Given = REFRESHABLE,
        *,
        patience_s: float = 300.0,
        clock: Callable[[], float] | None = None,
    ) -> Tokens:
        return Tokens(
            given,
            accounts_url="https://accounts.zoho.eu",
            send=self.send,
            patience_s=patience_s,
            observe=self.events.append,
            clock=clock or (lambda: self.now),
            wall=lambda: WALL + self.now,
            sleep=self.sleep,
        )

    def count(self, kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in self.events)


def require_no_secret(error: BaseException) -> None:
    shown = f"{error!r} {error} {vars(error)}"
    assert not any(secret in shown for secret in SECRETS)


async def test_the_first_call_obtains_a_token_and_later_ones_share_it() -> None:
    service = Service()
    tokens = service.tokens()
    assert tokens.api_domain == ""
    first = await tokens.current()
    assert await tokens.current() == first == NumberedToken("canary-access-token-1", 1)
    assert len(service.asked) == 1
    assert tokens.api_domain == "https://www.zohoapis.eu"
    assert service.events == [TokenRefreshed()]


async def test_a_hundred_callers_are_served_by_one_refresh() -> None:
    service = Service()
    tokens = service.tokens()
    got = await asyncio.gather(*(tokens.current() for _ in range(100)))
    assert {token.number for token in got} == {1}
    await asyncio.gather(*(tokens.renew(1) for _ in range(100)))
    assert len(service.asked) == 2
    assert service.in_flight_max == 1
    assert tokens.refreshes == 2


async def test_a_token_that_is_already_replaced_is_not_renewed_again() -> None:
    service = Service()
    tokens = service.tokens()
    await tokens.current()
    await tokens.renew(1)
    assert (await tokens.renew(1)).number == 2
    assert len(service.asked) == 2


async def test_a_caller_that_is_cancelled_in_mid_refresh_strands_nobody() -> None:
    service = Service()
    tokens = service.tokens()
    leader = asyncio.create_task(tokens.current())
    while not service.asked:
        await asyncio.sleep(0)
    others = [asyncio.create_task(tokens.current()) for _ in range(5)]
    await asyncio.sleep(0)
    leader.cancel()
    got = await asyncio.gather(*others)
    with pytest.raises(asyncio.CancelledError):
        await leader
    assert {token.number for token in got} == {1}
    assert len(service.asked) == 2


@pytest.mark.parametrize(
    ("expires_in", "still_good_s", "renewed_s"), [(3600, 3539, 3541), (120, 107, 109), (70, 62, 64)]
)
async def test_a_token_is_renewed_shortly_before_it_expires(
    expires_in: float, still_good_s: float, renewed_s: float
) -> None:
    service = Service(expires_in=expires_in)
    tokens = service.tokens()
    await tokens.current()
    service.now = 1000.0 + still_good_s
    assert (await tokens.current()).number == 1
    service.now = 1000.0 + renewed_s
    assert (await tokens.current()).number == 2


@pytest.mark.parametrize("expires_in", [0, 1, 30])
async def test_tokens_of_a_very_short_life_cause_no_refresh_loop(expires_in: float) -> None:
    service = Service(expires_in=expires_in)
    tokens = service.tokens()
    for _ in range(1000):
        await tokens.current()
        service.now += 0.5
    assert len(service.asked) <= 9
    assert service.count(ServiceUnreachable) == 0


async def test_no_more_tokens_are_asked_for_than_the_service_allows() -> None:
    service = Service()
    tokens = service.tokens(patience_s=TOKENS_WINDOW_S)
    for number in range(25):
        await tokens.renew(number)
    for earlier, later in zip(service.asked_at, service.asked_at[TOKENS_MAX:], strict=False):
        assert later - earlier >= TOKENS_WINDOW_S
    assert len(service.asked) == 25


async def test_a_refusal_is_final_and_asked_for_once() -> None:
    service = Service(REFUSED)
    tokens = service.tokens()
    got = await asyncio.gather(*(tokens.current() for _ in range(20)), return_exceptions=True)
    assert len(service.asked) == 1
    for error in got:
        assert isinstance(error, CredentialsError)
        assert "invalid_code" in error.what
        assert "Check LOADER_CLIENT_SECRET_FILE, LOADER_REFRESH_TOKEN and --dc" in error.hint
        require_no_secret(error)


async def test_a_certificate_that_is_not_accepted_is_a_refusal_not_an_outage() -> None:
    service = Service(NoReply(Fault.CERTIFICATE, "self-signed certificate", 0.0))
    with pytest.raises(CredentialsError, match="cannot prove who it is"):
        await service.tokens().current()
    assert len(service.asked) == 1


@pytest.mark.parametrize("trouble", [DOWN, UNWELL], ids=["down", "unwell"])
async def test_an_outage_is_waited_out_with_growing_delays(trouble: Reply) -> None:
    service = Service(*[trouble] * 7)
    assert (await service.tokens().current()).number == 1
    delays = [later - earlier for earlier, later in zip(service.asked_at, service.asked_at[1:], strict=False)]
    assert delays == [1, 2, 4, 8, 16, 30, 30]
    assert service.count(ServiceUnreachable) == 7
    first = next(event for event in service.events if isinstance(event, ServiceUnreachable))
    assert (first.host, first.gives_up_in_s) == ("accounts.zoho.eu", 300.0)


@pytest.mark.parametrize("trouble", [DOWN, THROTTLED], ids=["down", "throttled"])
async def test_patience_ends_once_for_all_who_wait(trouble: Reply) -> None:
    service = Service(*[trouble] * 1000)
    tokens = service.tokens(patience_s=60)
    got = await asyncio.gather(*(tokens.current() for _ in range(10)), return_exceptions=True)
    for error in got:
        assert isinstance(error, NotNowError)
        require_no_secret(error)
    assert service.now - 1000 == 60
    assert len(service.asked) < 8
    with pytest.raises(NotNowError):  # whoever comes later is given patience of his own
        await tokens.current()
    assert service.now - 1000 > 60


async def test_a_limit_that_the_service_names_is_no_outage_and_is_not_asked_about_in_haste() -> None:
    service = Service(*[THROTTLED] * 3)
    assert (await service.tokens().current()).number == 1
    assert service.asked_at == [1000, 1030, 1060, 1090]
    assert service.count(ServiceUnreachable) == 0
    awaited = [event for event in service.events if isinstance(event, TokenAwaited)]
    assert [(event.gives_up_in_s, event.goes_on_in_s) for event in awaited] == [
        (300, None),
        (270, None),
        (240, None),
    ]
    for event in awaited:
        assert "10 access tokens in 10 minutes" in event.reason
        assert "HTTP 400 Access Denied" in event.reason


def at(unix_s: float) -> str:
    return f"{datetime.fromtimestamp(unix_s).astimezone():%H:%M:%S} local time"


async def test_a_limit_beyond_patience_names_itself_its_end_and_what_to_type() -> None:
    service = Service(*[THROTTLED] * 1000)
    tokens = service.tokens(patience_s=60)
    got = await asyncio.gather(*(tokens.current() for _ in range(3)), return_exceptions=True)
    for error in got:
        assert isinstance(error, NotNowError)
        assert "10 access tokens in 10 minutes" in error.why
        assert "Access Denied" in error.why
        assert "again in 10 m at the latest" in error.why
        assert error.hint.startswith("Nothing is lost.")
        assert at(WALL + 1060 + TOKENS_WINDOW_S + 1) in error.hint
        assert "--patience 11min" in error.hint


async def test_who_would_have_to_wait_beyond_patience_is_told_at_once_and_asks_nobody() -> None:
    service = Service()
    tokens = service.tokens(patience_s=60)
    for number in range(TOKENS_MAX):
        await tokens.renew(number)
    service.now += 150
    with pytest.raises(NotNowError) as raised:
        await tokens.renew(TOKENS_MAX)
    assert (service.now, len(service.asked)) == (1150, TOKENS_MAX)
    assert "this machine has taken them; there is one again in 8 m" in raised.value.why
    assert at(WALL + 1000 + TOKENS_WINDOW_S + 1) in raised.value.hint
    assert "--patience 8min" in raised.value.hint
    assert service.count(TokenAwaited) == 0


async def test_who_waits_for_the_limit_within_patience_is_told_when_it_goes_on() -> None:
    service = Service()
    tokens = service.tokens(patience_s=TOKENS_WINDOW_S)
    for number in range(TOKENS_MAX + 1):
        await tokens.renew(number)
    (awaited,) = [event for event in service.events if isinstance(event, TokenAwaited)]
    assert (awaited.goes_on_in_s, awaited.gives_up_in_s) == (TOKENS_WINDOW_S, TOKENS_WINDOW_S)


async def test_the_last_try_comes_when_patience_ends_though_the_clock_moves_while_it_is_read() -> None:
    service = Service(*[DOWN] * 1000)

    def read_clock() -> float:
        service.now += 0.001
        return service.now

    tokens = service.tokens(patience_s=1.0, clock=read_clock)
    began = service.now
    with pytest.raises(NotNowError):
        await tokens.current()
    assert len(service.asked) == 2
    assert 1.0 <= service.now - began < 1.1


async def test_a_fixed_token_is_used_as_it_is_and_cannot_be_renewed() -> None:
    service = Service()
    tokens = service.tokens(FIXED)
    assert (await tokens.current()).value == SECRETS[2]
    service.now += 1e6
    assert (await tokens.current()).number == 1
    with pytest.raises(CredentialsError) as raised:
        await tokens.renew(1)
    assert "LOADER_REFRESH_TOKEN" in raised.value.hint
    require_no_secret(raised.value)
    assert (service.asked, tokens.refreshes) == ([], 0)


@pytest.mark.parametrize("value", ["", "canary-access-token\r\nX-Injected: 1", "canary-access-token\u00e9"])
def test_a_token_that_is_no_header_value_is_refused_at_once(value: str) -> None:
    with pytest.raises(CredentialsError) as raised:
        Service().tokens(Given(access_token=value))
    require_no_secret(raised.value)


@pytest.mark.parametrize(
    "shown",
    [
        lambda tokens, token: repr(token),
        lambda tokens, token: str(token),
        lambda tokens, token: f"{tokens!r}",
    ],
)
async def test_no_representation_shows_a_secret(shown: Callable[[Tokens, NumberedToken], str]) -> None:
    service = Service()
    tokens = service.tokens()
    text = shown(tokens, await tokens.current()) + repr(service.events)
    assert not any(secret in text for secret in SECRETS)
