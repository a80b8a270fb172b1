"""Shows that the judge of simulated loads sees each kind of unsound end, and calls a sound one sound."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import msgspec
import pytest

from tests.log_oracle import check_log, check_rows, lines_in
from tests.log_reader import End, Standing, frames_of, standing_of
from tests.simulation.oracle import breaches_of
from tests.simulation.plan import Kind, Mode, Plan, plan_of
from tests.simulation.world import World, play


def _plain(plan: Plan) -> bool:
    plain = plan.mode is Mode.NO_KEY and set(plan.kinds) == {Kind.PLAIN} and plan.limit is None
    return (
        plain and 6 < len(plan.lines) < 40 and not plan.locked and plan.fault_share == 0.0 and not plan.lives
    )


SEED = next(seed for seed in range(1, 10_000) if _plain(plan_of(seed)))


@pytest.fixture(scope="module")
def ended() -> World:
    world = play(plan_of(SEED))
    assert breaches_of(world) == []
    return world


@pytest.fixture
def standing(ended: World) -> Standing:
    return standing_of(ended.log())


def _rows(world: World) -> dict[str, tuple[int, bytes]]:
    return {row.id: (row.line, row.raw) for row in world.crm.rows.values()}


def _judge(world: World, standing: Standing, rows: dict[str, tuple[int, bytes]]) -> str:
    lines = lines_in(world.plan.content)
    return "\n".join([*check_log(world.plan.content, standing), *check_rows(lines, standing, rows)])


def test_a_sound_end_is_called_sound(ended: World, standing: Standing) -> None:
    assert _judge(ended, standing, _rows(ended)) == ""


Rows = dict[str, tuple[int, bytes]]


def _lost(standing: Standing, rows: Rows) -> None:
    del rows[standing.ends[3].id]


def _doubled(standing: Standing, rows: Rows) -> None:
    rows["999"] = rows[standing.ends[3].id]


def _changed(standing: Standing, rows: Rows) -> None:
    rows[standing.ends[3].id] = (3, b'{"Line": 3}')


def _swapped(standing: Standing, rows: Rows) -> None:
    standing.ends[3], standing.ends[4] = standing.ends[4], standing.ends[3]


def _same_id(standing: Standing, rows: Rows) -> None:
    standing.ends[3] = standing.ends[4]


def _rejected_and_stored(standing: Standing, rows: Rows) -> None:
    standing.ends[3] = End("rejected", code="INVALID_DATA")


def _never_allowed(standing: Standing, rows: Rows) -> None:
    standing.records.remove(3)


def _other_bytes(standing: Standing, rows: Rows) -> None:
    standing.pieces[0] = standing.pieces[0]._replace(crc=zlib.crc32(b"another input"))


def _not_to_the_end(standing: Standing, rows: Rows) -> None:
    last = standing.pieces.pop()
    for line in range(last.first_line, last.first_line + last.line_count):
        standing.records.discard(line)
        rows.pop(standing.ends.pop(line).id)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (_lost, "I2"),
        (_doubled, "I3"),
        (_changed, "I2"),
        (_swapped, "I2"),
        (_same_id, "I2"),
        (_rejected_and_stored, "I4"),
        (_never_allowed, "I4"),
        (_other_bytes, "I1"),
        (_not_to_the_end, "I1: sealed"),
    ],
)
def test_an_unsound_end_is_seen(
    ended: World, standing: Standing, spoil: Callable[[Standing, Rows], None], named: str
) -> None:
    rows = _rows(ended)
    spoil(standing, rows)
    assert named in _judge(ended, standing, rows)


@pytest.mark.parametrize("type_again", [4, 6, 9])
def test_a_frame_that_comes_twice_breaks_the_log(ended: World, type_again: int) -> None:
    """SENT and OUTCOMES of what has ended, and a SEAL that no longer agrees."""
    frames = list(frames_of(ended.log()))
    standing = Standing()
    for frame in frames:
        standing.add(frame)
    again = next(frame for frame in frames if frame.type == type_again)
    if type_again == 9:
        again = again._replace(body=[{"inserted": 1}, *again.body[1:]])
    standing.add(again)
    assert standing.broken


def test_the_reader_stops_at_the_first_byte_that_is_wrong(ended: World) -> None:
    content = bytearray(ended.log())
    frames = list(frames_of(bytes(content)))
    content[frames[2].offset + 25] ^= 1
    assert list(frames_of(bytes(content))) == frames[:2]
    assert list(frames_of(bytes(content[: frames[1].stop - 1]))) == frames[:1]


def test_the_reader_agrees_with_the_layout_of_the_reference_page() -> None:
    """A HEAD by hand: marker, type, reserved, length, checksum over offset, header and body, synced."""
    body = msgspec.msgpack.encode([1, "load"])
    start = b"\xc5\x1d\x01\x00" + len(body).to_bytes(4, "little")
    crc = zlib.crc32(bytes(8) + start + bytes(8) + body)
    content = start + crc.to_bytes(4, "little") + bytes(8) + body + bytes(64)
    assert [(one.type, one.body) for one in frames_of(content)] == [(1, [1, "load"])]


def test_what_the_network_and_the_lives_noted_is_told_too(ended: World) -> None:
    ended.breaches.append("I7: the load did not end")
    ended.network.breaches.append("I3: a line left twice")
    try:
        assert breaches_of(ended) == ["I7: the load did not end", "I3: a line left twice"]
    finally:
        ended.breaches.clear()
        ended.network.breaches.clear()
