"""The answer to an insert, read into types. What it proves about the records is not decided here.

Reading is strict: an answer that departs from the documented shape in any way that could mean another record
is `Unreadable`, and no more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from loader.wire.codes import ForRecord, facts
from loader.wire.details import Details, hints_of, inner_errors, parts_of, text, together, worded
from loader.wire.limits import ID_DIGITS_MAX
from loader.wire.messages import HttpReply
from loader.wire.options import OPTION_KEYS

ANSWERED: Final = frozenset({200, 201, 202, 207, 400})
"""Statuses that may come with an answer for each record. 201: all inserted; 207: some; 400: none
(insert-records page); 200 and 202 where older versions and test organisations say so."""


class Inserted(msgspec.Struct, frozen=True):
    """Every record was inserted; `ids[i]` is the id of the i-th record sent."""

    ids: Sequence[str]


class ItemError(msgspec.Struct, frozen=True):
    """One of several errors of a record."""

    code: str
    field: str
    message: str
    """The API's words, and what its details add to them."""
    duplicate_ids: tuple[str, ...] = ()


class Item(msgspec.Struct, frozen=True):
    """The answer for one record."""

    ok: bool
    id: str = ""
    """Of the record that was inserted; empty for an error."""
    code: str = ""
    message: str = ""
    """For people: the API's words, what its details add, and of several errors each."""
    field: str = ""
    index: int | None = None
    """The position that the item's own `json_path` names; it should be the item's. None: it names none."""
    duplicate_ids: tuple[str, ...] = ()
    """Of existing records that the error names, also within `errors`."""
    errors: tuple[ItemError, ...] = ()
    """The several errors of MULTIPLE_OR_MULTI_ERRORS."""


class Answered(msgspec.Struct, frozen=True):
    """One answer for each record, in the order sent."""

    items: Sequence[Item]


class CallRefused(msgspec.Struct, frozen=True):
    """One error for the call as a whole."""

    code: str
    message: str = ""
    field: str = ""
    detail: str = ""
    """What the details add, where they do (the permission that is missing, the possible values ...)."""
    option: str = ""
    """The key beside `data` that is refused (`trigger`, `lar_id` ...); empty: it is about something else."""


class Unreadable(msgspec.Struct, frozen=True):
    """Nothing that the documentation describes."""

    reason: str
    """For people."""
    code: str = ""
    """The API's error code, where there is one."""
    too_many: bool = False
    """It is the beginning of what was asked for, and no more."""


# The fast path: a struct that only an unbroken success fits. `json_path` belongs to errors; its presence here
# sends the answer down the slow path, which looks at it.
class _PlainDetails(msgspec.Struct, frozen=True, gc=False):
    id: str
    json_path: None = None


class _PlainSuccess(msgspec.Struct, frozen=True, gc=False):
    code: Literal["SUCCESS"]
    status: Literal["success"]
    details: _PlainDetails


class _PlainAnswer(msgspec.Struct, frozen=True):
    data: list[_PlainSuccess]


_decode_plain = msgspec.json.Decoder(_PlainAnswer).decode
_decode_any = msgspec.json.Decoder(dict[str, Any]).decode
_UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def read_insert(
    reply: HttpReply, records: int, *, series: bool = False
) -> Inserted | Answered | CallRefused | Unreadable:
    """The answer to an insert of `records` records.

    `series`: the one record recurs, and the API answers with an item for each of the records that it makes of
    it (insert-records page, recurring tasks). The first one's id stands for it.
    """
    if reply.status in ANSWERED:
        try:
            ids = [item.details.id for item in _decode_plain(reply.body).data]
        except _UNDECODABLE:
            pass
        else:
            if len(ids) == records and _sound(ids):
                return Inserted(ids)
            if series and ids and _sound(ids):
                return Inserted(ids[:1])
    return _read_slowly(reply, records, series=series)


def _sound(ids: Sequence[str]) -> bool:
    """Each a string of digits, none twice."""
    together = "".join(ids)
    lengths = set(map(len, ids))
    return (
        # Bytes, as a string is asked about each of its characters.
        together.isascii()
        and together.encode().isdigit()
        and 0 not in lengths
        and max(lengths) <= ID_DIGITS_MAX
        and len(set(ids)) == len(ids)
    )


