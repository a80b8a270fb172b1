"""The load's own key: one member that is added to each record on its way out (`additions.py`), nowhere else.

A stamp names the load and the line, so no other record can bear it: what the CRM holds under it is ours. The
input's own bytes stay as they are; rejected records are given back without it.
"""

from __future__ import annotations

import msgspec


class Stamp:
    """Writes `<load id>:<line>` into one field."""

    def __init__(self, field: str, load_id: str) -> None:
        self.field = field
        self._load_id = load_id
        self._name = msgspec.json.encode(field)
        shape = msgspec.defstruct(
            "Stamped", [("value", object, msgspec.UNSET)], rename={"value": field}, frozen=True, gc=False
        )
        self._decoder = msgspec.json.Decoder(shape)

    def value(self, line: int) -> str:
        """What the CRM holds for this line, once it holds it."""
        return f"{self._load_id}:{line}"

    def member(self, line: int) -> bytes:
        """The member that this line's record gets."""
        return b'%b:"%b"' % (self._name, self.value(line).encode())

    def taken(self, record: bytes) -> bool:
        """Whether a record has a member of that name already: two would be two values for one field."""
        try:
            return self._decoder.decode(record).value is not msgspec.UNSET  # type: ignore[attr-defined]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False


LENGTH_MIN = 20
"""Characters that the field must hold: a load id of 9, a colon, and the number of a line."""
