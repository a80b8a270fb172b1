"""Prefect 3: a load as a task that uses the library.

What cannot go on raises the loader's own error; `worth_another_try` lets only those be tried again that may
come to another end by themselves.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import loader


def load_leads(path: str, **target: Any) -> dict[str, int]:
    """Loads a file, or goes on with its load; the number of records by outcome.

    Raises:
        loader.LoaderError: the load stopped, or not all of its records were inserted.
    """
    report = loader.load(path, "Leads", key="Email", **target)
    if report.exit_code:
        raise NotAllInsertedError(report)
    return {"inserted": report.outcomes.inserted}


class NotAllInsertedError(loader.LoaderError):
    """The load came to its end, or was stopped, and some records are not in the CRM."""

    def __init__(self, report: loader.Report) -> None:
        super().__init__(
            f"{report.outcomes.inserted:,} of {report.outcomes.records:,} records were inserted",
            hint=f"loader results {report.load_dir} --failed",
        )
        self.exit_code = loader.ExitCode(report.exit_code)


def worth_another_try(task: Any, run: Any, state: Any) -> bool:  # noqa: ARG001 - Prefect's signature
    """Whether the same load may come to another end by itself; Prefect asks it of the state of a run."""
    try:
        state.result()
    except loader.LoaderError as error:
        return error.exit_code.run_again
    except Exception:
        return False
    return False


def define() -> Any:
    """The flow."""
    from prefect import flow, task  # noqa: PLC0415 - the functions above need no Prefect

    load = task(retries=12, retry_delay_seconds=900, retry_condition_fn=worth_another_try)(load_leads)

    @flow
    def crm_load(path: str, dc: str = "eu") -> dict[str, int]:
        outcomes: dict[str, int] = load(path, dc=dc)
        return outcomes

    return crm_load


if importlib.util.find_spec("prefect"):
    crm_load = define()
