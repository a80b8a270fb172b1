"""Asks the CRM what it holds: whose records are claimed, and whether records in doubt are there.

By id, and by key where an id alone does not decide. What the answers mean is decided in `reconcile`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeVar

import msgspec

from loader.delivery.admission import admitted
from loader.delivery.backoff import delay_s
from loader.delivery.keys import KeyReader, fold
from loader.delivery.policy import Claim
from loader.delivery.reconcile import Evidence, Sought, decide, seek
from loader.outcomes import Outcome, Settlement
from loader.records import Attempt
from loader.throttle.gate import Gate, Place
from loader.wire.answers import Unreadable
from loader.wire.codes import ForCall, facts
from loader.wire.limits import COQL_IN_VALUES_MAX, IDS_PER_GET_MAX
from loader.wire.messages import HttpReply, HttpRequest, NoReply, Reply
from loader.wire.pace import credits_remaining, retry_after_s
from loader.wire.replies import ExistingRecord, read_existing
from loader.wire.requests import find_by_values, get_by_ids

_Item = TypeVar("_Item")

TRIES_MAX = 20
"""Tries at one question while other calls pass; then the records that it is about are held."""
TIMES_AND_USER = ("Created_Time", "Created_By")

LinesWithIds = Callable[[Collection[str]], Awaitable[Mapping[str, Collection[int]]]]
"""Which lines of this load have one of these ids as their own: a search of the checkpoint log."""


class Asker(msgspec.Struct, frozen=True):
    """Who asks, and about what."""

    module: str
    key: str
    own_user_ids: frozenset[str]
    stamped: bool = False
    """The key is the load's own."""
    series: bool = False
    """A record of the module may recur, and then is several in the CRM."""


class Sender(msgspec.Struct, frozen=True):
    """How a question reaches the CRM: through the same gate as every call.

    `ready` waits until there is an access token, and returns at once where there is one.
    """

    ready: Callable[[], Awaitable[None]]
    send: Callable[[HttpRequest], Awaitable[Reply]]
    renew_token: Callable[[int], Awaitable[None]]
    gate: Gate


