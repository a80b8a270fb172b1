"""The credits of one organisation, as all its loads on this machine spend them.

On disk it is a ring of minutes, a slot of 32 bytes each. What is spent is written before the call leaves, so
a load that is killed has charged every call that it made. Five system calls do that: the ring is read again
only when a minute has passed, or when somebody has changed another slot than the present one. And where there
is plenty, they do it for the next few calls too, in advance; what was not needed is given back when the
minute or the load ends. So a load that is killed may have charged up to seven calls that it never made.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from zlib import crc32

from loader.events import CreditsCounted
from loader.machine.files import SharedFile, write_at
from loader.throttle.credits import (
    AHEAD_MINUTES,
    CALL_CREDITS_MAX,
    MINUTE_S,
    WINDOW_MINUTES,
    Minute,
    Standing,
    Window,
    counts,
    minute_of,
    wait_s,
)
from loader.wire.limits import CREDITS_WINDOW_S

ADVANCE_CALLS: Final = 8
"""Calls whose credits are written down at once."""
PLENTY: Final = 10 * ADVANCE_CALLS * CALL_CREDITS_MAX
"""With fewer credits left than these, or where nobody knows how many, each call's are written down by
themselves: near the end of the day's, loads side by side find them to the last one."""

_HEAD: Final = struct.Struct("<8sQqd")
"""Which file this is, how often a slot other than the present one was changed, credits a day (-1: unknown),
and until when that is so (0.0: for good)."""
_SLOT: Final = struct.Struct("<qqqQ")
"""Minute, own, others, checksum. A power of two: a slot never lies on two pages."""
_MAGIC: Final = b"credits1"
_FIRST: Final = 64
SLOTS: Final = 1536
"""More than the minutes of a day and those ahead of it: no two that count share a slot."""
_EMPTY: Final = _HEAD.pack(_MAGIC, 0, -1, 0.0).ljust(_FIRST + SLOTS * _SLOT.size, b"\0")
_COUNTS: Final = struct.Struct("<qqq")
_CHECK: Final = struct.Struct("<Q")
_NOTHING: Final = b"\0" * _SLOT.size

assert SLOTS > WINDOW_MINUTES + AHEAD_MINUTES


class _DamagedError(Exception):
    """The file holds what no loader has written."""


class _GoneError(Exception):
    """The file that is open is not the one at its path any more."""


