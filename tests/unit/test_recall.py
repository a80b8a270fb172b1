"""Coming back: which bytes are read again and compared, and with which attempts a resume begins."""

from __future__ import annotations

import gzip
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
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
from tests.line_checks import nothing_wrong

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
        cutter = BatchCutter(nothing_wrong, Cut(records_max=PER_BATCH))
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

    async def settle_all(self) -> None:
        """A load that has come to its end; its log is sealed and closed."""
        await self.intend(*(batch.number for batch in self.batches))
        for batch in self.batches:
            self.settle(self.send(batch.number))
        await self.recorder.seal(3000.0)
        self.crash()

    async def take_up(self, *, append: bool, windows: bool = True) -> bool:
        """The next run until just before its first new window; `windows` False: killed right after its OPEN.

        Returns: whether there was anything to go on with.
        """
        self.log = CheckpointLog.open(directory.log_path(self.settings.load_dir))
        try:
            settings = msgspec.structs.replace(self.settings, append=append)
            identity = recall.identity_of(settings)
            async with await open_input(settings.input) as stream:
                compared = await recall.look(stream, self.ledger, settings, identity=identity)
                if self.ledger.sealed and not compared.more:
                    return False
                self.log.begin(self._opening())
                if windows:
                    await recall.go_on_behind_the_end(stream, self.log, compared)
                return True
        finally:
            self.crash()

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


async def test_a_file_that_shrank_is_another_input(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.intend(1)
    desk.settle(desk.send(1))
    desk.crash()
    desk.path.write_bytes(CHANGES["shrank"](content()))
    with pytest.raises(InputChangedError) as raised:
        await desk.compare()
    assert "shrank" in raised.value.why
    assert "--new" in raised.value.hint
    desk.crash()


async def test_what_to_do_about_another_input_begins_with_what_sends_nothing_twice(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.intend(1, 2, 3)
    desk.settle(desk.send(1))
    desk.send(2)
    desk.crash()
    desk.path.write_bytes(CHANGES["a byte of the last span"](content()))
    with pytest.raises(InputChangedError) as raised:
        await desk.compare()
    stands, back, anew = raised.value.hint.splitlines()
    assert stands.startswith("Nothing was sent by this run; ")
    assert "of this load are in the CRM already" in stands
    assert "in doubt may be there" in stands
    assert back.startswith("Put the file back as it was, then: loader resume ")
    assert "a second time, unless a unique field prevents it: loader load " in anew
    assert anew.endswith("--new")
    desk.crash()


async def test_a_file_that_grew_is_refused_with_the_flag_that_takes_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.intend(1)
    desk.settle(desk.send(1))
    desk.crash()
    desk.path.write_bytes(CHANGES["grew"](content()))
    with pytest.raises(InputChangedError, match="the input grew") as raised:
        await desk.compare()
    assert "lines 1 to 4, is unchanged" in raised.value.why
    assert "--append" in raised.value.hint
    assert "--new" not in raised.value.hint, "that would insert the old part again"
    desk.crash()


def grow(desk: Desk, *, packed: bool) -> None:
    with desk.path.open("ab") as stream:
        stream.write(gzip.compress(b"{}\n") if packed else b"{}\n")


PACKED = pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])


@PACKED
@pytest.mark.parametrize("windows", [True, False], ids=["after the window", "right after OPEN"])
async def test_a_grown_input_that_was_taken_once_needs_no_flag_after_a_crash(
    tmp_path: Path, packed: bool, windows: bool
) -> None:
    desk = Desk(tmp_path, packed=packed)
    await desk.settle_all()
    grow(desk, packed=packed)
    with pytest.raises(InputChangedError, match="the input grew"):
        await desk.take_up(append=False)
    assert await desk.take_up(append=True, windows=windows)
    assert await desk.take_up(append=False, windows=windows), "its last OPEN has seen the new end"
    os.utime(desk.path, ns=(1, 1))
    assert await desk.take_up(append=False), "and what it has seen is the content, not the time"


@PACKED
@pytest.mark.parametrize("windows", [True, False], ids=["after the window", "right after OPEN"])
async def test_what_grows_once_more_after_such_a_crash_needs_the_flag_again(
    tmp_path: Path, packed: bool, windows: bool
) -> None:
    desk = Desk(tmp_path, packed=packed)
    await desk.settle_all()
    grow(desk, packed=packed)
    assert await desk.take_up(append=True, windows=windows)
    grow(desk, packed=packed)
    with pytest.raises(InputChangedError, match="the input grew"):
        await desk.take_up(append=False)
    assert await desk.take_up(append=True)


@PACKED
async def test_a_finished_load_whose_input_did_not_grow_is_not_opened(tmp_path: Path, packed: bool) -> None:
    desk = Desk(tmp_path, packed=packed)
    await desk.settle_all()
    before = directory.log_path(desk.settings.load_dir).read_bytes()
    for append in (False, True):
        assert not await desk.take_up(append=append)
    assert directory.log_path(desk.settings.load_dir).read_bytes() == before


