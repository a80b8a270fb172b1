"""What a reply proves about the records that were sent: the verdict tables, as data, and `judge`.

Sent again is only what is proved not applied. Whatever no row names is in doubt: a new status, a new code
or an exception that nobody thought of can cost a person a question, never a doubled record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import assert_never

import msgspec

from loader.outcomes import Cause, Outcome, RecordOutcome, Settlement
from loader.records import Attempt
from loader.wire.answers import Answered, CallRefused, Inserted, Item, read_insert
from loader.wire.codes import CODES, ForCall, ForRecord, facts
from loader.wire.messages import Fault, HttpReply, NoReply, Reply


class Remedy(Enum):
    """What has to happen before records that were not applied are sent again."""

    WAIT = auto()
    """A growing delay."""
    WAIT_FOR_SERVICE = auto()
    """The service is out of reach: patience decides."""
    RENEW_TOKEN = auto()
    PAUSE_ALL = auto()
    """The server pushed back: nobody sends for a while."""
    HALVE = auto()
    """The call as a whole was refused: find the record that causes it."""


class Stop(Enum):
    """Why the whole load has to stop, since no record of it can fare better."""

    CREDENTIALS = auto()
    CONFIGURATION = auto()
    OPTION = auto()
    """The API refuses what the load asks for beside its records (`trigger`, `lar_id` ...)."""


class Claim(msgspec.Struct, frozen=True):
    """A record in doubt that the API now calls a duplicate: whose is it?"""

    line: int
    record: bytes
    existing_ids: tuple[str, ...]
    refusal: RecordOutcome
    """The outcome if the existing record is not ours."""


class Verdict(msgspec.Struct, frozen=True):
    """What becomes of an attempt's lines; each of them is in exactly one of the parts."""

    settlement: Settlement = Settlement()
    again: Sequence[int] = ()
    """Proved not applied."""
    doubtful: Sequence[int] = ()
    claims: Sequence[Claim] = ()
    remedy: Remedy | None = None
    """For `again`."""
    stop: Stop | None = None
    passed: bool = False
    """The service took the call in and answered in its own terms."""
    reason: str = ""
    code: str = ""
    """The API's code for what is in `again`, or for the whole call; empty: it gave none."""
    cause: Cause = Cause.OTHER
    """For `again`: what the log counts it as."""


class _Fate(Enum):
    NOT_APPLIED = auto()
    IN_DOUBT = auto()


_Row = tuple[_Fate, Remedy | None, Stop | None]
_DOUBT: _Row = (_Fate.IN_DOUBT, None, None)

FAULTS: Mapping[Fault, _Row] = {
    Fault.UNREACHABLE: (_Fate.NOT_APPLIED, Remedy.WAIT_FOR_SERVICE, None),
    Fault.CERTIFICATE: (_Fate.NOT_APPLIED, None, Stop.CONFIGURATION),
    Fault.CONNECT_TIMEOUT: (_Fate.NOT_APPLIED, Remedy.WAIT_FOR_SERVICE, None),
    Fault.NOT_HANDED_OVER: (_Fate.NOT_APPLIED, Remedy.WAIT_FOR_SERVICE, None),
    Fault.DISCONNECTED: _DOUBT,
    Fault.NO_ANSWER_IN_TIME: _DOUBT,
    Fault.BROKEN_ANSWER: _DOUBT,
    Fault.UNKNOWN: _DOUBT,
}

UNCONNECTED = frozenset({Fault.UNREACHABLE, Fault.CERTIFICATE, Fault.CONNECT_TIMEOUT})
"""Faults of calls of which the service never had a byte."""

# Known by the status alone, whatever the body: these are said before a record is looked at.
STATUSES: Mapping[int, _Row] = {
    408: (_Fate.NOT_APPLIED, Remedy.WAIT, None),
    413: (_Fate.NOT_APPLIED, Remedy.HALVE, None),
    425: (_Fate.NOT_APPLIED, Remedy.WAIT, None),
    429: (_Fate.NOT_APPLIED, Remedy.PAUSE_ALL, None),
}

