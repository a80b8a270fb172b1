"""Coming back: is the input the one that the load began with, and what of it is still to be delivered?

Everything here happens before a request is sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from loader.checkpoint import ranges, scan
from loader.checkpoint.entries import Head
from loader.checkpoint.entries import InputIdentity as RecordedInput
from loader.checkpoint.ledger import Ledger, OpenBatch
from loader.errors import InputChangedError, UsageError
from loader.records import Attempt
from loader.settings import LoadSettings, Target
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


def require_same_target(head: Head, settings: LoadSettings) -> None:
    """Refuse to go on with a load directory that belongs to another load.

    Raises:
        UsageError: another module, host or limit.
    """
    told = (
        ("module", head.module, settings.target.module),
        ("host", head.api_url, settings.target.api_url),
        ("--limit", head.limit, settings.limit),
    )
    for what, before, now in told:
        if before != now:
            raise UsageError(
                f"{settings.load_dir} belongs to another load",
                why=f"its {what} is {before or 'not set'}; this one's is {now or 'not set'}",
                hint="Give this load a directory of its own with --load-dir, or start over with --new.",
            )


def recorded_settings(load_dir: Path) -> LoadSettings:
    """What the log of a load directory says about its load, for going on with it.

    Raises:
        UsageError: there is no load.
    """
    path = log_path(load_dir)
    head: Head | None = None
    if path.is_file():
        head = next((entry for _, entry in scan.scan(path) if isinstance(entry, Head)), None)
    if head is None:
        raise UsageError(
            f"there is no load in {load_dir}",
            why=f"{path} {'holds no load' if path.exists() else 'does not exist'}",
            hint="To begin one: loader load FILE --module NAME",
        )
    return LoadSettings(
        input=head.input.name,
        load_dir=load_dir,
        target=Target(head.module, head.api_url, head.options.get("accounts_url", "")),
        key=head.key,
        key_unique=bool(head.key_unique),
        limit=head.limit,
        check=head.check,
        ok_duplicates=head.options.get("ok_duplicates") == "yes",
        concurrency=int(head.options.get("concurrency", "10")),
        quiet_period_s=float(head.options.get("quiet_period_s", "30")),
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
    return bool(settings.key) or batch.held != batch.open


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


def unfinished(ledger: Ledger, remembered: Remembered, *, resend: bool) -> Iterator[Attempt]:
    """The attempts that a resume begins with: what is in doubt first, then what was never sent.

    Records in doubt come without their bytes where nothing can be sent for them (`resend` is off).
    """
    never_sent: list[Attempt] = []
    for batch in ledger.open_batches():
        raw = remembered.get(batch.number)
        for doubt in batch.doubts:
            lines = doubt.lines if resend else ranges.difference(doubt.lines, batch.held)
            if lines:
                yield _attempt(batch, lines, raw, since=doubt.since)
        if batch.allowed and raw is not None:
            never_sent.append(_attempt(batch, batch.allowed, raw))
    yield from never_sent


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


def log_path(load_dir: Path) -> Path:
    """Where a load directory keeps its checkpoint log."""
    return load_dir / "checkpoint.log"


def fold_quietly(load_dir: Path) -> Ledger:
    """What the log of a load adds up to, read without a lock.

    Raises:
        DamagedLogError: it cannot be believed.
    """
    return scan.fold(log_path(load_dir))
