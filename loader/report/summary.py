"""What a load came to: the numbers of `summary.json`, and the exit code that they make.

Pure. Every figure is handed in; nothing here reads the log, a file or a clock.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from loader.checkpoint.ledger import Tally
from loader.errors import ExitCode
from loader.outcomes import ErrorCount, Outcome

IGNORED_MAX = 50
"""Names of ignored fields that a summary holds."""


class Outcomes(msgspec.Struct, frozen=True):
    """How many records stand where. Their sum is the number of records."""

    inserted: int = 0
    duplicate: int = 0
    rejected: int = 0
    invalid: int = 0
    in_doubt: int = 0
    pending: int = 0

    @property
    def records(self) -> int:
        return sum(msgspec.structs.astuple(self))

    @property
    def settled(self) -> int:
        return self.records - self.in_doubt - self.pending

    def of(self, outcome: Outcome) -> int:
        number: int = getattr(self, outcome.value)
        return number


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """What a load took beyond what its log tells, over all of its runs as far as they are known."""

    credits: int = 0
    refreshes: int = 0
    seconds: float = 0.0
    settled: int | None = None
    """Records that were settled within `seconds`; None: all of them."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A load at its end, or where it stands. Its fields are those of `summary.json`, in their order."""

    load_id: str
    module: str
    input: str
    records: int
    outcomes: Outcomes
    errors: tuple[ErrorCount, ...] = ()
    calls: int = 0
    retries: int = 0
    recovered: int = 0
    credits: int = 0
    refreshes: int = 0
    resumes: int = 0
    seconds: float = 0.0
    records_per_second: float = 0.0
    complete: bool = False
    exit_code: int = 0
    lines: int = 0
    """Lines of the input that were read: records and blank lines."""
    blank_lines: int = 0
    absent: int = 0
    """Records in doubt that were asked for twice, were not there, and were sent again."""
    ignored_fields: tuple[str, ...] = ()
    """The first few members that the API ignores: of no field, or of one that inserts do not set."""


def summarise(
    tally: Tally,
    *,
    load_id: str,
    module: str,
    input_name: str,
    effort: Effort,
    lines: int | None = None,
    complete: bool,
    ok_duplicates: bool = False,
    stopped_by: ExitCode | None = None,
    ignored_fields: Iterable[str] = (),
) -> Summary:
    """A Summary of what the log adds up to.

    `lines` is how many lines the reader read; without it, it is taken to be what the outcomes account for.
    """
    outcomes = Outcomes(**{outcome.value: tally.count(outcome) for outcome in Outcome})
    settled = outcomes.settled if effort.settled is None else effort.settled
    return Summary(
        load_id=load_id,
        module=module,
        input=input_name,
        records=outcomes.records,
        outcomes=outcomes,
        errors=tuple(sorted(tally.errors, key=lambda error: (-error.count, error.code, error.field))),
        calls=tally.calls,
        retries=tally.retries,
        recovered=tally.recovered,
        credits=effort.credits,
        refreshes=effort.refreshes,
        resumes=tally.resumes,
        seconds=round(effort.seconds, 3),
        records_per_second=round(settled / effort.seconds, 1) if effort.seconds > 0 else 0.0,
        complete=complete,
        exit_code=int(exit_code_of(outcomes, ok_duplicates=ok_duplicates, stopped_by=stopped_by)),
        lines=outcomes.records + tally.blank if lines is None else lines,
        blank_lines=tally.blank,
        absent=tally.absent,
        ignored_fields=tuple(dict.fromkeys(ignored_fields))[:IGNORED_MAX],
    )


def exit_code_of(
    outcomes: Outcomes, *, ok_duplicates: bool = False, stopped_by: ExitCode | None = None
) -> ExitCode:
    """The exit code of a load that ended so.

    What stopped a load goes first: it says whether to run it again, and the outcomes speak when it has come
    to its end. Then records in doubt go before records that nobody has tried (`pending`): a person's word, or
    the CRM's, that they are not there does not send them, a run more does. Then what was refused.
    """
    if stopped_by is not None:
        return stopped_by
    if outcomes.in_doubt:
        return ExitCode.IN_DOUBT
    if outcomes.pending:
        return ExitCode.NOT_NOW
    duplicates = 0 if ok_duplicates else outcomes.duplicate
    if outcomes.rejected or outcomes.invalid or duplicates:
        return ExitCode.NOT_ALL_INSERTED
    return ExitCode.OK


def to_json(summary: Summary, *, indent: int = 0) -> bytes:
    """The bytes of `--json` (one line) and of `summary.json` (indented), without a line end."""
    line = msgspec.json.encode(summary)
    return msgspec.json.format(line, indent=indent) if indent else line


def from_json(stored: bytes) -> Summary:
    """What `to_json` wrote; fields that this version does not know are left alone.

    Raises:
        msgspec.DecodeError: those bytes are not a summary.
    """
    return msgspec.json.decode(stored, type=Summary)


def at_its_end(summary: Summary) -> bool:
    """Everything was tried, and some of it is in doubt: it ended, but a person is still to decide."""
    return summary.exit_code == ExitCode.IN_DOUBT and not summary.outcomes.pending
