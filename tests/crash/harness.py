"""Runs the product from outside: the sandbox and the loader as processes, signals, files, and nothing else.

Whatever is started here is ended here, by its process id, also when a test fails. Nothing of the package is
imported; what a load came to is for `oracle.py` to say.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests import canary, own_state, shares
from tests.crash import oracle

ROOT = Path(__file__).resolve().parents[2]
PYTHON = sys.executable
LOADER = (PYTHON, "-m", "loader")
READY_TIMEOUT_S = 20.0
RUN_TIMEOUT_S = 40.0
POLL_S = 0.001
CONCURRENCY = 4
"""Batches in flight of the killed loads: under the sandbox's ten, so that calls of a killed loader which
the sandbox still works on do not push the next one back."""
BATCH = 100
SCREEN_LINES, SCREEN_COLUMNS = 24, 100


@dataclass(frozen=True)
class Finished:
    """A command that ended."""

    exit_code: int
    stdout: bytes
    stderr: str
    seconds: float

    @property
    def said(self) -> str:
        """What stands on stderr, wherever its lines break."""
        return " ".join(self.stderr.split())

    def ended(self, *codes: int) -> Finished:
        """Self, where it ended with one of these codes; what it said, where not."""
        assert self.exit_code in codes, f"exit {self.exit_code}, expected {codes}:\n{self.stderr}"
        assert "Traceback" not in self.stderr, self.stderr
        return self

    def is_one_screen(self) -> None:
        """An error as a person wants it: short, without a traceback, and nothing where data would be."""
        lines = self.stderr.rstrip("\n").split("\n")
        assert "Traceback" not in self.stderr, self.stderr
        assert 1 <= len(lines) <= SCREEN_LINES, self.stderr
        # A path or a command to copy is never broken, however long.
        assert max((len(line) for line in lines if "/" not in line), default=0) <= SCREEN_COLUMNS, self.stderr
        assert "error" in self.stderr.lower(), self.stderr
        assert self.stdout == b""


@dataclass(frozen=True)
class Crm:
    """A running sandbox, and how to reach it."""

    url: str
    credentials: Mapping[str, str]
    database: oracle.Sandbox
    pid: int

    @property
    def target(self) -> list[str]:
        return ["--api-domain", self.url, "--accounts-url", self.url]


def environment(home: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """The surroundings of a command: no setting and no state of the person who runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LOADER_", "XDG_"))}
    home.mkdir(exist_ok=True)
    own = {"HOME": str(home), "PYTHONPATH": str(ROOT), "LOADER_STATE_DIR": own_state.fresh()}
    return {**kept, **own, "NO_COLOR": "1", "COLUMNS": str(SCREEN_COLUMNS), **extra}


