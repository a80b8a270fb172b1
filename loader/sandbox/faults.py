"""Which insert call goes wrong, and how. Pure: the same seed and the same call number give the same fault.

What a fault does to a call is `handlers.py`. A kind stands here when it is built, not before.
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import blake2b

import msgspec

from loader.errors import UsageError


class FaultKind(StrEnum):
    """What can go wrong with an insert call."""

    DROP_BEFORE_APPLY = "drop-before-apply"
    """The connection is aborted; nothing was applied."""
    ERROR_500_BEFORE = "error-500-before"
    """Nothing is applied; the answer is an INTERNAL_ERROR."""
    DROP_AFTER_APPLY = "drop-after-apply"
    """The records are applied, then the connection is aborted without an answer."""
    ERROR_500_AFTER = "error-500-after"
    """The records are applied, then the answer is an INTERNAL_ERROR."""
    SLOW = "slow"
    """The records are applied; the answer comes late."""
    TRUNCATE = "truncate"
    """The records are applied; the answer ends in its middle."""
    HTML_502 = "html-502"
    """A gateway's page; by the seed the records are applied or not."""
    TOO_MANY_REQUESTS = "429"
    """Refused; nothing was applied."""
    REVOKE_TOKEN = "revoke-token"  # noqa: S105 - no token: a fault's name
    """The call's access token ends; the answer says so, and nothing is applied."""
    SHORT_ANSWER = "short-answer"
    """The records are applied; the answer lacks the last of them."""
    PARTIAL_APPLY = "partial-apply"
    """Some of the records are applied, the first ones, then the connection is aborted."""
    LATE_APPLY = "late-apply"
    """The connection is aborted; the records are applied some seconds after that."""


class FaultShare(msgspec.Struct, frozen=True):
    """A kind and the share of the insert calls that get it, above 0 and at most 1."""

    kind: FaultKind
    share: float


def parse_fault(text: str) -> FaultShare:
    """What `--fault KIND=SHARE` says.

    Raises:
        UsageError: an unknown kind, or a share that is no number above 0 and at most 1.
    """
    kind, _, share = text.partition("=")
    try:
        return FaultShare(FaultKind(kind), _share(share))
    except ValueError as error:
        known = ", ".join(FaultKind)
        raise UsageError(
            f"--fault {text!r} cannot be used",
            why=f"{error}; the kinds are {known}",
            hint="Write it as --fault drop-after-apply=0.01 (a share of the insert calls, at most 1)",
        ) from None


def _share(text: str) -> float:
    share = float(text) if text else 0.0
    if not 0 < share <= 1:
        raise ValueError(f"{text or 'no share'} is not a share above 0 and up to 1")
    return share


class FaultPlan:
    """Which fault each call gets: one draw a call, so no call gets two."""

    def __init__(self, shares: tuple[FaultShare, ...], *, seed: int) -> None:
        total = sum(each.share for each in shares)
        if total > 1 + 1e-9:
            raise UsageError(
                "the shares of --fault add up to more than all calls",
                why=f"they are {total:g} together",
                hint="Give shares that add up to 1 or less",
            )
        self._shares = shares
        self._seed = seed

    def of(self, call: int) -> FaultKind | None:
        """The fault of the call with this number, or None."""
        if not self._shares:
            return None
        draw = self._draw(f"{call}")
        for each in self._shares:
            if draw < each.share:
                return each.kind
            draw -= each.share
        return None

    def applies(self, call: int) -> bool:
        """Whether a call with HTML_502 is applied."""
        return self._draw(f"{call}:applies") < 0.5

    def first_records(self, call: int, records: int) -> int:
        """How many of its records a call with PARTIAL_APPLY applies: never all; some, where there are two."""
        return max(min(1, records - 1), int(self._draw(f"{call}:first") * records))

    def _draw(self, what: str) -> float:
        word = blake2b(f"{self._seed}:{what}".encode(), digest_size=8).digest()
        return int.from_bytes(word, "big") / 2**64
