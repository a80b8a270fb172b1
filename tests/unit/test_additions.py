"""What a record gets on its way out, and that the rest of its bytes stay as they were."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loader.delivery.additions import Additions
from loader.delivery.stamp import Stamp
from loader.records import Attempt

LAYOUT = {"id": "554023000002734009"}


def extended(additions: Additions, *records: bytes) -> list[bytes]:
    lines = range(7, 7 + len(records))
    return list(additions.on(Attempt(1, 1, lines, list(records))).records)


def both(*, stamp: Stamp | None = None) -> Additions:
    return Additions(stamp=stamp, layout_id=LAYOUT["id"], approval_mode=True)


ADDED = {"Layout": LAYOUT, "$approved": False}
RECORDS: dict[str, tuple[bytes, dict[str, Any]]] = {
    "plain": (b'{"a":1}', {"a": 1, **ADDED}),
    "an empty object": (b"{}", ADDED),
    "an empty object with blanks": (b" { } \r", ADDED),
    "a brace within a text": (b'{"a":"}"}  ', {"a": "}", **ADDED}),
    "an object within": (b'{"a":{}}', {"a": {}, **ADDED}),
    "its own layout": (b'{"Layout":{"id":"7"}}', {"Layout": {"id": "7"}, "$approved": False}),
    "its own layout, null": (b'{"Layout":null}', {"Layout": None, "$approved": False}),
    "its own approval": (b'{"$approved":true}', {"$approved": True, "Layout": LAYOUT}),
    "both its own": (
        b'{"$approved":true,"Layout":{"id":"7"}}',
        {"$approved": True, "Layout": {"id": "7"}},
    ),
    "its own layout in escapes": (
        b'{"\\u004cayout":{"id":"7"}}',
        {"Layout": {"id": "7"}, "$approved": False},
    ),
    "escapes that are something else": (b'{"a":"\\u00e9"}', {"a": "\u00e9", **ADDED}),
    "the name as a value": (b'{"a":"Layout","b":"$approved"}', {"a": "Layout", "b": "$approved", **ADDED}),
    "the name further down": (b'{"a":{"Layout":1}}', {"a": {"Layout": 1}, **ADDED}),
    "another case": (b'{"layout":1}', {"layout": 1, **ADDED}),
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_gets_what_it_has_not_got_itself(name: str) -> None:
    record, expected = RECORDS[name]
    (out,) = extended(both(), record)
    assert json.loads(out) == expected
    assert out.startswith(record[: record.rindex(b"}")])
    names = [key for key, _ in json.loads(out, object_pairs_hook=list)]
    assert len(names) == len(set(names)), "no member twice"


@pytest.mark.parametrize("name", RECORDS)
def test_the_stamp_comes_in_the_same_pass(name: str) -> None:
    record, expected = RECORDS[name]
    (out,) = extended(both(stamp=Stamp("Load_Key", "AAAA-BBBB")), record)
    assert json.loads(out) == {**expected, "Load_Key": "AAAA-BBBB:7"}


@pytest.mark.parametrize(
    ("additions", "expected"),
    [
        (Additions(layout_id="5"), b'{"a":1,"Layout":{"id":"5"}}'),
        (Additions(approval_mode=True), b'{"a":1,"$approved":false}'),
        (Additions(stamp=Stamp("F", "ID")), b'{"a":1,"F":"ID:7"}'),
    ],
)
def test_each_is_added_by_itself(additions: Additions, expected: bytes) -> None:
    assert extended(additions, b'{"a":1}') == [expected]


def test_a_load_that_adds_nothing_sends_the_very_same_bytes() -> None:
    attempt = Attempt(1, 1, [7], [b' {"Layout" : 1} '])
    assert Additions().on(attempt) is attempt


def test_a_record_that_has_all_of_it_leaves_as_it_is() -> None:
    record = b' {"Layout":{"id":"7"},"$approved":true} '
    (out,) = extended(both(), record)
    assert out == record


def test_a_line_that_cannot_be_read_gets_no_second_member_of_a_name() -> None:
    broken = b'{"Layout":{"id":"7"},"n":nan}'
    (out,) = extended(both(), broken)
    assert out == b'{"Layout":{"id":"7"},"n":nan,"$approved":false}'
