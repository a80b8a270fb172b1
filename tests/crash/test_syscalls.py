"""A fault at every system call that a load makes on its log and its directory, one at a time, by `strace`.

A small load is traced once: that lists its calls. Then it is run again for each call of the list and each
fault: killed before the call, refused with EIO, refused with ENOSPC. After each of these runs the load is run
again without any fault until it ends, and the oracle judges. docs/design/crash-testing.md has the figures.

    pytest -m soak tests/crash/test_syscalls.py     # all faults at all calls of all scenes
"""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from tests import shares
from tests.crash import oracle, strace
from tests.crash.harness import BATCH, Crm, Desk, Finished, sandbox, wait_until_still, write_leads
from tests.crash.launcher import Loaders, launched
from tests.crash.strace import Aim, Fault, Strike

RECORDS = 210
"""Three batches, so that the last window is cut while the first is sent."""
CONCURRENCY = 2
IN_FLIGHT = CONCURRENCY * BATCH
FLAGS = ("--concurrency", str(CONCURRENCY))
KEYED = (*FLAGS, "--key", "Email", "--quiet-period", "30ms")
TABLES = ("records", "unique_values", "calls", "apply_log")
PUBLISHED = (
    "summary.json",
    "rejected.ndjson",
    "rejected-reasons.ndjson",
    "in-doubt.ndjson",
    "report.html",
)
PERSISTENT = frozenset(
    {"fallocate", "fdatasync", "fsync", "ftruncate", "mkdir", "pwrite64", "rename", "write"}
)
"""Calls that change or keep what is on the disk: none of their failures is passed over."""
GROUPS: Mapping[str, frozenset[str]] = {
    "writes": frozenset({"fallocate", "ftruncate", "pwrite64", "write"}),
    "syncs": frozenset({"fdatasync", "fsync"}),
    "names": frozenset({"flock", "mkdir", "openat", "rename", "unlink"}),
    "closes": frozenset({"close"}),
    "reads": frozenset({"lseek", "pread64", "read"}),
}
SLACK = 2
"""Calls of a group that may not come to their fault."""
SHARED = "shared state"
SHARED_FIRST, SHARED_STRIDE = 3, 16
SHARED_CHANGING = frozenset({"ftruncate", "mkdir", "openat", "pwrite64", "rename"})
FAULTS = (Fault.KILL, Fault.EIO, Fault.ENOSPC)
REST = "rest"
"""Whatever else is called: status, listings, and what no group names yet."""


@dataclass(frozen=True)
class Scene:
    """A run of the loader, and what happened to its load before: faults, each of which ended a run."""

    keyed: bool
    before: tuple[tuple[Aim, Fault], ...] = ()


MIDDLE = (Aim("pwrite64", main=True, number=8), Fault.KILL)
"""One batch has its outcome, one is in doubt, one is only planned."""
SCENES = {
    "load": Scene(keyed=True),
    "load without a key": Scene(keyed=False),
    "resume": Scene(keyed=True, before=(MIDDLE,)),
    "resume without a key": Scene(keyed=False, before=(MIDDLE,)),
    "resume after a failed sync": Scene(
        keyed=True, before=((Aim("fdatasync", main=False, number=2), Fault.EIO),)
    ),
    "resume after the seal": Scene(keyed=True, before=((Aim("fsync", main=False, number=1), Fault.KILL),)),
    "resume after a seal that failed": Scene(
        keyed=True, before=((Aim("fdatasync", main=False, number=3), Fault.EIO),)
    ),
}

CHANGING = ("writes", "syncs", "names", "closes")
RESUMES = [name for name, scene in SCENES.items() if scene.before]
ORDINARY = {
    *(("load", group, fault) for group in CHANGING for fault in FAULTS),
    *(("load", group, Fault.EIO) for group in (*GROUPS, REST)),
    *(("resume", group, Fault.EIO) for group in ("names", "closes", REST)),
    *(("load without a key", group, Fault.KILL) for group in ("writes", "syncs", "names")),
    *((scene, group, Fault.KILL) for scene in RESUMES for group in ("writes", "syncs")),
    *((scene, group, Fault.EIO) for scene in RESUMES if SCENES[scene].keyed for group in ("writes", "syncs")),
}
"""What the ordinary run does; the soak does all the rest. A kill before a call that only reads leaves what a
kill before the next call that changes something leaves."""


