"""What a call needs of the organisation besides a turn: its credits, and a share of the places in flight.

Who counts them is in `machine`; here is what the gate asks for, and what it takes where nobody counts.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from loader.errors import NotNowError
from loader.events import CreditsCounted


class Budget(Protocol):
    """The organisation's credits, as all its loads on this machine spend them."""

    def take(self, credits: int) -> float:
        """0.0: they are spent now. Else nothing was spent, and the seconds until so many are free."""
        ...

    def give_back(self, credits: int) -> None:
        """A call that the server did not charge: a 429, or it never reached the server."""
        ...

    def spent_out(self) -> bool:
        """By the ledger, the day's credits are (nearly) gone."""
        ...

    def correct(self, remaining: int) -> None:
        """The server says how many remain: X-API-CREDITS-REMAINING, or 0 where a lone call got a 429 while
        `spent_out`: then `take` says how long to wait."""
        ...

    def counted(self) -> CreditsCounted | None:
        """How many are left now; None: not known."""
        ...


class Places(Protocol):
    """Places in flight, shared by the loads of one organisation on this machine."""

    def share(self, ceiling: int, *, wants: bool) -> int:
        """How many of `ceiling` this load may use now, at least 1; `wants`: it would use more of them."""
        ...


class NoBudget:
    """Nobody counts credits."""

    def take(self, credits: int) -> float:  # noqa: ARG002 - the protocol's
        return 0.0

    def give_back(self, credits: int) -> None:
        pass

    def spent_out(self) -> bool:
        return False

    def correct(self, remaining: int) -> None:
        pass

    def counted(self) -> CreditsCounted | None:
        return None


class AllPlaces:
    """No other load is known of."""

    def share(self, ceiling: int, *, wants: bool) -> int:  # noqa: ARG002 - the protocol's
        return ceiling


def out_of_credits(credits: int, wait_s: float, *, now: float) -> NotNowError:
    """What a load says that stops for want of credits; `now` is in Unix seconds."""
    # The next whole minute: who comes back then is not too early.
    back = datetime.fromtimestamp(now + wait_s + 60).astimezone()
    hours, minutes = divmod(-(-wait_s // 60), 60)
    return NotNowError(
        "the credits of the day are spent",
        why=f"the next call costs {credits}, and so many are free again in {hours:.0f} h {minutes:.0f} m",
        hint=f"Nothing is lost. Run the same command again at {back:%H:%M on %Y-%m-%d} local time, or let it"
        f" wait by itself: --wait {hours + 1:.0f}h",
    )
