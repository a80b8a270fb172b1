"""Repair after any damage: of a load that a seed made up, nothing is doubled and no outcome changes.

A failing seed repeats alone: `pytest tests/property/test_repair.py -k 'seed-17'`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from loader.checkpoint import ranges
from loader.checkpoint.entries import Entry, Open, Outcomes, WindowEntry, record_outcomes
from loader.checkpoint.ledger import Ledger
from loader.checkpoint.salvage import BeyondRepairError, Found, pieces
from loader.checkpoint.scan import ReadAt, Scan, opened
from loader.outcomes import RecordOutcome
from loader.repairing import Repaired, Sound, repair
from tests.property.simulated_load import SimulatedLoad

SEEDS = 40
LOADS_A_SEED = 15


FRAMES_LEFT = 6
"""Behind all faults but flipped bits. What is cut off at the end leaves no trace that a repair could find."""


def damage(load: SimulatedLoad, random_: random.Random) -> bytes:
    """One to three faults of a disk: a flipped bit, a zeroed or foreign block, a piece cut out or put in."""
    broken = bytearray(load.log())
    tail = len(broken) - load.ends[-min(FRAMES_LEFT, len(load.ends) - 1) - 1]
    for _ in range(random_.randint(1, 3)):
        reach = len(broken) - tail
        at = random_.randrange(len(broken))
        size = random_.choice((1, 30, 512, 4096))
        kind = random_.choice(("flip", "zero", "foreign", "cut", "insert"))
        if kind == "flip" or at >= reach:
            broken[at] ^= 1 << random_.randrange(8)
            continue
        size = min(size, reach - at)
        if kind == "zero":
            broken[at : at + size] = bytes(size)
        elif kind == "foreign":
            broken[at : at + size] = random_.randbytes(size)
        elif kind == "cut":
            del broken[at : at + size]
        else:
            broken[at:at] = random_.randbytes(size)
    return bytes(broken)


@pytest.mark.parametrize("seed", range(SEEDS), ids=lambda seed: f"seed-{seed}")
def test_after_any_damage_no_line_is_taken_for_never_sent_and_no_outcome_changes(
    tmp_path: Path, seed: int
) -> None:
    met = 0
    for number in range(LOADS_A_SEED):
        random_ = random.Random(seed * 1000 + number)
        directory = tmp_path / f"load-{number}"
        directory.mkdir()
        load = SimulatedLoad(
            random_.randrange(2**32),
            directory,
            steps=random_.choice((5, 40, 200)),
            records_a_batch=random_.choice((1, 4, 30)),
        )
        met += one_repair(load, directory, random_)
    assert met > LOADS_A_SEED // 5, "the damage was met too seldom to say anything"


def one_repair(load: SimulatedLoad, directory: Path, random_: random.Random) -> bool:
    """Damages the log and repairs it. Returns: whether there was something to repair."""
    log = directory / "checkpoint.log"
    content = damage(load, random_)
    log.write_bytes(content)
    before = surviving_outcomes(log)
    try:
        done = anyio.run(repair, directory)
    except BeyondRepairError:
        assert not begins_with_head(content, load), "only a lost HEAD is beyond repair"
        assert log.read_bytes() == content
        return False
    except Exception:
        if begins_with_head(content, load):
            raise
        return False  # no HEAD and nothing behind it: a load that never began
    if isinstance(done, Sound):
        assert log.read_bytes() == content
        return False
    check(load, log, before, done)
    assert done.kept.read_bytes() == content
    assert isinstance(anyio.run(repair, directory), Sound), "a repaired log is sound"
    return True


def begins_with_head(content: bytes, load: SimulatedLoad) -> bool:
    first = next(pieces(lambda offset, size: content[offset : offset + size]), None)
    return isinstance(first, Found) and first.entry == load.entries[0] and first.offset == 0


def surviving_outcomes(log: Path) -> dict[int, RecordOutcome]:
    """What whole frames of the damaged log say."""
    with opened(log) as read_at:
        return {one.line: one for one in outcomes_in(read_at_entries(read_at))}


def read_at_entries(read_at: ReadAt) -> Iterator[Entry]:
    for piece in pieces(read_at):
        if isinstance(piece, Found):
            yield piece.entry


def outcomes_in(entries: Iterator[Entry]) -> Iterator[RecordOutcome]:
    for entry in entries:
        if isinstance(entry, Outcomes):
            yield from record_outcomes(entry)


def check(load: SimulatedLoad, log: Path, before: dict[int, RecordOutcome], done: Repaired) -> None:
    ledger = Ledger()
    settled: dict[int, RecordOutcome] = {}
    invalid: set[int] = set()
    with opened(log) as read_at:
        for offset, entry in Scan(read_at):
            ledger.apply(entry, offset=offset)
            if isinstance(entry, Outcomes):
                settled.update({one.line: one for one in record_outcomes(entry)})
            if isinstance(entry, WindowEntry):
                invalid.update(one.line for batch in entry.batches for one in batch.invalid)
    # What the next opening says, at its most hopeful.
    ledger.apply(Open("boot", "host", 3, 1e6, load.identity, survived=True))
    views = list(ledger.open_batches())
    in_doubt = {line for view in views for line in ranges.to_lines(view.in_doubt)}
    released = {line for view in views for line in ranges.to_lines(view.released)}
    assert not any(view.allowed or view.sent for view in views)
    assert sorted(in_doubt) == [line for pair in done.in_doubt for line in range(*pair)]
    assert settled == {**settled, **before}, "an outcome that survived is lost or changed"
    wrong = {line for line, one in settled.items() if load.outcomes.get(line) != one}
    assert not wrong, f"lines {sorted(wrong)} have an outcome that the load did not give them"
    assert invalid <= load.invalid | load.structural
    assert released <= load.released, "released lines were sent again, and that is forgotten"
    forgotten = load.windowed - in_doubt - released - invalid - settled.keys()
    assert not forgotten, f"lines {sorted(forgotten)} were in a window and are taken for never sent"
    for view in views:
        for doubt in view.doubts:
            for line in ranges.to_lines(doubt.lines):
                sent_at = load.first_sent.get(line, doubt.since)
                assert doubt.since <= sent_at, f"line {line} was sent before its doubt begins"
