"""The access tokens that the loads of this machine ask for with one refresh token: ten in ten minutes.

On disk there are ten times, and the name of the folder is a hash. No token is ever written: who reads these
files learns when tokens were asked for, and no more.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from loader.machine.files import SharedFile, let_go, open_private, try_lock, write_at
from loader.throttle.grants import OwnGrants, wait_s
from loader.wire.limits import TOKENS_MAX, TOKENS_WINDOW_S

_TIMES: Final = struct.Struct(f"<8s{TOKENS_MAX}d")
_MAGIC: Final = b"grants-1"
_EMPTY: Final = _TIMES.pack(_MAGIC, *[0.0] * TOKENS_MAX)


class SharedGrants:
    """The grants of one refresh token. Where the disk fails, this process counts its own alone."""

    def __init__(
        self, folder: Path, *, warn: Callable[[str], None], clock: Callable[[], float] = time.time
    ) -> None:
        self._warn = warn
        self._clock = clock
        self._file: SharedFile | None = SharedFile(folder / "grants", empty=_EMPTY, damaged=self._damaged)
        self._turn_path = folder / "turn"
        self._turn = -1
        self._own = OwnGrants(clock)
        self._taken: float | None = None

    def close(self) -> None:
        self.end_turn()
        if self._file is not None:
            self._file.close()

    def try_turn(self) -> bool:
        """Whether it is this process's turn to ask; if so, nobody else's until `end_turn` or its death."""
        if self._file is None:
            return True
        try:
            turn = open_private(self._turn_path)
            try:
                mine = try_lock(turn)
            except OSError:
                let_go(turn)
                raise
        except OSError as error:
            self._alone(error)
            return True
        if not mine:
            let_go(turn)
            return False
        self._turn = turn
        return True

    def end_turn(self) -> None:
        if self._turn >= 0:
            let_go(self._turn)
            self._turn = -1

    def take(self) -> float:
        """0.0: a token may be asked for now, and counts. Else the seconds until one may."""
        if (left := self._own.take()) > 0:
            return left
        with self._times() as known:
            now = self._clock()
            # Clocks are set back sometimes: what lies far ahead is no time of a grant.
            times = sorted(at if at <= now + TOKENS_WINDOW_S else 0.0 for at in known)
            if times and (left := wait_s(times, now)) > 0:
                self._own.give_back()
            elif times:
                self._taken = now
                self._write([*times[1:], now])
        return left

    def add(self) -> None:
        """One was granted at this moment that was not taken here: it came with a grant code."""
        now = self._clock()
        with self._times() as known:
            if known:
                self._write([*sorted(known)[1:], now])

    def granted(self) -> None:
        """The service counts from the moment at which it answered, not from ours."""
        self._own.granted()
        self._replace(self._clock())

    def give_back(self) -> None:
        """It was not granted."""
        self._own.give_back()
        self._replace(0.0)

    def _replace(self, at: float) -> None:
        taken, self._taken = self._taken, None
        with self._times() as times:
            if taken is not None and taken in times:
                times[times.index(taken)] = at
                self._write(times)

    @contextmanager
    def _times(self) -> Iterator[list[float]]:
        """The times on disk, locked; none where the disk fails."""
        times = self._read()
        try:
            yield times
        finally:
            if self._file is not None:
                self._file.unlock()

    def _read(self) -> list[float]:
        while self._file is not None:
            try:
                content = os.pread(self._file.lock(), len(_EMPTY), 0)
                if self._file.is_current():
                    if (times := _read_times(content)) is not None:
                        return times
                    self._file.put_aside()
                self._file.close()
            except OSError as error:
                self._alone(error)
        return []

    def _write(self, times: list[float]) -> None:
        if self._file is None:
            return
        try:
            write_at(self._file.descriptor, _TIMES.pack(_MAGIC, *times), 0)
        except OSError as error:
            self._alone(error)

    def _damaged(self, aside: Path) -> None:
        self._warn(
            f"the times of access tokens were damaged and are {aside} now: how many were asked for in the"
            " last 10 minutes is not known"
        )

    def _alone(self, error: OSError) -> None:
        assert self._file is not None, "nothing else fails"
        self._warn(
            f"when access tokens are asked for cannot be kept in {self._file.path}"
            f" ({error.strerror or error}): this load counts its own alone"
        )
        self._file.close()
        self._file = None


def _read_times(content: bytes) -> list[float] | None:
    """None: no loader has written that."""
    if len(content) != len(_EMPTY):
        return None
    magic, *times = _TIMES.unpack(content)
    # What is not a number is not at least 0 either.
    return times if magic == _MAGIC and all(at >= 0.0 for at in times) else None
