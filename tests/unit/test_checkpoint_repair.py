"""Repair of a damaged log, case by case: what was lost there, and what the new log says instead."""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import anyio
import pytest

from loader.checkpoint import ranges
from loader.checkpoint.displaced import moved_frames, written_at
from loader.checkpoint.entries import (
    HEADER,
    BatchEntry,
    Doubt,
    Entry,
    Head,
    InputIdentity,
    NotApplied,
    Open,
    Outcomes,
    Resolved,
    Sent,
    WindowEntry,
    encode_frame,
    outcomes_of,
)
from loader.checkpoint.filesystem import LocalFilesystem
from loader.checkpoint.ledger import DamagedLogError, Ledger
from loader.checkpoint.ranges import Ranges
from loader.checkpoint.salvage import BeyondRepairError, Gap, pieces, records_max_of
from loader.checkpoint.scan import READ_BYTES, fold, scan
from loader.errors import DiskError, InputChangedError, LockedError, UsageError
from loader.outcomes import Settlement
from loader.repairing import Repaired, Sound, repair

SIZE = 10
"""Lines of a batch here; each has 20 bytes."""
LINES = 60


class Load:
    """A load directory and its input; entries are written as frames that each confirm those before it."""

    def __init__(self, directory: Path, *, limit: int | None = None, lines: int = LINES) -> None:
        self.input = directory / "leads.ndjson"
        self.load_dir = directory / "load"
        self.load_dir.mkdir()
        self.log = self.load_dir / "checkpoint.log"
        self.content = b"".join(b'{"Last_Name":"%04d"}\n' % n for n in range(1, lines + 1))
        self.width = len(self.content) // lines
        self.input.write_bytes(self.content)
        self.identity = InputIdentity("file", str(self.input), len(self.content), 1, 2, 3)
        self.head = Head(1, "L1", 1.0, "Leads", "https://x", "org", "", None, limit, True, {}, self.identity)
        self.opened = Open("boot", "host", 1, 10.0, self.identity, "user")

    def cut(self, *numbers: int, again: Any = ()) -> WindowEntry:
        return WindowEntry(tuple(self.batch(number) for number in numbers), again)

    def batch(self, number: int) -> BatchEntry:
        first = (number - 1) * SIZE
        start, stop = first * self.width, (first + SIZE) * self.width
        return BatchEntry(number, first + 1, SIZE, start, stop, zlib.crc32(self.content[start:stop]))

    def write(self, entries: Iterable[Entry]) -> list[int]:
        """The log; returns where each frame begins, and the end."""
        ends = [0]
        with self.log.open("wb") as file:
            for entry in entries:
                frame = encode_frame(entry, offset=ends[-1], synced=ends[-1])
                ends.append(ends[-1] + file.write(frame))
        return ends

    def spoil(self, start: int, stop: int) -> None:
        content = bytearray(self.log.read_bytes())
        content[start:stop] = b"\xff" * (stop - start)
        self.log.write_bytes(content)

    def repaired(self) -> Repaired:
        done = anyio.run(repair, self.load_dir)
        assert isinstance(done, Repaired)
        return done

    def entries(self) -> list[Entry]:
        return [entry for _, entry in scan(self.log)]

    def seal(self, *entries: Entry) -> Entry:
        ledger = Ledger()
        for entry in entries:
            ledger.apply(entry)
        return ledger.seal_entry(at=99.0)


def lines_of(number: int) -> Ranges:
    return ((number * SIZE - SIZE + 1, number * SIZE + 1),)


def sent(number: int, at: float = 20.0, *, attempt: int = 1, in_doubt: bool = False) -> Sent:
    return Sent(number, attempt, lines_of(number), at, in_doubt)


def answered(number: int) -> Outcomes:
    lines = ranges.to_lines(lines_of(number))
    return outcomes_of(number, 1, Settlement(lines, [str(1000 + line) for line in lines]))


@pytest.fixture
def load(tmp_path: Path) -> Load:
    return Load(tmp_path)


def test_a_sound_log_is_left_as_it_is(load: Load) -> None:
    load.write([load.head, load.opened, load.cut(1), sent(1), answered(1)])
    before = load.log.read_bytes()
    assert anyio.run(repair, load.load_dir) == Sound(len(before), torn=False)
    assert list(load.load_dir.iterdir()) == [load.log]
    assert load.log.read_bytes() == before


