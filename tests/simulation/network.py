"""The network between the loader and the CRM, which loses, delays and mangles what passes.

It plays the transport: a call in, a reply or a fault out. A call that was handed over lives on at the server
when the loader has given it up or is dead. The network also keeps watch: each insert is held against what the
checkpoint log durably says at that instant, and against everything that was sent before.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import anyio

from loader.client.tokens import Tokens
from loader.errors import LoaderError
from loader.wire.messages import Fault, HttpReply, HttpRequest, NoReply, Reply
from tests.simulation.crm import Answer, Crm, refusal
from tests.simulation.plan import Deed, Mode, Plan, Storm

_DOUBTFUL: Final = {
    Deed.LOST_BEFORE, Deed.LOST_AFTER, Deed.LATE, Deed.CUT, Deed.ERROR_BEFORE, Deed.ERROR_AFTER, Deed.HTML,
    Deed.EMPTY, Deed.UNKNOWN_FAULT, Deed.PARTIAL, Deed.SHORT, Deed.REPEATED, Deed.NUMBER_IDS, Deed.REDIRECT,
}  # fmt: skip
"""Deeds whose calls leave all their records in doubt. REORDERED and INTERNAL decide when they are done."""
_NEVER_APPLIED: Final = {Deed.LOST_BEFORE, Deed.ERROR_BEFORE}
_MAY_BE_LATE: Final = {Deed.LOST_AFTER, Deed.ERROR_AFTER, Deed.UNKNOWN_FAULT, Deed.EMPTY}
_BEFORE_THE_BODY: Final = {
    Deed.UNREACHABLE: Fault.UNREACHABLE,
    Deed.CONNECT_TIMEOUT: Fault.CONNECT_TIMEOUT,
    Deed.NOT_HANDED_OVER: Fault.NOT_HANDED_OVER,
}
_REFUSALS: Final = {
    Deed.PUSH_BACK: refusal(429, "TOO_MANY_REQUESTS"),
    Deed.TIMEOUT_408: Answer(408, ""),
    Deed.TOO_LARGE: Answer(413, "<html>too large</html>"),
    Deed.REVOKED: refusal(401, "INVALID_TOKEN"),
}
_FOR_READS: Final = {
    Deed.ANSWER, Deed.SLOW, Deed.UNREACHABLE, Deed.LOST_AFTER, Deed.CUT, Deed.ERROR_AFTER, Deed.HTML,
    Deed.PUSH_BACK, Deed.REVOKED, Deed.TIMEOUT_408,
}  # fmt: skip
_STORMS: Final = {
    Storm.PUSH_BACK: Deed.PUSH_BACK, Storm.UNREACHABLE: Deed.UNREACHABLE, Storm.ERROR: Deed.ERROR_BEFORE
}  # fmt: skip
_SERVER_S = (0.02, 1.5)


@dataclass(eq=False)
class Call:
    """One insert."""

    records: Sequence[tuple[int, bytes]]
    deed: Deed
    answer: Answer | None = None
    """What the server said, once it has said it."""
    handle: asyncio.TimerHandle | None = None
    doubtful: set[int] = field(default_factory=set)
    """Lines of which the reply leaves open whether they were applied."""
    failing: dict[int, bool] = field(default_factory=dict)
    patience_s: float = 0.0
    """How long the server goes on with it once the caller is gone. Drawn beforehand: the callers that a crash
    takes leave in no certain order."""

    @property
    def lines(self) -> list[int]:
        return [line for line, _ in self.records]


class Network:
    """One seed's network; `durable_lines` are the lines that a durable window allows at this instant."""

    def __init__(self, plan: Plan, crm: Crm, *, durable_lines: Callable[[set[int]], set[int]]) -> None:
        self.crm = crm
        self.seen: Counter[str] = Counter()
        """What happened how often."""
        self.trace: list[tuple[object, ...]] = []
        self.breaches: list[str] = []
        self.calm = False
        """The faults are over."""
        self.in_doubt_since: dict[int, float] = {}
        """Line -> when its last attempt that may have been applied came to its end."""
        self.final: set[int] = set()
        """Lines that had their outcome when the present process began."""
        self.redirected = False
        self._plan = plan
        self._rng = random.Random(f"network {plan.seed}")
        self._durable_lines = durable_lines
        self._calls: set[Call] = set()
        self._numbers = {raw.rstrip(b"\r\n"): number for number, raw in enumerate(plan.lines, 1)}
        self._storm: Deed | None = None
        self._storm_until = 0.0
        self._revoked = 0
        self._granted = 0

    # --- the transport ---

    async def grant(self, request: HttpRequest) -> Reply:
        """The token service."""
        await anyio.sleep(self._rng.uniform(0.1, 0.5))
        self._granted += 1
        token = {"access_token": f"{self._granted}", "expires_in": 3600, "api_domain": "https://crm.example"}
        return HttpReply(200, json.dumps(token).encode(), {}, 0.3)

    async def insert(self, request: HttpRequest, tokens: Tokens) -> Reply:
        """A call that carries records."""
        records = self._records_of(request.body or b"")
        call = Call(records, self._deed([line for line, _ in records]))
        call.patience_s = self._rng.uniform(0.0, 0.9) * self._plan.quiet_s
        self._watch(call)
        self._calls.add(call)
        self.seen[f"insert {call.deed.name}"] += 1
        try:
            token = await tokens.current()
            reply = await self._carry(call, int(token.value))
            self._note("answered", call.deed.name, tuple(call.lines), tuple(sorted(call.doubtful)))
        except LoaderError:
            raise  # no token: nothing has left
        except BaseException:
            # Given up: nothing has come back, whatever the server makes of it.
            call.doubtful.update(call.lines)
            self._hurry(call)
            raise
        finally:
            self._calls.discard(call)
            for line in call.doubtful:
                self.in_doubt_since[line] = anyio.current_time()
        return _with_token(reply, token.number)

    async def ask(self, request: HttpRequest, tokens: Tokens) -> Reply:
        """A read."""
        deed = self._chosen()
        deed = deed if deed in _FOR_READS else Deed.ANSWER
        self.seen["question"] += 1
        token = await tokens.current()
        await anyio.sleep(self._rng.uniform(*_SERVER_S) + (20.0 if deed is Deed.SLOW else 0.0))
        if deed in (Deed.UNREACHABLE, Deed.LOST_AFTER, Deed.CUT):
            return NoReply(Fault.DISCONNECTED, "reset by peer", 1.0)
        if int(token.value) <= self._revoked:
            return _with_token(_told(refusal(401, "INVALID_TOKEN")), token.number)
        answer = _REFUSALS.get(deed) or self.crm.question(request.path, request.body)
        if deed is Deed.ERROR_AFTER:
            answer = Answer(500, "")
        elif deed is Deed.HTML:
            answer = Answer(200, "<html>welcome</html>")
        self._note("asked", deed.name, answer.status)
        return _with_token(_told(answer), token.number)

    # --- what a life leaves behind ---

    def end_life(self) -> int:
        """How many calls no longer have anybody who waits for them; there should be none."""
        left = len(self._calls)
        self._calls.clear()
        return left

    # --- one call ---

    async def _carry(self, call: Call, token: int) -> Reply:
        deed = call.deed
        if fault := _BEFORE_THE_BODY.get(deed):
            await anyio.sleep(self._rng.uniform(0.0, 1.0))
            return NoReply(fault, fault.value, 1.0)
        await anyio.sleep(self._rng.uniform(0.001, 0.1))
        if deed is Deed.REVOKED:
            self._revoked = max(self._revoked, token)
        if token <= self._revoked:
            return await self._refused(call, refusal(401, "INVALID_TOKEN"))
        if deed in _REFUSALS:
            return await self._refused(call, _REFUSALS[deed])
        server_s = self._rng.uniform(*_SERVER_S)
        if deed is Deed.SLOW:
            server_s = self._rng.uniform(1.0, 0.9 * min(self._plan.timeout_s, self._plan.quiet_s))
        if deed is Deed.INTERNAL:
            some = self._rng.sample(call.lines, self._rng.randint(1, len(call.records)))
            call.failing = {line: self._rng.random() < 0.5 for line in some}
        timeout_s = self._plan.timeout_s
        if deed is Deed.LATE:
            self._at_server(call, timeout_s + self._lateness_s())
            await anyio.sleep(timeout_s)
        else:
            late = deed in _MAY_BE_LATE and self._rng.random() < 0.3
            self._at_server(call, server_s + (self._lateness_s() if late else 0.0))
            await anyio.sleep(server_s + self._rng.uniform(0.001, 0.1))
        return self._reply(call)

    async def _refused(self, call: Call, answer: Answer) -> Reply:
        await anyio.sleep(self._rng.uniform(0.01, 0.5))
        # A refusal says so itself: nothing of the call is applied.
        call.doubtful.clear()
        return _told(answer)

    def _lateness_s(self) -> float:
        return self._rng.uniform(0.0, 3.0 if self._plan.very_late else 0.9) * self._plan.quiet_s

    def _at_server(self, call: Call, after_s: float) -> None:
        if call.deed not in _NEVER_APPLIED:
            call.handle = asyncio.get_running_loop().call_later(after_s, self._apply, call)

    def _hurry(self, call: Call) -> None:
        """A server does not go on for longer than a quiet period when its caller is gone."""
        handle = call.handle
        if handle is None or handle.when() < anyio.current_time() or self._plan.very_late:
            return
        handle.cancel()
        left_s = handle.when() - anyio.current_time()
        self._at_server(call, min(left_s, call.patience_s))

    def _apply(self, call: Call) -> None:
        first = len(call.records) // 2 if call.deed is Deed.PARTIAL else None
        call.answer = self.crm.insert(call.records, failing=call.failing, first=first)
        self.seen["late apply"] += call not in self._calls
        self._note("applied", call.deed.name, call.answer.status, tuple(call.lines))

    def _reply(self, call: Call) -> Reply:
        """What the caller learns of it."""
        deed, answer = call.deed, call.answer
        if deed in _DOUBTFUL:
            call.doubtful.update(call.lines)
        match deed:
            case Deed.LOST_BEFORE | Deed.LOST_AFTER | Deed.PARTIAL:
                return NoReply(Fault.DISCONNECTED, "reset by peer", 1.0)
            case Deed.LATE:
                return NoReply(Fault.NO_ANSWER_IN_TIME, "no answer in time", self._plan.timeout_s)
            case Deed.CUT:
                return NoReply(Fault.BROKEN_ANSWER, "the answer was cut", 1.0)
            case Deed.UNKNOWN_FAULT:
                return NoReply(Fault.UNKNOWN, "nobody knows", 1.0)
            case Deed.ERROR_BEFORE | Deed.ERROR_AFTER:
                return _told(refusal(self._rng.choice((500, 502, 503, 504, 520)), "INTERNAL_ERROR"))
            case Deed.HTML:
                return _told(Answer(self._rng.choice((200, 400, 502)), "<html>welcome</html>"))
            case Deed.EMPTY:
                return _told(Answer(200, ""))
            case Deed.REDIRECT:
                self.redirected = True
                return _told(Answer(302, ""))
        assert answer is not None, f"the server has not answered a call that met {deed}"
        call.doubtful.update(call.failing)
        return _told(self._mangled(call, answer))

    def _mangled(self, call: Call, answer: Answer) -> Answer:
        items = list(answer.items)
        if not items:
            # The whole call was refused: that is one sentence, and not to be misread.
            call.doubtful.clear()
            return answer
        match call.deed:
            case Deed.SHORT:
                items = items[:-1]
            case Deed.REPEATED:
                items = (
                    [*items, items[-1]] if self._rng.random() < 0.5 or len(items) < 2 else _twice(items, call)
                )
            case Deed.NUMBER_IDS:
                items = _numbered(items, call)
            case Deed.REORDERED if len(items) > 1 and any("json_path" in one["details"] for one in items):
                # Only an error that names its place lets anybody notice.
                items = items[1:] + items[:1]
                call.doubtful.update(call.lines)
        return Answer(answer.status, {"data": items})

    # --- choices ---

    def _deed(self, lines: list[int]) -> Deed:
        if not self.calm and self._plan.size_max is not None and len(lines) > self._plan.size_max:
            return Deed.TOO_LARGE
        deed = self._chosen()
        if deed is Deed.TOO_LARGE and len(lines) == 1:
            return Deed.ANSWER  # a single record that is too large is refused for good
        return deed

    def _chosen(self) -> Deed:
        plan, now = self._plan, anyio.current_time()
        if self.calm:
            return Deed.ANSWER
        if self._storm is not None and now < self._storm_until:
            return self._storm
        if plan.storms and self._rng.random() < 0.02:
            storm = self._rng.choice(plan.storms)
            self.seen[f"storm {storm.name}"] += 1
            self._storm = _STORMS[storm]
            self._storm_until = now + self._rng.choice((5.0, 20.0, 60.0, 400.0))
            return self._storm
        if plan.deeds and self._rng.random() < plan.fault_share:
            return self._rng.choice(plan.deeds)
        return Deed.ANSWER

    def _note(self, *what: object) -> None:
        self.trace.append((round(anyio.current_time(), 6), *what))

    # --- keeping watch ---

    def _records_of(self, body: bytes) -> list[tuple[int, bytes]]:
        """The records of a call with the lines that they are; byte for byte, but for the stamp."""
        text = body.decode()
        assert text.startswith('{"data":[')
        decoder, at, found = json.JSONDecoder(), len('{"data":['), []
        while at < len(text) - len("]}"):
            _, stop = decoder.raw_decode(text, at)
            raw = text[at:stop].encode()
            found.append((self._line_of(raw), raw))
            at = stop + 1
        return found

    def _line_of(self, raw: bytes) -> int:
        line = self._numbers.get(raw)
        if line is None and self._plan.mode is Mode.STAMP:
            before, _, stamp = raw.rpartition(b',"Stamp":"')
            line = self._numbers.get(before + b"}")
            told = stamp.removesuffix(b'"}').rpartition(b":")[2]
            if told != str(line).encode():
                self.breaches.append(f"line {line} left with the stamp {stamp!r}")
        if line is None:
            self.breaches.append(f"I2: bytes left that are no line of the input: {raw!r}")
        return line or 0

    def _watch(self, call: Call) -> None:
        """What has to be true before a call leaves."""
        lines = set(call.lines)
        self._note("left", tuple(call.lines), call.deed.name)
        if len(lines) != len(call.records) or not lines:
            self._breach("I3: a call carries a record twice, or none", call.lines)
        if strange := lines - self._durable_lines(lines):
            self._breach("left before their window was durable", strange)
        if again := lines & self.final:
            self._breach("I6: left although they have their outcome", again)
        flying = {line for one in self._calls for line in one.lines}
        if both := lines & flying:
            self._breach("I3: are under way twice", both)
        if len(self._calls) >= self._plan.concurrency:
            self._breach(f"more than {self._plan.concurrency} calls at once", lines)
        self._watch_doubts(lines)

    def _watch_doubts(self, lines: set[int]) -> None:
        """A record in doubt is sent again by the rules of its rung, or never."""
        for line in lines & self.in_doubt_since.keys():
            waited_s = anyio.current_time() - self.in_doubt_since[line]
            periods = {Mode.OTHER_KEY: 2, Mode.UNIQUE_KEY: 1, Mode.STAMP: 1}.get(self._plan.mode)
            if periods is None:
                self._breach("I3: may have been applied, have no key, and were sent again", {line})
            elif waited_s < periods * self._plan.quiet_s * 0.999:
                self._breach(f"were sent again {waited_s:.1f} s after the doubt arose", {line})
            elif self._plan.mode is not Mode.STAMP and not self._plan.key(line):
                self._breach("I3: have no key value, may have been applied, and were sent again", {line})

    def _breach(self, what: str, lines: object) -> None:
        self.breaches.append(f"t={anyio.current_time():.3f} lines {lines} {what}")


