"""Reading a log: ids, outcomes in order, long logs."""

from __future__ import annotations

import os
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from loader.checkpoint.entries import (
    BatchEntry,
    Doubt,
    Entry,
    InvalidEntry,
    NotApplied,
    Open,
    OtherOutcome,
    Outcomes,
    Sent,
    WindowEntry,
    batch_entry,
    encode_frame,
    outcomes_of,
)
from loader.checkpoint.ledger import DamagedLogError, Ledger
from loader.checkpoint.results import LAG_BATCHES, few_outcomes_in_order, outcomes_in_order
from loader.checkpoint.scan import READ_BYTES, find_ids, fold, scan, spans
from loader.outcomes import Outcome, RecordOutcome, Settlement
from tests.unit.checkpoint_samples import HEAD, INPUT, batch, ids

OPEN = Open("a", "host", 1, 10.0, INPUT)


def write(path: Path, entries: list[Entry]) -> None:
    with path.open("wb") as file:
        offset = 0
        for entry in entries:
            offset += file.write(encode_frame(entry, offset=offset, synced=max(0, offset - 5000)))


def cut(*numbers: int, size: int = 100) -> WindowEntry:
    return WindowEntry(tuple(batch_entry(batch(number, size=size)) for number in numbers))


def lines_of(number: int) -> range:
    return range(number * 100 - 99, number * 100 + 1)


def sent(number: int) -> Sent:
    lines = lines_of(number)
    return Sent(number, 1, ((lines.start, lines.stop),), 5.0)


def answered(number: int) -> Outcomes:
    return outcomes_of(number, 1, Settlement(lines_of(number), ids(lines_of(number))))


def long_log(path: Path, batches: int) -> None:
    entries: list[Entry] = [HEAD, OPEN]
    for first in range(1, batches + 1, 10):
        numbers = range(first, first + 10)
        entries.append(cut(*numbers))
        entries += [sent(number) for number in numbers]
        entries += [answered(number) for number in reversed(numbers)]
    write(path, entries)


