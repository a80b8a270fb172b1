"""Real processes that share: no credit is lost between them, and what a killed one held is free."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from loader.machine.credits import ADVANCE_CALLS, SharedCredits
from loader.machine.grants import SharedGrants
from loader.machine.places import SharedPlaces
from loader.machine.state import SharedState, default_folder, folder_name
from tests import canary

ROOT = Path(__file__).parents[2]

SPENDER = """
import sys
from pathlib import Path
from loader.machine.credits import SharedCredits
credits = SharedCredits(warn=print)
credits.join(Path(sys.argv[1]), total=None)
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[2])):
    credits.take(3)
    if number % 5 == 0:
        credits.give_back(3)
    if number % 50 == 0:
        credits.join(Path(sys.argv[1]), total=10_000_000 + number)
credits.close()
print("done", flush=True)
"""

COUNTER = """
import os, sys
from pathlib import Path
from loader.machine.credits import SharedCredits
credits = SharedCredits(warn=print)
credits.join(Path(sys.argv[1]), total=int(sys.argv[2]) or None)
while True:
    os.write(1, b".")
    credits.take(1)
"""

HOLDER = """
import sys
from pathlib import Path
from loader.machine.grants import SharedGrants
from loader.machine.places import SharedPlaces
places = SharedPlaces(warn=print)
places.join(Path(sys.argv[1]) / "places")
grants = SharedGrants(Path(sys.argv[1]) / "grants", warn=print)
print(places.share(10, wants=True), grants.try_turn(), flush=True)
sys.stdin.readline()
"""


@contextmanager
def process(program: str, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def line(running: subprocess.Popen[bytes]) -> bytes:
    assert running.stdout is not None
    return running.stdout.readline()


def no_warning(text: str) -> None:
    raise AssertionError(text)


def test_processes_that_spend_at_once_lose_no_credit(tmp_path: Path) -> None:
    path, times = tmp_path / "state" / "credits", 2000
    with ExitStack() as stack:
        spenders = [stack.enter_context(process(SPENDER, path, times)) for _ in range(3)]
        assert [line(each) for each in spenders] == [b"ready\n"] * 3
        for each in spenders:
            assert each.stdin is not None
            each.stdin.write(b"\n")
            each.stdin.flush()
        assert [line(each) for each in spenders] == [b"done\n"] * 3
    ledger = SharedCredits(warn=no_warning)
    ledger.join(path, total=None)
    assert ledger.own() == 3 * times * 3 * 4 // 5


@pytest.mark.parametrize("total", [0, 1_000_000], ids=["each by itself", "in advance"])
def test_a_killed_process_has_charged_each_call_that_it_made(tmp_path: Path, total: int) -> None:
    path = tmp_path / "credits"
    for _ in range(3):
        before = SharedCredits(warn=no_warning)
        before.join(path, total=None)
        known = before.own()
        with process(COUNTER, path, total) as counter:
            assert counter.stdout is not None
            calls = len(counter.stdout.read(500))
            counter.send_signal(signal.SIGKILL)
            calls += len(counter.stdout.read())
        # The dot of the last one may have been written and its credit not taken.
        in_advance = ADVANCE_CALLS - 1 if total else 0
        assert calls - 1 <= before.own() - known <= calls + in_advance
        before.close()


def test_what_a_killed_process_held_is_free_at_once(tmp_path: Path) -> None:
    places = SharedPlaces(warn=no_warning)
    grants = SharedGrants(tmp_path / "grants", warn=no_warning)
    with process(HOLDER, tmp_path) as holder:
        assert line(holder) == b"10 True\n"
        places.join(tmp_path / "places")
        assert places.share(10, wants=True) == 1
        assert not grants.try_turn()
        places.close()
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
    after = SharedPlaces(warn=no_warning)
    after.join(tmp_path / "places")
    assert after.share(10, wants=True) == 10
    assert grants.try_turn()
    after.close()
    grants.close()


def test_the_state_holds_no_secret_and_is_found_again_by_the_credentials(tmp_path: Path) -> None:
    token = canary.secret()

    def state() -> SharedState:
        return SharedState(tmp_path / "state", host="127.0.0.1:8080", credentials=token, warn=no_warning)

    first = state()
    first.join_known()
    assert first.grants is not None
    assert first.grants.take() == 0.0
    assert first.credits.take(4) == 0.0
    first.join("5725767000000020005", total=100)
    first.close()
    second = state()
    second.join_known()
    assert second.credits.standing().spent == 4
    second.close()
    other = SharedState(tmp_path / "state", host="127.0.0.1:8080", credentials="x", warn=no_warning)
    other.join_known()
    assert other.credits.standing().spent == 0
    other.join("", total=None)
    other.join("../../x", total=None)
    other.close()
    names = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")]
    assert not any(part in name for name in names for part in token.split(".")[1:])
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.rglob("*"))


def test_an_organisation_that_cannot_be_read_back_is_not_believed(tmp_path: Path) -> None:
    def state() -> SharedState:
        return SharedState(tmp_path, host="h", credentials="x", warn=no_warning)

    state().join("1", total=None)
    (kept,) = tmp_path.rglob("organisation")
    for content in (b"", b"../..", b"\xff\xfe", b"x" * 100):
        kept.write_bytes(content)
        again = state()
        again.join_known()
        again.credits.take(1)
        again.close()
    assert len(list((tmp_path / "organisations").iterdir())) == 1


def test_an_access_token_leaves_no_folder_of_its_own(tmp_path: Path) -> None:
    for token in ("of this hour", "of the next"):
        state = SharedState(tmp_path, host="h", credentials=token, lasting=False, warn=no_warning)
        state.join_known()
        state.join("1", total=100)
        assert state.credits.take(10) == 0.0
        assert state.grants is None
        state.close()
    assert state.credits.own() == 20
    assert [path.name for path in tmp_path.iterdir()] == ["organisations"]
    assert len(list((tmp_path / "organisations").iterdir())) == 1


def test_a_place_that_cannot_be_written_is_told_once_and_everything_is_counted_alone(tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("a file")
    warned: list[str] = []
    state = SharedState(tmp_path / "occupied", host="h", credentials="x", warn=warned.append)
    state.join_known()
    assert state.credits.take(10) == 0.0
    state.join("1", total=20)
    assert (state.credits.take(10), state.credits.take(1) > 0) == (0.0, True)
    assert state.places.share(10, wants=True) == 10
    assert state.grants is None, "a load without them counts its own"
    state.close()
    (warning,) = warned
    assert "occupied (Not a directory): this load counts its own alone" in warning


def test_no_name_leaves_its_folder() -> None:
    names = [
        folder_name(host, organisation)
        for host in ("www.zohoapis.eu", "127.0.0.1:80", "..", "/", "a/../b", "x" * 300)
        for organisation in ("1", "..", "/", "", "\0")
    ]
    assert len(set(names)) == len(names)
    for name in names:
        assert not {"/", "\0"} & set(name)
        assert name not in (".", "..")
        assert len(name) <= 255


def test_where_the_state_is_kept() -> None:
    assert default_folder({"HOME": "/h"}) == Path("/h/.local/state/crm-bulk-loader")
    assert default_folder({"HOME": "/h", "XDG_STATE_HOME": "/s"}) == Path("/s/crm-bulk-loader")
    assert default_folder({"HOME": "/h", "XDG_STATE_HOME": "s"}) == Path("/h/.local/state/crm-bulk-loader")
    assert default_folder({"HOME": "/h", "LOADER_STATE_DIR": "/own"}) == Path("/own")
    assert default_folder({}) == Path("/.local/state/crm-bulk-loader")