# Believed only with the API's own JSON error: a proxy may answer with the same numbers.
REFUSALS: Mapping[int, _Row] = {
    401: (_Fate.NOT_APPLIED, None, Stop.CREDENTIALS),
    403: (_Fate.NOT_APPLIED, None, Stop.CREDENTIALS),
    404: (_Fate.NOT_APPLIED, None, Stop.CONFIGURATION),
    405: (_Fate.NOT_APPLIED, None, Stop.CONFIGURATION),
    406: (_Fate.NOT_APPLIED, None, Stop.CONFIGURATION),
    415: (_Fate.NOT_APPLIED, None, Stop.CONFIGURATION),
    421: (_Fate.NOT_APPLIED, Remedy.WAIT, None),
}

# What a code means for a call that was refused whole with HTTP 400 or 401.
REFUSED_CALLS: Mapping[ForCall, _Row] = {
    ForCall.RENEW_TOKEN: (_Fate.NOT_APPLIED, Remedy.RENEW_TOKEN, None),
    ForCall.STOP_CREDENTIALS: (_Fate.NOT_APPLIED, None, Stop.CREDENTIALS),
    ForCall.STOP_CONFIGURATION: (_Fate.NOT_APPLIED, None, Stop.CONFIGURATION),
    ForCall.PUSHED_BACK: (_Fate.NOT_APPLIED, Remedy.PAUSE_ALL, None),
    ForCall.HALVE: (_Fate.NOT_APPLIED, Remedy.HALVE, None),
}

# What the vendor takes no credits for, by what has to happen next.
_CAUSES: Mapping[Remedy | None, Cause] = {
    Remedy.PAUSE_ALL: Cause.PUSHED_BACK,
    Remedy.RENEW_TOKEN: Cause.TOKEN_REFUSED,
}

REASON_MAX = 450
"""Characters of a reason: it quotes the API."""


def judge(attempt: Attempt, reply: Reply, *, series: bool = False) -> Verdict:
    """The verdict on one attempt at inserting records.

    `series`: it is one record that recurs, of which the API makes several.
    """
    match reply:
        case NoReply():
            cause = Cause.UNREACHED if reply.fault in UNCONNECTED else None
            return _whole(attempt, FAULTS.get(reply.fault, _DOUBT), reply.detail, cause=cause)
        case HttpReply():
            return _judge_status(attempt, reply, series=series)
        case _ as unreachable:
            assert_never(unreachable)


def _judge_status(attempt: Attempt, reply: HttpReply, *, series: bool) -> Verdict:
    if row := STATUSES.get(reply.status):
        return _whole(attempt, row, f"HTTP {reply.status}")
    if 300 <= reply.status < 400:
        # Never followed: a captive portal or another data centre. What it did with the records is unknown.
        reason = f"HTTP {reply.status}, a redirect"
        return _whole(attempt, (_Fate.IN_DOUBT, None, Stop.CONFIGURATION), reason)
    if reply.status >= 500:
        return _whole(attempt, _DOUBT, f"HTTP {reply.status}")
    answer = read_insert(reply, len(attempt.records), series=series)
    match answer:
        case Inserted():
            # After a doubt too: with a unique key, SUCCESS says that the attempt before was not applied.
            return Verdict(settlement=Settlement(attempt.lines, answer.ids), passed=True)
        case Answered():
            return _judge_items(attempt, answer.items)
        case CallRefused():
            return _judge_refusal(attempt, reply.status, answer)
        case _:
            return _whole(attempt, _DOUBT, f"HTTP {reply.status}, {answer.reason}")


