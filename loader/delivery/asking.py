"""Asks the CRM whose records are claimed: by id, and by key where an id alone does not decide."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

import msgspec

from loader.delivery.backoff import delay_s
from loader.delivery.keys import KeyReader, fold
from loader.delivery.policy import Claim
from loader.delivery.reconcile import Evidence, decide
from loader.outcomes import Outcome, Settlement
from loader.throttle.gate import Gate, Place
from loader.wire.codes import ForCall, facts
from loader.wire.limits import COQL_IN_VALUES_MAX, IDS_PER_GET_MAX
from loader.wire.messages import HttpReply, HttpRequest, NoReply, Reply
from loader.wire.replies import ExistingRecord, Unreadable, read_existing
from loader.wire.requests import find_by_values, get_by_ids

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


class Sender(msgspec.Struct, frozen=True):
    """How a question reaches the CRM: through the same gate as every call."""

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
        answers = [await self._answer(question) for question in self._questions(claims)]
        existing = [record for answer in answers if answer is not None for record in answer]
        keys = {claim.line: self._reader.read(claim.record) for claim in claims}
        evidence = Evidence(
            existing=existing,
            keys=keys,
            key_field=self._asker.key,
            own_user_ids=self._asker.own_user_ids,
            doubt_since=doubt_since,
            taken=await self._lines_with_ids({record.id for record in existing}),
            complete=None not in answers,
        )
        return Settlement(others=decide(claims, evidence).outcomes)

    def _questions(self, claims: Sequence[Claim]) -> list[HttpRequest]:
        """For the records under the claimed ids; and under the keys where an id alone does not decide."""
        fields = self._fields
        ids = sorted({identifier for claim in claims for identifier in claim.existing_ids})
        bare = [
            self._reader.value(claim.record)
            for claim in claims
            if not claim.existing_ids or claim.refusal.outcome is Outcome.REJECTED
        ]
        values = {fold(value): str(value).strip() for value in bare if fold(value)}
        questions = [
            get_by_ids(self._asker.module, ids[start : start + IDS_PER_GET_MAX], fields)
            for start in range(0, len(ids), IDS_PER_GET_MAX)
        ]
        asked = list(values.values())
        questions += [
            find_by_values(
                self._asker.module, self._asker.key, asked[start : start + COQL_IN_VALUES_MAX], fields
            )
            for start in range(0, len(asked), COQL_IN_VALUES_MAX)
        ]
        return questions

    async def _answer(self, question: HttpRequest) -> Sequence[ExistingRecord] | None:
        """None: the API will not tell."""
        tries = 0
        while True:
            async with self._sender.gate.admit() as place:
                reply = await self._sender.send(question)
                answer = _report(place, reply, self._fields)
            if not isinstance(answer, Unreadable):
                return answer
            tries += 1
            if _refused_for_good(reply, answer) or tries >= TRIES_MAX:
                return None
            if isinstance(reply, HttpReply) and reply.status == 401:
                await self._sender.renew_token(reply.token_number)
            await self._sender.gate.rest(delay_s(tries, jitter=0.5))


def _report(place: Place, reply: Reply, fields: Sequence[str]) -> Sequence[ExistingRecord] | Unreadable:
    """The records of an answer; the gate is told how the call went."""
    if isinstance(reply, NoReply):
        place.failed(reply.detail)
        return Unreadable(reply.detail)
    if reply.status == 429:
        place.pushed_back()
        return Unreadable("HTTP 429")
    answer = read_existing(reply, fields)
    if not isinstance(answer, Unreadable):
        place.passed()
        return answer
    place.failed(answer.reason)
    return answer


def _refused_for_good(reply: Reply, answer: Unreadable) -> bool:
    """Asking again would not help."""
    if isinstance(reply, NoReply) or reply.status in (408, 425, 429):
        return False
    return 400 <= reply.status < 500 and facts(answer.code).call is not ForCall.RENEW_TOKEN
