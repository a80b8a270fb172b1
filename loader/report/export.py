"""The files that a load leaves beside its log, and the lines that `loader results` prints.

Memory stays flat: records go by one at a time, and the original lines come from whoever can read the input
again. Nothing here decides what became of a record.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, suppress
from functools import cache, partial
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import msgspec

from loader.errors import DiskError, command
from loader.outcomes import Outcome, RecordOutcome
from loader.report.advice import typed
from loader.report.summary import Summary, to_json
from loader.source.lookup import Lookup
from loader.wire.codes import facts

REJECTED = "rejected.ndjson"
REASONS = "rejected-reasons.ndjson"
IN_DOUBT = "in-doubt.ndjson"
SUMMARY = "summary.json"
REPORT = "report.html"

FAILED = frozenset({Outcome.REJECTED, Outcome.INVALID, Outcome.IN_DOUBT})
"""What `--failed` shows: records that somebody has to look at. A duplicate is in the CRM already; a pending
record has not been tried yet."""


class Reason(msgspec.Struct, frozen=True):
    """One line of `rejected-reasons.ndjson`: why the same line of `rejected.ndjson` was refused."""

    line: int
    code: str
    field: str
    message: str
    advice: str = msgspec.field(name="what_to_do")


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of `loader results`. What has no value is left out."""

    line: int
    offset: int | None = None
    outcome: Outcome
    id: str = ""
    code: str = ""
    message: str = ""
    field: str = ""
    key: str = ""
    recovered: bool = False


def write_exports(
    load_dir: Path,
    summary: Summary,
    outcomes: Iterable[RecordOutcome],
    lookup: Lookup,
    *,
    retry: str = "",
) -> int:
    """Writes `rejected.ndjson`, its reasons, `in-doubt.ndjson` and `summary.json`, each whole or not at all.

    `retry`: the load to be named to `loader retry`, where that is another one.
    `outcomes` comes in input order. A file without a line is not made, and an older one of that name goes.

    Returns: how many lines `lookup` no longer has; neither they nor their reasons are in the files.

    Raises:
        DiskError: a file could not be written.
    """
    try:
        with ExitStack() as files:
            rejected, reasons, in_doubt = (
                files.enter_context(AtomicFile(load_dir / name)) for name in (REJECTED, REASONS, IN_DOUBT)
            )
            words = partial(typed, load_dir=str(load_dir), retry=retry)
            missing = _Sorter(rejected, reasons, in_doubt, typed=words).sort(outcomes, lookup)
        write_summary(load_dir, summary)
    except OSError as error:
        raise DiskError(
            f"cannot write the reports of this load into {load_dir}",
            why=str(error),
            hint=f"The checkpoint log holds every outcome: {command('results', load_dir)}",
        ) from error
    return missing


def write_summary(load_dir: Path, summary: Summary) -> None:
    """Writes `summary.json`."""
    with AtomicFile(load_dir / SUMMARY) as stored:
        stored.write(to_json(summary, indent=2) + b"\n")


class _Sorter:
    """Puts original lines into the files that they belong to."""

    def __init__(
        self,
        rejected: AtomicFile,
        reasons: AtomicFile,
        in_doubt: AtomicFile,
        *,
        typed: Callable[[str], str],
    ) -> None:
        self._rejected = rejected
        self._reasons = reasons
        self._in_doubt = in_doubt
        self._typed = cache(typed)
        self._asked: deque[RecordOutcome] = deque()
        """Asked for and not found yet: one or two, for the lookup goes through the input in order."""

    def sort(self, outcomes: Iterable[RecordOutcome], lookup: Lookup) -> int:
        """Goes through all outcomes; returns how many lines were not found."""
        numbers = _noting((one for one in outcomes if one.outcome in FAILED), self._asked)
        missing = number = 0
        target, ended = self._rejected, True
        for found in lookup(numbers):
            if found.line != number:
                if not ended:
                    target.write(b"\n")
                missing += self._pass_over(found.line)
                number, target = found.line, self._begin(self._asked.popleft())
            target.write(found.raw)
            ended = found.raw.endswith(b"\n")
        if not ended:
            target.write(b"\n")
        missing += len(self._asked)
        return missing + sum(1 for _ in numbers)

    def _pass_over(self, line: int) -> int:
        """Gives up on the lines before this one; returns how many they were."""
        passed = 0
        while self._asked[0].line < line:
            self._asked.popleft()
            passed += 1
        return passed

    def _begin(self, record: RecordOutcome) -> AtomicFile:
        """The file for this record's line; a refused one gets its reason written beside it."""
        if record.outcome is Outcome.IN_DOUBT:
            return self._in_doubt
        advice = self._typed(facts(record.code).advice)
        reason = Reason(record.line, record.code, record.field, record.message, advice)
        self._reasons.write(msgspec.json.encode(reason) + b"\n")
        return self._rejected


