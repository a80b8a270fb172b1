"""Who may work on a load directory: one loader at a time, only with the input that the load began with."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crash.harness import BATCH, CONCURRENCY, Desk, sandbox, wait_for, wait_until_still, write_leads

SEED = int(os.environ.get("CRASH_SEED", "1"))
COUNT = 2_000
FLAGS = ("--concurrency", str(CONCURRENCY))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with sandbox(tmp_path, "--latency", "250ms", "--seed", str(SEED)) as crm:
        yield Desk(tmp_path, crm, write_leads(tmp_path / "leads.ndjson", COUNT, SEED), FLAGS)


@pytest.fixture
def slow(desk: Desk) -> Desk:
    """A load that lasts five seconds or more: one call at a time."""
    return dataclasses.replace(desk, flags=("--concurrency", "1"))


def second_desk(desk: Desk) -> Desk:
    """Another person at the same load: their own terminal, the same load directory."""
    place = desk.directory / "second"
    place.mkdir()
    other = Desk(place, desk.crm, desk.input, desk.flags)
    other.load_dir = desk.load_dir
    return other


@pytest.mark.parametrize("command", [Desk.load_command, Desk.resume_command], ids=["load", "resume"])
def test_a_second_loader_leaves_at_once_and_the_first_goes_on(
    slow: Desk, command: Callable[[Desk], list[str]]
) -> None:
    desk, other = slow, second_desk(slow)
    with desk.spawned(desk.load_command()) as first:
        wait_for(lambda: desk.crm.database.insert_calls > 0 or first.poll() is not None)
        refused = other.run(command(other))
        assert first.poll() is None, (
            "the first loader ended before the second had its answer: nothing was tested"
        )
        refused.ended(11).is_one_screen()
        assert str(first.pid) in refused.stderr
        assert refused.seconds < 10
        first.wait(timeout=30)
    desk.said(first).ended(0)
    assert desk.judge() == {"inserted": COUNT}
    assert desk.crm.database.records_taken == COUNT


def test_while_a_loader_works_others_may_look_and_a_retry_waits(slow: Desk) -> None:
    desk, other = slow, second_desk(slow)
    with desk.spawned(desk.load_command()) as first:
        wait_for(lambda: desk.crm.database.insert_calls > 0 or first.poll() is not None)
        other.run(["status", str(desk.load_dir)]).ended(0)
        other.results()
        waits = other.run(["retry", str(desk.load_dir)]).ended(11)
        waits.is_one_screen()
        assert f"is running: process {first.pid}" in waits.said
        assert first.poll() is None, "the first loader ended before the looks: nothing was tested"
        first.wait(timeout=30)
    desk.said(first).ended(0)
    assert desk.judge() == {"inserted": COUNT}


def test_two_loaders_that_start_together_do_not_both_load(desk: Desk) -> None:
    other = second_desk(desk)
    with desk.spawned(desk.load_command()) as first, other.spawned(other.load_command()) as second:
        codes = sorted((first.wait(timeout=30), second.wait(timeout=30)))
    assert codes in ([0, 11], [0, 0]), (desk.said(first).stderr, other.said(second).stderr)
    assert desk.judge() == {"inserted": COUNT}
    assert desk.crm.database.records_taken == COUNT


def kill_in_the_middle(desk: Desk) -> None:
    with desk.spawned(desk.load_command()) as process:
        wait_for(lambda: desk.crm.database.insert_calls >= 6 or process.poll() is not None)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the load ended before its kill"


def edit_in_place(path: Path) -> None:
    """The same size, one letter of the first record another."""
    with path.open("r+b") as stream:
        at = stream.readline().index(b"example.com")
        stream.seek(at)
        stream.write(b"exemple")


def truncate(path: Path) -> None:
    os.truncate(path, 1_000)


def replace(path: Path) -> None:
    """Another file of the same name, as an export that ran again would leave it."""
    write_leads(path.with_name("other"), COUNT, SEED + 1).rename(path)


def take_out_a_line(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:1] + lines[2:]))


CHANGES = [edit_in_place, truncate, replace, take_out_a_line]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_killed_load_does_not_go_on_with_a_changed_input(
    desk: Desk, change: Callable[[Path], None]
) -> None:
    kill_in_the_middle(desk)
    wait_until_still(lambda: desk.crm.database.calls)
    calls = desk.crm.database.calls
    log = (desk.load_dir / "checkpoint.log").read_bytes()
    kept = desk.input.read_bytes()
    change(desk.input)
    for command in (desk.load_command(), desk.resume_command()):
        desk.run(command).ended(8).is_one_screen()
    assert desk.crm.database.calls == calls
    assert (desk.load_dir / "checkpoint.log").read_bytes().startswith(log[: len(log) // 2])
    # The old input is back: nothing was spoilt, the load goes on.
    desk.input.write_bytes(kept)
    desk.load().ended(0, 4)
    desk.judge(held_max=CONCURRENCY * BATCH)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_finished_load_does_not_answer_for_a_changed_input(
    desk: Desk, change: Callable[[Path], None]
) -> None:
    desk.load().ended(0)
    calls = desk.crm.database.calls
    change(desk.input)
    desk.load().ended(8).is_one_screen()
    assert desk.crm.database.calls == calls


@pytest.mark.parametrize("command", [Desk.load_command, Desk.resume_command], ids=["load", "resume"])
def test_a_finished_load_run_again_says_so_and_sends_nothing(
    desk: Desk, command: Callable[[Desk], list[str]]
) -> None:
    desk.load().ended(0)
    calls = desk.crm.database.calls
    before = (desk.load_dir / "summary.json").read_bytes()
    again = desk.run(command(desk)).ended(0)
    assert again.stderr.strip()
    assert desk.crm.database.calls == calls
    assert (desk.load_dir / "summary.json").read_bytes() == before
    assert desk.judge() == {"inserted": COUNT}
