"""Coming back: is the input the one that the load began with, and what of it is still to be delivered?

Everything here happens before a request is sent.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping

import msgspec

from loader.checkpoint import ranges, scan
from loader.checkpoint.entries import BatchEntry, WindowEntry
from loader.checkpoint.entries import InputIdentity as RecordedInput
from loader.checkpoint.ledger import Ledger
from loader.checkpoint.log import CheckpointLog
from loader.checkpoint.unsettled import OpenBatch
from loader.directory import log_path
from loader.errors import InputChangedError
from loader.growth import Growth, how_to_mend, where_it_stands
from loader.records import Attempt
from loader.settings import LoadSettings
from loader.source.fingerprint import InputIdentity
from loader.source.replay import Comparison, Recall, records_of
from loader.source.streams import InputStream

Remembered = Mapping[int, bytes]
"""Batch number -> the raw bytes of its span, read again and compared."""


def identity_of(settings: LoadSettings, *, fed: bool = False) -> InputIdentity:
    """The input as it is now. `fed`: a program hands over its records.

    Raises:
        UsageError: there is none.
    """
    if fed:
        return InputIdentity.of_records()
    return InputIdentity.of_stdin() if settings.from_stdin else InputIdentity.of_path(settings.input)


def recorded(identity: InputIdentity) -> RecordedInput:
    """An identity as the checkpoint log keeps it."""
    kind = "file" if identity.kind == "path" else "stdin"
    return RecordedInput(
        kind=kind,
        name=identity.name,
        size=identity.size if identity.inode else None,
        mtime_ns=identity.mtime_ns,
        inode=identity.inode,
        device=identity.device,
    )


class Compared(msgspec.Struct, frozen=True):
    """What is known of an input that was compared with its log."""

    remembered: Remembered = {}
    more: bool = False
    """The load was finished, and more stands behind its end that belongs to it now."""
    line_end: bytes = b""
    """The newline that the last line of the last window has got since."""


async def compare(
    stream: InputStream, ledger: Ledger, settings: LoadSettings, *, identity: InputIdentity
) -> Remembered:
    """As `look`; only the bytes that may have to be sent."""
    return (await look(stream, ledger, settings, identity=identity)).remembered


async def look(
    stream: InputStream, ledger: Ledger, settings: LoadSettings, *, identity: InputIdentity
) -> Compared:
    """Compare the input with what the log knows of it, and see whether it goes on behind that.

    Afterwards the stream stands where the last window ended.

    Raises:
        InputChangedError: it is not the input that this load began with; or it is, but something was appended
            to it and `settings.append` is not set.
    """
    # A process that was killed between the two frames has left a HEAD and no OPEN.
    begun = ledger.last_open or ledger.head
    before = _require_same_kind(begun.input if begun else None, settings, identity)
    growth = Growth(before, ledger, settings, identity)
    growth.require_not_shorter(stream)
    untouched = bool(identity.inode) and recorded(identity) == before
    wanted = {batch.span.start: batch.number for batch in ledger.open_batches() if _may_send(batch, settings)}
    recalls = _recalls(ledger, settings, wanted, whole=not (untouched and stream.seekable))
    fed = identity.kind == "records"
    comparison = Comparison(stream, hint=_hint(settings, ledger, fed=fed), fed=fed)
    remembered: dict[int, bytes] = {}
    async for span, raw in comparison.wanted(recalls):
        remembered[wanted[span.start]] = raw
    line_end = await _line_end(stream, comparison.last_byte, ledger, settings)
    more = growth.finished and await _goes_on(stream)
    if not (untouched or settings.append):
        await growth.require_none(stream, more=more)
    return Compared(remembered, more, line_end)


def _hint(settings: LoadSettings, ledger: Ledger, *, fed: bool) -> str:
    """What to do where the input is another one."""
    if not fed:
        return how_to_mend(settings, ledger)
    return (
        f"{where_it_stands(ledger)} Hand over the records that the load began with, in their order; or"
        " load the new ones with a load_dir of their own."
    )


async def go_on_behind_the_end(stream: InputStream, log: CheckpointLog, compared: Compared) -> None:
    """Say in the log, durably, that the input goes on: a load that was finished is not any more.

    A newline that ends the last line at last is no line of its own: it gets a span without one.

    Raises:
        DiskError: the log cannot be written.
    """
    if not (compared.more or compared.line_end):
        return
    ledger, raw = log.ledger, compared.line_end
    data = b""
    while len(data) < len(raw):
        data += await stream.read()
    stream.unread(data[len(raw) :])
    start = ledger.next_offset
    newline = BatchEntry(ledger.next_batch, ledger.next_line, 0, start, start + len(raw), zlib.crc32(raw))
    entry = WindowEntry((newline,) if raw else ())
    ledger.apply(entry)
    await log.sync(log.append(entry))


async def _goes_on(stream: InputStream) -> bool:
    data = await stream.read()
    stream.unread(data)
    return bool(data)


async def _line_end(stream: InputStream, last_byte: bytes, ledger: Ledger, settings: LoadSettings) -> bytes:
    """The newline behind a last line that had none when it was read; nothing where nothing follows it.

    Raises:
        InputChangedError: that line itself goes on.
    """
    if last_byte in (b"", b"\n"):
        return b""
    data = await stream.read()
    while data == b"\r" and (rest := await stream.read()):
        data += rest
    stream.unread(data)
    for newline in (b"\n", b"\r\n"):
        if data.startswith(newline):
            return newline
    if not data:
        return b""
    name = "stdin" if settings.from_stdin else settings.input
    raise InputChangedError(
        "the input changed since this load began",
        why=f"{name}, line {ledger.next_line - 1:,}: it had no newline at its end when it was read, and now"
        " it goes on behind that",
        hint="Nothing was sent. Put a newline where that line ended, before what was appended, and run the"
        " same command with --append",
    )


def _may_send(batch: OpenBatch, settings: LoadSettings) -> bool:
    """Held records are sent again only where a key can tell whose they are."""
    return bool(settings.key or settings.stamp) or batch.held != batch.open


def _recalls(
    ledger: Ledger, settings: LoadSettings, wanted: Mapping[int, int], *, whole: bool
) -> Iterator[Recall]:
    """All spans, or those with records to send and the last one."""
    if whole:
        for span in scan.spans(log_path(settings.load_dir)):
            yield Recall(span, wanted=span.start in wanted)
        return
    for batch in ledger.open_batches():
        if batch.span.start in wanted:
            yield Recall(batch.span)
    last = ledger.last_span
    if last is not None and last.start not in wanted:
        yield Recall(last, wanted=False)


def _require_same_kind(
    before: RecordedInput | None, settings: LoadSettings, identity: InputIdentity
) -> RecordedInput:
    if before is None or before.kind != ("stdin" if settings.from_stdin else "file"):
        raise InputChangedError(
            "the input is not the one that this load began with",
            why=f"it began with {before.name if before else 'nothing'}; this is {identity.told}",
            hint="Nothing was sent. Give these records a load_dir of their own."
            if identity.kind == "records"
            else "Nothing was sent. Give this input a load directory of its own with --load-dir.",
        )
    return before


def unfinished(ledger: Ledger, remembered: Remembered, *, keyed: bool) -> Iterator[Attempt]:
    """The attempts that a resume begins with: what is in doubt first, then what is not applied.

    Without a key, records that are held already stay out, and those in doubt come without their bytes.
    """
    not_applied: list[Attempt] = []
    for batch in ledger.open_batches():
        raw = remembered.get(batch.number)
        for doubt in batch.doubts:
            lines = doubt.lines if keyed else ranges.difference(doubt.lines, batch.held)
            if lines:
                yield _attempt(batch, lines, raw, since=doubt.since)
        if raw is None:
            continue
        if batch.released:
            again = _attempt(batch, batch.released, raw)
            not_applied.append(msgspec.structs.replace(again, resolved=True))
        if batch.allowed:
            not_applied.append(_attempt(batch, batch.allowed, raw))
    yield from not_applied


def _attempt(
    batch: OpenBatch, lines: ranges.Ranges, raw: bytes | None, *, since: float | None = None
) -> Attempt:
    numbers = ranges.to_lines(lines)
    return Attempt(
        batch=batch.number,
        number=batch.last_attempt + 1,
        lines=numbers,
        records=() if raw is None else records_of(raw, batch.span, numbers),
        in_doubt=since is not None,
        doubt_since=since or 0.0,
    )
