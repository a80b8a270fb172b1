"""The ledger and the log as one."""

from __future__ import annotations

import errno
import time

import msgspec
import pytest

from loader.checkpoint.entries import Doubt, NotApplied, Outcomes, restricted
from loader.checkpoint.ledger import DamagedLogError
from loader.checkpoint.recorder import OUTCOME_BYTES_RESERVED, Recorder
from loader.checkpoint.scan import Scan
from loader.errors import DiskError, LoaderError
from loader.events import RecordsHeld, WindowIntended
from loader.outcomes import Cause, ErrorCount, Outcome, RecordOutcome, Settlement
from loader.records import Attempt, Batch, InvalidLine, Span, Window
from tests.unit.checkpoint_samples import (
    LOG,
    MemoryDisk,
    attempt,
    batch,
    create,
    ids,
    recorder,
    reopen,
    window,
)


def settled(of: int) -> Settlement:
    lines = batch(of).lines
    return Settlement(lines, ids(lines))


async def test_no_window_is_acknowledged_before_its_sync_returned() -> None:
    disk = MemoryDisk()
    log = create(disk)
    book, _ = recorder(log)
    for first in (1, 3, 5):
        disk.calls.clear()
        await book.intend(window(first, first + 1))
        assert log.synced == log.end
        assert disk.calls[-1] == ("sync_data", log.end)
        assert disk.durable[LOG][: log.end] == bytes(disk.files[LOG][: log.end])


async def test_a_window_whose_sync_failed_allows_nothing() -> None:
    disk = MemoryDisk()
    book, events = recorder(create(disk))
    disk.fail_on["sync_data"] = errno.EIO
    with pytest.raises(DiskError):
        await book.intend(window(1))
    with pytest.raises(LoaderError, match="was not sent") as caught:
        book.sent(attempt(1), 5.0)
    assert "not durable" in caught.value.why
    assert events == []


async def test_a_full_disk_refuses_the_window_before_it_is_written() -> None:
    disk = MemoryDisk()
    log = create(disk)
    book, _ = recorder(log)
    disk.fail_on["allocate"] = errno.ENOSPC
    end = log.end
    with pytest.raises(DiskError, match="no room"):
        await book.intend(window(1))
    assert (log.end, log.poisoned, book.ledger.next_batch) == (end, None, 1)


async def test_room_for_every_open_record_is_kept() -> None:
    disk = MemoryDisk()
    log = create(disk)
    book, _ = recorder(log)
    await book.intend(window(*range(1, 51)))
    assert len(disk.files[LOG]) >= log.end + 5000 * OUTCOME_BYTES_RESERVED


async def test_the_life_of_a_batch_is_written_down() -> None:
    disk = MemoryDisk()
    log = create(disk)
    book, events = recorder(log)
    await book.intend(window(1))
    book.sent(attempt(1), 5.0)
    book.not_applied(attempt(1), "429")
    book.sent(attempt(1, 2), 6.0)
    book.doubt(attempt(1, 2), range(1, 101), "no answer", held=False)
    book.doubt(attempt(1, 2), [], "nothing", held=True)
    again = attempt(1, 3, range(1, 100), in_doubt=True)
    book.sent(again, 9.0)
    ours = RecordOutcome(99, Outcome.INSERTED, "7", recovered=True)
    book.settle(again, Settlement(range(1, 99), ids(range(1, 99)), [ours]))
    book.settle(again, Settlement())
    book.doubt(attempt(1, 3), [100], "no key", held=True)
    tally = book.ledger.tally()
    assert (tally.inserted, tally.recovered, tally.held, tally.calls, tally.retries) == (99, 1, 1, 3, 2)
    assert [type(event) for event in events] == [WindowIntended, RecordsHeld]
    log.close()
    after = reopen(disk).ledger
    assert after.tally() == msgspec.structs.replace(tally, resumes=1)
    (open_batch,) = after.open_batches()
    assert open_batch.doubts[0].since == 6.0


async def test_each_answer_is_written_with_the_time_at_which_it_was_known() -> None:
    disk = MemoryDisk()
    log = create(disk)
    times = iter((6.0, 8.0, 9.0))
    book = Recorder(log, lambda _: None, clock=lambda: next(times))
    await book.intend(window(1))
    book.sent(attempt(1), 5.0)
    book.not_applied(attempt(1), "429")
    book.sent(attempt(1, 2), 7.0)
    book.settle(attempt(1, 2), Settlement([1], ids([1]), [RecordOutcome(2, Outcome.REJECTED)]))
    book.doubt(attempt(1, 2), range(3, 101), "no answer", held=False)
    log.close()
    content = bytes(disk.files[LOG])
    answers = [
        entry
        for _, entry in Scan(lambda offset, size: content[offset : offset + size])
        if isinstance(entry, (NotApplied, Outcomes, Doubt))
    ]
    assert [(type(one), one.at) for one in answers] == [(NotApplied, 6.0), (Outcomes, 8.0), (Doubt, 9.0)]
    kept = restricted(answers[1], ((1, 2),))
    assert kept is not None
    assert (kept.at, kept.lines) == (8.0, ((1, 2),))


