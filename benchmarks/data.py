"""Seeded leads as NDJSON, the same bytes for the same seed on every machine.

python -m benchmarks.data --records 1000000 --seed 7 [--invalid 0.01] [--repeat-email 0.01] OUT.ndjson
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

GIVEN = (
    "Anna",
    "Jörg",
    "Marta",
    "Søren",
    "Zoë",
    "Luis",
    "Chiara",
    "François",
    "Ewa",
    "Mehmet",
    "Priya",
    "Wei",
    "Aisha",
    "Tomáš",
    "Ingrid",
    "Noah",
    "Olivia",
    "Björn",
    "Inês",
    "Yuki",
    "Omar",
    "Lucía",
    "Pavel",
    "Greta",
    "Hugo",
    "Siobhán",
)
FAMILY = (
    "Müller",
    "García",
    "Nowak",
    "Smith",
    "O'Brien",
    "Kowalczyk",
    "Núñez",
    "Østergård",
    "Şahin",
    "Dvořák",
    "Rossi",
    "Lefèvre",
    "Petrov",
    "Tanaka",
    "Fernández",
    "Schäfer",
    "Johnson",
    "Andersson",
    "Kaur",
    "Nguyễn",
    "Haddad",
    "Silva",
    "Weiß",
    "Brown",
    "Kučera",
    "Martin",
)
COMPANIES = (
    "Nordwind",
    "Bluepeak",
    "Quarry",
    "Lumen",
    "Harbor",
    "Redwood",
    "Atlas",
    "Vertex",
    "Meridian",
    "Copper",
    "Juniper",
    "Falcon",
    "Granite",
    "Orchard",
)
MAILBOXES = ("purchasing", "office", "hello")
FORMS = ("GmbH", "S.L.", "Ltd", "Inc.", "AB", "s.r.o.", "B.V.", "& Søn A/S")
CITIES = (
    ("Köln", "Germany"),
    ("Málaga", "Spain"),
    ("Kraków", "Poland"),
    ("Leeds", "United Kingdom"),
    ("Århus", "Denmark"),
    ("Austin", "United States"),
    ("İzmir", "Türkiye"),
    ("Lyon", "France"),
)
SOURCES = (
    "Advertisement",
    "Cold Call",
    "Employee Referral",
    "Partner",
    "Trade Show",
    "Web Form/Web Download",
)
NOTES = (
    "Met at the fair, wants a quote for two sites",
    "Asked for the data sheet, call back next month",
    "Came by way of a partner; budget is known",
    "Two plants, both in reach of the depot",
)
BLOCK_RECORDS = 2000


def leads(
    records: int, seed: int, *, invalid: float = 0.0, repeat_email: float = 0.0, prefix: str = ""
) -> Iterator[bytes]:
    """That many lines of about 300 bytes, line ends included.

    Each e-mail is its own unless `repeat_email` says what share repeats an earlier one. `invalid` is the
    share that cannot be a lead: by turns not JSON, without Last_Name, with one too long, with a value of the
    wrong type. `prefix` is put into each e-mail, so that two files share none.
    """
    # random.Random.random() is the one method whose results Python promises never to change for a seed.
    roll = random.Random(seed).random
    bad = 0
    for number in range(1, records + 1):
        mailbox = number
        if repeat_email and roll() < repeat_email and number > 1:
            mailbox = 1 + int(roll() * (number - 1))
        fields = _fields(roll(), roll(), f"{MAILBOXES[mailbox % 3]}.{prefix}{mailbox}")
        if invalid and roll() < invalid:
            yield _spoilt(fields, bad)
            bad += 1
        else:
            yield (fields + "}\n").encode()


def write_leads(
    path: Path | str,
    records: int,
    seed: int,
    *,
    invalid: float = 0.0,
    repeat_email: float = 0.0,
    prefix: str = "",
) -> int:
    """Writes the leads to a file, whatever was there before, and says how many bytes it has."""
    lines = leads(records, seed, invalid=invalid, repeat_email=repeat_email, prefix=prefix)
    with Path(path).open("wb") as out:
        return _write(out, lines)


def _write(out: BinaryIO, lines: Iterator[bytes]) -> int:
    size = 0
    while block := b"".join(islice(lines, BLOCK_RECORDS)):
        size += out.write(block)
    return size


def _fields(first: float, second: float, mailbox: str) -> str:
    """A lead up to its closing brace, all its choices made by the digits of two random numbers."""
    one, two = int(first * 2**52), int(second * 2**52)
    city, country = CITIES[one & 7]
    given = GIVEN[(one >> 3) % 26]
    family = FAMILY[(one >> 11) % 26]
    company = COMPANIES[(one >> 19) % 14]
    return (
        f'{{"Last_Name":"{family}","First_Name":"{given}","Company":"{company} {FORMS[one >> 27 & 7]}",'
        f'"Email":"{mailbox}@example.com","Phone":"+49 221 {one >> 30 & 0x7FFFF:07d}",'
        f'"Lead_Source":"{SOURCES[two % 6]}","No_of_Employees":{1 + (two >> 6 & 0xFFF)},'
        f'"Annual_Revenue":{two >> 18 & 0xFFFFFF}.5,"City":"{city}","Country":"{country}",'
        f'"Description":"{NOTES[two >> 42 & 3]}"'
    )


def _spoilt(fields: str, turn: int) -> bytes:
    last_name, rest = fields.split(",", 1)
    match turn % 4:
        case 0:
            text = fields  # never closed
        case 1:
            text = "{" + rest + "}"
        case 2:
            # 80 characters are the most that Last_Name has (field metadata).
            text = last_name[:-1] + "x" * 80 + '",' + rest + "}"
        case _:
            text = fields.replace('"No_of_Employees":', '"No_of_Employees":"about ', 1) + "}"
            text = text.replace(',"Annual_Revenue"', '","Annual_Revenue"', 1)
    return text.encode() + b"\n"


def main(arguments: list[str] | None = None) -> None:
    """The command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data", description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--invalid", type=float, default=0.0, help="share of lines that cannot be a lead")
    parser.add_argument("--repeat-email", type=float, default=0.0, help="share that repeats an e-mail")
    parser.add_argument("out", type=Path)
    asked = parser.parse_args(arguments)
    size = write_leads(
        asked.out, asked.records, asked.seed, invalid=asked.invalid, repeat_email=asked.repeat_email
    )
    print(f"{asked.out}: {asked.records:,} leads, {size:,} bytes")


if __name__ == "__main__":
    main()
