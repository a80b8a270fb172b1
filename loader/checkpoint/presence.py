"""Whether the log still stands where its load is looked for, and what is done where it does not.

A file that was deleted can be read and written as long as somebody holds it open, and is gone when that
process ends, with all that it says of what was sent. So it is put back, or kept beside what has taken its
place, before anything else happens.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from loader.errors import DiskError, command

COPY_BYTES = 1024 * 1024
RESCUED_SUFFIX = ".rescued-"
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class Astray(NamedTuple):
    """A log that no longer is where it belongs."""

    error: DiskError
    copy: int | None
    """An open, locked descriptor of its copy; None where it was only moved, or no copy could be made."""


def still_at(descriptor: int, path: Path) -> bool:
    """Whether `path` leads to this very file. True also where the system does not tell."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def rescue(descriptor: int, path: Path, size: int) -> Astray:
    """Saves the first `size` bytes of a log that is no longer at `path`, durably, and says what happened."""
    moved = _moved_to(descriptor)
    if moved is not None:
        return Astray(_moved(path, moved), None)
    refusals: list[str] = []
    for save in (_beside, _elsewhere):
        try:
            copy, place = save(descriptor, path, size)
        except OSError as error:
            refusals.append(str(error))
            continue
        return Astray(_saved(path, place), copy)
    return Astray(_lost(path, refusals), None)


def _moved_to(descriptor: int) -> Path | None:
    """Where the file is now, if it has a name that the system tells."""
    try:
        place = Path(f"/proc/self/fd/{descriptor}").readlink()
        return place if os.path.samestat(place.stat(), os.fstat(descriptor)) else None
    except OSError:
        return None


def _beside(descriptor: int, path: Path, size: int) -> tuple[int, Path]:
    """A copy under the log's own name, or beside what stands there now."""
    if not path.parent.exists():
        path.parent.mkdir(mode=0o700)
        _sync_directory(path.parent.parent)
    copy, beside = _copied(descriptor, path, size)
    place = path if _named(beside, path) else beside
    _sync_directory(path.parent)
    return copy, place


def _elsewhere(descriptor: int, path: Path, size: int) -> tuple[int, Path]:
    directory = Path(tempfile.mkdtemp(prefix=f"{path.parent.name}-"))
    copy, place = _copied(descriptor, directory / path.name, size)
    _sync_directory(directory)
    return copy, place


def _copied(descriptor: int, path: Path, size: int) -> tuple[int, Path]:
    """A whole and synced copy under a name beside `path` that nothing has yet."""
    number = 1
    while os.path.lexists(place := path.with_name(f"{path.name}{RESCUED_SUFFIX}{number}")):
        number += 1
    copy = os.open(place, _FLAGS, 0o600)
    try:
        fcntl.flock(copy, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _copy(descriptor, copy, size)
        os.fsync(copy)
    except OSError:
        os.close(copy)
        place.unlink(missing_ok=True)
        raise
    return copy, place


def _copy(source: int, target: int, size: int) -> None:
    at = 0
    while at < size:
        data = os.pread(source, min(COPY_BYTES, size - at), at)
        if not data:
            raise OSError(f"only {at:,} of its {size:,} bytes could be read")
        at += os.pwrite(target, data, at)


def _named(copy: Path, path: Path) -> bool:
    """Gives the copy the log's own name, unless something else has it."""
    for give in (_link, _rename):
        with suppress(OSError):
            give(copy, path)
            return True
    return False


def _link(copy: Path, path: Path) -> None:
    path.hardlink_to(copy)
    copy.unlink()


def _rename(copy: Path, path: Path) -> None:
    """For a file system without links."""
    if os.path.lexists(path):
        raise FileExistsError(path)
    copy.rename(path)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- what is said ---

_STOPPED = "Nothing new is sent; answers on their way are awaited and written there too"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _moved(path: Path, place: Path) -> DiskError:
    hint = f"{command('resume', place.parent)}"
    if place.name != path.name:
        hint = f"mv {_quoted(place)} {_quoted(path)}\n{command('resume', path.parent)}"
    return DiskError(
        f"the checkpoint log {path} was moved during the load",
        why=f"It is {place} now.\n{_STOPPED}",
        hint=f"To go on:\n{hint}",
    )


def _saved(path: Path, place: Path) -> DiskError:
    if place == path:
        return DiskError(
            f"the checkpoint log {path} was deleted during the load",
            why=f"All that it said has been put back under its name.\n{_STOPPED}",
            hint=f"See to it that nobody deletes it, then: {command('resume', path.parent)}",
        )
    replaced = os.path.lexists(path)
    happened = "another file has its name" if replaced else f"{path.parent} cannot be made again"
    aside = f"mv {_quoted(path)} {_quoted(path.with_name(path.name + '.other'))}\n" if replaced else ""
    return DiskError(
        f"the checkpoint log {path} was {'replaced' if replaced else 'deleted'} during the load",
        why=f"All that it said has been written to {place}, for {happened}.\n{_STOPPED}",
        hint="It is the only record of what was sent. To go on with it:\n"
        f"{aside}mv {_quoted(place)} {_quoted(path)}\n{command('resume', path.parent)}",
    )


def _lost(path: Path, refusals: list[str]) -> DiskError:
    return DiskError(
        f"the checkpoint log {path} was deleted during the load, and no copy of it could be written",
        why="\n".join(refusals),
        hint="What this load has sent is recorded nowhere. Look in the CRM for what was created today before"
        " any of it is loaded again",
    )