class SharedCredits:
    """The budget of one load. Until `join`, and where the disk fails, it counts for itself alone."""

    def __init__(
        self,
        *,
        total: int | None = None,
        keep: Callable[[int], int] = lambda _total: 0,
        warn: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`total`: a person's word, which goes before what the organisation is known to have.

        `keep`: of so many credits a day, what is left to other programs.
        """
        self._word = total
        self._known: int | None = None
        self._known_until = 0.0
        """0.0: for good. What the service says remains holds for as long as credits are on their way back."""
        self._keep = keep
        self._warn = warn
        self._clock = clock
        self._window = Window()
        self._file: SharedFile | None = None
        self._present = (-1, -1)
        """The minute, and the count of changes elsewhere, of which the window is."""
        self._failed = False
        self._advance = 0
        """Credits that are spent in the window, of calls that have not been made."""
        self._advance_minute = -1
        self._carried: tuple[Minute, ...] = ()
        self._carried_total: tuple[int | None, float] = (None, 0.0)
        """What a file knew that is not there any more."""

    def join(self, path: Path, *, total: int | None) -> None:
        """Goes on with the organisation's file; what was spent before is counted there.

        `total`: credits a day by the organisation's edition; None: what the file says.
        """
        if self._failed:
            return
        if self._file is None or self._file.path != path:
            alone = self._file is None
            self.close()
            before = self._window.own(self._clock()) if alone else 0
            self._window, self._present = Window(), (-1, -1)
            self._file = SharedFile(path, empty=_EMPTY, damaged=self._damaged)
            with self._shared() as now:
                if before:
                    self._write(self._window.spend(before, now))
        with self._shared():
            if total is not None and total != self._known:
                self._known, self._known_until = total, 0.0
                self._write_elsewhere(())

    def learn(self, total: int | None) -> None:
        """Credits a day, where nothing is shared."""
        self._known = total

    def close(self) -> None:
        if self._advance:
            with self._shared() as now:
                self._return_advance(now)
        self._let_go()

    def _let_go(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def take(self, credits: int) -> float:
        """0.0: they are spent now. Else nothing was spent, and the seconds until so many are free."""
        if credits <= self._advance and minute_of(self._clock()) == self._advance_minute:
            self._advance -= credits
            return 0.0
        with self._shared() as now:
            if minute_of(now) != self._advance_minute:
                self._return_advance(now)
            usable = self._usable()
            missing = credits - self._advance
            left = wait_s(self._window, missing, usable=usable, now=now)
            if left == 0.0:
                plenty = usable is not None and usable - self._window.spent(now) >= PLENTY
                self._advance = (ADVANCE_CALLS - 1) * credits if plenty else 0
                self._advance_minute = minute_of(now)
                self._write(self._window.spend(missing + self._advance, now))
        return left

    def _return_advance(self, now: float) -> None:
        credits, self._advance = self._advance, 0
        if credits:
            self._write_elsewhere(self._window.give_back(credits, now))

    def give_back(self, credits: int) -> None:
        """The service did not charge them."""
        with self._shared() as now:
            self._write_elsewhere(self._window.give_back(credits, now))

    def spent_out(self) -> bool:
        """Whether the organisation has too few left for a whole call."""
        with self._shared() as now:
            return self._total is not None and self._total - self._spent(now) < CALL_CREDITS_MAX

    def correct(self, remaining: int) -> None:
        """The service says how many remain. Where the day's are not known, that is all there is to go by."""
        with self._shared() as now:
            total = self._total
            if total is None or (self._word is None and self._known_until):
                known = self._spent(now) + remaining
                if known != self._known:
                    self._known, self._known_until = known, now + CREDITS_WINDOW_S + MINUTE_S
                    self._write_elsewhere(())
                return
            changed = self._window.correct(total - remaining + self._advance, now)
            if changed:
                self._write_elsewhere(changed)

    def standing(self) -> Standing:
        """Where the organisation stands now."""
        with self._shared() as now:
            total = self._total
            kept = 0 if total is None else self._keep(total)
            return Standing(self._spent(now), total, kept, self._window.coming_back(now))

    def counted(self) -> CreditsCounted | None:
        """How many are left, and of how many a day where that is known for good."""
        with self._shared() as now:
            total = self._total
            if total is None:
                return None
            lasting = self._word is not None or not self._known_until
            left = max(total - self._spent(now), 0)
            return CreditsCounted(left, total if lasting else None)

    def own(self) -> int:
        """Of what was spent in the last 24 hours, the part of loads on this machine."""
        with self._shared() as now:
            return self._window.own(now) - self._advance

    def _spent(self, now: float) -> int:
        """By calls that were made, as far as this load knows which were."""
        return self._window.spent(now) - self._advance

    @property
    def _total(self) -> int | None:
        return self._known if self._word is None else self._word

    def _usable(self) -> int | None:
        total = self._total
        return None if total is None else total - self._keep(total)

    @contextmanager
    def _shared(self) -> Iterator[float]:
        """The present time, and the window as it is on disk, locked; where the disk fails, as it is here."""
        now = self._look()
        try:
            yield self._clock() if now is None else now
        finally:
            if self._file is not None:
                self._file.unlock()

    def _look(self) -> float | None:
        while self._file is not None:
            try:
                descriptor = self._file.lock()
                # Read under the lock: whoever comes later never spends in an earlier minute.
                now = self._clock()
                self._read(descriptor, now)
            except OSError as error:
                self._alone(error)
            except _DamagedError:
                self._put_aside(self._file)
            except _GoneError:
                self._begin_again(self._file)
            else:
                if self._carried or self._carried_total[0] is not None:
                    self._carry()
                return now
        return None

    def _read(self, descriptor: int, now: float) -> None:
        """Brings the window up to date."""
        minute = minute_of(now)
        head = os.pread(descriptor, _HEAD.size, 0)
        if len(head) != _HEAD.size:
            raise _DamagedError
        magic, changes, total, until = _HEAD.unpack(head)
        if magic != _MAGIC or total < -1 or not until >= 0.0:
            raise _DamagedError
        if (minute, changes) == self._present:
            self._window.put(_minute(os.pread(descriptor, _SLOT.size, _offset(minute)), minute))
            return
        assert self._file is not None, "it is read"
        if not self._file.is_current():
            raise _GoneError
        self._window = _window(os.pread(descriptor, len(_EMPTY), 0), minute)
        self._present = (minute, changes)
        over = total < 0 or (until and now > until)
        self._known, self._known_until = (None, 0.0) if over else (total, until)

    def _write(self, minute: Minute) -> None:
        """The present minute, into whose slot everybody looks."""
        self._put(_slot(minute), _offset(minute.minute))

    def _write_elsewhere(self, minutes: Iterable[Minute]) -> None:
        """Any minutes; everybody else reads the ring again."""
        present, changes = self._present
        self._present = (present, changes + 1)
        # The count first: without the rest it only makes somebody read again.
        total = -1 if self._known is None else self._known
        self._put(_HEAD.pack(_MAGIC, changes + 1, total, self._known_until), 0)
        for minute in minutes:
            self._write(minute)

    def _put(self, content: bytes, offset: int) -> None:
        if self._file is None:
            return
        try:
            write_at(self._file.descriptor, content, offset)
        except OSError as error:
            self._alone(error)

    def _alone(self, error: OSError) -> None:
        """The load never fails because of what it shares."""
        assert self._file is not None, "there is nothing else that fails"
        self._warn(
            f"the credits that the loads of this machine share cannot be kept in {self._file.path}"
            f" ({error.strerror or error}): this load counts its own alone"
        )
        self._failed = True
        self._let_go()

    def _put_aside(self, file: SharedFile) -> None:
        try:
            file.put_aside()
        except OSError as error:
            self._alone(error)
        else:
            self._begin_again(file)

    def _damaged(self, aside: Path) -> None:
        self._warn(
            f"the count of credits was damaged and is {aside} now: what earlier loads spent in the last 24"
            " hours is not known, until the service says what remains"
        )

    def _begin_again(self, file: SharedFile) -> None:
        """Another file than the one that was open: what is known here, and not there, goes there."""
        file.close()
        self._carried = (*self._carried, *self._window.minutes())
        self._carried_total = (self._known, self._known_until)
        self._present = (-1, -1)

    def _carry(self) -> None:
        carried, self._carried = self._carried, ()
        total, self._carried_total = self._carried_total, (None, 0.0)
        missing = [one for one in carried if self._window.at(one.minute) == Minute(one.minute)]
        for one in missing:
            self._window.put(one)
        if self._known is None:
            self._known, self._known_until = total
        self._write_elsewhere(missing)


def _offset(minute: int) -> int:
    return _FIRST + minute % SLOTS * _SLOT.size


def _slot(minute: Minute) -> bytes:
    content = _COUNTS.pack(minute.minute, minute.own, minute.others)
    return content + _CHECK.pack(crc32(content))


def _minute(content: bytes, minute: int) -> Minute:
    """What a slot says of the minute; of another one in its place nothing counts any more."""
    if content == _NOTHING:
        return Minute(minute)
    if len(content) != _SLOT.size:
        raise _DamagedError
    found, own, others, check = _SLOT.unpack(content)
    if check != crc32(content[: _COUNTS.size]) or own < 0 or others < 0:
        raise _DamagedError
    return Minute(found, own, others) if found == minute else Minute(minute)


def _window(content: bytes, present: int) -> Window:
    """The minutes of the ring that count."""
    if len(content) != len(_EMPTY):
        raise _DamagedError
    window = Window()
    for offset in range(_FIRST, len(content), _SLOT.size):
        slot = content[offset : offset + _SLOT.size]
        if slot != _NOTHING:
            minute = int.from_bytes(slot[:8], "little", signed=True)
            one = _minute(slot, minute)
            if counts(minute, present) and _offset(minute) == offset:
                window.put(one)
    return window
