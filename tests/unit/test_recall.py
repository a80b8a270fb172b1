"""Coming back: which bytes are read again and compared, and with which attempts a resume begins."""

from __future__ import annotations

import gzip
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from loader import directory, recall
from loader.checkpoint.ledger import Ledger
from loader.checkpoint.log import CheckpointLog, Opening
from loader.checkpoint.recorder import Recorder
from loader.errors import InputChangedError
from loader.events import Event
from loader.outcomes import Outcome, RecordOutcome, Settlement
from loader.records import Attempt, Batch, Window
from loader.settings import LoadSettings, Target
from loader.source.batches import BatchCutter, Cut
from loader.source.lines import LineSplitter
from loader.source.streams import open_input

LINES = 40
PER_BATCH = 4
TARGET = Target("Leads", "https://crm.example", "https://accounts.example")


def content(lines: int = LINES) -> bytes:
    return b"".join(b'{"Last_Name":"n","Email":"%d@x.eu"}\n' % line for line in range(1, lines + 1))


class Desk:
    """A load directory with a log of its own, as an earlier run has left it."""

    def __init__(self, tmp_path: Path, *, key: str = "", packed: bool = False) -> None:
        self.path = tmp_path / "leads.ndjson"
        self.path.write_bytes(gzip.compress(content()) if packed else content())
        load_dir = tmp_path / "leads.load"
        self.settings = LoadSettings(input=str(self.path), load_dir=load_dir, target=TARGET, key=key)
        self.events: list[Event] = []
        splitter = LineSplitter(1000)
        cutter = BatchCutter(lambda _: (), Cut(records_max=PER_BATCH))
        self.batches = [*cutter.feed(splitter.feed(content())), *cutter.feed(splitter.flush())]
        self.log = directory.create(self.settings, self._opening(), organisation="org")
        self.recorder = Recorder(self.log, self.events.append)

    def _opening(self) -> Opening:
        return Opening(recall.recorded(recall.identity_of(self.settings)), 1000.0, "user")

    async def intend(self, *numbers: int) -> None:
        await self.recorder.intend(Window([self.batches[number - 1] for number in numbers]))

    def batch(self, number: int) -> Batch:
        return self.batches[number - 1]

    def send(self, number: int, *, lines: Sequence[int] | None = None, at: float = 2000.0) -> Attempt:
        batch = self.batch(number)
        chosen = batch.lines if lines is None else lines
        attempt = Attempt(number, 1, chosen, [b"{}"] * len(chosen))
        self.recorder.sent(attempt, at)
        return attempt

    def settle(self, attempt: Attempt, lines: Sequence[int] | None = None) -> None:
        chosen = attempt.lines if lines is None else lines
        ids = [str(5_000_000_000_000 + line) for line in chosen]
        self.recorder.settle(attempt, Settlement(chosen, ids))

    def crash(self) -> None:
        self.log.close()

    async def compare(self) -> recall.Remembered:
        """What the next run remembers; its log then is open."""
        self.log = CheckpointLog.open(directory.log_path(self.settings.load_dir))
        identity = recall.identity_of(self.settings)
        async with await open_input(self.settings.input) as stream:
            remembered = await recall.compare(stream, self.log.ledger, self.settings, identity=identity)
            self.rest = b""
            while data := await stream.read():
                self.rest += data
        self.log.begin(self._opening())
        return remembered

    async def come_back(self, *, keyed: bool) -> list[Attempt]:
        """The attempts that the next run begins with."""
        remembered = await self.compare()
        return list(recall.unfinished(self.ledger, remembered, keyed=keyed))

    @property
    def ledger(self) -> Ledger:
        return self.log.ledger


