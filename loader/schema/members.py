"""A line's members as they are written; or why the line is no record of any module, in words."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from loader.schema.problems import NESTED_TOO_DEEPLY, NOT_AN_OBJECT, NOT_JSON, Problem

_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_HALF_PAIR: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_BOM: Final = b"\xef\xbb\xbf"


def split(raw: bytes) -> dict[str, msgspec.Raw] | Problem:
    """The line's members, or why it has none."""
    if raw.startswith(_BOM):
        return Problem(NOT_JSON, "the line begins with a byte order mark (byte 0); save the file without one")
    try:
        raw.decode()
        return _MEMBERS.decode(raw)
    except UnicodeDecodeError as error:
        why = f"byte 0x{raw[error.start]:02x} is not UTF-8 (byte {error.start}); save the file as UTF-8"
        return Problem(NOT_JSON, f"the line is not JSON: {why}")
    except RecursionError:
        return Problem(NESTED_TOO_DEEPLY, "arrays and objects are nested too deeply; no field takes that")
    except msgspec.ValidationError:
        return Problem(NOT_AN_OBJECT, _not_an_object(raw))
    except msgspec.DecodeError as error:
        return Problem(NOT_JSON, f"the line is not JSON: {_reason(raw, str(error))}")


def _not_an_object(raw: bytes) -> str:
    start = len(raw) - len(raw.lstrip(b" \t\r\n"))
    what = _NAME_OF_FIRST_BYTE.get(raw[start : start + 1], "a number")
    return f'the line is {what} (byte {start}); a record is one JSON object: {{"Last_Name": "..."}}'


_NAME_OF_FIRST_BYTE: Final = {
    b"[": "an array",
    b'"': "a string",
    b"n": "null",
    b"t": "true",
    b"f": "false",
}


def _reason(raw: bytes, message: str) -> str:
    if "truncated" not in message:
        return message.removeprefix("JSON is malformed: ")
    # The decoder's word for both.
    half = _HALF_PAIR.search(raw)
    if half:
        return f"it ends too early (byte {len(raw)}), or half of a surrogate pair (byte {half.start()})"
    return f"it ends too early (byte {len(raw)})"