def test_a_torn_end_is_no_damage(load: Load) -> None:
    ends = load.write([load.head, load.opened, load.cut(1), sent(1)])
    load.spoil(ends[-2] + 5, ends[-1])
    found = anyio.run(repair, load.load_dir)
    assert found == Sound(ends[-2], torn=True)


def test_where_there_is_no_load_it_says_so(load: Load) -> None:
    with pytest.raises(UsageError, match="no load"):
        anyio.run(repair, load.load_dir)
    load.log.write_bytes(b"")
    with pytest.raises(UsageError, match="no load"):
        anyio.run(repair, load.load_dir)


def test_a_lost_outcome_leaves_its_records_in_doubt_and_the_others_settled(load: Load) -> None:
    ends = load.write(
        [load.head, load.opened, load.cut(1, 2), sent(1), sent(2), answered(1), answered(2), load.cut(3)]
    )
    load.spoil(ends[5] + 30, ends[5] + 31)
    with pytest.raises(DamagedLogError) as stop:
        fold(load.log)
    assert stop.value.offset == ends[5]
    assert "loader repair" in stop.value.hint
    damaged = load.log.read_bytes()
    done = load.repaired()
    assert done.gaps == (Gap(ends[5], ends[6], ends[6] - ends[5]),)
    assert done.in_doubt == ((1, 11), (21, 31))
    assert done.rebuilt == ()
    assert done.kept.read_bytes() == damaged
    assert done.kept.name == "checkpoint.log.damaged-1"
    assert load.log.stat().st_mode & 0o777 == 0o600
    ledger = fold(load.log)
    assert ledger.tally().inserted == SIZE
    first = ledger.batch(1)
    assert first is not None
    assert first.doubts[0].since == 20.0


def test_a_lost_sent_puts_what_its_window_holds_in_doubt_whatever_a_later_open_says(load: Load) -> None:
    again = Open("boot", "host", 2, 30.0, load.identity, "user", 1, survived=True)
    ends = load.write([load.head, load.opened, load.cut(1), sent(1), again, load.cut(2)])
    load.spoil(ends[3], ends[4])
    assert load.repaired().in_doubt == ((1, 21),)
    opened = [entry for entry in load.entries() if isinstance(entry, Open)]
    assert [(one.boot_id, one.survived) for one in opened[1:]] == [("", False), ("", False)]
    ledger = fold(load.log)
    view = ledger.batch(1)
    assert view is not None
    assert view.doubts[0].since == 10.0, "before that the lost SENT cannot have been written"


def test_a_lost_window_is_cut_from_the_input_and_later_batches_are_moved(load: Load) -> None:
    entries: list[Entry] = [
        load.head,
        load.opened,
        load.cut(1),
        sent(1),
        load.cut(2, 3),
        sent(2),
        answered(1),
        answered(2),
    ]
    ends = load.write([*entries, load.cut(4, 5), sent(4), answered(4)])
    load.spoil(ends[4], ends[4] + 40)
    done = load.repaired()
    assert done.rebuilt == ((11, 31),)
    assert done.in_doubt == ((21, 31), (41, 51))
    ledger = fold(load.log)
    assert ledger.tally().inserted == 3 * SIZE
    assert ledger.next_line == 51
    assert ledger.next_offset == 50 * load.width
    numbers = [b.number for e in load.entries() if isinstance(e, WindowEntry) for b in e.batches]
    assert numbers == [1, 2, 3, 4], "two batches of ten lines became one of twenty"
    assert [e.batch for e in load.entries() if isinstance(e, Outcomes)] == [1, 2, 3]


def test_a_batch_whose_window_is_lost_keeps_what_is_said_of_its_lines(load: Load) -> None:
    about_2: list[Entry] = [sent(2), NotApplied(2, 1, lines_of(2), "429"), sent(2, 25.0, attempt=2)]
    about_3: list[Entry] = [sent(3), Doubt(3, 1, lines_of(3), "no answer", held=True)]
    ends = load.write([load.head, load.opened, load.cut(1, 2, 3), *about_2, *about_3])
    load.spoil(ends[2], ends[3])
    load.repaired()
    view = fold(load.log).batch(1)
    assert view is not None
    assert view.held == lines_of(3)
    assert view.last_attempt == 2