def _read_slowly(reply: HttpReply, records: int, *, series: bool) -> Answered | CallRefused | Unreadable:
    answer = object_of(reply)
    if answer is None:
        return Unreadable(_what_it_is(reply.body))
    if "data" not in answer:
        return bare_refusal(answer) or Unreadable("an object with neither data nor an error code")
    data = answer["data"]
    if not isinstance(data, list) or not all(isinstance(one, dict) for one in data):
        return Unreadable("data is not a list of objects")
    if len(data) == 1 and _is_for_the_call(data[0], reply.status, records):
        return _refusal_from(data[0])
    if reply.status not in ANSWERED:
        return Unreadable("answers for records under a status that has none", _code_of(data))
    if series and len(data) > 1:
        return _read_series(data)
    if len(data) != records:
        return Unreadable(f"{len(data)} answers for {records} records", _code_of(data))
    return _read_items(data)


def _read_items(data: Sequence[Mapping[str, Any]]) -> Answered | Unreadable:
    items: list[Item] = []
    for position, one in enumerate(data):
        item = _read_item(one, position)
        if item is None:
            return Unreadable(f"answer {position + 1} is neither a success with an id nor an error")
        items.append(item)
    ids = [item.id for item in items if item.ok]
    if ids and not _sound(ids):
        return Unreadable("the same id twice" if len(set(ids)) < len(ids) else "ids that are not ids")
    return Answered(items)


def _read_series(data: Sequence[Mapping[str, Any]]) -> Answered | Unreadable:
    """The answer for one record of which the API makes several: all successes, or nothing is certain."""
    answer = _read_items(data)
    if isinstance(answer, Unreadable):
        return answer
    if not all(item.ok and item.index in (None, 0) for item in answer.items):
        return Unreadable(
            f"{len(data)} answers for a recurring record, and not all are successes", _code_of(data)
        )
    return Answered(answer.items[:1])


def _read_item(one: Mapping[str, Any], position: int) -> Item | None:
    """None: it cannot be told what became of the record."""
    code, status = one.get("code"), one.get("status")
    details = _details_of(one)
    if status == "success" and code == "SUCCESS":
        identifier = details.get("id")
        if not isinstance(identifier, str):
            return None
        return Item(True, identifier, "SUCCESS", index=_index_of(details))
    if status == "error" and isinstance(code, str) and code not in ("", "SUCCESS"):
        return _read_error(one, position)
    return None


def _read_error(one: Mapping[str, Any], position: int) -> Item:
    parts = parts_of(one)
    inner = inner_errors(one)
    errors = tuple(_item_error(error) for error in inner)
    code, message = text(one.get("code")), text(one.get("message"))
    found = (*_duplicate_ids(code, parts), *(each for error in errors for each in error.duplicate_ids))
    indices = [_index_of(part) for part in (*parts, *(each for error in inner for each in parts_of(error)))]
    named = [index for index in indices if index is not None]
    several = [(error.code, error.field, error.message) for error in errors]
    return Item(
        ok=False,
        code=code,
        message=together(several) if several else worded(code, message, parts, samples=True),
        field=_field_of(parts) or next((error.field for error in errors if error.field), ""),
        # One part that names another record is enough to distrust the item.
        index=next((index for index in named if index != position), named[0] if named else None),
        duplicate_ids=tuple(dict.fromkeys(found)),
        errors=errors,
    )


def _item_error(error: Mapping[str, Any]) -> ItemError:
    parts = parts_of(error)
    code, message = text(error.get("code")), text(error.get("message"))
    ids = _duplicate_ids(code, parts)
    words = worded(code, message, parts)
    return ItemError(code, _field_of(parts), f"{words}, record {ids[0]}" if ids else words, ids)


