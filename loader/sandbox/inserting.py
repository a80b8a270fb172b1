"""The insert call: permission, faults, quotas, the decision, its application and its answer."""

from __future__ import annotations

import asyncio
from datetime import datetime

import msgspec

from loader.sandbox import answers, inserts, quotas
from loader.sandbox.answers import Answer, SuccessTemplate, User
from loader.sandbox.calls import ZONE, Exchange, Parts, charged, iso, too_many, within_quotas
from loader.sandbox.catalogue import Served
from loader.sandbox.examination import Examination
from loader.sandbox.externals import HEADER, external_paths
from loader.sandbox.faults import FaultKind
from loader.sandbox.inserts import Body, Decision, Known
from loader.sandbox.references import USERS
from loader.sandbox.store import row_id
from loader.sandbox.switches import Switch, statuses


class Inserting:
    """The inserts of one organisation."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._store = parts.store
        self._statuses = statuses(parts.switches)
        self._paths = Switch.NO_JSON_PATH not in parts.switches
        self._locked = frozenset(parts.organisation.locked)
        self._template: tuple[tuple[User, str], SuccessTemplate] | None = None
        self._late: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """What is to be applied late, and was not yet, never is."""
        for task in self._late:
            task.cancel()

    async def insert(self, exchange: Exchange, module: str) -> Answer | None:
        """Answers `POST {module}`."""
        content = await exchange.request.read()
        served = self._parts.served.get(module)
        if served is None:
            return self._no_module(module)
        if served.plan.refuses:
            return _refused(served)
        body = inserts.read_body(content)
        if isinstance(body, Answer):
            return body
        if isinstance(body.options, dict):
            return self._bad_options(body.options)
        examination = self._examination(exchange, served, body)
        if isinstance(examination, Answer):
            return examination
        return await self._with_faults(exchange, served, body.records, examination)

    def _no_module(self, module: str) -> Answer:
        if module in self._parts.organisation.unsupported:
            return answers.MODULE_NOT_SUPPORTED
        return answers.INVALID_MODULE

    def _bad_options(self, error: answers.Item) -> Answer:
        shown = error if self._paths else answers.without_paths(error)
        if Switch.BARE_OPTION_ERRORS in self._parts.switches:
            return Answer(400, msgspec.json.encode(shown))
        return Answer(400, msgspec.json.encode({"data": [shown]}))

    def _examination(self, exchange: Exchange, served: Served, body: Body) -> Examination | Answer | None:
        """What the organisation looks at in these records; None: nothing."""
        assert not isinstance(body.options, dict)
        header = exchange.request.headers.get(HEADER, "")
        paths = external_paths(header, served.module, self._parts.served.module) if header else {}
        if isinstance(paths, Answer):
            return paths
        user = exchange.caller
        examination = Examination(
            served,
            directory=_Directory(self._parts, user),
            options=body.options,
            externals=paths,
            by_value=self._parts.served.external_fields_seen_from(served),
            locked=self._locked,
            refuse_unknown=Switch.REFUSE_UNKNOWN_FIELDS in self._parts.switches,
            lookups_exist=Switch.LOOKUPS_EXIST in self._parts.switches,
        )
        return examination if examination.needed else None

    async def _with_faults(
        self, exchange: Exchange, served: Served, raws: list[bytes], examination: Examination | None
    ) -> Answer | None:
        exchange.records = len(raws)
        exchange.fault = self._parts.faults.of(exchange.number)
        match exchange.fault:
            case FaultKind.TOO_MANY_REQUESTS:
                return answers.TOO_MANY_REQUESTS
            case FaultKind.DROP_BEFORE_APPLY:
                return None
            case FaultKind.ERROR_500_BEFORE:
                return answers.INTERNAL_ERROR
            case FaultKind.HTML_502 if not self._parts.faults.applies(exchange.number):
                return answers.GATEWAY_PAGE
            case FaultKind.REVOKE_TOKEN:
                self._parts.tokens.revoke(exchange.authorization)
                return answers.INVALID_TOKEN
            case FaultKind.LATE_APPLY:
                if not charged(self._parts, exchange, quotas.insert_credits(len(raws))):
                    return too_many(exchange)
                self._apply_later(exchange, served, raws, examination)
                return None
        return await within_quotas(
            self._parts,
            exchange,
            self._apply,
            served,
            raws,
            examination,
            place=len(raws) > quotas.LARGE_CALL_RECORDS,
            cost=quotas.insert_credits(len(raws)),
        )

    async def _apply(
        self, exchange: Exchange, served: Served, raws: list[bytes], examination: Examination | None
    ) -> Answer | None:
        """Decides and applies without a pause between, so that no other call comes in between either."""
        if exchange.fault is FaultKind.PARTIAL_APPLY:
            raws = raws[: self._parts.faults.first_records(exchange.number, len(raws))]
        user = exchange.caller
        decision = self._decide(served, raws, user, examination)
        if isinstance(decision, Answer):
            exchange.fault = None  # refused before it could strike
            return decision
        created_time = iso(self._parts.clock())
        template = self._success(user, created_time)
        answer = _after(exchange.fault, decision.answer(template, self._statuses, paths=self._paths))
        # While the latency runs the call is unanswered; without one it is as good as answered.
        at_once = answer is not None and not self._parts.latency_s and exchange.heard
        exchange.noted = exchange.row(None if answer is None else answer.status, answered=at_once)
        self._store.apply(
            served.module.api_name, decision.records, exchange.noted, created=(created_time, user.id)
        )
        return answer

    def _decide(
        self, served: Served, raws: list[bytes], user: User, examination: Examination | None
    ) -> Decision | Answer:
        store, module = self._store, served.module.api_name
        known = Known(
            owners=lambda field, values: store.owners_of(module, field, values),
            creator=lambda record_id: self._parts.user_with(store.creator_of(record_id)),
            user=user,
            first_id=store.next_id,
            today=datetime.fromtimestamp(self._parts.clock(), ZONE).date(),
        )
        return inserts.decide(served, raws, known, examination)

    def _apply_later(
        self, exchange: Exchange, served: Served, raws: list[bytes], examination: Examination | None
    ) -> None:
        """Nobody hears of it: the call is over when its records are applied."""
        row, user = exchange.row(None, answered=False), exchange.caller

        async def apply() -> None:
            await asyncio.sleep(self._parts.late_s)
            decision = self._decide(served, raws, user, examination)
            if not isinstance(decision, Answer):
                now = self._parts.clock()
                created = (iso(now), user.id)
                self._store.apply(served.module.api_name, decision.records, row, created=created, at=now)

        task = asyncio.create_task(apply())
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    def _success(self, user: User, created_time: str) -> SuccessTemplate:
        key = (user, created_time)
        if self._template is None or self._template[0] != key:
            self._template = (key, SuccessTemplate(user, created_time))
        return self._template[1]


class _Directory:
    """What there is already, as the examination of a call asks for it."""

    def __init__(self, parts: Parts, user: User) -> None:
        self._parts = parts
        self._user = user

    def with_value(self, module: str, field: str, value: str) -> int | None:
        served = self._parts.served[module]
        described = served.module.field(field)
        assert described is not None, "the header was read with the module at hand"
        compared = served.comparable(described, value, self._user.id)
        return self._parts.store.owners_of(module, field, [compared]).get(compared)

    def is_there(self, module: str, record_id: str) -> bool:
        if module == USERS:
            return any(each.id == record_id for each in self._parts.users)
        row = row_id(record_id)
        found = None if row is None else self._parts.store.module_of(row)
        return found is not None and module in ("", found)


def _refused(served: Served) -> Answer:
    if served.plan.refuses == "NO_PERMISSION":
        return answers.no_permission(served.module.api_name)
    return answers.AUTHORIZATION_FAILED


def _after(fault: FaultKind | None, answer: Answer) -> Answer | None:
    """What is left of the answer to a call that was applied."""
    match fault:
        case FaultKind.ERROR_500_AFTER:
            return answers.INTERNAL_ERROR
        case FaultKind.HTML_502:
            return answers.GATEWAY_PAGE
        case FaultKind.DROP_AFTER_APPLY | FaultKind.PARTIAL_APPLY:
            return None
        case FaultKind.TRUNCATE:
            return msgspec.structs.replace(answer, cut=True)
        case FaultKind.SHORT_ANSWER:
            return answers.without_last_item(answer)
    return answer
