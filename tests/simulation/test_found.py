"""What the simulation has found in the loader, each as the smallest test that shows it."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import anyio
import pytest

from loader.checkpoint.entries import BatchEntry, Head, InputIdentity, WindowEntry
from loader.checkpoint.log import CheckpointLog, Opening
from loader.errors import DiskError, ExitCode, NotNowError
from loader.records import Attempt, Batch, Span, Window
from loader.run import Run
from loader.throttle.gate import Gate, GateSettings
from tests import virtual_time
from tests.simulated_disk import Operation, SimulatedDisk

LOG = Path("/load/checkpoint.log")
INPUT = InputIdentity("file", "/data/leads.ndjson", 10, 1, 2, 3)


def test_what_a_failed_sync_left_is_written_again_although_no_side_file_tells_of_it() -> None:
    """The same disk may refuse the side file too; then only the cache shows frames that were never kept."""
    disk = SimulatedDisk()
    head = Head(1, "L", 0.0, "Leads", "https://crm.example", "org", "", None, None, True, {}, INPUT)
    log = CheckpointLog.create(LOG, head, Opening(INPUT, 1.0), filesystem=disk, boot="boot")
    log.append(WindowEntry((BatchEntry(1, 1, 1, 0, 3, 0),)))

    def fail_from_the_next_sync_on(operation: Operation) -> None:
        if operation.name in ("sync_data", "open"):
            disk.fail_at[operation.number] = errno.EIO

    disk.on_operation = fail_from_the_next_sync_on
    with pytest.raises(DiskError):
        log.close()
    disk.on_operation = None
    disk.kill()
    assert not disk.side_files(LOG)

    log = CheckpointLog.open(LOG, filesystem=disk, boot="boot")
    log.begin(Opening(INPUT, 3.0))

    assert disk.base(LOG) == disk.content(LOG)
    log.close()


async def test_a_log_that_cannot_be_searched_for_ids_stops_the_load_in_order() -> None:
    """Out of descriptors, say: an OSError in one worker would cancel the others in the middle of a call."""
    run = cast(Run, SimpleNamespace(_log=SimpleNamespace(path=Path("/nowhere/checkpoint.log"))))

    with pytest.raises(DiskError) as found:
        await Run._lines_with_ids(run, {"5000000000001"})

    assert found.value.exit_code is ExitCode.DISK


def test_no_window_is_opened_once_the_load_is_stopping() -> None:
    """The window under way is finished; a further one would only be in doubt after a power cut."""
    from loader.pipeline import Pipeline

    begun: list[int] = []

    async def windows() -> AsyncIterator[Window]:
        for number in range(1, 6):
            span = Span(number, 1, 0, 0, 0)
            yield Window([Batch(number, span, [number], [b"{}"])])

    async def intend(window: Window) -> None:
        begun.append(window.batches[0].number)
        with anyio.CancelScope(shield=True):
            await anyio.sleep(1.0)

    async def deliver(attempt: Attempt) -> None:
        await anyio.sleep(0.5)
        raise NotNowError("the service is out of reach")

    async def load() -> None:
        gate = Gate(GateSettings(1, None, 300.0, "crm.example"), observe=lambda _: None)
        pipeline = Pipeline(gate=gate, intend=intend, concurrency=1)
        await pipeline.run([], windows(), deliver=deliver)
        assert pipeline.error is not None

    virtual_time.run(load)

    assert begun == [1, 2]
