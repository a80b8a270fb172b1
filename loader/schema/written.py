"""Numbers as they are written: how many digits they have, which no float tells."""

from __future__ import annotations

from typing import Final

import msgspec

OUT_OF_REACH: Final = 2**31
"""More digits than this are not counted."""


class Real(msgspec.Struct, frozen=True, gc=False):
    """A number with a point or an exponent, as it is written."""

    text: str


def whole_digits(value: int | Real) -> int:
    """Digits before the decimal point, leading zeros left out."""
    if isinstance(value, int):
        return len(str(abs(value)))
    mantissa, _, exponent = value.text.lower().partition("e")
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    significant = (whole + fraction).lstrip("0")
    if not significant:
        return 1
    zeros = len(whole) + len(fraction) - len(significant)
    return max(len(whole) - zeros + _shift(exponent), 1)


def fraction_digits(value: Real) -> int:
    """Digits behind the decimal point, trailing zeros left out."""
    mantissa, _, exponent = value.text.lower().partition("e")
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    significant = (whole + fraction).rstrip("0")
    if not significant:
        return 0
    zeros = len(whole) + len(fraction) - len(significant)
    return max(len(fraction) - zeros - _shift(exponent), 0)


def _shift(exponent: str) -> int:
    """An exponent of many digits would take long to read, and says no more than that it is out of reach."""
    if len(exponent) <= 9:
        return int(exponent or 0)
    return -2 * OUT_OF_REACH if exponent[0] == "-" else 2 * OUT_OF_REACH
