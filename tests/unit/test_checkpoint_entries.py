"""Frames and their bytes."""

from __future__ import annotations

import sys

import msgspec
import pytest

from loader.checkpoint.entries import (
    BODY_BYTES_MAX,
    HEADER,
    BatchEntry,
    Doubt,
    Entry,
    InvalidEntry,
    NewerLoaderError,
    NotApplied,
    Open,
    OtherOutcome,
    Outcomes,
    Resolved,
    Seal,
    Sent,
    WindowEntry,
    batch_entry,
    decode_body,
    encode_frame,
    frame_crc,
    known_outcome,
    outcomes_of,
    pack_ids,
    record_outcomes,
    restricted,
    unpack_ids,
)
from loader.errors import ExitCode
from loader.outcomes import Cause, Outcome, RecordOutcome, Settlement
from tests.unit.checkpoint_samples import HEAD, INPUT, batch, ids, window

ENTRIES: list[Entry] = [
    HEAD,
    Open("boot", "host", 7, 1.5, INPUT, "user", 2, True),
    WindowEntry(
        (BatchEntry(1, 1, 3, 0, 30, 9, ((1, 2),), ((2, 3),), (InvalidEntry(3, 20, "C", "m", "F"),)),)
    ),
    Sent(1, 2, ((1, 3), (5, 6)), 4.25, True),
    NotApplied(1, 2, ((1, 3),), "429", 2.5, Cause.PUSHED_BACK),
    Outcomes(1, 2, ((1, 2),), b"12345678", (), (OtherOutcome(2, 3, "", "C", "m", "F", True),)),
    Doubt(1, 2, ((1, 3),), "no answer", True),
    Resolved(1, ((1, 3),), "person", "their word", 4.5),
    Seal({"inserted": 1}, 3, 30, 77, 5.0),
]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda one: type(one).__name__)
def test_an_entry_comes_back_from_its_frame(entry: Entry) -> None:
    frame = encode_frame(entry, offset=1000, synced=900)
    header = HEADER.unpack_from(frame)
    body = frame[HEADER.size :]
    assert header[5] == 900
    assert frame_crc(header, body, offset=1000) == header[4]
    assert decode_body(header[1], body) == entry


@pytest.mark.parametrize("cause", Cause)
def test_a_cause_says_whether_the_call_was_let_in_and_whether_it_may_have_cost(cause: Cause) -> None:
    entry = NotApplied(1, 1, ((1, 3),), "words that say nothing", 0.0, cause)
    assert entry.pushed_back is (cause is Cause.PUSHED_BACK)
    assert entry.charged is (cause in {Cause.UNTOLD, Cause.OTHER})


@pytest.mark.parametrize("at", [2, 3, 4, 12, 25])
def test_every_part_of_a_frame_and_its_place_are_under_the_checksum(at: int) -> None:
    frame = bytearray(encode_frame(ENTRIES[3], offset=1000, synced=900))
    frame[at] ^= 1
    header = HEADER.unpack_from(frame)
    assert frame_crc(header, bytes(frame[HEADER.size :]), offset=1000) != header[4]
    whole = encode_frame(ENTRIES[3], offset=1000, synced=900)
    header = HEADER.unpack_from(whole)
    assert frame_crc(header, whole[HEADER.size :], offset=1001) != header[4]


def test_a_body_with_a_field_of_a_later_version_is_read() -> None:
    body = msgspec.msgpack.encode([1, 2, [[1, 3]], 4.25, False, "added later"])
    assert decode_body(4, body) == Sent(1, 2, ((1, 3),), 4.25)


def test_a_body_without_the_fields_added_later_is_read() -> None:
    assert decode_body(6, msgspec.msgpack.encode([1, 2, [[1, 2]]])) == Outcomes(1, 2, ((1, 2),))


@pytest.mark.parametrize("number", [10, 255])
def test_a_frame_type_nobody_knows_is_refused(number: int) -> None:
    with pytest.raises(NewerLoaderError, match="newer loader") as caught:
        decode_body(number, b"\x90")
    assert caught.value.exit_code is ExitCode.DISK


def test_an_outcome_nobody_knows_is_refused() -> None:
    with pytest.raises(NewerLoaderError):
        known_outcome(9)


@pytest.mark.parametrize(
    ("given", "fits"),
    [
        ([], True),
        (["0"], True),
        (["1", str(2**64 - 1)], True),
        (["01"], False),
        (["+1"], False),
        (["-1"], False),
        ([" 1"], False),
        (["1 "], False),
        (["1.0"], False),
        (["1e3"], False),
        ([""], False),
        (["", "1,2"], False),
        (["1,2"], False),
        (["1,2", "3"], False),
        ([str(2**64)], False),
        (["zcrm_5"], False),
        (["٣"], False),
        (["null"], False),
    ],
)
def test_ids_are_packed_only_where_the_same_text_comes_back(given: list[str], fits: bool) -> None:
    packed = pack_ids(given)
    assert (packed is not None) == fits
    if packed is not None:
        assert [str(number) for number in unpack_ids(packed)] == given


@pytest.mark.parametrize("given", [["12", "34"], ["012", "x"]], ids=["numbers", "text"])
def test_a_settlement_comes_back_from_its_entry(given: list[str]) -> None:
    other = RecordOutcome(5, Outcome.REJECTED, code="INVALID_DATA", message="m", field="Email")
    ours = RecordOutcome(6, Outcome.INSERTED, id="9", recovered=True)
    entry = outcomes_of(3, 1, Settlement([2, 4], given, [other, ours]))
    plain = [RecordOutcome(2, Outcome.INSERTED, given[0]), RecordOutcome(4, Outcome.INSERTED, given[1])]
    assert record_outcomes(entry) == [*plain, other, ours]
    part = restricted(entry, ((4, 6),))
    assert isinstance(part, Outcomes)
    assert record_outcomes(part) == [plain[1], other]
    assert restricted(entry, ((7, 9),)) is None


def test_as_many_ids_as_lines_are_needed() -> None:
    with pytest.raises(ValueError, match="1 ids for 2 lines"):
        outcomes_of(1, 1, Settlement([1, 2], ["1"]))


def test_a_plain_success_costs_at_most_25_bytes_of_log_all_in() -> None:
    numbers = range(1_000_000, 1_000_010)
    frames: list[Entry] = [WindowEntry(tuple(batch_entry(one) for one in window(*numbers).batches))]
    for number in numbers:
        lines = batch(number).lines
        frames.append(Sent(number, 1, ((lines[0], lines[-1] + 1),), 1_900_000_000.123))
        frames.append(outcomes_of(number, 1, Settlement(lines, ids(lines))))
    size = sum(len(encode_frame(one, offset=2**40, synced=2**39)) for one in frames)
    print(f"{size / 1000:.2f} bytes a record")
    assert size / 1000 <= 10


def test_a_body_larger_than_a_frame_may_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"NotApplied of \d+ bytes: a frame holds"):
        encode_frame(NotApplied(1, 1, (), "x" * BODY_BYTES_MAX), offset=0, synced=0)


def test_ids_are_little_endian_on_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = (2**63 + 7).to_bytes(8, "little")
    monkeypatch.setattr(sys, "byteorder", "little")
    assert list(unpack_ids(packed)) == [int.from_bytes(packed, "little")]
    monkeypatch.setattr(
        sys, "byteorder", "big"
    )  # then the array reads them the other way round, as is undone
    assert list(unpack_ids(packed)) == [int.from_bytes(packed, "big")]
