"""`python -m benchmarks.stages STAGE [--records N] [--rounds N]`: one stage of a load, alone in this process.

It prints the CPU nanoseconds a record of each round, as JSON. Each stage is fed what the one before it gives,
made beforehand. The first round warms up and is not shown.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.data import leads
from benchmarks.log import make_log, replay
from benchmarks.sink import answer
from loader.checkpoint.scan import fold
from loader.schema.check import Checker
from loader.schema.modules import standard_module
from loader.source.batches import BatchCutter
from loader.source.lines import Item, LineSplitter
from loader.source.streams import READ_BYTES
from loader.wire.answers import Inserted, read_insert
from loader.wire.messages import HttpReply
from loader.wire.requests import insert

LINE_BYTES_MAX: Final = 1024 * 1024
"""The loader's default."""

Round = Callable[[], float]
"""CPU seconds of one pass over all records."""


def pieces_of(records: int) -> list[bytes]:
    """The input, in pieces."""
    whole = b"".join(leads(records, seed=7))
    return [whole[at : at + READ_BYTES] for at in range(0, len(whole), READ_BYTES)]


def items_of(records: int) -> list[Item]:
    """The lines of the input, as the splitter gives them."""
    splitter = LineSplitter(LINE_BYTES_MAX)
    return [item for piece in pieces_of(records) for item in splitter.feed(piece)]


def timed(work: Callable[[], object]) -> float:
    """CPU seconds of that."""
    began = time.process_time()
    work()
    return time.process_time() - began


def exhaust(things: Iterable[object]) -> None:
    """To the end."""
    for _ in things:
        pass


def split(records: int) -> Round:
    """Bytes -> lines with numbers and offsets."""
    pieces = pieces_of(records)

    def work() -> None:
        splitter = LineSplitter(LINE_BYTES_MAX)
        for piece in pieces:
            splitter.feed(piece)

    return partial(timed, work)


def check(records: int) -> Round:
    """The lines of a batch -> what is wrong with each: nothing."""
    module = standard_module("Leads")
    assert module is not None
    problems_of = Checker(module).problems_of
    lines = list(leads(records, seed=7))
    batches = [lines[first : first + 100] for first in range(0, records, 100)]
    return partial(timed, lambda: exhaust(map(problems_of, batches)))


def batch(records: int) -> Round:
    """Lines -> batches with spans and checksums; no check."""
    items = items_of(records)
    return partial(timed, lambda: exhaust(BatchCutter(lambda _line: ()).feed(items)))


def body(records: int) -> Round:
    """Batch -> request."""
    batches = [one.records for one in BatchCutter(lambda _line: ()).feed(items_of(records))]
    return partial(timed, lambda: exhaust(insert("Leads", batch) for batch in batches))


def decode(records: int) -> Round:
    """Answer -> ids."""
    replies = [HttpReply(201, answer(100, call), {}, 0.0, 1) for call in range(records // 100)]
    assert isinstance(read_insert(replies[0], 100), Inserted)
    return partial(timed, lambda: exhaust(read_insert(reply, 100) for reply in replies))


class Log:
    """A log on disk for as long as the process lives."""

    def __init__(self, records: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="loader-benchmark-")
        self.load_dir = Path(self._folder.name)
        data = self.load_dir / "leads.ndjson"
        data.write_bytes(b"\n")
        asyncio.run(make_log(data, self.load_dir / "checkpoint.log", "http://127.0.0.1", records))


def log(records: int) -> Round:
    """Window, sent, outcomes -> the checkpoint log, its syncs among them."""
    made = Log(records)
    return lambda: asyncio.run(replay(made.load_dir))


def fold_log(records: int) -> Round:
    """The checkpoint log -> what it adds up to: what a resume reads first."""
    made = Log(records)
    return partial(timed, lambda: fold(made.load_dir / "checkpoint.log"))


STAGES: Final[dict[str, Callable[[int], Round]]] = {
    "split": split,
    "check": check,
    "batch": batch,
    "body": body,
    "decode": decode,
    "log": log,
    "fold": fold_log,
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.stages", description=__doc__)
    made.add_argument("stage", choices=STAGES)
    made.add_argument("--records", type=int, default=100_000, help="a multiple of 1,000")
    made.add_argument("--rounds", type=int, default=9)
    return made


def main() -> None:
    """Read the arguments, measure, print."""
    arguments = parser().parse_args()
    run = STAGES[arguments.stage](arguments.records)
    run()
    gc.collect()
    gc.freeze()
    print(json.dumps([round(run() * 1e9 / arguments.records, 1) for _ in range(arguments.rounds)]))


if __name__ == "__main__":
    main()
