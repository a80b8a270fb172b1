"""Logs of every released format are read for ever: the same entries, the same ledger, and loads that go on.

A file in tests/data is never made again. A version that adds a frame type or a field adds a file.
"""

from __future__ import annotations

import shutil
import zlib
from pathlib import Path

import pytest

from loader.checkpoint.entries import (
    BatchEntry,
    Doubt,
    Entry,
    FrameType,
    Head,
    InputIdentity,
    InvalidEntry,
    NotApplied,
    Open,
    OtherOutcome,
    Outcomes,
    Resolved,
    Seal,
    Sent,
    WindowEntry,
)
from loader.checkpoint.log import CheckpointLog, Opening
from loader.checkpoint.results import outcomes_in_order
from loader.checkpoint.scan import find_frames, fold, opened, scan
from loader.checkpoint.unsettled import Doubtful
from loader.outcomes import ErrorCount, Outcome, RecordOutcome

FORMAT_1 = Path(__file__).parent.parent / "data" / "checkpoint-format-1.log"
FORMAT_1_CRC = 0x0D6B725E

INPUT = InputIdentity("file", "leads.ndjson", 4000, 1_700_000_000_000_000_000, 77, 8)
OPTIONS = {"trigger": "workflow", "layout_id": "5000000000000000001"}
BATCHES = (
    BatchEntry(1, 1, 3, 0, 300, 0x11111111),
    BatchEntry(
        2, 4, 5, 300, 800, 0x22222222, ((4, 5), (6, 7), (8, 9)), ((5, 6),),
        (InvalidEntry(7, 600, "NOT_JSON", "expected an object", "Email"),),
    ),
    BatchEntry(3, 9, 1, 800, 900, 0x33333333, (), ((9, 10),)),
    BatchEntry(4, 10, 6, 900, 1500, 0x44444444),
)  # fmt: skip
ENTRIES: list[Entry] = [
    Head(
        1, "01JD8-7QK2", 1_700_000_000.5, "Leads", "https://www.zohoapis.eu", "org-7", "Legacy_Id", False,
        5000, True, OPTIONS, INPUT, "Load_Key",
    ),
    Open("boot-1", "host-1", 4242, 1_700_000_001.0, INPUT, "user-1"),
    WindowEntry(BATCHES[:3]),
    Sent(1, 1, ((1, 4),), 1_700_000_002.0),
    Sent(2, 1, ((4, 5), (6, 7), (8, 9)), 1_700_000_003.0),
    Outcomes(1, 1, ((1, 4),), b"".join((2**63 + line).to_bytes(8, "little") for line in (1, 2, 3))),
    Outcomes(
        2, 1, ((4, 5),), text_ids=("zcrm_4",),
        others=(
            OtherOutcome(8, 3, "", "INVALID_DATA", "no date: \u2028", "Date"),
            OtherOutcome(6, 2, "5000000000000000006", "DUPLICATE_DATA", "there", "Email"),
        ),
    ),
    Seal(
        {"inserted": 4, "duplicate": 1, "rejected": 1, "invalid": 1}, 9, 900, 1_843_092_852, 1_700_000_009.0
    ),
    Open("boot-1", "host-1", 4343, 1_700_000_100.0, INPUT, "user-2", 1, True),
    WindowEntry(BATCHES[3:]),
    Sent(4, 1, ((10, 16),), 1_700_000_101.0),
    NotApplied(4, 1, ((15, 16),), "429"),
    Doubt(4, 1, ((10, 15),), "no answer"),
    Sent(4, 2, ((10, 11),), 1_700_000_140.0, True),
    Outcomes(4, 2, (), others=(OtherOutcome(10, 1, "5000000000000000010", "", "", "", True),)),
    Doubt(4, 2, ((11, 12),), "no key", True),
    Resolved(4, ((12, 14),), "query", "not found in two queries", 1_700_000_150.0),
    WindowEntry((), ((4, ((12, 13),)),)),
    Sent(4, 3, ((12, 13),), 1_700_000_151.0),
]  # fmt: skip