def _duplicate_ids(code: str, parts: Sequence[Details]) -> tuple[str, ...]:
    """The existing record's id stands at one of two places, by version; both are read."""
    if facts(code).record is not ForRecord.DUPLICATE:
        return ()
    found: list[object] = []
    for part in parts:
        record = part.get("duplicate_record")
        found += (record.get("id") if isinstance(record, dict) else None, part.get("id"))
    return tuple(dict.fromkeys(one for one in found if isinstance(one, str) and _sound([one])))


_RECORD_PATH: Final = re.compile(r"\$\.data\[(\d{1,9})\](?:\.(.*))?", re.DOTALL)


def _index_of(details: Details) -> int | None:
    path = details.get("json_path")
    if not isinstance(path, str) or not path.startswith("$.data["):
        return None
    match = _RECORD_PATH.fullmatch(path)
    # A path into `data` that makes no sense names no record that was sent.
    return int(match[1]) if match else -1


def _field_of(parts: Sequence[Details]) -> str:
    """`Email`; for a value within a field, the way to it: `Contact_Name.id`, `Quoted_Items.Quantity`."""
    for part in parts:
        name = text(part.get("api_name"))
        match = _RECORD_PATH.fullmatch(text(part.get("json_path")))
        within = re.sub(r"\[\d*\]", "", match[2] or "") if match else ""
        if field := within if "." in within else name or within:
            return field
    return ""


def _is_for_the_call(one: Mapping[str, Any], status: int, records: int) -> bool:
    """Whether the only item of `data` refuses the call, rather than being one record's answer.

    For a call of several records a lone item that might belong to one of them proves nothing about the rest:
    it counts as a refusal only where it says so.
    """
    code, parts = one.get("code"), parts_of(one)
    if one.get("status") != "error" or not isinstance(code, str) or not code:
        return False
    paths = [path for part in parts if isinstance(path := part.get("json_path"), str) and path]
    if any(path.startswith("$.data[") for path in paths):
        return False
    wide = status not in ANSWERED or any("resource_path_index" in part for part in parts)
    if wide or facts(code).concerns_load or _option_of(parts):
        return True
    if paths:
        return all(path == "$.data" or not path.startswith("$.data") for path in paths)
    # Of one record it may also say that a list in it is too long.
    unsaid = "data" if records > 1 else ""
    about = next((part["api_name"] for part in parts if "api_name" in part), unsaid)
    return code == "LIMIT_EXCEEDED" and about == "data"


def _option_of(parts: Sequence[Details]) -> str:
    """The option of the request that an error is about; `$.trigger[0]`, or its bare name."""
    for part in parts:
        path, name = text(part.get("json_path")), text(part.get("api_name"))
        first = re.split(r"[.\[]", path.removeprefix("$."), maxsplit=1)[0] if path else name
        if first in OPTION_KEYS:
            return first
    return ""


def _refusal_from(one: Mapping[str, Any]) -> CallRefused:
    parts, code = parts_of(one), text(one.get("code"))
    return CallRefused(
        code,
        text(one.get("message")),
        _field_of(parts),
        hints_of(code, parts),
        _option_of(parts),
    )


def bare_refusal(answer: Mapping[str, Any]) -> CallRefused | None:
    """The refusal that an object is by itself; None where it is none."""
    code = answer.get("code")
    if not isinstance(code, str) or not code or answer.get("status", "error") != "error":
        return None
    return _refusal_from(answer)


def object_of(reply: HttpReply) -> dict[str, Any] | None:
    """The JSON object that the reply's body is; None where it is none."""
    try:
        return _decode_any(reply.body)
    except _UNDECODABLE:
        return None


def _details_of(one: Mapping[str, Any]) -> Details:
    """The first object of `details`; empty where there is none."""
    return next(iter(parts_of(one)), {})


def _code_of(data: Sequence[Mapping[str, Any]]) -> str:
    return next((text(one.get("code")) for one in data if one.get("status") == "error"), "")


def is_id(value: object) -> bool:
    """Whether it is the id of a record, as the API writes it."""
    return isinstance(value, str) and _sound([value])


def _what_it_is(body: bytes) -> str:
    if not body.strip():
        return "an empty answer"
    return "an HTML page" if body.lstrip()[:1] == b"<" else "not a JSON object"
