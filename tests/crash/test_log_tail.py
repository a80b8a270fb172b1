"""What a crash can leave at the end of the log, and what is damage instead."""

from __future__ import annotations

import itertools
import random

import pytest

from loader.checkpoint.entries import (
    HEADER,
    Entry,
    NewerLoaderError,
    NotApplied,
    Open,
    Sent,
    WindowEntry,
    batch_entry,
    encode_frame,
    frame_crc,
    outcomes_of,
)
from loader.checkpoint.ledger import DamagedLogError
from loader.checkpoint.scan import Scan, find_frames
from loader.errors import ExitCode, UsageError
from loader.outcomes import Settlement
from tests.unit.checkpoint_samples import HEAD, INPUT, LOG, MemoryDisk, batch, create, ids, reopen

OPEN = Open("boot-1", "host", 1, 10.0, INPUT)
ENTRIES: list[Entry] = [
    HEAD,
    OPEN,
    WindowEntry((batch_entry(batch(1)), batch_entry(batch(2)))),
    Sent(1, 1, ((1, 101),), 5.0),
    Sent(2, 1, ((101, 201),), 6.0),
    outcomes_of(1, 1, Settlement(range(1, 101), ids(range(1, 101)))),
    NotApplied(2, 1, ((101, 201),), "429"),
]
SYNCED_AFTER = 3
"""The first three frames were synced before the others were written."""


def frames() -> list[bytes]:
    written: list[bytes] = []
    for number, entry in enumerate(ENTRIES):
        offset = sum(map(len, written))
        synced = sum(map(len, written[:SYNCED_AFTER])) if number >= SYNCED_AFTER else 0
        written.append(encode_frame(entry, offset=offset, synced=synced))
    return written


FRAMES = frames()
EDGES = [0, *itertools.accumulate(map(len, FRAMES))]
WHOLE = b"".join(FRAMES)
SYNCED = EDGES[SYNCED_AFTER]


def scanned(content: bytes) -> tuple[Scan, list[Entry]]:
    scan = Scan(lambda offset, size: content[offset : offset + size])
    return scan, [entry for _, entry in scan]


@pytest.mark.parametrize("tail", [b"", b"\0" * 3000], ids=["nothing behind", "zeros behind"])
@pytest.mark.parametrize("mend", ["cut", "zeroed", "garbled"])
def test_a_tail_torn_at_any_byte_is_cut_at_the_frame_before(mend: str, tail: bytes) -> None:
    noise = random.Random(1)
    for stop in range(EDGES[-4], len(WHOLE)):
        lost = len(WHOLE) - stop
        fill = {"cut": b"", "zeroed": bytes(lost), "garbled": noise.randbytes(lost)}[mend]
        scan, entries = scanned(WHOLE[:stop] + fill + tail)
        kept = max(edge for edge in EDGES if edge <= stop)
        count = EDGES.index(kept)
        if mend != "cut" or tail:  # zeros may be what the frame held there: then it is whole
            reached = scan.good_end
            assert reached >= kept
            assert WHOLE[:reached] == (WHOLE[:stop] + fill + tail)[:reached]
            count = EDGES.index(reached)
        else:
            assert scan.good_end == kept
            assert scan.torn == (stop != kept)
        assert entries == ENTRIES[:count]


def test_zeros_behind_the_last_frame_are_the_end() -> None:
    scan, entries = scanned(WHOLE + bytes(5000))
    assert (scan.good_end, scan.torn, scan.frames_behind) == (len(WHOLE), False, False)
    assert entries == ENTRIES


@pytest.mark.parametrize("bad", range(len(FRAMES)))
@pytest.mark.parametrize("how", ["flipped", "zeroed", "header zeroed"])
def test_a_bad_frame_is_damage_only_where_the_log_was_synced(bad: int, how: str) -> None:
    content = bytearray(WHOLE)
    start, stop = EDGES[bad], EDGES[bad + 1]
    if how == "flipped":
        content[stop - 1] ^= 0x40
    else:
        end = stop if how == "zeroed" else start + HEADER.size
        content[start:end] = bytes(end - start)
    if bad < SYNCED_AFTER:
        with pytest.raises(DamagedLogError, match=f"at byte {start:,}") as caught:
            scanned(bytes(content))
        assert caught.value.offset == start
        assert caught.value.exit_code is ExitCode.DISK
        assert "Nothing was sent" in str(caught.value)
    else:
        scan, entries = scanned(bytes(content))
        assert entries == ENTRIES[:bad]
        assert scan.good_end == start
        assert scan.frames_behind == (bad < len(FRAMES) - 1)


