"""A closed terminal, and pipes whose reader goes away: the load stops and can go on, or goes on by itself.

Real signals, real pipes, a real terminal. SIGTERM and SIGINT are in `test_exit_codes.py`.
"""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.crash.harness import CONCURRENCY, PYTHON, Crm, Desk, end, sandbox, wait_for, write_leads

SEED = int(os.environ.get("CRASH_SEED", "1"))
FLAGS = ("--concurrency", str(CONCURRENCY))
COUNT = 2_000


@pytest.fixture
def crm(tmp_path: Path) -> Iterator[Crm]:
    with sandbox(tmp_path, "--latency", "250ms", "--seed", str(SEED)) as running:
        yield running


@pytest.fixture
def desk(tmp_path: Path, crm: Crm) -> Desk:
    return Desk(tmp_path, crm, write_leads(tmp_path / "leads.ndjson", COUNT, SEED), FLAGS)


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Desk]:
    with sandbox(tmp_path, "--seed", str(SEED)) as running:
        yield Desk(tmp_path, running, write_leads(tmp_path / "leads.ndjson", 300, SEED), FLAGS)


def begun(desk: Desk, process: subprocess.Popen[bytes], calls: int = 5) -> None:
    wait_for(lambda: desk.crm.database.insert_calls >= calls or process.poll() is not None)
    assert process.poll() is None, "the load ended before its signal"


def test_a_hangup_stops_the_load_as_sigterm_does_and_comes_twice(desk: Desk) -> None:
    with desk.spawned(desk.load_command()) as process:
        begun(desk, process)
        os.kill(process.pid, signal.SIGHUP)  # by the shell
        time.sleep(0.05)
        os.kill(process.pid, signal.SIGHUP)  # by the kernel, when the shell has gone
        process.wait(timeout=25)
    stopped = desk.said(process).ended(143)
    assert "SIGHUP" in stopped.stderr
    standing = b"".join(desk.results())
    assert b'"in_doubt"' not in standing, "an answer was not awaited"
    assert 0 < standing.count(b'"inserted"') < COUNT
    desk.resume().ended(0)
    assert desk.judge() == {"inserted": COUNT}
    assert desk.crm.database.records_taken == COUNT


def test_under_nohup_a_hangup_changes_nothing(desk: Desk) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does, for its child
    try:
        with desk.spawned(desk.load_command()) as process:
            begun(desk, process)
            os.kill(process.pid, signal.SIGHUP)
            process.wait(timeout=25)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert "SIGHUP" not in desk.said(process).ended(0).stderr
    assert desk.judge() == {"inserted": COUNT}


def test_a_terminal_that_closes_stops_the_load_and_loses_no_answer(desk: Desk) -> None:
    master, slave = pty.openpty()
    process = spawn(desk, desk.load_command(), stderr=slave, stdin=slave, terminal=True)
    os.close(slave)
    try:
        begun(desk, process)
        os.read(master, 100)  # the live block is being drawn
        os.close(master)
        process.wait(timeout=25)
    finally:
        end(process)
    assert process.returncode == 143
    assert b'"in_doubt"' not in b"".join(desk.results()), "an answer was not awaited"
    desk.resume().ended(0)
    assert desk.judge() == {"inserted": COUNT}


def spawn(
    desk: Desk,
    command: Sequence[str],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
    stderr: int = subprocess.DEVNULL,
    terminal: bool = False,
) -> subprocess.Popen[bytes]:
    arguments = [PYTHON, "-m", "loader", *command]
    if terminal:  # its own session, and the terminal on stdin is that session's: then a close hangs it up
        take = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)"
        take += "; import os, sys; os.execv(sys.argv[1], sys.argv[1:])"
        arguments = [sys.executable, "-c", take, *arguments]
    surroundings = {**desk.surroundings(), "TERM": "xterm"}
    return subprocess.Popen(
        arguments,
        cwd=desk.directory,
        env=surroundings,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=terminal,
    )


