"""What `loader demo` does: it types the commands that a person would, kills one, and looks for doubles.

It knows the loader by its commands alone, and the sandbox by its database: what it checks is what anybody
could check.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import loader
from loader.cli import samples
from loader.cli.screen import show
from loader.errors import ExitCode, LoaderError

KILL_AT = 0.4
"""The share of the records that the sandbox has when the loader is killed."""
API_DOMAIN = "LOADER_API_DOMAIN"
LATENCY = "150ms"
QUIET_PERIOD = "1s"
WAIT_S = 60.0
_POLL_S = 0.02


class BrokenPromiseError(LoaderError):
    """The demo saw something that the loader promises never happens."""


def demonstrate(folder: Path, *, seed: int) -> None:
    """Runs the demo in `folder` and leaves its files there.

    Raises:
        BrokenPromiseError: a record is missing or twice, or a command did not end as it should.
    """
    leads = folder / "leads.ndjson"
    with leads.open("wb") as stream:
        stream.writelines(samples.leads(samples.LEADS, seed=seed))
    _say(f"1. {samples.LEADS:,} sample leads, some of them bad or repeated: {leads}")
    with _sandbox(folder / "crm.db", folder) as surroundings:
        _say("2. A sandbox of the CRM's API runs on this machine. The load begins:")
        killed_at = _load_and_kill(leads, folder / "crm.db", surroundings)
        _say(
            f"3. kill -9: the loader is gone, {killed_at:,} records are in the CRM, calls were in the air.",
            "   Each batch was in the checkpoint log, on disk, before it left. What the log says now:",
        )
        load_dir = Path(f"{leads}.load")
        _expect(ExitCode.OK, ["status", str(load_dir)], surroundings)
        _say(
            "4. Resume. What was not answered may be in the CRM or not: after a rest of "
            f"{QUIET_PERIOD} it is sent again, and",
            "   the unique Email tells which it was. What was answered is never sent again.",
        )
        _expect(ExitCode.NOT_ALL_INSERTED, ["resume", str(load_dir)], surroundings)
        _check(leads, load_dir, folder / "crm.db", surroundings)
    _say(
        f"5. Checked against the CRM's own database: all {samples.LEADS:,} lines have one outcome, and each",
        "   record that counts as inserted is there once, byte for byte.",
        f"   The report, for a browser: {load_dir / 'report.html'}",
        f"   Look at the refused ones:  loader results {load_dir} --failed",
        f"   Everything is kept in      {folder}",
    )


@contextmanager
def _sandbox(database: Path, folder: Path) -> Iterator[dict[str, str]]:
    """A sandbox as a process of its own; gives the environment of commands that are to reach it."""
    surroundings = _surroundings(folder)
    flags = ["--port", "0", "--db", str(database), "--unique", "Leads.Email", "--latency", LATENCY]
    with subprocess.Popen(  # noqa: S603 - our own command, no shell
        _command(["sandbox", *flags]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        cwd=folder,
        env=surroundings,
        start_new_session=True,  # Ctrl-C reaches it through us, after the loads that need it
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise BrokenPromiseError("the sandbox did not start", why="its own message stands above")
            facts = json.loads(line)
            for name in ("client_id", "client_secret", "refresh_token"):
                surroundings[f"LOADER_{name.upper()}"] = facts[name]
            surroundings[API_DOMAIN] = facts["url"]
            yield surroundings
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _surroundings(folder: Path) -> dict[str, str]:
    """The environment without the settings of whoever runs the demo, and with this very package."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOADER_")}
    package_parent = str(Path(loader.__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, (package_parent, kept.get("PYTHONPATH"))))
    own = {"XDG_CONFIG_HOME": str(folder), "LOADER_STATE_DIR": str(folder / "state")}
    return {**kept, "PYTHONPATH": path, **own}


def _command(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "loader", *arguments]


def _load_and_kill(leads: Path, database: Path, surroundings: Mapping[str, str]) -> int:
    """Begins the load, kills it in the middle; returns how many records the sandbox had then."""
    target = ["--module", "Leads", "--api-domain", surroundings[API_DOMAIN], "--key", "Email"]
    load = ["load", str(leads), *target, "--quiet-period", QUIET_PERIOD]
    _say(f"   $ loader {' '.join(load)}")
    with subprocess.Popen(  # noqa: S603 - our own command, no shell
        _command(load), stdin=subprocess.DEVNULL, cwd=leads.parent, env=dict(surroundings)
    ) as process:
        try:
            _wait_for_middle(process, database)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    if process.returncode != -signal.SIGKILL:
        raise BrokenPromiseError(f"the load ended by itself, with exit code {process.returncode}")
    return _records_in(database)


def _wait_for_middle(process: subprocess.Popen[bytes], database: Path) -> None:
    deadline = time.monotonic() + WAIT_S
    while process.poll() is None and _records_in(database) < samples.LEADS * KILL_AT:
        if time.monotonic() > deadline:
            raise BrokenPromiseError("the load did not come to its middle", why=f"not within {WAIT_S:g} s")
        time.sleep(_POLL_S)


def _expect(code: ExitCode, arguments: Sequence[str], surroundings: Mapping[str, str]) -> None:
    _say(f"   $ loader {' '.join(arguments)}")
    done = subprocess.run(  # noqa: S603 - our own command, no shell
        _command(arguments), env=dict(surroundings), stdin=subprocess.DEVNULL, check=False, timeout=WAIT_S
    )
    if done.returncode != code:
        raise BrokenPromiseError(
            f"loader {arguments[0]} ended with exit code {done.returncode}", why=f"expected {code}"
        )


def _check(leads: Path, load_dir: Path, database: Path, surroundings: Mapping[str, str]) -> None:
    """Compares the loader's word on each line with the input and with the sandbox's rows."""
    rows = _rows(database)
    stored = len(rows)
    outcomes = _results(load_dir, surroundings)
    with leads.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            result = next(outcomes, None)
            if result is None or result["line"] != number:
                raise BrokenPromiseError(f"line {number} has no outcome")
            if result["outcome"] in ("in_doubt", "pending"):
                raise BrokenPromiseError(f"line {number} is still {result['outcome']}")
            if result["outcome"] == "inserted" and rows.pop(int(result["id"]), None) != line.rstrip(b"\n"):
                raise BrokenPromiseError(
                    f"line {number} is not in the CRM as it was written, or is there twice"
                )
    if rows or next(outcomes, None) is not None:
        raise BrokenPromiseError(f"{len(rows)} of {stored} rows in the CRM belong to no line of the input")


def _results(load_dir: Path, surroundings: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    done = subprocess.run(  # noqa: S603 - our own command, no shell
        _command(["results", str(load_dir)]),
        env=dict(surroundings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=False,
        timeout=WAIT_S,
    )
    if done.returncode:
        raise BrokenPromiseError(f"loader results ended with exit code {done.returncode}")
    return (json.loads(line) for line in done.stdout.splitlines())


def _open(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=10)


def _records_in(database: Path) -> int:
    with closing(_open(database)) as connection:
        number: int = connection.execute("SELECT count(*) FROM records").fetchone()[0]
        return number


def _rows(database: Path) -> dict[int, bytes]:
    with closing(_open(database)) as connection:
        return {number: bytes(raw) for number, raw in connection.execute("SELECT id, raw FROM records")}


def _say(*lines: str) -> None:
    show(lines)