class Stage:
    """One scene, again and again from the same state."""

    def __init__(self, scene: Scene, place: Path, crm: Crm, loaders: Loaders) -> None:
        self.place = place
        self.scene = scene
        self.crm = crm
        self.loaders = loaders
        flags = KEYED if scene.keyed else FLAGS
        self.desk = Desk(place, crm, write_leads(place / "leads.ndjson", RECORDS, 1), flags)
        self.desk.load_dir = place / "loads" / "leads.load"  # its parent is nobody's working directory
        self.desk.load_dir.parent.mkdir()
        self.desk.credentials = {**crm.credentials, **self.settings()}
        self._traces = 0
        self._saved = place / "saved"
        self._rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in TABLES}
        self._prepare()
        self.reset()
        self.calls, finished = self._list()
        finished.ended(0, 4)

    def settings(self) -> Mapping[str, str]:
        """Of its loads, as environment variables."""
        return {}

    def _prepare(self) -> None:
        self.reset()
        for aim, fault in self.scene.before:
            finished, _ = self.strike(aim, fault)
            assert finished.exit_code == (-9 if fault is Fault.KILL else 9), finished.stderr
        self.settle()
        with closing(self.crm.database.open()) as connection:
            for table in TABLES:
                self._rows[table] = connection.execute(f"SELECT * FROM {table}").fetchall()
        if self.desk.load_dir.exists():
            shutil.copytree(self.desk.load_dir, self._saved)

    def reset(self) -> None:
        """Puts the load directory and the sandbox's tables back to where the scene begins."""
        self.settle()
        shutil.rmtree(self.desk.load_dir, ignore_errors=True)
        if self._saved.exists():
            shutil.copytree(self._saved, self.desk.load_dir)
        with closing(sqlite3.connect(self.crm.database.database, timeout=10)) as connection, connection:
            for table, rows in self._rows.items():
                connection.execute(f"DELETE FROM {table}")
                for row in rows:
                    marks = ",".join("?" * len(row))
                    connection.execute(f"INSERT INTO {table} VALUES ({marks})", row)

    def settle(self) -> None:
        """Until the sandbox has dealt with what a killed loader had sent."""
        wait_until_still(lambda: self.crm.database.applied, for_s=0.06)

    def command(self, number: int = 1) -> list[str]:
        """`load` or `resume`, in turns, where there is something to resume."""
        return self.desk.resume_command() if number % 2 and self.desk.begun else self.desk.load_command()

    def strike(
        self, aim: Aim | None, fault: Fault, *, command: Sequence[str] = ()
    ) -> tuple[Finished, Strike]:
        self._traces += 1
        traces = self.desk.directory / f"traces-{self._traces}"
        traces.mkdir()
        strike = Strike(traces, self._paths(), aim, fault)
        return self.loaders.run(self.desk, command or self.command(), strike=strike), strike

    def strike_input(self, aim: Aim | None) -> tuple[Finished, Strike]:
        traces = self.desk.directory / "input-traces"
        shutil.rmtree(traces, ignore_errors=True)
        traces.mkdir()
        strike = Strike(traces, [self.desk.input], aim, Fault.EIO)
        return self.loaders.run(self.desk, self.command(), strike=strike), strike

    def _paths(self) -> list[Path]:
        directory = self.desk.load_dir
        sides = [f"checkpoint.log.side-{number}" for number in (1, 2, 3)]
        parts = [f".{name}.part" for name in PUBLISHED]
        names = ["checkpoint.log", *sides, *PUBLISHED, *parts]
        return [directory.parent, directory, *(directory / name for name in names)]

    def _list(self) -> tuple[list[Aim], Finished]:
        finished, strike = self.strike(None, Fault.KILL)
        return strike.read(self.loaders.last), finished

    def aims(self, group: str) -> list[Aim]:
        """The calls of a group, by kind, thread and number; other threads are counted as one."""
        named = frozenset[str]().union(*GROUPS.values())
        wanted: Callable[[str], bool] = (
            (lambda call: call not in named) if group == REST else GROUPS[group].__contains__
        )
        return sorted({aim for aim in self.calls if wanted(aim.call)})

    def report(self) -> str:
        path = self.desk.load_dir / "report.html"
        return path.read_text() if path.exists() else "there is none"

    def judge(self) -> Counter[str]:
        told = self.loaders.run(self.desk, ["results", str(self.desk.load_dir)]).ended(0)
        held_max = 0 if self.scene.keyed else RECORDS
        lines = told.stdout.splitlines()
        return oracle.check_load(
            self.desk.input, lines, self.desk.load_dir, self.crm.database, held_max=held_max
        )


