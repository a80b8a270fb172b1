"""Access tokens that loads of one process share: one after another, side by side, in several threads."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from loader.client.token_memory import HeldToken, TokenMemory
from loader.client.tokens import Tokens
from loader.errors import CredentialsError, NotNowError
from loader.settings import Credentials
from loader.wire.limits import TOKENS_MAX
from loader.wire.messages import HttpReply, HttpRequest, Reply

ACCOUNTS = "https://accounts.zoho.eu"
OURS = Credentials("client", "canary-secret", "canary-refresh")
ELSE = Credentials("client", "canary-secret", "canary-other")


class Accounts:
    """A token service that counts, in whatever thread it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.in_flight = self.in_flight_max = 0
        self.now = 1000.0
        self._lock = threading.Lock()
        self.refuses = False

    async def send(self, request: HttpRequest) -> Reply:
        with self._lock:
            self.asked += 1
            number = self.asked
            self.in_flight += 1
            self.in_flight_max = max(self.in_flight_max, self.in_flight)
        for _ in range(20):
            await asyncio.sleep(0)
        with self._lock:
            self.in_flight -= 1
        body = {"access_token": f"canary-token-{number}", "expires_in": 3600, "scope": "ZohoCRM.modules.ALL"}
        return HttpReply(200, json.dumps({"error": "invalid_code"} if self.refuses else body).encode(), {}, 0)

    def load(self, held: HeldToken | None, credentials: Credentials = OURS) -> Tokens:
        """The tokens of one load."""

        async def sleep(_: float) -> None:
            await asyncio.sleep(0)

        return Tokens(
            credentials,
            accounts_url=ACCOUNTS,
            send=self.send,
            patience_s=300,
            observe=lambda _event: None,
            held=held,
            clock=lambda: self.now,
            sleep=sleep,
        )


def test_loads_one_after_another_take_one_token_in_whatever_event_loop() -> None:
    accounts, memory = Accounts(), TokenMemory()
    loads = [accounts.load(memory.of(OURS, ACCOUNTS)) for _ in range(15)]
    tokens = [asyncio.run(load.current()) for load in loads]
    assert {(token.value, token.number) for token in tokens} == {("canary-token-1", 1)}
    assert [load.refreshes for load in loads] == [1] + [0] * 14
    assert loads[-1].scopes == ("ZohoCRM.modules.ALL",)


def test_without_a_memory_each_load_takes_its_own() -> None:
    accounts = Accounts()
    for _ in range(3):
        asyncio.run(accounts.load(None).current())
    assert accounts.asked == 3


async def test_loads_side_by_side_wait_for_one_refresh() -> None:
    accounts, memory = Accounts(), TokenMemory()
    loads = [accounts.load(memory.of(OURS, ACCOUNTS)) for _ in range(8)]
    first = await asyncio.gather(*(load.current() for load in loads))
    assert {token.number for token in first} == {1}
    renewed = await asyncio.gather(*(load.renew(1) for load in loads))
    assert {token.number for token in renewed} == {2}
    assert (accounts.asked, accounts.in_flight_max) == (2, 1)
    assert sum(load.refreshes for load in loads) == 2


def test_loads_in_threads_of_their_own_wait_for_one_refresh() -> None:
    accounts, memory = Accounts(), TokenMemory()
    together = threading.Barrier(6)

    def load(_: int) -> int:
        together.wait(30)
        return asyncio.run(accounts.load(memory.of(OURS, ACCOUNTS)).current()).number

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(load, range(6))) == [1] * 6
    assert accounts.asked == 1


async def test_a_token_that_ends_is_renewed_by_the_next_load() -> None:
    accounts, memory = Accounts(), TokenMemory()
    await accounts.load(memory.of(OURS, ACCOUNTS)).current()
    accounts.now += 3539
    assert (await accounts.load(memory.of(OURS, ACCOUNTS)).current()).number == 1
    accounts.now += 2
    assert (await accounts.load(memory.of(OURS, ACCOUNTS)).current()).number == 2


async def test_a_token_is_for_its_credentials_and_its_token_service() -> None:
    accounts, memory = Accounts(), TokenMemory()
    for credentials, url in ((OURS, ACCOUNTS), (ELSE, ACCOUNTS), (OURS, "https://accounts.zoho.in")):
        await accounts.load(memory.of(credentials, url), credentials).current()
    assert accounts.asked == 3


async def test_an_access_token_of_its_own_is_never_shared() -> None:
    accounts, memory = Accounts(), TokenMemory()
    fixed = [Credentials(access_token=f"canary-{number}") for number in range(2)]
    loads = [accounts.load(memory.of(each, ACCOUNTS), each) for each in fixed]
    assert [(await load.current()).value for load in loads] == ["canary-0", "canary-1"]
    assert accounts.asked == 0


async def test_what_is_asked_for_is_counted_for_all_who_share_it() -> None:
    accounts, memory = Accounts(), TokenMemory()
    for number in range(TOKENS_MAX):
        await accounts.load(memory.of(OURS, ACCOUNTS)).renew(number)
    with pytest.raises(NotNowError, match="gives no access token"):
        await accounts.load(memory.of(OURS, ACCOUNTS)).renew(TOKENS_MAX)
    assert accounts.asked == TOKENS_MAX


async def test_a_refusal_and_a_cancelled_refresh_leave_the_turn_to_others() -> None:
    accounts, memory = Accounts(), TokenMemory()
    accounts.refuses = True
    with pytest.raises(CredentialsError):
        await accounts.load(memory.of(OURS, ACCOUNTS)).current()
    accounts.refuses = False
    cancelled = asyncio.create_task(accounts.load(memory.of(OURS, ACCOUNTS)).current())
    while not accounts.in_flight:
        await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert (await accounts.load(memory.of(OURS, ACCOUNTS)).current()).number == 1


async def test_no_secret_is_in_what_is_printed_of_it() -> None:
    accounts, memory = Accounts(), TokenMemory()
    held = memory.of(OURS, ACCOUNTS)
    await accounts.load(held).current()
    assert "canary" not in f"{memory!r} {held!r} {held.latest!r}"
