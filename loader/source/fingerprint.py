"""What an input is known by: is this the very file that the load began with?

Only what the file system says. Whether the bytes are still the same is for `replay` to find out, by checksum.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Literal, Self

import msgspec

from loader.errors import UsageError

_MTIME_NS_MAX = 2**63 - 1
"""In the year 2262."""


class InputIdentity(msgspec.Struct, frozen=True):
    """An input as the file system knows it; zeros where there is nothing to know, as of a pipe."""

    kind: Literal["path", "stdin", "records"]
    """`records`: a program hands them over; a pipe all the same."""
    name: str
    """Absolute path, or `-`."""
    size: int = 0
    """Bytes as stored."""
    mtime_ns: int = 0
    inode: int = 0
    device: int = 0

    @classmethod
    def of_stdin(cls) -> Self:
        return cls("stdin", "-")

    @classmethod
    def of_records(cls) -> Self:
        return cls("records", "-")

    @property
    def told(self) -> str:
        """What a person knows it by."""
        return "what a program hands over" if self.kind == "records" else self.name

    @classmethod
    def of_path(cls, path: str) -> Self:
        """The identity of what this path leads to now.

        Raises:
            UsageError: nothing is there, or it may not be looked at; or its name is not UTF-8.
        """
        # The path as it was given, made absolute: a link stays the name that the operator knows.
        name = str(Path(path).absolute())
        _require_text(name)
        try:
            status = Path(path).stat()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            hint = "Check the path; a relative one starts at the present directory"
            raise UsageError(f"cannot read {path}", why=why, hint=hint) from None
        if not stat.S_ISREG(status.st_mode):
            return cls("path", name)
        mtime_ns = mtime_as_kept(status.st_mtime_ns)
        return cls("path", name, status.st_size, mtime_ns, status.st_ino, status.st_dev)


def mtime_as_kept(mtime_ns: int) -> int:
    """The nearest time that the log has room for: a file's may be anything that somebody set."""
    return min(max(mtime_ns, -_MTIME_NS_MAX), _MTIME_NS_MAX)


def _require_text(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UsageError(
            "the name of the input is no text",
            why="its path holds bytes that are not UTF-8, and what is kept of a load names its input as text",
            hint="Give the file or its directory another name, or pipe the file: loader load - < FILE",
        ) from None
