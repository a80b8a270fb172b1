"""A small honest CRM in memory, and a load around it: the real loop, gate and pipeline in virtual time.

The CRM stores what it accepts and says so truthfully; what a call does to it and what of that the caller
learns are two things, and a `Deed` sets them apart. The recorder keeps a list and refuses what the checkpoint
log would refuse.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum, auto
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import msgspec

from loader.checkpoint.entries import NotApplied
from loader.delivery.account import Account
from loader.delivery.additions import Additions
from loader.delivery.asking import Asker, CrmResolver, Sender
from loader.delivery.deliver import Delivery
from loader.delivery.doubts import Doubts, DoubtSettings, Rung
from loader.delivery.keys import KeyReader, OpenKeys, fold
from loader.delivery.stamp import Stamp
from loader.events import Event
from loader.outcomes import Cause, Outcome, RecordOutcome, Settlement
from loader.pipeline import Pipeline
from loader.records import Attempt, Batch, Span, Window
from loader.throttle.gate import Gate, GateSettings
from loader.wire.limits import credits_for
from loader.wire.messages import Fault, HttpReply, HttpRequest, NoReply, Reply
from loader.wire.options import PLAIN, InsertOptions
from tests.throttle_fakes import FakeBudget

EPOCH_S = 1_767_225_600.0
"""The server's time when a test begins."""
US = "7000000000001"
THEM = "7000000000002"

Record = Mapping[str, Any]


class Deed(Enum):
    """What happens to a call."""

    ANSWER = auto()
    LOSE_BEFORE = auto()
    LOSE_AFTER = auto()
    """Applied; the connection breaks before the answer."""
    SILENCE_AND_LATE = auto()
    """No answer in time; applied 20 s after that."""
    HALF = auto()
    """The first half of the records is applied, then the connection breaks."""
    ERROR_BEFORE = auto()
    ERROR_AFTER = auto()
    """HTTP 500, although it was applied."""
    CUT_ANSWER = auto()
    HTML = auto()
    """Applied; a proxy answers 200 with a page of its own."""
    SHORT = auto()
    """Applied; the answer lacks its last item."""
    PUSH_BACK = auto()
    UNREACHABLE = auto()
    NOT_HANDED_OVER = auto()
    TIMEOUT_408 = auto()
    REDIRECT = auto()


APPLIES = {Deed.ANSWER, Deed.LOSE_AFTER, Deed.ERROR_AFTER, Deed.CUT_ANSWER, Deed.HTML, Deed.SHORT}


class Row(msgspec.Struct):
    """A stored record."""

    id: str
    values: Record
    created_at: float
    created_by: str


