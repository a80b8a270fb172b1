"""Ledger, log and resolver against a model, by whatever sequence of events hypothesis can think of.

A load is cut, sent, answered in all ways, resolved, stopped, killed and cut off from its power; after each
step what the ledger says is what the model says, and the server has each record at most once.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from loader.checkpoint import ranges
from loader.checkpoint.entries import FORMAT_VERSION, Head, InputIdentity
from loader.checkpoint.ledger import Ledger
from loader.checkpoint.log import CheckpointLog, Opening
from loader.checkpoint.recorder import Recorder
from loader.checkpoint.scan import Scan
from loader.delivery.policy import Claim
from loader.delivery.reconcile import Evidence, decide, seek
from loader.outcomes import Outcome, RecordOutcome, Settlement
from loader.records import Attempt, Batch, InvalidLine, Span, Window
from loader.wire.replies import ExistingRecord
from tests.property.delivery_model import Crm, Model
from tests.simulated_disk import SimulatedDisk

PATH = Path("/load/checkpoint.log")
INPUT = InputIdentity("file", "leads.ndjson", 1000)
HEAD = Head(FORMAT_VERSION, "T3ST-L0AD", 1.0, "Leads", "https://x", "7", "Email", True, None, True, {}, INPUT)
US = "77"
LINE_BYTES = 10
STEPS = int(os.environ.get("MACHINE_STEPS", "40"))
EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES", "200"))

pytestmark = pytest.mark.timeout(300)

some = st.integers(0, 2**20)
"""What a step chooses among lines that only the run knows: a seed."""


def chosen(lines: list[int], seed: int, *, least: int = 1) -> list[int]:
    """Some of the lines, in order."""
    dice = random.Random(seed)
    return sorted(dice.sample(lines, dice.randint(min(least, len(lines)), len(lines))))


class DeliveryMachine(RuleBasedStateMachine):
    """One load, over all of its processes."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.disk = SimulatedDisk()
        self.boot = 1
        self.now = 100.0
        self.log: CheckpointLog
        self.recorder: Recorder
        self.model = Model()
        self.past: list[tuple[int, Model]] = []
        """What the model was after each frame, by the frame's end: what a power cut goes back to."""
        self.learnt: dict[tuple[int, int], list[int]] = {}
        """By batch and attempt in flight: the lines that this attempt has applied."""

    def teardown(self) -> None:
        self.runner.close()

    def wait(self, step: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.runner.run(step())

    def remember(self) -> None:
        self.past.append((self.log.end, self.model.copy()))

    @property
    def ledger(self) -> Ledger:
        return self.log.ledger

    def attempt(self, batch: int, number: int, lines: list[int], *, in_doubt: bool = False) -> Attempt:
        return Attempt(batch, number, lines, [b"{}"] * len(lines), in_doubt, self.now)

    # --- what happens ---

    @initialize(unique=st.booleans())
    def begin(self, unique: bool) -> None:
        self.crm = Crm(unique)
        opening = Opening(INPUT, self.now, US)
        self.log = CheckpointLog.create(PATH, HEAD, opening, filesystem=self.disk, boot="boot-1")
        self.recorder = Recorder(self.log, lambda _event: None)
        self.remember()

    @rule(shapes=st.lists(st.lists(st.sampled_from("rrrib"), min_size=1, max_size=6), min_size=1, max_size=3))
    def intend(self, shapes: list[list[str]]) -> None:
        """A window: records, invalid lines and blank ones."""
        batches = []
        number, line = self.ledger.next_batch, self.ledger.next_line
        for shape in shapes:
            by_kind = {kind: [line + at for at, one in enumerate(shape) if one == kind] for kind in "rib"}
            start = (line - 1) * LINE_BYTES
            span = Span(line, len(shape), start, start + len(shape) * LINE_BYTES, line)
            bad = [InvalidLine(one, (one - 1) * LINE_BYTES, "NOT_JSON", "no") for one in by_kind["i"]]
            records = [b"{}"] * len(by_kind["r"])
            batches.append(Batch(number, span, by_kind["r"], records, bad, by_kind["b"]))
            self.model.intend(number, by_kind["r"], by_kind["i"])
            number, line = number + 1, line + len(shape)
        self.wait(lambda: self.recorder.intend(Window(batches)))
        assert self.log.synced == self.log.end, "nothing of a window may leave before it is durable"
        self.remember()

    @precondition(lambda self: self.model.of_kind("allowed"))
    @rule(seed=some)
    def send(self, seed: int) -> None:
        self._send("allowed", seed)

    @precondition(lambda self: self.crm.unique and self._resting())
    @rule(seed=some)
    def send_again_in_doubt(self, seed: int) -> None:
        """Rung 1: the key lets the same records be sent again."""
        self._send("in doubt", seed)

    def _send(self, kind: str, seed: int) -> None:
        lines = self._of_one_batch(self._resting() if kind == "in doubt" else self.model.of_kind(kind), seed)
        batch = self.model.lines[lines[0]].batch
        number = self.ledger.last_attempt(batch) + 1
        self.now += 1
        self.recorder.sent(self.attempt(batch, number, lines, in_doubt=kind == "in doubt"), self.now)
        self.model.send(number, lines)
        self.remember()
        reached = chosen(lines, seed + 1, least=0)
        there = self.crm.apply(reached, fresh=kind == "allowed")
        self.learnt[batch, number] = [line for line in reached if line not in there]

    @precondition(lambda self: self.learnt)
    @rule(seed=some, kind=st.sampled_from(["all", "all", "refused", "lost", "lost and held"]))
    def answer(self, seed: int, kind: str) -> None:
        """What comes back: the whole truth, a proof that nothing was applied, or nothing at all."""
        (batch, number), applied = random.Random(seed).choice(sorted(self.learnt.items()))
        del self.learnt[batch, number]
        lines = [
            one for one, line in self.model.lines.items() if number in line.flights and line.batch == batch
        ]
        if kind.startswith("lost"):
            attempt = self.attempt(batch, number, lines)
            self.recorder.doubt(attempt, lines, "lost", held=kind.endswith("held"))
            self.model.doubt(number, lines, held=kind.endswith("held"))
        else:
            refused = [line for line in lines if line not in self.crm.ids]
            if refused:
                self.recorder.not_applied(self.attempt(batch, number, refused), "refused")
                self.model.not_applied(number, refused)
                self.remember()
            self._succeed(batch, number, [line for line in lines if line in applied])
            self._claim(
                batch, number, [line for line in lines if line in self.crm.ids and line not in applied]
            )
        self.remember()

    def _succeed(self, batch: int, number: int, lines: list[int]) -> None:
        if lines:
            ids = [self.crm.ids[line] for line in lines]
            self.recorder.settle(self.attempt(batch, number, lines), Settlement(lines, ids))
            self.model.settle(dict.fromkeys(lines, "inserted"))
            self.remember()

    def _claim(self, batch: int, number: int, lines: list[int]) -> None:
        """DUPLICATE_DATA after a doubt: the resolver decides whose record it is."""
        if lines:
            claims = [
                Claim(line, b"", (self.crm.ids[line],), RecordOutcome(line, Outcome.DUPLICATE))
                for line in lines
            ]
            decided = decide(claims, self._evidence(lines))
            assert [one.id for one in decided.outcomes] == [self.crm.ids[line] for line in lines]
            self._recover(batch, number, decided.outcomes)

    def _recover(self, batch: int, number: int, outcomes: Any) -> None:
        lines = [one.line for one in outcomes]
        if lines:
            self.recorder.settle(self.attempt(batch, number, lines), Settlement(others=outcomes))
            self.model.settle(dict.fromkeys(lines, "inserted"), recovered=True)
            self.remember()

    def _evidence(self, lines: list[int]) -> Evidence:
        existing = [
            ExistingRecord(self.crm.ids[line], self.now, US, {"Email": f"k{line}"})
            for line in lines
            if line in self.crm.ids
        ]
        return Evidence(existing, {line: f"k{line}" for line in lines}, "Email", frozenset({US}), 0.0, {})

    @precondition(lambda self: self._resting())
    @rule(seed=some)
    def ask(self, seed: int) -> None:
        """Rung 2: found is settled; absent is resolved, and leaves only after a new window."""
        lines = self._of_one_batch(self._resting(), seed)
        batch = self.model.lines[lines[0]].batch
        sought = seek(lines, self._evidence(lines))
        assert sorted(sought.absent) == [line for line in lines if line not in self.crm.ids]
        assert not sought.unknown
        self._recover(batch, self.ledger.last_attempt(batch), sought.outcomes)
        absent = list(sought.absent)
        if absent:
            attempt = self.attempt(batch, 1, absent)
            self.wait(lambda: self.recorder.resolve(attempt, by="query", evidence="asked twice", at=self.now))
            self.model.resolve(absent)
            assert self.log.synced == self.log.end
            self.remember()

    @precondition(lambda self: self.model.of_kind("released"))
    @rule(seed=some)
    def intend_again(self, seed: int) -> None:
        lines = self._of_one_batch(self.model.of_kind("released"), seed)
        attempt = self.attempt(self.model.lines[lines[0]].batch, 1, lines)
        self.wait(lambda: self.recorder.intend_again(attempt))
        assert self.log.synced == self.log.end
        self.model.intend_again(lines)
        self.remember()

    @rule()
    def sync(self) -> None:
        self.wait(self.log.sync)

    @precondition(lambda self: not self.ledger.open_records and not self.ledger.sealed)
    @rule()
    def seal(self) -> None:
        self.wait(lambda: self.recorder.seal(self.now))
        self.model.sealed = True
        self.remember()

    # --- how a process ends, and the next one begins ---

    @rule()
    def stop(self) -> None:
        self.log.close()
        self._reopen(survived=True)

    @rule()
    def kill(self) -> None:
        self.disk.kill()
        self._reopen(survived=True)

    @rule(seed=some)
    def cut_power(self, seed: int) -> None:
        confirmed = self.log.synced
        self.disk.cut_power(random.Random(seed))
        self.boot += 1
        self._reopen(survived=False, confirmed=confirmed)

    def _reopen(self, *, survived: bool, confirmed: int = 0) -> None:
        log = CheckpointLog.open(PATH, filesystem=self.disk, boot=f"boot-{self.boot}")
        assert log.end >= confirmed, "what was confirmed is there"
        back = {end: model for end, model in self.past if end <= log.end}
        self.model = back[log.end].copy()
        self.past = [(end, model) for end, model in self.past if end <= log.end]
        self.model.crash(survived=survived)
        self.learnt = {}
        self.now += 1
        log.begin(Opening(INPUT, self.now, US))
        self.log, self.recorder = log, Recorder(log, lambda _event: None)
        self.remember()

    # --- what always holds ---

    @invariant()
    def the_ledger_says_what_the_model_says(self) -> None:
        if not hasattr(self, "log"):
            return
        told: dict[int, str] = {}
        held: set[int] = set()
        for batch in self.ledger.open_batches():
            parts = {
                "allowed": batch.allowed,
                "released": batch.released,
                "sent": batch.sent,
                "in doubt": batch.in_doubt,
            }
            for kind, lines in parts.items():
                for line in ranges.to_lines(lines):
                    assert line not in told, "a line is in one part"
                    told[line] = kind
            held.update(ranges.to_lines(batch.held))
        expected = {number: one.kind for number, one in self.model.lines.items() if not one.final}
        assert told == expected
        assert held == {number for number, one in self.model.lines.items() if one.held}
        assert self.ledger.sealed == self.model.sealed

    @invariant()
    def the_counts_add_up(self) -> None:
        if not hasattr(self, "log"):
            return
        tally = self.ledger.tally()
        assert tally.inserted == len([one for one in self.model.lines.values() if one.final == "inserted"])
        assert tally.invalid == len(self.model.invalid)
        assert tally.in_doubt == len(self.model.of_kind("in doubt"))
        assert tally.records == len(self.model.lines) + len(self.model.invalid)
        assert tally.recovered == self.model.recovered

    @invariant()
    def no_record_that_the_server_has_may_leave_as_new(self) -> None:
        strange = [line for line in self.model.of_kind("allowed", "released") if line in self._applied()]
        assert not strange, f"lines {strange} are there and may be sent as if for the first time"

    @invariant()
    def another_reader_of_the_log_sees_the_same(self) -> None:
        if not hasattr(self, "log"):
            return
        content = self.disk.content(PATH)
        again = Ledger()
        for offset, entry in Scan(lambda at, size: content[at : at + size]):
            again.apply(entry, offset=offset)
        assert again.tally() == self.ledger.tally()

    def _applied(self) -> dict[int, str]:
        return self.crm.ids if hasattr(self, "crm") else {}

    def _resting(self) -> list[int]:
        """In doubt, and not in flight again."""
        return [line for line in self.model.of_kind("in doubt") if not self.model.lines[line].flights]

    def _of_one_batch(self, lines: list[int], seed: int) -> list[int]:
        batch = self.model.lines[random.Random(seed).choice(lines)].batch
        return chosen([line for line in lines if self.model.lines[line].batch == batch], seed)


DeliveryMachine.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestDeliveryMachine = DeliveryMachine.TestCase
