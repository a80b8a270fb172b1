"""Airflow 3: a nightly load as a task that runs the command.

The command takes a SIGTERM in good order, and its lock keeps two tries of a task apart (exit 11). What is
worth another try raises `Again`, and Airflow's retries do that; what wants a person fails at once.
"""

from __future__ import annotations

import datetime
import importlib.util
import json
import subprocess
from typing import Any

from loader import ExitCode


class Again(Exception):  # noqa: N818 - what to do, not what went wrong
    """Not now: the same command goes on later."""


class Stop(Exception):  # noqa: N818 - as above
    """A person is wanted."""


def load_leads(path: str, *target: str) -> dict[str, int]:
    """Loads a file, or goes on with its load; the number of records by outcome.

    Credentials come from the environment of the worker, best as `LOADER_..._FILE`.
    """
    command = ["loader", "load", path, "--module", "Leads", "--key", "Email", "--json", "-q", *target]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode == ExitCode.OK:
        outcomes: dict[str, int] = json.loads(done.stdout)["outcomes"]
        return outcomes
    # A process that was killed has a negative code, and goes on as any other.
    again = done.returncode < 0 or ExitCode(done.returncode).run_again
    raise (Again if again else Stop)(f"exit {done.returncode}: loader status {path}.load\n{done.stderr}")


def define() -> Any:
    """The DAG."""
    from airflow.sdk import dag, task  # noqa: PLC0415 - the function above needs no Airflow
    from airflow.sdk.exceptions import AirflowFailException  # noqa: PLC0415 - as above

    @task(retries=12, retry_delay=datetime.timedelta(minutes=15), max_active_tis_per_dag=1)
    def load(path: str) -> dict[str, int]:
        try:
            return load_leads(path, "--dc", "eu")
        except Stop as reason:
            raise AirflowFailException(str(reason)) from reason

    @dag(
        schedule="17 2 * * *",
        start_date=datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC),
        catchup=False,
        max_active_runs=1,
    )
    def crm_load() -> None:
        # One file a day: the same task of the same day goes on with the same load.
        load("/var/lib/crm-load/leads-{{ ds }}.ndjson")

    return crm_load()


if importlib.util.find_spec("airflow"):
    crm_load = define()
