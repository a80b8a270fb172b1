"""What one seed chooses: the input, the settings, and everything that will go wrong.

A plan is a value, made of the seed alone. Each seed enables only some kinds of faults, so that none is always
hidden behind another.
"""

from __future__ import annotations

import errno
import json
import random
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

US: Final = "7000000000001"
THEM: Final = "7000000000002"


class Mode(Enum):
    """By what the load settles its doubts."""

    NO_KEY = auto()
    UNIQUE_KEY = auto()
    OTHER_KEY = auto()
    """A key that the CRM does not keep unique."""
    STAMP = auto()


class Kind(Enum):
    """What a line of the input is."""

    PLAIN = auto()
    BLANK = auto()
    BROKEN = auto()
    """No JSON object."""
    NAMELESS = auto()
    """Without a mandatory field: never sent."""
    STAMPED = auto()
    """With a value of its own where the stamp goes: never sent."""
    REFUSED = auto()
    """The CRM refuses this record."""
    POISON = auto()
    """The CRM refuses the whole call that carries it."""
    KEYLESS = auto()
    REPEATED = auto()
    """Its key is an earlier line's."""
    THEIRS = auto()
    """Another user's record has its key already."""
    OURS_OF_OLD = auto()
    """A record has its key that our own user created before this load."""
    SOON_THEIRS = auto()
    """Another user creates a record with its key while the load runs."""


SENDABLE: Final = frozenset(Kind) - {Kind.BLANK, Kind.BROKEN, Kind.NAMELESS, Kind.STAMPED}


class Line(Enum):
    """How a line ends."""

    LF = b"\n"
    CRLF = b"\r\n"
    OPEN = b""


class Deed(Enum):
    """What happens to a call; `network.py` says when and how."""

    ANSWER = auto()
    SLOW = auto()
    UNREACHABLE = auto()
    CONNECT_TIMEOUT = auto()
    NOT_HANDED_OVER = auto()
    LOST_BEFORE = auto()
    LOST_AFTER = auto()
    LATE = auto()
    CUT = auto()
    ERROR_BEFORE = auto()
    ERROR_AFTER = auto()
    HTML = auto()
    EMPTY = auto()
    UNKNOWN_FAULT = auto()
    PARTIAL = auto()
    SHORT = auto()
    REPEATED = auto()
    REORDERED = auto()
    NUMBER_IDS = auto()
    INTERNAL = auto()
    PUSH_BACK = auto()
    REVOKED = auto()
    TIMEOUT_408 = auto()
    TOO_LARGE = auto()
    REDIRECT = auto()


class Storm(Enum):
    """What every call meets for a while."""

    PUSH_BACK = auto()
    UNREACHABLE = auto()
    ERROR = auto()


class Fall(Enum):
    """What a crash takes with it."""

    KILL = auto()
    """kill -9: the machine goes on."""
    POWER = auto()
    """Power loss: of what was not synced, something or other is there."""
    POWER_WORST = auto()
    """Power loss: nothing is there that was not synced."""


@dataclass(frozen=True)
class DiskFault:
    """The `countdown`-th operation of this name fails; `lasting`: and all after it."""

    operation: str
    countdown: int
    errno: int
    lasting: bool
    part: int
    """Bytes of a failing write that are written."""


@dataclass(frozen=True)
class Life:
    """One process. Times are seconds after its start; None: that does not happen."""

    crash_at: float | None = None
    crash_at_operation: int | None = None
    """Of the disk: in the middle of it."""
    stop_at: float | None = None
    """A SIGTERM."""
    abandon_after: float | None = None
    """A second signal, after the first one."""
    disk: DiskFault | None = None
    fall: Fall = Fall.KILL
    """What a crash is, and what comes after any other end: a machine may be switched off then, too."""
    evict: bool = False
    """The page cache forgets what a failed sync left behind."""
    touched: bool = False
    """The input's modification time changes."""


