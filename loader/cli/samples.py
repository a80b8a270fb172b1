"""Sample leads for the demo: the same seed gives the same bytes."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

LEADS = 20_000
BAD_EVERY = 500
REPEATED_EVERY = 400

_FIRST = ("Ada", "Grace", "Łukasz", "Zoë", "Ravi", "Mei", "José", "Anna-Lena", "Björn", "Fatima")
_LAST = ("Lovelace", "O'Neill", "Żółć", "Nakamura", "García", "Müller", "Okafor", "Singh", "Dvořák", "Smith")
_CITIES = ("Chennai", "Łódź", "São Paulo", "Zürich", "Austin", "Nairobi", "東京", "Reykjavík")


def leads(count: int, *, seed: int) -> Iterator[bytes]:
    """So many lines: good leads, a bad one now and then, and some that repeat an earlier e-mail address."""
    chosen = random.Random(seed)
    for number in range(1, count + 1):
        if number % BAD_EVERY == 0:
            yield _bad(number, chosen) + b"\n"
        elif number % REPEATED_EVERY == 7 and number > REPEATED_EVERY:
            yield _encoded(_lead(number, chosen) | {"Email": _email(chosen.randint(1, 99))}) + b"\n"
        else:
            yield _encoded(_lead(number, chosen)) + b"\n"


def _email(number: int) -> str:
    return f"lead.{number}@example.com"


def _lead(number: int, chosen: random.Random) -> dict[str, object]:
    return {
        "First_Name": chosen.choice(_FIRST),
        "Last_Name": chosen.choice(_LAST),
        "Email": _email(number),
        "Company": f"Company {chosen.randint(1, 4000)}",
        "City": chosen.choice(_CITIES),
        "No_of_Employees": chosen.randint(1, 9999),
        "Description": f"Sample lead {number} of the demo.",
    }


def _bad(number: int, chosen: random.Random) -> bytes:
    """A lead that the module does not take, in one of four ways."""
    lead = _lead(number, chosen)
    match number // BAD_EVERY % 4:
        case 0:
            del lead["Last_Name"]
        case 1:
            lead["No_of_Employees"] = "many"
        case 2:
            lead["Company"] = "x" * 300
        case _:
            return _encoded(lead)[:-10]
    return _encoded(lead)


def _encoded(lead: dict[str, object]) -> bytes:
    return json.dumps(lead, ensure_ascii=False).encode()
