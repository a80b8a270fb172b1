from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from benchmarks.data import leads, main, write_leads

REASONS = ("not JSON", "no Last_Name", "Last_Name too long", "wrong type")


class Lead(msgspec.Struct, forbid_unknown_fields=True):
    """The lengths are those of the field metadata of Leads."""

    Last_Name: str
    First_Name: str
    Company: str
    Email: str
    Phone: str
    Lead_Source: str
    No_of_Employees: int
    Annual_Revenue: float
    City: str
    Country: str
    Description: str


def fault(line: bytes) -> str:
    try:
        lead = msgspec.json.decode(line, type=Lead)
    except msgspec.ValidationError as error:
        return "no Last_Name" if "missing" in str(error) else "wrong type"
    except msgspec.DecodeError:
        return "not JSON"
    return "Last_Name too long" if len(lead.Last_Name) > 80 else ""


def test_leads_are_valid_distinct_and_of_about_three_hundred_bytes() -> None:
    lines = list(leads(5000, 7))
    assert all(line.endswith(b"}\n") and line.count(b"\n") == 1 for line in lines)
    records = [msgspec.json.decode(line, type=Lead) for line in lines]
    assert not any(map(fault, lines))
    assert len({record.Email for record in records}) == 5000
    assert 280 <= sum(map(len, lines)) / 5000 <= 325
    assert any(not record.Last_Name.isascii() for record in records)
    assert all(len(record.Phone) <= 30 and len(record.City) <= 100 for record in records)


def test_the_same_seed_gives_the_same_bytes_on_every_machine() -> None:
    data = b"".join(leads(2000, 7, invalid=0.1, repeat_email=0.1))
    assert (
        hashlib.sha256(data).hexdigest() == "9207c02724c14f54d7a45b1eb8b378c2126ccb488549f3b29f761c9fb2a83c59"
    )
    assert data != b"".join(leads(2000, 8, invalid=0.1, repeat_email=0.1))


def test_invalid_lines_are_bad_in_four_ways_and_the_others_good() -> None:
    faults = Counter(map(fault, leads(20_000, 3, invalid=0.05)))
    assert 800 < 20_000 - faults[""] < 1200
    assert all(faults[reason] > 150 for reason in REASONS)


def test_repeated_emails_are_of_earlier_leads() -> None:
    emails = [msgspec.json.decode(line, type=Lead).Email for line in leads(20_000, 3, repeat_email=0.05)]
    assert 800 < len(emails) - len(set(emails)) < 1200


def test_two_prefixes_share_no_email() -> None:
    emails = [
        msgspec.json.decode(line, type=Lead).Email
        for prefix in ("a", "b")
        for line in leads(100, 3, prefix=prefix)
    ]
    assert len(set(emails)) == 200


def test_the_file_holds_the_leads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "leads.ndjson"
    expected = b"".join(leads(4100, 5, invalid=0.1))
    assert write_leads(path, 4100, 5, invalid=0.1) == len(expected)
    assert path.read_bytes() == expected
    main(["--records", "4100", "--seed", "5", "--invalid", "0.1", str(path)])
    assert path.read_bytes() == expected
    assert f"4,100 leads, {len(expected):,} bytes" in capsys.readouterr().out
