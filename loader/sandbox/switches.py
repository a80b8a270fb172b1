"""What no source settles about the API, each point as a switch: off is what most sources say. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from loader.errors import UsageError


class Switch(StrEnum):
    """The names that `--switch` takes; what is known of each is in the reference page of the sandbox."""

    ALL_FAILED_202 = "all-failed-202"
    """An insert of which every record failed is answered with 202 in place of 400."""
    MIXED_200 = "mixed-200"
    """An insert of which some records failed is answered with 200 in place of 207."""
    NO_JSON_PATH = "no-json-path"
    """No error has a `json_path`."""
    STRICT_PICKLISTS = "strict-picklists"
    """A picklist takes its options alone."""
    REFUSE_UNKNOWN_FIELDS = "refuse-unknown-fields"
    """A key that is no field of the module fails the record."""
    LOOKUPS_EXIST = "lookups-exist"
    """The record or the user that a lookup names must be there."""
    BARE_OPTION_ERRORS = "bare-option-errors"
    """An error in what stands parallel to `data` is not wrapped in a `data` of its own."""


def switches(names: Iterable[str]) -> frozenset[Switch]:
    """The switches with these names.

    Raises:
        UsageError: there is no such switch.
    """
    found = set()
    for name in names:
        try:
            found.add(Switch(name))
        except ValueError:
            raise UsageError(
                f"--switch {name!r} cannot be used",
                why="the switches are " + ", ".join(Switch),
                hint=f"loader sandbox --switch {Switch.NO_JSON_PATH}",
            ) from None
    return frozenset(found)


class Statuses(msgspec.Struct, frozen=True):
    """The statuses of answers to inserts (OpenAPI files, records; status-codes page)."""

    all_inserted: int = 201
    mixed: int = 207
    all_failed: int = 400

    def of(self, *, failed: int, inserted: int) -> int:
        """The status of an answer with so many records that failed, and so many that did not."""
        if not failed:
            return self.all_inserted
        return self.mixed if inserted else self.all_failed


def statuses(on: frozenset[Switch]) -> Statuses:
    """The statuses that these switches leave."""
    return Statuses(
        mixed=200 if Switch.MIXED_200 in on else 207,
        all_failed=202 if Switch.ALL_FAILED_202 in on else 400,
    )
