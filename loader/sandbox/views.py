"""A stored record as readers of the API see it: what was sent, and what the system knows beside it.

For reads by id and lists it is JSON; for a query's criteria it is the values of the fields that they name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from loader.sandbox.answers import APPROVED, UNAPPROVED
from loader.sandbox.approval import is_unapproved
from loader.sandbox.calls import Parts
from loader.sandbox.catalogue import Served
from loader.sandbox.store import StoredRecord
from loader.schema.fields import FieldType

FULL_NAME: Final = "Full_Name"
_NAMES: Final = ("First_Name", "Last_Name")
_STEP: Final = re.compile(r"(\w+)(?:\[([0-9]+)\])?", re.ASCII)

Members = Mapping[str, Any]


class Views:
    """The records of one organisation as they are read."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def record(self, served: Served, record: StoredRecord, fields: Iterable[str] | None = None) -> bytes:
        """All members of a record, or the id and these."""
        user = self._parts.user_with(record.created_by)
        members: dict[str, Any] = {field.api_name: None for field in served.module.fields}
        members |= {"Owner": user.reference | {"email": user.email}}
        members |= served.readable(record.raw)
        for path, target in self._parts.store.links_of(record.id).items():
            _link(members, path, str(target))
        members |= _system(record, user.reference)
        members["$approval_state"] = UNAPPROVED if is_unapproved(record.raw) else APPROVED
        if _composes(served):
            members[FULL_NAME] = _full_name(*(_text(members.get(name)) for name in _NAMES))
        if fields is not None:
            members = {name: members[name] for name in fields if name in members}
        return msgspec.json.encode(members | {"id": str(record.id)})


def values_of(
    served: Served, names: Iterable[str], linked: Callable[[int, str], int | None]
) -> Callable[[StoredRecord], Members]:
    """A function that gives the values of these fields of a record, for criteria and sorting.

    Args:
        served: the records' module.
        names: fields of it.
        linked: the record that a lookup means which came as an external value, by record and lookup.
    """
    wanted = frozenset(names)
    fields = [field for field in served.module.fields if field.api_name in wanted and field.creatable]
    full_name = FULL_NAME in wanted and _composes(served)
    sent = {field.api_name for field in fields} | ({*_NAMES} if full_name else set())
    given = _given(sorted(sent))
    lookups = [field.api_name for field in fields if field.type is FieldType.LOOKUP]
    system = wanted - sent
    owner = "Owner" in sent

    def values(record: StoredRecord) -> Members:
        found = given(record.raw)
        for name in lookups:
            target = linked(record.id, name) if isinstance(found[name], dict) else None
            if target is not None:
                found[name] = {"id": str(target)}
        if owner and found["Owner"] is None:
            found["Owner"] = {"id": record.created_by}
        if full_name:
            found[FULL_NAME] = _full_name(*(found[name] for name in _NAMES))
        if system:
            found |= _system(record, {"id": record.created_by}) | {"id": str(record.id)}
        return found

    return values


def _given(names: list[str]) -> Callable[[bytes], dict[str, Any]]:
    """A function that gives these members of a record; None where it has none, or none that can be read."""
    members = {f"f{number}": name for number, name in enumerate(names)}
    struct = msgspec.defstruct("Sent", [(name, Any, None) for name in members], rename=members, gc=False)
    # A number that no float holds is infinite here.
    decode: Callable[[bytes], Any] = msgspec.json.Decoder(struct, float_hook=float).decode

    def given(raw: bytes) -> dict[str, Any]:
        try:
            return dict(zip(names, msgspec.structs.astuple(decode(raw)), strict=True))
        except msgspec.ValidationError:  # a whole number of thousands of digits, in a field of no known type
            return dict.fromkeys(names)

    return given


def _system(record: StoredRecord, by: Mapping[str, str]) -> dict[str, Any]:
    times = {"Created_Time": record.created_time, "Modified_Time": record.created_time}
    return {"Created_By": by, "Modified_By": by} | times


def _composes(served: Served) -> bool:
    """Whether the module's full name is the system's; a custom field may have the same name."""
    field = served.module.field(FULL_NAME)
    return field is not None and not field.creatable


def _full_name(first: object, last: object) -> str | None:
    """The first and the last name (COQL page); a salutation is no part of it."""
    names = [each for each in (first, last) if isinstance(each, str) and each.strip()]
    return " ".join(names) or None


def _text(value: object) -> object:
    return msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else value


def _link(members: dict[str, Any], path: str, target: str) -> None:
    """Puts the id of the record that an external value means into the lookup at this path."""
    (name, index), *below = _STEP.findall(path)
    value: Any = members.get(name)
    holder: Any = msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else value
    members[name] = holder
    for step, next_index in (*below, ("", "")):
        if index:
            holder = holder[int(index)]
        if step:
            holder, index = holder[step], next_index
    holder["id"] = target
