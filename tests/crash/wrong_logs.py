"""Wrong versions of the checkpoint log: each breaks one rule, and the crash states must see it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loader.checkpoint import entries
from loader.checkpoint import log as log_module
from loader.checkpoint.entries import NotApplied
from loader.checkpoint.ledger import Ledger
from loader.checkpoint.log import CheckpointLog
from loader.checkpoint.scan import Scan
from loader.checkpoint.unsettled import Unsettled
from loader.errors import DiskError

Patch = Callable[[pytest.MonkeyPatch], None]


def no_sync_before_a_window_is_allowed(patch: pytest.MonkeyPatch) -> None:
    async def sync(log: CheckpointLog, upto: int | None = None) -> None: ...

    patch.setattr(CheckpointLog, "sync", sync)


def no_sync_of_directories(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(CheckpointLog, "_sync_names", lambda log: None)


def a_torn_tail_stays(patch: pytest.MonkeyPatch) -> None:
    read = CheckpointLog._read

    def reads(log: CheckpointLog) -> None:
        read(log)
        log._cut_on_begin = False

    patch.setattr(CheckpointLog, "_read", reads)


def another_boot_counts_as_the_same(patch: pytest.MonkeyPatch) -> None:
    crash = Unsettled.crash
    patch.setattr(Unsettled, "crash", lambda batch, survived: crash(batch, survived=True))


def attempts_in_flight_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    crash = Unsettled.crash

    def crashes(batch: Unsettled, survived: bool) -> None:
        batch.flights.clear()
        crash(batch, survived=survived)

    patch.setattr(Unsettled, "crash", crashes)


def not_applied_ends_every_doubt(patch: pytest.MonkeyPatch) -> None:
    not_applied = Ledger._not_applied

    def applies(ledger: Ledger, entry: NotApplied) -> None:
        not_applied(ledger, entry)
        ledger._unsettled[entry.batch].doubts = ()

    patch.setattr(Ledger, "_not_applied", applies)


def a_doubt_begins_with_the_last_attempt(patch: pytest.MonkeyPatch) -> None:
    doubt = Unsettled.doubt

    def doubts(batch: Unsettled, lines: Any, *, since: float) -> None:
        held = batch.held
        batch._clear(lines)
        doubt(batch, lines, since=max(since, batch.not_before))
        batch.held = held

    patch.setattr(Unsettled, "doubt", doubts)


def resolved_records_stay_in_their_window(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Unsettled, "release", Unsettled._clear)
    patch.setattr(Ledger, "_allow_again", lambda ledger, number, lines: None)


def frames_confirm_what_is_not_synced(patch: pytest.MonkeyPatch) -> None:
    encode = entries.encode_frame
    patch.setattr(
        log_module, "encode_frame", lambda entry, offset, synced: encode(entry, offset=offset, synced=offset)
    )


def damage_is_taken_for_the_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Scan, "_end_at", lambda scan, bad: True)


def a_poisoned_log_leaves_no_mark(patch: pytest.MonkeyPatch) -> None:
    def poison(log: CheckpointLog, what: str, error: OSError) -> None:
        log.poisoned = log.poisoned or DiskError(what)

    patch.setattr(CheckpointLog, "_poison", poison)


def pages_of_a_failed_sync_are_built_upon(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(CheckpointLog, "_write_again", lambda log: None)


def answers_beside_the_log_are_not_synced(patch: pytest.MonkeyPatch) -> None:
    def drain(log: CheckpointLog, entry: Any) -> None:
        log._side = log._side or log._new_side()
        log._side._write(entry)

    patch.setattr(CheckpointLog, "_drain", drain)


def side_files_are_not_read(patch: pytest.MonkeyPatch) -> None:
    def adopt(log: CheckpointLog, side: Path) -> None: ...

    patch.setattr(CheckpointLog, "_adopt", adopt)


WRONG: list[tuple[Patch, str, bool]] = [
    (no_sync_before_a_window_is_allowed, "plain", False),
    (no_sync_of_directories, "plain", False),
    (a_torn_tail_stays, "plain", False),
    (another_boot_counts_as_the_same, "plain", False),
    (attempts_in_flight_are_forgotten, "plain", False),
    (not_applied_ends_every_doubt, "doubts", False),
    (a_doubt_begins_with_the_last_attempt, "doubts", False),
    (resolved_records_stay_in_their_window, "resolved", False),
    (frames_confirm_what_is_not_synced, "plain", False),
    (a_poisoned_log_leaves_no_mark, "plain", True),
    (pages_of_a_failed_sync_are_built_upon, "plain", True),
    (answers_beside_the_log_are_not_synced, "plain", True),
    (side_files_are_not_read, "plain", True),
]
"""The wrong version, a load that shows it, and whether the disk has to fail for it."""
