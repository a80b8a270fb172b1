"""The cases: each runs its clients in processes of their own and gives a section of the report."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from benchmarks import instructions
from benchmarks.clients import (
    GATHER,
    INSTALL_WRK,
    LOADER,
    REFERENCE,
    REQUESTS,
    SDK,
    SDK_RECORDS,
    SYSLOG_NG,
    Contender,
    Task,
    compare,
    load_command,
    run_once,
)
from benchmarks.credentials import BENCHMARK
from benchmarks.figures import (
    START_RECORDS,
    Client,
    Cost,
    Figure,
    Section,
    marginal_cpu_us,
    paired_ratio,
    records_per_s,
)
from benchmarks.peers import wrk
from benchmarks.process import Sink, measure, sink

LATENCY_S: Final = 0.2
CONCURRENCY: Final = 10
"""Large calls in flight that the API allows."""
STAGES: Final = ("split", "check", "batch", "body", "decode", "log", "fold")
RESUMED: Final = 10_000_000

GZIP: Final = Contender(
    "loader, gzip input",
    "nothing",
    lambda task: load_command(msgspec.structs.replace(task, file=_zipped(task.file))),
    BENCHMARK,
)


class Setting(msgspec.Struct, frozen=True):
    """How large, how often, and where."""

    folder: Path
    records: int
    pairs: int
    quick: bool

    def file(self, records: int) -> Path:
        """That many leads, made once; the bytes of the shorter are the beginning of the longer."""
        path = self.folder / f"leads-{records}.ndjson"
        if not path.exists():
            command = [sys.executable, "-m", "benchmarks.data", "--records", str(records), str(path)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return path

    def files(self, *counts: int) -> dict[int, Path]:
        """By count."""
        return {records: self.file(records) for records in (START_RECORDS, *counts)}

    def fresh(self, name: str) -> Path:
        """A folder that is not there yet."""
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        return path


def _zipped(path: Path) -> Path:
    packed = path.with_suffix(".ndjson.gz")
    if not packed.exists():
        with path.open("rb") as plain, gzip.open(packed, "wb", compresslevel=6) as out:
            shutil.copyfileobj(plain, out, 1 << 20)
    return packed


# --- the parts ---


def stages(setting: Setting) -> Section:
    """Each stage of a load alone."""
    records = str(min(setting.records, 100_000) // 1000 * 1000)
    rounds = "3" if setting.quick else "9"
    figures = []
    for stage in STAGES:
        command = [sys.executable, "-m", "benchmarks.stages", stage, "--records", records, "--rounds", rounds]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        figures.append(Figure(f"stage: {stage}", "CPU-ns a record", json.loads(done.stdout)))
    return Section("Stages alone", figures=figures)


def ceiling(setting: Setting) -> Section:
    """What the sink can take: wrk with a prebuilt body."""
    title = "The limit: wrk and the sink"
    program = shutil.which("wrk")
    if program is None:
        return Section(title, [Client("wrk", "everything", missing=INSTALL_WRK)])
    seconds = 2 if setting.quick else 5
    with sink() as server:
        before = server.accepted()
        command = wrk.command(program, setting.fresh("wrk"), server.url, seconds=seconds)
        cost = measure(command, server=server, output=subprocess.DEVNULL)
        records = server.accepted() - before
    return Section(
        title,
        figures=[
            Figure("wrk", "CPU-us a record", [cost.cpu_s * 1e6 / records], "no file, no JSON, no records"),
            Figure("sink, ceiling", "records/s", [records / cost.wall_s], "as wrk reached it"),
            Figure("sink", "CPU-us a record", [cost.server_cpu_s * 1e6 / records]),
            Figure("sink, one whole core", "records/s", [records / cost.server_cpu_s], "by its CPU time"),
        ],
    )


# --- the whole load ---


def load(setting: Setting) -> Section:
    """The whole load, the reference loop, and in a full run everybody else, on one file and one sink."""
    others = [] if setting.quick else [GZIP, SYSLOG_NG, GATHER, REQUESTS, SDK]
    files = setting.files(setting.records, *([] if setting.quick else [SDK_RECORDS]))
    if not setting.quick:
        for path in files.values():
            _zipped(path)
    folder = setting.fresh("load")
    with sink() as server:
        clients = compare([LOADER, REFERENCE, *others], server, files, folder, pairs=setting.pairs)
    replayed = [_log_cpu_s(folder / f"0-0-{setting.records}") for _ in range(3)]
    load_s = median(run.cpu_s for run in clients[0].runs)
    shutil.rmtree(folder, ignore_errors=True)
    return Section(
        "Whole load",
        clients,
        [
            *_over(clients, "cpu_over_reference"),
            # Whatever else the machine does makes a log dearer, never cheaper: the least of three.
            Figure("log_share_of_cpu", "of the load's CPU time", [min(replayed) / load_s], "the log alone"),
        ],
    )


def tls(setting: Setting) -> Section:
    """The same over TLS; the clients trust the sink's certificate by SSL_CERT_FILE."""
    title = "Over TLS"
    others = [] if setting.quick else [SYSLOG_NG, GATHER, REQUESTS]
    if shutil.which("openssl") is None:
        return Section(title, [Client("all", "", missing="apt-get install openssl")])
    certificate, key = _certificate(setting.fresh("tls"))
    folder = setting.fresh("load-tls")
    with sink("--tls", str(certificate), str(key), ca=certificate) as server:
        clients = compare(
            [LOADER, REFERENCE, *others], server, setting.files(setting.records), folder, pairs=setting.pairs
        )
    shutil.rmtree(folder, ignore_errors=True)
    return Section(title, clients, _over(clients, "cpu_over_reference_tls"))