def test_without_a_window_behind_the_gap_as_much_is_in_doubt_as_it_can_have_held(tmp_path: Path) -> None:
    load = Load(tmp_path, lines=1000)
    ends = load.write([load.head, load.opened, load.cut(1), sent(1), load.cut(2), sent(2), answered(1)])
    load.spoil(ends[4], ends[5])
    gap = Gap(ends[4], ends[5], ends[5] - ends[4])
    bound = records_max_of(gap, 2, SIZE + 1, SIZE * load.width)
    assert SIZE < bound < 300
    assert load.repaired().in_doubt == ((11, 11 + bound),)


def test_a_gap_too_small_for_a_window_held_none(load: Load) -> None:
    entries: list[Entry] = [load.head, load.opened, load.cut(1), sent(1), answered(1)]
    refused = NotApplied(1, 1, ranges.NONE, "", at=0)  # an integer: the shortest frame there is
    ends = load.write([*entries[:4], refused, entries[4]])
    load.spoil(ends[4], ends[5])
    done = load.repaired()
    assert done.in_doubt == ()
    assert fold(load.log).next_line == SIZE + 1


def test_no_more_is_in_doubt_than_the_limit_and_the_input_hold(tmp_path: Path) -> None:
    for limit, reached in ((None, LINES), (25, 25)):
        directory = tmp_path / str(limit)
        directory.mkdir()
        load = Load(directory, limit=limit)
        ends = load.write([load.head, load.opened, load.cut(1), load.cut(2), sent(1), answered(1)])
        load.spoil(ends[3], ends[4])
        assert load.repaired().in_doubt == ((11, reached + 1),)


def test_a_seal_tells_how_far_lost_windows_reached(load: Load) -> None:
    entries: list[Entry] = [load.head, load.opened, load.cut(1, 2, 3), sent(1), sent(2), sent(3)]
    entries += [answered(1), answered(2), answered(3)]
    ends = load.write([*entries, load.seal(*entries)])
    load.spoil(ends[2], ends[3])
    done = load.repaired()
    assert done.rebuilt == ((1, 31),)
    assert done.in_doubt == ()
    assert not done.complete, "the chain of checksums is not what it was"
    assert fold(load.log).tally().inserted == 30


def test_a_seal_stands_where_nothing_that_it_counts_was_lost(load: Load) -> None:
    entries: list[Entry] = [load.head, load.opened, load.cut(1), sent(1), answered(1)]
    ends = load.write([*entries, load.seal(*entries)])
    load.spoil(ends[3], ends[4])
    done = load.repaired()
    assert done.complete
    assert done.in_doubt == ()
    assert fold(load.log).sealed


def test_resolved_records_whose_next_window_may_be_lost_are_in_doubt_again(load: Load) -> None:
    resolved = Resolved(1, lines_of(1), "query", "not there", 30.0)
    entries: list[Entry] = [
        load.head,
        load.opened,
        load.cut(1),
        sent(1),
        Doubt(1, 1, lines_of(1), "x"),
        resolved,
    ]
    ends = load.write([*entries, load.cut(again=((1, lines_of(1)),)), sent(1, 40.0, attempt=2)])
    load.spoil(ends[6], ends[7])
    assert load.repaired().in_doubt == ((1, 11),)


def test_a_window_that_allows_again_what_nobody_is_known_to_have_resolved_allows_it_not(load: Load) -> None:
    resolved = Resolved(1, lines_of(1), "query", "not there", 30.0)
    entries: list[Entry] = [
        load.head,
        load.opened,
        load.cut(1),
        sent(1),
        Doubt(1, 1, lines_of(1), "x"),
        resolved,
    ]
    ends = load.write([*entries, load.cut(2, again=((1, lines_of(1)),)), sent(2)])
    load.spoil(ends[5], ends[6])
    assert load.repaired().in_doubt == ((1, 21),)
    assert not any(isinstance(e, WindowEntry) and e.again for e in load.entries())


