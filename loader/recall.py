"""Coming back: is the input the one that the load began with, and what of it is still to be delivered?

Everything here happens before a request is sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from loader.checkpoint import ranges, scan
from loader.checkpoint.entries import InputIdentity as RecordedInput
from loader.checkpoint.ledger import Ledger, OpenBatch
from loader.directory import log_path
from loader.errors import InputChangedError
from loader.records import Attempt
from loader.settings import LoadSettings
from loader.source.fingerprint import InputIdentity
from loader.source.replay import Recall, records_of, replay
from loader.source.streams import InputStream

Remembered = Mapping[int, bytes]
"""Batch number -> the raw bytes of its span, read again and compared."""


def identity_of(settings: LoadSettings) -> InputIdentity:
    """The input as it is now.

    Raises:
        UsageError: there is none.
    """
    return InputIdentity.of_stdin() if settings.from_stdin else InputIdentity.of_path(settings.input)


def recorded(identity: InputIdentity) -> RecordedInput:
    """An identity as the checkpoint log keeps it."""
    kind = "stdin" if identity.kind == "stdin" else "file"
    return RecordedInput(
        kind=kind,
        name=identity.name,
        size=identity.size if identity.inode else None,
        mtime_ns=identity.mtime_ns,
        inode=identity.inode,
        device=identity.device,
    )


async def compare(
    stream: InputStream, ledger: Ledger, settings: LoadSettings, *, identity: InputIdentity
) -> Remembered:
    """Compare the input with what the log knows of it; the bytes that may have to be sent.

    Afterwards the stream stands where the last window ended.

    Raises:
        InputChangedError: it is not the input that this load began with.
    """
    _require_same_size(stream, ledger, settings, identity)
    wanted = {batch.span.start: batch.number for batch in ledger.open_batches() if _may_send(batch, settings)}
    same = recorded(identity) == (ledger.last_open.input if ledger.last_open else None)
    recalls = _recalls(ledger, settings, wanted, whole=not (same and stream.seekable))
    remembered: dict[int, bytes] = {}
    async for span, raw in replay(stream, recalls, module=settings.target.module):
        remembered[wanted[span.start]] = raw
    return remembered


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


def _require_same_size(
    stream: InputStream, ledger: Ledger, settings: LoadSettings, identity: InputIdentity
) -> None:
    """A plain file that grew or shrank is another input, whatever its beginning says."""
    before = ledger.head.input if ledger.head else None
    if before is None or before.kind != ("stdin" if settings.from_stdin else "file"):
        raise InputChangedError(
            "the input is not the one that this load began with",
            why=f"it began with {before.name if before else 'nothing'}; this is {identity.name}",
            hint="Nothing was sent. Give this input a load directory of its own with --load-dir.",
        )
    if stream.seekable and before.size is not None and before.size != identity.size:
        change = "grew" if identity.size > before.size else "shrank"
        raise InputChangedError(
            "the input changed since this load began",
            why=f"{identity.name} {change}: it had {before.size:,} bytes, now it has {identity.size:,}",
            hint="Nothing was sent. To load the new file from its start: "
            f"loader load {settings.input} --module {settings.target.module} --new",
        )


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
