"""What a load's log is counted as, for people and programs. Pure.

Nothing here is asked when it is decided what may be sent: that is the `Ledger`'s, which counts by this.
"""

from __future__ import annotations

import msgspec

from loader.checkpoint.entries import OtherOutcome, Outcomes, known_outcome
from loader.outcomes import ErrorCount, Outcome
from loader.wire.limits import credits_for

ERROR_KINDS_MAX = 1000
"""Beyond so many different (code, field) pairs the rest is counted as one, whatever a server may invent."""
OTHER_ERRORS = ("OTHER_CODES", "")


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of a load. `inserted` to `pending` are disjoint and add up to `records`."""

    inserted: int
    duplicate: int
    rejected: int
    invalid: int
    in_doubt: int
    pending: int
    held: int
    """Of `in_doubt`: those that wait for a person."""
    recovered: int
    """Of `inserted`: those that were in doubt and were shown to be ours."""
    absent: int = 0
    """Records in doubt that were asked for twice, were not there, and were sent again."""
    blank: int
    calls: int
    retries: int
    resumes: int
    credits: int
    """What the calls cost that may have been charged."""
    errors: tuple[ErrorCount, ...]
    """Rejected and invalid records by code and field, most frequent first."""

    @property
    def records(self) -> int:
        return self.inserted + self.duplicate + self.rejected + self.invalid + self.in_doubt + self.pending

    def count(self, outcome: Outcome) -> int:
        number: int = getattr(self, outcome.value)
        return number


class Counts:
    """What has been counted so far; of records without a final outcome it knows nothing."""

    def __init__(self) -> None:
        self.settled = {Outcome.INSERTED: 0, Outcome.DUPLICATE: 0, Outcome.REJECTED: 0, Outcome.INVALID: 0}
        self.absent = 0
        self.blank = 0
        self._recovered = 0
        self._calls = 0
        self._credits = 0
        self._retries = 0
        self._errors: dict[tuple[str, str], int] = {}

    def call(self, *, records: int, attempt: int) -> None:
        """A call with so many records leaves: the first of its batch, or a later one."""
        self._calls += 1
        self._credits += credits_for(records)
        if attempt > 1:
            self._retries += 1

    def not_charged(self, *, records: int) -> None:
        """A call with so many records cost nothing after all."""
        self._credits -= credits_for(records)

    def settle(self, entry: Outcomes, *, plain: int) -> None:
        """Adds the outcomes of one frame, `plain` of which are plain successes."""
        self.settled[Outcome.INSERTED] += plain
        for one in entry.others:
            self._settle_other(one)

    def _settle_other(self, one: OtherOutcome) -> None:
        outcome = known_outcome(one.outcome)
        self._recovered += outcome is Outcome.INSERTED and one.recovered
        self.add(outcome, one.code, one.field)

    def add(self, outcome: Outcome, code: str, field: str) -> None:
        """Adds one final outcome."""
        self.settled[outcome] += 1
        if outcome in (Outcome.REJECTED, Outcome.INVALID):
            kind = (code, field)
            if kind not in self._errors and len(self._errors) >= ERROR_KINDS_MAX:
                kind = OTHER_ERRORS
            self._errors[kind] = self._errors.get(kind, 0) + 1

    def tally(self, *, in_doubt: int, pending: int, held: int, resumes: int) -> Tally:
        """The counts as a value, with what the ledger knows of the records that are open."""
        by_count = sorted(self._errors.items(), key=lambda item: (-item[1], item[0]))
        return Tally(
            inserted=self.settled[Outcome.INSERTED],
            duplicate=self.settled[Outcome.DUPLICATE],
            rejected=self.settled[Outcome.REJECTED],
            invalid=self.settled[Outcome.INVALID],
            in_doubt=in_doubt,
            pending=pending,
            held=held,
            recovered=self._recovered,
            absent=self.absent,
            blank=self.blank,
            calls=self._calls,
            retries=self._retries,
            resumes=resumes,
            credits=self._credits,
            errors=tuple(ErrorCount(code, field, count) for (code, field), count in by_count),
        )
