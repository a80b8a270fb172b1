"""What goes wrong before or during a load: its exit code, and one screen that says what to do."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from loader.throttle.concurrency import START
from tests.crash.harness import CONCURRENCY, Crm, Desk, sandbox, wait_for, write_leads

SEED = int(os.environ.get("CRASH_SEED", "1"))
COUNT = 2_000
FLAGS = ("--concurrency", str(CONCURRENCY))
STOP_S = 0.1
"""After a signal no call may begin later than this."""
SLACK_S = 0.5
"""What a busy machine adds between our clock, the signal, and the sandbox's clock."""


@pytest.fixture(scope="module")
def crm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crm]:
    with sandbox(tmp_path_factory.mktemp("crm"), "--seed", str(SEED)) as running:
        yield running


@pytest.fixture
def desk(tmp_path: Path, crm: Crm) -> Desk:
    return Desk(tmp_path, crm, write_leads(tmp_path / "leads.ndjson", 50, SEED), FLAGS)


def refused(desk: Desk, code: int, *words: str) -> None:
    """The load ends with this code and a screen that has these words, and no record was sent."""
    inserts = desk.crm.database.insert_calls
    finished = desk.load().ended(code)
    finished.is_one_screen()
    # A long path is broken over two lines.
    said = "".join(finished.stderr.split())
    missing = [word for word in words if "".join(word.split()) not in said]
    assert not missing, finished.stderr
    assert desk.crm.database.insert_calls == inserts


@pytest.mark.parametrize("what", ["gone", "empty", "zeros"])
def test_files_of_a_load_without_its_log_are_no_reason_to_begin_anew(desk: Desk, what: str) -> None:
    desk.load().ended(0)
    log = desk.load_dir / "checkpoint.log"
    if what == "gone":
        log.unlink()
    else:
        log.write_bytes(b"" if what == "empty" else bytes(4096))
    refused(desk, 9, "gone" if what == "gone" else "empty", "summary.json", "--new")
    assert desk.crm.database.rows >= 50


def test_a_load_that_was_stopped_for_its_rejected_records_stops_again_before_it_sends_any(desk: Desk) -> None:
    desk.input.write_bytes(b'{"Company":"no name"}\n' * 20 + desk.input.read_bytes() * 20)
    desk = replace(desk, flags=("--max-rejected", "10", "--concurrency", "1"))
    desk.load().ended(5)
    inserts = desk.crm.database.insert_calls
    assert "20 records were refused" in desk.load().ended(5).stderr
    assert desk.crm.database.insert_calls == inserts
    replace(desk, flags=("--max-rejected", "50", "--concurrency", "1")).load().ended(3)


def test_missing_credentials_are_named_and_nothing_is_sent(desk: Desk) -> None:
    calls = desk.crm.database.calls
    refused(replace(desk, credentials={}), 6, "LOADER_REFRESH_TOKEN")
    assert desk.crm.database.calls == calls


def without(credentials: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in credentials.items() if key != name}


@pytest.mark.parametrize("name", ["LOADER_CLIENT_ID", "LOADER_CLIENT_SECRET", "LOADER_REFRESH_TOKEN"])
def test_one_missing_credential_is_named(desk: Desk, name: str) -> None:
    refused(replace(desk, credentials=without(desk.crm.credentials, name)), 6, name)


@pytest.mark.parametrize("name", ["LOADER_CLIENT_ID", "LOADER_CLIENT_SECRET", "LOADER_REFRESH_TOKEN"])
def test_a_wrong_credential_is_refused_and_never_shown(desk: Desk, name: str) -> None:
    wrong = "canary-5f1c9e"
    refused(replace(desk, credentials={**desk.crm.credentials, name: wrong}), 6)
    for path in desk.directory.rglob("*"):
        if path.is_file():
            assert wrong.encode() not in path.read_bytes(), path


def test_a_wrong_access_token_is_refused(desk: Desk) -> None:
    refused_token = {"LOADER_ACCESS_TOKEN": "1000.canary-5f1c9e"}
    refused(replace(desk, credentials=refused_token), 6)
    assert "canary-5f1c9e" not in (desk.directory / "loader.stderr").read_text()


def test_an_unknown_module_is_a_usage_error(desk: Desk) -> None:
    refused(replace(desk, module="Leeds"), 2, "Leeds")


def test_a_key_that_the_module_does_not_have_is_a_usage_error_and_leaves_no_load_behind(desk: Desk) -> None:
    refused(replace(desk, flags=(*FLAGS, "--key", "Legacy_Id")), 2, "Legacy_Id")
    assert not desk.load_dir.exists()


