"""E-mail addresses, phone numbers and web addresses: what the API's own regular expressions take.

Each takes exactly what the expression of the insert-records page ("Sample Attributes") takes, in time that
grows with the length alone: what can be read in one way only is never tried in a second. The page prints the
expression of phones without the backslashes of its literal parentheses, which its own example
"91(987)654321" needs; a phone may match it with them or without.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final
from unicodedata import category

_ALNUM: Final = "0-9A-Za-z"

EMAIL_ASCII: Final = (
    rf"[+\-{_ALNUM}_][{_ALNUM}!#$%&'*+\-/=?^_`{{|}}~.]*+@"
    r"(?!.{257})"  # what follows the @ has 4 to 256 characters; the rest of the expression needs 4
    rf"(?:[{_ALNUM}]++(?:[-_]++[{_ALNUM}]++)*+\.)++[A-Za-z]{{2,22}}"
)
"""Of addresses in ASCII alone; letters, marks and digits of other scripts are for `is_email`."""

_EMAIL: Final = re.compile(EMAIL_ASCII)


def is_email(text: str) -> bool:
    """Whether the API's expression for e-mail fields takes it."""
    return _EMAIL.fullmatch(text if text.isascii() else _in_ascii(text)) is not None


# The expression asks of a character only whether it is a letter or a mark, or a number, or one of some signs
# of ASCII. So one of each stands for all of its kind; NUL stands for what the expression takes nowhere.
_STANDS_FOR: Final = {"L": "a", "M": "a", "N": "0"}


def _in_ascii(text: str) -> str:
    return "".join(char if char.isascii() else _STANDS_FOR.get(category(char)[0], "\0") for char in text)


def _phone(opening: str, closing: str) -> str:
    # As the page has it, but for groups that are never asked what they matched, and {0,1} written as ?.
    return (
        rf"[+]?(?![.-])(?>(?>[.-]?[ ]?[{_ALNUM}]+)+"
        rf"|(?:[ ]?{opening}(?![.-])(?>[ .-]?[{_ALNUM}]+)+{closing}(?![.])(?:[ -]?[{_ALNUM}]+)?)+)+"
        rf"(?>(?>,*;?[{_ALNUM}]+)+(?:#[{_ALNUM}]+)*)?[#;]?"
    )


_PHONE: Final = re.compile(_phone(r"\(", r"\)"))
_PHONE_AS_PRINTED: Final = re.compile(_phone("(?:", ")"))


def is_phone(text: str) -> bool:
    """Whether the API's expression for phone fields takes it, in either reading of its parentheses."""
    return _PHONE.fullmatch(text) is not None or _PHONE_AS_PRINTED.fullmatch(text) is not None


_HOST_FIRST: Final = r"[^\x00-\x19\x22-\x27\x2A-\x2C\x2E-\x2F\x3A-\x3F\x5B-\x5E\x60\x7B\x7D-\x7F]"
_HOST_NEXT: Final = r"[^\x00-\x19\x22\x24-\x2C\x2E-\x2F\x3C\x3E\x40\x5B-\x5E\x60\x7B\x7D-\x7F]"
# A question mark may open a part behind a dot; anywhere later it begins the query, which takes anything.
_HOST_REST: Final = r"[^\x00-\x19\x22\x24-\x2C\x2E-\x2F\x3C\x3E-\x40\x5B-\x5E\x60\x7B\x7D-\x7F]"
_SCHEME: Final = r"(?:(?:https?|ftp)://)?+"
_URL: Final = re.compile(
    # The dot of the page's `www.` is any character, and what follows it may be of the first kind again.
    rf"{_SCHEME}(?:www.)?{_HOST_FIRST}++(?:\.{_HOST_NEXT}{_HOST_REST}*+)++(?:[/?].*+)?+"
)


def is_url(text: str) -> bool:
    """Whether the API's expression for website fields takes it."""
    return _URL.fullmatch(text) is not None


# --- Several values in one look ----------------------------------------------------------------------------

TEXT: Final = "text"
EMAIL: Final = "email"
PHONE: Final = "phone"
URL: Final = "url"

TAKES: Final = {EMAIL: is_email, PHONE: is_phone, URL: is_url}

# What most values are: each takes less than its function above, in a third of the time.
_RUN: Final = f"[{_ALNUM}]++"
_LABEL: Final = f"[{_ALNUM}]{{1,40}}+"  # five of these and a top domain are shorter than 256
_HOST: Final = f"[{_ALNUM}-]++"
PLAIN: Final = {
    EMAIL: rf"[{_ALNUM}_+-][{_ALNUM}._+-]*+@{_LABEL}(?:[.-]{_LABEL}){{0,3}}?\.[A-Za-z]{{2,22}}+",
    PHONE: rf"\+?(?:\({_RUN}\)[ -]?+)?+{_RUN}(?:[ .-]{_RUN})*+",
    URL: rf"(?:https?://)?+{_HOST}\.{_HOST}(?:\.{_HOST})*+(?:[/?][^\n]*+)?+",
    TEXT: r"\S[^\n]*+",
}
SEAM: Final = "\n"


def all_plain(kinds: Sequence[str]) -> Callable[[str, int], bool]:
    """A function that takes values of these kinds, over and over, a `SEAM` behind each, and how often.

    It says whether each value is plain: a text that begins with no white space, one of the others that is
    what `PLAIN` says or empty; all that is plain is fine. Nothing plain holds a newline, so just as many
    newlines as there are seams part the values in one way alone. One search of one string costs a fraction
    of many.
    """
    turn = "".join(f"{PLAIN[kind] if kind == TEXT else f'(?:{PLAIN[kind]})?'}{SEAM}" for kind in kinds)
    match = re.compile(f"(?:{turn})*").fullmatch

    def plain(text: str, times: int) -> bool:
        return text.count(SEAM) == len(kinds) * times and match(text) is not None

    return plain


def is_fine(kind: str, text: str | None) -> bool:
    """Whether a value of this kind passes: null and the empty string are none; a text may not be blank."""
    if kind == TEXT:
        return text is not None and not text.isspace()
    return not text or TAKES[kind](text)
