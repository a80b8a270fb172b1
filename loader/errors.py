"""What ends a load before its time: one shallow tree, each error with its exit code and its next step.

What becomes of a single record is a value (`outcomes.py`), never an exception. Nothing in this module
prints; `cli` turns an error into one screen.
"""

from __future__ import annotations

import errno
import shlex
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the command; promised to scripts, so none ever changes its meaning."""

    OK = 0
    DEFECT = 1
    USAGE = 2
    NOT_ALL_INSERTED = 3
    IN_DOUBT = 4
    TOO_MANY_REJECTED = 5
    CREDENTIALS = 6
    NOT_NOW = 7
    INPUT_CHANGED = 8
    DISK = 9
    LOCKED = 11
    SIGINT = 130
    SIGTERM = 143

    @property
    def run_again(self) -> bool:
        """The same command may come to another end by itself; all others that are not 0 want a person."""
        return self in (ExitCode.NOT_NOW, ExitCode.LOCKED, ExitCode.SIGINT, ExitCode.SIGTERM)


def command(name: str, *words: object) -> str:
    """`loader NAME WORDS...` as it can be typed, whatever is in the words."""
    return f"loader {name} {shlex.join(map(str, words))}"


_REMEDIES = {
    errno.EFBIG: "Raise the limit on the size of a file (ulimit -f unlimited)",
    errno.EDQUOT: "Free some disk space, or have this user's quota raised",
    errno.EMFILE: "Raise the limit of open files of a process (ulimit -n 4096)",
    errno.ENFILE: "Raise the system's limit of open files (sysctl fs.file-max)",
}
"""By what the system says; everything else is the disk."""


def remedy(error: OSError, otherwise: str) -> str:
    """What helps against what the system says; some of it is about this process, not about the disk."""
    return _REMEDIES.get(error.errno or 0, otherwise)


class LoaderError(Exception):
    """A load that cannot go on.

    `what` names operation and subject in one line; `why` the cause, a line or more; `hint` the command to
    type or the thing to do next.
    """

    exit_code: ExitCode = ExitCode.DEFECT

    def __init__(self, what: str, *, why: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.hint = hint

    def __str__(self) -> str:
        return "\n".join(part for part in (self.what, self.why, self.hint) if part)


class UsageError(LoaderError):
    """Flags, configuration or input that cannot work, however often they are tried."""

    exit_code = ExitCode.USAGE


class TooManyRejectedError(LoaderError):
    """More records were refused than `--max-rejected` allows."""

    exit_code = ExitCode.TOO_MANY_REJECTED


class CredentialsError(LoaderError):
    """Credentials that are missing, refused or without the permission that this load needs."""

    exit_code = ExitCode.CREDENTIALS


class NotNowError(LoaderError):
    """The service is out of reach beyond `--patience`, or the credits are spent: try again later."""

    exit_code = ExitCode.NOT_NOW


class InputChangedError(LoaderError):
    """The input is not the one that this load began with."""

    exit_code = ExitCode.INPUT_CHANGED


class DiskError(LoaderError):
    """The checkpoint log cannot be written, or cannot be believed."""

    exit_code = ExitCode.DISK


class LockedError(LoaderError):
    """Another loader holds this load directory."""

    exit_code = ExitCode.LOCKED