def test_a_signal_before_anything_was_sent_gives_its_exit_code(desk: Desk) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)) as listener:  # what comes is never answered
        listener.settimeout(20)
        silent = replace(desk, crm=replace(desk.crm, url=f"http://127.0.0.1:{port}"))
        with silent.spawned(silent.load_command()) as process:
            connection, _ = listener.accept()
            process.terminate()
            assert process.wait(10) == 143
            connection.close()
    assert not desk.load_dir.exists()


def test_a_missing_input_is_a_usage_error(desk: Desk) -> None:
    calls = desk.crm.database.calls
    refused(replace(desk, input=desk.directory / "no-such-file.ndjson"), 2, "no-such-file.ndjson")
    assert desk.crm.database.calls == calls


def test_a_directory_as_input_is_a_usage_error(desk: Desk) -> None:
    place = desk.directory / "a-directory"
    place.mkdir()
    refused(replace(desk, input=place), 2, "a-directory")


def test_a_missing_load_directory_is_a_usage_error(desk: Desk) -> None:
    for command in ("resume", "status", "results"):
        finished = desk.run([command, str(desk.directory / "no-such-load")]).ended(2)
        finished.is_one_screen()
        assert "no-such-load" in finished.stderr


def test_plain_http_beyond_this_machine_is_a_usage_error(desk: Desk) -> None:
    target = ["--api-domain", "http://crm.example", "--accounts-url", desk.crm.url]
    command = ["load", str(desk.input), "--module", "Leads", "--load-dir", str(desk.load_dir), *target]
    desk.run(command).ended(2).is_one_screen()


def test_an_unreachable_host_ends_the_patience_and_the_load_goes_on_later(desk: Desk) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    nowhere = replace(desk, crm=replace(desk.crm, url=url), flags=(*FLAGS, "--patience", "1s"))
    finished = nowhere.load().ended(7)
    finished.is_one_screen()
    assert "127.0.0.1" in finished.stderr
    assert 1.0 < finished.seconds < 15


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"]
)
def test_a_signal_stops_sends_drains_answers_and_leaves_a_load_to_resume(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    # The next call could leave when an answer comes: much later than what a busy machine takes to be told.
    with sandbox(tmp_path, "--latency", "800ms", "--seed", str(SEED)) as crm:
        desk = Desk(tmp_path, crm, write_leads(tmp_path / "leads.ndjson", COUNT, SEED), FLAGS)
        with desk.spawned(desk.load_command()) as process:
            wait_for(lambda: crm.database.insert_calls >= 5 or process.poll() is not None)
            os.kill(process.pid, number)
            signalled = time.time()
            process.wait(timeout=25)
        stopped = desk.said(process).ended(code)
        late = crm.database.ask("SELECT at FROM calls WHERE at > ?", signalled + STOP_S + SLACK_S)
        assert not late, f"{len(late)} calls after the signal"
        standing = b"".join(desk.results())
        assert b'"in_doubt"' not in standing, "an answer was not awaited"
        inserted = standing.count(b'"inserted"')
        assert 0 < inserted < COUNT
        assert inserted == crm.database.rows
        desk.resume().ended(0)
        assert desk.judge() == {"inserted": COUNT}
        assert crm.database.records_taken == COUNT
        assert "loader resume" in stopped.said, "the screen does not say what to type next"


def test_a_second_signal_stops_at_once_and_the_log_is_still_valid(tmp_path: Path) -> None:
    with sandbox(tmp_path, "--latency", "2s", "--seed", str(SEED)) as crm:
        desk = Desk(tmp_path, crm, write_leads(tmp_path / "leads.ndjson", 800, SEED), FLAGS)
        with desk.spawned(desk.load_command()) as process:
            # The first calls: so many places there are before an answer has come.
            wait_for(lambda: crm.database.insert_calls >= START or process.poll() is not None)
            os.kill(process.pid, signal.SIGTERM)
            wait_for(lambda: "SIGTERM" in (tmp_path / "loader.stderr").read_text())  # it has heard the first
            os.kill(process.pid, signal.SIGTERM)
            process.wait(timeout=25)
        desk.said(process).ended(143)
        assert b'"inserted"' not in b"".join(desk.results()), "the second signal did not end the wait"
        desk.resume().ended(0, 4)
        desk.judge(held_max=CONCURRENCY * 100)
