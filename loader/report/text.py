"""How numbers, times and foreign text look on a screen. Pure; knows nothing of loads."""

from __future__ import annotations

import math
import re
import unicodedata

# C0 and C1 controls, DEL, and the marks that reorder or hide what stands on a line.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_IN_ASCII = str.maketrans({"→": "->", "━": "=", "╺": "-", "·": ".", "…": "..."})
_SCALES = ((1_000_000_000, "G"), (1_000_000, "M"))


def printable(text: str) -> str:
    """`text` on one line, with nothing in it that a terminal would obey instead of show."""
    return _UNPRINTABLE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def count(number: int) -> str:
    """12345 -> `12,345`."""
    return f"{number:,}"


def plural(number: int, noun: str) -> str:
    """`1 call`, `2 calls`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def rough(number: float) -> str:
    """`1.0 M` from a million on, the whole number below."""
    for scale, letter in _SCALES:
        if number >= scale:
            return f"{number / scale:,.1f} {letter}"
    return count(round(number))


def share(part: int, whole: int) -> str:
    """A percentage that never rounds something to nothing, nor a part to all."""
    if not whole:
        return ""
    percent = part * 100 / whole
    if 0 < percent < 0.01:
        return "<0.01 %"
    if percent > 99.99 and part < whole:
        percent = 99.99
    return f"{percent:.2f} %"


def duration(seconds: float) -> str:
    """`0.42 s`, `12.3 s`, `4 m 05 s`, `3 h 11 m 04 s`."""
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes:02} m {rest:02} s" if hours else f"{minutes} m {rest:02} s"


def time_left(seconds: float) -> str:
    """As exact as a forecast may sound: `40 s`, `12 m`, `1 h 12 m`, `3 d 4 h`."""
    minutes = math.ceil(seconds / 60)
    if seconds < 60:
        return f"{math.ceil(seconds)} s"
    if minutes < 60:
        return f"{minutes} m"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} m" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def latency(seconds: float) -> str:
    """`85 ms`, `1.09 s`."""
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.3g} s"


def rate(per_second: float) -> str:
    """`872 rec/s`; one digit more where that says something."""
    return f"{per_second:,.1f} rec/s" if per_second < 10 else f"{per_second:,.0f} rec/s"


def cells(text: str) -> int:
    """How many columns a terminal needs for it: two for a Chinese character, none for a combining accent."""
    if text.isascii():
        return len(text)
    return sum(map(_cells_of, text))


def _cells_of(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def in_ascii(text: str) -> str:
    """For a terminal or a log that takes nothing else: our own marks as signs like them, the rest escaped."""
    return text.translate(_IN_ASCII).encode("ascii", "backslashreplace").decode("ascii")


def cut(text: str, width: int) -> str:
    """No wider than `width` columns; an ellipsis stands for what is left out."""
    if cells(text) <= width:
        return text
    if text.isascii():
        return text[: max(width - 1, 0)] + "…"
    taken = 0
    for end, character in enumerate(text):
        taken += _cells_of(character)
        if taken > width - 1:
            return text[:end] + "…"
    return text


def name_of(path: str) -> str:
    """The last part of a path, fit for a screen."""
    return "stdin" if path == "-" else printable(path.rstrip("/").rpartition("/")[2] or path)


def packed(items: list[str], *, width: int, lines_max: int) -> list[str]:
    """The items on a few lines, ` · ` between them; the last line says how many are left out."""
    lines: list[str] = []
    rest = list(items)
    while rest:
        if len(lines) == lines_max - 1:
            return [*lines, joined(rest, width=width)]
        taken = 1
        while taken < len(rest) and cells(" · ".join(rest[: taken + 1])) <= width:
            taken += 1
        lines.append(cut(" · ".join(rest[:taken]), width))
        rest = rest[taken:]
    return lines


def flowed(items: list[str], *, width: int) -> list[str]:
    """The items with air between them, on as few lines as they need; each line begins with a blank."""
    lines = [""]
    for item in items:
        longer = f"{lines[-1]}   {item}" if lines[-1] else f" {item}"
        if cells(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(f" {item}")
    return lines


def joined(items: list[str], *, width: int) -> str:
    """As many items as fit, ` · ` between them, and how many more there are."""
    for shown in range(len(items), 0, -1):
        rest = len(items) - shown
        line = " · ".join(items[:shown] + ([f"{rest} more"] if rest else []))
        if cells(line) <= width:
            return line
    return cut(items[0], width) if items else ""