@dataclass(frozen=True)
class Plan:
    """One seed's choice."""

    seed: int
    mode: Mode
    lines: tuple[bytes, ...]
    """Line 1 first, with their ends."""
    kinds: tuple[Kind, ...]
    keys: tuple[str, ...]
    """Folded; empty: none."""
    compressed: bool
    bom: bool
    batch_size: int
    concurrency: int
    rate: float | None
    limit: int | None
    quiet_s: float
    timeout_s: float
    patience_s: float
    user_known: bool
    clock_offset_s: float
    """Of the loader's machine; it learns it as whole seconds."""
    fault_share: float
    deeds: tuple[Deed, ...]
    storms: tuple[Storm, ...]
    locked: tuple[tuple[int, int], ...]
    """Lines that are locked, and how often they say so."""
    size_max: int | None
    """Calls of more records meet a 413."""
    very_late: bool
    """What is applied late may come later than any quiet period."""
    sync_s: float
    """The longest time that a sync takes."""
    lives: tuple[Life, ...]

    def kind(self, line: int) -> Kind:
        return self.kinds[line - 1]

    def key(self, line: int) -> str:
        return self.keys[line - 1]

    @property
    def content(self) -> bytes:
        """The input, decompressed."""
        return (b"\xef\xbb\xbf" if self.bom else b"") + b"".join(self.lines)


def plan_of(seed: int) -> Plan:
    """The plan of a seed, always the same."""
    rng = random.Random(f"plan {seed}")
    mode = rng.choice(list(Mode))
    kinds = _kinds(rng, mode, _count(rng))
    records = [_record(rng, mode, kinds, number) for number in range(1, len(kinds) + 1)]
    endings = _endings(rng, kinds)
    very_late = mode in (Mode.UNIQUE_KEY, Mode.STAMP) and rng.random() < 0.3
    # What is locked is rejected after a while; it must not be applied after that.
    locks = rng.random() < 0.3 and not very_late
    lockable = [number for number, kind in enumerate(kinds, 1) if kind is Kind.PLAIN]
    return Plan(
        seed=seed,
        mode=mode,
        lines=tuple(raw + end.value for (raw, _), end in zip(records, endings, strict=True)),
        kinds=tuple(kinds),
        keys=_keys(records, kinds),
        compressed=rng.random() < 0.15,
        bom=rng.random() < 0.1,
        batch_size=rng.choice((2, 3, 5, 5, 8)),
        concurrency=rng.randint(1, 10),
        rate=rng.choice((None, None, None, 2.0)),
        limit=rng.randint(1, len(kinds)) if rng.random() < 0.1 else None,
        quiet_s=rng.choice((2.0, 10.0, 30.0)),
        timeout_s=rng.choice((10.0, 60.0)),
        patience_s=rng.choice((30.0, 300.0)),
        user_known=rng.random() < 0.9,
        clock_offset_s=rng.choice((0.0, -3600.0, 86400.0)) + rng.random(),
        fault_share=rng.choice((0.0, 0.05, 0.1, 0.3)),
        deeds=tuple(_some(rng, list(Deed)[1:])),
        storms=tuple(_some(rng, list(Storm))) if rng.random() < 0.4 else (),
        locked=tuple((line, rng.randint(1, 7)) for line in _some(rng, lockable)[:5]) if locks else (),
        size_max=rng.randint(1, 4) if rng.random() < 0.1 else None,
        very_late=very_late,
        sync_s=rng.choice((0.001, 0.02, 0.5)),
        lives=_lives(rng),
    )


def _some(rng: random.Random, items: list[Any]) -> list[Any]:
    return rng.sample(items, rng.randint(0, len(items)))


def _count(rng: random.Random) -> int:
    return rng.choice((rng.randint(1, 15), rng.randint(10, 40), rng.randint(10, 40), rng.randint(40, 110)))


def _kinds(rng: random.Random, mode: Mode, count: int) -> list[Kind]:
    odd = _some(rng, [kind for kind in Kind if kind not in (Kind.PLAIN, Kind.POISON, Kind.STAMPED)])
    odd += [Kind.STAMPED] if mode is Mode.STAMP and rng.random() < 0.5 else []
    if rng.random() < 0.15:  # keys that are often repeated
        odd = [Kind.REPEATED]
    share = rng.choice((0.0, 0.1, 0.4)) if odd else 0.0
    kinds = [rng.choice(odd) if rng.random() < share else Kind.PLAIN for _ in range(count)]
    if rng.random() < 0.15:
        # One only: two whose calls are refused at once stop the load, as if all records would fare so.
        kinds[rng.randrange(count)] = Kind.POISON
    return kinds


