"""What each record of a load gets on its way out: a stamp, a layout, approval mode; in one pass over it.

The input's own bytes stay as they are; rejected records are given back without any of it. A record that names
its own layout, or says itself whether it is approved, keeps its word.
"""

from __future__ import annotations

import msgspec

from loader.delivery.stamp import Stamp
from loader.records import Attempt

LAYOUT = "Layout"
APPROVED = "$approved"
"""`false`: the record is created in approval mode (insert-records page)."""


class _Own(msgspec.Struct, frozen=True, gc=False):
    """Whether a record has these members itself; their values do not matter."""

    layout: object = msgspec.field(name=LAYOUT, default=msgspec.UNSET)
    approved: object = msgspec.field(name=APPROVED, default=msgspec.UNSET)


_decode_own = msgspec.json.Decoder(_Own).decode


class Additions:
    """Adds members to records."""

    def __init__(
        self, *, stamp: Stamp | None = None, layout_id: str = "", approval_mode: bool = False
    ) -> None:
        self.stamp = stamp
        self._members: list[tuple[str, bytes]] = []
        if layout_id:
            self._members.append((LAYOUT, b'"Layout":{"id":"%b"}' % layout_id.encode()))
        if approval_mode:
            self._members.append((APPROVED, b'"$approved":false'))
        # A name may be written with escapes.
        self._signs = [b"\\u", *(b'"%b"' % name.encode() for name, _ in self._members)]
        self._all = b",".join(member for _, member in self._members)

    def on(self, attempt: Attempt) -> Attempt:
        """The attempt as it leaves."""
        if self.stamp is None and not self._members:
            return attempt
        records = [
            self._extended(record, line) for line, record in zip(attempt.lines, attempt.records, strict=True)
        ]
        return msgspec.structs.replace(attempt, records=records)

    def _extended(self, record: bytes, line: int) -> bytes:
        members = self._all
        for sign in self._signs:
            if members and sign in record:
                members = self._missing(record)
                break
        if self.stamp is not None:
            members = b"%b,%b" % (members, self.stamp.member(line)) if members else self.stamp.member(line)
        if not members:
            return record
        before = record[: record.rindex(b"}")]
        # Only an empty object leaves its opening brace at the end.
        comma = b"" if before.rstrip().endswith(b"{") else b","
        return b"%b%b%b}" % (before, comma, members)

    def _missing(self, record: bytes) -> bytes:
        """The members that the record has not got itself; a record is decoded only where it may have one."""
        try:
            own = _decode_own(record)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            # No record of the CRM: two members of one name would not make it better.
            has = {name: b'"%b"' % name.encode() in record for name, _ in self._members}
        else:
            has = {LAYOUT: own.layout is not msgspec.UNSET, APPROVED: own.approved is not msgspec.UNSET}
        return b",".join(member for name, member in self._members if not has[name])
