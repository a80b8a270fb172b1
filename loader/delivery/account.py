"""Writes down what becomes known of an attempt, and tells whoever watches: always both, in this order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from loader.events import (
    BatchAnswered,
    BatchInDoubt,
    BatchRefused,
    BatchSent,
    Observer,
    QuietPeriodBegan,
    QuietPeriodEnded,
)
from loader.outcomes import Cause, ErrorCount, Outcome, Settlement
from loader.records import Attempt


class Recorder(Protocol):
    """Writes down what happens to an attempt, durably enough for each."""

    def sent(self, attempt: Attempt, at: float) -> None: ...

    def not_applied(self, attempt: Attempt, reason: str, cause: Cause) -> None: ...

    def settle(self, attempt: Attempt, settlement: Settlement) -> None: ...

    def doubt(self, attempt: Attempt, lines: Sequence[int], reason: str, *, held: bool) -> None: ...

    async def resolve(self, attempt: Attempt, *, by: str, evidence: str, at: float) -> None: ...

    async def intend_again(self, attempt: Attempt) -> None: ...


class Account:
    """A recorder and an observer as one."""

    def __init__(self, recorder: Recorder, observe: Observer) -> None:
        self._recorder = recorder
        self._observe = observe
        self._rests = 0
        self._resting = 0
        self.intend_again = recorder.intend_again
        self.resolve = recorder.resolve

    def sent(self, attempt: Attempt, at: float) -> None:
        """An attempt's first byte is about to leave."""
        self._recorder.sent(attempt, at)
        self._observe(BatchSent(attempt.batch, attempt.number, len(attempt.lines)))

    def not_sent(self, attempt: Attempt, reason: str) -> None:
        """Nothing left after all."""
        self._recorder.not_applied(attempt, reason, Cause.UNREACHED)

    def not_applied(self, attempt: Attempt, reason: str, cause: Cause) -> None:
        """The attempt was proved not applied."""
        self._recorder.not_applied(attempt, reason, cause)
        self._observe(BatchRefused(attempt.batch, attempt.number, reason))

    def settled(self, attempt: Attempt, settlement: Settlement, *, latency_s: float = 0.0) -> None:
        """Records have their outcomes."""
        if settlement.lines or settlement.others:
            self._recorder.settle(attempt, settlement)
            self._observe(_answered(attempt, settlement, latency_s))

    def in_doubt(self, attempt: Attempt, lines: Sequence[int], reason: str) -> None:
        """Records may have been applied; that will be looked into."""
        self._recorder.doubt(attempt, lines, reason, held=False)
        self._observe(BatchInDoubt(attempt.batch, attempt.number, len(lines), reason))

    def found_in_doubt(self, attempt: Attempt, reason: str) -> None:
        """The log says so already; whoever watches has to know what the load is waiting for."""
        self._observe(BatchInDoubt(attempt.batch, attempt.number - 1, len(attempt.lines), reason, True))

    @contextmanager
    def resting(self, attempt: Attempt, seconds: float, *, then: str) -> Iterator[None]:
        """Records in doubt rest; `then` they are `sent again` or `asked for`."""
        self._rests += 1
        number = self._rests
        alone = not self._resting
        self._resting += 1
        self._observe(QuietPeriodBegan(number, attempt.batch, len(attempt.lines), seconds, then, alone))
        try:
            yield
        finally:
            self._resting -= 1
            self._observe(QuietPeriodEnded(number))

    def held(self, attempt: Attempt, lines: Sequence[int], reason: str) -> None:
        """Records may have been applied, and only a person can say."""
        self._recorder.doubt(attempt, lines, reason, held=True)


def _answered(attempt: Attempt, settled: Settlement, latency_s: float) -> BatchAnswered:
    if not settled.others:
        return BatchAnswered(attempt.batch, attempt.number, latency_s, len(settled.lines), 0, 0, 0)
    counts = {Outcome.INSERTED: len(settled.lines), Outcome.DUPLICATE: 0, Outcome.REJECTED: 0}
    recovered = 0
    errors: Counter[tuple[str, str]] = Counter()
    for outcome in settled.others:
        counts[outcome.outcome] += 1
        recovered += outcome.recovered
        if outcome.outcome is Outcome.REJECTED:
            errors[outcome.code, outcome.field] += 1
    return BatchAnswered(
        attempt.batch,
        attempt.number,
        latency_s,
        counts[Outcome.INSERTED],
        counts[Outcome.DUPLICATE],
        counts[Outcome.REJECTED],
        recovered,
        [ErrorCount(code, field, count) for (code, field), count in errors.items()],
        [one for one in settled.others if one.outcome is Outcome.REJECTED],
    )
