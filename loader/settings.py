"""What a person may set, validated once, as the values that the parts take.

Nothing here reads the environment or a file: `cli` gathers the words, this module makes them sound.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

import msgspec

from loader.errors import UsageError, command
from loader.wire.limits import RECORDS_PER_CALL_MAX, credits_for
from loader.wire.options import PLAIN, InsertOptions, OptionError, is_record_id

STDIN = "-"
_COUNT = re.compile(r"\d{1,15}")
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")


class Target(msgspec.Struct, frozen=True):
    """Where the records go: a module of the organisation that the credentials belong to."""

    module: str
    api_url: str
    """Scheme, host and port, without a trailing slash."""
    accounts_url: str
    """Where access tokens come from."""


class Credentials(msgspec.Struct, frozen=True):
    """Either a refresh token with its client, or an access token that is never refreshed.

    Never printed: `repr` shows which kind it is and no more.
    """

    client_id: str = ""
    client_secret: str = ""
    refresh_token: str = ""
    access_token: str = ""
    named: tuple[str, ...] = ()
    """Where they were read, such as LOADER_CLIENT_SECRET_FILE; nothing where a program hands them over."""

    @property
    def refreshable(self) -> bool:
        return bool(self.refresh_token)

    def __repr__(self) -> str:
        return f"Credentials({'refresh token' if self.refreshable else 'access token'})"


class Threshold(msgspec.Struct, frozen=True):
    """A number of records, or a share of those that have an outcome (`--max-rejected 100`, `1%`)."""

    count: int | None = None
    percent: float | None = None

    @classmethod
    def read(cls, written: str) -> Self | None:
        """`100` or `1%`; None: it is neither."""
        if share := _SHARE.fullmatch(written.strip()):
            return cls(percent=float(share[1]))
        return cls(count=int(written)) if _COUNT.fullmatch(written.strip()) else None

    def of(self, total: int) -> int:
        """So many of `total`; a begun one counts as a whole."""
        if self.percent is not None:
            return math.ceil(total * self.percent / 100)
        return self.count or 0

    def exceeded_by(self, count: int, *, of: int) -> bool:
        if self.count is not None:
            return count > self.count
        # A share of next to nothing says nothing: the first hundred records are let through.
        return self.percent is not None and of >= 100 and count * 100 > self.percent * of


NOTHING_KEPT = Threshold(count=0)


LEAST: Final = {"concurrency": 1, "timeout_s": 0.001, "patience_s": 0.0, "quiet_period_s": 0.0, "wait_s": 0.0}
"""What numbers of the settings have to be at least."""


class LoadSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One load: its input, its target and how to go about it."""

    input: str
    """A path, or `-` for stdin."""
    load_dir: Path
    target: Target
    key: str = ""
    """API name of the field that holds the source's own key; empty: none."""
    key_unique: bool = False
    """The key counts as unique although the field metadata could not be read."""
    stamp: str = ""
    """API name of the field that the load writes its own key into; empty: none."""
    concurrency: int = 10
    rate: float | None = None
    """Calls a second; None: no limit of our own."""
    limit: int | None = None
    """Load no more than this many records of the input."""
    max_rejected: Threshold | None = None
    timeout_s: float = 60.0
    patience_s: float = 300.0
    quiet_period_s: float = 30.0
    keep_credits: Threshold = NOTHING_KEPT
    """Credits of a day, or a share of them, that are left to the organisation's other programs."""
    daily_credits: int | None = None
    """What the organisation may spend in 24 hours; None: what its edition says, if it does."""
    wait_s: float = 0.0
    """How long to wait for credits to come back before the load stops."""
    state_dir: Path | None = None
    """Where the loads of this machine keep what they share; None: this one shares nothing."""
    ok_duplicates: bool = False
    append: bool = False
    """Go on with what was appended to the input since the load began."""
    check: bool = True
    options: InsertOptions = PLAIN
    """What each insert says beside its records."""
    layout_id: str = ""
    """Of the layout that each record gets which names none; empty: none is added."""
    approval_mode: bool = False
    """Records are created in approval mode, but for those that say `$approved` themselves."""
    line_bytes_max: int = 1024 * 1024

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            # Not "less than": nan, which a program may come by, is neither less nor more.
            if not getattr(self, name) >= least:
                flag = "--" + name.removesuffix("_s").replace("_", "-")
                raise UsageError(f"{flag} is too small", why=f"{getattr(self, name)} is not at least {least}")
        for flag, name in (("--module", self.target.module), ("--key", self.key), ("--stamp", self.stamp)):
            # What the shell handed over was no UTF-8 where such a half of a character stands.
            if any("\ud800" <= character <= "\udfff" for character in name):
                raise UsageError(f"{flag} is no text", why="it holds bytes that are not UTF-8")
        self._require_credits_for_a_call()
        if self.rate is not None and not 0 < self.rate < math.inf:
            raise UsageError("--rate is no rate", why=f"it is a number of calls a second, not {self.rate}")
        if self.layout_id and not is_record_id(self.layout_id):
            raise UsageError(
                "--layout-id is not an id",
                why=f"{self.layout_id!r} is not up to 19 digits",
                hint="The layouts metadata API tells the ids (settings/layouts).",
            )
        try:
            self.options.require_for(self.target.module)
        except OptionError as error:
            raise UsageError(
                "--external cannot be used", why=str(error), hint=f"Begin it with {self.target.module}."
            ) from None

    def _require_credits_for_a_call(self) -> None:
        share = self.keep_credits.percent
        if share is not None and share >= 100:
            raise UsageError(
                f"--keep-credits {share:g}% leaves no credit for this load",
                why="it is the share of a day's credits that is left to other programs",
                hint="Name a smaller share, such as 20%, or leave the flag out.",
            )
        if self.daily_credits is None:
            return
        usable = self.daily_credits - self.keep_credits.of(self.daily_credits)
        least = credits_for(RECORDS_PER_CALL_MAX)
        if usable < least:
            raise UsageError(
                "--daily-credits and --keep-credits leave too little for a single call",
                why=f"a call of {RECORDS_PER_CALL_MAX} records costs {least}; {max(usable, 0)} are left",
            )

    @property
    def from_stdin(self) -> bool:
        return self.input == STDIN


def how_to_go_on(settings: LoadSettings) -> str:
    """What to type when a load has stopped before its end."""
    if settings.from_stdin:
        return "pipe the same bytes into `loader load` again"
    return command("resume", settings.load_dir)


def require_safe_url(url: str, *, flag: str) -> str:
    """`url` as scheme, host and port: https anywhere, http on loopback only.

    No error repeats it: part of it may be a credential.

    Raises:
        UsageError: another scheme, a plain-text host beyond this machine, a credential in it, or no address.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise _unsafe(flag, "it is not written as an address is") from None
    if "@" in parts.netloc:
        raise _unsafe(
            flag,
            "it has a name or a password in it, and addresses are kept in the load directory and shown;"
            " credentials are read from the environment or from files",
        )
    loopback = host in {"127.0.0.1", "localhost", "::1"}
    if host and (parts.scheme == "https" or (parts.scheme == "http" and loopback)):
        return f"{parts.scheme}://{parts.netloc}"
    raise _unsafe(flag, "records and credentials travel over https; plain http is for this machine alone")


def _unsafe(flag: str, why: str) -> UsageError:
    return UsageError(
        f"the address of {flag} cannot be used", why=why, hint=f"Write it as {flag} https://HOST"
    )
