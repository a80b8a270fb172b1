"""Records resolved as not applied: out of doubt, out of their window, and sent only from a new one."""

from __future__ import annotations

import errno

import pytest

from loader.checkpoint.entries import (
    Doubt,
    Entry,
    NotApplied,
    Open,
    Outcomes,
    Resolved,
    Sent,
    WindowEntry,
    batch_entry,
)
from loader.checkpoint.ledger import DamagedLogError, Ledger
from loader.checkpoint.unsettled import Doubtful
from loader.errors import DiskError, LoaderError
from tests.unit.checkpoint_samples import (
    HEAD,
    INPUT,
    LOG,
    MemoryDisk,
    attempt,
    batch,
    create,
    recorder,
    reopen,
    window,
)

LINES = ((1, 5),)
SENT = Sent(1, 1, LINES, 20.0)
DOUBT = Doubt(1, 1, LINES, "no answer")
RESOLVED = Resolved(1, LINES, "query", "not found twice", 90.0)
AGAIN = WindowEntry((), ((1, LINES),))


def opened(boot: str = "a", *, at: float = 10.0, survived: bool = True) -> Open:
    return Open(boot, "host", 1, at, INPUT, survived=survived)


def folded(*entries: Entry) -> Ledger:
    ledger = Ledger()
    window_of_one = WindowEntry((batch_entry(batch(1, size=4)),))
    for entry in (HEAD, opened(survived=False), window_of_one, SENT, DOUBT, *entries):
        ledger.apply(entry)
    return ledger


@pytest.mark.parametrize(
    "again", [opened(), opened(survived=False), opened("b")], ids=["boot", "lost", "other"]
)
def test_resolved_records_stay_resolved_over_every_restart(again: Open) -> None:
    (left,) = folded(RESOLVED, again).open_batches()
    assert (left.released, left.allowed, left.doubts, left.sent) == (LINES, (), (), ())


def test_a_new_window_allows_them_as_any_window_does() -> None:
    (left,) = folded(RESOLVED, AGAIN).open_batches()
    assert (left.released, left.allowed, left.doubts) == ((), LINES, ())
    (kept,) = folded(RESOLVED, AGAIN, opened()).open_batches()
    assert kept.allowed == LINES
    (lost,) = folded(RESOLVED, AGAIN, opened("b", at=99.0)).open_batches()
    assert (lost.allowed, lost.doubts) == ((), (Doubtful(LINES, 20.0),))


def test_parts_are_resolved_and_allowed_by_themselves() -> None:
    ledger = folded(
        Doubt(1, 1, ((1, 3),), "no key", True),
        Resolved(1, ((2, 4),), "person", "their word", 90.0),
        WindowEntry((), ((1, ((3, 4),)),)),
        Sent(1, 2, ((3, 4),), 95.0),
        Outcomes(1, 2, ((3, 4),), bytes(8)),
    )
    (left,) = ledger.open_batches()
    assert (left.released, left.held, left.allowed) == (((2, 3),), ((1, 2),), ())
    assert left.doubts == (Doubtful(((1, 2), (4, 5)), 20.0),)
    assert (ledger.tally().absent, ledger.tally().pending, ledger.tally().in_doubt) == (0, 1, 2)
    assert ledger.is_released(1, ((2, 3),))
    assert not ledger.is_released(1, ((3, 5),))
    assert not ledger.is_released(2, ((2, 3),))


def test_only_what_was_asked_for_counts_as_absent() -> None:
    assert folded(RESOLVED).tally().absent == 4


def test_a_doubt_takes_resolved_records_back() -> None:
    (left,) = folded(RESOLVED, Doubt(1, 1, ((1, 2),), "damaged")).open_batches()
    assert (left.released, left.in_doubt) == (((2, 5),), ((1, 2),))


def test_an_outcome_settles_resolved_records_too() -> None:
    (left,) = folded(RESOLVED, Outcomes(1, 1, ((1, 2),), bytes(8))).open_batches()
    assert (left.open, left.released) == (((2, 5),), ((2, 5),))


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([RESOLVED, RESOLVED], "were not resting in doubt"),
        ([Sent(1, 2, ((1, 2),), 30.0, True), RESOLVED], "were not resting in doubt"),
        ([NotApplied(1, 1, LINES, "late"), RESOLVED, SENT], "sent with lines that are in no window"),
        ([RESOLVED, Sent(1, 2, ((4, 5),), 30.0)], "sent with lines that are in no window"),
        ([AGAIN], "may leave again, but were not resolved"),
        ([RESOLVED, AGAIN, AGAIN], "may leave again, but were not resolved"),
        ([RESOLVED, WindowEntry((), ((2, LINES),))], "lines of batch 2 may leave again"),
        ([RESOLVED, WindowEntry((), ((1, ((3, 4), (1, 2))),))], "may leave again"),
        ([RESOLVED, WindowEntry((), ((1, ((1, 6),)),))], "may leave again"),
        ([Resolved(2, LINES, "query", "", 1.0)], "Resolved of batch 2 names lines that are in no window"),
        ([Resolved(1, ((4, 6),), "query", "", 1.0)], "Resolved of batch 1 names lines"),
        ([Sent(1, 2, ((3, 4), (1, 2)), 30.0)], "names no proper set of lines"),
    ],
)
def test_what_contradicts_a_resolution_is_damage(entries: list[Entry], why: str) -> None:
    with pytest.raises(DamagedLogError, match=why):
        folded(*entries)


async def test_resolved_records_leave_only_after_a_window_that_is_durable() -> None:
    disk = MemoryDisk()
    log = create(disk)
    book, _ = recorder(log)
    await book.intend(window(1))
    book.sent(attempt(1), 5.0)
    book.doubt(attempt(1), batch(1).lines, "no answer", held=False)
    doubtful = attempt(1, 2, in_doubt=True)
    await book.resolve(doubtful, by="query", evidence="not found twice", at=9.0)
    assert disk.durable[LOG][: log.end] == bytes(disk.files[LOG][: log.end])
    for late in (attempt(1, 2), attempt(1, 2, in_doubt=True), attempt(1, 2, [100])):
        with pytest.raises(LoaderError, match="was not sent") as caught:
            book.sent(late, 10.0)
        assert "not durable" in caught.value.why
    await book.intend_again(attempt(1, 2))
    assert log.synced == log.end
    book.sent(attempt(1, 2), 10.0)
    disk.cut_power()
    (left,) = reopen(disk, boot="boot-2").ledger.open_batches()
    assert (left.allowed, left.in_doubt) == ((), ((1, 101),))


async def test_nothing_to_resolve_writes_nothing() -> None:
    disk = MemoryDisk()
    log = create(disk)
    book, _ = recorder(log)
    end = log.end
    await book.resolve(attempt(1, 1, []), by="query", evidence="", at=1.0)
    await book.intend_again(attempt(1, 1, []))
    book.not_applied(attempt(1, 1, []), "429")
    assert log.end == end
    assert book.log is log


async def test_a_full_disk_lets_no_resolved_record_leave_again() -> None:
    disk = MemoryDisk()
    log = create(disk)
    book, _ = recorder(log)
    await book.intend(window(1))
    book.sent(attempt(1), 5.0)
    book.doubt(attempt(1), batch(1).lines, "no answer", held=False)
    await book.resolve(attempt(1, 2, in_doubt=True), by="person", evidence="word", at=9.0)
    log._allocated = log.end
    disk.fail_on["allocate"] = errno.ENOSPC
    with pytest.raises(DiskError, match="no room"):
        await book.intend_again(attempt(1, 2))
    assert book.ledger.is_released(1, ((1, 101),))
