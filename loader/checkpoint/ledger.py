"""What the checkpoint log adds up to: a fold over its entries, the same one live and at a restart.

Pure. Memory is flat: only batches with an unsettled record are kept, all else is a count. Nothing here
decides what is sent; it only says what is known.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from loader.checkpoint import ranges
from loader.checkpoint.entries import (
    FORMAT_VERSION,
    Answer,
    BatchEntry,
    Doubt,
    Entry,
    Head,
    NewerLoaderError,
    NotApplied,
    Open,
    Outcomes,
    Resolved,
    Seal,
    Sent,
    WindowEntry,
    restricted,
)
from loader.checkpoint.ranges import NONE, Ranges
from loader.checkpoint.tally import Counts, Tally
from loader.checkpoint.unsettled import OpenBatch, Unsettled, all_lines
from loader.errors import DiskError, command
from loader.outcomes import Outcome
from loader.records import Span

__all__ = ["DamagedLogError", "Ledger", "Tally", "still_open"]


class DamagedLogError(DiskError):
    """The log contradicts itself, or lost what it had confirmed: nothing may be sent on its word."""

    def __init__(self, why: str, *, offset: int | None = None, load_dir: Path | None = None) -> None:
        place = "" if offset is None else f" at byte {offset:,}"
        repair = command("repair", "DIR" if load_dir is None else load_dir)
        super().__init__(
            f"the checkpoint log is damaged{place}",
            why=f"{why}\nNothing was sent.",
            hint=f"Mark what the damage covers as in doubt, which sends nothing: {repair}",
        )
        self.reason = why
        self.offset = offset

    def of(self, path: Path) -> DamagedLogError:
        """The same of the log at `path`, whose directory is named in what to type."""
        return DamagedLogError(self.reason, offset=self.offset, load_dir=path.parent)


class Ledger:
    """The fold. Every method but `apply` and `stop` only reads."""

    def __init__(self) -> None:
        self.head: Head | None = None
        self.last_open: Open | None = None
        self.sealed = False
        self.opened_since_seal = False
        """A finished load was taken up again, because its input had grown and that was meant."""
        self.next_batch = 1
        self.next_line = 1
        self.next_offset = 0
        self.last_span: Span | None = None
        """The span of the last batch in a window."""
        self.records = 0
        """Lines that have an outcome or may get one: all but the blank ones."""
        self._unsettled: dict[int, Unsettled] = {}
        self._open_records = 0
        self._counts = Counts()
        self._opens = 0
        self._user_ids: set[str] = set()
        self._latest_at = 0.0
        self._answered_at = 0.0
        self._earlier_s = 0.0
        self._checksum = 0
        self._offset: int | None = None
        self._fold: dict[type[Entry], Callable[[Any], None]] = {
            Head: self._begin,
            Open: self._open,
            WindowEntry: self._window,
            Sent: self._sent,
            NotApplied: self._not_applied,
            Outcomes: self._outcomes,
            Doubt: self._doubt,
            Resolved: self._resolved,
            Seal: self._seal,
        }

    def apply(self, entry: Entry, *, offset: int | None = None) -> None:
        """Adds one entry; `offset` is where it stands in the log, for the message.

        Raises:
            DamagedLogError: it contradicts what came before.
            NewerLoaderError: a later version of the loader wrote it.
        """
        self._offset = offset
        if (self.head is None) is not isinstance(entry, Head):
            raise self._damaged("HEAD is not the first frame, or not the only one")
        self._fold[type(entry)](entry)

    def stop(self, *, survived: bool) -> None:
        """Judges what is open as the next OPEN will: for readers of a log that no process writes to."""
        for batch in self._unsettled.values():
            batch.crash(survived=survived)

    # --- what it says ---

    @property
    def resumes(self) -> int:
        return max(0, self._opens - 1)

    @property
    def user_ids(self) -> frozenset[str]:
        """The users whose credentials this load has used."""
        return frozenset(self._user_ids)

    @property
    def earlier_s(self) -> float:
        """How long the runs before the present one lasted, each until its last call or answer."""
        return self._earlier_s

    @property
    def latest_at(self) -> float:
        """The latest time that the log names; Unix seconds by the server's clock."""
        return self._latest_at

    @property
    def latest_run_s(self) -> float:
        """How long the latest run has lasted, as far as its last call or answer."""
        latest_at = max(self._latest_at, self._answered_at)
        return max(0.0, latest_at - self.last_open.at) if self.last_open else 0.0

    @property
    def open_records(self) -> int:
        """Records in windows without a final outcome."""
        return self._open_records

    @property
    def checksum(self) -> int:
        """CRC-32 chained over the batches' checksums."""
        return self._checksum

    def batch(self, number: int) -> OpenBatch | None:
        """The batch while it has unsettled records."""
        found = self._unsettled.get(number)
        return None if found is None else found.view()

    def open_batches(self) -> Iterator[OpenBatch]:
        """Batches with unsettled records, in source order."""
        for number in sorted(self._unsettled):
            yield self._unsettled[number].view()

    def last_attempt(self, number: int) -> int:
        """The number of the last attempt at a batch that has unsettled records; 0: none was made."""
        batch = self._unsettled.get(number)
        return 0 if batch is None else batch.last_attempt

    def may_repeat(self, number: int, lines: Ranges) -> bool:
        """Whether an earlier attempt at some of these lines may have been applied, or may yet be."""
        batch = self._unsettled.get(number)
        if batch is None or not (batch.doubts or batch.flights):
            return False
        flying = any(not ranges.disjoint(lines, one) for one, _ in batch.flights.values())
        return flying or not ranges.disjoint(lines, all_lines(batch.doubts))

    def is_released(self, number: int, lines: Ranges) -> bool:
        """Whether some of these lines were resolved as not applied and are in no window."""
        batch = self._unsettled.get(number)
        return batch is not None and not ranges.disjoint(batch.released, lines)

    def tally(self) -> Tally:
        in_doubt = held = 0
        for batch in self._unsettled.values():
            in_doubt += ranges.count(all_lines(batch.doubts))
            held += ranges.count(batch.held)
        return self._counts.tally(
            in_doubt=in_doubt, pending=self._open_records - in_doubt, held=held, resumes=self.resumes
        )

    def seal_entry(self, *, at: float) -> Seal:
        """The SEAL that this ledger would accept, if nothing is open."""
        return Seal(
            outcomes={outcome.value: count for outcome, count in self._counts.settled.items()},
            lines=self.next_line - 1,
            input_stop=self.next_offset,
            checksum=self._checksum,
            at=at,
        )

    # --- the fold ---

    def _damaged(self, why: str) -> DamagedLogError:
        return DamagedLogError(why, offset=self._offset)

    def _begin(self, entry: Head) -> None:
        if entry.format_version > FORMAT_VERSION:
            raise NewerLoaderError(f"format version {entry.format_version}")
        self.head = entry

    def _open(self, entry: Open) -> None:
        before = self.last_open
        if before is not None:
            self._earlier_s += self.latest_run_s
        same_boot = before is not None and entry.boot_id != "" and entry.boot_id == before.boot_id
        self.stop(survived=entry.survived and same_boot)
        self.last_open = entry
        self.opened_since_seal = self.sealed
        if entry.user_id:
            self._user_ids.add(entry.user_id)
        self._opens += 1
        self._latest_at = max(self._latest_at, entry.at)

    def _window(self, entry: WindowEntry) -> None:
        for batch in entry.batches:
            self._cut(batch)
        for number, lines in entry.again:
            self._allow_again(number, lines)
        self.sealed = self.opened_since_seal = False

    def _allow_again(self, number: int, lines: Ranges) -> None:
        batch = self._unsettled.get(number)
        if batch is None or not ranges.is_sound(lines) or not ranges.covers(batch.released, lines):
            raise self._damaged(f"lines of batch {number} may leave again, but were not resolved")
        batch.released = ranges.difference(batch.released, lines)
        batch.not_before = max(batch.not_before, self._latest_at)

    def _cut(self, batch: BatchEntry) -> None:
        records = batch.record_lines
        invalid = ranges.from_unordered(one.line for one in batch.invalid)
        self._check_cut(batch, records, invalid)
        self.next_batch += 1
        self.next_line += batch.line_count
        self.next_offset = batch.stop
        self.last_span = batch.span
        self._checksum = zlib.crc32(batch.crc.to_bytes(4, "little"), self._checksum)
        self._counts.blank += ranges.count(batch.blank)
        for one in batch.invalid:
            self._counts.add(Outcome.INVALID, one.code, one.field)
        open_records = ranges.count(records)
        self.records += open_records + len(batch.invalid)
        self._open_records += open_records
        if records:
            self._unsettled[batch.number] = Unsettled(batch, not_before=self._latest_at)

    def _check_cut(self, batch: BatchEntry, records: Ranges, invalid: Ranges) -> None:
        number = batch.number
        if number != self.next_batch:
            raise self._damaged(f"batch {number} stands where batch {self.next_batch} belongs")
        begins = (batch.first_line, batch.start)
        if begins != (self.next_line, self.next_offset) or batch.line_count < 0 or batch.stop < batch.start:
            raise self._damaged(f"batch {number} does not begin where the batch before it ends")
        if batch.lines is None and not batch.invalid and not batch.blank:
            return  # the plain case: every line of the span is a record
        kinds = (records, invalid, batch.blank)
        inside: Ranges = ((self.next_line, self.next_line + batch.line_count),) if batch.line_count else NONE
        sound = all(ranges.is_sound(one) and ranges.covers(inside, one) for one in kinds)
        each_once = len(batch.invalid) == ranges.count(invalid) and all(
            ranges.disjoint(one, other)
            for one, other in ((records, invalid), (records, batch.blank), (invalid, batch.blank))
        )
        if not sound or not each_once:
            raise self._damaged(f"the lines of batch {number} are not lines of its span, each in one kind")

    def _unsettled_batch(
        self, entry: Sent | NotApplied | Outcomes | Doubt | Resolved, lines: Ranges
    ) -> Unsettled:
        """The batch that `lines` are open in."""
        batch = self._unsettled.get(entry.batch)
        if batch is not None and (lines == batch.open or ranges.covers(batch.open, lines)):
            return batch
        attempt = "" if isinstance(entry, Resolved) else f", attempt {entry.attempt}"
        what = f"{type(entry).__name__} of batch {entry.batch}{attempt}"
        raise self._damaged(f"{what} names lines that are in no window or have a final outcome already")

    def _sent(self, entry: Sent) -> None:
        if not ranges.is_sound(entry.lines):
            raise self._damaged(f"an attempt at batch {entry.batch} names no proper set of lines")
        batch = self._unsettled_batch(entry, entry.lines)
        if batch.released and not ranges.disjoint(batch.released, entry.lines):
            raise self._damaged(f"batch {entry.batch} was sent with lines that are in no window")
        if batch.flights:
            # Sent again although nobody said what became of the attempt before: it may have been applied.
            for lines, since in batch.land(entry.lines):
                batch.doubt(lines, since=since)
        if batch.held:
            batch.held = ranges.difference(batch.held, entry.lines)
        flying, since = batch.flights.get(entry.attempt, (NONE, entry.at))
        batch.flights[entry.attempt] = (ranges.union(flying, entry.lines), since)
        batch.last_attempt = max(batch.last_attempt, entry.attempt)
        batch.not_before = max(batch.not_before, entry.at)
        self._latest_at = max(self._latest_at, entry.at)
        self._counts.call(records=ranges.count(entry.lines), attempt=entry.attempt)

    def _not_applied(self, entry: NotApplied) -> None:
        self._unsettled_batch(entry, entry.lines).land(entry.lines, attempt=entry.attempt)
        self._answered_at = max(self._answered_at, entry.at)
        if not entry.charged:
            self._counts.not_charged(records=ranges.count(entry.lines))

    def _doubt(self, entry: Doubt) -> None:
        batch = self._unsettled_batch(entry, entry.lines)
        for lines, since in batch.land(entry.lines, attempt=entry.attempt):
            batch.doubt(lines, since=since)
        batch.doubt(entry.lines, since=batch.not_before)
        batch.explain(entry.lines, entry.reason)
        if entry.held:
            batch.held = ranges.union(batch.held, entry.lines)
        self._answered_at = max(self._answered_at, entry.at)

    def _resolved(self, entry: Resolved) -> None:
        batch = self._unsettled_batch(entry, entry.lines)
        flying = any(not ranges.disjoint(entry.lines, lines) for lines, _ in batch.flights.values())
        if flying or not ranges.covers(all_lines(batch.doubts), entry.lines):
            raise self._damaged(f"lines of batch {entry.batch} were resolved, but were not resting in doubt")
        batch.release(entry.lines)
        if entry.by == "query":
            self._counts.absent += ranges.count(entry.lines)

    def _outcomes(self, entry: Outcomes) -> None:
        settled = entry.lines
        plain = ranges.count(settled)
        if (len(entry.text_ids) or len(entry.ids) / 8) != plain or not ranges.is_sound(settled):
            raise self._damaged(f"outcomes of batch {entry.batch}: ids and lines do not match")
        if entry.others:
            others = ranges.from_unordered(one.line for one in entry.others)
            settled = ranges.union(settled, others)
            if ranges.count(settled) != plain + len(entry.others):
                raise self._damaged(f"outcomes of batch {entry.batch} name a line twice")
        batch = self._unsettled_batch(entry, settled)
        # An answer may outlive its SENT: a failed sync can lose that one while the side file keeps this.
        batch.last_attempt = max(batch.last_attempt, entry.attempt)
        if settled == batch.open:
            del self._unsettled[entry.batch]
        else:
            batch.settle(settled)
        self._open_records -= plain + len(entry.others)
        self._counts.settle(entry, plain=plain)
        self._answered_at = max(self._answered_at, entry.at)

    def _seal(self, entry: Seal) -> None:
        if self._open_records or entry != self.seal_entry(at=entry.at):
            raise self._damaged("SEAL does not agree with the frames before it")
        self.sealed, self.opened_since_seal = True, False


def still_open(entry: Answer, ledger: Ledger) -> Answer | None:
    """The part of `entry` whose lines have no final outcome in `ledger` yet; None where all have one."""
    batch = ledger.batch(entry.batch)
    return None if batch is None else restricted(entry, batch.open)
