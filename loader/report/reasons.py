"""Why records were refused, for the closing screen: an example of each kind, out of the reasons file."""

from __future__ import annotations

from pathlib import Path

import msgspec

from loader.errors import command
from loader.report import text
from loader.report.advice import typed
from loader.report.export import REASONS
from loader.report.wrapping import wrapped

KINDS_MAX = 4
LINES_READ_MAX = 20_000
"""The file may have millions; what is rarer than that is in the file."""


class _Reason(msgspec.Struct):
    line: int = 0
    code: str = ""
    field: str = ""
    message: str = ""
    what_to_do: str = ""


def examples(load_dir: Path, *, retry: Path, width: int) -> list[str]:
    """The first record of each kind of refusal: its line, what is wrong with it and what to do.

    `retry`: the load to be named to `loader retry`.
    """
    lines: list[str] = []
    found = _first_of_each(load_dir / REASONS)
    for one in found[:KINDS_MAX]:
        subject = " ".join(part for part in (one.code, one.field) if part)
        lines.append(f"  {text.printable(subject)}, for example line {one.line:,}")
        lines += _wrapped(f"why: {text.printable(one.message)}", width)
        what_to_do = typed(one.what_to_do, load_dir=str(load_dir), retry=str(retry))
        lines += _wrapped(f"what to do: {text.printable(what_to_do)}", width)
    if len(found) > KINDS_MAX:
        lines.append(f"  every other one: {text.printable(command('results', load_dir))} --failed")
    return ["", *lines] if lines else []


def _first_of_each(path: Path) -> list[_Reason]:
    """A file that is not there, or not ours, gives no examples: the screen says where it should be."""
    found: dict[tuple[str, str], _Reason] = {}
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream):
                if number >= LINES_READ_MAX or len(found) > KINDS_MAX:
                    break
                reason = msgspec.json.decode(line, type=_Reason)
                found.setdefault((reason.code, reason.field), reason)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        pass
    return list(found.values())


def _wrapped(words: str, width: int) -> list[str]:
    return wrapped(words, width=width, first="      ", rest="        ")
