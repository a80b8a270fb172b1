"""Thousands of seeded loads against everything that can go wrong at once, in virtual time.

    SIM_SEEDS=20000 pytest tests/simulation                  another number of seeds
    SIM_SEED=1234 pytest -s tests/simulation -k one_seed     one of them, with all that happened

Docs: docs/design/crash-testing.md, "Simulation".
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from tests import shares
from tests.log_reader import standing_of
from tests.simulation.oracle import breaches_of
from tests.simulation.plan import Deed, Fall, Kind, Mode, Storm, plan_of
from tests.simulation.world import World, play

SEEDS: Final = int(os.environ.get("SIM_SEEDS", "3000"))
SOAK_SEEDS: Final = int(os.environ.get("SIM_SOAK_SEEDS", "50000"))
BLOCK: Final = 1000
"""Seeds of one test: so many that each kind of fault has to occur among them."""
ROOT: Final = Path(__file__).parents[2]

MUST_OCCUR: Final = frozenset(
    {f"insert {one.name}" for one in Deed}
    | {f"storm {one.name}" for one in Storm}
    | {f"crash {one.name}" for one in Fall}
    | {f"end {one.name}" for one in Fall}
    | {f"mode {one.name}" for one in Mode}
    | {f"line {one.name}" for one in Kind}
    | {f"disk {one}" for one in ("write", "sync_data", "allocate", "truncate", "open")}
    | {f"ending {one}" for one in ("crashed", "stopped", "done", "DISK", "NOT_NOW", "USAGE")}
    | {"resume", "question", "doubt", "signal", "second signal", "side file", "evicted"}
    | {"compressed", "limited", "eight crashes", "late apply"}
    | {"recovered", "resolved", "held", "sealed", "duplicate", "rejected"}
)
"""What a block of seeds has to meet, or it has tested less than it says."""


def played(seed: int) -> World:
    """The world of a seed, judged.

    Raises:
        AssertionError: something is wrong with it; the text says how to repeat it.
    """
    plan = plan_of(seed)
    try:
        world = play(plan)
    except BaseException as error:
        error.add_note(_again(seed))
        raise
    breaches = breaches_of(world)
    assert not breaches, "\n".join([_again(seed), *breaches[:12]])
    return world


def _again(seed: int) -> str:
    return f"repeat it: SIM_SEED={seed} pytest -s tests/simulation -k one_seed"


def count(seen: Counter[str], world: World) -> None:
    """Adds what happened in this world."""
    plan, standing = world.plan, standing_of(world.log())
    seen.update(world.seen)
    seen.update(f"line {kind.name}" for kind in plan.kinds)
    seen.update(end.outcome for end in standing.ends.values())
    seen[f"mode {plan.mode.name}"] += 1
    seen["record"] += len(standing.records)
    seen["held"] += len(standing.held)
    seen["resolved"] += len(standing.resolved)
    seen["recovered"] += sum(end.recovered for end in standing.ends.values())
    seen["sealed"] += standing.seal is not None
    seen["compressed"] += plan.compressed
    seen["limited"] += plan.limit is not None
    seen["eight crashes"] += world.endings.count("crashed") == 8


def play_all(seeds: range) -> Counter[str]:
    """Plays them one after the other and says what was met."""
    began = time.process_time()
    seen: Counter[str] = Counter()
    for seed in seeds:
        count(seen, played(seed))
    seconds = time.process_time() - began
    shares.count("seeds", len(seeds))
    print(f"\nseeds {seeds.start} to {seeds.stop - 1}: {seconds:.1f} s")
    print("  " + ", ".join(f"{name} {seen[name]:,}" for name in sorted(seen)))
    return seen


def require_all_kinds(seen: Counter[str]) -> None:
    missing = sorted(name for name in MUST_OCCUR if not seen[name])
    assert not missing, f"none of these seeds met: {', '.join(missing)}"


@pytest.mark.timeout(240)
@pytest.mark.parametrize("first", range(1, SEEDS + 1, BLOCK))
def test_no_seed_loses_or_doubles_a_record(first: int) -> None:
    seeds = range(first, min(first + BLOCK, SEEDS + 1))
    seen = play_all(seeds)
    if len(seeds) == BLOCK:
        require_all_kinds(seen)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_many_more_seeds() -> None:
    require_all_kinds(play_all(range(1_000_001, 1_000_001 + SOAK_SEEDS)))


def test_one_seed() -> None:
    seed = int(os.environ.get("SIM_SEED", "1"))
    print(plan_of(seed))
    world = play(plan_of(seed))
    print(*world.network.trace, *world.endings, sep="\n")
    breaches = breaches_of(world)
    assert not breaches, "\n".join(breaches)


def digest_of(seeds: range) -> str:
    """Of everything that happens in these seeds, byte for byte."""
    digests = [play(plan_of(seed)).digest() for seed in seeds]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def test_the_same_seed_gives_the_same_trace_in_another_process() -> None:
    """Neither the order of sets nor the process id may matter, or no failure could be repeated."""
    seeds = range(1, 21)
    code = f"from tests.simulation.test_simulation import digest_of; print(digest_of({seeds!r}))"
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    other = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, check=True, timeout=50
    )
    assert other.stdout.decode().strip() == digest_of(seeds)


def test_different_seeds_give_different_traces() -> None:
    assert len({play(plan_of(seed)).digest() for seed in range(1, 11)}) == 10