class AtomicFile:
    """A file that appears under its name when it is whole and synced, readable by its owner only.

    Nothing written: nothing appears, and what was there before under that name is removed. `mode` is for
    files that others are meant to read.
    """

    def __init__(self, path: Path, *, mode: int = 0o600) -> None:
        self._path = path
        self._mode = mode
        self._temporary = path.with_name(f".{path.name}.part")
        self._stream: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def write(self, content: bytes) -> None:
        if self._stream is None:
            self._temporary.unlink(missing_ok=True)  # what a killed loader left
            descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, self._mode)
            self._stream = os.fdopen(descriptor, "wb", buffering=256 * 1024)
        self._stream.write(content)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._stream is None:
            if kind is None:
                self._path.unlink(missing_ok=True)
        elif kind is None:
            self._publish(self._stream)
        else:
            self._stream.close()
            self._temporary.unlink(missing_ok=True)

    def _publish(self, stream: BinaryIO) -> None:
        with stream:
            stream.flush()
            os.utime(stream.fileno())  # the time at which it appears, not that of its last full buffer
            os.fsync(stream.fileno())
        self._temporary.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def results(
    outcomes: Iterable[RecordOutcome],
    *,
    only: Collection[Outcome] | None = None,
    lookup: Lookup | None = None,
    key: str = "",
) -> Iterator[Result]:
    """What `loader results` prints: a Result for each outcome (of `only` these), in the order given.

    With `lookup`, which should find nearly every line, each tells its offset and its value of `key`, a field.
    """
    shown = (record for record in outcomes if only is None or record.outcome in only)
    if lookup is None:
        yield from map(_result, shown)
        return
    asked: deque[RecordOutcome] = deque()
    numbers = _noting(shown, asked)
    read_key = _key_reader(key)
    for found in lookup(numbers):
        while asked and asked[0].line < found.line:
            yield _result(asked.popleft())
        if asked and asked[0].line == found.line:  # else it is one more piece of a long line
            yield _result(asked.popleft(), offset=found.offset, key=read_key(found.raw))
    yield from map(_result, asked)
    yield from map(_result, shown)


def _noting(records: Iterator[RecordOutcome], asked: deque[RecordOutcome]) -> Iterator[int]:
    """The lines of these records; each record is noted in `asked` when its line is."""
    for record in records:
        asked.append(record)
        yield record.line


def _result(record: RecordOutcome, *, offset: int | None = None, key: str = "") -> Result:
    return Result(
        line=record.line,
        offset=offset,
        outcome=record.outcome,
        id=record.id,
        code=record.code,
        message=record.message,
        field=record.field,
        key=key,
        recovered=record.recovered,
    )


def _key_reader(key: str) -> Callable[[bytes], str]:
    """Reads a record's value of the field `key`, as text; empty where there is none, or no record."""
    if not key:
        return lambda _: ""
    keyed = msgspec.defstruct("Keyed", [("value", Any, msgspec.field(name=key, default=None))])
    decoder = msgspec.json.Decoder(keyed)

    def read(raw: bytes) -> str:
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            value = getattr(decoder.decode(raw), "value")  # noqa: B009 - the class is made here
            return "" if value is None or isinstance(value, (dict, list)) else str(value)
        return ""

    return read
