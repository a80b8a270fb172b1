"""Whether a record was sent to wait for approval: `"$approved": false` (insert-records page). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec


class _Sent(msgspec.Struct, rename={"approved": "$approved"}, gc=False):
    approved: Any = None


_SENT: Final = msgspec.json.Decoder(_Sent, float_hook=str)


def some_may_be(raws: Iterable[bytes]) -> bool:
    """Whether any of these records is worth asking `is_unapproved` about: a tenth of what it takes to ask."""
    joined = b"".join(raws)
    return b"$" in joined or b"\\" in joined


def is_unapproved(raw: bytes) -> bool:
    """Of a record that the check has passed."""
    # An escape may spell the key in another way.
    if b"$" not in raw and b"\\" not in raw:
        return False
    return _SENT.decode(raw).approved is False
