"""Records that a program hands over, as lines in a pipe: the load reads them as it reads stdin.

So a pause of the program is noticed as a pause of any other, and what is read ahead is bounded by the pipe. A
program that fails has not ended its records: `InputStream` raises then, and the load can be gone on with.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import AsyncIterable, Iterable, Mapping
from contextlib import aclosing
from decimal import Decimal
from enum import Enum

import anyio
import orjson

from loader.errors import LoaderError, UsageError
from loader.source.iteration import each

Record = Mapping[str, object] | bytes | str
"""A record as a mapping, or as the line of JSON that is to be sent as it is."""
Records = Iterable[Record] | AsyncIterable[Record]

AHEAD_BYTES = 256 * 1024
"""So much is taken from the program before the pipe has taken it."""


class FeedError(UsageError):
    """The program's records ended with an exception (`__cause__`), or one of them is no record."""


class Feed:
    """A pipe with those records in it, one a line. `run` fills it, beside whoever reads `fd`.

    An iterable that waits (for a database, say) holds up the event loop and with it the answers of calls
    under way: an async iterable does not.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        self.fd, self._writing_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._buffer = bytearray()
        self._changed = anyio.Event()
        self._ended = False
        self._unwanted = False
        self.error: FeedError | None = None
        """Why there are no more records, where that is not their end."""

    def close(self) -> None:
        """Closes the reading end; for whoever read from it."""
        os.close(self.fd)

    async def run(self) -> None:
        """Until all records are in the pipe, they have failed, or it is cancelled. Raises nothing."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._write)
                await self._take()
        finally:
            os.close(self._writing_fd)

    async def _take(self) -> None:
        number = 0
        try:
            async with aclosing(each(self._records)) as records:
                async for record in records:
                    number += 1
                    if not await self._put(line_of(record)):
                        break
        except LoaderError as error:
            self.error = FeedError(f"record {number:,} cannot be loaded", why=error.what, hint=error.hint)
        except Exception as error:  # whatever the program raises, the load stops in order
            self._fail(number, error)
        except anyio.get_cancelled_exc_class() as error:
            # Of a task or future of the program's own, unless it is the load that ends.
            if anyio.current_effective_deadline() == -math.inf:
                raise
            self._fail(number, error)
        finally:
            self._ended = True
            self._wake()

    def _fail(self, number: int, error: BaseException) -> None:
        self.error = FeedError(
            f"the records ended with an error after {number:,} of them",
            why=f"{type(error).__name__}: {error}".removesuffix(": "),
            hint="Load the same records again: the load goes on where it stopped.",
        )
        self.error.__cause__ = error

    async def _put(self, line: bytes) -> bool:
        """Whether more is wanted, as soon as there is room for it."""
        self._buffer += line
        self._wake()
        while len(self._buffer) > AHEAD_BYTES and not self._unwanted:
            await self._changed.wait()
        return not self._unwanted

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def _write(self) -> None:
        while self._buffer or not self._ended:
            if not self._buffer:
                await self._changed.wait()
                continue
            try:
                written = os.write(self._writing_fd, self._buffer)
            except BlockingIOError:
                await anyio.wait_writable(self._writing_fd)
            except BrokenPipeError:
                # A reader that has gone wants no more: the load has stopped, or has all that `limit` allows.
                self._unwanted = True
                self._wake()
                return
            else:
                del self._buffer[:written]
                self._wake()


def line_of(record: Record) -> bytes:
    """The record as one line of NDJSON.

    Dates and times become what the API takes (no fractions of a second), a Decimal becomes a number with all
    of its digits.

    Raises:
        UsageError: it cannot be written as JSON, or it is more than one line.
    """
    if isinstance(record, Mapping):
        try:
            line = orjson.dumps(
                dict(record), default=_plain, option=orjson.OPT_OMIT_MICROSECONDS | orjson.OPT_APPEND_NEWLINE
            )
        except TypeError as error:
            raise _not_json(str(error)) from None
        # orjson writes a number that is none as null: the record would be inserted without it.
        if b"null" in line and _has_non_finite(record):
            raise _not_json("it holds a number that is NaN or infinite")
        return line
    if not isinstance(record, (bytes, str)):
        raise UsageError(
            f"it is of type {type(record).__name__}", hint="A record is a mapping, or a line of JSON."
        )
    try:
        raw = record.encode() if isinstance(record, str) else record
    except UnicodeEncodeError as error:
        raise UsageError(f"it is no text: {error.reason}", hint="A record is a line of JSON.") from None
    raw = raw.removesuffix(b"\n")
    if b"\n" in raw:
        raise UsageError("it is more than one line", hint="Hand over each line as a record of its own.")
    return raw + b"\n"


def _not_json(why: str) -> UsageError:
    return UsageError(
        f"it cannot be written as JSON: {why}",
        hint="A record's values are texts, numbers, dates, lists, mappings, True, False or None.",
    )


def _plain(value: object) -> object:
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(format(value, "f"))
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON serializable")


def _has_non_finite(value: object) -> bool:
    """Whether a float in it, at whatever depth, is NaN or infinite."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, Enum):
        return _has_non_finite(value.value)
    if isinstance(value, Mapping):
        return any(map(_has_non_finite, value.values()))
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(map(_has_non_finite, value))
    if dataclasses.is_dataclass(value):
        return any(_has_non_finite(getattr(value, field.name)) for field in dataclasses.fields(value))
    return False