class SharedStage(Stage):
    """A load, and faults at what it shares with the other loads of its machine."""

    @property
    def state(self) -> Path:
        return self.place / "state"

    def settings(self) -> Mapping[str, str]:
        return {"LOADER_STATE_DIR": str(self.state)}

    def reset(self) -> None:
        super().reset()
        shutil.rmtree(self.state, ignore_errors=True)

    @cached_property
    def _shared(self) -> list[Path]:
        self.loaders.run(self.desk, self.command()).ended(0)
        found = [self.state, *self.state.rglob("*")]
        self.reset()
        return found

    def _paths(self) -> list[Path]:
        return self._shared

    def some_aims(self, calls: frozenset[str] | None = None) -> list[Aim]:
        """The first calls of each kind, and some of the others: each insert makes the same few again."""
        some = {aim for aim in self.calls if aim.number <= SHARED_FIRST or aim.number % SHARED_STRIDE == 0}
        return sorted(aim for aim in some if calls is None or aim.call in calls)


@pytest.fixture(scope="module")
def stage_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Stage]]:
    """Each scene once a process, made when it is needed."""
    strace.require()
    stages: dict[str, Stage] = {}
    crms: dict[bool, Crm] = {}
    with ExitStack() as stack:
        loaders = stack.enter_context(launched())

        def stage(name: str) -> Stage:
            scene = SCENES.get(name, Scene(keyed=True))
            if scene.keyed not in crms:
                unique = ("--unique", "Leads.Email") if scene.keyed else ()
                place = tmp_path_factory.mktemp("crm")
                crms[scene.keyed] = stack.enter_context(sandbox(place, "--token-grants", "100000", *unique))
            if name not in stages:
                place = tmp_path_factory.mktemp(name.replace(" ", "-"))
                kind = SharedStage if name == SHARED else Stage
                stages[name] = kind(scene, place, crms[scene.keyed], loaders)
            return stages[name]

        yield stage


def everything() -> list[tuple[str, str, Fault]]:
    return [(scene, group, fault) for scene in SCENES for group in (*GROUPS, REST) for fault in FAULTS]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("scene", "group", "fault"), [one for one in everything() if one in ORDINARY])
def test_a_fault_at_each_call_loses_nothing_and_doubles_nothing(
    stage_of: Callable[[str], Stage], scene: str, group: str, fault: Fault
) -> None:
    fault_at_each_call(stage_of(scene), group, fault)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("scene", "group", "fault"), [one for one in everything() if one not in ORDINARY])
def test_the_other_faults_at_each_call_lose_nothing_and_double_nothing(
    stage_of: Callable[[str], Stage], scene: str, group: str, fault: Fault
) -> None:
    fault_at_each_call(stage_of(scene), group, fault)


def fault_at_each_call(stage: Stage, group: str, fault: Fault) -> None:
    aims = stage.aims(group)
    assert aims or group == REST, "the scene makes no such call"
    met: list[Aim] = []
    wrong: list[str] = []
    for number, aim in enumerate(aims):
        stage.reset()
        finished, strike = stage.strike(aim, fault)
        happened = finished.exit_code == -9 if fault is Fault.KILL else strace.refused_in(strike.traces)
        met += [aim] * happened
        try:
            check_ended(stage, aim, fault, finished, happened=happened)
            check_the_rest(stage, number)
        except AssertionError as error:
            wrong.append(f"{fault} at {aim}: exit {finished.exit_code}\n{finished.stderr}\n{error}")
        shutil.rmtree(strike.traces)
    shares.count("faults at system calls", len(met))
    print(f"{len(met)} of {len(aims)} calls met {fault}")
    assert not wrong, f"{len(wrong)} of {len(aims)} faults\n\n" + "\n\n".join(wrong)
    # The tasks of a load may meet in another order: two syncs become one, a batch leaves before another ends.
    assert len(met) >= len(aims) - SLACK, f"not met: {sorted(set(aims) - set(met))}"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("looks", ["status", "results", "resolve", "repair", "retry"])