def test_a_piece_cut_out_is_noticed_and_the_frames_behind_it_are_read(load: Load) -> None:
    entries: list[Entry] = [
        load.head,
        load.opened,
        load.cut(1),
        sent(1),
        load.cut(2),
        sent(2),
        answered(1),
        answered(2),
    ]
    ends = load.write(entries)
    content = load.log.read_bytes()
    load.log.write_bytes(content[: ends[4]] + content[ends[5] :])
    with pytest.raises(DamagedLogError, match="bytes were cut out") as stop:
        fold(load.log)
    assert stop.value.offset == ends[4]
    done = load.repaired()
    assert done.gaps == (Gap(ends[4], ends[4], ends[5] - ends[4]),)
    assert fold(load.log).tally().inserted == 2 * SIZE
    assert done.rebuilt == ((11, LINES + 1),), "as much as the bytes that are gone can have held"


def test_a_copy_of_what_stood_before_is_not_read_twice(load: Load) -> None:
    ends = load.write([load.head, load.opened, load.cut(1), sent(1), answered(1), load.cut(2), sent(2)])
    content = load.log.read_bytes()
    load.log.write_bytes(content[: ends[5]] + content[ends[2] : ends[5]] + content[ends[5] :])
    done = load.repaired()
    assert done.gaps == (Gap(ends[5], 2 * ends[5] - ends[2], ends[5] - ends[2]),)
    assert fold(load.log).tally().inserted == SIZE


def test_a_checksum_tells_where_its_frame_was_written(load: Load) -> None:
    for offset in (0, 1, 4711, 2**32 - 1):
        frame = encode_frame(sent(1), offset=offset, synced=0)
        assert written_at(frame) == offset
    one_moved = encode_frame(sent(1), offset=5000, synced=0)
    content = b"\0" * 100 + one_moved
    assert not list(moved_frames(lambda at, size: content[at : at + size], 0)), "one may be chance"


def test_an_unsynced_end_in_the_wrong_order_is_torn_and_not_damaged(load: Load) -> None:
    synced = encode_frame(load.head, offset=0, synced=0)
    end = len(synced)
    frames = []
    for entry in (load.opened, load.cut(1), sent(1), answered(1)):
        frames.append(encode_frame(entry, offset=end, synced=len(synced)))
        end += len(frames[-1])
    load.log.write_bytes(synced + b"".join(frames[2:] + frames[:2]))
    assert anyio.run(repair, load.load_dir) == Sound(len(synced), torn=True)


def test_bytes_behind_the_last_frame_count_as_a_gap_of_a_damaged_log(tmp_path: Path) -> None:
    load = Load(tmp_path, lines=1000)
    ends = load.write([load.head, load.opened, load.cut(1), sent(1), answered(1), load.cut(2)])
    load.spoil(ends[3], ends[4])
    load.spoil(ends[5] + 3, ends[6])
    done = load.repaired()
    assert done.gaps[1] == Gap(ends[5], ends[6], ends[6] - ends[5])
    assert done.in_doubt[0][0] == 11
    assert done.in_doubt[0][1] >= 21


def test_a_frame_that_contradicts_the_others_is_a_gap_of_its_own(load: Load) -> None:
    ends = load.write([load.head, load.opened, load.cut(1), sent(1), answered(1), answered(1), load.cut(2)])
    with pytest.raises(DamagedLogError):
        fold(load.log)
    done = load.repaired()
    assert done.gaps == (Gap(ends[5], ends[6], ends[6] - ends[5]),)
    assert done.in_doubt == ((11, 21),)


def test_a_lost_head_is_beyond_repair_and_nothing_is_changed(load: Load) -> None:
    load.write([load.head, load.opened, load.cut(1), sent(1)])
    load.spoil(4, 8)
    before = load.log.read_bytes()
    with pytest.raises(BeyondRepairError, match="HEAD") as refused:
        anyio.run(repair, load.load_dir)
    assert refused.value.exit_code == 9
    assert load.log.read_bytes() == before
    assert list(load.load_dir.iterdir()) == [load.log]