async def test_what_a_window_holds_beside_records_is_told() -> None:
    disk = MemoryDisk()
    log = create(disk)
    events: list[object] = []
    book = Recorder(log, events.append, input_bytes_read=lambda: 77)
    mixed = Batch(
        number=1,
        span=Span(1, 4, 0, 40, 1),
        lines=(1, 4),
        records=[b"{}", b"{}"],
        invalid=[InvalidLine(2, 10, "NOT_JSON", "m")],
        blank=[3],
    )
    await book.intend(Window([mixed]))
    await book.intend(Window([]))
    assert events == [WindowIntended(2, 1, 1, 40, 77, [ErrorCount("NOT_JSON", "", 1)])]


@pytest.mark.parametrize("history", ["in flight", "in doubt", "not applied after doubt"])
async def test_what_may_have_been_applied_is_never_sent_as_new(history: str) -> None:
    disk = MemoryDisk()
    log = create(disk)
    book, _ = recorder(log)
    await book.intend(window(1))
    book.sent(attempt(1), 5.0)
    if history != "in flight":
        book.doubt(attempt(1), [1], "no answer", held=False)
        book.not_applied(attempt(1, 1, range(2, 101)), "refused")
    if history == "not applied after doubt":
        book.sent(attempt(1, 2, [1], in_doubt=True), 6.0)
        book.not_applied(attempt(1, 2, [1]), "429")
    end = log.end
    with pytest.raises(LoaderError, match="was not sent") as caught:
        book.sent(attempt(1, 3, [1]), 7.0)
    assert "may have been applied" in caught.value.why
    assert log.end == end
    book.sent(attempt(1, 3, [1], in_doubt=True), 7.0)


async def test_a_contradiction_never_gets_into_the_log() -> None:
    disk = MemoryDisk()
    log = create(disk)
    book, _ = recorder(log)
    await book.intend(window(1))
    book.sent(attempt(1), 5.0)
    book.settle(attempt(1), settled(1))
    end = log.end
    with pytest.raises(DamagedLogError):
        book.settle(attempt(1), settled(1))
    with pytest.raises(DamagedLogError):
        await book.intend(window(3))
    assert log.end == end


async def test_a_sealed_load_is_durable_and_says_so() -> None:
    disk = MemoryDisk()
    log = create(disk)
    book, _ = recorder(log)
    await book.intend(window(1))
    with pytest.raises(DamagedLogError, match="SEAL"):
        await book.seal(9.0)
    book.sent(attempt(1), 5.0)
    book.settle(attempt(1), settled(1))
    await book.seal(9.0)
    assert log.synced == log.end
    disk.cut_power()
    again = reopen(disk, boot="boot-2").ledger
    assert again.sealed
    assert again.tally().inserted == 100


async def test_after_a_restart_only_durable_windows_may_be_sent() -> None:
    disk = MemoryDisk()
    log = create(disk)
    book, _ = recorder(log)
    await book.intend(window(1))
    disk.cut_power()
    book, _ = recorder(reopen(disk, boot="boot-1"))
    book.sent(attempt(1), 5.0)
    with pytest.raises(LoaderError, match="was not sent"):
        book.sent(attempt(2), 5.0)


async def test_what_a_call_was_refused_for_is_counted_alike_when_the_log_is_read_again() -> None:
    disk = MemoryDisk()
    book, _ = recorder(create(disk))
    await book.intend(window(1, 2, 3))
    for number, cause in ((1, Cause.UNREACHED), (2, Cause.PUSHED_BACK), (3, Cause.OTHER)):
        book.sent(attempt(number), 5.0)
        book.not_applied(attempt(number), "in words that say nothing", cause)
    assert book.ledger.tally().credits == 10
    disk.kill()
    assert reopen(disk).ledger.tally().credits == 10


async def test_answers_drain_after_the_disk_failed() -> None:
    disk = MemoryDisk()
    log = create(disk)
    book, _ = recorder(log)
    await book.intend(window(1, 2, 3))
    for number in (1, 2, 3):
        book.sent(attempt(number), 5.0)
    disk.fail_on["sync_data"] = errno.EIO
    with pytest.raises(DiskError):
        await book.intend(window(4))
    del disk.fail_on["sync_data"]
    book.settle(attempt(1), settled(1))
    book.not_applied(attempt(2), "429")
    book.doubt(attempt(3), range(201, 301), "no answer", held=False)
    with pytest.raises(DiskError, match="a sync failed"):
        book.sent(attempt(2, 2), 6.0)
    disk.kill()
    after = reopen(disk).ledger
    assert after.tally().inserted == 100
    assert after.tally().in_doubt == 300  # batches 2, 3 and 4: none is believed


async def test_cost_of_an_attempt_and_its_answer() -> None:
    disk = MemoryDisk()
    book, _ = recorder(create(disk))
    numbers = range(1, 201)
    tries = [(Attempt(n, 1, batch(n).lines, []), settled(n)) for n in numbers]
    for first in range(1, 201, 10):
        await book.intend(window(*range(first, first + 10)))
    began = time.process_time()
    for one, settlement in tries:
        book.sent(one, 5.0)
        book.settle(one, settlement)
    spent_us = (time.process_time() - began) * 1e6 / len(numbers)
    print(f"sent and settled: {spent_us:.1f} us a batch of 100, without the system calls")
    assert book.ledger.tally().inserted == 20_000
    assert spent_us < 1000  # a bound on mistakes of kind; the figure itself belongs to the benchmarks
