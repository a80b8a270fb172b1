"""The places in flight of one organisation, shared by its loads on this machine.

Each load has a slot: a small file that it keeps locked for as long as it lives, and in which it says what it
wants. Who looks around counts the slots that are locked, so the death of a load frees its share at once. All
of them divide by the same rule and come to the same shares; there is no ticket to hand out or to lose.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from loader.machine.files import is_locked, let_go, make_folder, open_private, try_lock, write_at
from loader.throttle.sharing import divided

LOOK_S: Final = 0.25
"""How often a load looks at the others; in between, asking costs nothing."""

SETTLE_S: Final = 3.0
"""How long places that were left may still be in use: calls that had begun have to end."""

SILENT_S: Final = 120.0
"""A load that wants places and has not asked for one in so long has been stopped."""

SLOTS_MAX: Final = 64
WANTED_MAX: Final = 1000
"""As --concurrency."""

_SAYS: Final = struct.Struct("<iid")
"""Places wanted (0: idle), places held, and when that was so on the clock of the machine's present boot."""


class _Says(msgspec.Struct, frozen=True):
    """What a load says in its slot."""

    wants: int
    holds: int
    at: float


class SharedPlaces:
    """The share of one load. Until `join`, and where the disk fails, it has all places."""

    def __init__(
        self,
        *,
        warn: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._warn = warn
        self._clock = clock
        self._folder: Path | None = None
        self._slot = -1
        self._number = -1
        self._share = 1
        self._look_at = 0.0
        self._wanted = False
        self._held: list[tuple[int, float]] = []
        """How many places were had, and until when: what is left is in use for a while yet."""

    def join(self, folder: Path) -> None:
        """Shares with the loads that have their slots there."""
        if folder == self._folder:
            return
        self.close()
        self._folder = folder
        try:
            make_folder(folder)
            self._take_slot(folder)
        except OSError as error:
            self._alone(error)

    def close(self) -> None:
        """Leaves the places to the others."""
        if self._slot >= 0:
            let_go(self._slot)
        self._slot = -1

    def share(self, ceiling: int, *, wants: bool) -> int:
        """How many of `ceiling` places this load may use now, at least 1.

        `wants`: it uses them; else it has no call in flight, and leaves them to others.
        """
        if self._slot < 0:
            return ceiling
        now = self._clock()
        try:
            if wants and now >= self._look_at:
                self._look(ceiling, now)
            elif wants != self._wanted:
                # A load that is idle between two calls looks no oftener than a busy one.
                self._say(ceiling if wants else 0, now)
        except OSError as error:
            self._alone(error)
            return ceiling
        return min(self._share, ceiling)

    def _look(self, ceiling: int, now: float) -> None:
        self._look_at = now + LOOK_S
        others = self._others(now)
        position = sum(number < self._number for number, _ in others)
        wanted = [says.wants for _, says in others]
        wanted.insert(position, ceiling)
        places = max(wanted)
        fair = divided(places, wanted)[position]
        # What the others have not left yet is not to be had.
        unused = places - sum(says.holds for _, says in others)
        self._share = max(1, min(fair, max(unused, self._holds(now))))
        self._say(ceiling, now)

    def _say(self, wants: int, now: float) -> None:
        self._wanted = wants > 0
        if not wants:
            self._held.clear()
        else:
            self._note(now)
        write_at(self._slot, _SAYS.pack(wants, self._holds(now), now), 0)

    def _note(self, now: float) -> None:
        """The share is as it is from now on; the one before was had until now."""
        if self._held:
            self._held[-1] = (self._held[-1][0], now)
        if not self._held or self._held[-1][0] != self._share:
            self._held.append((self._share, now))

    def _holds(self, now: float) -> int:
        """The most that was had of late: the calls that took those places may be on their way still."""
        self._held[:-1] = [(many, until) for many, until in self._held[:-1] if now - until < SETTLE_S]
        return max((many for many, _ in self._held), default=0)

    def _others(self, now: float) -> list[tuple[int, _Says]]:
        """The loads that live and want places, or still hold some, by the number of their slot."""
        assert self._folder is not None, "there is a slot"
        found = []
        for name in os.listdir(self._folder):  # noqa: PTH208 - names, not paths
            if name.isdecimal() and int(name) != self._number:
                says = _read(self._folder / name)
                if says is not None and now - says.at <= SILENT_S:
                    found.append((int(name), says))
        return sorted(found)

    def _take_slot(self, folder: Path) -> None:
        for number in range(SLOTS_MAX):
            slot = open_private(folder / str(number))
            try:
                if try_lock(slot):
                    write_at(slot, _SAYS.pack(0, 0, 0.0), 0)
                    self._slot, self._number = slot, number
                    return
            finally:
                if self._slot < 0:
                    let_go(slot)
        self._warn(
            f"{SLOTS_MAX} loads of this organisation are at work on this machine: this one shares no places"
        )

    def _alone(self, error: OSError) -> None:
        self._warn(
            f"the places in flight that the loads of this machine share cannot be kept in {self._folder}"
            f" ({error.strerror or error}): this load takes all that --concurrency allows"
        )
        self.close()


def _read(path: Path) -> _Says | None:
    """What the load of this slot says; None: there is none any more, or nothing that can be understood."""
    try:
        slot = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    try:
        content = os.pread(slot, _SAYS.size, 0) if is_locked(slot) else b""
    finally:
        let_go(slot)
    if len(content) != _SAYS.size:
        return None
    wants, holds, at = _SAYS.unpack(content)
    sound = 0 <= wants <= WANTED_MAX and 0 <= holds <= WANTED_MAX
    return _Says(wants, holds, at) if sound else None
