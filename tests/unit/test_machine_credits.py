"""Credits on disk: several loads, one count; and whatever stands in the file's place stops nobody."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.events import CreditsCounted
from loader.machine.credits import ADVANCE_CALLS, PLENTY, SLOTS, SharedCredits
from loader.machine.files import lock, open_private
from loader.throttle.credits import counts, minute_of
from loader.wire.limits import CREDITS_WINDOW_S

NOW = 1_800_000_000.0
DAY = float(CREDITS_WINDOW_S)


class Machine:
    """Loads of one organisation, on a clock that the test sets."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state" / "credits"
        self.now = NOW
        self.warned: list[str] = []

    def load(
        self,
        *,
        total: int | None = None,
        word: int | None = None,
        keep: Callable[[int], int] = lambda _total: 0,
        joined: bool = True,
    ) -> SharedCredits:
        credits = SharedCredits(total=word, keep=keep, warn=self.warned.append, clock=lambda: self.now)
        if joined:
            credits.join(self.path, total=total)
        return credits


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_two_loads_spend_from_one_budget(machine: Machine) -> None:
    one, other = machine.load(total=100), machine.load()
    for each in (one, other, one, other, one, other, one, other, one, other):
        assert each.take(10) == 0.0
    assert one.take(1) == other.take(1) == DAY + 60
    assert one.own() == other.own() == 100
    other.give_back(10)
    assert one.take(10) == 0.0
    machine.now += DAY + 60
    assert other.take(100) == 0.0
    assert one.own() == 100
    assert machine.warned == []


def test_what_is_left_is_told_of_a_day_where_the_day_is_known_for_good(machine: Machine) -> None:
    unknown = machine.load()
    assert unknown.counted() is None
    unknown.take(10)
    unknown.correct(90)
    assert unknown.counted() == CreditsCounted(90)
    known = machine.load(word=1_000)
    assert known.counted() == CreditsCounted(990, 1_000)


def test_what_is_spent_is_on_disk_before_the_call_leaves(machine: Machine) -> None:
    machine.load(total=100).take(10)
    assert machine.load().own() == 10


def test_what_was_spent_before_the_organisation_was_known_is_counted_there(machine: Machine) -> None:
    machine.load(total=100).take(10)
    late = machine.load(joined=False)
    assert late.take(3) == 0.0
    late.join(machine.path, total=100)
    assert machine.load().own() == 13
    late.join(machine.path, total=100)
    late.join(machine.path, total=100)
    assert machine.load().own() == 13


def test_where_there_is_plenty_the_next_calls_are_charged_at_once_and_what_was_not_needed_comes_back(
    machine: Machine,
) -> None:
    load = machine.load(total=PLENTY)
    load.take(10)
    load.take(5)
    assert machine.load().own() == ADVANCE_CALLS * 10, "on disk before they leave"
    assert load.own() == 15, "the load itself knows better"
    assert load.counted() == CreditsCounted(PLENTY - 15, PLENTY)
    load.close()
    assert machine.load().own() == 15
    machine.load().take(10)
    assert machine.load().own() == 25, "there is no plenty any more"


def test_what_was_charged_in_advance_is_not_carried_into_another_minute(machine: Machine) -> None:
    load = machine.load(total=1_000_000)
    load.take(10)
    machine.now += 60
    load.take(10)
    load.close()
    assert load.standing().coming_back == ((DAY, 10), (DAY + 60, 10))


def test_what_was_charged_in_advance_counts_as_nobody_elses(machine: Machine) -> None:
    load = machine.load(total=1_000_000)
    load.take(10)
    load.correct(1_000_000 - 10 - 300)
    assert load.standing().spent == 310
    load.close()
    assert machine.load().standing().spent == 310


def test_a_dearer_call_adds_to_what_is_left_of_the_advance(machine: Machine) -> None:
    load = machine.load(total=1_000_000)
    for credits in (1, 10, 3, 1):
        load.take(credits)
    load.close()
    assert machine.load().own() == 15


def test_the_files_are_private(machine: Machine) -> None:
    machine.load().take(1)
    assert machine.path.stat().st_mode & 0o777 == 0o600
    assert machine.path.parent.stat().st_mode & 0o777 == 0o700


def test_a_persons_word_goes_before_the_edition_and_is_not_for_others(machine: Machine) -> None:
    one = machine.load(total=1000, word=20)
    assert (one.take(20), one.take(1)) == (0.0, DAY + 60)
    assert machine.load().take(900) == 0.0