def _judge_refusal(attempt: Attempt, status: int, refused: CallRefused) -> Verdict:
    reason = _reason(status, refused)
    meaning = facts(refused.code).call
    if status == 401 and meaning is ForCall.RENEW_TOKEN:
        row = REFUSED_CALLS[meaning]
    elif status in REFUSALS:
        row = REFUSALS[status]
    elif status == 400 and refused.option:
        # Each call says the same beside its records: to halve this one would blame them.
        row = (_Fate.NOT_APPLIED, None, Stop.OPTION)
    elif status == 400:
        # A 400 refuses what it was given: with no word for its code, look for the record. But a code that is
        # known to prove nothing proves nothing here either.
        proves_nothing = refused.code in CODES and meaning is ForCall.IN_DOUBT
        row = _DOUBT if proves_nothing else REFUSED_CALLS.get(meaning, REFUSED_CALLS[ForCall.HALVE])
    else:
        row = _DOUBT
    return _whole(attempt, row, reason, code=refused.code)


def _reason(status: int, refused: CallRefused) -> str:
    more = "; ".join(filter(None, (refused.option or refused.field, refused.detail)))
    words = f"HTTP {status} {refused.code}: {refused.message}"
    return (f"{words} ({more})" if more else words)[:REASON_MAX]


def _whole(
    attempt: Attempt, row: _Row, reason: str, *, code: str = "", cause: Cause | None = None
) -> Verdict:
    """One row of a table for all the records of the attempt; `cause`: where it is not that of its remedy."""
    fate, remedy, stop = row
    again, doubtful = (attempt.lines, ()) if fate is _Fate.NOT_APPLIED else ((), attempt.lines)
    return Verdict(
        again=again,
        doubtful=doubtful,
        remedy=remedy,
        stop=stop,
        reason=reason,
        code=code,
        cause=cause or _CAUSES.get(remedy, Cause.OTHER),
    )


def _judge_items(attempt: Attempt, items: Sequence[Item]) -> Verdict:
    if any(item.index not in (None, position) for position, item in enumerate(items)):
        return _whole(attempt, _DOUBT, "the answer names records in another order than they were sent")
    lines: list[int] = []
    ids: list[str] = []
    others: list[RecordOutcome] = []
    locked: list[int] = []
    doubtful: list[int] = []
    claims: list[Claim] = []
    reason = code = ""
    for line, record, item in zip(attempt.lines, attempt.records, items, strict=True):
        match _meaning(item):
            case ForRecord.INSERTED:
                lines.append(line)
                ids.append(item.id)
            case ForRecord.DUPLICATE | ForRecord.REJECTED if attempt.in_doubt:
                claims.append(Claim(line, record, item.duplicate_ids, _refusal(line, item)))
            case ForRecord.DUPLICATE | ForRecord.REJECTED:
                others.append(_refusal(line, item))
            case ForRecord.LOCKED:
                locked.append(line)
                reason = reason or item.code
                code = item.code
            case ForRecord.IN_DOUBT:
                doubtful.append(line)
                reason = f"{item.code}: {item.message}"
            case _ as unreachable:
                assert_never(unreachable)
    return Verdict(
        settlement=Settlement(lines, ids, others),
        again=locked,
        doubtful=doubtful,
        claims=claims,
        remedy=Remedy.WAIT if locked else None,
        passed=True,
        reason=reason,
        code=code,
    )


def _meaning(item: Item) -> ForRecord:
    """What became of the record; of several errors, one that proves nothing counts before all others."""
    if item.ok:
        return ForRecord.INSERTED
    if any(facts(error.code).record is ForRecord.IN_DOUBT for error in item.errors):
        return ForRecord.IN_DOUBT
    return facts(item.code).record


def _refusal(line: int, item: Item) -> RecordOutcome:
    duplicate = facts(item.code).record is ForRecord.DUPLICATE or bool(
        item.errors and all(facts(error.code).record is ForRecord.DUPLICATE for error in item.errors)
    )
    return RecordOutcome(
        line=line,
        outcome=Outcome.DUPLICATE if duplicate else Outcome.REJECTED,
        id=item.duplicate_ids[0] if duplicate and item.duplicate_ids else "",
        code=item.code,
        message=item.message,
        field=item.field,
    )
