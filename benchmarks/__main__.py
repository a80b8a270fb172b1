"""`python -m benchmarks [--quick] [--records N]`: what a load costs the client, beside the least possible.

Each case is a process of its own, measured from outside by the operating system's accounting. The budget
compares CPU times of the same run, never a time with a clock: these hold on a noisy machine too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.credentials import BENCHMARK
from benchmarks.data import write_leads

BUDGET = Path(__file__).with_name("budget.json")


class Cost(NamedTuple):
    """What one process cost."""

    cpu_s: float
    wall_s: float
    peak_mib: float


def main() -> int:
    """Read the arguments, measure, compare with the budget."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small, for CI: 60,000 records, three pairs")
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    records = 60_000 if arguments.quick else arguments.records
    pairs = 3 if arguments.quick else arguments.pairs
    with tempfile.TemporaryDirectory(prefix="loader-benchmark-") as folder:
        return run(Path(folder), records=records, pairs=pairs)


def run(folder: Path, *, records: int, pairs: int) -> int:
    """Measure the whole load and the reference loop in turn; 1 if the budget is exceeded."""
    data = folder / "leads.ndjson"
    write_leads(data, records, seed=7)
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores")
    print(f"{records:,} leads, {data.stat().st_size / records:.0f} bytes each, {pairs} pairs\n")
    loads: list[Cost] = []
    references: list[Cost] = []
    sink = subprocess.Popen([sys.executable, "-m", "benchmarks.sink"], stdout=subprocess.PIPE, text=True)
    try:
        assert sink.stdout is not None
        url = sink.stdout.readline().strip()
        for number in range(pairs):
            loads.append(measure(load_command(url, data, folder / f"load-{number}"), BENCHMARK))
            references.append(measure([sys.executable, "-m", "benchmarks.reference", url, str(data)]))
    finally:
        sink.terminate()
        sink.wait(10)
    log_s = log_cpu_s(folder / "load-0")
    ratio = statistics.median(a.cpu_s / b.cpu_s for a, b in zip(loads, references, strict=True))
    show("whole load: check, log, gate, outcomes", loads, records)
    show("reference loop: none of these", references, records)
    share = log_s / statistics.median(cost.cpu_s for cost in loads)
    budget = json.loads(BUDGET.read_text())
    ratio_max, share_max = budget["whole_load_cpu_over_reference_max"], budget["log_share_of_cpu_max"]
    print(f"\nCPU ratio {ratio:.2f}, budget {ratio_max:.2f}")
    print(f"checkpoint log {share:.1%} of the load's CPU time, budget {share_max:.0%}")
    return 0 if ratio <= ratio_max and share <= share_max else 1


def log_cpu_s(load_dir: Path) -> float:
    """CPU seconds of writing that load's checkpoint log alone."""
    command = [sys.executable, "-m", "benchmarks.log", "replay", str(load_dir)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def load_command(url: str, data: Path, load_dir: Path) -> list[str]:
    """The loader's own command line, as a user would type it."""
    return [
        sys.executable, "-m", "loader", "load", str(data), "--module", "Leads", "--api-domain", url,
        "--accounts-url", url, "--load-dir", str(load_dir), "--no-progress", "-q",
    ]  # fmt: skip


def measure(command: Sequence[str], environment: dict[str, str] | None = None) -> Cost:
    """Run a command to its end; what it cost by the operating system's accounting of that process."""
    start = os.times().elapsed
    process = subprocess.Popen(command, env={**os.environ, **(environment or {})})
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall_s = os.times().elapsed - start
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return Cost(usage.ru_utime + usage.ru_stime, wall_s, usage.ru_maxrss / 1024)


def show(name: str, costs: Sequence[Cost], records: int) -> None:
    """One line: medians."""
    cpu = statistics.median(cost.cpu_s for cost in costs) * 1e6 / records
    rate = records / statistics.median(cost.wall_s for cost in costs)
    peak = max(cost.peak_mib for cost in costs)
    print(f"{name:42} {cpu:6.2f} CPU-us a record  {rate:9,.0f} records/s  {peak:5.0f} MiB peak")


if __name__ == "__main__":
    raise SystemExit(main())