def latency(setting: Setting) -> Section:
    """Against a server that answers after 200 ms."""
    records = 10_000 if setting.quick else 100_000
    folder = setting.fresh("load-latency")
    with sink("--latency", str(LATENCY_S)) as server:
        clients = compare([LOADER, GATHER], server, setting.files(records), folder, pairs=1)
    shutil.rmtree(folder, ignore_errors=True)
    ideal = CONCURRENCY * 100 / LATENCY_S
    return Section(
        f"Against {LATENCY_S * 1000:.0f} ms of latency",
        clients,
        [Figure("share_of_ideal_rate", f"of {ideal:,.0f} records/s", [records_per_s(clients[0]) / ideal])],
    )


def _over(clients: Sequence[Client], name: str) -> list[Figure]:
    loader, reference = map(marginal_cpu_us, clients[:2])
    ratio = paired_ratio(loader, reference)
    whole = paired_ratio([run.cpu_s for run in clients[0].runs], [run.cpu_s for run in clients[1].runs])
    return [
        Figure(name, "times", [ratio], "CPU of one record more, loader over reference loop"),
        Figure(f"{name}, start-up included", "times", [whole]),
    ]


def _log_cpu_s(load_dir: Path) -> float:
    """CPU seconds of writing that load's checkpoint log alone."""
    command = [sys.executable, "-m", "benchmarks.log", "replay", str(load_dir)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for the loopback address, signed by itself, and its key."""
    folder.mkdir()
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=127.0.0.1",
        "-addext", "subjectAltName=IP:127.0.0.1",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


# --- memory ---


def memory(setting: Setting) -> Section:
    """Peaks of the loader alone: of two sizes, plain and gzip, and with a slow server."""
    few, many = (20_000, setting.records) if setting.quick else (100_000, max(setting.records, 200_000))
    return _memory(setting, few, many, slow=(2_000, 10_000) if setting.quick else (20_000, 100_000))


def memory_10m(setting: Setting) -> Section:
    """The same from 100,000 to 10,000,000 records; 3.3 GB of disk, and minutes."""
    return _memory(setting, 100_000, 10_000_000, slow=None)


def _memory(setting: Setting, few: int, many: int, *, slow: tuple[int, int] | None) -> Section:
    """How much a process takes differs by a few MiB from run to run: the least of its runs shows growth."""
    plan = [(LOADER, "0", (few, many)), (GZIP, "0", (few, many))]
    if slow is not None:
        plan.append((LOADER, str(LATENCY_S), slow))
    figures, growth = [], []
    for contender, latency_s, sizes in plan:
        name = contender.name if latency_s == "0" else f"{contender.name}, answers after {latency_s} s"
        with sink("--latency", latency_s) as server:
            peaks = [_peaks(setting, contender, server, records) for records in sizes]
        growth.append(min(peaks[1]) - min(peaks[0]))
        figures += [
            Figure(f"peak, {name}, {records:,} records", "MiB", values)
            for records, values in zip(sizes, peaks, strict=True)
        ]
    highest = max(max(figure.values) for figure in figures)
    return Section(
        "Memory",
        figures=[
            *figures,
            Figure("peak_mib", "MiB", [highest], "the highest of these"),
            Figure(
                "peak_growth_mib", "MiB", [max(growth)], "from small to large file, least of each, worst pair"
            ),
        ],
    )


def _peaks(setting: Setting, contender: Contender, server: Sink, records: int) -> list[float]:
    path = setting.file(records)
    if contender is GZIP:
        _zipped(path)
    peaks = []
    for _ in range(2 if setting.quick else 3):
        folder = setting.fresh("load-memory")
        peaks.append(run_once(contender, Task(server, path, folder), records=records).peak_mib)
        shutil.rmtree(folder, ignore_errors=True)
    return peaks


# --- small things ---


def small(setting: Setting) -> Section:
    """What waits before the first record: help, and a load of ten records."""
    rounds = 4 if setting.quick else 15
    ten = setting.file(10)
    found: dict[str, list[Cost]] = {}
    with sink() as server:
        for turn in range(rounds):
            load_dir = setting.fresh(f"ten-{turn}")
            for name, command in {
                "python -c pass": [sys.executable, "-c", "pass"],
                "python -c 'import aiohttp'": [sys.executable, "-c", "import aiohttp"],
                "loader --help": [sys.executable, "-m", "loader", "--help"],
                "load of 10 records": load_command(Task(server, ten, load_dir)),
            }.items():
                found.setdefault(name, []).append(
                    measure(command, BENCHMARK, server=server, output=subprocess.DEVNULL)
                )
            shutil.rmtree(load_dir, ignore_errors=True)
    cpu_s = {name: [cost.cpu_s for cost in costs] for name, costs in found.items()}
    over_python = paired_ratio(cpu_s["loader --help"], cpu_s["python -c pass"])
    over_aiohttp = paired_ratio(cpu_s["load of 10 records"], cpu_s["python -c 'import aiohttp'"])
    return Section(
        "Small things",
        figures=[
            *(
                Figure(name, "ms, by the clock", [c.wall_s * 1e3 for c in costs])
                for name, costs in found.items()
            ),
            *(Figure(f"{name}, CPU", "ms", [c * 1e3 for c in costs]) for name, costs in cpu_s.items()),
            Figure("help_over_python", "times", [over_python], "CPU of loader --help over python -c pass"),
            Figure(
                "ten_records_over_import_aiohttp",
                "times",
                [over_aiohttp],
                "CPU of a load of ten records over python -c 'import aiohttp'",
            ),
        ],
    )


# --- instructions ---


def counted(setting: Setting) -> Section:
    """Instructions a record of the loader, twice in a full run, and of the reference loop."""
    title = "Instructions"
    if install := instructions.missing():
        return Section(title, notes=[f"not measured: valgrind is not installed ({install})"])
    sizes = (2_000, 12_000) if setting.quick else (2_000, 22_000)
    with sink() as server:
        figures = [
            Figure(
                "instructions_a_record",
                "instructions",
                [_counted(setting, LOADER, server, sizes) for _ in range(1 if setting.quick else 2)],
                f"from {sizes[0]:,} to {sizes[1]:,} records",
            )
        ]
        if not setting.quick:
            value = _counted(setting, REFERENCE, server, sizes)
            figures.append(Figure("reference loop", "instructions", [value]))
    return Section(title, figures=figures)


def _counted(setting: Setting, contender: Contender, server: Sink, sizes: tuple[int, int]) -> float:
    """Both sizes at once: there are two cores, and nothing here depends on time."""
    running: dict[int, instructions.Counted] = {}
    try:
        for records in sizes:
            task = Task(server, setting.file(records), setting.fresh(f"counted-{records}"))
            log = setting.folder / f"callgrind-{records}.log"
            running[records] = instructions.Counted(contender.command(task), contender.environment, log)
        return instructions.a_record({records: one.total() for records, one in running.items()})
    finally:
        for one in running.values():
            one.end()


# --- coming back ---


def resume(setting: Setting) -> Section:
    """How soon a load of 10,000,000 outcomes goes on: process start, scan, comparison, first insert."""
    command = [sys.executable, "-m", "benchmarks.log", "resume", "--records", str(RESUMED)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=setting.folder.parent)
    after = re.search(r"first insert after ([\d.]+) s", done.stdout)
    assert after is not None, done.stdout
    return Section(
        "Coming back",
        figures=[Figure(f"first insert after {RESUMED:,} outcomes", "s, by the clock", [float(after[1])])],
        notes=[done.stdout.strip()],
    )


class Case(msgspec.Struct, frozen=True):
    """A case and when it is run without being asked for by name."""

    run: Callable[[Setting], Section]
    in_quick: bool = False
    in_full: bool = True


CASES: Final = {
    "stages": Case(stages),
    "ceiling": Case(ceiling),
    "load": Case(load, in_quick=True),
    "tls": Case(tls, in_quick=True),
    "latency": Case(latency),
    "memory": Case(memory, in_quick=True),
    "small": Case(small, in_quick=True),
    "instructions": Case(counted, in_quick=True),
    "resume": Case(resume, in_full=False),
    "memory-10m": Case(memory_10m, in_full=False),
}
