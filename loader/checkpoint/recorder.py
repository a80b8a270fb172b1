"""The ledger and the log as one: what the loader's other parts call when something becomes known.

Each entry is folded before it is written, so that an entry which contradicts the log never gets into it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from loader.checkpoint import ranges
from loader.checkpoint.entries import (
    Doubt,
    Entry,
    NotApplied,
    Resolved,
    Sent,
    WindowEntry,
    batch_entry,
    encode_frame,
    outcomes_of,
)
from loader.checkpoint.ledger import Ledger
from loader.checkpoint.log import CheckpointLog
from loader.errors import LoaderError
from loader.events import (
    Observer,
    RecordsHeld,
    WindowIntended,
)
from loader.outcomes import Cause, ErrorCount, Settlement
from loader.records import Attempt, Window

OUTCOME_BYTES_RESERVED = 512
"""Disk space kept free for one open record: its outcome with a long message."""
ANSWER_BYTES_RESERVED = 64 * 1024
"""Disk space kept free beside that, for the frames of attempts."""


class Recorder:
    """Writes down what happens to the records of one load.

    It tells the observer of windows and of held records; of attempts their sender tells. `clock` (Unix
    seconds by the server's clock) says when an answer was known: nothing is decided by it.
    """

    def __init__(
        self,
        log: CheckpointLog,
        observer: Observer,
        *,
        input_bytes_read: Callable[[], int] | None = None,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._log = log
        self._observer = observer
        self._input_bytes_read = input_bytes_read
        self._clock = clock
        self._durable_batch = log.ledger.next_batch - 1

    @property
    def ledger(self) -> Ledger:
        return self._log.ledger

    @property
    def log(self) -> CheckpointLog:
        return self._log

    async def intend(self, window: Window) -> None:
        """Makes the window durable; only when this has returned may its batches be sent.

        Raises:
            DiskError: the log is poisoned, or the disk has no room for what the window may need.
        """
        if not window.batches:
            return
        entry = WindowEntry(tuple(batch_entry(batch) for batch in window.batches))
        size = len(encode_frame(entry, offset=0, synced=0))
        self._reserve(records=sum(len(batch.lines) for batch in window.batches), more=size)
        await self._log.sync(self._record(entry))
        self._durable_batch = max(self._durable_batch, window.batches[-1].number)
        self._tell_window(window)

    def _tell_window(self, window: Window) -> None:
        offset = window.batches[-1].span.stop
        self._observer(
            WindowIntended(
                records=sum(len(batch.lines) for batch in window.batches),
                invalid=sum(len(batch.invalid) for batch in window.batches),
                blank=sum(len(batch.blank) for batch in window.batches),
                input_offset=offset,
                input_bytes_read=offset if self._input_bytes_read is None else self._input_bytes_read(),
                errors=_errors_of(window),
            )
        )

    def sent(self, attempt: Attempt, at: float) -> None:
        """Writes that the attempt is about to leave, at `at` (Unix seconds by the server's clock).

        Raises:
            DiskError: the log is poisoned or has no room for the answer: do not send.
            LoaderError: the attempt may not leave; a defect of the caller, and nothing was written.
        """
        lines = ranges.from_lines(attempt.lines)
        self._require_allowed(attempt, lines)
        self._reserve(records=0, more=0)
        self._record(Sent(attempt.batch, attempt.number, lines, at, attempt.in_doubt))

    def _require_allowed(self, attempt: Attempt, lines: ranges.Ranges) -> None:
        why = ""
        if attempt.batch > self._durable_batch or self.ledger.is_released(attempt.batch, lines):
            why = "its window is not durable"
        elif not attempt.in_doubt and self.ledger.may_repeat(attempt.batch, lines):
            why = "an earlier attempt at its records may have been applied, and it does not say so"
        if why:
            raise LoaderError(
                f"attempt {attempt.number} at batch {attempt.batch} was not sent",
                why=why,
                hint="This is a defect of the loader: please report it with the load's summary",
            )

    def not_applied(self, attempt: Attempt, reason: str, cause: Cause = Cause.OTHER) -> None:
        """Writes that the attempt was proved not applied to those records that it names here."""
        lines = ranges.from_lines(attempt.lines)
        if lines:
            self._record(NotApplied(attempt.batch, attempt.number, lines, reason, self._clock(), cause))

    def settle(self, attempt: Attempt, settlement: Settlement) -> None:
        """Writes the final outcomes that a reply to the attempt gave."""
        if settlement.lines or settlement.others:
            self._record(outcomes_of(attempt.batch, attempt.number, settlement, at=self._clock()))

    def doubt(self, attempt: Attempt, lines: Sequence[int], reason: str, *, held: bool) -> None:
        """Writes that `lines` may have been applied; `held`: no rung can settle them, a person must."""
        doubtful = ranges.from_unordered(lines)
        if not doubtful:
            return
        self._record(Doubt(attempt.batch, attempt.number, doubtful, reason, held, self._clock()))
        if held:
            self._observer(RecordsHeld(len(lines)))

    async def resolve(self, attempt: Attempt, *, by: str, evidence: str, at: float) -> None:
        """Writes, durably, that the attempt's records were in doubt and are not applied.

        They are out of their window then: only after `intend_again` may they be sent.

        Raises:
            DiskError: the log is poisoned.
        """
        lines = ranges.from_lines(attempt.lines)
        if lines:
            await self._log.sync(self._record(Resolved(attempt.batch, lines, by, evidence, at)))

    async def intend_again(self, attempt: Attempt) -> None:
        """Makes a window durable that allows resolved records to leave once more.

        Raises:
            DiskError: the log is poisoned, or has no room for the answer.
        """
        lines = ranges.from_lines(attempt.lines)
        if lines:
            self._reserve(records=0, more=0)
            await self._log.sync(self._record(WindowEntry((), again=((attempt.batch, lines),))))

    async def seal(self, at: float) -> None:
        """Writes, durably, that the load is complete.

        Raises:
            DamagedLogError: a record has no final outcome yet; nothing was written.
            DiskError: the disk refused.
        """
        await self._log.sync(self._record(self.ledger.seal_entry(at=at)))

    def _record(self, entry: Entry) -> int:
        self.ledger.apply(entry)
        return self._log.append(entry)

    def _reserve(self, *, records: int, more: int) -> None:
        open_records = self.ledger.open_records + records
        self._log.reserve(open_records * OUTCOME_BYTES_RESERVED + ANSWER_BYTES_RESERVED + more)


def _errors_of(window: Window) -> list[ErrorCount]:
    kinds = Counter((one.code, one.field) for batch in window.batches for one in batch.invalid)
    return [ErrorCount(code, field, count) for (code, field), count in kinds.items()]
