"""The small pieces that the report's page is made of, and the one place that lets foreign words in. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from html import escape

from loader.report import text

MESSAGE_CHARS = 200
NAME_CHARS = 80


def foreign(words: str, most: int = MESSAGE_CHARS) -> str:
    """Words that somebody else chose, fit for the page, as text and inside quotes."""
    return escape(text.cut(text.printable(words[: most + 1]), most))


def figure(name: str, value: object) -> str:
    """Attributes by which a test, or a program, finds a figure of `summary.json`."""
    shown = str(value).lower() if isinstance(value, bool) else str(value)
    return f'data-figure="{name}" data-value="{foreign(shown)}"'


def section(name: str, title: str, parts: Iterable[str]) -> Iterator[str]:
    """A part of the page under its heading."""
    yield f'<section aria-labelledby="{name}"><h2 id="{name}">{title}</h2>\n'
    yield from parts
    yield "</section>\n"


def table(caption: str, head: Sequence[str], rows: Iterable[str], *, kind: str = "") -> Iterator[str]:
    """A table; a head with `#` stands over numbers, one with `~` over what a narrow screen may leave out."""
    attributes = f' class="{kind}"' if kind else ""
    yield f"<table{attributes}><caption>{caption}</caption>"
    if head:
        cells = "".join(f'<th scope="col"{_kind_of(one)}>{one.lstrip("#~")}</th>' for one in head)
        yield f"<thead><tr>{cells}</tr></thead>"
    yield "<tbody>\n"
    yield from rows
    yield "</tbody></table>\n"


def _kind_of(head: str) -> str:
    return ' class="n"' if head.startswith("#") else ' class="wide"' if head.startswith("~") else ""


def time(at: float) -> str:
    """A time of the log (Unix seconds), in UTC; where no calendar has it, as plain words."""
    moment = _moment(at)
    if moment is None:
        return plain_time(at)
    return f'<time datetime="{moment.isoformat(timespec="seconds")}">{moment:%Y-%m-%d %H:%M:%S}</time>'


def fact(name: str, value: str) -> str:
    """A row of a table of names and values; `value` is markup."""
    return f'<tr><th scope="row">{foreign(name)}</th><td>{value}</td></tr>\n'


def plain_time(at: float) -> str:
    """The same as plain text."""
    moment = _moment(at)
    return f"{at:.0f} s after 1970" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _moment(at: float) -> datetime | None:
    """None for what is in no year from 1 to 9999: a file's time may be anything that somebody set."""
    try:
        return datetime.fromtimestamp(at, UTC)
    except (OSError, OverflowError, ValueError):
        return None