class Wire:
    """The transport of one process: the network, and the process's own access tokens."""

    def __init__(self, network: Network, tokens: Tokens) -> None:
        self._network = network
        self._tokens = tokens

    async def send(self, request: HttpRequest) -> Reply:
        inserts = request.method == "POST" and not request.path.endswith("/coql")
        carry: Callable[[HttpRequest, Tokens], Awaitable[Reply]]
        carry = self._network.insert if inserts else self._network.ask
        return await carry(request, self._tokens)

    async def ready(self) -> None:
        await self._tokens.current()

    async def renew_token(self, number: int) -> None:
        await self._tokens.renew(number)


def _told(answer: Answer) -> HttpReply:
    body = answer.body.encode() if isinstance(answer.body, str) else json.dumps(answer.body).encode()
    return HttpReply(answer.status, body, {}, 1.0)


def _with_token(reply: Reply, number: int) -> Reply:
    if isinstance(reply, HttpReply):
        return HttpReply(reply.status, reply.body, reply.headers, reply.latency_s, number)
    return reply


def _twice(items: list[Mapping[str, Any]], call: Call) -> list[Mapping[str, Any]]:
    """As many answers as records, but one of them twice; if none of those was a success, nobody can tell."""
    if any(one["status"] == "success" for one in items[:1]):
        return [*items[:-1], items[0]]
    return [*items, items[0]]


def _numbered(items: list[Mapping[str, Any]], call: Call) -> list[Mapping[str, Any]]:
    """Ids as numbers, which lose digits elsewhere; an answer without an id stays what it was."""
    if not any(one["status"] == "success" for one in items):
        call.doubtful.clear()
    return [
        {**one, "details": {"id": int(one["details"]["id"])}} if one["status"] == "success" else one
        for one in items
    ]
