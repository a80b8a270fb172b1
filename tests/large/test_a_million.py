"""The sizes of a real migration: 1,000,000 leads from a file, from gzip and from a pipe, in flat memory.

    pytest -m large -s tests/large

prints what it measured. It takes some minutes and 2 GB of disk. LARGE_RECORDS sets another size.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from benchmarks.log import make_log, write_lines
from loader.report.parquet import GROUP_ROWS
from tests.crash.harness import Desk, pack, sandbox, write_leads

pytestmark = [pytest.mark.large, pytest.mark.timeout(3600)]
RECORDS = int(os.environ.get("LARGE_RECORDS", "1000000"))
SEED = int(os.environ.get("CRASH_SEED", "1"))
MIB = 1024 * 1024
RSS_BYTES_MAX = 100 * MIB
RSS_GROWTH_BYTES_MAX = 10 * MIB
POLL_S = 0.02


@dataclass(frozen=True)
class Measured:
    """What one load cost the loader's own process."""

    records: int
    seconds: float
    cpu_s: float
    rss_bytes: int

    def __str__(self) -> str:
        rate, cpu_us = self.records / self.seconds, self.cpu_s / self.records * 1e6
        return (
            f"{self.records:,} records in {self.seconds:.1f} s: {rate:,.0f} records/s, "
            f"{cpu_us:.2f} CPU-us a record, peak RSS {self.rss_bytes / MIB:.1f} MiB"
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("large")


@pytest.fixture(scope="module")
def small(place: Path) -> Measured:
    source = write_leads(place / "tenth.ndjson", RECORDS // 10, SEED)
    return load_and_judge(place, "tenth", source, RECORDS // 10)


@pytest.fixture(scope="module")
def leads(place: Path) -> Path:
    return write_leads(place / "leads.ndjson", RECORDS, SEED)


@pytest.mark.parametrize("form", ["file", "gzip", "stdin"])
def test_each_of_a_million_records_is_loaded_once_in_flat_memory(
    place: Path, leads: Path, small: Measured, form: str
) -> None:
    source = pack(leads) if form == "gzip" else leads
    measured = load_and_judge(place, form, source, RECORDS, piped=form == "stdin")
    further_us = (measured.cpu_s - small.cpu_s) / (measured.records - small.records) * 1e6
    print(f"\n{form}: {measured}; {further_us:.2f} CPU-us without the start\na tenth of it: {small}")
    assert measured.rss_bytes < RSS_BYTES_MAX
    assert abs(measured.rss_bytes - small.rss_bytes) <= RSS_GROWTH_BYTES_MAX


@pytest.mark.parametrize("form", ["ndjson", "csv", "parquet"])
def test_results_of_a_million_records_stream_in_flat_memory(place: Path, form: str) -> None:
    """From a log made for it; a tenth of the records, some groups of Parquet, takes nearly as much."""
    measured = []
    for count in (max(RECORDS // 10, 3 * GROUP_ROWS), RECORDS):
        directory = place / f"results-{form}-{count}"
        directory.mkdir()
        data, load_dir = directory / "leads.ndjson", directory / "leads.ndjson.load"
        write_lines(data, count)
        anyio.run(make_log, data, load_dir / "checkpoint.log", "http://127.0.0.1:9", count)
        measured.append(measured_results(load_dir, form, directory / "results"))
        for path in (data, directory / "results"):
            path.unlink()
    small_rss, large_rss = (one[0] for one in measured)
    print(
        f"\nresults as {form}: peak RSS {small_rss / MIB:.0f} and {large_rss / MIB:.0f} MiB,"
        f" {measured[1][1]:.1f} s"
    )
    assert large_rss - small_rss <= 2 * RSS_GROWTH_BYTES_MAX


def measured_results(load_dir: Path, form: str, out: Path) -> tuple[int, float]:
    """Peak resident bytes and seconds of `loader results`."""
    began = time.monotonic()
    command = [sys.executable, "-m", "loader", "results", str(load_dir), "--format", form]
    with out.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss * 1024, time.monotonic() - began


def load_and_judge(place: Path, name: str, source: Path, count: int, *, piped: bool = False) -> Measured:
    """One load into a sandbox of its own, every record of it looked up in the sandbox's database."""
    directory = place / name
    directory.mkdir()
    with sandbox(directory, "--latency", "0ms", "--seed", str(SEED)) as crm:
        desk = Desk(directory, crm, source, ())
        measured = measure(desk, count, piped=piped)
        assert desk.judge(piped=piped) == {"inserted": count}
        assert crm.database.rows == crm.database.applied == count
    for path in directory.glob("crm.db*"):
        path.unlink()
    return measured


def measure(desk: Desk, count: int, *, piped: bool) -> Measured:
    """Runs the load and watches its process; the kernel's high-water mark only ever rises."""
    began = time.monotonic()
    rss_bytes = 0
    cpu_s = 0.0
    with desk.spawned(desk.load_command("-" if piped else None), desk.input if piped else None) as process:
        while process.poll() is None:
            rss_bytes = max(rss_bytes, high_water_bytes(process.pid))
            cpu_s = max(cpu_s, cpu_seconds(process.pid))
            time.sleep(POLL_S)
    seconds = time.monotonic() - began
    desk.said(process).ended(0)
    return Measured(count, seconds, cpu_s, rss_bytes)


def high_water_bytes(pid: int) -> int:
    """Peak resident memory of a process so far (VmHWM, proc_pid_status(5)); 0 once it has gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except ProcessLookupError:
        return 0
    lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) * 1024 if lines else 0


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far (proc_pid_stat(5)); 0 once it has gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except ProcessLookupError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
