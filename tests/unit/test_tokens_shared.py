"""A day of loads in virtual time: whatever the server does to tokens, ten are asked for in ten minutes."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path

import pytest

from loader.client.tokens import Tokens
from loader.errors import NotNowError
from loader.events import Event, ServiceUnreachable, TokenAwaited
from loader.machine.grants import SharedGrants
from loader.settings import Credentials
from loader.wire.limits import TOKENS_MAX, TOKENS_WINDOW_S
from loader.wire.messages import Fault, HttpReply, HttpRequest, NoReply, Reply
from tests import virtual_time

HOUR = 3600.0
WALL = 1_800_000_000.0


class Accounts:
    """A token service that answers after a while, loses some answers, and knows when it was asked."""

    def __init__(self, seed: int, *, lost: float = 0.0) -> None:
        self.random = random.Random(seed)
        self.lost = lost
        self.granted_at: list[float] = []
        self.in_flight = 0
        self.in_flight_max = 0

    async def send(self, request: HttpRequest) -> Reply:
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)
        try:
            await asyncio.sleep(self.random.uniform(0.05, 2.0))
            self.granted_at.append(now())
            await asyncio.sleep(self.random.uniform(0.0, 0.5))
        finally:
            self.in_flight -= 1
        if self.random.random() < self.lost:
            return NoReply(Fault.NO_ANSWER_IN_TIME, "no answer", 60.0)
        body = {"access_token": f"token-{len(self.granted_at)}", "expires_in": 3600}
        return HttpReply(200, json.dumps(body).encode(), {}, 0.0)

    def most_in_ten_minutes(self) -> int:
        times = self.granted_at
        return max(sum(at <= other < at + TOKENS_WINDOW_S for other in times) for at in times)


def now() -> float:
    return asyncio.get_running_loop().time()


def tokens_of(accounts: Accounts, folder: Path, events: list[Event], patience_s: float = 6 * HOUR) -> Tokens:
    """As a process of its own would have them."""
    return Tokens(
        Credentials("id", "secret", "refresh"),
        accounts_url="https://accounts.zoho.eu",
        send=accounts.send,
        patience_s=patience_s,
        observe=events.append,
        grants=SharedGrants(folder, warn=no_warning, clock=lambda: WALL + now()),
        clock=now,
        sleep=asyncio.sleep,
    )


def no_warning(text: str) -> None:
    raise AssertionError(text)


async def calls(
    tokens: Tokens, chance: random.Random, *, every_s: float, revoked: float, until: float
) -> int:
    """A load's calls for so long; some find that their token is not accepted any more."""
    made = 0
    while now() < until:
        token = await tokens.current()
        if chance.random() < revoked:
            await tokens.renew(token.number)
        made += 1
        await asyncio.sleep(every_s)
    return made


@pytest.mark.parametrize(
    ("loads", "revoked", "lost"),
    [(1, 0.0, 0.0), (1, 0.2, 0.0), (3, 0.0, 0.0), (3, 0.1, 0.0), (4, 0.3, 0.2)],
    ids=["quiet", "revoked often", "three loads", "three, revoked often", "four, revoked and lost"],
)
def test_a_day_of_loads_asks_for_ten_tokens_in_ten_minutes_at_most(
    tmp_path: Path, loads: int, revoked: float, lost: float
) -> None:
    accounts, events = Accounts(7, lost=lost), list[Event]()

    async def day() -> list[int]:
        return await asyncio.gather(
            *(
                calls(
                    tokens_of(accounts, tmp_path, events),
                    random.Random(number),
                    every_s=20.0 + number,
                    revoked=revoked,
                    until=24 * HOUR,
                )
                for number in range(loads)
            )
        )

    made = virtual_time.run(day)
    assert min(made) > 100
    assert accounts.most_in_ten_minutes() <= TOKENS_MAX
    assert accounts.in_flight_max == 1
    if not revoked:
        assert len(accounts.granted_at) <= 25 * loads
    else:
        assert len(accounts.granted_at) > 200


def test_who_cannot_have_a_token_within_patience_says_so(tmp_path: Path) -> None:
    accounts, events = Accounts(1), list[Event]()

    async def two() -> None:
        one, other = (tokens_of(accounts, tmp_path, events, patience_s) for patience_s in (1000.0, 60.0))
        for number in range(TOKENS_MAX):
            await one.renew(number)
        with pytest.raises(NotNowError, match="gives no access token") as raised:
            await other.current()
        assert "10 access tokens in 10 minutes" in raised.value.why

    virtual_time.run(two)
    assert len(accounts.granted_at) == TOKENS_MAX


