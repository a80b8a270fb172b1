"""Whether an input is longer than its load knows it, and whether that is meant (`--append`).

What was read of it before has been compared by then, byte for byte: this is about what stands behind that.
"""

from __future__ import annotations

import anyio.to_thread
import msgspec

from loader.begun import how_to_start_over
from loader.checkpoint import ranges
from loader.checkpoint.entries import Head
from loader.checkpoint.entries import InputIdentity as RecordedInput
from loader.checkpoint.ledger import Ledger
from loader.errors import InputChangedError, command
from loader.report.text import plural
from loader.settings import LoadSettings
from loader.source.fingerprint import InputIdentity
from loader.source.streams import InputStream
from loader.source.wholeness import whole_at


class Growth:
    """An input as it is now against what the log knows of its length.

    `before` is what the last opening of the log saw. That has been allowed: an input that grew before it goes
    on without being asked for again.
    """

    def __init__(
        self, before: RecordedInput, ledger: Ledger, settings: LoadSettings, identity: InputIdentity
    ) -> None:
        self._before = before.size
        self._ledger = ledger
        self._settings = settings
        self._identity = identity
        self.finished = ledger.sealed and not limit_reached(ledger, settings)
        """The load has seen the end of the input."""
        # An opening behind the SEAL has seen a new end; its first window may have been lost in a crash.
        self._at_the_end = self.finished and not ledger.opened_since_seal
        # A file may have grown while it was read, and then was read to its new end.
        self._known = ledger.next_offset if self._at_the_end else max(before.size or 0, ledger.next_offset)

    def require_not_shorter(self, stream: InputStream) -> None:
        """A plain file that shrank is another input, whatever its beginning says.

        Raises:
            InputChangedError: it did.
        """
        size = self._identity.size
        if not stream.seekable or self._before is None or size >= self._known:
            return
        raise InputChangedError(
            "the input changed since this load began",
            why=f"{self._identity.name} shrank: it had {self._known:,} bytes, now it has {size:,}",
            hint=how_to_mend(self._settings, self._ledger),
        )

    async def require_none(self, stream: InputStream, *, more: bool) -> None:
        """`more`: something stands behind the end that a finished load has seen.

        Raises:
            InputChangedError: the input grew.
        """
        if not (more if self._at_the_end else await self._longer(stream)):
            return
        last = self._ledger.next_line - 1
        if self._identity.kind == "records":
            raise InputChangedError(
                "there are more records than this load had",
                why=f"it has come to its end with record {last:,}; those before are unchanged",
                hint="Nothing was sent. To go on with those behind: load them once more with append=True.",
            )
        same = f"\nWhat was read of it before, lines 1 to {last:,}, is unchanged" if last else ""
        raise InputChangedError(
            "the input grew since this load began",
            why=self._how(stream) + same,
            hint=f"Nothing was sent. To go on with what was appended: {_how_to_append(self._settings)}",
        )

    async def _longer(self, stream: InputStream) -> bool:
        """Of an unfinished load: whether the file is longer than it was when it was opened last."""
        if self._before is None or limit_reached(self._ledger, self._settings):
            return False
        size = self._identity.size
        if stream.seekable:
            return size > self._known
        # The size of a compressed file says little of its content: it may have been cut, or been packed anew.
        # Only where it was whole before, what follows was appended.
        return size > self._before and await anyio.to_thread.run_sync(
            whole_at, self._settings.input, self._before
        )

    def _how(self, stream: InputStream) -> str:
        size = self._identity.size
        if stream.seekable:
            return f"{self._settings.input} had {self._known:,} bytes, now it has {size:,}"
        if self.finished or self._before is None:
            name = "stdin" if self._settings.from_stdin else self._settings.input
            return f"{name} goes on behind line {self._ledger.next_line - 1:,}, which was its last"
        return f"{self._settings.input} had {self._before:,} packed bytes, now it has {size:,}"


def where_it_stands(ledger: Ledger) -> str:
    """What of the load is in the CRM, for somebody who thinks of beginning it anew."""
    there = ledger.tally().inserted
    # What was on its way when the process died is in doubt from the next opening on.
    unknown = sum(ranges.count(one.in_doubt) + ranges.count(one.sent) for one in ledger.open_batches())
    are = "is" if there == 1 else "are"
    parts = [f"{plural(there, 'record')} of this load {are} in the CRM already"] * bool(there)
    parts += [f"{plural(unknown, 'record')} in doubt may be there"] * bool(unknown)
    return "; ".join(("Nothing was sent by this run", *parts)) + "."


def how_to_mend(settings: LoadSettings, ledger: Ledger) -> str:
    """What to do where the input is another one: first what inserts no record twice."""
    if settings.from_stdin:
        back = "Pipe the bytes that the load began with into the same command again."
    else:
        back = f"Put the file back as it was, then: {command('resume', settings.load_dir)}"
    new = "the new input" if settings.from_stdin else "the new file"
    anew = how_to_start_over(_with_recorded_key(settings, ledger.head))
    return (
        f"{where_it_stands(ledger)}\n{back}\nOr load {new} from its start; that may insert records a second"
        f" time, unless a unique field prevents it: {anew}"
    )


def _with_recorded_key(settings: LoadSettings, head: Head | None) -> LoadSettings:
    """A load goes on without the key that it began with, if none is typed; begun anew it should have it."""
    if head is None:
        return settings
    return msgspec.structs.replace(
        settings,
        key=settings.key or head.key,
        key_unique=settings.key_unique or (bool(head.key_unique) and settings.key in ("", head.key)),
        check=settings.check and head.check,
    )


def limit_reached(ledger: Ledger, settings: LoadSettings) -> bool:
    """Nothing more of the input belongs to this load, however long it is."""
    return settings.limit is not None and ledger.records >= settings.limit


def _how_to_append(settings: LoadSettings) -> str:
    if settings.from_stdin:
        return "pipe it once more into the same command with --append"
    return f"{command('resume', settings.load_dir)} --append"