async def test_what_stands_behind_the_limit_is_none_of_the_loads_business(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.settings = msgspec.structs.replace(desk.settings, limit=LINES)
    await desk.settle_all()
    grow(desk, packed=False)
    for append in (False, True):
        assert not await desk.take_up(append=append)


async def test_gzip_goes_on_exactly_behind_the_last_window(tmp_path: Path) -> None:
    desk = Desk(tmp_path, packed=True)
    await desk.intend(1, 2, 3)
    desk.settle(desk.send(1))
    desk.crash()
    assert sorted(await desk.compare()) == [2, 3]
    assert desk.rest == content()[desk.batch(3).span.stop :]
    desk.crash()


async def test_a_file_that_grew_is_compared_as_a_whole_first(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.intend(1, 2)
    for number in (1, 2):
        desk.settle(desk.send(number))
    desk.crash()
    desk.path.write_bytes(CHANGES["grew"](content()).replace(b'"1@x.eu"', b'"1@y.eu"'))
    with pytest.raises(InputChangedError, match="the input changed") as raised:
        await desk.compare()
    assert "--append" not in raised.value.hint, "the old part is another one"
    desk.crash()


async def test_held_records_stay_held_when_the_input_goes_on(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.intend(1)
    attempt = desk.send(1)
    desk.recorder.doubt(attempt, [1, 2], "lost", held=True)
    desk.settle(attempt, [3, 4])
    desk.crash()
    grow(desk, packed=False)
    desk.settings = msgspec.structs.replace(desk.settings, append=True)
    assert await desk.come_back(keyed=False) == []
    (batch,) = desk.ledger.open_batches()
    assert batch.held == ((1, 3),)
    desk.crash()


async def test_a_file_that_grew_while_it_was_read_was_read_to_its_new_end(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.path.write_bytes(content()[: desk.batch(2).span.stop])
    desk.log.begin(desk._opening())
    desk.path.write_bytes(content())
    await desk.settle_all()
    assert not await desk.take_up(append=False)


async def test_that_the_input_goes_on_is_on_the_disk_before_anything_is_sent(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.settle_all()
    grow(desk, packed=False)
    desk.log = CheckpointLog.open(directory.log_path(desk.settings.load_dir))
    desk.log.begin(desk._opening())
    async with await open_input(desk.settings.input) as stream:
        await recall.go_on_behind_the_end(stream, desk.log, recall.Compared(more=True))
    assert not desk.ledger.sealed
    assert desk.log.synced == desk.log.end
    desk.crash()
    assert not directory.fold_quietly(desk.settings.load_dir).sealed


async def test_a_member_behind_a_whole_one_is_growth_also_of_a_load_that_did_not_see_the_end(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path, packed=True)
    await desk.intend(1)
    desk.crash()
    grow(desk, packed=True)
    with pytest.raises(InputChangedError, match="the input grew") as raised:
        await desk.compare()
    assert "packed bytes" in raised.value.why
    desk.crash()


async def test_the_rest_of_a_packed_file_that_was_cut_is_no_growth(tmp_path: Path) -> None:
    desk = Desk(tmp_path, packed=True)
    await desk.intend(1)
    whole = desk.path.read_bytes()
    desk.path.write_bytes(whole[:-20])
    desk.log.begin(desk._opening())
    desk.crash()
    desk.path.write_bytes(whole)
    assert list(await desk.compare()) == [1]
    desk.crash()


async def test_a_file_that_was_packed_anew_is_no_growth(tmp_path: Path) -> None:
    desk = Desk(tmp_path, packed=True)
    await desk.intend(1)
    desk.crash()
    desk.path.write_bytes(gzip.compress(content(), 0))
    assert list(await desk.compare()) == [1]
    desk.crash()


@pytest.mark.parametrize("behind", [b"\n{}\n", b"\r\n{}\n"])
async def test_a_newline_that_ends_the_last_line_at_last_is_no_line_of_its_own(
    tmp_path: Path, behind: bytes
) -> None:
    desk = Desk(tmp_path)
    desk.path.write_bytes(content()[:-1])
    cutter, splitter = BatchCutter(nothing_wrong), LineSplitter(1000)
    desk.batches = [*cutter.feed(splitter.feed(content()[:-1])), *cutter.feed(splitter.flush())]
    desk.batches += [rest] if (rest := cutter.cut()) else []
    await desk.settle_all()
    with desk.path.open("ab") as stream:
        stream.write(behind)
    assert await desk.take_up(append=True)
    ledger = directory.fold_quietly(desk.settings.load_dir)
    assert (ledger.next_line, ledger.records) == (LINES + 1, LINES)
    assert ledger.next_offset == len(content()) - 1 + len(behind) - len(b"{}\n")
    assert await desk.take_up(append=False), "and it is compared with the rest from then on"


async def test_more_on_a_last_line_without_newline_is_another_input(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.path.write_bytes(content()[:-1])
    cutter, splitter = BatchCutter(nothing_wrong), LineSplitter(1000)
    desk.batches = [*cutter.feed(splitter.feed(content()[:-1])), *cutter.feed(splitter.flush())]
    desk.batches += [rest] if (rest := cutter.cut()) else []
    await desk.settle_all()
    for behind in (b" ", b"\r", b"{}\n"):
        desk.path.write_bytes(content()[:-1] + behind)
        with pytest.raises(InputChangedError, match="the input changed") as raised:
            await desk.take_up(append=True)
        assert f"line {LINES}:" in raised.value.why
