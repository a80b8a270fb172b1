"""Loads records into Zoho CRM: each ends in one recorded outcome, none is inserted twice.

The public names; `docs/guide/python.md` shows their use. They are imported when they are first asked for, so
that the command pays for none that it does not use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loader.client.token_memory import TokenMemory
    from loader.errors import (
        CredentialsError,
        DiskError,
        ExitCode,
        InputChangedError,
        LoaderError,
        LockedError,
        NotNowError,
        TooManyRejectedError,
        UsageError,
    )
    from loader.library import Loader, Report, load, status
    from loader.outcomes import Outcome
    from loader.settings import Credentials, Target, Threshold
    from loader.signals import StoppedError
    from loader.source.feed import FeedError
    from loader.wire.options import InsertOptions

__all__ = [
    "Credentials",
    "CredentialsError",
    "DiskError",
    "ExitCode",
    "FeedError",
    "InputChangedError",
    "InsertOptions",
    "Loader",
    "LoaderError",
    "LockedError",
    "NotNowError",
    "Outcome",
    "Report",
    "StoppedError",
    "Target",
    "Threshold",
    "TokenMemory",
    "TooManyRejectedError",
    "UsageError",
    "load",
    "status",
]

_PLACES = {
    "loader.client.token_memory": ("TokenMemory",),
    "loader.library": ("Loader", "Report", "load", "status"),
    "loader.outcomes": ("Outcome",),
    "loader.settings": ("Credentials", "Target", "Threshold"),
    "loader.signals": ("StoppedError",),
    "loader.source.feed": ("FeedError",),
    "loader.wire.options": ("InsertOptions",),
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    place = next((module for module, names in _PLACES.items() if name in names), "loader.errors")
    found: object = getattr(import_module(place), name)
    globals()[name] = found
    return found