def test_what_is_kept_is_left_to_other_programs(machine: Machine) -> None:
    one = machine.load(total=100, keep=lambda total: total // 5)
    assert one.take(80) == 0.0
    assert one.take(1) > 0
    assert not one.spent_out()
    standing = one.standing()
    assert (standing.total, standing.kept, standing.spent, standing.usable) == (100, 20, 80, 80)
    assert machine.load(total=100).take(11) == 0.0
    assert one.spent_out()


def test_no_two_minutes_that_count_share_a_slot() -> None:
    present = minute_of(NOW)
    counting = [minute for minute in range(present - 4000, present + 4000) if counts(minute, present)]
    assert len({minute % SLOTS for minute in counting}) == len(counting) > CREDITS_WINDOW_S / 60


def test_a_clock_that_was_hours_ahead_leaves_nothing_that_counts(machine: Machine) -> None:
    machine.now += 20 * 3600
    ahead = machine.load(total=100)
    assert ahead.take(100) == 0.0
    machine.now = NOW
    assert (ahead.own(), machine.load().own()) == (0, 0)
    assert ahead.take(100) == 0.0
    assert machine.load().take(1) == DAY + 60
    assert machine.warned == []


def test_the_services_word_corrects_the_count_for_all(machine: Machine) -> None:
    one, other = machine.load(total=100), machine.load()
    one.take(10)
    other.correct(60)
    assert (one.standing().spent, one.own()) == (40, 10)
    machine.now += 3600
    one.correct(85)
    assert (other.standing().spent, other.own()) == (15, 10)
    one.correct(0)
    assert other.spent_out()


def test_without_an_edition_the_services_word_is_all_there_is_and_holds_for_a_day(machine: Machine) -> None:
    one, other = machine.load(), machine.load()
    assert one.take(500) == 0.0
    assert not one.spent_out()
    one.correct(15)
    assert other.take(10) == 0.0
    assert other.take(10) > 0
    assert other.spent_out()
    one.correct(12)
    assert one.take(10) == 0.0
    machine.now += DAY + 120
    assert other.take(100_000) == 0.0
    assert not other.spent_out()


def test_without_a_place_on_disk_a_load_counts_for_itself(machine: Machine) -> None:
    alone = machine.load(joined=False)
    alone.learn(20)
    assert (alone.take(10), alone.take(10), alone.take(1)) == (0.0, 0.0, DAY + 60)
    alone.give_back(5)
    alone.correct(0)
    assert alone.spent_out()


def whole(machine: Machine) -> bytes:
    machine.load(total=100).take(10)
    content = machine.path.read_bytes()
    machine.path.unlink()
    return content


def flipped(content: bytes, offset: int) -> bytes:
    return content[:offset] + bytes([content[offset] ^ 0x40]) + content[offset + 1 :]


def slot_of(content: bytes) -> int:
    return next(at for at in range(64, len(content), 32) if content[at : at + 32] != bytes(32))


DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "garbage": lambda content: random.Random(1).randbytes(len(content)),
    "zeros": lambda content: bytes(len(content)),
    "text": lambda _content: b"credits\n",
    "cut": lambda content: content[:-1],
    "cut in the head": lambda content: content[:20] + b"?",
    "too long": lambda content: content + b"\0",
    "another file": lambda content: b"credits9" + content[8:],
    "a bit of a count": lambda content: flipped(content, slot_of(content) + 8),
    "a bit of a minute": lambda content: flipped(content, slot_of(content)),
    "a bit of a checksum": lambda content: flipped(content, slot_of(content) + 24),
    "a total below none": lambda content: content[:16] + b"\xff" * 7 + b"\xf0" + content[24:],
    "a time that is none": lambda content: content[:24] + b"\xff" * 8 + content[32:],
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_set_aside_with_a_warning(
    machine: Machine, damage: Callable[[bytes], bytes]
) -> None:
    content = damage(whole(machine))
    machine.path.write_bytes(content)
    one = machine.load(total=100)
    assert one.take(10) == 0.0
    assert len(machine.warned) == 1
    assert "was damaged" in machine.warned[0]
    assert (machine.path.parent / "credits.damaged-1").read_bytes() == content
    assert machine.load().own() == 10
    machine.path.write_bytes(content)
    assert machine.load(total=100).take(10) == 0.0
    assert (machine.path.parent / "credits.damaged-2").exists()


@pytest.mark.parametrize("length", [0, 1, 8, 64, 1000])
def test_a_file_whose_maker_was_killed_is_made_whole_without_a_word(machine: Machine, length: int) -> None:
    machine.load()
    empty = machine.path.read_bytes()
    machine.path.write_bytes(empty[:length])
    assert machine.load(total=100).take(10) == 0.0
    assert machine.warned == []


@pytest.mark.parametrize("what", ["cut", "garbage", "gone", "replaced", "folder gone"])
def test_what_is_done_to_the_file_of_a_load_that_runs_loses_none_of_its_own_count(
    machine: Machine, what: str
) -> None:
    one = machine.load(total=100)
    one.take(10)
    machine.now += 60
    one.take(10)
    match what:
        case "cut":
            os.truncate(machine.path, 10)
        case "garbage":
            machine.path.write_bytes(b"x" * 49216)
        case "gone":
            machine.path.unlink()
        case "replaced":
            machine.path.unlink()
            machine.load().take(10)
        case "folder gone":
            shutil.rmtree(machine.path.parent)
    machine.now += 60  # within the minute, what was open is as good as ever
    assert one.take(10) == 0.0
    assert one.own() == 30
    assert machine.load().own() == 30
    assert one.standing().total == 100


def stand_in(path: Path, what: str) -> None:
    match what:
        case "a folder":
            path.mkdir(parents=True)
        case "a pipe":
            path.parent.mkdir(parents=True)
            os.mkfifo(path)
        case "a link":
            path.parent.mkdir(parents=True)
            path.symlink_to("/dev/null")
        case "no folder":
            path.parent.parent.mkdir(parents=True, exist_ok=True)
            path.parent.write_text("a file")


@pytest.mark.parametrize("what", ["a folder", "a pipe", "a link", "no folder"])
def test_where_nothing_can_be_kept_a_load_warns_once_and_counts_alone(machine: Machine, what: str) -> None:
    stand_in(machine.path, what)
    one = machine.load(total=20)
    one.join(machine.path, total=20)
    assert (one.take(10), one.take(10)) == (0.0, 0.0)
    assert one.take(1) > 0
    one.give_back(10)
    one.correct(5)
    assert one.standing().spent == 15
    (warning,) = machine.warned
    assert "counts its own alone" in warning


def test_a_full_disk_stops_no_load(tmp_path: Path) -> None:
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from loader.machine.credits import SharedCredits\n"
        "one = SharedCredits(warn=print)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "one.join(Path(sys.argv[1]), total=20)\n"
        "print(one.take(10), one.take(10), one.take(10) > 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "credits")],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert "counts its own alone" in done.stdout
    assert done.stdout.endswith("0.0 0.0 True\n")


def test_a_process_that_has_stopped_in_mid_count_is_not_waited_for(tmp_path: Path) -> None:
    holder = open_private(tmp_path / "file")
    waiting = open_private(tmp_path / "file")
    lock(holder)
    with pytest.raises(TimeoutError):
        lock(waiting, wait_s=0.01)
    os.close(holder)
    lock(waiting)
    os.close(waiting)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["take", "give_back", "join", "tick"]),
        st.integers(0, 2),
        st.integers(1, 30),
        st.floats(0, 4 * 3600),
    ),
    max_size=40,
)


@given(STEPS)
def test_three_loads_and_a_list_of_times_come_to_the_same_count(
    steps: list[tuple[str, int, int, float]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder))
        loads = [machine.load(total=200) for _ in range(3)]
        model: list[tuple[float, int]] = []

        def counted() -> int:
            minute = machine.now // 60
            return sum(credits for at, credits in model if minute - at // 60 <= DAY // 60)

        for what, who, credits, ahead in steps:
            if what == "take":
                fits = counted() + credits <= 200
                assert (loads[who].take(credits) == 0.0) == fits
                if fits:
                    model.append((machine.now, credits))
            elif what == "give_back" and model and counted() >= model[-1][1]:
                # Of the call that began last: then no other minute is touched.
                loads[who].give_back(model.pop()[1])
            elif what == "join":
                loads[who].close()
                loads[who] = machine.load(total=200)
            elif what == "tick":
                machine.now += ahead
            assert loads[who].own() == counted()
        for each in loads:
            assert each.own() == counted()
            each.close()
        assert machine.warned == []
