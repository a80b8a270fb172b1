"""Access tokens of one account: ten in ten minutes for all loads of the machine, one request at a time."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from loader.machine.grants import SharedGrants
from loader.throttle.grants import OwnGrants, wait_s
from loader.wire.limits import TOKENS_MAX, TOKENS_WINDOW_S

NOW = 1_800_000_000.0
WINDOW = float(TOKENS_WINDOW_S)


class Machine:
    def __init__(self, folder: Path) -> None:
        self.folder = folder / "state" / "credentials"
        self.now = NOW
        self.warned: list[str] = []

    def load(self) -> SharedGrants:
        return SharedGrants(self.folder, warn=self.warned.append, clock=lambda: self.now)

    def asks(self, grants: SharedGrants) -> float:
        """One token, if it may be had now."""
        left = grants.take()
        if left == 0.0:
            grants.granted()
        return left


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("granted_at", "expected"),
    [
        ([], 0.0),
        ([NOW] * 9, 0.0),
        ([NOW] * 10, WINDOW),
        ([NOW - 100] + [NOW] * 9, WINDOW - 100),
        ([NOW - WINDOW] + [NOW] * 9, 0.0),
        ([NOW - 300] * 3 + [NOW - 100] * 9, WINDOW - 300),
        ([NOW + 60] * 10, WINDOW + 60),  # the clock was set back a little
        ([NOW + 2 * WINDOW] * 10, 0.0),  # that is no time at which anything was granted
        ([0.0] * 10, 0.0),
    ],
)
def test_when_a_token_may_be_asked_for(granted_at: list[float], expected: float) -> None:
    assert wait_s(granted_at, NOW) == expected


def test_ten_tokens_in_ten_minutes_for_all_loads_together(machine: Machine) -> None:
    one, other = machine.load(), machine.load()
    assert [machine.asks((one, other)[number % 2]) for number in range(TOKENS_MAX)] == [0.0] * TOKENS_MAX
    assert machine.asks(one) == machine.asks(other) == machine.asks(machine.load()) == WINDOW
    machine.now += WINDOW
    assert machine.asks(other) == 0.0


def test_a_token_that_came_with_a_grant_code_counts_for_all_loads(machine: Machine) -> None:
    one, other = machine.load(), machine.load()
    one.add()
    assert [machine.asks(other) for _ in range(TOKENS_MAX - 1)] == [0.0] * (TOKENS_MAX - 1)
    assert machine.asks(machine.load()) == WINDOW
    one.add()  # the service says so, whatever is counted here
    machine.now += WINDOW
    assert machine.asks(other) == 0.0


def test_what_was_not_granted_does_not_count_and_what_was_counts_from_its_answer(machine: Machine) -> None:
    one = machine.load()
    for _ in range(30):
        assert one.take() == 0.0
        one.give_back()
    for _ in range(TOKENS_MAX):
        assert one.take() == 0.0
        machine.now += 1
        one.granted()
    assert machine.asks(machine.load()) == WINDOW - TOKENS_MAX + 1


def test_one_asks_at_a_time(machine: Machine) -> None:
    one, other = machine.load(), machine.load()
    assert one.try_turn()
    assert not other.try_turn()
    one.end_turn()
    assert other.try_turn()
    other.close()
    assert one.try_turn()


def test_the_files_are_private_and_hold_times_alone(machine: Machine) -> None:
    one = machine.load()
    assert one.try_turn()
    machine.asks(one)
    for path in machine.folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    assert {path.name: path.stat().st_size for path in machine.folder.iterdir()} == {"grants": 88, "turn": 0}


@pytest.mark.parametrize(
    "content",
    [random.Random(1).randbytes(88), bytes(88), b"grants-1", b"grants-1" + b"\xff" * 80, b"x" * 1000],
    ids=["garbage", "zeros", "cut", "no numbers", "too long"],
)
def test_damaged_times_are_set_aside(machine: Machine, content: bytes) -> None:
    machine.asks(machine.load())
    (machine.folder / "grants").write_bytes(content)
    one = machine.load()
    assert machine.asks(one) == 0.0
    kept = machine.folder / "grants.damaged-1"
    assert bool(machine.warned) == kept.exists() == (content != b"grants-1")
    for _ in range(TOKENS_MAX - 1):
        assert machine.asks(machine.load()) == 0.0
    assert machine.asks(one) > 0


def test_times_that_disappear_are_begun_anew_and_the_own_are_remembered(machine: Machine) -> None:
    one = machine.load()
    for _ in range(TOKENS_MAX):
        machine.asks(one)
    (machine.folder / "grants").unlink()
    assert machine.asks(one) == WINDOW
    assert machine.asks(machine.load()) == 0.0
    assert machine.warned == []


def test_times_far_ahead_are_forgotten(machine: Machine) -> None:
    machine.now += 1e6
    one = machine.load()
    for _ in range(TOKENS_MAX):
        machine.asks(one)
    machine.now -= 1e6
    other = machine.load()
    assert [machine.asks(other) for _ in range(TOKENS_MAX)] == [0.0] * TOKENS_MAX
    assert machine.asks(machine.load()) == WINDOW


def test_where_nothing_can_be_kept_a_load_counts_its_own_and_warns_once(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    machine = Machine(tmp_path)
    one = machine.load()
    one.add()
    assert one.try_turn()
    for _ in range(TOKENS_MAX):
        assert machine.asks(one) == 0.0
    assert machine.asks(one) == WINDOW
    one.end_turn()
    one.close()
    assert len(machine.warned) == 1


def test_a_process_alone_counts_as_the_machine_does() -> None:
    now = [NOW]
    own = OwnGrants(lambda: now[0])
    own.granted()
    own.give_back()
    assert own.try_turn()
    for _ in range(TOKENS_MAX):
        assert own.take() == 0.0
        own.granted()
    assert own.take() == WINDOW
    own.give_back()
    assert own.take() == 0.0
    own.end_turn()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_descriptor_is_left_open(machine: Machine) -> None:
    before = open_files()
    one, other = machine.load(), machine.load()
    assert one.try_turn()
    assert not other.try_turn()
    machine.asks(one)
    one.close()
    other.close()
    assert open_files() == before
