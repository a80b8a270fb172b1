"""A load as its log tells it, made up from a seed: an input, entries that a ledger accepts, and the truth.

The truth is kept beside the log and by other means than the ledger's: which lines were in a window, which may
have been applied and since when, and what became of each.
"""

from __future__ import annotations

import random
import zlib
from pathlib import Path

from loader.checkpoint import ranges
from loader.checkpoint.entries import (
    Doubt,
    Entry,
    Head,
    InputIdentity,
    NotApplied,
    Open,
    OtherOutcome,
    Outcomes,
    Resolved,
    Sent,
    WindowEntry,
    batch_entry,
    encode_frame,
    outcomes_of,
    record_outcomes,
)
from loader.checkpoint.ledger import Ledger
from loader.outcomes import RecordOutcome, Settlement
from loader.records import Batch, InvalidLine, Span

Line = int


class SimulatedLoad:
    """The whole of one load: `entries` is its log, all else is what a judge may know."""

    def __init__(self, seed: int, directory: Path, *, steps: int, records_a_batch: int) -> None:
        self.random = random.Random(seed)
        self.input = directory / "leads.ndjson"
        self.ledger = Ledger()
        self.entries: list[Entry] = []
        self.first_sent: dict[Line, float] = {}
        """When an attempt was made that nobody has proved not applied."""
        self.outcomes: dict[Line, RecordOutcome] = {}
        self.invalid: set[Line] = set()
        self.structural: set[Line] = set()
        """Those invalid lines that are no JSON object: they can be seen to be invalid once more."""
        self.released: set[Line] = set()
        self.windowed: set[Line] = set()
        self.ends: list[int] = []
        """Of the frames, when `log` has written them; the first is 0."""
        self._now = 1000.0
        self._flights: dict[tuple[int, int], list[Line]] = {}
        self._batch_of: dict[Line, int] = {}
        self._records_a_batch = records_a_batch
        self._batches = self._write_input()
        self._cut = 0
        self._begin()
        for _ in range(steps):
            self._step()
        if self.random.random() < 0.3:
            self._finish()

    # --- the input ---

    def _write_input(self) -> list[Batch]:
        texts = [self._text(number) for number in range(1, 40 * self._records_a_batch)]
        content = b"\n".join(texts) + b"\n" * (self.random.random() < 0.8)
        self.input.write_bytes(content)
        batches: list[Batch] = []
        line, start = 1, 0
        while line <= len(texts):
            count = min(self.random.randint(1, self._records_a_batch), len(texts) - line + 1)
            size = sum(len(text) + 1 for text in texts[line - 1 : line - 1 + count])
            stop = min(start + size, len(content))
            batches.append(self._batch(len(batches) + 1, texts, line, count, content, start, stop))
            line, start = line + count, stop
        return batches

    def _text(self, number: int) -> bytes:
        kind = self.random.random()
        if kind < 0.05:
            return b""
        if kind < 0.08:
            return b"[%d]" % number
        return b'{"Last_Name":"n%d"%s}' % (number, b" " * self.random.randint(0, 30))

    def _batch(
        self, number: int, texts: list[bytes], line: int, count: int, content: bytes, start: int, stop: int
    ) -> Batch:
        span = Span(line, count, start, stop, zlib.crc32(content[start:stop]))
        lines: list[Line] = []
        invalid: list[InvalidLine] = []
        blank: list[Line] = []
        for one in range(line, line + count):
            text = texts[one - 1]
            if not text:
                blank.append(one)
            elif text.startswith(b"[") or self.random.random() < 0.05:
                invalid.append(InvalidLine(one, start, "INVALID_DATA", "no", "Last_Name"))
                if text.startswith(b"["):
                    self.structural.add(one)
            else:
                lines.append(one)
        return Batch(number, span, lines, [texts[one - 1] for one in lines], invalid, blank)

    # --- the load ---

    def _say(self, entry: Entry) -> None:
        self.ledger.apply(entry)
        self.entries.append(entry)

    def _begin(self) -> None:
        status = self.input.stat()
        self.identity = InputIdentity(
            "file", str(self.input), status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev
        )
        self._say(
            Head(1, "L1", 1.0, "Leads", "https://x", "org", "Email", None, None, True, {}, self.identity)
        )
        self._say(Open("boot", "host", 1, self._tick(), self.identity, "user"))

    def _tick(self) -> float:
        self._now += self.random.uniform(0.1, 5.0)
        return self._now

    def _step(self) -> None:
        kinds = (
            "window",
            "send",
            "send",
            "answer",
            "answer",
            "refuse",
            "doubt",
            "resolve",
            "again",
            "reopen",
        )
        weights = (4, 6, 6, 8, 8, 1, 1, 1, 1, 0.5)
        getattr(self, "_" + self.random.choices(kinds, weights)[0])()

    def _window(self) -> None:
        batches = self._batches[self._cut : self._cut + self.random.randint(1, 3)]
        if not batches or len(self._open()) > 6 * self._records_a_batch:
            return
        self._cut += len(batches)
        self._say(WindowEntry(tuple(batch_entry(batch) for batch in batches)))
        for batch in batches:
            self.windowed.update(batch.lines)
            self._batch_of.update(dict.fromkeys(batch.lines, batch.number))
            self.invalid.update(one.line for one in batch.invalid)
            self.windowed.update(one.line for one in batch.invalid)

    def _open(self) -> set[Line]:
        return self.windowed - self.invalid - self.outcomes.keys()

    def _flying(self) -> set[Line]:
        return {line for lines in self._flights.values() for line in lines}

    def _some(self, lines: set[Line]) -> tuple[int, list[Line]]:
        """A batch, and some of its lines; all of them, mostly."""
        number = self._batch_of[self.random.choice(sorted(lines))]
        mine = sorted(line for line in lines if self._batch_of[line] == number)
        return number, mine if self.random.random() < 0.7 else mine[: self.random.randint(1, len(mine))]

    def _send(self) -> None:
        left = self._open() - self._flying() - self.released
        if not left:
            return
        number, lines = self._some(left)
        doubtful = [line for line in lines if line in self.first_sent]
        lines = doubtful or lines
        attempt = self.ledger.last_attempt(number) + 1
        at = self._tick()
        self._say(Sent(number, attempt, ranges.from_lines(lines), at, bool(doubtful)))
        self._flights[number, attempt] = lines
        for line in lines:
            self.first_sent.setdefault(line, at)

    def _land(self) -> tuple[int, int, list[Line]] | None:
        if not self._flights:
            return None
        key = self.random.choice(sorted(self._flights))
        return *key, self._flights.pop(key)

    def _answer(self) -> None:
        landed = self._land()
        if landed is None:
            return
        number, attempt, lines = landed
        if self.random.random() < 0.1:
            others = tuple(
                OtherOutcome(line, self.random.choice((2, 3)), str(line), "C", "m") for line in lines
            )
            entry = Outcomes(number, attempt, ranges.NONE, others=others)
        else:
            entry = outcomes_of(number, attempt, Settlement(lines, [str(10**18 + line) for line in lines]))
        self._say(entry)
        self.outcomes.update({one.line: one for one in record_outcomes(entry)})

    def _refuse(self) -> None:
        landed = self._land()
        if landed is None:
            return
        number, attempt, lines = landed
        self._say(NotApplied(number, attempt, ranges.from_lines(lines), "429"))
        doubtful = self._in_doubt()
        for line in lines:
            if line not in doubtful:
                del self.first_sent[line]

    def _in_doubt(self) -> set[Line]:
        return {line for one in self.ledger.open_batches() for line in ranges.to_lines(one.in_doubt)}

    def _doubt(self) -> None:
        landed = self._land()
        if landed is not None:
            number, attempt, lines = landed
            self._say(Doubt(number, attempt, ranges.from_lines(lines), "no answer"))

    def _resolve(self) -> None:
        resting = self._in_doubt() - self._flying()
        if not resting:
            return
        number, lines = self._some(resting)
        self._say(Resolved(number, ranges.from_lines(lines), "query", "not there twice", self._tick()))
        self.released.update(lines)
        for line in lines:
            self.first_sent.pop(line, None)

    def _again(self) -> None:
        if self.released:
            number, lines = self._some(self.released)
            self._say(WindowEntry((), again=((number, ranges.from_lines(lines)),)))
            self.released.difference_update(lines)

    def _open_again(self, *, survived: bool, boot: str) -> None:
        self._say(Open(boot, "host", 2, self._tick(), self.identity, "user", 1, survived))
        self._flights.clear()

    def _reopen(self) -> None:
        survived = self.random.random() < 0.7
        self._open_again(survived=survived, boot="boot" if survived else f"boot-{self._now}")

    def _finish(self) -> None:
        """Answers for all, windows for the rest of the input, and the SEAL."""
        while self._open() or self._cut < len(self._batches):
            self._window()
            self._again()
            self._send()
            self._answer()
        self._say(self.ledger.seal_entry(at=self._tick()))

    # --- its bytes ---

    def log(self) -> bytes:
        """The log as it stood on the disk; what it confirms lags behind a little."""
        content = bytearray()
        ends = self.ends = [0]
        for entry in self.entries:
            synced = ends[max(0, len(ends) - 1 - self.random.randint(0, 4))]
            content += encode_frame(entry, offset=len(content), synced=synced)
            ends.append(len(content))
        return bytes(content)
