"""What a person's screen can show: which signs, how many columns, whether a block may be drawn over.

The stream is asked, and the environment where the stream cannot say. Nothing here writes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TextIO

COLUMNS_ASSUMED = 80
ROWS_ASSUMED = 24
_COERCED = ("C.UTF-8", "C.utf8", "UTF-8")
"""What Python puts into LC_CTYPE where the locale was plain C (PEP 538); a person's word is the other two."""


def takes_unicode(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether more than ASCII may be shown: the stream and the locale of the environment are both UTF-8.

    Python writes UTF-8 in the locale C too, whether or not the terminal shows it.
    """
    encoding = getattr(stream, "encoding", None)
    if encoding is None:
        return True  # text in memory
    if "utf" not in encoding.lower():
        return False
    names = ("LC_ALL", "LANG") if environ.get("LC_CTYPE") in _COERCED else ("LC_ALL", "LC_CTYPE", "LANG")
    locale = next((environ[name] for name in names if environ.get(name)), "")
    return "utf-8" in locale.lower() or "utf8" in locale.lower()


def redraws(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a block of lines can be drawn over and over in its place."""
    try:
        return stream.isatty() and environ.get("TERM", "").lower() not in ("", "dumb", "unknown")
    except ValueError:  # closed
        return False


def reflows(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether lines that were written are broken anew when the terminal gets narrower.

    Most terminals do. The console, xterm itself (which says so in XTERM_VERSION) and screen cut them off.
    """
    if environ.get("TMUX"):
        return True
    return not (environ.get("TERM") == "linux" or environ.get("XTERM_VERSION") or environ.get("STY"))


def size(stream: TextIO, environ: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """Columns and rows: the terminal's own word, else COLUMNS and LINES, else 80 by 24."""
    try:
        columns, rows = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        columns = rows = 0
    return (
        columns or _number(environ.get("COLUMNS")) or COLUMNS_ASSUMED,
        rows or _number(environ.get("LINES")) or ROWS_ASSUMED,
    )


def _number(word: str | None) -> int:
    return int(word) if word and word.isascii() and word.isdigit() and len(word) < 6 else 0
