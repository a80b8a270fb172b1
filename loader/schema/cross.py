"""What a rule that joins fields is: the finder of its problems, and when it has none to find.

The rules themselves are in `activities.py`, `rules.py` and `placement.py`. Each reads a decoded record; none
knows the schema, the organisation or the time but by what it is given. Unless a rule says otherwise it is of
the insert-records page. A value of the wrong type is the field's problem, not the rule's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any

import msgspec

from loader.schema.explain import is_no_value
from loader.schema.problems import (
    DEPENDENT_FIELD_MISSING,
    DEPENDENT_MISMATCH,
    INVALID_DATA,
    MANDATORY_NOT_FOUND,
    Problem,
)

Record = Mapping[str, Any]
Found = Iterator[Problem]


class CrossRule(msgspec.Struct, frozen=True):
    """A rule that joins fields; called with a record and the Unix time (None: unknown)."""

    find: Callable[[Record, float | None], Found]
    keys: tuple[str, ...] = ()
    """A record with none of these has no problem by this rule; empty: every record may have one."""
    mandatory: str = ""
    """The rule says no more than that this field is mandatory, which the field may say itself."""

    def __call__(self, record: Record, now: float | None) -> Found:
        return self.find(record, now)

    def concerns(self, keys: Container[str]) -> bool:
        """Whether a record of no more than these keys can have a problem by this rule."""
        return not self.keys or any(key in keys for key in self.keys)


def is_given(record: Record, key: str) -> bool:
    """Whether the record has something under this key."""
    return not is_no_value(record.get(key))


def absent(path: str, why: str, *, dependee: str = "", code: str = MANDATORY_NOT_FOUND) -> Problem:
    """A value that is missing: `dependee` is the key that asks for it."""
    field = re.split(r"[.\[]", path, maxsplit=1)[0]
    words = "required field not found" if code == DEPENDENT_FIELD_MISSING else ""
    return Problem(code, f"{path} {why}", field, path=path, api_message=words, dependee=dependee)


def wrong(path: str, why: str, *, expected: str = "", api_message: str = "") -> Problem:
    """A value that cannot be."""
    field = re.split(r"[.\[]", path, maxsplit=1)[0]
    return Problem(INVALID_DATA, f"{path} {why}", field, expected, path=path, api_message=api_message)


def mismatch(key: str, why: str, *, dependee: str, api_message: str = "") -> Problem:
    """A value that does not go with that of `dependee`."""
    return Problem(
        DEPENDENT_MISMATCH, f"{key} {why}", key, path=key, api_message=api_message, dependee=dependee
    )