class CrmResolver:
    """Settles claims from what the CRM holds; reading is harmless, so it asks until it is answered."""

    def __init__(self, asker: Asker, sender: Sender, *, lines_with_ids: LinesWithIds) -> None:
        self._asker = asker
        self._sender = sender
        self._lines_with_ids = lines_with_ids
        self._reader = KeyReader(asker.key)
        self._fields = (asker.key, *TIMES_AND_USER)

    async def ask(self, claims: Sequence[Claim], *, doubt_since: float) -> Settlement:
        """The outcomes of those claims that the CRM's answer decides.

        Raises:
            GateClosedError, NotNowError: as the gate does.
        """
        by_id = await self._held_under_ids({one for claim in claims for one in claim.existing_ids})
        bare = [
            claim.record
            for claim in claims
            if not claim.existing_ids or claim.refusal.outcome is Outcome.REJECTED or self._asker.series
        ]
        by_key = await self._held_under_keys(bare)
        records = {claim.line: claim.record for claim in claims}
        evidence = await self._evidence(_both(by_id, by_key), records, doubt_since=doubt_since)
        return Settlement(others=decide(claims, evidence).outcomes)

    async def find(self, attempt: Attempt) -> Sought:
        """Which records of an attempt in doubt the CRM holds, by their keys.

        Raises:
            GateClosedError, NotNowError: as the gate does.
        """
        held = await self._held_under_keys(attempt.records)
        records = dict(zip(attempt.lines, attempt.records, strict=True))
        return seek(attempt.lines, await self._evidence(held, records, doubt_since=attempt.doubt_since))

    async def _evidence(self, held: _Held, records: Mapping[int, bytes], *, doubt_since: float) -> Evidence:
        return Evidence(
            existing=held.records,
            keys={line: self._reader.read(record) for line, record in records.items()},
            key_field=self._asker.key,
            own_user_ids=self._asker.own_user_ids,
            doubt_since=doubt_since,
            taken=await self._lines_with_ids({record.id for record in held.records}),
            complete=held.complete,
            unanswered=held.unanswered,
            stamped=self._asker.stamped,
            series=self._asker.series,
        )

    async def _held_under_ids(self, wanted: Collection[str]) -> _Held:
        ids = sorted(wanted)
        found: list[ExistingRecord] = []
        complete = True
        for some in batched(ids, IDS_PER_GET_MAX):
            answer = await self._answer(get_by_ids(self._asker.module, some, self._fields))
            if isinstance(answer, Unreadable):
                complete = False
            else:
                found += answer
        return _Held(found, complete)

    async def _held_under_keys(self, records: Sequence[bytes]) -> _Held:
        """A key that is not unique may be borne by more records than one answer holds: ask for fewer keys.

        So too where the CRM gives a record that bears none of them as we compare: it has its own ways with
        accents, zeros and hidden columns, and nobody knows then whether the key is absent.
        """
        values = [self._reader.value(record) for record in records]
        asked = list({fold(value): _asked(value) for value in values if fold(value)}.values())
        parts = batched(asked, COQL_IN_VALUES_MAX)
        found: list[ExistingRecord] = []
        unanswered: set[str] = set()
        while parts:
            some = parts.pop()
            answer = await self._answer(
                find_by_values(self._asker.module, self._asker.key, some, self._fields)
            )
            unclear = answer.too_many if isinstance(answer, Unreadable) else self._strange(answer, some)
            if unclear and len(some) > 1:
                parts += batched(some, -(-len(some) // 2))
            elif not isinstance(answer, Unreadable) and not unclear:
                found += answer
            else:
                unanswered.update(map(fold, some))
        return _Held(found, not unanswered, unanswered)

    def _strange(self, answer: Sequence[ExistingRecord], some: Sequence[str | float]) -> bool:
        keys = set(map(fold, some))
        return any(fold(record.values.get(self._asker.key)) not in keys for record in answer)

    async def _answer(self, question: HttpRequest) -> Sequence[ExistingRecord] | Unreadable:
        """Unreadable: the API will not tell."""
        tries = 0
        while True:
            async with admitted(self._sender.gate, self._sender.ready) as place:
                reply = await self._sender.send(question)
                answer = _report(place, reply, self._fields)
                if (remaining := credits_remaining(reply)) is not None:
                    place.credits_left(remaining)
            if not isinstance(answer, Unreadable) or answer.too_many:
                return answer
            tries += 1
            if _refused_for_good(reply, answer) or tries >= TRIES_MAX:
                return answer
            if isinstance(reply, HttpReply) and reply.status == 401:
                await self._sender.renew_token(reply.token_number)
            await self._sender.gate.rest(delay_s(tries, jitter=0.5))


class _Held(msgspec.Struct, frozen=True):
    """What the CRM says that it holds."""

    records: Sequence[ExistingRecord]
    complete: bool
    unanswered: Collection[str] = ()
    """Keys of which it says nothing, or not all."""


def _both(one: _Held, other: _Held) -> _Held:
    # By id first: the record that the API itself named is the likelier one.
    records = {record.id: record for record in (*one.records, *other.records)}
    return _Held(
        list(records.values()),
        one.complete and other.complete,
        {*one.unanswered, *other.unanswered},
    )


def _asked(value: object) -> str | float:
    """A key as a query has it: a number as a number, for a field of numbers is not compared with a text."""
    return value if isinstance(value, int | float) else str(value).strip()


def batched(items: Sequence[_Item], size: int) -> list[Sequence[_Item]]:
    """The items in runs of up to `size`."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def _report(place: Place, reply: Reply, fields: Sequence[str]) -> Sequence[ExistingRecord] | Unreadable:
    """The records of an answer; the gate is told how the call went."""
    if isinstance(reply, NoReply):
        place.failed(reply.detail)
        return Unreadable(reply.detail)
    if reply.status == 429:
        place.pushed_back(retry_after_s(reply))
        return Unreadable("HTTP 429")
    answer = read_existing(reply, fields)
    if not isinstance(answer, Unreadable) or answer.too_many:
        place.passed()
        return answer
    place.failed(answer.reason)
    return answer


def _refused_for_good(reply: Reply, answer: Unreadable) -> bool:
    """Asking again would not help."""
    if isinstance(reply, NoReply) or reply.status in (408, 425, 429):
        return False
    return 400 <= reply.status < 500 and facts(answer.code).call is not ForCall.RENEW_TOKEN