def _record(rng: random.Random, mode: Mode, kinds: list[Kind], number: int) -> tuple[bytes, str]:
    """The line without its end, and its key."""
    kind = kinds[number - 1]
    if kind is Kind.BLANK:
        return rng.choice((b"", b"  ")), ""
    if kind is Kind.BROKEN:
        return rng.choice((b'{"Last_Name": "x', b"[1]", b"null", b'{"Line": }')), ""
    key = f"k{number}@example.com"
    if kind is Kind.REPEATED and number > 1:
        earlier = rng.randint(max(1, number - 12), number - 1)
        key = rng.choice((f"k{earlier}@example.com", f"K{earlier}@Example.com", f" k{earlier}@example.com"))
    values: dict[str, object] = {"Last_Name": f"N\u00e4me {number}", "Line": number, "Email": key}
    if kind is Kind.NAMELESS:
        del values["Last_Name"]
    if kind is Kind.KEYLESS:
        key = ""
        values["Email"] = None
        if rng.random() < 0.5:
            del values["Email"]
    if kind is Kind.STAMPED:
        values["Stamp"] = "mine"
    separators = rng.choice(((",", ":"), (", ", ": ")))
    return json.dumps(values, ensure_ascii=rng.random() < 0.5, separators=separators).encode(), key


def _keys(records: list[tuple[bytes, str]], kinds: list[Kind]) -> tuple[str, ...]:
    return tuple(
        key.strip().casefold() if kind in SENDABLE else ""
        for (_, key), kind in zip(records, kinds, strict=True)
    )


def _endings(rng: random.Random, kinds: list[Kind]) -> list[Line]:
    style = rng.choice(([Line.LF], [Line.LF], [Line.CRLF], [Line.LF, Line.CRLF]))
    endings = [rng.choice(style) for _ in kinds]
    if kinds[-1] is not Kind.BLANK and rng.random() < 0.3:
        endings[-1] = Line.OPEN
    return endings


def _lives(rng: random.Random) -> tuple[Life, ...]:
    if rng.random() < 0.05:  # one crash after the other, mostly before the process has got anywhere
        return tuple(_life(rng, rng.choice(("soon", "operation"))) for _ in range(8))
    hows = ("crash", "crash", "crash", "operation", "operation", "stop", "none")
    return tuple(_life(rng, rng.choice(hows)) for _ in range(rng.choice((0, 1, 2, 2, 3, 4))))


def _life(rng: random.Random, how: str) -> Life:
    moment = rng.uniform(0, 1)
    if how != "soon":
        moment = rng.choice((moment, rng.uniform(0, 10), rng.uniform(0, 60)))
    return Life(
        crash_at=moment if how in ("crash", "soon") else None,
        crash_at_operation=rng.choice((rng.randint(1, 20), rng.randint(20, 150)))
        if how == "operation"
        else None,
        stop_at=moment if how == "stop" else None,
        abandon_after=rng.uniform(0, 0.5) if how == "stop" and rng.random() < 0.5 else None,
        disk=_disk_fault(rng) if rng.random() < 0.2 else None,
        fall=rng.choice((Fall.KILL, Fall.KILL, Fall.POWER, Fall.POWER_WORST)),
        evict=rng.random() < 0.7,
        touched=rng.random() < 0.15,
    )


def _disk_fault(rng: random.Random) -> DiskFault:
    operation = rng.choice(("write", "write", "sync_data", "sync_data", "allocate", "truncate"))
    return DiskFault(
        operation=operation,
        countdown=1 if operation in ("allocate", "truncate") else rng.randint(1, 40),
        errno=errno.ENOSPC if operation == "allocate" else rng.choice((errno.EIO, errno.ENOSPC)),
        lasting=rng.random() < 0.4,
        part=rng.choice((0, 0, rng.randint(1, 60))),
    )
