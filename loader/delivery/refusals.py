"""Calls that the API refuses as a whole: is it one record's doing, or the load's?

One batch that is refused is halved until the record that causes it is found. A refusal that a second batch
meets, with no success between, concerns the load: halving every batch would find nothing and cost credits.
"""

from __future__ import annotations

from loader.delivery.policy import Stop, Verdict
from loader.errors import CredentialsError, LoaderError, UsageError
from loader.outcomes import Outcome, RecordOutcome, Settlement
from loader.records import Attempt
from loader.wire.codes import facts


class RefusalWatch:
    """Which refusal the load met last, and which batch met it."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def passed(self) -> None:
        """A call was answered record by record: what was refused before was that batch's own doing."""
        self._seen.clear()

    def refused(self, attempt: Attempt, verdict: Verdict) -> None:
        """Note a refusal.

        Raises:
            UsageError: another batch met the same one and nothing has passed since.
        """
        first = self._seen.setdefault(verdict.code or verdict.reason, attempt.batch)
        if first != attempt.batch:
            raise stop_error(Stop.CONFIGURATION, verdict.reason, verdict.code)

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
