"""The fold against a small model, record by record, through crashes of every kind."""

from __future__ import annotations

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.checkpoint import ranges
from loader.checkpoint.ledger import Ledger
from loader.checkpoint.recorder import Recorder
from loader.checkpoint.scan import Scan
from loader.outcomes import Outcome, RecordOutcome, Settlement
from loader.records import Attempt
from tests.unit.checkpoint_samples import LOG, MemoryDisk, create, ids, recorder, reopen, window

SIZE = 4
Step = tuple[str, int, int]

steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["window", "send", "success", "reject", "refuse", "doubt", "hold", "sync", "kill", "power"]
        ),
        st.integers(0, 7),
        st.integers(1, 15),
    ),
    max_size=40,
)


class Model:
    """What each line is: allowed, sent, doubt, or an outcome. Sent-while-in-doubt is told apart by a set."""

    def __init__(self) -> None:
        self.fate: dict[int, str] = {}
        self.doubtful: set[int] = set()
        self.batches = 0
        self.tries = 0

    def chosen(self, batch: int, mask: int, *fates: str) -> list[int]:
        lines = range(batch * SIZE + 1, batch * SIZE + SIZE + 1)
        return [one for n, one in enumerate(lines) if mask >> n & 1 and self.fate.get(one) in fates]

    def crash(self, *, survived: bool) -> None:
        for line, fate in self.fate.items():
            if fate == "sent" or (fate == "allowed" and not survived):
                self.fate[line] = "doubt"
                self.doubtful.add(line)

    def copy(self) -> Model:
        other = Model()
        other.fate, other.doubtful, other.batches = dict(self.fate), set(self.doubtful), self.batches
        other.tries = self.tries
        return other


class Rig:
    def __init__(self) -> None:
        self.disk = MemoryDisk()
        self.boot = 1
        self.model = Model()
        self.durable = self.model.copy()
        self.log = create(self.disk, boot="boot-1")
        self.book: Recorder = recorder(self.log)[0]

    async def take(self, step: Step) -> None:
        name, which, mask = step
        batch = which % max(1, self.model.batches)
        if name == "window":
            self.model.batches += 1
            await self.book.intend(window(self.model.batches, size=SIZE))
            first = (self.model.batches - 1) * SIZE + 1
            self.model.fate.update(dict.fromkeys(range(first, first + SIZE), "allowed"))
            self.durable = self.model.copy()
        elif name == "sync":
            await self.log.sync()
            self.durable = self.model.copy()
        elif name in ("kill", "power"):
            self.crash(power=name == "power")
        else:
            self.act(name, batch, mask)

    def crash(self, *, power: bool) -> None:
        if power:
            self.disk.cut_power()
            self.boot += 1
            self.model = self.durable.copy()
        else:
            self.disk.kill()
        self.log = reopen(self.disk, boot=f"boot-{self.boot}")
        self.book = recorder(self.log)[0]
        self.model.crash(survived=not power)
        self.durable = self.model.copy()

    def act(self, name: str, batch: int, mask: int) -> None:
        model = self.model
        if name == "send":
            for fate in ("allowed", "doubt"):
                lines = model.chosen(batch, mask, fate)
                if lines:
                    number = self.log.ledger.last_attempt(batch + 1) + 1
                    self.book.sent(self.attempt(batch, number, lines, in_doubt=fate == "doubt"), 5.0)
                    model.fate.update(dict.fromkeys(lines, "sent"))
            return
        lines = model.chosen(batch, mask, "sent")
        view = self.log.ledger.batch(batch + 1)
        if not lines or view is None:
            return
        for number in range(1, view.last_attempt + 1):  # a flight lands by its own number
            self.land(name, self.attempt(batch, number, lines))
            if name in ("success", "reject"):
                return

    def attempt(self, batch: int, number: int, lines: list[int], *, in_doubt: bool = False) -> Attempt:
        return Attempt(batch + 1, number, lines, [], in_doubt)

    def land(self, name: str, attempt: Attempt) -> None:
        lines = attempt.lines
        if name == "success":
            self.book.settle(attempt, Settlement(lines, ids(lines)))
            self.model.fate.update(dict.fromkeys(lines, "inserted"))
            self.model.doubtful.difference_update(lines)
        elif name == "reject":
            others = [RecordOutcome(line, Outcome.REJECTED, code="C") for line in lines]
            self.book.settle(attempt, Settlement(others=others))
            self.model.fate.update(dict.fromkeys(lines, "rejected"))
            self.model.doubtful.difference_update(lines)
        elif name == "refuse":
            self.book.not_applied(attempt, "429")
            for line in lines:
                self.model.fate[line] = "doubt" if line in self.model.doubtful else "allowed"
        else:
            self.book.doubt(attempt, lines, "no answer", held=name == "hold")
            self.model.fate.update(dict.fromkeys(lines, "doubt"))
            self.model.doubtful.update(lines)

    def check(self) -> None:
        live, model = self.log.ledger, self.model
        tally = live.tally()
        fates = list(model.fate.values())
        assert tally.inserted == fates.count("inserted")
        assert tally.rejected == fates.count("rejected")
        assert tally.in_doubt == len(model.doubtful)
        assert tally.records == len(fates) == live.records
        allowed: list[int] = []
        doubtful: list[int] = []
        for batch in live.open_batches():
            allowed += ranges.to_lines(batch.allowed)
            doubtful += ranges.to_lines(batch.in_doubt)
        assert allowed == [line for line, fate in sorted(model.fate.items()) if fate == "allowed"]
        assert sorted(doubtful) == sorted(model.doubtful)
        read = Ledger()
        content = bytes(self.disk.files[LOG])
        for offset, entry in Scan(lambda at, size: content[at : at + size]):
            read.apply(entry, offset=offset)
        assert read.tally() == tally
        assert list(read.open_batches()) == list(live.open_batches())


@settings(max_examples=150, deadline=None)
@given(steps)
def test_log_and_ledger_agree_with_a_model_through_any_crash(taken: list[Step]) -> None:
    async def run() -> None:
        rig = Rig()
        for step in taken:
            await rig.take(step)
            rig.check()

    anyio.run(run)
