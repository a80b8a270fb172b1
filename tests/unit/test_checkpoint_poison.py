"""What a log owes to the next opening when its disk failed, or its creation crashed.

Each of these held a record that could have been sent twice, or a log that could have been lost; the states of
tests/crash/test_crash_states.py found them.
"""

from __future__ import annotations

import errno

import pytest

from loader.checkpoint.entries import Sent, WindowEntry, batch_entry, outcomes_of
from loader.checkpoint.log import CheckpointLog
from loader.errors import DiskError, UsageError
from loader.outcomes import Settlement
from tests.simulated_disk import Crashed, SimulatedDisk
from tests.unit.checkpoint_samples import HEAD, LOG, OPENING, batch, create, recorder, reopen, window

SIDE = LOG.with_name("checkpoint.log.side-1")
SENT = Sent(1, 1, ((1, 101),), 5.0)


async def sending(disk: SimulatedDisk) -> CheckpointLog:
    """A log with a durable window, and an attempt at its batch that is written and not synced."""
    log = create(disk)
    book, _ = recorder(log)
    await book.intend(window(1))
    log.append(SENT)
    return log


async def test_a_log_whose_sync_failed_proves_nothing_though_no_answer_came() -> None:
    disk = SimulatedDisk()
    log = await sending(disk)
    disk.fail_on["sync_data"] = errno.EIO
    with pytest.raises(DiskError, match="a sync failed"):
        await log.sync()
    assert disk.exists(SIDE)
    disk.kill()
    disk.evict()  # the page cache drops what the failed sync left clean: SENT is gone, on the same boot
    (left,) = reopen(disk).ledger.open_batches()
    assert (left.allowed, left.in_doubt) == ((), ((1, 101),))
    assert not disk.exists(SIDE)


async def test_a_close_whose_sync_failed_proves_nothing_either() -> None:
    disk = SimulatedDisk()
    log = await sending(disk)
    disk.fail_on["sync_data"] = errno.EIO
    with pytest.raises(DiskError, match="cannot be closed"):
        log.close()
    assert disk.open_descriptors == 0
    disk.kill()
    disk.evict()
    (left,) = reopen(disk).ledger.open_batches()
    assert (left.allowed, left.in_doubt) == ((), ((1, 101),))


async def test_the_sync_of_an_opening_that_failed_is_not_believed_by_the_next() -> None:
    disk = SimulatedDisk()
    await sending(disk)
    disk.kill()
    disk.fail_on["sync_data"] = errno.EIO
    with pytest.raises(DiskError, match="cannot be read"):
        CheckpointLog.open(LOG, filesystem=disk, boot="boot-1")
    assert disk.open_descriptors == 0
    disk.kill()
    disk.evict()
    (left,) = reopen(disk).ledger.open_batches()
    assert (left.allowed, left.in_doubt) == ((), ((1, 101),))


async def test_what_a_failed_sync_left_clean_is_written_again_before_it_is_built_upon() -> None:
    disk = SimulatedDisk()
    log = await sending(disk)
    log.append(WindowEntry((batch_entry(batch(2)),)))
    disk.fail_on["sync_data"] = errno.EIO
    with pytest.raises(DiskError):
        await log.sync()
    disk.kill()
    disk.write_max = 7
    reopen(disk).close()  # readers see the window still
    disk.cut_power()
    assert reopen(disk, boot="boot-2").ledger.next_batch == 3


def test_a_poisoned_opening_adds_no_second_mark() -> None:
    disk = SimulatedDisk()
    create(disk)
    for _ in range(3):
        disk.kill()
        disk.fail_on["sync_data"] = errno.EIO
        with pytest.raises(DiskError):
            reopen(disk)
    assert disk.side_files(LOG) == [SIDE]


def test_a_full_disk_that_takes_no_mark_still_poisons() -> None:
    disk = SimulatedDisk()
    log = create(disk)
    disk.fail_on.update(write=errno.ENOSPC, open=errno.ENOSPC)
    with pytest.raises(DiskError, match="can no longer be written"):
        log.append(WindowEntry((batch_entry(batch(1)),)))
    assert disk.side_files(LOG) == []
    disk.fail_on.clear()
    with pytest.raises(DiskError, match="can no longer be written"):
        log.append(SENT)


@pytest.mark.parametrize("before", ["sync", "sync_directory"])
def test_a_load_that_crashed_while_it_was_created_keeps_its_name_when_it_goes_on(before: str) -> None:
    rehearsal, disk = SimulatedDisk(), SimulatedDisk()
    create(rehearsal)
    disk.crash_at = next(one.number for one in rehearsal.operations if one.name == before)
    with pytest.raises(Crashed):
        create(disk)
    disk.kill()
    reopen(disk).append(WindowEntry((batch_entry(batch(1)),)))
    disk.cut_power()
    assert reopen(disk, boot="boot-2").ledger.head == HEAD


@pytest.mark.parametrize("failing", ["sync", "sync_directory"])
def test_what_a_failed_creation_left_is_durable_before_a_load_goes_on_with_it(failing: str) -> None:
    disk = SimulatedDisk()
    disk.fail_on[failing] = errno.EIO
    with pytest.raises(DiskError, match="cannot be created"):
        create(disk)
    disk.kill()
    reopen(disk)
    disk.cut_power()
    assert reopen(disk, boot="boot-2").ledger.head == HEAD


def test_a_close_call_that_fails_lets_go_all_the_same() -> None:
    disk = SimulatedDisk()
    log = create(disk)
    disk.fail_on["close"] = errno.EIO
    log.close()
    assert disk.open_descriptors == 0
    disk.fail_on.clear()
    assert reopen(disk).ledger.head == HEAD


def test_a_log_that_was_there_is_not_emptied_by_a_creation_that_fails() -> None:
    disk = SimulatedDisk()
    create(disk).close()
    before = disk.content(LOG)
    with pytest.raises(UsageError, match="a load has begun here"):
        CheckpointLog.create(LOG, HEAD, OPENING, filesystem=disk, boot="boot-1")
    assert disk.content(LOG) == before


async def test_what_a_side_file_held_is_durable_before_it_is_removed() -> None:
    disk = SimulatedDisk()
    log = await sending(disk)
    disk.fail_on["sync_data"] = errno.EIO
    with pytest.raises(DiskError):
        await log.sync()
    disk.fail_on.clear()
    ids = [str(1000 + line) for line in range(1, 101)]
    log.append(outcomes_of(1, 1, Settlement(range(1, 101), ids)))
    disk.kill()
    reopen(disk)
    assert not disk.exists(SIDE)
    disk.cut_power()  # what the side file held stands in the log, whatever has become of the side file
    after = reopen(disk, boot="boot-2").ledger
    assert after.tally().inserted == 100
