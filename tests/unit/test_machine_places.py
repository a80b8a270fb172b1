"""Places in flight among loads of one machine: fair shares, and what is left is had by the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from loader.machine import places as module
from loader.machine.places import LOOK_S, SETTLE_S, SILENT_S, SharedPlaces


class Machine:
    """Loads of one organisation, on a clock that the test sets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "state" / "places"
        self.now = 1000.0
        self.warned: list[str] = []

    def load(self) -> SharedPlaces:
        places = SharedPlaces(warn=self.warned.append, clock=lambda: self.now)
        places.join(self.folder)
        return places

    def settled(self, *loads: SharedPlaces, ceiling: int = 10) -> list[int]:
        """The shares of loads that are busy, when all of them have looked around for a while."""
        for _ in range(int(2 * SETTLE_S / LOOK_S) + 2):
            self.now += LOOK_S
            shares = [each.share(ceiling, wants=True) for each in loads]
        return shares


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_load_alone_has_all_places(machine: Machine) -> None:
    assert machine.load().share(10, wants=True) == 10


@pytest.mark.parametrize(("loads", "shares"), [(2, [5, 5]), (3, [4, 3, 3]), (4, [3, 3, 2, 2])])
def test_loads_that_are_busy_share_evenly(machine: Machine, loads: int, shares: list[int]) -> None:
    assert machine.settled(*(machine.load() for _ in range(loads))) == shares


def test_more_loads_than_places_have_one_each(machine: Machine) -> None:
    assert machine.settled(*(machine.load() for _ in range(12))) == [1] * 12


def test_who_wants_less_leaves_the_rest_to_the_others(machine: Machine) -> None:
    small, large = machine.load(), machine.load()
    for _ in range(20):
        machine.now += LOOK_S
        shares = small.share(3, wants=True), large.share(10, wants=True)
    assert shares == (3, 7)


def test_a_newcomer_waits_until_places_are_left(machine: Machine) -> None:
    first, second = machine.load(), machine.load()
    assert first.share(10, wants=True) == 10
    assert second.share(10, wants=True) == 1
    machine.now += LOOK_S
    assert first.share(10, wants=True) == 5
    machine.now += LOOK_S
    assert second.share(10, wants=True) == 1  # the calls that the first has on their way have to end
    machine.now += SETTLE_S
    assert (first.share(10, wants=True), second.share(10, wants=True)) == (5, 5)


def test_together_they_never_have_more_than_there_are_but_for_a_newcomers_one(machine: Machine) -> None:
    loads = [machine.load()]
    for number in range(60):
        if number in (8, 20):
            loads.append(machine.load())
        machine.now += LOOK_S / 2
        shares = [each.share(10, wants=number % 7 != index) for index, each in enumerate(loads)]
        wanting = [share for index, share in enumerate(shares) if number % 7 != index]
        assert sum(wanting) <= 10 + len(loads) - 1


def test_an_idle_load_leaves_its_places_and_has_them_back(machine: Machine) -> None:
    one, other = machine.load(), machine.load()
    machine.settled(one, other)
    one.share(10, wants=False)
    machine.now += LOOK_S
    assert other.share(10, wants=True) == 10
    assert one.share(10, wants=True) == 1
    assert machine.settled(one, other) == [5, 5]


def test_a_load_that_is_idle_for_a_moment_keeps_its_share(machine: Machine) -> None:
    one, other = machine.load(), machine.load()
    machine.settled(one, other)
    for _ in range(50):
        machine.now += LOOK_S / 10
        one.share(10, wants=False)
        assert one.share(10, wants=True) == 5
        assert other.share(10, wants=True) == 5


def test_the_places_of_a_load_that_ended_are_free_at_once(machine: Machine) -> None:
    one, other = machine.load(), machine.load()
    machine.settled(one, other)
    one.close()
    machine.now += LOOK_S
    assert other.share(10, wants=True) == 10
    third = machine.load()
    assert len(list(machine.folder.iterdir())) == 2
    assert machine.settled(third, other) == [5, 5]


def test_a_load_that_has_stopped_for_long_is_not_reckoned_with(machine: Machine) -> None:
    one, other = machine.load(), machine.load()
    machine.settled(one, other)
    machine.now += SILENT_S + 1
    assert other.share(10, wants=True) == 10


def test_between_two_looks_nothing_is_asked_of_the_disk(machine: Machine) -> None:
    one = machine.load()
    assert one.share(10, wants=True) == 10
    other = machine.load()
    other.share(10, wants=True)
    for _ in range(100):
        assert one.share(10, wants=True) == 10
    machine.now += LOOK_S
    assert one.share(10, wants=True) == 5


@pytest.mark.parametrize("content", [b"", b"x", b"\xff" * 16, b"\xff\x7f" * 8])
def test_what_no_load_has_written_counts_for_nothing(machine: Machine, content: bytes) -> None:
    one, other = machine.load(), machine.load()
    other.share(10, wants=True)
    (machine.folder / "1").write_bytes(content)
    (machine.folder / "notes.txt").write_text("somebody's")
    machine.now += LOOK_S
    assert one.share(10, wants=True) == 10
    assert machine.warned == []


def test_where_nothing_can_be_kept_a_load_takes_all_places_and_warns_once(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    machine = Machine(tmp_path)
    one = machine.load()
    assert [one.share(10, wants=True) for _ in range(3)] == [10] * 3
    assert len(machine.warned) == 1


def test_a_folder_that_disappears_stops_no_load(machine: Machine) -> None:
    one = machine.load()
    one.share(10, wants=True)
    (machine.folder / "0").unlink()
    machine.folder.rmdir()
    machine.now += LOOK_S
    assert [one.share(10, wants=True) for _ in range(3)] == [10] * 3
    assert len(machine.warned) == 1


def test_one_load_too_many_shares_nothing(machine: Machine) -> None:
    loads = [machine.load() for _ in range(module.SLOTS_MAX)]
    assert machine.load().share(10, wants=True) == 10
    assert "shares no places" in machine.warned[0]
    for each in loads:
        each.close()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_descriptor_is_left_open(machine: Machine) -> None:
    before = open_files()
    one, other = machine.load(), machine.load()
    machine.settled(one, other)
    one.close()
    other.close()
    assert open_files() == before
