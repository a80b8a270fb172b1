"""How a record ends, and how outcomes add up; why an attempt did not get so far."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum, StrEnum

import msgspec


class Outcome(StrEnum):
    """A record's end. `in_doubt` and `pending` are where a record stands that has not ended yet."""

    INSERTED = "inserted"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    INVALID = "invalid"
    IN_DOUBT = "in_doubt"
    PENDING = "pending"


class Cause(IntEnum):
    """Why an attempt was not applied, as far as something is counted by it. Logs hold these numbers."""

    UNTOLD = 0
    """Nobody wrote it down."""
    OTHER = 1
    """None of the others: the service may have charged the call."""
    PUSHED_BACK = 2
    """Too many calls at once, or no credits left: it was not let in."""
    TOKEN_REFUSED = 3
    """Its access token was not valid, and so named no organisation that could be charged."""
    UNREACHED = 4
    """The service never had anything of the call."""


class RecordOutcome(msgspec.Struct, frozen=True, gc=False):
    """One record's outcome with what is worth telling about it. An empty string means "no value"."""

    line: int
    outcome: Outcome
    id: str = ""
    """The record's id in the CRM; for a duplicate, the id of the record that was there already."""
    code: str = ""
    message: str = ""
    field: str = ""
    recovered: bool = False
    """The record fell in doubt and was then shown to have been inserted by this load."""


class Settlement(msgspec.Struct, frozen=True):
    """The final outcomes that one reply gives.

    The many plain successes travel as two columns (`ids[i]` belongs to `lines[i]`), the few others one by
    one.
    """

    lines: Sequence[int] = ()
    ids: Sequence[str] = ()
    others: Sequence[RecordOutcome] = ()


class ErrorCount(msgspec.Struct, frozen=True):
    """How many records of a load were refused with this code at this field (`field` may be empty)."""

    code: str
    field: str
    count: int