def broken_pipe() -> int:
    """The writing end of a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize("flags", [(), ("-v",), ("--no-progress",), ("-q",)], ids=["plain", "v", "none", "q"])
def test_a_stderr_that_nobody_reads_stops_no_load_and_keeps_its_exit_code(
    quick: Desk, flags: tuple[str, ...]
) -> None:
    with quick.input.open("ab") as stream:
        stream.write(b'{"Company":"no last name"}\n')
    writer = broken_pipe()
    process = spawn(quick, [*quick.load_command(), *flags], stderr=writer)
    os.close(writer)
    try:
        assert process.wait(timeout=25) == 3
    finally:
        end(process)
    assert quick.judge() == {"inserted": 300, "invalid": 1}


def test_a_stderr_that_breaks_while_progress_is_told_stops_no_load(desk: Desk) -> None:
    reader, writer = os.pipe()
    process = spawn(desk, [*desk.load_command(), "-v"], stderr=writer)
    os.close(writer)
    try:
        begun(desk, process)
        os.close(reader)
        assert process.wait(timeout=25) == 0
    finally:
        end(process)
    assert desk.judge() == {"inserted": COUNT}


def test_an_error_on_a_stderr_that_nobody_reads_keeps_its_exit_code(quick: Desk) -> None:
    writer = broken_pipe()
    process = spawn(quick, ["load", "no-such-file.ndjson", "--module", "Leads"], stderr=writer)
    os.close(writer)
    try:
        assert process.wait(timeout=25) == 2
    finally:
        end(process)


def test_json_that_nobody_reads_changes_nothing_about_the_load(quick: Desk) -> None:
    writer = broken_pipe()
    process = spawn(quick, [*quick.load_command(), "--json"], stdout=writer)
    os.close(writer)
    try:
        assert process.wait(timeout=25) == 0
    finally:
        end(process)
    assert quick.judge() == {"inserted": 300}


def shell(desk: Desk, script: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["bash", "-c", f"loader() {{ '{PYTHON}' -m loader \"$@\"; }}; {script}"],
        cwd=desk.directory,
        env=desk.surroundings(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=30,
    )


def test_results_into_head_and_into_a_full_disk(desk: Desk) -> None:
    quiet = Desk(desk.directory, desk.crm, write_leads(desk.directory / "many.ndjson", 3_000, SEED), FLAGS)
    quiet.run([*quiet.load_command(), "--concurrency", "10"]).ended(0)
    place = quiet.load_dir
    head = shell(desk, f"loader results '{place}' | head -1; echo ${{PIPESTATUS[0]}}")
    first, code = head.stdout.splitlines()
    assert json.loads(first)["line"] == 1
    assert (code, head.stderr) == (b"0", b"")
    csv = shell(desk, f"loader results '{place}' --format csv | head -1; echo ${{PIPESTATUS[0]}}")
    assert csv.stdout.splitlines()[1] == b"0"
    assert csv.stderr == b""
    full = shell(desk, f"loader results '{place}' > /dev/full")
    assert full.returncode == 9
    assert b"No space left" in full.stderr
    assert b"Traceback" not in full.stderr + csv.stderr


def test_a_help_text_that_nobody_reads_ends_quietly(quick: Desk) -> None:
    ran = shell(quick, "loader load --help | true; echo ${PIPESTATUS[0]}")
    assert (ran.stdout, ran.stderr) == (b"0\n", b"")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_from_the_start_harm_nothing(quick: Desk, closed: str) -> None:
    where = f"--module Leads --load-dir '{quick.load_dir}' {' '.join(quick.crm.target)}"
    ran = shell(quick, f"loader load '{quick.input}' {where} --json {closed}")
    assert ran.returncode == 0, ran.stderr
    assert quick.judge() == {"inserted": 300}


def test_a_closed_stdin_is_no_empty_input(quick: Desk) -> None:
    where = f"--module Leads --load-dir '{quick.load_dir}' {' '.join(quick.crm.target)}"
    ran = shell(quick, f"loader load - {where} <&-")
    assert ran.returncode == 2
    assert b"closed" in ran.stderr
    assert not quick.load_dir.exists()
