"""What happens during a load, as values in the past tense, and the one protocol through which it is told.

An observer is called on the event loop, so it returns at once and never raises.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from loader.outcomes import ErrorCount, Outcome, RecordOutcome


class Event(msgspec.Struct, frozen=True, gc=False):
    """Anything that happened during a load."""


class LoadOpened(Event, frozen=True, gc=False):
    """The load directory is ours: the load begins, or goes on where `before` says."""

    load_id: str
    module: str
    host: str
    input_name: str
    input_bytes: int | None
    """Size of the input as stored (compressed, if it is); None for a stream."""
    resumes: int
    before: Mapping[Outcome, int] = {}
    """Where the records of earlier runs stand."""
    errors_before: tuple[ErrorCount, ...] = ()
    """Why earlier runs had records rejected or invalid."""


class WindowCut(Event, frozen=True, gc=False):
    """The batches of a window are cut; they may be sent once it is durable."""

    read_s: float
    """What the load has waited for its input so far, in seconds."""
    check_s: float
    """What splitting, checking and cutting have taken so far."""


class WindowIntended(Event, frozen=True, gc=False):
    """A window of batches is durable and may be sent."""

    records: int
    invalid: int
    blank: int
    input_offset: int
    """Bytes of the decompressed input that windows cover so far."""
    input_bytes_read: int
    """Bytes of the input as stored that have been read so far; of `LoadOpened.input_bytes`."""
    errors: Sequence[ErrorCount] = ()
    """The invalid ones by code and field."""


class BatchSent(Event, frozen=True, gc=False):
    """An attempt's first byte is about to leave."""

    batch: int
    attempt: int
    records: int


class BatchAnswered(Event, frozen=True, gc=False):
    """An attempt was answered, and the answer settled this many records."""

    batch: int
    attempt: int
    latency_s: float
    inserted: int
    duplicate: int
    rejected: int
    recovered: int
    """Of `inserted`."""
    errors: Sequence[ErrorCount] = ()
    """The rejected ones by code and field."""
    refused: Sequence[RecordOutcome] = ()
    """The rejected ones, each with its reason."""


class BatchRefused(Event, frozen=True, gc=False):
    """An attempt was proved not applied; its records will be sent again."""

    batch: int
    attempt: int
    reason: str


class BatchInDoubt(Event, frozen=True, gc=False):
    """Records of an attempt may have been applied or not; nobody knows yet."""

    batch: int
    attempt: int
    records: int
    reason: str
    earlier: bool = False
    """The attempt was of an earlier run, which left them so."""


class QuietPeriodBegan(Event, frozen=True, gc=False):
    """Records in doubt rest: a call that was lost on its way may be applied late, and then be seen."""

    rest: int
    """Which rest of this run it is, counted from 1."""
    batch: int
    records: int
    seconds: float
    then: str
    """What becomes of them: `sent again`, or `asked for` in the CRM."""
    alone: bool = True
    """No other records rest at this moment."""


class QuietPeriodEnded(Event, frozen=True, gc=False):
    """The rest of that number is over, or the load stops."""

    rest: int


class RecordsHeld(Event, frozen=True, gc=False):
    """Records in doubt that no rung can resolve stay in doubt until a person decides."""

    records: int


class CallPushedBack(Event, frozen=True, gc=False):
    """429: the call was refused, as one of `level` in flight."""

    level: int


class LimitRaised(Event, frozen=True, gc=False):
    """One call more may be in flight: the limit was what held the load back."""

    limit: int


class LimitLowered(Event, frozen=True, gc=False):
    """The server pushed back, so fewer calls may be in flight."""

    limit: int
    refused: int
    """The level that was refused: calls in flight, the refused one included."""


class PlacesShared(Event, frozen=True, gc=False):
    """Other loads of the organisation on this machine leave this load so many places of `ceiling`."""

    share: int
    ceiling: int


class CreditsRanOut(Event, frozen=True, gc=False):
    """The day's credits are spent; the load waits, and the next call's are free again in `wait_s`."""

    wait_s: float


class CreditsReturned(Event, frozen=True, gc=False):
    """There are credits again: sending goes on."""


class CreditsCounted(Event, frozen=True, gc=False):
    """How many credits the organisation has left, by the service's word or by what was spent."""

    left: int
    a_day: int | None = None
    """Of how many in 24 hours; None: not known."""


class GatePaused(Event, frozen=True, gc=False):
    """Nothing is sent for this long, then one probe."""

    pause_s: float
    push_back: bool = True
    """The server pushed back (429); else it is out of reach or fails."""
    reason: str = ""
    """What the last call met: `HTTP 503`, `no connection (Connection refused)`."""


class GateReopened(Event, frozen=True, gc=False):
    """The probe passed: sending goes on."""


class TokenRefreshed(Event, frozen=True, gc=False):
    """A new access token was obtained; one refresh served all callers."""


class TokenAwaited(Event, frozen=True, gc=False):
    """An access token may not be had yet; the load waits for its turn until `--patience` ends."""

    host: str
    reason: str
    gives_up_in_s: float
    goes_on_in_s: float | None = None
    """After so long it goes on by itself, within patience; None: that is not known."""


class ServiceUnreachable(Event, frozen=True, gc=False):
    """The service does not answer; the load waits until it does or `--patience` ends."""

    host: str
    reason: str
    gives_up_in_s: float


class FieldsIgnored(Event, frozen=True, gc=False):
    """Members of records that the API will ignore were met for the first time in this run."""

    names: Sequence[str]
    """Of no field of the module, or of one that inserts do not set."""


class LoadStopping(Event, frozen=True, gc=False):
    """A signal asked the load to stop: nothing new is sent, answers are awaited."""

    signal: str


class Warned(Event, frozen=True, gc=False):
    """Something that the operator should know and that does not stop the load."""

    text: str


class Observer(Protocol):
    """Whoever wants to know: the progress display, the metrics, the tests."""

    def __call__(self, event: Event, /) -> None: ...