def test_a_hundred_thousand_outcomes_are_folded_quickly_in_flat_memory(tmp_path: Path) -> None:
    path = tmp_path / "log"
    long_log(path, 1000)
    began = time.perf_counter()
    ledger = fold(path)
    spent = time.perf_counter() - began
    print(f"100,000 outcomes folded in {spent * 1000:.0f} ms")
    assert ledger.tally().inserted == 100_000
    assert spent < 5
    tracemalloc.start()
    try:
        fold(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * READ_BYTES


def test_outcomes_come_in_input_order(tmp_path: Path) -> None:
    path = tmp_path / "log"
    long_log(path, 50)
    found = list(outcomes_in_order(path))
    assert [one.line for one in found] == list(range(1, 5001))
    assert [one.id for one in found] == ids(range(1, 5001))


def test_every_fate_stands_at_its_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    mixed = BatchEntry(
        1, 1, 8, 0, 80, 9, ((1, 2), (3, 4), (5, 9)), ((2, 3),), (InvalidEntry(4, 30, "NOT_JSON", "m", "f"),)
    )
    none_valid = BatchEntry(2, 9, 1, 80, 90, 9, (), (), (InvalidEntry(9, 80, "NOT_JSON", "m"),))
    others = (OtherOutcome(3, 2, "9"), OtherOutcome(1, 3, "", "BAD", "m", "Email"))
    write(
        path,
        [
            HEAD,
            OPEN,
            WindowEntry((mixed, none_valid)),
            Sent(1, 1, ((1, 2), (3, 4), (5, 8)), 5.0),
            Outcomes(1, 1, ((5, 6),), (77).to_bytes(8, "little"), (), others),
            Doubt(1, 1, ((6, 7),), "r", True),
            NotApplied(1, 1, ((7, 8),), "r"),
        ],
    )
    expected = [
        RecordOutcome(1, Outcome.REJECTED, "", "BAD", "m", "Email"),
        RecordOutcome(3, Outcome.DUPLICATE, "9"),
        RecordOutcome(4, Outcome.INVALID, "", "NOT_JSON", "m", "f"),
        RecordOutcome(5, Outcome.INSERTED, "77"),
        RecordOutcome(6, Outcome.IN_DOUBT, message="r"),
        RecordOutcome(7, Outcome.PENDING),
        RecordOutcome(8, Outcome.PENDING),
        RecordOutcome(9, Outcome.INVALID, "", "NOT_JSON", "m"),
    ]
    assert list(outcomes_in_order(path)) == expected
    for wanted in Outcome:
        assert list(outcomes_in_order(path, only={wanted})) == [
            one for one in expected if one.outcome is wanted
        ]
        if wanted is not Outcome.INSERTED:
            assert list(few_outcomes_in_order(path, only={wanted})) == [
                one for one in expected if one.outcome is wanted
            ]
    rebooted = list(outcomes_in_order(path, survived=False))
    assert [one.outcome for one in rebooted[5:7]] == [Outcome.IN_DOUBT] * 2


def test_a_record_that_is_settled_long_after_does_not_hold_up_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "log"
    count = LAG_BATCHES * 3
    entries: list[Entry] = [HEAD, OPEN, cut(1, 2), sent(1), sent(2)]
    entries.append(outcomes_of(1, 1, Settlement(range(1, 100), ids(range(1, 100)))))
    for number in range(3, count + 1):
        entries += [cut(number), sent(number), answered(number)]
    entries.append(outcomes_of(1, 1, Settlement([100], ids([100]))))
    write(path, entries)
    found = outcomes_in_order(path)
    early = [next(found) for _ in range(250)]
    assert [one.line for one in early] == list(range(1, 251))
    assert {one.outcome for one in early[:100]} == {Outcome.INSERTED}
    assert {one.outcome for one in early[100:200]} == {Outcome.IN_DOUBT}
    rest = list(found)
    assert [one.line for one in early + rest] == list(range(1, count * 100 + 1))
    assert list(outcomes_in_order(path, only={Outcome.IN_DOUBT})) == early[100:200]
    assert list(few_outcomes_in_order(path, only={Outcome.IN_DOUBT})) == early[100:200]


@pytest.mark.parametrize("read", [outcomes_in_order, few_outcomes_in_order])
def test_whoever_watches_is_given_each_entry_once_before_the_first_outcome(
    tmp_path: Path, read: Callable[..., Iterator[RecordOutcome]]
) -> None:
    path = tmp_path / "log"
    rejected = OtherOutcome(1, 3, "", "BAD", "m", "Email")
    entries: list[Entry] = [
        HEAD,
        OPEN,
        cut(1, 2),
        sent(1),
        Outcomes(1, 1, ((2, 101),), b"\1" * 792, (), (rejected,)),
        sent(2),
    ]
    write(path, entries)
    seen: list[Entry] = []
    found = read(path, only={Outcome.REJECTED}, watch=seen.append)
    assert next(found).line == 1
    assert seen == entries
    assert list(found) == []
    assert seen == entries


def test_the_lines_that_have_an_id_are_found(tmp_path: Path) -> None:
    path = tmp_path / "log"
    first, second = lines_of(1), lines_of(2)
    named = Settlement(
        second[:2], ["zcrm_1", "007"], [RecordOutcome(103, Outcome.INSERTED, "7", recovered=True)]
    )
    duplicate = Settlement((), (), [RecordOutcome(104, Outcome.DUPLICATE, ids(first)[4])])
    entries: list[Entry] = [HEAD, OPEN, cut(1, 2), sent(1), sent(2), answered(1)]
    write(path, [*entries, outcomes_of(2, 1, named), outcomes_of(2, 1, duplicate)])
    wanted = [ids(first)[4], ids(first)[99], "zcrm_1", "007", "7", "123", "²", str(2**70)]
    assert find_ids(path, wanted) == {
        wanted[0]: [5],
        wanted[1]: [100],
        "zcrm_1": [101],
        "007": [102],
        "7": [103],
    }
    assert find_ids(path, []) == {}


def test_the_spans_of_all_windows_are_told(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, [HEAD, OPEN, cut(1, 2), cut(3)])
    assert list(spans(path)) == [batch(number).span for number in (1, 2, 3)]


def test_frames_larger_than_one_read_are_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    large = NotApplied(1, 1, ((1, 2),), "x" * (3 * READ_BYTES))
    entries: list[Entry] = [HEAD, OPEN, large, large, Sent(1, 1, ((1, 2),), 5.0)]
    write(path, entries)
    assert [entry for _, entry in scan(path)] == entries


@pytest.mark.parametrize("pad", range(READ_BYTES - 60, READ_BYTES - 40))
def test_frames_across_the_edge_of_a_read_are_read(tmp_path: Path, pad: int) -> None:
    path = tmp_path / "log"
    entries: list[Entry] = [NotApplied(1, 1, (), "x" * pad), OPEN, OPEN]
    write(path, entries)
    assert [entry for _, entry in scan(path)] == entries


def test_a_ledger_of_a_scan_knows_where_the_reader_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, [HEAD, OPEN, cut(1, 2)])
    ledger: Ledger = fold(path)
    assert (ledger.next_batch, ledger.next_line, ledger.next_offset) == (3, 201, 2000)


def test_outcomes_end_where_the_log_ended_when_they_were_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "log"
    long_log(path, 20)
    found = outcomes_in_order(path)
    first = next(found)
    content = path.read_bytes()
    with path.open("ab") as running:  # the load goes on while its results are read
        running.write(encode_frame(cut(21), offset=len(content), synced=0))
    assert [one.line for one in (first, *found)] == list(range(1, 2001))


def test_short_reads_of_the_system_are_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    long_log(path, 20)
    whole = list(scan(path))
    pread = os.pread
    monkeypatch.setattr(
        os, "pread", lambda descriptor, size, offset: pread(descriptor, min(size, 777), offset)
    )
    assert list(scan(path)) == whole


def test_a_log_that_contradicts_itself_says_how_it_is_repaired(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, [HEAD, OPEN, cut(1), answered(2)])
    few = partial(few_outcomes_in_order, only={Outcome.REJECTED})
    for read in (fold, lambda path: list(outcomes_in_order(path)), lambda path: list(few(path))):
        with pytest.raises(DamagedLogError) as damaged:
            read(path)
        assert damaged.value.hint.endswith(f"loader repair {tmp_path}")
