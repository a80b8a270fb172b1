"""Dagster: a load as an op that uses the library, its figures as the op's metadata."""

from __future__ import annotations

import importlib.util
from typing import Any

import loader


def load_leads(path: str, **target: Any) -> tuple[loader.ExitCode, str, dict[str, int]]:
    """Loads a file, or goes on with its load: its exit code, what is to be said, records by outcome."""
    try:
        report = loader.load(path, "Leads", key="Email", **target)
    except loader.LoaderError as error:
        return error.exit_code, str(error), {}
    found = report.outcomes
    figures = {
        "inserted": found.inserted,
        "duplicate": found.duplicate,
        "refused": found.rejected + found.invalid,
        "in_doubt": found.in_doubt,
    }
    said = f"{found.inserted:,} of {found.records:,} inserted: loader results {report.load_dir} --failed"
    return loader.ExitCode(report.exit_code), said, figures


def define() -> Any:
    """The job."""
    import dagster  # noqa: PLC0415 - the function above needs no Dagster

    @dagster.op(config_schema={"path": str, "dc": str})
    def load(context) -> None:  # type: ignore[no-untyped-def] - Dagster takes no `Any` here
        code, said, figures = load_leads(context.op_config["path"], dc=context.op_config["dc"])
        if code.run_again:
            raise dagster.RetryRequested(max_retries=12, seconds_to_wait=900)
        if code != loader.ExitCode.OK:
            raise dagster.Failure(
                f"exit {code.value}: {said}",
                metadata=dict(figures),
                allow_retries=False,
            )
        context.add_output_metadata(figures)

    @dagster.job
    def crm_load() -> None:
        load()

    return crm_load


if importlib.util.find_spec("dagster"):
    crm_load = define()
