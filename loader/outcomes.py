"""How a record ends, and how outcomes add up."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec


class Outcome(StrEnum):
    """A record's end. `in_doubt` and `pending` are where a record stands that has not ended yet."""

    INSERTED = "inserted"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    INVALID = "invalid"
    IN_DOUBT = "in_doubt"
    PENDING = "pending"


class RecordOutcome(msgspec.Struct, frozen=True, gc=False):
    """One record's outcome with what is worth telling about it. An empty string means "no value"."""

    line: int
    outcome: Outcome
    id: str = ""
    """The record's id in the CRM; for a duplicate, the id of the record that was there before."""
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
