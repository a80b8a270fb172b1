"""The judge's core: what the input, the checkpoint log and the stored records say about each other.

It shares no code with the loader and knows nothing of how they came about, so it serves a load of processes
and a simulated one alike.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Mapping

from tests.log_reader import Standing

BOM = b"\xef\xbb\xbf"


def lines_in(content: bytes) -> dict[int, bytes]:
    """The lines of an input by number, without their ends, cut the plain way; blank ones too."""
    stored = content.removeprefix(BOM).split(b"\n")
    if stored[-1] == b"":
        stored.pop()
    return {number: raw.removesuffix(b"\r") for number, raw in enumerate(stored, 1)}


def check_log(content: bytes, standing: Standing, *, limit: int | None = None) -> Iterator[str]:
    """I1: the windows are the input, whole and in order, and each of its lines has at most one outcome."""
    yield from (f"I1: {text}" for text in standing.broken)
    lines = lines_in(content)
    offset = 0
    # A last line without a newline, when it was read: the newline, appended later, is a piece without a line.
    newlines = {
        piece.start
        for piece in standing.pieces
        if not piece.line_count and content[piece.start : piece.stop] in (b"\n", b"\r\n")
    }
    for piece in standing.pieces:
        raw = content[piece.start : piece.stop]
        if zlib.crc32(raw) != piece.crc:
            yield f"I1: batch {piece.number} has another checksum than bytes {piece.start}-{piece.stop}"
        last = piece.first_line + piece.line_count == len(lines) + 1 or piece.stop in newlines
        ends = raw.count(b"\n") + (bool(raw) and last and not raw.endswith(b"\n"))
        ends -= piece.start in newlines
        if ends != piece.line_count:
            yield f"I1: batch {piece.number} has {ends} lines and calls them {piece.line_count}"
        offset = piece.stop
    blank = {number for number, raw in lines.items() if not raw.strip()}
    covered = set(range(1, standing.lines + 1))
    if standing.blank != blank & covered:
        yield f"I1: blank lines are {sorted(blank & covered)}, not {sorted(standing.blank)}"
    if standing.records | standing.invalid.keys() | standing.blank != covered:
        yield "I1: some line of a window is neither a record nor invalid nor blank"
    if standing.ends.keys() - standing.records:
        yield f"I1: lines {sorted(standing.ends.keys() - standing.records)} ended and are no records"
    if standing.seal is not None and limit is None and (offset, standing.lines) != (len(content), len(lines)):
        yield f"I1: sealed at byte {offset} of {len(content)}, line {standing.lines} of {len(lines)}"


def check_rows(
    lines: Mapping[int, bytes], standing: Standing, rows: Mapping[str, tuple[int, bytes]]
) -> Iterator[str]:
    """I2, I3, I4: each stored record is one line's, and that line knows it or is in doubt.

    `rows` are the records that this load stored: id -> line and bytes.
    """
    ids = Counter(end.id for end in standing.ends.values() if end.outcome == "inserted")
    yield from (f"I2: {times} lines have the id {one}" for one, times in ids.items() if times > 1)
    for line, end in standing.ends.items():
        if end.outcome == "inserted" and rows.get(end.id, (0, b""))[0] != line:
            yield f"I2: line {line} is {end}, and the record of that id is {rows.get(end.id)}"
    by_line = Counter(line for line, _ in rows.values())
    yield from (f"I3: line {line} was stored {times} times" for line, times in by_line.items() if times > 1)
    for record_id, (line, raw) in rows.items():
        if raw != lines.get(line):
            yield f"I2: record {record_id} is not line {line} byte for byte: {raw!r}"
        known = standing.ends.get(line)
        if line not in standing.records:
            yield f"I4: line {line} is stored as {record_id} and is no record of a window"
        elif known is not None and (known.outcome, known.id) != ("inserted", record_id):
            yield f"I4: line {line} is stored as {record_id}, and its outcome is {known}"
