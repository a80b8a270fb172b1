"""The source's own key in each record, and which keys are open.

Two records with the same key are never open at once: were both in doubt, nothing could tell which of them the
CRM holds. The later one waits until the earlier one has its outcome.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

import anyio
import msgspec

from loader.records import Attempt


def fold(value: object) -> str:
    """A key as it is compared: trimmed and case-folded; empty where there is no value."""
    if value is None or isinstance(value, bool | list | dict):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # the CRM gives 7.0 back as 7
    return str(value).strip().casefold()


class KeyReader:
    """Reads one field out of a record's raw line."""

    def __init__(self, field: str) -> None:
        self.field = field
        shape = msgspec.defstruct(
            "Keyed", [("value", object, None)], rename={"value": field}, frozen=True, gc=False
        )
        self._decoder = msgspec.json.Decoder(shape)

    def value(self, record: bytes) -> object:
        """The record's key as it stands there; None where it has none or is no record."""
        try:
            return self._decoder.decode(record).value  # type: ignore[attr-defined]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def read(self, record: bytes) -> str:
        """The record's folded key; empty where it has none or is no record."""
        return fold(self.value(record))


class OpenKeys:
    """The keys of records that are under way, so that none is under way twice."""

    def __init__(self, reader: KeyReader) -> None:
        self._reader = reader
        self._open: set[str] = set()
        self._released = anyio.Event()

    def claim(self, attempt: Attempt) -> tuple[Attempt, Attempt]:
        """Split into the records that may go now and those whose key is open, and open the keys of the first.

        A record without a key never waits.
        """
        now: list[int] = []
        later: list[int] = []
        mine: set[str] = set()
        for position, record in enumerate(attempt.records):
            key = self._reader.read(record)
            if key and (key in mine or key in self._open):
                later.append(position)
                continue
            now.append(position)
            if key:
                mine.add(key)
        self._open |= mine
        return subset(attempt, now), subset(attempt, later)

    def release(self, attempt: Attempt) -> None:
        """The records of a claimed attempt have their outcomes, or are held."""
        self._open.difference_update(self._reader.read(record) for record in attempt.records)
        self._released.set()
        self._released = anyio.Event()

    async def wait_for_release(self) -> None:
        """Until some key has been released."""
        await self._released.wait()


def subset(attempt: Attempt, positions: Sequence[int]) -> Attempt:
    """The attempt with the records at these positions only."""
    if len(positions) == len(attempt.lines):
        return attempt
    return msgspec.structs.replace(
        attempt,
        lines=[attempt.lines[position] for position in positions],
        records=[attempt.records[position] for position in positions],
    )


def at_lines(attempt: Attempt, lines: Collection[int]) -> Attempt:
    """The attempt with the records of these lines only."""
    wanted = set(lines)
    return subset(attempt, [place for place, line in enumerate(attempt.lines) if line in wanted])


def shared_keys(field: str, attempts: Iterable[Attempt]) -> frozenset[str]:
    """The keys that more than one record of these attempts bears."""
    reader = KeyReader(field)
    seen = Counter(reader.read(record) for attempt in attempts for record in attempt.records)
    return frozenset(key for key, times in seen.items() if key and times > 1)
