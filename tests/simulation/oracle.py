"""The judge of a simulated load: what it came to, against what the plan made of each line."""

from __future__ import annotations

from collections.abc import Iterator

from tests.log_oracle import check_log, check_rows, lines_in
from tests.log_reader import Standing, standing_of
from tests.simulation.plan import Kind, Mode, Plan
from tests.simulation.world import World

_INVALID = {Kind.BROKEN, Kind.NAMELESS, Kind.STAMPED}


def breaches_of(world: World) -> list[str]:
    """Everything that is wrong with the end of this world."""
    plan = world.plan
    standing = standing_of(world.log())
    rows = {row.id: (row.line, _unstamped(plan, row.raw)) for row in world.crm.rows.values() if row.line}
    return [
        *world.breaches,
        *world.network.breaches,
        *check_log(plan.content, standing, limit=plan.limit),
        *check_rows(lines_in(plan.content), standing, rows),
        *_complete(plan, standing),
        *_outcomes(world, standing),
        *_held(world, standing),
    ]


def _unstamped(plan: Plan, raw: bytes) -> bytes:
    """The record as it was in the input; that the stamp was right is seen as it leaves."""
    return raw.rpartition(b',"Stamp":"')[0] + b"}" if plan.mode is Mode.STAMP else raw


def _complete(plan: Plan, standing: Standing) -> Iterator[str]:
    """I1, I7: the load has gone through its input, and is sealed unless something is held."""
    expected, records = 0, 0
    for number, kind in enumerate(plan.kinds, 1):
        records += kind is not Kind.BLANK
        if plan.limit is not None and records > plan.limit:
            break
        expected = number
        if records == plan.limit:
            break
    if standing.lines != expected:
        yield f"I1: the windows end with line {standing.lines}, the input of this load with line {expected}"
    if standing.unsettled != standing.held:
        yield f"I7: lines {sorted(standing.unsettled - standing.held)} were left undone"
    if (standing.seal is None) is not bool(standing.held):
        yield f"I7: sealed: {standing.seal}, held: {sorted(standing.held)}"


def _outcomes(world: World, standing: Standing) -> Iterator[str]:
    """Each line came to an end that what it is allows."""
    plan = world.plan
    for line in range(1, standing.lines + 1):
        kind = plan.kind(line)
        if (kind in _INVALID) is not (line in standing.invalid):
            yield f"I4: line {line} is {kind.name} and is called {standing.invalid.get(line, 'valid')}"
        end = standing.ends.get(line)
        if end is not None and end.outcome not in _possible(plan, line):
            yield f"line {line} is {kind.name} and ended as {end}"
        if end is not None and end.outcome == "duplicate":
            row = world.crm.rows.get(end.id)
            if row is None or row.line == line:
                yield f"line {line} is called a duplicate of {row}"


def _possible(plan: Plan, line: int) -> set[str]:
    kind = plan.kind(line)
    if kind in (Kind.REFUSED, Kind.POISON):
        return {"rejected"}
    ends = {"inserted", "rejected"} if line in dict(plan.locked) else {"inserted"}
    if plan.mode is not Mode.UNIQUE_KEY:
        return ends
    if kind in (Kind.THEIRS, Kind.OURS_OF_OLD):
        return {"duplicate"}
    key = plan.key(line)
    shared = bool(key) and plan.keys.count(key) > 1
    return ends | {"duplicate"} if shared or kind is Kind.SOON_THEIRS else ends


def _held(world: World, standing: Standing) -> Iterator[str]:
    """I5: what is held is explained: its answer was lost, or a crash took what was known of it."""
    plan = world.plan
    for line in sorted(standing.held):
        if line not in world.explained:
            yield f"I5: line {line} is held, and nothing happened to it"
        if plan.mode is Mode.NO_KEY:
            continue
        key = plan.key(line)
        shared = plan.keys.count(key) > 1 or plan.kind(line) is not Kind.PLAIN
        if plan.mode is Mode.STAMP or (key and not shared and plan.user_known):
            yield f"I5: line {line} ({plan.kind(line).name}) is held, although its key tells whose it is"
