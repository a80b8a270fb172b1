"""Whose duplicate? Pure: what the CRM says of a record in doubt, turned into its outcome.

After a doubt, the API calls a record a duplicate, or refuses it for another reason. Either the earlier
attempt put it there, and it is ours, or somebody else did. Nothing here guesses: where the evidence does not
reach, the record stays in doubt.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from loader.delivery.keys import fold
from loader.delivery.policy import Claim
from loader.outcomes import Outcome, RecordOutcome
from loader.wire.replies import ExistingRecord

CLOCK_SLACK_S = 2.0
"""How much earlier than our attempt a record may seem to be created: both clocks count whole seconds."""


class Evidence(msgspec.Struct, frozen=True):
    """What is known when claims are decided."""

    existing: Sequence[ExistingRecord]
    """The records that the CRM holds under the claimed ids or keys."""
    keys: Mapping[int, str]
    """The folded key of each claimed line."""
    key_field: str
    own_user_ids: frozenset[str]
    """Whose credentials this load has used; empty: they do not say whose they are."""
    doubt_since: float
    """When the earliest attempt in doubt was sent; Unix seconds, server's clock."""
    taken: Mapping[str, Collection[int]]
    """Lines of this load that already have one of these ids as their own."""
    complete: bool = True
    """Every question was answered, so that what is not in `existing` is not in the CRM."""
    unanswered: Collection[str] = ()
    """Keys of which it is not known what the CRM holds."""
    stamped: bool = False
    """The key is the load's own: whoever bears it is ours, whenever and by whomever it was created."""
    series: bool = False
    """A record of this load may be several in the CRM, of which `taken` knows the first alone."""


class Sought(msgspec.Struct, frozen=True):
    """What a query by key says of records in doubt; each line is in one part."""

    outcomes: Sequence[RecordOutcome]
    """Found, and ours."""
    absent: Sequence[int]
    unknown: Sequence[int]
    """Found, but whose it is cannot be told; or not answered."""


class Decided(msgspec.Struct, frozen=True):
    """Final outcomes, and the lines about which the evidence says nothing."""

    outcomes: Sequence[RecordOutcome]
    open: Sequence[int]


def decide(claims: Sequence[Claim], evidence: Evidence) -> Decided:
    """One outcome for each claim, or none where it cannot be known."""
    outcomes: list[RecordOutcome] = []
    unknown: list[int] = []
    given: set[str] = set()
    for claim in claims:
        outcome = _decide_one(claim, evidence, given)
        if outcome is None:
            unknown.append(claim.line)
            continue
        outcomes.append(outcome)
        if outcome.outcome is Outcome.INSERTED:
            given.add(outcome.id)
    return Decided(outcomes, unknown)


def seek(lines: Sequence[int], evidence: Evidence) -> Sought:
    """Which of these lines the CRM holds, by a key that it does not keep unique.

    Of several records that might be a line's, none is taken: nothing tells which one is.
    """
    outcomes: list[RecordOutcome] = []
    absent: list[int] = []
    unknown: list[int] = []
    for line in lines:
        key = evidence.keys[line]
        borne = [record for record in evidence.existing if _bears(record, key, evidence.key_field)]
        possible = [record for record in borne if _ours(record, evidence) is not False]
        told = key not in evidence.unanswered
        if not possible and told:
            absent.append(line)
        elif len(possible) == 1 and told and _provable(possible[0], borne, evidence):
            outcomes.append(RecordOutcome(line, Outcome.INSERTED, id=possible[0].id, recovered=True))
        else:
            unknown.append(line)
    return Sought(outcomes, absent, unknown)


def _provable(record: ExistingRecord, borne: Sequence[ExistingRecord], evidence: Evidence) -> bool:
    """It is ours, and it is this line's: not a later one of the series that another line became."""
    siblings = evidence.series and any(evidence.taken.get(one.id) for one in borne)
    return not siblings and _ours(record, evidence) is True


def _ours(record: ExistingRecord, evidence: Evidence) -> bool | None:
    """Whether an attempt of this load created the record; None: that cannot be told."""
    if evidence.taken.get(record.id):
        return False
    if evidence.stamped:
        return True
    at = record.created_time
    if at is not None and at < evidence.doubt_since - CLOCK_SLACK_S:
        return False
    if at is None or not evidence.own_user_ids or not record.created_by_id:
        return None
    return record.created_by_id in evidence.own_user_ids


def _decide_one(claim: Claim, evidence: Evidence, given: set[str]) -> RecordOutcome | None:
    key = evidence.keys.get(claim.line, "")
    candidates = [record for record in evidence.existing if _bears(record, key, evidence.key_field)]
    for record in candidates:
        ours = False if record.id in given else _ours(record, evidence)
        if ours is None or (ours and not _provable(record, candidates, evidence)):
            return None
        if ours:
            return RecordOutcome(claim.line, Outcome.INSERTED, id=record.id, recovered=True)
    if candidates:
        return claim.refusal
    if claim.refusal.outcome is Outcome.REJECTED:
        return claim.refusal if evidence.complete and key else None
    known = {record.id for record in evidence.existing}
    # A duplicate of a record that cannot be seen may be anybody's; one that bears another key is not ours.
    return claim.refusal if any(identifier in known for identifier in claim.existing_ids) else None


def _bears(record: ExistingRecord, key: str, key_field: str) -> bool:
    return bool(key) and fold(record.values.get(key_field)) == key