async def test_the_first_run_that_sent_nothing_leaves_all_of_its_windows_to_send(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.intend(1, 2)
    desk.crash()
    remembered = await desk.compare()
    attempts = list(recall.unfinished(desk.ledger, remembered, keyed=False))
    assert [(one.batch, one.number, list(one.lines), one.in_doubt) for one in attempts] == [
        (1, 1, [1, 2, 3, 4], False),
        (2, 1, [5, 6, 7, 8], False),
    ]
    assert [list(one.records) for one in attempts] == [list(desk.batch(n).records) for n in (1, 2)]
    assert desk.rest == content()[desk.batch(2).span.stop :], "the reader goes on where the windows end"
    desk.crash()


async def test_settled_batches_are_neither_read_again_nor_sent(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.intend(1, 2)
    for number in (1, 2):
        desk.settle(desk.send(number))
    desk.crash()
    assert await desk.compare() == {}
    assert list(recall.unfinished(desk.ledger, {}, keyed=False)) == []
    desk.crash()


async def test_what_was_in_flight_comes_in_doubt_and_before_what_was_never_sent(tmp_path: Path) -> None:
    desk = Desk(tmp_path, key="Email")
    await desk.intend(1, 2, 3)
    desk.settle(desk.send(2, at=2000.0), [5, 7])
    desk.send(3, at=2100.0)
    desk.crash()
    attempts = await desk.come_back(keyed=True)
    assert [(one.batch, list(one.lines), one.in_doubt, one.doubt_since) for one in attempts] == [
        (2, [6, 8], True, 2000.0),
        (3, [9, 10, 11, 12], True, 2100.0),
        (1, [1, 2, 3, 4], False, 0.0),
    ]
    assert list(attempts[0].records) == [desk.batch(2).records[1], desk.batch(2).records[3]]
    assert [one.number for one in attempts] == [2, 2, 1]
    desk.crash()


async def test_a_batch_s_doubts_of_two_times_come_as_two_attempts(tmp_path: Path) -> None:
    desk = Desk(tmp_path, key="Email")
    await desk.intend(1)
    desk.send(1, lines=[1, 2], at=2000.0)
    desk.recorder.sent(Attempt(1, 2, [3], [b"{}"]), 2500.0)
    desk.crash()
    attempts = await desk.come_back(keyed=True)
    told = sorted((list(one.lines), one.in_doubt, one.doubt_since) for one in attempts)
    assert told == [([1, 2], True, 2000.0), ([3], True, 2500.0), ([4], False, 0.0)]
    desk.crash()


async def test_held_records_are_left_alone_without_a_key_and_sent_again_with_one(tmp_path: Path) -> None:
    desk = Desk(tmp_path, key="Email")
    await desk.intend(1)
    attempt = desk.send(1)
    desk.recorder.doubt(attempt, [1, 2], "lost", held=True)
    desk.settle(attempt, [3, 4])
    desk.crash()
    remembered = await desk.compare()
    assert list(recall.unfinished(desk.ledger, remembered, keyed=False)) == []
    (again,) = recall.unfinished(desk.ledger, remembered, keyed=True)
    assert (list(again.lines), again.in_doubt) == ([1, 2], True)
    desk.crash()


async def test_what_was_proved_not_applied_is_sent_as_if_for_the_first_time(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.intend(1)
    desk.recorder.not_applied(desk.send(1), "HTTP 429")
    desk.crash()
    (attempt,) = await desk.come_back(keyed=False)
    assert (attempt.number, attempt.in_doubt) == (2, False)
    desk.crash()


async def test_rejected_records_are_not_sent_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.intend(1)
    attempt = desk.send(1)
    rejected = RecordOutcome(1, Outcome.REJECTED, code="INVALID_DATA")
    desk.recorder.settle(attempt, Settlement(others=[rejected]))
    desk.recorder.not_applied(Attempt(1, 1, [2, 3, 4], [b"{}"] * 3), "RECORD_LOCKED")
    desk.crash()
    (again,) = await desk.come_back(keyed=False)
    assert list(again.lines) == [2, 3, 4]
    desk.crash()


CHANGES = {
    "a byte of a span that will be sent": lambda data: data.replace(b'"1@x.eu"', b'"1@y.eu"'),
    "a byte of the last span": lambda data: data.replace(b'"12@x.eu"', b'"12@y.eu"'),
    "grew": lambda data: data + b"{}\n",
    "shrank": lambda data: data[:-1],
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("change", ["a byte of a span that will be sent", "a byte of the last span"])
async def test_another_byte_where_it_counts_is_another_input(
    tmp_path: Path, change: str, packed: bool
) -> None:
    desk = Desk(tmp_path, packed=packed)
    await desk.intend(1, 2, 3)
    desk.settle(desk.send(2))
    desk.settle(desk.send(3))
    desk.crash()
    keep_times = desk.path.stat()
    changed = CHANGES[change](content())
    assert changed != content()
    desk.path.write_bytes(gzip.compress(changed) if packed else changed)
    os.utime(desk.path, ns=(keep_times.st_atime_ns, keep_times.st_mtime_ns))
    with pytest.raises(InputChangedError, match="the input changed") as raised:
        await desk.compare()
    assert "Nothing was sent" in raised.value.hint
    desk.crash()


async def test_a_touched_file_is_compared_as_a_whole(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.intend(1, 2, 3)
    for number in (1, 2, 3):
        desk.settle(desk.send(number))
    desk.crash()
    desk.path.write_bytes(content().replace(b'"1@x.eu"', b'"1@y.eu"'))
    os.utime(desk.path, ns=(1, 1))
    with pytest.raises(InputChangedError, match="the input changed"):
        await desk.compare()
    desk.crash()


async def test_a_touched_file_with_the_same_bytes_goes_on(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.intend(1, 2)
    desk.crash()
    os.utime(desk.path, ns=(1, 1))
    assert sorted(await desk.compare()) == [1, 2]
    assert desk.rest == content()[desk.batch(2).span.stop :]
    desk.crash()


@pytest.mark.parametrize("change", ["grew", "shrank"])
async def test_a_file_of_another_size_is_another_input(tmp_path: Path, change: str) -> None:
    desk = Desk(tmp_path)
    await desk.intend(1)
    desk.settle(desk.send(1))
    desk.crash()
    desk.path.write_bytes(CHANGES[change](content()))
    with pytest.raises(InputChangedError) as raised:
        await desk.compare()
    assert change in raised.value.why
    assert "--new" in raised.value.hint
    desk.crash()


async def test_gzip_goes_on_exactly_behind_the_last_window(tmp_path: Path) -> None:
    desk = Desk(tmp_path, packed=True)
    await desk.intend(1, 2, 3)
    desk.settle(desk.send(1))
    desk.crash()
    assert sorted(await desk.compare()) == [2, 3]
    assert desk.rest == content()[desk.batch(3).span.stop :]
    desk.crash()
