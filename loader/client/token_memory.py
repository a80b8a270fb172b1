"""Access tokens that loads of one process share: in its memory alone, never on a disk.

Loads may run in threads and event loops of their own, so what is shared is one value, put in place whole, and
a turn that whoever obtains the next one takes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from loader.throttle.grants import OwnGrants


class Secrets(Protocol):
    """The credentials: a refresh token with its client, or an access token that is never refreshed."""

    @property
    def client_id(self) -> str: ...

    @property
    def client_secret(self) -> str: ...

    @property
    def refresh_token(self) -> str: ...

    @property
    def access_token(self) -> str: ...

    @property
    def named(self) -> Sequence[str]: ...


class NumberedToken(msgspec.Struct, frozen=True):
    """An access token, and which one it is, counted from 1. Never printed."""

    value: str
    number: int

    def __repr__(self) -> str:
        return f"NumberedToken(number={self.number})"


class Latest(msgspec.Struct, frozen=True):
    """The newest token, and what its answer said besides."""

    token: NumberedToken
    renew_at: float
    """By the clock of who obtained it."""
    api_domain: str = ""
    scope: str = ""


class HeldToken:
    """The newest access token of one set of credentials, and whose turn it is to obtain the next.

    `clock` is that of all who share it, in seconds from any moment.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.latest: Latest | None = None
        self.grants = OwnGrants(clock)
        """What was asked for, where it is not counted for the whole machine."""
        self._turn = threading.Lock()

    def newer_than(self, number: int) -> NumberedToken | None:
        """The newest token, if somebody has obtained one since `number`."""
        latest = self.latest
        return latest.token if latest is not None and latest.token.number > number else None

    def try_turn(self) -> bool:
        """Whether it is this caller's turn; if so, nobody else's until `end_turn`, in whatever thread."""
        return self._turn.acquire(blocking=False)

    def end_turn(self) -> None:
        self._turn.release()


class TokenMemory:
    """Remembers access tokens for loads that are given it, so that many small loads take one between them.

    It ends with the process. Nothing of it is printed.
    """

    def __init__(self) -> None:
        self._held: dict[tuple[str, ...], HeldToken] = {}

    def of(self, secrets: Secrets, accounts_url: str) -> HeldToken:
        """What is held for these credentials at this token service."""
        key = (accounts_url, secrets.client_id, secrets.client_secret, secrets.refresh_token)
        return self._held.setdefault(key, HeldToken())
