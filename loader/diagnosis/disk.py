"""The disk under a load directory: room, file system, and how long it takes to make a write durable."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from loader.diagnosis.finding import Finding, ok, problem, warning
from loader.errors import ExitCode

SPACE_LEAST_BYTES: Final = 100 * 1024 * 1024
SPACE_WISHED_BYTES: Final = 1024 * 1024 * 1024
SYNC_SLOW_MS: Final = 50.0
"""Ten calls in flight wait for one sync together; of a second's latency this is a twentieth."""
_SYNCS: Final = 15
_SYNCS_S: Final = 2.0
_BLOCK: Final = bytes(4096)

_REMOTE: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "ceph"}
)
_GONE_AFTER_BOOT: Final = frozenset({"tmpfs", "ramfs"})
_OCTAL = re.compile(r"\\([0-7]{3})")


def look(load_dir: Path, *, mounts: Path = Path("/proc/self/mountinfo")) -> Iterator[Finding]:
    """Findings on the disk where `load_dir` is or would be."""
    place = load_dir.absolute()
    while not place.is_dir() and place != place.parent:
        place = place.parent
    yield _room(place)
    yield _kind(place, mounts)
    yield _durable(place)


def _room(place: Path) -> Finding:
    try:
        free = shutil.disk_usage(place).free
    except OSError as error:
        return problem("disk: room", f"{place}: {error.strerror}", "Name another --load-dir.", ExitCode.DISK)
    told = f"{free / 1024**3:,.1f} GiB free in {place}"
    if free < SPACE_LEAST_BYTES:
        return problem("disk: room", told, "Make room, or name another --load-dir.", ExitCode.DISK)
    if free < SPACE_WISHED_BYTES:
        return warning("disk: room", told, "A million records take 25 MB, and what is refused its own size.")
    return ok("disk: room", told)


def _kind(place: Path, mounts: Path) -> Finding:
    try:
        kind = kind_of(place, mounts.read_text(errors="replace"))
    except OSError:
        kind = ""
    if not kind:
        return warning("disk: kind", "the file system is not known")
    if kind in _REMOTE:
        return warning(
            "disk: kind",
            f"{kind}: over the network, or through a program",
            "Locks and syncs may not be what they promise there: name a --load-dir on a local disk.",
        )
    if kind in _GONE_AFTER_BOOT:
        return warning("disk: kind", f"{kind}: gone after a restart", "Name a --load-dir on a disk.")
    return ok("disk: kind", kind)


def kind_of(place: Path, mountinfo: str) -> str:
    """The kind of file system at `place`, by the text of /proc/self/mountinfo (proc(5)); empty: unknown."""
    best, kind = -1, ""
    for line in mountinfo.splitlines():
        mount, separated, source = line.partition(" - ")
        fields = mount.split(" ")
        if not separated or len(fields) < 5:
            continue
        point = Path(_OCTAL.sub(lambda code: chr(int(code[1], 8)), fields[4]))
        # Of two mounts on one point the later one is seen.
        if place.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), source.split(" ")[0]
    return kind


def _durable(place: Path) -> Finding:
    try:
        took_ms = _sync_ms(place)
    except OSError as error:
        return problem(
            "disk: writing",
            f"{place}: {error.strerror or error}",
            "Name a --load-dir that this user may write to.",
            ExitCode.DISK,
        )
    told = f"a write is durable in {took_ms:.1f} ms"
    if took_ms > SYNC_SLOW_MS:
        return warning("disk: writing", told, "Slow: a --load-dir on another disk makes loads faster.")
    return ok("disk: writing", told)


def _sync_ms(place: Path) -> float:
    """The median of a few writes, each made durable; in a file of its own, locked as a log is."""
    with tempfile.NamedTemporaryFile(prefix=".loader-doctor-", dir=place, buffering=0) as file:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        taken: list[float] = []
        ends = time.perf_counter() + _SYNCS_S
        while len(taken) < _SYNCS and (not taken or time.perf_counter() < ends):
            began = time.perf_counter()
            os.pwrite(file.fileno(), _BLOCK, len(taken) * len(_BLOCK))
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)