def test_windows_that_contradict_each_other_are_beyond_repair(load: Load) -> None:
    load.write([load.head, load.opened, load.cut(1), load.cut(3), sent(1)])
    with pytest.raises(BeyondRepairError, match="batch 3 stands where batch 2 belongs"):
        anyio.run(repair, load.load_dir)
    twice = load.cut(2, 2)
    ends = load.write([load.head, load.opened, sent(1), load.cut(1), twice, sent(1)])
    load.spoil(ends[2], ends[3])
    with pytest.raises(BeyondRepairError, match="batch 2 stands where batch 3 belongs"):
        anyio.run(repair, load.load_dir)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda content: content[:-1] + b" ", "nothing"),
        (lambda content: content.replace(b"0003", b"0009"), "checksum"),
        (lambda content: content.replace(b"0015", b"0\n15"), "end before line"),
        (lambda content: content[:200], "bytes"),
        (lambda content: content.replace(b'{"Last_Name":"0015"}', b" " * 20), "not all of them are records"),
    ],
    ids=["behind the log", "in a window", "in a lost window", "shorter", "a record gone"],
)
def test_an_input_that_changed_is_noticed_while_lost_windows_are_read_again(
    load: Load, change: Any, says: str
) -> None:
    ends = load.write([load.head, load.opened, load.cut(1), load.cut(2), load.cut(3), sent(2), answered(2)])
    load.spoil(ends[3], ends[4])
    before = load.log.read_bytes()
    load.input.write_bytes(change(load.content))
    if says == "nothing":
        assert load.repaired().rebuilt == ((11, 21),)
        return
    with pytest.raises((InputChangedError, BeyondRepairError), match=says):
        anyio.run(repair, load.load_dir)
    assert load.log.read_bytes() == before
    assert list(load.load_dir.iterdir()) == [load.log]


def test_what_a_poisoned_process_wrote_beside_the_log_is_adopted(load: Load) -> None:
    ends = load.write([load.head, load.opened, load.cut(1), load.cut(2), sent(1), sent(2), load.cut(3)])
    damaged = bytearray(load.log.read_bytes())
    load.write([load.head, answered(1), answered(2)])
    side = load.log.with_name("checkpoint.log.side-1")
    load.log.rename(side)
    damaged[ends[3] : ends[4]] = bytes(ends[4] - ends[3])
    load.log.write_bytes(damaged)
    other = load.log.with_name("checkpoint.log.side-2")
    head = encode_frame(load.head, offset=0, synced=0)
    other.write_bytes(head + encode_frame(answered(3), offset=len(head), synced=0))
    done = load.repaired()
    assert done.in_doubt == ()
    assert fold(load.log).tally().inserted == 3 * SIZE
    assert not side.exists()
    assert not other.exists()


def test_another_loads_side_file_says_nothing(load: Load) -> None:
    ends = load.write([load.head, load.opened, load.cut(1), sent(1), load.cut(2)])
    load.spoil(ends[3], ends[4])
    damaged = load.log.read_bytes()
    load.head = Head(1, "L2", 1.0, "Leads", "https://x", "org", "", None, None, True, {}, load.identity)
    load.write([load.head, answered(1)])
    load.log.rename(load.log.with_name("checkpoint.log.side-1"))
    load.log.write_bytes(damaged)
    assert load.repaired().in_doubt == ((1, 21),)


def test_a_log_that_another_loader_holds_is_not_touched(load: Load) -> None:
    ends = load.write([load.head, load.opened, load.cut(1), sent(1), load.cut(2)])
    load.spoil(ends[3], ends[4])
    files = LocalFilesystem()
    held = files.open(load.log, os.O_RDWR)
    files.lock(held)
    try:
        with pytest.raises(LockedError) as refused:
            anyio.run(repair, load.load_dir)
        assert refused.value.exit_code == 11
    finally:
        files.close(held)


