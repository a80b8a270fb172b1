"""How long a service has let no call pass, and when that is too long. Pure: `now` (seconds) is handed in."""

from __future__ import annotations

from loader.errors import NotNowError

PAUSE_MAX_S = 60.0
"""The longest pause of our own making; one of the service's that is no longer is always waited for."""


class Patience:
    """With one service; it is whole again once a call has passed."""

    def __init__(self, patience_s: float, host: str) -> None:
        """`host` is for messages."""
        self._patience_s = patience_s
        self._host = host
        self._since: float | None = None
        self._failed_at = 0.0
        self._refused_last = False
        """The last failure was a 429."""
        self.last_reason = ""

    def failed(self, now: float, reason: str, *, refused: bool = False) -> None:
        """A call has not passed. `refused`: the service answered 429."""
        self.last_reason = reason
        self._failed_at = now
        self._refused_last = refused
        if self._since is None:
            self._since = now

    def restore(self) -> None:
        """The service has been heard, or is not waited for any more."""
        self._since = None

    def left_s(self, now: float) -> float:
        """What of it is left; negative where it is over."""
        return self._patience_s - (0.0 if self._since is None else now - self._since)

    def require_some(self, now: float) -> None:
        """Up to the last failure, not to now: a quiet period or a silent input uses up no patience.

        Raises:
            NotNowError: it is over.
        """
        since = self._since
        if since is None or self._failed_at - since <= self._patience_s:
            return
        why = f"no call has passed for {now - since:.0f} s; the last one: {self.last_reason}"
        if self._refused_last:
            raise NotNowError(
                f"{self._host} refuses every call",
                why=why,
                hint="Nothing is lost. Either the credits of the day are spent, or other programs have all"
                " places: look at the API's usage in the CRM, then run the same command again.",
            )
        raise NotNowError(
            f"{self._host} is out of reach",
            why=why,
            hint="Nothing is lost. Run the same command again later; if the host is wrong, look at --dc or"
            " --api-domain.",
        )

    def require_covers(self, pause_s: float, *, wait_s: float) -> None:
        """Whether a pause that the service asks for is waited for; `wait_s`: so long credits would be.

        Raises:
            NotNowError: it is not.
        """
        if pause_s > max(self._patience_s, PAUSE_MAX_S, wait_s):
            raise NotNowError(
                f"{self._host} takes no call for the next {pause_s:.0f} s",
                why=f"it said so itself; the last answer: {self.last_reason}",
                hint="Nothing is lost. Run the same command again later, or raise --patience.",
            )
