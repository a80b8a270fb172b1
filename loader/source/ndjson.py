"""Whether the beginning of an input is NDJSON at all: one JSON object a line.

A file in which lines are bad is loaded, and each of those is refused by itself. A table is refused as a
whole, before anything is begun: no line of it would be a record.
"""

from __future__ import annotations

import msgspec

from loader.errors import UsageError
from loader.source.compression import how_to_pipe
from loader.source.lines import BOM

_BEGINNING_BYTES = 4096
_SHOWN_CHARACTERS_MAX = 60
_LOOKED_AT_BYTES_MAX = 256 * 1024
_DELIMITERS = (b",", b";", b"\t", b"|")
_STDIN = "-"


def require_objects(content: bytes, name: str, *, whole: bool) -> None:
    """Refuse an input that begins so.

    `whole`: nothing follows.

    Raises:
        UsageError: none of these lines is a JSON object, and they look like a table's.
    """
    lines = content[:_LOOKED_AT_BYTES_MAX].removeprefix(BOM).split(b"\n")
    cut = lines.pop() if not whole else b""
    filled = [line.strip() for line in lines if line.strip()]
    # A line that is cut has its beginning still.
    if not filled or any(line.removeprefix(BOM).startswith(b"{") for line in (*filled, cut.lstrip())):
        return
    first, table = filled[0], _delimiter_of(filled)
    if not table or _is_json(first):
        return
    shown = first.decode(errors="replace")
    shown = shown if len(shown) <= _SHOWN_CHARACTERS_MAX else f"{shown[:_SHOWN_CHARACTERS_MAX]} ..."
    told = "stdin" if name == _STDIN else name
    raise UsageError(
        f"{told} is not NDJSON",
        why='NDJSON has one JSON object a line, as {"Last_Name":"Ada"}, and no line of its beginning is one;'
        f" the first is, as in CSV: {shown}",
        hint=_how_to_convert(name, table),
    )


def require_no_array(content: bytes, name: str) -> None:
    """Refuse an input that begins as an array of objects does: hardly a line of it would be a record.

    Raises:
        UsageError: it does.
    """
    first, newline, others = content.removeprefix(BOM).lstrip().partition(b"\n")
    if newline and first.rstrip().endswith(b"]") and others.lstrip()[:1] == b"{":
        return  # one bad line among records, as rejected.ndjson may begin with: it is refused by itself
    beginning = content[:_BEGINNING_BYTES].removeprefix(BOM).lstrip()
    if beginning[:1] == b"[" and beginning[1:].lstrip()[:1] == b"{":
        raise UsageError(
            f"cannot read {name}",
            why="it begins a JSON array; the loader reads one JSON object a line",
            hint=how_to_pipe(_on("jq -c '.[]'", name)),
        )


def _delimiter_of(lines: list[bytes]) -> bytes:
    """What separates the cells of a table of at least two lines; nothing where this is none."""
    if len(lines) < 2:
        return b""
    head, row = lines[:2]
    return next((one for one in _DELIMITERS if head.count(one) == row.count(one) > 0), b"")


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _how_to_convert(name: str, delimiter: bytes) -> str:
    words = {b",": "", b";": " --ifs semicolon", b"\t": " --ifs tab", b"|": " --ifs pipe"}[delimiter]
    return (
        "The head line has to hold the API names of the module's fields; `loader check` tells what else the"
        f" values want. With Miller 6 (mlr):\n{how_to_pipe(_on(f'mlr --icsv{words} --ojsonl cat', name))}"
    )


def _on(program: str, name: str) -> str:
    return program if name == _STDIN else f"{program} {name}"