CALLS = ("pwrite", "fsync", "replace", "link")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("which", [1, 2, 3])
def test_wherever_the_disk_fails_there_is_a_whole_log_and_the_repair_can_be_repeated(
    load: Load, monkeypatch: pytest.MonkeyPatch, call: str, which: int
) -> None:
    ends = load.write([load.head, load.opened, load.cut(1), load.cut(2), sent(1), load.cut(3)])
    load.spoil(ends[3], ends[4])
    damaged = load.log.read_bytes()
    real, count = getattr(os, call), 0

    def failing(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        if count == which:
            raise OSError(errno.EIO, "broken")
        return real(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(os, call, failing)
        if count_of(call) >= which:
            with pytest.raises(DiskError, match="cannot be repaired"):
                anyio.run(repair, load.load_dir)
        else:
            anyio.run(repair, load.load_dir)
    done = anyio.run(repair, load.load_dir)
    ledger = fold(load.log)
    ledger.stop(survived=False)
    assert ledger.tally().in_doubt == 3 * SIZE
    kept = sorted(load.load_dir.glob("checkpoint.log.damaged-*"))
    assert [one.read_bytes() for one in kept] == [damaged]
    assert not list(load.load_dir.glob("*.mended"))
    # Only the last directory sync comes when the new log already stands in its place.
    renamed = count_of(call) < which or (call, which) == ("fsync", 3)
    assert isinstance(done, Sound if renamed else Repaired)


def count_of(call: str) -> int:
    """How often one repair of a short log makes the call."""
    return {"pwrite": 1, "fsync": 3, "replace": 1, "link": 1}[call]


def test_a_file_system_without_links_gets_a_copy(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = load.write([load.head, load.opened, load.cut(1), sent(1), load.cut(2)])
    load.spoil(ends[3], ends[4])
    damaged = load.log.read_bytes()

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    done = load.repaired()
    assert done.kept.read_bytes() == damaged
    assert done.kept.stat().st_mode & 0o777 == 0o600
    assert done.kept.stat().st_nlink == 1


def test_a_second_damage_is_kept_beside_the_first_and_noticed_in_what_was_repaired(load: Load) -> None:
    ends = load.write([load.head, load.opened, load.cut(1), sent(1), load.cut(2)])
    load.spoil(ends[3], ends[4])
    load.repaired()
    offsets = [offset for offset, _ in scan(load.log)]
    load.spoil(offsets[-2] + 30, offsets[-2] + 31)
    with pytest.raises(DamagedLogError):
        fold(load.log)
    assert load.repaired().kept.name == "checkpoint.log.damaged-2"


def test_the_bound_of_a_gap_is_never_less_than_a_window_in_it_holds() -> None:
    for count in (1, 2, 30):
        batches = tuple(
            BatchEntry(n, n * 100 - 99, 100, n * 5000, n * 5000 + 5000, 0) for n in range(1, count + 1)
        )
        size = len(encode_frame(WindowEntry(batches), offset=0, synced=0))
        assert records_max_of(Gap(0, size, size), 1, 1, 0) >= 100 * count
    assert records_max_of(Gap(0, HEADER.size + 5, HEADER.size + 5), 1, 1, 0) == 0


def test_a_whole_frame_that_makes_no_sense_is_a_gap_and_a_second_head_too(load: Load) -> None:
    ends = load.write([load.head, load.opened, load.cut(1), sent(1), load.head, load.cut(2)])
    content = bytearray(load.log.read_bytes())
    frame = content[ends[3] : ends[4]]
    marker, number, reserved, length, _, synced = HEADER.unpack_from(frame)
    body = bytes([0x90]) + bytes(frame[HEADER.size + 1 :])
    crc = zlib.crc32(body, zlib.crc32(ends[3].to_bytes(8, "little") + frame[:8] + frame[12:20]))
    content[ends[3] : ends[4]] = HEADER.pack(marker, number, reserved, length, crc, synced) + body
    load.log.write_bytes(content)
    with pytest.raises(DamagedLogError, match="a whole frame of type 4"):
        fold(load.log)
    done = load.repaired()
    assert [(gap.start, gap.stop) for gap in done.gaps] == [(ends[3], ends[4]), (ends[4], ends[5])]
    assert done.in_doubt == ((1, 21),)


def test_a_marker_inside_a_frame_is_part_of_it(load: Load) -> None:
    settlement = Settlement(range(1, 11), [str(0x1DC5 + line * 2**16) for line in range(10)])
    ends = load.write(
        [
            load.head,
            load.opened,
            load.cut(1),
            sent(1),
            outcomes_of(1, 1, settlement),
            load.cut(2),
            load.cut(3),
        ]
    )
    load.spoil(ends[3], ends[4])
    done = load.repaired()
    assert [(gap.start, gap.stop) for gap in done.gaps] == [(ends[3], ends[4])]
    assert done.in_doubt == ((11, 31),)


def test_lines_of_a_lost_window_that_were_allowed_again_stay_in_doubt(load: Load) -> None:
    about: list[Entry] = [sent(1), Doubt(1, 1, lines_of(1), "x"), sent(2)]
    resolved = Resolved(1, lines_of(1), "query", "not there", 30.0)
    again: Any = ((1, lines_of(1)), (2, lines_of(2)))
    ends = load.write([load.head, load.opened, load.cut(1, 2), *about, load.cut(again=again), resolved])
    load.spoil(ends[2], ends[3])
    assert load.repaired().in_doubt == ((11, LINES + 1),)
    view = fold(load.log).batch(1)
    assert view is not None
    assert view.released == lines_of(1), "a word that came after the gap counts"


def test_an_input_that_ends_too_early_is_noticed_where_its_size_is_not_known(load: Load) -> None:
    load.identity = InputIdentity("file", str(load.input))
    load.head = Head(1, "L1", 1.0, "Leads", "https://x", "org", "", None, None, True, {}, load.identity)
    ends = load.write([load.head, load.opened, load.cut(1), load.cut(2), load.cut(3), sent(2)])
    load.spoil(ends[3], ends[4])
    load.input.write_bytes(load.content[: 15 * load.width])
    with pytest.raises(InputChangedError, match="the input ends at byte"):
        anyio.run(repair, load.load_dir)


def test_a_piped_load_at_a_terminal_asks_for_its_bytes(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    load.identity = InputIdentity("stdin", "-")
    load.head = Head(1, "L1", 1.0, "Leads", "https://x", "org", "", None, None, True, {}, load.identity)
    ends = load.write([load.head, load.opened, load.cut(1), load.cut(2), load.cut(3), sent(2)])
    load.spoil(ends[3], ends[4])
    monkeypatch.setattr(os, "isatty", lambda _: True)
    with pytest.raises(InputChangedError, match="input is needed") as refused:
        anyio.run(repair, load.load_dir)
    assert "| loader repair" in refused.value.hint


def test_a_log_that_is_written_in_pieces_is_the_same(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = load.write([load.head, load.opened, load.cut(1), sent(1), load.cut(2), sent(2), answered(2)])
    load.spoil(ends[3], ends[4])
    damaged = load.log.read_bytes()
    load.repaired()
    whole = load.log.read_bytes()
    load.log.write_bytes(damaged)
    monkeypatch.setattr("loader.repairing.WRITE_BYTES", 64)
    load.repaired()
    assert load.log.read_bytes() == whole


def test_a_log_that_cannot_be_opened_says_why(load: Load) -> None:
    load.log.mkdir()
    with pytest.raises(DiskError, match="Is a directory"):
        anyio.run(repair, load.load_dir)


def test_a_frame_that_names_lines_before_its_lost_batch_is_beyond_repair(load: Load) -> None:
    stray = Sent(2, 1, lines_of(1), 20.0)
    ends = load.write([load.head, load.opened, load.cut(1), load.cut(2), stray, load.cut(3)])
    load.spoil(ends[3], ends[4])
    with pytest.raises(BeyondRepairError, match="names lines from 1 on"):
        anyio.run(repair, load.load_dir)


def test_of_a_side_file_what_is_broken_or_known_already_changes_nothing(load: Load) -> None:
    ends = load.write([load.head, answered(1), sent(1), answered(2)])
    load.spoil(ends[2], ends[3])
    load.log.rename(load.log.with_name("checkpoint.log.side-1"))
    ends = load.write([load.head, load.opened, load.cut(1, 2), sent(1), sent(2), answered(1), load.cut(3)])
    load.spoil(ends[3], ends[4])
    assert load.repaired().in_doubt == ((21, 31),)
    assert fold(load.log).tally().inserted == 2 * SIZE


def test_records_resolved_and_allowed_again_behind_the_gap_are_sent_in_the_new_log_too(load: Load) -> None:
    resolved = Resolved(1, lines_of(1), "query", "not there", 30.0)
    about: list[Entry] = [sent(1), sent(2), Doubt(1, 1, lines_of(1), "x"), resolved]
    about += [load.cut(3, again=((1, lines_of(1)),)), sent(1, 40.0, attempt=2)]
    ends = load.write([load.head, load.opened, load.cut(1, 2), *about])
    load.spoil(ends[4], ends[5])
    assert load.repaired().in_doubt == ((1, 31),)
    assert load.entries()[-2:] == about[-2:]
    view = fold(load.log).batch(1)
    assert view is not None
    assert view.sent == lines_of(1)


def test_space_that_was_allocated_ahead_is_no_gap_however_much_there_is(load: Load) -> None:
    load.write([load.head, load.opened, load.cut(1)])
    content = load.log.read_bytes() + bytes(2 * READ_BYTES)
    found = list(pieces(lambda offset, size: content[offset : offset + size]))
    assert not any(isinstance(piece, Gap) for piece in found)
    assert len(found) == 3