def test_a_disk_that_fails_under_a_command_that_finds_nothing_to_do_is_named(
    stage_of: Callable[[str], Stage], looks: str
) -> None:
    stage = stage_of("load")
    stage.reset()
    load_dir = str(stage.desk.load_dir)
    stage.loaders.run(stage.desk, stage.desk.load_command()).ended(0)
    report = ["--report", str(stage.desk.load_dir.parent / "again.html")] if looks == "status" else []
    command = [looks, load_dir, *report]
    finished, strike = stage.strike(None, Fault.EIO, command=command)
    finished.ended(0)
    aims = strike.read(stage.loaders.last)
    assert aims
    met = 0
    for aim in sorted(set(aims)):
        finished, strike = stage.strike(aim, Fault.EIO, command=command)
        met += strace.refused_in(strike.traces)
        finished.ended(0, 2, 9)
        if finished.exit_code == 9:
            says_what_to_do(finished)
    shares.count("faults at system calls", met)
    assert met >= len(set(aims)) - SLACK


@pytest.mark.timeout(300)
def test_a_disk_that_fails_under_the_input_is_named_and_loses_nothing(
    stage_of: Callable[[str], Stage],
) -> None:
    stage = stage_of("load")
    _, strike = stage.strike_input(None)
    aims = sorted(set(strike.read(stage.loaders.last)))
    assert {aim.call for aim in aims} >= {"openat", "read", "close"}
    for number, aim in enumerate(aims):
        stage.reset()
        finished, strike = stage.strike_input(aim)
        finished.ended(0, 2, 9)
        shares.count("faults at system calls", strace.refused_in(strike.traces))
        check_the_rest(stage, number)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", FAULTS[:2])
def test_a_fault_at_what_loads_share_stops_no_load_and_loses_nothing(
    stage_of: Callable[[str], Stage], fault: Fault
) -> None:
    """Without it a load counts for itself: that costs a warning at most, and never a record."""
    stage = stage_of(SHARED)
    assert isinstance(stage, SharedStage)
    aims = stage.some_aims(SHARED_CHANGING if fault is Fault.KILL else None)
    met, wrong = 0, []
    for number, aim in enumerate(aims):
        stage.reset()
        finished, strike = stage.strike(aim, fault)
        met += finished.exit_code == -9 if fault is Fault.KILL else strace.refused_in(strike.traces)
        try:
            finished.ended(0, *((-9,) if fault is Fault.KILL else ()))
            check_the_rest(stage, number)
        except AssertionError as error:
            wrong.append(f"{fault} at {aim}: exit {finished.exit_code}\n{finished.stderr}\n{error}")
        shutil.rmtree(strike.traces)
    shares.count("faults at shared state", met)
    assert not wrong, f"{len(wrong)} of {len(aims)} faults\n\n" + "\n\n".join(wrong)
    assert met >= len(aims) - SLACK
    assert {aim.call for aim in aims} >= {"openat", "pwrite64"}


def check_ended(stage: Stage, aim: Aim, fault: Fault, finished: Finished, *, happened: bool) -> None:
    if not happened:
        finished.ended(0, 4)
    elif fault is not Fault.KILL:
        well = (0,) if stage.scene.keyed else (0, 4)
        # A directory that may not even be looked into is taken for a mistyped one.
        usage = (2,) if aim.call == "access" else ()
        finished.ended(9, *usage, *(() if aim.call in PERSISTENT else well))
        if finished.exit_code not in well:
            says_what_to_do(finished)


def says_what_to_do(finished: Finished) -> None:
    lines = finished.stderr.strip().splitlines()
    error = next((number for number, line in enumerate(lines) if line.startswith("error: ")), None)
    assert error is not None, "no error is named"
    assert len(lines) - error >= 2, "the error does not say why and what to do"
    assert "loader " in finished.said or "same command" in finished.stderr, "nothing to type is named"


def check_the_rest(stage: Stage, number: int) -> None:
    stage.settle()
    again = stage.loaders.run(stage.desk, stage.command(number))
    again.ended(*((0,) if stage.scene.keyed else (0, 4)))
    outcomes = stage.judge()
    assert again.exit_code == (4 if outcomes.get("in_doubt") else 0)
    whole = "nobody can tell yet" if outcomes.get("in_doubt") else f"All {RECORDS} records are in"
    assert whole in stage.report(), "the report is not that of the whole load"
    if stage.scene.keyed:
        assert outcomes == {"inserted": RECORDS}
    else:
        taken = stage.crm.database.records_taken
        assert taken <= RECORDS, f"{taken} records were sent: some that may have been applied were sent again"