def test_any_subset_of_unsynced_frames_may_be_missing() -> None:
    tail = range(SYNCED_AFTER, len(FRAMES))
    for present in itertools.product([True, False], repeat=len(tail)):
        content = bytearray(WHOLE)
        for number, there in zip(tail, present, strict=True):
            if not there:
                content[EDGES[number] : EDGES[number + 1]] = bytes(len(FRAMES[number]))
        scan, entries = scanned(bytes(content))
        first = next((number for number, there in zip(tail, present, strict=True) if not there), len(FRAMES))
        assert entries == ENTRIES[:first]
        assert scan.frames_behind == any(present[first - SYNCED_AFTER :])


def test_tail_blocks_in_the_wrong_order_are_no_frames() -> None:
    for order in itertools.permutations(FRAMES[SYNCED_AFTER:]):
        content = b"".join(FRAMES[:SYNCED_AFTER]) + b"".join(order)
        scan, entries = scanned(content)
        in_place = next(
            (n for n, (a, b) in enumerate(zip(order, FRAMES[SYNCED_AFTER:], strict=True)) if a != b),
            len(order),
        )
        assert entries == ENTRIES[: SYNCED_AFTER + in_place]
        assert scan.good_end == EDGES[SYNCED_AFTER + in_place]


def test_a_frame_inside_a_message_is_no_frame() -> None:
    inner = encode_frame(OPEN, offset=0, synced=0)
    text = NotApplied(1, 1, ((1, 2),), inner.decode("latin-1"))
    log = FRAMES[0] + encode_frame(text, offset=EDGES[1], synced=0)
    assert [frame.number for frame in find_frames(lambda at, size: log[at : at + size], 0)] == [1, 5]


def test_a_frame_type_of_a_later_version_is_refused_and_not_skipped() -> None:
    later = bytearray(encode_frame(ENTRIES[3], offset=EDGES[3], synced=SYNCED))
    later[2] = 42
    crc = frame_crc(HEADER.unpack_from(later), bytes(later[HEADER.size :]), offset=EDGES[3])
    later[8:12] = crc.to_bytes(4, "little")
    with pytest.raises(NewerLoaderError, match="newer loader"):
        scanned(WHOLE[: EDGES[3]] + bytes(later))


def test_a_whole_frame_that_makes_no_sense_is_damage() -> None:
    frame = bytearray(encode_frame(ENTRIES[3], offset=EDGES[3], synced=SYNCED))
    frame[2] = 6
    crc = frame_crc(HEADER.unpack_from(frame), bytes(frame[HEADER.size :]), offset=EDGES[3])
    frame[8:12] = crc.to_bytes(4, "little")
    with pytest.raises(DamagedLogError, match="whole frame of type 6"):
        scanned(WHOLE[: EDGES[3]] + bytes(frame))


def test_a_writer_that_writes_while_we_read_does_no_damage() -> None:
    shown = [EDGES[3], EDGES[3]]  # the first reads see three frames, all later ones everything

    def read(offset: int, size: int) -> bytes:
        end = shown.pop() if shown else len(WHOLE)
        return WHOLE[:end][offset : offset + size]

    assert [entry for _, entry in Scan(read)] == ENTRIES


def test_a_load_that_crashed_while_it_was_created_begins_anew() -> None:
    disk = MemoryDisk()
    create(disk)
    head = bytes(disk.files[LOG])
    _, (first, *_) = scanned(head)
    length = len(encode_frame(first, offset=0, synced=0))
    for stop in range(length):
        disk.kill()
        disk.files[LOG] = bytearray(head[:stop])
        with pytest.raises(UsageError, match="there is no load"):
            reopen(disk)
        assert create(disk).ledger.head == HEAD


@pytest.mark.parametrize("stop", range(EDGES[3], len(WHOLE) + 1))
def test_a_log_goes_on_behind_every_torn_tail(stop: int) -> None:
    disk = MemoryDisk()
    disk.files[LOG] = bytearray(WHOLE[:stop] + b"\0" * 100)
    log = reopen(disk)
    log.append(Sent(2, 2, ((101, 201),), 7.0))
    log.close()
    scan, entries = scanned(bytes(disk.files[LOG]))
    assert not scan.torn
    assert isinstance(entries[-2], Open)
    assert isinstance(entries[-1], Sent)
    assert entries[-2].survived


def test_after_frames_behind_a_bad_one_nothing_unsaid_is_believed() -> None:
    disk = MemoryDisk()
    content = bytearray(WHOLE)
    content[EDGES[4] + 30] ^= 1
    disk.files[LOG] = content
    ledger = reopen(disk).ledger
    assert [batch.allowed for batch in ledger.open_batches()] == [(), ()]
