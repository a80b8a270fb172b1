"""`python -m benchmarks.pace [--cap 10] [--ceiling 25]`: how well a load fills places that it is not told of.

A sandbox takes `cap` calls at once, each for `latency`; a load that may use `ceiling` finds them. After it,
for comparison, a load that is told: its `--concurrency` is the cap. What passed and what was refused is what
the sandbox counted. Its own work comes on top of the latency: what the second load reaches can be had here.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.data import write_leads

WARM_UP_S: Final = 10.0
"""Left out of the throughput: the places are being found."""
RECORDS_PER_CALL: Final = 100


class Filled(NamedTuple):
    """What the sandbox counted."""

    calls: int
    refused: int
    per_s: float
    """Calls that passed, a second after the warm-up."""


def main() -> int:
    """Read the arguments, measure, show."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pace", description=__doc__)
    parser.add_argument("--cap", type=int, default=10, help="calls that the sandbox takes at once")
    parser.add_argument("--ceiling", type=int, default=25, help="--concurrency of the load that is not told")
    parser.add_argument("--latency-ms", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=70, help="about how long each load takes")
    arguments = parser.parse_args()
    ideal = arguments.cap * 1000 / arguments.latency_ms
    records = int(ideal * arguments.seconds) * RECORDS_PER_CALL
    print(
        f"{arguments.cap} places, {arguments.latency_ms} ms: at most {ideal:g} calls/s; {records:,} records"
    )
    with tempfile.TemporaryDirectory(prefix="loader-pace-") as folder:
        data = Path(folder) / "leads.ndjson"
        write_leads(data, records, seed=7)
        for ceiling in (arguments.ceiling, arguments.cap):
            database = Path(folder) / f"{ceiling}.db"
            with sandbox(database, arguments.cap, arguments.latency_ms) as environment:
                load(data, Path(folder) / f"load-{ceiling}", ceiling, environment)
            found = filled(database)
            print(
                f"--concurrency {ceiling:<3} {found.per_s:6.2f} calls/s, {found.per_s / ideal:6.1%} of that;"
                f" {found.refused:,} of {found.calls:,} refused ({found.refused / found.calls:.2%})"
            )
    print(f"load average over the last minute: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return 0


@contextmanager
def sandbox(database: Path, cap: int, latency_ms: int) -> Iterator[dict[str, str]]:
    """A sandbox for as long as the context lasts; the environment in which a load finds it."""
    command = [
        sys.executable, "-m", "loader", "sandbox", "--port", "0", "--db", str(database),
        "--latency", f"{latency_ms}ms", "--concurrency", str(cap),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        secrets = {
            f"LOADER_{name.upper()}": ready[name] for name in ("client_id", "client_secret", "refresh_token")
        }
        yield {
            **os.environ,
            **secrets,
            "LOADER_API_DOMAIN": ready["url"],
            "LOADER_ACCOUNTS_URL": ready["url"],
        }
    finally:
        process.terminate()
        process.wait(30)


def load(data: Path, load_dir: Path, ceiling: int, environment: dict[str, str]) -> None:
    """A load to its end."""
    command = [
        sys.executable, "-m", "loader", "load", str(data), "--module", "Leads", "--load-dir", str(load_dir),
        "--concurrency", str(ceiling), "--no-progress", "-q",
    ]  # fmt: skip
    subprocess.run(command, env=environment, check=True)


def filled(database: Path) -> Filled:
    """What the sandbox's table of calls says of the inserts."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(
            "SELECT at, status FROM calls WHERE method = 'POST' AND records > 0 OR status = 429 ORDER BY at"
        ).fetchall()
    begun, ended = rows[0][0] + WARM_UP_S, rows[-1][0]
    passed = sum(begun <= at < ended for at, status in rows if status != 429)
    refused = sum(status == 429 for _, status in rows)
    return Filled(len(rows), refused, passed / max(ended - begun, 1e-9))


if __name__ == "__main__":
    sys.exit(main())
