"""The clients that are compared: what each leaves out, how it is run, how it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.credentials import BENCHMARK
from benchmarks.figures import START_RECORDS, Client, Cost
from benchmarks.peers import syslog_ng
from benchmarks.process import Sink, measure

PEERS: Final = Path(__file__).with_name("peers")
ROOT: Final = Path(__file__).parents[1]
PEERS_PYTHON: Final = Path(os.environ.get("LOADER_PEERS_PYTHON", ROOT / ".venv-peers" / "bin" / "python"))
INSTALL_PEERS: Final = (
    "python3 -m venv .venv-peers && .venv-peers/bin/pip install -r benchmarks/requirements.txt"
)
INSTALL_SYSLOG_NG: Final = "apt-get install syslog-ng-core syslog-ng-mod-http"
INSTALL_WRK: Final = "apt-get install wrk"
SDK_RECORDS: Final = 2_000
"""The SDK is so slow that more of them would tell nothing new."""


class Task(msgspec.Struct, frozen=True):
    """What a client is given for one run."""

    server: Sink
    file: Path
    folder: Path
    """Fresh, not made yet, for what it leaves behind."""


class Contender(msgspec.Struct, frozen=True):
    """A client that can be run."""

    name: str
    leaves_out: str
    command: Callable[[Task], Sequence[str]]
    environment: Mapping[str, str] = {}
    ends_itself: bool = True
    records_max: int | None = None
    missing: Callable[[], str] = str
    """What to type to have it; empty: it is there."""


def load_command(task: Task, *flags: str) -> list[str]:
    """The loader's own command line, as a user would type it."""
    return [
        sys.executable, "-m", "loader", "load", str(task.file), "--module", "Leads",
        "--api-domain", task.server.url, "--accounts-url", task.server.url,
        "--load-dir", str(task.folder), "--no-progress", "-q", *flags,
    ]  # fmt: skip


def _peers_python_missing(module: str) -> Callable[[], str]:
    def missing() -> str:
        if not PEERS_PYTHON.exists():
            return INSTALL_PEERS
        found = subprocess.run(
            [PEERS_PYTHON, "-c", f"import {module}"], capture_output=True, timeout=60, check=False
        )
        return "" if found.returncode == 0 else INSTALL_PEERS

    return missing


def _syslog_ng() -> str | None:
    return shutil.which("syslog-ng", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def _syslog_ng_missing() -> str:
    program = _syslog_ng()
    if program is None:
        return INSTALL_SYSLOG_NG
    plugins = subprocess.run(
        [program, "--module-registry"], capture_output=True, text=True, timeout=60, check=False
    )
    return "" if "Module: http" in plugins.stdout else INSTALL_SYSLOG_NG


def _syslog_ng_command(task: Task) -> list[str]:
    program = _syslog_ng()
    assert program is not None
    return syslog_ng.command(program, task.folder, task.server.url, task.file, task.server.ca)


def _peer(script: str, python: Path | str) -> Callable[[Task], list[str]]:
    return lambda task: [str(python), str(PEERS / script), task.server.url, str(task.file)]


LOADER: Final = Contender("loader", "nothing", load_command, BENCHMARK)
REFERENCE: Final = Contender(
    "reference loop (aiohttp)",
    "check, outcomes, log, retry; the answer is not read",
    lambda task: [sys.executable, "-m", "benchmarks.reference", task.server.url, str(task.file)],
)
GATHER: Final = Contender(
    "aiohttp gather script, json",
    "check, outcomes, log, retry, bounded memory",
    _peer("aiohttp_gather.py", sys.executable),
)
REQUESTS: Final = Contender(
    "requests script with a session, json",
    "check, outcomes, log, retry; one call at a time",
    _peer("requests_session.py", PEERS_PYTHON),
    missing=_peers_python_missing("requests"),
)
SDK: Final = Contender(
    "official Python SDK 8.0",
    "outcomes, log, retry; one call at a time; it checks types by the field metadata",
    lambda task: [*_peer("official_sdk.py", PEERS_PYTHON)(task), str(task.folder)],
    records_max=SDK_RECORDS,
    missing=_peers_python_missing("zohocrmsdk"),
)
SYSLOG_NG: Final = Contender(
    "syslog-ng http(), 8 workers",
    "check, outcomes, log; the answer is not read",
    _syslog_ng_command,
    ends_itself=False,
    missing=_syslog_ng_missing,
)


def compare(
    contenders: Sequence[Contender], server: Sink, files: Mapping[int, Path], folder: Path, *, pairs: int
) -> list[Client]:
    """All of them in turn, that many times, each on its start and on its file.

    `files` has a file for each count of records that is asked for.
    """
    folder.mkdir()
    found = {one.name: one.missing() for one in contenders}
    present = [one for one in contenders if not found[one.name]]
    runs: dict[str, list[Cost]] = {one.name: [] for one in present}
    starts: dict[str, list[Cost]] = {one.name: [] for one in present}
    for turn in range(pairs):
        for place, one in enumerate(present):
            for costs, records in ((starts, START_RECORDS), (runs, records_of(one, files))):
                task = Task(server, files[records], folder / f"{turn}-{place}-{records}")
                costs[one.name].append(run_once(one, task, records=records))
                if one is not LOADER or turn:
                    shutil.rmtree(task.folder, ignore_errors=True)
    return [
        Client(one.name, one.leaves_out, missing=found[one.name])
        if found[one.name]
        else Client(one.name, one.leaves_out, records_of(one, files), runs[one.name], starts[one.name])
        for one in contenders
    ]


def records_of(contender: Contender, files: Mapping[int, Path]) -> int:
    """How many records it is given: as many as there are, if that is not too many for it."""
    return min(contender.records_max or max(files), max(files))


def run_once(contender: Contender, task: Task, *, records: int) -> Cost:
    """One run, all records of which the sink has to have accepted."""
    environment = dict(contender.environment)
    if task.server.ca is not None:
        # What OpenSSL, and what requests look at.
        environment |= {"SSL_CERT_FILE": str(task.server.ca), "REQUESTS_CA_BUNDLE": str(task.server.ca)}
    return measure(
        contender.command(task),
        environment,
        server=task.server,
        records=records,
        ends_itself=contender.ends_itself,
        output=subprocess.DEVNULL,
    )