@contextmanager
def sandbox(directory: Path, *flags: str, name: str = "crm") -> Iterator[Crm]:
    """`loader sandbox` on a free port, its database in `directory`, for as long as the block lasts."""
    database = directory / f"{name}.db"
    command = [PYTHON, "-m", "loader", "sandbox", "--port", "0", "--db", str(database), *flags]
    with (directory / f"{name}.stderr").open("wb") as stderr:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=environment(directory / "home", {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
        try:
            yield _ready(process, database, directory / f"{name}.stderr")
        finally:
            end(process)
            assert process.stdout is not None
            process.stdout.close()


def _ready(process: subprocess.Popen[bytes], database: Path, stderr: Path) -> Crm:
    assert process.stdout is not None
    line = process.stdout.readline()  # the sandbox prints it or ends; the test's own time-out is the bound
    assert line, f"the sandbox did not start:\n{stderr.read_text()}"
    ready = json.loads(line)
    credentials = {
        "LOADER_CLIENT_ID": ready["client_id"],
        "LOADER_CLIENT_SECRET": ready["client_secret"],
        "LOADER_REFRESH_TOKEN": ready["refresh_token"],
    }
    return Crm(ready["url"], credentials, oracle.Sandbox(database), ready["pid"])


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process of ours, kindly first."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass
class Desk:
    """Where one load is worked on: its directory, its input, its sandbox, and the commands to type."""

    directory: Path
    crm: Crm
    input: Path
    flags: Sequence[str] = ()
    """Of every `load`, beside the ones that say where to."""
    credentials: Mapping[str, str] | None = None
    """None: the sandbox's."""
    module: str = "Leads"
    load_dir: Path = field(init=False)

    def __post_init__(self) -> None:
        self.load_dir = self.directory / f"{self.input.name}.load"

    def load_command(self, source: str | None = None) -> list[str]:
        where = ["--module", self.module, "--load-dir", str(self.load_dir)]
        return ["load", source or str(self.input), *where, *self.crm.target, *self.flags]

    def resume_command(self) -> list[str]:
        return ["resume", str(self.load_dir)]

    def surroundings(self) -> dict[str, str]:
        given = self.crm.credentials if self.credentials is None else self.credentials
        return environment(self.directory / "home", given)

    @contextmanager
    def spawned(
        self, command: Sequence[str], stdin: Path | None = None, *, program: Sequence[str] = LOADER
    ) -> Iterator[subprocess.Popen[bytes]]:
        """The loader itself, no shell between: its process id is the one to kill.

        `program`: how it is started, where something is to watch or to limit it.
        """
        with (
            open(stdin or os.devnull, "rb") as source,  # noqa: PTH123 - os.devnull is no path of ours
            (self.directory / "loader.stdout").open("wb") as stdout,
            (self.directory / "loader.stderr").open("wb") as stderr,
        ):
            process = subprocess.Popen(
                [*program, *command],
                cwd=self.directory,
                env=self.surroundings(),
                stdin=source,
                stdout=stdout,
                stderr=stderr,
            )
            canary.look_at_arguments(process.pid)
            try:
                yield process
            finally:
                end(process)
                # The next command writes over them.
                canary.look_into(self.directory / "loader.stdout")
                canary.look_into(self.directory / "loader.stderr")

    def run(
        self,
        command: Sequence[str],
        stdin: Path | None = None,
        timeout_s: float = RUN_TIMEOUT_S,
        *,
        program: Sequence[str] = LOADER,
    ) -> Finished:
        """A command from its start to its end."""
        began = time.monotonic()
        with self.spawned(command, stdin, program=program) as process:
            process.wait(timeout=timeout_s)
        return self.said(process, time.monotonic() - began)

    def said(self, process: subprocess.Popen[bytes], seconds: float = 0.0) -> Finished:
        """What the last command printed."""
        return Finished(
            process.returncode,
            (self.directory / "loader.stdout").read_bytes(),
            (self.directory / "loader.stderr").read_text(errors="replace"),
            seconds,
        )

    def load(self, source: str | None = None, stdin: Path | None = None) -> Finished:
        return self.run(self.load_command(source), stdin)

    def resume(self) -> Finished:
        return self.run(self.resume_command())

    def results(self) -> list[bytes]:
        """What `loader results` prints of the load as it is; it needs no credentials."""
        return self.run(["results", str(self.load_dir)]).ended(0).stdout.splitlines()

    @property
    def begun(self) -> bool:
        """There is a load to resume. A kill may come before that."""
        log = self.load_dir / "checkpoint.log"
        return log.exists() and log.stat().st_size > 0

    def judge(self, *, held_max: int = 0, stamp: str = "", piped: bool = False) -> Mapping[str, int]:
        """The oracle's word on the finished load; its results may be too many to hold at once."""
        with self.spawned(["results", str(self.load_dir)]) as process:
            assert process.wait() == 0, (self.directory / "loader.stderr").read_text()
        with (self.directory / "loader.stdout").open("rb") as results:
            return oracle.check_load(
                self.input,
                results,
                self.load_dir,
                self.crm.database,
                held_max=held_max,
                stamp=stamp,
                piped=piped,
            )


class Killer:
    """Kills loaders, `kill -9`, at moments that a seed chooses."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.kills = 0

    def moment(self, desk: Desk, *, calls_max: int) -> Callable[[], bool]:
        """A condition to wait for, counted from now; each kind finds crashes that the others do not.

        In the middle of sending, half the time; else early or anywhere.
        """
        if self.random.random() < 0.5:
            database, aim = (
                desk.crm.database,
                desk.crm.database.insert_calls + self.random.randint(1, calls_max),
            )
            return lambda: database.insert_calls >= aim
        return self.early_moment(desk)

    def early_moment(self, desk: Desk) -> Callable[[], bool]:
        """While the process starts, folds the log, or has just begun to write its first window."""
        if self.random.random() < 0.5:
            log = desk.load_dir / "checkpoint.log"
            before = _written(log)
            return lambda: _written(log) != before
        due = time.monotonic() + self.random.uniform(0.05, 0.8)
        return lambda: time.monotonic() >= due

    def strike(self, process: subprocess.Popen[bytes], moment: Callable[[], bool]) -> bool:
        """Waits for the moment and a little, then kills.

        Returns: whether there was a process left to kill.
        """
        deadline = time.monotonic() + RUN_TIMEOUT_S
        while process.poll() is None and not moment():
            assert time.monotonic() < deadline, "the loader neither ended nor came to the moment of its kill"
            time.sleep(POLL_S)
        time.sleep(self.random.uniform(0, 0.02))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        killed = process.wait() == -signal.SIGKILL
        self.kills += killed
        shares.count("kills", killed)
        return killed


def _written(path: Path) -> int:
    """When it was last written, in nanoseconds; its size says less, for space may be allocated ahead."""
    return path.stat().st_mtime_ns if path.exists() else 0


def wait_for(condition: Callable[[], bool], *, timeout_s: float = READY_TIMEOUT_S) -> None:
    """Until it holds, or the test fails."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "what the test waited for did not come"
        time.sleep(POLL_S)


NAMES = ("Ada Lovelace", "Grace Hopper", "Зоя Космодемьянская", "Łukasz Żółć", "Anne-Marie O'Neill", "李 娜")
CITIES = ("Łódź", "São Paulo", "Zürich", "Chennai", "Reykjavík", "東京")


def lead(number: int, random_: random.Random) -> bytes:
    """One valid lead of about 300 bytes that no other number has: odd white space, escapes and all.

    The bytes differ in ways that a decode and encode would not keep, so that the oracle sees one.
    """
    first, last = random_.choice(NAMES).rsplit(" ", 1) if number % 6 else ("\\u00c9lise", 'Noël \\"N\\"')
    words = " ".join(f"{random_.getrandbits(48):012x}" for _ in range(8))
    gap = "  " if number % 3 else ""
    return (
        f'{{"Last_Name":{gap}"{last}", "First_Name":"{first}",{gap}"Email":"lead.{number}@example.com",'
        f'"Company" : "Company {number % 977}","City":"{random_.choice(CITIES)}",'
        f'"No_of_Employees":{number % 9999},"Annual_Revenue":{number % 9999}.50,'
        f'"Description":"lead {number}: {words}"}}'
    ).encode()


def write_leads(path: Path, count: int, seed: int) -> Path:
    """A file of valid leads, all different, packed where its name says so."""
    random_ = random.Random(seed)
    with gzip.open(path, "wb", compresslevel=1) if path.suffix == ".gz" else path.open("wb") as stream:
        for number in range(1, count + 1):
            stream.write(lead(number, random_) + b"\n")
    return path


def pack(path: Path) -> Path:
    """The same bytes as gzip, beside it."""
    packed = path.with_name(path.name + ".gz")
    with path.open("rb") as source, gzip.open(packed, "wb", compresslevel=1) as stream:
        shutil.copyfileobj(source, stream)
    return packed


def wait_until_still(count: Callable[[], int], *, for_s: float = 0.5) -> None:
    """Until a number has not changed for a while: what a killed process sent may still be on its way."""
    seen, since = count(), time.monotonic()
    while time.monotonic() - since < for_s:
        time.sleep(0.02)
        now = count()
        if now != seen:
            seen, since = now, time.monotonic()
