"""Sentences broken into lines. What is there to be copied, a command or a path, stays whole. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from loader.report.text import cells

_BEGINS = re.compile(r"[`('\"]?(loader|pip|chmod|ulimit|sysctl|mv)")
_SUBCOMMAND = re.compile(r"[a-z]+[`.,;:)]*|-[nf]|[0-7]{3}|fs\.file-max\)?")
_PROSE = frozenset(
    ("a", "again", "also", "and", "as", "from", "has", "in", "is", "it", "now", "or", "then", "to", "with")
)
_INDENT_MIN = 4
_ENDS = (",", ";", ":", ".", ")", "`")


def wrapped(line: str, *, width: int, first: str = "  ", rest: str = "  ") -> list[str]:
    """The line in lines of at most `width` columns, which begin with `first`, and the others with `rest`.

    Only a command or a path that is longer than that makes a line that is wider.
    """
    lines: list[str] = []
    now, empty = first, True
    for piece in _pieces(line):
        longer = now + piece if empty else f"{now} {piece}"
        if cells(longer) > width and not empty:
            lines.append(now)
            # A command that fits into the line at all does not stand out of it.
            longer = (rest if cells(rest + piece) <= width else rest[:_INDENT_MIN]) + piece
        if cells(longer) > width and not _to_copy(piece):
            *full, longer = _broken(longer, width, rest)
            lines += full
        now, empty = longer, False
    return [*lines, now] if not empty else []


def _broken(line: str, width: int, rest: str) -> Iterator[str]:
    while len(line) > width:
        yield line[:width]
        line = rest + line[width:]
    yield line


def _to_copy(piece: str) -> bool:
    return " " in piece or "/" in piece or _BEGINS.fullmatch(piece) is not None


def _pieces(line: str) -> Iterator[str]:
    """Words, and commands with all that belongs to them."""
    words = line.split()
    if words and words[0] in ("mv", "jq", "mlr"):
        yield line.strip()
        return
    at = 0
    while at < len(words):
        name = at + 2 if words[at + 1 : at + 2] == ["|"] else at  # what is piped into a command is part of it
        end = at + 1
        if _BEGINS.fullmatch("".join(words[name : name + 1])) and len(words) > name + 1:
            subcommand = words[name].endswith("mv") or _SUBCOMMAND.fullmatch(words[name + 1])
            end = _end_of_command(words, name) if subcommand else end
        yield " ".join(words[at:end])
        at = end


def _end_of_command(words: list[str], at: int) -> int:
    """Behind the last word of the command whose name is at `at`.

    An argument may follow the subcommand; then flags, each with a value or without. Whatever stands in quotes
    is one word, and a comma or a full stop ends it all.
    """
    end = at + 2
    arguments = 1
    while end < len(words) and not words[end - 1].endswith(_ENDS):
        word = words[end]
        flag_before = words[end - 1].startswith("--") and "=" not in words[end - 1]
        if not word.startswith("-"):
            if word in _PROSE or not (arguments or flag_before):
                break
            arguments -= 0 if flag_before else 1
        while words[end].count("'") % 2 and end + 1 < len(words):
            words[end : end + 2] = [f"{words[end]} {words[end + 1]}"]
        end += 1
    return end
