"""A batch in, one outcome for each of its records out: the loop.

Each turn sends what is still open, has the reply judged, records what that settles, and goes on with what is
left. Doubt is a state like any other and takes the same turn. This file moves values; what a reply proves is
decided in `policy`, whose duplicate it is in `reconcile`, and how a doubt is settled in `doubts`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from loader.delivery.account import Account
from loader.delivery.admission import ready_still
from loader.delivery.backoff import delay_s
from loader.delivery.doubts import Doubts, Rest
from loader.delivery.keys import OpenKeys, at_lines, subset
from loader.delivery.policy import Claim, Remedy, Stop, Verdict, judge
from loader.delivery.refusals import RefusalWatch, stop_error
from loader.errors import LoaderError, NotNowError
from loader.outcomes import Cause
from loader.records import Attempt
from loader.throttle.gate import Gate, Place
from loader.wire.limits import credits_for
from loader.wire.messages import HttpReply, HttpRequest, Reply
from loader.wire.options import PLAIN, InsertOptions
from loader.wire.pace import credits_remaining, retry_after_s
from loader.wire.requests import insert

DOUBT_TRIES_MAX = 30
"""Re-sends of a record in doubt that end in doubt again, before a person is asked."""
LOCKED_TRIES_MAX = 5
"""Tries at a locked record before it counts as rejected."""
NOT_APPLIED_TRIES_MAX = 30
"""Tries at a batch that is refused again and again while other calls pass."""
RENEWALS_MAX = 10
"""Access tokens that are refused to one batch, while other calls pass."""

LEFT_IN_DOUBT = "it was not settled when the loader stopped"


class Transport(Protocol):
    """Carries a request; says what came of it as a value."""

    async def ready(self) -> None:
        """Until there is an access token for a call; where there is one, without a wait. Raises as `send`."""
        ...

    async def send(self, request: HttpRequest) -> Reply: ...

    async def renew_token(self, number: int) -> None: ...


class Delivery:
    """Delivers batches; one `deliver` a batch, many at once.

    `alone` tells the records of which the API makes several: each is a call of its own, or nothing would say
    whose answers are whose. None: the module has no such records.
    """

    def __init__(
        self,
        module: str,
        *,
        transport: Transport,
        account: Account,
        doubts: Doubts,
        gate: Gate,
        rest: Rest,
        server_time: Callable[[], float],
        open_keys: OpenKeys | None = None,
        options: InsertOptions = PLAIN,
        alone: Callable[[bytes], bool] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._module = module
        self._transport = transport
        self._account = account
        self._doubts = doubts
        self._gate = gate
        self._rest = rest
        self._server_time = server_time
        self._open_keys = open_keys
        self._options = options
        self._alone = alone
        self._jitter = jitter
        self._refusals = RefusalWatch()

    async def deliver(self, attempt: Attempt) -> None:
        """Until each record of the attempt has its outcome or is held.

        Raises:
            GateClosedError: the load is stopping; what was not sent stays pending.
            LoaderError: the load cannot go on.
        """
        if self._open_keys is None:
            return await self._carry(attempt)
        while attempt.lines:
            now, attempt = self._open_keys.claim(attempt)
            if not now.lines:
                await self._rest_until_released()
                continue
            try:
                await self._carry(now)
            finally:
                self._open_keys.release(now)
        return None

    async def _rest_until_released(self) -> None:
        assert self._open_keys is not None
        async with self._rest:
            await self._open_keys.wait_for_release()

    async def _carry(self, first: Attempt) -> None:
        """Turn by turn, until nothing of the attempt is left."""
        if first.in_doubt:
            self._account.found_in_doubt(first, LEFT_IN_DOUBT)
            first = await self._doubts.settle(first, LEFT_IN_DOUBT)
        left = [_Turn(part) for part in self._parts(first)]
        while left:
            turn = left.pop()
            for one in await self._take(turn):
                left.insert(0 if one.suspect else len(left), one)

    def _parts(self, attempt: Attempt) -> list[Attempt]:
        """Calls of one attempt. A batch that an older version cut may hold records that have to go alone."""
        if len(attempt.lines) < 2 or self._alone is None:
            return [attempt] if attempt.lines else []
        single = [place for place, record in enumerate(attempt.records) if self._alone(record)]
        rest = subset(attempt, [place for place in range(len(attempt.lines)) if place not in set(single)])
        return [part for part in (*(subset(attempt, [place]) for place in single), rest) if part.lines]

    def _recurs(self, attempt: Attempt) -> bool:
        return self._alone is not None and len(attempt.records) == 1 and self._alone(attempt.records[0])

    async def _take(self, turn: _Turn) -> list[_Turn]:
        """One turn of the loop: send, judge, record; gives the turns that are left."""
        attempt = turn.attempt
        if attempt.resolved:
            await self._account.intend_again(attempt)
            attempt = msgspec.structs.replace(attempt, resolved=False)
        outgoing = self._doubts.outgoing(attempt)
        # A token may be long in coming: nobody waits for it in a place, and nothing counts as sent meanwhile.
        await self._transport.ready()
        async with self._gate.admit(credits_for(len(outgoing.records))) as place:
            await ready_still(place, self._transport.ready)
            at = self._server_time()
            self._write_down(attempt, at, place)
            reply = await self._send(outgoing, place)
            verdict = judge(outgoing, reply, series=self._recurs(attempt))
            _report(place, verdict, reply)
        self._record(attempt, verdict, reply)
        if verdict.stop is not None:
            raise stop_error(verdict.stop, verdict.reason, verdict.code)
        turns: list[_Turn] = []
        if verdict.claims:
            await self._doubts.settle_claims(attempt, verdict.claims)
        if verdict.doubtful:
            since = attempt.doubt_since if attempt.in_doubt else at
            turns += await self._after_doubt(turn, verdict, since)
        if verdict.again:
            turns += await self._again(turn, verdict, reply)
        return turns

    def _write_down(self, attempt: Attempt, at: float, place: Place) -> None:
        try:
            self._account.sent(attempt, at)
        except LoaderError:
            place.failed("the checkpoint log takes no attempt", reached=False)
            raise

    async def _send(self, outgoing: Attempt, place: Place) -> Reply:
        try:
            return await self._transport.send(insert(self._module, outgoing.records, self._options))
        except LoaderError:
            # There is no access token: nothing has left.
            place.failed("no access token", reached=False)
            self._account.not_sent(outgoing, "no access token")
            raise

    def _record(self, attempt: Attempt, verdict: Verdict, reply: Reply) -> None:
        if verdict.passed:
            self._refusals.passed()
        self._account.settled(attempt, verdict.settlement, latency_s=reply.latency_s)
        if verdict.again:
            self._account.not_applied(at_lines(attempt, verdict.again), verdict.reason, verdict.cause)
        if verdict.doubtful:
            self._account.in_doubt(attempt, verdict.doubtful, verdict.reason)

    async def _after_doubt(self, turn: _Turn, verdict: Verdict, since: float) -> list[_Turn]:
        attempt = _next(turn.attempt, verdict.doubtful, in_doubt=True, doubt_since=since)
        if turn.doubts + 1 >= DOUBT_TRIES_MAX:
            self._doubts.hold(attempt, attempt.lines, f"{turn.doubts + 1} tries ended in doubt")
            return []
        attempt = await self._doubts.settle(attempt, verdict.reason)
        return [_Turn(attempt, doubts=turn.doubts + 1)] if attempt.lines else []

    async def _again(self, turn: _Turn, verdict: Verdict, reply: Reply) -> list[_Turn]:
        """The turns for records that are proved not applied."""
        attempt = _next(turn.attempt, verdict.again)
        if verdict.passed:
            return await self._after_lock(turn, attempt, verdict)
        tries = turn.refusals + 1
        if verdict.remedy is Remedy.WAIT and tries >= NOT_APPLIED_TRIES_MAX:
            raise NotNowError(
                f"batch {attempt.batch} was refused {tries} times while other calls passed",
                why=verdict.reason,
                hint="Nothing is lost. Run the same command again later.",
            )
        match verdict.remedy:
            case Remedy.RENEW_TOKEN:
                number = reply.token_number if isinstance(reply, HttpReply) else 0
                if self._refusals.token_refused(number) or turn.renewals >= RENEWALS_MAX:
                    raise stop_error(Stop.CREDENTIALS, verdict.reason, verdict.code)
                await self._transport.renew_token(number)
                return [msgspec.structs.replace(turn, attempt=attempt, renewals=turn.renewals + 1)]
            case Remedy.PAUSE_ALL:
                return [msgspec.structs.replace(turn, attempt=attempt)]
            case Remedy.HALVE:
                # Without a code (413) it is about this body's size, not about the load.
                unsure = bool(verdict.code) and self._refusals.refused(attempt, verdict)
                return await self._halve(turn, attempt, verdict, unsure=unsure)
            case _:
                await self._gate.rest(delay_s(tries, jitter=self._jitter()))
                return [msgspec.structs.replace(turn, attempt=attempt, refusals=tries)]

    async def _after_lock(self, turn: _Turn, attempt: Attempt, verdict: Verdict) -> list[_Turn]:
        locks = turn.locks + 1
        if locks >= LOCKED_TRIES_MAX:
            await self._reject(attempt, verdict)
            return []
        await self._gate.rest(delay_s(locks, jitter=self._jitter()))
        return [msgspec.structs.replace(turn, attempt=attempt, locks=locks)]

    async def _halve(self, turn: _Turn, attempt: Attempt, verdict: Verdict, *, unsure: bool) -> list[_Turn]:
        """`unsure`: nothing has passed yet that would show that it is the record's own doing."""
        if len(attempt.lines) == 1:
            if unsure and not turn.suspect:
                return [msgspec.structs.replace(turn, attempt=attempt, suspect=True)]
            await self._reject(attempt, verdict)
            return []
        middle = (len(attempt.lines) + 1) // 2
        halves = (range(middle, len(attempt.lines)), range(middle))
        return [msgspec.structs.replace(turn, attempt=subset(attempt, half)) for half in halves]

    async def _reject(self, attempt: Attempt, verdict: Verdict) -> None:
        """Refused for good; but those in doubt may be there already, so the CRM is asked first."""
        rejection = self._refusals.rejection(attempt, verdict)
        if not attempt.in_doubt:
            self._account.settled(attempt, rejection)
            return
        records = self._doubts.outgoing(attempt).records
        refused = zip(attempt.lines, records, rejection.others, strict=True)
        claims = [Claim(line, record, (), one) for line, record, one in refused]
        await self._doubts.settle_claims(attempt, claims)


