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
    whole, fraction, shift = _parts(value)
    significant = (whole + fraction).lstrip("0")
    if not significant:
        return 1
    return max(len(significant) - len(fraction) + shift, 1)


def fraction_digits(value: Real) -> int:
    """Digits behind the decimal point, trailing zeros left out."""
    whole, fraction, shift = _parts(value)
    significant = (whole + fraction).rstrip("0")
    if not significant:
        return 0
    return max(len(significant) - len(whole) - shift, 0)


def _parts(value: Real) -> tuple[str, str, int]:
    """The digits on both sides of the point, and by how many places an exponent moves it to the right."""
    mantissa, _, exponent = value.text.lower().partition("e")
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    return whole, fraction, _shift(exponent)


def _shift(exponent: str) -> int:
    """An exponent of many digits would take long to read, and says no more than that it is out of reach."""
    if len(exponent) <= 9:
        return int(exponent or 0)
    return -2 * OUT_OF_REACH if exponent[0] == "-" else 2 * OUT_OF_REACH
