"""How fast a load of an adapter goes and how long it waits, in the words of its settings."""

from __future__ import annotations

from pathlib import Path

import msgspec

from loader.errors import UsageError
from loader.library import LoadOptions
from loader.settings import NOTHING_KEPT, Threshold


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """Each as the flag of the command that is called like it; times are in seconds.

    Raises:
        UsageError: `keep_credits` is neither a number nor a share.
    """

    concurrency: int = 10
    rate: float | None = None
    timeout_s: float = 60.0
    patience_s: float = 300.0
    quiet_period_s: float = 30.0
    keep_credits: int | str | None = None
    """A number of credits, or a share of the day's: `1000`, `"10%"`."""
    daily_credits: int | None = None
    wait_s: float = 0.0
    state_dir: str | None = None

    def __post_init__(self) -> None:
        _kept(self.keep_credits)

    def options(self) -> LoadOptions:
        """The same for the library."""
        options: LoadOptions = {
            "concurrency": self.concurrency,
            "rate": self.rate,
            "timeout_s": self.timeout_s,
            "patience_s": self.patience_s,
            "quiet_period_s": self.quiet_period_s,
            "keep_credits": _kept(self.keep_credits),
            "daily_credits": self.daily_credits,
            "wait_s": self.wait_s,
        }
        if self.state_dir is not None:  # else it is where the command has it
            options["state_dir"] = Path(self.state_dir).expanduser()
        return options


def _kept(written: int | str | None) -> Threshold:
    if written is None:
        return NOTHING_KEPT
    kept = Threshold.read(str(written))
    if kept is None:
        raise UsageError(
            "keep_credits cannot be used",
            why=f"{written!r} is neither a number of credits nor a share of them",
            hint='Write it as 1000 or as "10%"',
        )
    return kept
