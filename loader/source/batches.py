"""Lines -> batches whose spans tile the input. Pure.

A line leaves as a record, as an invalid line, or as a blank one; nothing is dropped and nothing is changed.
An overlong line gets a span of its own, so that the span of a record, which may have to be read again as a
whole, never is larger than a body. So does a record that has to be sent alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from loader.records import Batch, InvalidLine, Span
from loader.schema.problems import Problem
from loader.source.lines import Item, Overlong, Piece, Run
from loader.wire.limits import BODY_BYTES_MAX, RECORDS_PER_CALL_MAX

LINE_TOO_LONG = "LINE_TOO_LONG"
LINES_PER_SPAN_MAX = 10_000
"""So that a file of nothing but blank or invalid lines is handed on in pieces too."""
MESSAGE_CHARACTERS_MAX = 300

Check = Callable[[Sequence[bytes]], Sequence[Sequence[Problem]]]
"""What is wrong with each of these lines; nothing where it is a record of the module. No line is blank."""


class Cut(msgspec.Struct, frozen=True):
    """The bounds of a batch. `body_bytes_max` bounds all bytes of the span, hence those of the body too."""

    records_max: int = RECORDS_PER_CALL_MAX
    body_bytes_max: int = BODY_BYTES_MAX
    lines_max: int = LINES_PER_SPAN_MAX


class BatchCutter:
    """Takes lines, gives batches.

    `limit` counts records: lines that are not blank, valid or not. After that many the cutter is `full`, at
    the end of the last one's line, and takes no more. `alone` tells the lines that get a batch of their own;
    None: no line does, and none is looked at.
    """

    def __init__(
        self,
        check: Check,
        cut: Cut = Cut(),  # noqa: B008 - frozen
        *,
        first_line: int = 1,
        start: int = 0,
        number: int = 1,
        limit: int | None = None,
        alone: Callable[[bytes], bool] | None = None,
    ) -> None:
        self._check = check
        self._alone = alone
        self._bounds = cut
        self._left = limit
        self.next_number = number
        """The number of the batch that is being filled."""
        self._open(first_line, start)

    @property
    def full(self) -> bool:
        """The limit is reached."""
        return self._left is not None and self._left <= 0

    @property
    def empty(self) -> bool:
        """No whole line waits to be cut."""
        return not self._line_count

    @property
    def next_line(self) -> int:
        """The line that the next span begins with."""
        return self._first_line

    @property
    def offset(self) -> int:
        """Where the next span begins."""
        return self._start

    def feed(self, items: Iterable[Item]) -> Iterator[Batch]:
        """The batches that become complete with these items; to be read to the end before more is fed."""
        for item in items:
            if self.full:
                return
            if isinstance(item, Run):
                yield from self._take_run(item)
                continue
            if isinstance(item, Piece):
                # No whole line stands behind the pieces of this span.
                if self._line_count:
                    yield self._close()
                self._take_bytes(item.raw)
            else:
                self._take_overlong(item)
                yield self._close()

    def cut(self) -> Batch | None:
        """What has been gathered so far as a batch of its own; None where that is no line at all."""
        return self._close() if self._line_count else None

    def _open(self, first_line: int, start: int) -> None:
        self._first_line = first_line
        self._line_count = 0
        self._start = self._stop = start
        self._crc = 0
        self._lines: list[int] = []
        self._records: list[bytes] = []
        self._invalid: list[InvalidLine] = []
        self._blank: list[int] = []

    def _close(self) -> Batch:
        lines: Sequence[int] = self._lines
        if lines and lines[-1] - lines[0] + 1 == len(lines):
            lines = range(lines[0], lines[-1] + 1)
        batch = Batch(
            number=self.next_number,
            span=Span(self._first_line, self._line_count, self._start, self._stop, self._crc),
            lines=lines,
            records=self._records,
            invalid=self._invalid,
            blank=self._blank,
        )
        self.next_number += 1
        self._open(self._first_line + self._line_count, self._stop)
        return batch

    def _take_run(self, run: Run) -> Iterator[Batch]:
        done = at = 0
        while done < len(run.texts) and not self.full:
            texts, size = self._fitting(run, done)
            if not texts:
                yield self._close()
                continue
            self._classify(texts, at=run.start + at, line_end_bytes=run.line_end_bytes)
            self._take_bytes(run.raw[at : at + size])
            self._line_count += len(texts)
            done += len(texts)
            at += size
            if self._complete(texts):
                yield self._close()

    def _complete(self, taken: list[bytes]) -> bool:
        """Nothing more belongs into the open batch; `taken` came last."""
        if len(self._records) >= self._bounds.records_max or self._line_count >= self._bounds.lines_max:
            return True
        return self._alone is not None and len(taken) == 1 and self._alone(taken[0])

    def _take_bytes(self, raw: bytes | memoryview) -> None:
        self._crc = zlib.crc32(raw, self._crc)
        self._stop += len(raw)

    def _fitting(self, run: Run, done: int) -> tuple[list[bytes], int]:
        """The next lines of the run that the open batch surely has room for, and their bytes."""
        room = min(
            self._bounds.records_max - len(self._records),
            self._bounds.lines_max - self._line_count,
        )
        if self._left is not None:
            room = min(room, self._left)
        texts = run.texts[done : done + room]
        size = sum(map(len, texts)) + len(texts) * run.line_end_bytes
        bytes_left = self._bounds.body_bytes_max - (self._stop - self._start)
        least = 0 if self._line_count else 1
        while size > bytes_left and len(texts) > least:
            size -= len(texts.pop()) + run.line_end_bytes
        if self._alone is not None and any(map(self._alone, texts)):
            texts = self._before_alone(texts)
            size = sum(map(len, texts)) + len(texts) * run.line_end_bytes
        return texts, size

    def _before_alone(self, texts: list[bytes]) -> list[bytes]:
        """The lines before the first that goes alone; or that one itself, where the batch is empty."""
        assert self._alone is not None
        place = next(place for place, text in enumerate(texts) if self._alone(text))
        return texts[: place or (0 if self._line_count else 1)]

    def _classify(self, texts: list[bytes], *, at: int, line_end_bytes: int) -> None:
        line = self._first_line + self._line_count
        blanks = not all(texts) or any(map(bytes.isspace, texts))
        filled = [text for text in texts if not _is_blank(text)] if blanks else texts
        verdicts = self._check(filled)
        if self._left is not None:
            self._left -= len(filled)
        if not blanks and not any(verdicts):
            self._lines.extend(range(line, line + len(texts)))
            self._records.extend(texts)
            return
        found = iter(verdicts)
        for text in texts:
            if _is_blank(text):
                self._blank.append(line)
            else:
                self._place(text, next(found), line=line, offset=at)
            line += 1
            at += len(text) + line_end_bytes

    def _place(self, text: bytes, problems: Sequence[Problem], *, line: int, offset: int) -> None:
        if problems:
            self._invalid.append(_invalid_line(line, offset, problems))
        else:
            self._lines.append(line)
            self._records.append(text)

    def _take_overlong(self, overlong: Overlong) -> None:
        message = (
            f"the line has {overlong.byte_count:,} bytes, more than a line may have; shorten the record's "
            "values and load it by itself"
        )
        self._invalid.append(InvalidLine(overlong.line, overlong.offset, LINE_TOO_LONG, message))
        self._line_count += 1
        if self._left is not None:
            self._left -= 1


def _is_blank(text: bytes) -> bool:
    return not text or text.isspace()


def _invalid_line(line: int, offset: int, problems: Sequence[Problem]) -> InvalidLine:
    first, *others = problems
    message = first.message
    if others:
        fields = ", ".join(dict.fromkeys(problem.field or problem.code for problem in others[:3]))
        message = f"{message} (and {len(others)} more: {fields}{' ...' if len(others) > 3 else ''})"
    if len(message) > MESSAGE_CHARACTERS_MAX:
        message = message[: MESSAGE_CHARACTERS_MAX - 4] + " ..."
    return InvalidLine(line, offset, first.code, message, first.field)
