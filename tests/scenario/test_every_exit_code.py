"""Each exit code of the reference page is provoked once, by a real process, and none is there that is not."""

from __future__ import annotations

import fcntl
import re
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from loader.errors import ExitCode
from tests.crash.harness import PYTHON, Crm, Desk, Finished, sandbox

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "exit-codes.md"
GOOD = '{"Last_Name": "Lovelace", "Email": "ada@example.com"}\n'
BAD = '{"First_Name": "Nobody"}\n'
WRONG_LOADER = """
from loader.cli.commands import status
status.only_load_in = lambda directory: 1 / 0
from loader.cli.main import main
main()
"""
"""The loader with a defect, as it might be; the product's own files are left as they are."""


@pytest.fixture(scope="module")
def crm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crm]:
    with sandbox(tmp_path_factory.mktemp("crm"), "--token-grants", "1000") as running:
        yield running


@pytest.fixture
def desk(tmp_path: Path, crm: Crm) -> Desk:
    path = tmp_path / "leads.ndjson"
    path.write_text(GOOD)
    return Desk(tmp_path, crm, path)


def inserted(desk: Desk) -> Finished:
    return desk.load()


def defect(desk: Desk) -> Finished:
    return desk.run(["status"], program=(PYTHON, "-c", WRONG_LOADER))


def mistyped(desk: Desk) -> Finished:
    return desk.run(["load", "leads.ndjson", "--modul", "Leads"])


def some_invalid(desk: Desk) -> Finished:
    desk.input.write_text(GOOD + BAD)
    return desk.load()


def answers_lost(desk: Desk) -> Finished:
    with sandbox(desk.directory, "--fault", "drop-after-apply=1", "--seed", "1", name="lossy") as lossy:
        return replace(desk, crm=lossy).load()


def too_many_refused(desk: Desk) -> Finished:
    desk.input.write_text(BAD * 300)
    return replace(desk, flags=("--no-check", "--max-rejected", "1", "--concurrency", "1")).load()


def no_credentials(desk: Desk) -> Finished:
    return replace(desk, credentials={}).load()


def nobody_there(desk: Desk) -> Finished:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # bound and not listening: whoever connects is refused
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        return replace(desk, crm=replace(desk.crm, url=url), flags=("--patience", "100ms")).load()


def another_input(desk: Desk) -> Finished:
    desk.load().ended(0)
    desk.input.write_text(GOOD.replace("Lovelace", "Hopper00"))
    return desk.load()


def damaged_log(desk: Desk) -> Finished:
    desk.load().ended(0)
    log = desk.load_dir / "checkpoint.log"
    content = bytearray(log.read_bytes())
    content[20] ^= 0xFF
    log.write_bytes(content)
    return desk.load()


def held_by_another(desk: Desk) -> Finished:
    desk.load().ended(0)
    with (desk.load_dir / "checkpoint.log").open("rb") as log:
        fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return desk.load()


def signalled(number: signal.Signals) -> Callable[[Desk], Finished]:
    def provoke(desk: Desk) -> Finished:
        with socket.create_server(("127.0.0.1", 0)) as listener:  # what comes is never answered
            listener.settimeout(20)
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            silent = replace(desk, crm=replace(desk.crm, url=url))
            with silent.spawned(silent.load_command()) as process:
                connection, _ = listener.accept()
                process.send_signal(number)
                process.wait(20)
                connection.close()
                return silent.said(process)

    return provoke


PROVOKED: Mapping[ExitCode, Callable[[Desk], Finished]] = {
    ExitCode.OK: inserted,
    ExitCode.DEFECT: defect,
    ExitCode.USAGE: mistyped,
    ExitCode.NOT_ALL_INSERTED: some_invalid,
    ExitCode.IN_DOUBT: answers_lost,
    ExitCode.TOO_MANY_REJECTED: too_many_refused,
    ExitCode.CREDENTIALS: no_credentials,
    ExitCode.NOT_NOW: nobody_there,
    ExitCode.INPUT_CHANGED: another_input,
    ExitCode.DISK: damaged_log,
    ExitCode.LOCKED: held_by_another,
    ExitCode.SIGINT: signalled(signal.SIGINT),
    ExitCode.SIGTERM: signalled(signal.SIGTERM),
}


@pytest.mark.parametrize("code", PROVOKED, ids=lambda code: f"{code.value} {code.name}")
def test_each_exit_code_can_be_provoked(desk: Desk, code: ExitCode) -> None:
    finished = PROVOKED[code](desk).ended(code.value)
    if code is ExitCode.DEFECT:
        assert "LOADER_DEBUG=1" in finished.said
    if code is not ExitCode.OK:
        assert finished.said, "it is said why"


def test_the_page_the_code_and_these_tests_know_the_same_exit_codes() -> None:
    page = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE.read_text(), re.MULTILINE)}
    assert page == {code.value for code in ExitCode} == {code.value for code in PROVOKED}