def test_every_type_of_frame_is_in_the_file() -> None:
    with opened(FORMAT_1) as read_at:
        assert {frame.number for frame in find_frames(read_at, 0)} == set(FrameType)


def test_the_file_has_not_been_changed() -> None:
    assert zlib.crc32(FORMAT_1.read_bytes()) == FORMAT_1_CRC


def test_format_1_says_what_it_always_said() -> None:
    assert [entry for _, entry in scan(FORMAT_1)] == ENTRIES


def test_format_1_adds_up_to_what_it_always_did() -> None:
    ledger = fold(FORMAT_1)
    assert (ledger.next_batch, ledger.next_line, ledger.next_offset) == (5, 16, 1500)
    assert (ledger.resumes, ledger.sealed) == (1, False)
    assert ledger.user_ids == {"user-1", "user-2"}
    assert ledger.checksum == zlib.crc32(b"".join(one.crc.to_bytes(4, "little") for one in BATCHES))
    tally = ledger.tally()
    assert (tally.inserted, tally.duplicate, tally.rejected, tally.invalid) == (5, 1, 1, 1)
    assert (tally.in_doubt, tally.pending, tally.held, tally.recovered, tally.absent) == (2, 3, 1, 1, 2)
    assert (tally.blank, tally.calls, tally.retries, tally.credits) == (2, 5, 2, 5)
    assert tally.errors == (ErrorCount("INVALID_DATA", "Date", 1), ErrorCount("NOT_JSON", "Email", 1))
    (left,) = ledger.open_batches()
    assert (left.number, left.last_attempt, left.open) == (4, 3, ((11, 16),))
    assert (left.allowed, left.sent, left.released) == (((15, 16),), ((12, 13),), ((13, 14),))
    assert left.doubts == (Doubtful(((11, 12), (14, 15)), 1_700_000_101.0),)
    assert left.held == ((11, 12),)


@pytest.mark.parametrize(("boot", "allowed"), [("boot-1", ((15, 16),)), ("boot-2", ()), ("", ())])
def test_a_load_of_format_1_goes_on(tmp_path: Path, boot: str, allowed: object) -> None:
    path = tmp_path / "load" / "checkpoint.log"
    path.parent.mkdir()
    shutil.copy(FORMAT_1, path)
    log = CheckpointLog.open(path, boot=boot)
    log.begin(Opening(INPUT, 1_700_001_000.0, "user-1"))
    (left,) = log.ledger.open_batches()
    log.close()
    assert (left.allowed, left.released, left.held) == (allowed, ((13, 14),), ((11, 12),))
    assert left.doubts[:1] == (Doubtful(((11, 12), (14, 15)), 1_700_000_101.0),)
    assert Doubtful(((12, 13),), 1_700_000_151.0) in left.doubts
    assert log.ledger.tally().inserted == 5
    assert [entry for _, entry in scan(path)][:-1] == ENTRIES


def test_the_outcomes_of_format_1_are_what_they_always_were() -> None:
    inserted, pending, doubt = Outcome.INSERTED, Outcome.PENDING, Outcome.IN_DOUBT
    assert list(outcomes_in_order(FORMAT_1)) == [
        *(RecordOutcome(line, inserted, str(2**63 + line)) for line in (1, 2, 3)),
        RecordOutcome(4, inserted, "zcrm_4"),
        RecordOutcome(6, Outcome.DUPLICATE, "5000000000000000006", "DUPLICATE_DATA", "there", "Email"),
        RecordOutcome(7, Outcome.INVALID, "", "NOT_JSON", "expected an object", "Email"),
        RecordOutcome(8, Outcome.REJECTED, "", "INVALID_DATA", "no date: \u2028", "Date"),
        RecordOutcome(10, inserted, "5000000000000000010", recovered=True),
        RecordOutcome(11, doubt, message="no key"),
        RecordOutcome(12, doubt, message="no answer"),
        RecordOutcome(13, pending),
        RecordOutcome(14, doubt, message="no answer"),
        RecordOutcome(15, pending),
    ]
