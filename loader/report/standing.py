"""Whether somebody works on a load at this moment, found out without touching its log.

The lock itself is not tried: a loader that is just beginning would find it taken.
"""

from __future__ import annotations

import os
from pathlib import Path

from loader.checkpoint.ledger import Ledger
from loader.checkpoint.log import boot_id

LOCKS = Path("/proc/locks")


def holder_of(path: Path, *, locks: Path = LOCKS) -> int | None:
    """The process that holds the lock on this file; None where none does, or the system does not tell."""
    try:
        status, table = path.stat(), locks.read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    wanted = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in table.splitlines():
        # "1: FLOCK  ADVISORY  WRITE 4711 fe:01:131077 0 EOF"; a waiting lock has "->" after its number.
        fields = line.split()
        if len(fields) >= 6 and fields[1] == "FLOCK" and fields[3] == "WRITE" and fields[5] == wanted:
            return int(fields[4])
    return None


def survived(ledger: Ledger) -> bool:
    """Whether all that was written to this log has survived: the machine has not restarted since."""
    opened = ledger.last_open
    return opened is not None and opened.boot_id == boot_id() != ""