def test_a_load_waits_for_another_ones_refresh_and_not_beyond_its_patience(tmp_path: Path) -> None:
    accounts, events = Accounts(1), list[Event]()

    async def waiting() -> None:
        stopped = SharedGrants(tmp_path, warn=no_warning)
        assert stopped.try_turn()
        tokens = tokens_of(accounts, tmp_path, events, 30.0)
        began = now()
        assert (await tokens.current()).number == 1
        assert 30.0 <= now() - began < 40.0
        stopped.close()

    virtual_time.run(waiting)
    assert not any(isinstance(event, ServiceUnreachable) for event in events), "nobody is out of reach"
    (waited,) = (event for event in events if isinstance(event, TokenAwaited))
    assert waited.reason == "another load is asking for one"
    assert 25.0 < waited.gives_up_in_s <= 28.0


def test_a_refresh_of_another_load_that_takes_a_moment_is_not_told(tmp_path: Path) -> None:
    accounts, events = Accounts(1), list[Event]()

    async def waiting() -> None:
        other = SharedGrants(tmp_path, warn=no_warning)
        assert other.try_turn()
        asking = asyncio.ensure_future(tokens_of(accounts, tmp_path, events, 30.0).current())
        await asyncio.sleep(1.5)
        other.end_turn()
        assert (await asking).number == 1
        other.close()

    virtual_time.run(waiting)
    assert not any(isinstance(event, (ServiceUnreachable, TokenAwaited)) for event in events)


class Strict(Accounts):
    """It gives ten tokens in ten minutes for one refresh token, whoever asks, and then denies."""

    def __init__(self) -> None:
        super().__init__(3)
        self.denied = 0

    def grant_code(self) -> None:
        """A token comes with the refresh token."""
        self.granted_at.append(now())

    async def send(self, request: HttpRequest) -> Reply:
        if sum(at > now() - TOKENS_WINDOW_S for at in self.granted_at) >= TOKENS_MAX:
            self.denied += 1
            return HttpReply(400, b'{"error":"Access Denied","status":"failure"}', {}, 0.0)
        return await super().send(request)


def night(folder: Path, events: list[Event], *, patience_s: float, counted: bool = True) -> Strict:
    """A grant code, and then twelve commands one after another, ten seconds each."""
    accounts = Strict()

    async def commands() -> None:
        shared = SharedGrants(folder, warn=no_warning, clock=lambda: WALL + now())
        accounts.grant_code()
        if counted:
            shared.add()
        shared.close()
        for _ in range(12):
            await tokens_of(accounts, folder, events, patience_s).current()
            await asyncio.sleep(10.0)

    virtual_time.run(commands)
    return accounts


def test_a_night_of_twelve_commands_after_a_grant_code_is_never_denied_a_token(tmp_path: Path) -> None:
    events: list[Event] = []
    accounts = night(tmp_path, events, patience_s=HOUR)
    assert accounts.denied == 0
    assert len(accounts.granted_at) == 13
    assert accounts.most_in_ten_minutes() <= TOKENS_MAX
    waited = [event for event in events if isinstance(event, TokenAwaited)]
    assert waited
    for event in waited:
        assert event.goes_on_in_s is not None
        assert 0 < event.goes_on_in_s < TOKENS_WINDOW_S
        assert "10 access tokens in 10 minutes, and this machine has taken them" in event.reason
    assert not any(isinstance(event, ServiceUnreachable) for event in events)


def test_a_token_that_others_took_is_denied_and_told_as_the_limit_that_it_is(tmp_path: Path) -> None:
    events: list[Event] = []
    accounts = night(tmp_path, events, patience_s=HOUR, counted=False)
    assert 0 < accounts.denied < 30
    assert len(accounts.granted_at) == 13
    assert not any(isinstance(event, ServiceUnreachable) for event in events)


def test_the_command_after_the_tenth_token_says_when_to_come_back_if_its_patience_is_short(
    tmp_path: Path,
) -> None:
    with pytest.raises(NotNowError, match="gives no access token") as raised:
        night(tmp_path, [], patience_s=300.0)
    assert "this machine has taken them; there is one again in 9 m" in raised.value.why
    assert "Nothing is lost. Run the same command again at " in raised.value.hint
    assert "--patience 9min" in raised.value.hint
