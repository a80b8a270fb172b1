"""Two loads at once in one organisation, on one machine: together within what it allows, neither starved.

Both run in this process, so that they begin together however busy the machine is; what they share is on disk,
as between processes.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import anyio
import pytest

import loader
from loader.library import Report
from tests import own_state
from tests.crash.harness import Crm, sandbox, write_leads

SEED = int(os.environ.get("CRASH_SEED", "1"))
PLACES = 10
LATENCY_S = 0.25


async def both(crm: Crm, files: list[Path]) -> tuple[list[Report], float]:
    """The reports of two loads, and when the first of them had ended."""
    account = loader.Credentials(
        client_id=crm.credentials["LOADER_CLIENT_ID"],
        client_secret=crm.credentials["LOADER_CLIENT_SECRET"],
        refresh_token=crm.credentials["LOADER_REFRESH_TOKEN"],
    )
    state = Path(own_state.fresh())
    reports: list[Report] = []
    ended: list[float] = []

    async def run(path: Path) -> None:
        # Each as a program of its own would be: a Loader, a connection, a slot.
        async with loader.Loader("Leads", api_domain=crm.url, credentials=account, state_dir=state) as loads:
            reports.append(await loads.load(path))
        ended.append(time.time())

    async with anyio.create_task_group() as tasks:
        for path in files:
            tasks.start_soon(run, path)
    return reports, ended[0]


def calls_with(crm: Crm, path: Path, until: float) -> int:
    """Calls of that load that were made in that time."""
    records = set(path.read_bytes().splitlines())
    query = (
        "SELECT c.call, r.raw FROM calls c JOIN records r ON r.call = c.call WHERE c.at < ? GROUP BY c.call"
    )
    return sum(bytes(raw) in records for _, raw in crm.database.ask(query, until))


@pytest.mark.parametrize("count", [8_000, pytest.param(60_000, marks=pytest.mark.soak)])
@pytest.mark.timeout(240)
def test_two_loads_at_once_stay_within_the_places_and_neither_is_starved(tmp_path: Path, count: int) -> None:
    flags = ("--latency", f"{LATENCY_S * 1000:.0f}ms", "--concurrency", str(PLACES))
    files = [write_leads(tmp_path / f"leads-{name}.ndjson", count, SEED + name) for name in range(2)]
    with sandbox(tmp_path, *flags) as crm:
        reports, first_ended = anyio.run(both, crm, files)
        assert [report.outcomes.inserted for report in reports] == [count, count]
        calls = crm.database.insert_calls
        refused = crm.database.number("SELECT count(*) FROM calls WHERE status = 429")
        # Less than 2 % is what is promised of a load of some length; here that is three calls.
        assert refused <= max(5, 0.02 * calls), f"{refused} of {calls} calls were refused"
        shares = [calls_with(crm, path, first_ended) for path in files]
        assert min(shares) >= 0.25 * sum(shares), f"calls of the two while both were at work: {shares}"