class _Turn(msgspec.Struct, frozen=True):
    """An attempt and how often its records have met which end."""

    attempt: Attempt
    doubts: int = 0
    refusals: int = 0
    renewals: int = 0
    locks: int = 0
    suspect: bool = False
    """One record, refused alone before any other of the load passed: its neighbours go first."""


def _next(
    attempt: Attempt, lines: Sequence[int], *, in_doubt: bool | None = None, doubt_since: float | None = None
) -> Attempt:
    """The following attempt, at these lines."""
    return msgspec.structs.replace(
        at_lines(attempt, lines),
        number=attempt.number + 1,
        in_doubt=attempt.in_doubt if in_doubt is None else in_doubt,
        resolved=False,
        doubt_since=attempt.doubt_since if doubt_since is None else doubt_since,
    )


def _report(place: Place, verdict: Verdict, reply: Reply) -> None:
    """Tell the gate how the call went: it alone knows when to pause."""
    if verdict.remedy is Remedy.PAUSE_ALL:
        place.pushed_back(retry_after_s(reply))
    elif verdict.remedy is Remedy.RENEW_TOKEN:
        # A token that is not valid names no organisation whose credits the call could cost.
        place.passed(charged=False)
    elif verdict.passed or verdict.remedy is Remedy.HALVE or _refused_in_words(verdict):
        place.passed()
    else:
        place.failed(verdict.reason, reached=verdict.cause is not Cause.UNREACHED)
    if (remaining := credits_remaining(reply)) is not None:
        place.credits_left(remaining)


def _refused_in_words(verdict: Verdict) -> bool:
    """The API itself says why it wants none of this load: it is not out of reach."""
    return verdict.stop is not None and bool(verdict.code)
