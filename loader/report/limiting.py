"""What holds a load back: input, check, disk, rate, concurrency, credits or the server.

No I/O and no clock. Events say what the gate and the reader are at; looks at the load, some times a second,
say whether that lasts.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from loader.events import (
    CreditsRanOut,
    CreditsReturned,
    Event,
    GatePaused,
    GateReopened,
    LimitLowered,
    LimitRaised,
    PlacesShared,
    QuietPeriodBegan,
    QuietPeriodEnded,
    ServiceUnreachable,
    TokenAwaited,
    TokenRefreshed,
    WindowCut,
    WindowIntended,
)
from loader.report import text
from loader.throttle.concurrency import START

OVER_S = 2.0
"""What limits a load is said once it did so for this long."""
QUIET_PERIOD = "quiet period"
MOSTLY = 0.75
"""Of the looks: a place that is free for a moment, between one call and the next, makes no other limit."""


class Look(msgspec.Struct, frozen=True):
    """What one look at the load saw."""

    at: float
    settled: int
    in_flight: int
    sent: int
    """Calls so far."""
    allowed: int
    """Calls that might be in flight."""
    ready: int
    """Records that may be sent and are not: not yet, or not yet again."""
    syncing: bool
    """A window that is cut was not durable yet."""
    read_s: float
    check_s: float
    """As `WindowCut` says."""
    resting: bool = False
    """Records in doubt rest."""
    opened: bool = True
    """The load had begun: before that nothing is read, and no input is slow."""


class Pacing:
    """What the gate and the reader are at."""

    def __init__(self, ceiling: int) -> None:
        self.ceiling = ceiling
        self.limit = min(START, ceiling)
        self.share = ceiling
        self.refused = False
        """The limit was lowered by a push-back, and is what the server takes."""
        self.pause: GatePaused | None = None
        self.credits_wait_s: float | None = None
        self.token: TokenAwaited | ServiceUnreachable | None = None
        """Why there is no access token."""
        self.quiet: dict[int, QuietPeriodBegan] = {}
        """Rests of records in doubt, by their number."""
        self.syncing = False
        self.read_s = 0.0
        self.check_s = 0.0

    @property
    def allowed(self) -> int:
        """Calls that may be in flight now."""
        return min(self.limit, self.share)

    def apply(self, event: Event) -> None:
        match event:
            case WindowCut():
                self.syncing = True
                self.read_s, self.check_s = event.read_s, event.check_s
            case WindowIntended():
                self.syncing = False
            case LimitRaised():
                self.limit = event.limit
            case LimitLowered():
                self.limit, self.refused = event.limit, True
            case PlacesShared():
                self.share = event.share
            case GatePaused():
                self.pause = event
                if isinstance(self.token, ServiceUnreachable):
                    self.token = None  # it was the gate's, which says so before it pauses
            case GateReopened():
                self.pause = None
            case CreditsRanOut():
                self.credits_wait_s = event.wait_s
            case CreditsReturned():
                self.credits_wait_s = None
            case _:
                self._wait(event)

    def _wait(self, event: Event) -> None:
        """What is waited for beside the gate and the reader."""
        match event:
            case TokenAwaited() | ServiceUnreachable():
                self.token = event
            case TokenRefreshed():
                self.token = None
            case QuietPeriodBegan():
                self.quiet[event.rest] = event
            case QuietPeriodEnded():
                self.quiet.pop(event.rest, None)
            case _:
                pass


def limited_by(pacing: Pacing, looks: Sequence[Look], *, rate: float | None, read_whole: bool) -> str:
    """What holds the load back, where that is beyond doubt; else nothing. `rate`: calls a second."""
    if pacing.credits_wait_s is not None:
        return f"credits (spent; waiting for {text.time_left(pacing.credits_wait_s)})"
    if pacing.pause is not None:
        return f"server ({why_paused(pacing.pause)}): paused, then one probe"
    if pacing.token is not None:
        host = text.printable(pacing.token.host)
        why = "waiting to ask" if isinstance(pacing.token, TokenAwaited) else "out of reach:"
        return f"access token ({why} {host})"
    lasting = [look for look in looks if looks[-1].at - look.at <= OVER_S]
    span_s = lasting[-1].at - lasting[0].at if lasting else 0.0
    if span_s < OVER_S * 0.75:
        return ""
    if _mostly([look.in_flight >= look.allowed for look in lasting]):
        return _places(pacing)
    if rate and (lasting[-1].sent - lasting[0].sent) / span_s >= rate * 0.9:
        return f"rate ({rate:g} calls/s)"
    if not _mostly([look.in_flight < look.allowed and not look.ready for look in lasting]):
        return ""
    begun = all(look.opened for look in lasting)
    supply = _supply(lasting, span_s) if begun and not read_whole else ""
    resting = pacing.quiet and _mostly([look.resting and not look.in_flight for look in lasting])
    return QUIET_PERIOD if resting and supply in ("", "input") else supply


def why_paused(pause: GatePaused) -> str:
    """`429`, `HTTP 503` or `no connection`: in a few words, and none of the service's own."""
    if pause.push_back:
        return "429"
    if pause.reason.startswith("HTTP "):
        return text.printable(" ".join(pause.reason.split()[:2]).rstrip(","))
    return text.printable(pause.reason.partition(" (")[0]) or "no answer"


def _places(pacing: Pacing) -> str:
    if pacing.allowed >= pacing.ceiling:
        return f"concurrency ({pacing.ceiling})"
    if pacing.share < pacing.limit:
        return f"concurrency ({pacing.share} of {pacing.ceiling}, other loads here have the rest)"
    # Else it still rises.
    return f"server concurrency ({pacing.limit})" if pacing.refused else ""


def _supply(looks: Sequence[Look], span_s: float) -> str:
    """Why there is nothing to send."""
    if _mostly([look.syncing for look in looks]):
        return "disk"
    read_s = looks[-1].read_s - looks[0].read_s
    check_s = looks[-1].check_s - looks[0].check_s
    if read_s + check_s == 0.0:
        return "input"  # no window in all this time
    if read_s + check_s < span_s / 2:
        return ""
    return "check" if check_s > read_s else "input"


def _mostly(seen: Sequence[bool]) -> bool:
    return sum(seen) >= MOSTLY * len(seen)