class FakeCrm:
    """Stores records; plays the transport. Calls meet the deeds of `plan` in turn, then plain answers."""

    def __init__(self, *, unique: str = "", latency_s: float = 1.0) -> None:
        self.unique = unique
        self.latency_s = latency_s
        self.rows: dict[str, Row] = {}
        self.plan: deque[Deed] = deque()
        self.deed_of: Callable[[Sequence[Record]], Deed | None] = lambda _records: None
        """Asked before the plan."""
        self.question_plan: deque[Deed] = deque()
        """The same for reads, as far as they can meet it."""
        self.rows_per_answer = 200
        """Of a read; what is beyond is `more_records`."""
        self.shown_otherwise: dict[str, Any] = {}
        """What a read gives in the place of what is stored."""
        self.locked: Counter[int] = Counter()
        """Line -> how often it still is RECORD_LOCKED."""
        self.refused: dict[int, str] = {}
        """Line -> the code of its own error."""
        self.poison: set[int] = set()
        """Lines that make the whole call fail with a bare 400."""
        self.refusal: tuple[int, str] | None = None
        """Status and code with which each insert is refused whole."""
        self.refused_option = ""
        """The key beside `data` that each insert is refused for."""
        self.refuse_questions: tuple[int, str] | None = None
        self.series_length = 3
        """Records that the CRM makes of one with a Recurring_Activity."""
        self.token = 1
        self.revoked: set[int] = set()
        self.unlucky: Counter[int] = Counter()
        """Line -> how often the access token of its call has just died."""
        self.credits_left: int | None = None
        """What each answer says of them."""
        self.inserts: list[list[int]] = []
        self.requests: list[HttpRequest] = []
        """The inserts as they came."""
        self.before_insert: Callable[[list[int]], None] = lambda _lines: None
        self.questions: list[str] = []
        self.renewed: list[int] = []
        self.sizes_refused_above: int | None = None
        self.in_flight: Counter[str] = Counter()
        self.keys_met_in_flight: set[str] = set()
        self.in_flight_most = 0
        self._calls_in_flight = 0
        self._next_id = 5_000_000_000_000

    def now(self) -> float:
        return EPOCH_S + anyio.current_time()

    def put(self, values: Record, *, by: str = THEM, age_s: float = 1000.0) -> str:
        """A record that was there before."""
        self._next_id += 1
        try:
            now = self.now()
        except anyio.NoEventLoopError:  # before the load begins
            now = EPOCH_S
        row = Row(str(self._next_id), values, now - age_s, by)
        self.rows[row.id] = row
        return row.id

    def rows_of(self, line: int) -> list[Row]:
        """What this load's line became."""
        return [row for row in self.rows.values() if row.values.get("Line") == line]

    # --- the transport ---

    async def ready(self) -> None:
        """There is always a token; whether it is accepted is another matter."""

    async def renew_token(self, number: int) -> None:
        self.renewed.append(number)
        await anyio.sleep(0.5)
        if number == self.token:
            self.token += 1

    async def send(self, request: HttpRequest) -> Reply:
        token = self.token
        self._calls_in_flight += 1
        self.in_flight_most = max(self.in_flight_most, self._calls_in_flight)
        try:
            if request.method == "POST" and not request.path.endswith("/coql"):
                self.requests.append(request)
                reply = await self._insert(json.loads(request.body or b"")["data"], token)
            else:
                reply = await self._question(request, token)
        finally:
            self._calls_in_flight -= 1
        if not isinstance(reply, HttpReply):
            return reply
        told = {} if self.credits_left is None else {"x-api-credits-remaining": str(self.credits_left)}
        return msgspec.structs.replace(reply, token_number=token, headers=told)

    async def _insert(self, records: list[Record], token: int) -> Reply:
        self.before_insert([record["Line"] for record in records])
        self.inserts.append([record["Line"] for record in records])
        keys = [key for record in records if (key := fold(record.get("Email")))]
        self.keys_met_in_flight |= {key for key in keys if self.in_flight[key] or keys.count(key) > 1}
        self.in_flight.update(keys)
        try:
            deed = self.deed_of(records) or (self.plan.popleft() if self.plan else Deed.ANSWER)
            return await self._do(deed, records, token)
        finally:
            self.in_flight.subtract(keys)

    async def _do(self, deed: Deed, records: list[Record], token: int) -> Reply:
        if deed is Deed.UNREACHABLE:
            return NoReply(Fault.UNREACHABLE, "connection refused", 0.0)
        await anyio.sleep(self.latency_s / 2)
        refusal = self._refusal(deed, records, token)
        if refusal is not None:
            await anyio.sleep(self.latency_s / 2)
            return refusal
        items: list[dict[str, Any]] = []
        if deed in APPLIES:
            items = [item for record in records for item in self._apply_all(record)]
        elif deed is Deed.HALF:
            for record in records[: len(records) // 2]:
                self._apply(record)
        await anyio.sleep(self.latency_s / 2)
        if deed is Deed.SILENCE_AND_LATE:
            await anyio.sleep(60)
            self._apply_later(records, 20.0)
        return self._tell(deed, items)

    def _apply_later(self, records: list[Record], seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, lambda: [self._apply_all(one) for one in records])

    def _refusal(self, deed: Deed, records: list[Record], token: int) -> Reply | None:
        if deed is Deed.PUSH_BACK:
            return answer(429, {"code": "TOO_MANY_REQUESTS", "status": "error", "message": "slow down"})
        if deed is Deed.TIMEOUT_408:
            return answer(408, "")
        if deed is Deed.REDIRECT:
            return answer(302, "")
        if deed is Deed.NOT_HANDED_OVER:
            return NoReply(Fault.NOT_HANDED_OVER, "reset in mid-body", self.latency_s)
        if token in self.revoked:
            return bare(401, "INVALID_TOKEN")
        if unlucky := [line for record in records if self.unlucky[line := record["Line"]]]:
            self.unlucky.subtract(unlucky)
            return bare(401, "INVALID_TOKEN")
        if self.sizes_refused_above is not None and len(records) > self.sizes_refused_above:
            return answer(413, "<html>too large</html>")
        if self.refusal is not None:
            return bare(*self.refusal)
        if self.refused_option:
            item = item_error("INVALID_DATA", {"json_path": f"$.{self.refused_option}"})
            return answer(400, {"data": [item]})
        if any(record["Line"] in self.poison for record in records):
            return bare(400, "INVALID_DATA")
        return None

    def _apply_all(self, record: Record) -> list[dict[str, Any]]:
        """The items of a record: one, or one for each record of its series."""
        first = self._apply(record)
        if first["code"] != "SUCCESS" or not record.get("Recurring_Activity"):
            return [first]
        ids = [self.put(record, by=US, age_s=0.0) for _ in range(self.series_length - 1)]
        return [first, *({**first, "details": {"id": one}} for one in ids)]

    def _apply(self, record: Record) -> dict[str, Any]:
        line = record["Line"]
        if self.locked[line] > 0:
            self.locked[line] -= 1
            return item_error("RECORD_LOCKED", {})
        if line in self.refused:
            return item_error(self.refused[line], {"api_name": "Company"})
        key = fold(record.get(self.unique)) if self.unique else ""
        for row in self.rows.values():
            if key and fold(row.values.get(self.unique)) == key:
                return item_error(
                    "DUPLICATE_DATA", {"api_name": self.unique, "duplicate_record": {"id": row.id}}
                )
        identifier = self.put(record, by=US, age_s=0.0)
        return {
            "code": "SUCCESS",
            "status": "success",
            "message": "record added",
            "details": {"id": identifier},
        }

    def _tell(self, deed: Deed, items: list[dict[str, Any]]) -> Reply:
        match deed:
            case Deed.ANSWER:
                return answer(201, {"data": items})
            case Deed.SHORT:
                return answer(201, {"data": items[:-1]})
            case Deed.HTML:
                return answer(200, "<html>welcome</html>")
            case Deed.ERROR_BEFORE | Deed.ERROR_AFTER:
                return answer(500, {"code": "INTERNAL_ERROR", "status": "error", "message": "oops"})
            case Deed.CUT_ANSWER:
                return NoReply(Fault.BROKEN_ANSWER, "the answer was cut", self.latency_s)
            case Deed.SILENCE_AND_LATE:
                return NoReply(Fault.NO_ANSWER_IN_TIME, "no answer", 60.0)
            case _:
                return NoReply(Fault.DISCONNECTED, "reset by peer", self.latency_s)

    async def _question(self, request: HttpRequest, token: int) -> Reply:
        self.questions.append(request.path)
        await anyio.sleep(self.latency_s)
        if token in self.revoked:
            return bare(401, "INVALID_TOKEN")
        if self.refuse_questions is not None:
            return bare(*self.refuse_questions)
        if self.question_plan:
            deed = self.question_plan.popleft()
            return self._refusal(deed, [], token) or self._tell(deed, [])
        if request.path.endswith("/coql"):
            query = json.loads(request.body or b"")["select_query"]
            field = re.search(r"where (\w+) in \(", query)
            assert field is not None
            wanted = {fold(one.replace("''", "'")) for one in re.findall(r"'((?:[^']|'')*)'", query)}
            wanted |= {fold(float(one)) for one in re.findall(r"(?<=[(,])\s*(-?[\d.]+)(?=[,)])", query)}
            found = [row for row in self.rows.values() if fold(row.values.get(field[1])) in wanted]
        else:
            ids = parse_qs(urlsplit(request.path).query)["ids"][0].split(",")
            found = [self.rows[one] for one in ids if one in self.rows]
        if not found:
            return answer(204, "")
        shown = [{**_shown(row), **self.shown_otherwise} for row in found[: self.rows_per_answer]]
        return answer(200, {"data": shown, "info": {"more_records": len(shown) < len(found)}})


def _shown(row: Row) -> dict[str, Any]:
    created = datetime.fromtimestamp(int(row.created_at), UTC).isoformat()
    return {**row.values, "id": row.id, "Created_Time": created, "Created_By": {"id": row.created_by}}


def item_error(code: str, details: Mapping[str, Any]) -> dict[str, Any]:
    return {"code": code, "status": "error", "message": code.lower(), "details": dict(details)}


def answer(status: int, body: object) -> HttpReply:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return HttpReply(status, raw, {}, 1.0)


def bare(status: int, code: str) -> HttpReply:
    """A refusal of the whole call."""
    return answer(status, {"code": code, "status": "error", "message": code.lower(), "details": {}})


class ListRecorder:
    """Keeps what it is told, and refuses what would be a lie or a second insert."""

    def __init__(self) -> None:
        self.said: list[tuple[str, int, tuple[int, ...]]] = []
        self.final: dict[int, RecordOutcome] = {}
        self.held: dict[int, str] = {}
        self.credits = 0
        """What the log would add up to."""
        self.may_be_applied: set[int] = set()
        self.allowed: set[int] = set()
        self.announced: Counter[tuple[int, ...]] = Counter()

    def intend(self, lines: Iterable[int]) -> None:
        self.allowed.update(lines)

    def sent(self, attempt: Attempt, at: float) -> None:
        self.said.append(("sent", attempt.batch, tuple(attempt.lines)))
        self.credits += credits_for(len(attempt.lines))
        self.announced[tuple(attempt.lines)] += 1
        lines = set(attempt.lines)
        assert len(attempt.lines) == len(attempt.records) > 0, "an attempt is made of records"
        assert lines <= self.allowed, "sent before its window was durable"
        assert lines.isdisjoint(self.final), "sent although it has its outcome"
        assert attempt.in_doubt or lines.isdisjoint(self.may_be_applied), "sent again without saying so"
        assert not attempt.in_doubt or attempt.doubt_since >= EPOCH_S - 3600
        self.held = {line: reason for line, reason in self.held.items() if line not in lines}
        if not attempt.in_doubt:
            self.may_be_applied |= lines

    def require_announced(self, lines: list[int]) -> None:
        """What leaves was written down first."""
        assert self.announced[tuple(lines)] > 0, f"lines {lines} left before that was written"
        self.announced[tuple(lines)] -= 1

    def not_applied(self, attempt: Attempt, reason: str, cause: Cause) -> None:
        self.said.append(("not applied", attempt.batch, tuple(attempt.lines)))
        if not NotApplied(attempt.batch, attempt.number, (), reason, 0.0, cause).charged:
            self.credits -= credits_for(len(attempt.lines))
        if not attempt.in_doubt:
            self.may_be_applied -= set(attempt.lines)

    def settle(self, attempt: Attempt, settlement: Settlement) -> None:
        plain = [
            RecordOutcome(line, Outcome.INSERTED, id=one)
            for line, one in zip(settlement.lines, settlement.ids, strict=True)
        ]
        for outcome in (*plain, *settlement.others):
            assert outcome.line in attempt.lines, "an outcome for a record that was not sent"
            assert outcome.line not in self.final, "a second outcome"
            assert outcome.outcome not in (Outcome.IN_DOUBT, Outcome.PENDING)
            self.final[outcome.line] = outcome
            self.held.pop(outcome.line, None)
        self.said.append(("settled", attempt.batch, tuple(attempt.lines)))

    def doubt(self, attempt: Attempt, lines: Sequence[int], reason: str, *, held: bool) -> None:
        self.said.append(("held" if held else "doubt", attempt.batch, tuple(lines)))
        assert set(lines).isdisjoint(self.final), "a doubt about what is settled"
        self.may_be_applied |= set(lines)
        if held:
            self.held.update(dict.fromkeys(lines, reason))

    async def resolve(self, attempt: Attempt, *, by: str, evidence: str, at: float) -> None:
        await anyio.sleep(0.01)
        lines = set(attempt.lines)
        assert lines <= self.may_be_applied - set(self.final), "resolved, but not in doubt"
        self.said.append(("resolved", attempt.batch, tuple(attempt.lines)))
        self.may_be_applied -= lines
        self.allowed -= lines
        self.held = {line: reason for line, reason in self.held.items() if line not in lines}

    async def intend_again(self, attempt: Attempt) -> None:
        await anyio.sleep(0.01)
        self.said.append(("intended again", attempt.batch, tuple(attempt.lines)))
        self.allowed.update(attempt.lines)

    async def lines_with_ids(self, ids: Collection[str]) -> Mapping[str, Collection[int]]:
        found: dict[str, list[int]] = {}
        for line, outcome in self.final.items():
            if outcome.outcome is Outcome.INSERTED and outcome.id in ids:
                found.setdefault(outcome.id, []).append(line)
        return found

    def outcomes(self) -> dict[int, str]:
        return {line: one.outcome.value for line, one in sorted(self.final.items())}


class World:
    """One load: its CRM, its recorder, and the parts that are under test."""

    def __init__(
        self,
        crm: FakeCrm,
        *,
        key: str = "",
        rung: Rung | None = None,
        stamp: Stamp | None = None,
        additions: Additions | None = None,
        options: InsertOptions = PLAIN,
        module: str = "Leads",
        alone: Callable[[bytes], bool] | None = None,
        concurrency: int = 3,
        patience_s: float = 300.0,
        quiet_period_s: float = 30.0,
        user_id: str = US,
        shared_keys: frozenset[str] = frozenset(),
    ) -> None:
        self.crm = crm
        self.concurrency = concurrency
        self.events: list[Event] = []
        self.recorder = ListRecorder()
        crm.before_insert = self.recorder.require_announced
        self.budget = FakeBudget()
        self.windows_intended = 0
        self._key = key
        self._rung = rung or (Rung.SEND_AGAIN if key or stamp else Rung.HOLD)
        self._stamp = stamp
        self._additions = additions or Additions(stamp=stamp)
        self._options = options
        self._module = module
        self._alone = alone
        self._patience_s = patience_s
        self._quiet_period_s = quiet_period_s
        self._user_id = user_id
        self._shared_keys = shared_keys

    # These belong to an event loop: they are made within one, at their first use.

    @cached_property
    def gate(self) -> Gate:
        # What these tests are about begins where the places are found.
        start = self.concurrency
        settings = GateSettings(self.concurrency, None, self._patience_s, "crm.example", start=start)
        return Gate(settings, observe=self.events.append, budget=self.budget, jitter=lambda: 0.5)

    @cached_property
    def pipeline(self) -> Pipeline:
        return Pipeline(gate=self.gate, intend=self._intend, concurrency=self.concurrency)

    @cached_property
    def delivery(self) -> Delivery:
        account = Account(self.recorder, self.events.append)
        return Delivery(
            self._module,
            transport=self.crm,
            account=account,
            doubts=self._doubts(account),
            gate=self.gate,
            rest=self.pipeline.rest,
            server_time=self.crm.now,
            open_keys=OpenKeys(KeyReader(self._key)) if self._key and self._stamp is None else None,
            options=self._options,
            alone=self._alone,
            jitter=lambda: 0.5,
        )

    def _doubts(self, account: Account) -> Doubts:
        key = self._key if self._stamp is None else self._stamp.field
        asker = Asker(
            self._module,
            key,
            frozenset({self._user_id} - {""}),
            stamped=self._stamp is not None,
            series=self._alone is not None,
        )
        sender = Sender(self.crm.ready, self.crm.send, self.crm.renew_token, self.gate)
        return Doubts(
            DoubtSettings(self._rung, key, self._quiet_period_s, self._shared_keys),
            account=account,
            resolver=CrmResolver(asker, sender, lines_with_ids=self.recorder.lines_with_ids),
            gate=self.gate,
            rest=self.pipeline.rest,
            server_time=self.crm.now,
            additions=self._additions,
        )

    async def load(self, batches: Sequence[Sequence[Record]], *, first: Sequence[Attempt] = ()) -> None:
        """Until the pipeline ends."""
        for attempt in first:
            self.recorder.intend(attempt.lines)
            if attempt.in_doubt:
                self.recorder.may_be_applied |= set(attempt.lines)
        await self.pipeline.run(first, self.windows(batches), deliver=self.delivery.deliver)

    async def windows(self, batches: Sequence[Sequence[Record]]) -> AsyncIterator[Window]:
        for start in range(0, len(batches), self.concurrency):
            numbered = enumerate(batches[start : start + self.concurrency], start=start + 1)
            yield Window([batch_of(number, records) for number, records in numbered])

    async def _intend(self, window: Window) -> None:
        await anyio.sleep(0.01)
        self.windows_intended += 1
        for batch in window.batches:
            self.recorder.intend(batch.lines)


def lead(line: int, *, email: str | float | None = "") -> Record:
    """A record that knows its line; `email` None: it has none, empty: one of its own."""
    values = {"Line": line, "Last_Name": f"Name {line}"}
    if email is not None:
        values["Email"] = f"lead{line}@example.com" if email == "" else email
    return values


def leads(first: int, count: int) -> list[Record]:
    return [lead(line) for line in range(first, first + count)]


def encode(record: Record) -> bytes:
    return json.dumps(record).encode()


def batch_of(number: int, records: Sequence[Record]) -> Batch:
    lines = [record["Line"] for record in records]
    span = Span(lines[0] if lines else 1, len(lines), 0, 0, 0)
    return Batch(number, span, lines, [encode(record) for record in records])


def attempt_of(
    records: Sequence[Record], *, batch: int = 1, in_doubt: bool = False, since: float = EPOCH_S
) -> Attempt:
    return Attempt(
        batch,
        2 if in_doubt else 1,
        [record["Line"] for record in records],
        [encode(record) for record in records],
        in_doubt,
        since if in_doubt else 0.0,
    )
