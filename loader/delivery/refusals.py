"""Calls that the API refuses as a whole: is it one record's doing, or the load's?

One batch that is refused is halved until the record that causes it is found. A refusal that a second batch
meets, with no success between, concerns the load. But batches that are in flight together may each have a bad
record, and nothing could pass between: so it is single records of two batches that have to meet it.
"""

from __future__ import annotations

from loader.delivery.policy import Stop, Verdict
from loader.errors import CredentialsError, LoaderError, UsageError
from loader.outcomes import Outcome, RecordOutcome, Settlement
from loader.records import Attempt
from loader.wire.codes import MEND, facts

SINGLES_MAX = 4
"""So many records, each by itself and not all of one batch, meet a refusal that concerns the load."""


TOKENS_IN_A_ROW_MAX = 3
"""So many access tokens, each newer than the one before, are refused with no call between that passed."""


class RefusalWatch:
    """Which refusals the load has met since a call passed, and which records met them alone."""

    def __init__(self) -> None:
        self._alone: dict[str, set[tuple[int, int]]] = {}
        self._tokens: set[int] = set()

    def passed(self) -> None:
        """A call was answered record by record: what was refused before was that batch's own doing."""
        self._alone.clear()
        self._tokens.clear()

    def token_refused(self, number: int) -> bool:
        """Note that access token `number` was refused; true if a newer one would be, too.

        Tokens that die in mid-load do not stop it: new ones pass. One after another that never did.
        """
        self._tokens.add(number)
        return len(self._tokens) >= TOKENS_IN_A_ROW_MAX

    def refused(self, attempt: Attempt, verdict: Verdict) -> bool:
        """Note a refusal; true if the same was met before and nothing has passed since.

        Raises:
            UsageError: records of two batches met it, each alone.
        """
        kind = verdict.code or verdict.reason
        again = kind in self._alone
        alone = self._alone.setdefault(kind, set())
        if len(attempt.lines) == 1:
            alone.add((attempt.batch, attempt.lines[0]))
        if len(alone) >= SINGLES_MAX and len({batch for batch, _ in alone}) > 1:
            raise stop_error(Stop.CONFIGURATION, verdict.reason, verdict.code)
        return again

    def rejection(self, attempt: Attempt, verdict: Verdict) -> Settlement:
        """The outcome of records that are refused for good, each by itself."""
        code = verdict.code or verdict.reason
        return Settlement(
            others=[
                RecordOutcome(line, Outcome.REJECTED, code=code, message=verdict.reason)
                for line in attempt.lines
            ]
        )


def stop_error(stop: Stop, reason: str, code: str) -> LoaderError:
    """Why the load stops, for a person."""
    advice = facts(code).advice if code else ""
    if advice.endswith(MEND):
        # No record is rejected for it and the load is not finished: there is nothing to retry yet.
        advice = advice.removesuffix(MEND) + (
            "Records of several batches met it: put right in the CRM what the API names, then run the same"
            " command again; or mend the input and, while nothing of it is inserted, start over with --new."
        )
    if stop is Stop.CREDENTIALS:
        return CredentialsError(
            "the API refuses these credentials",
            why=reason,
            hint=advice or "Look at the credentials and their scopes, then run the same command again.",
        )
    if stop is Stop.OPTION:
        return UsageError(
            "the API refuses an option of this load",
            why=reason,
            hint="No record was inserted by these calls. A load keeps its options: while nothing of it is"
            " inserted, correct the flag and start over with --new; else put right in the CRM what the API"
            " names, then run the same command again.",
        )
    return UsageError(
        "the API refuses every call of this load",
        why=reason,
        hint=advice or "Look at --dc, --api-domain and --module, then run the same command again.",
    )
