"""A database is one sandbox's at a time: a lock on a file beside it, freed when its holder dies in any way.

The lock is not on the database itself: closing a second descriptor of a file drops the locks that SQLite
holds on it in the same process.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loader.errors import UsageError


@contextmanager
def held(database: Path) -> Iterator[None]:
    """Holds the database for as long as the context lasts.

    Raises:
        UsageError: another sandbox holds it, or its directory cannot be written.
    """
    path = database.resolve()
    beside = path.with_name(path.name + ".lock")
    try:
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise cannot_use(database, error.strerror or str(error)) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise UsageError(
            f"another sandbox holds {database}",
            why=f"two would give out the same ids; it holds {beside} for as long as it runs",
            hint="End the other one, or name another database: loader sandbox --db other.db",
        ) from None
    try:
        yield
    finally:
        # The file stays: whoever deleted it could delete one that the next holder has just locked.
        os.close(descriptor)


def cannot_use(database: Path, why: str) -> UsageError:
    """The error of a database that cannot be opened."""
    return UsageError(
        f"the sandbox cannot use {database} as its database",
        why=why,
        hint="Name a file in a directory that exists: loader sandbox --db sandbox.db",
    )
