"""A destination for dlt: each file of a load package is a load of its own, into one module.

dlt tries a job again after an error and after a crash. So the load directory is named by what stays the same
then: the load id, the table and the file's id, and not the number of the try. The same file there again is
compared with the log, and nothing of it is sent twice.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import dlt
from dlt.common import logger
from dlt.common.json import json
from dlt.common.storages import FileStorage
from dlt.common.storages.load_package import ParsedLoadJobFileName

from loader.adapters.pace import Pace
from loader.client.token_memory import TokenMemory
from loader.credentials import read_credentials
from loader.errors import ExitCode, LoaderError, UsageError
from loader.library import LoadOptions, Report, load, status
from loader.settings import Credentials

LOAD_SUFFIX = ".load"
_TOKEN_MEMORY: Final = TokenMemory()
"""dlt hands over a file and nothing that outlives it; the many files of a pipeline take one access token."""
_TOLD = (ExitCode.NOT_ALL_INSERTED, ExitCode.IN_DOUBT)
"""The file has been worked through, and not all of its records are in the CRM."""


class TableReport(NamedTuple):
    """What became of one file of a table."""

    load_id: str
    table: str
    report: Report


def load_file(
    path: Any,
    table: Mapping[str, Any],
    *,
    load_dirs: str = dlt.config.value,
    dc: str | None = None,
    api_domain: str | None = None,
    accounts_url: str | None = None,
    modules: dict[str, str] | None = None,
    key_fields: dict[str, str] | None = None,  # dlt's settings are a mapping: `keys` would be its method
    stamp_fields: dict[str, str] | None = None,
    concurrency: int = 10,
    rate: float | None = None,
    timeout_s: float = 60.0,
    patience_s: float = 300.0,
    quiet_period_s: float = 30.0,
    keep_credits: str | None = None,
    daily_credits: int | None = None,
    wait_s: float = 0.0,
    state_dir: str | None = None,
    client_id: dlt.TSecretStrValue | None = None,
    client_secret: dlt.TSecretStrValue | None = None,
    refresh_token: dlt.TSecretStrValue | None = None,
) -> None:
    """Load one file of dlt's into the module of its table.

    `load_dirs` is a folder that outlives the machine: there lie the checkpoint logs. `modules`, `key_fields`
    and `stamp_fields` name for a table its module (else it is called like the table), the field with the
    source's own key, and the field for a key of the load's own. `concurrency` to `state_dir` are those of
    `Pace`. Without `refresh_token` the credentials are those of the environment, as for the command.

    Raises:
        LoaderError: the file is not loaded to its end. dlt tries it again, now and in its next run.
    """
    name = str(table["name"])
    if (table.get("write_disposition") or "append") != "append":
        raise UsageError(
            f"table {name} is not for appending",
            why="Insert Records adds records; it neither replaces nor merges any",
            hint='Give the resource write_disposition="append", and drop the package: dlt pipeline NAME'
            " drop-pending-packages",
        )
    pace = Pace(
        concurrency=concurrency,
        rate=rate,
        timeout_s=timeout_s,
        patience_s=patience_s,
        quiet_period_s=quiet_period_s,
        keep_credits=keep_credits,
        daily_credits=daily_credits,
        wait_s=wait_s,
        state_dir=state_dir,
    )
    options: LoadOptions = {
        **pace.options(),
        "key": (key_fields or {}).get(name, ""),
        "stamp": (stamp_fields or {}).get(name, ""),
    }
    report = load(
        _records(path, table["columns"]),
        (modules or {}).get(name, name),
        load_dir=_load_dir(Path(load_dirs), Path(path)),
        dc=dc,
        api_domain=api_domain,
        accounts_url=accounts_url,
        credentials=_credentials(client_id, client_secret, refresh_token),
        token_memory=_TOKEN_MEMORY,
        **options,
    )
    if report.exit_code in _TOLD:
        logger.warning(_told(name, report))
    elif not report.complete:
        raise LoaderError(
            f"table {name}: the load stopped before its end", hint=f"loader status {report.load_dir}"
        )


zoho_crm = dlt.destination(
    load_file,
    name="zoho_crm",
    batch_size=0,  # the path of the file: its name is what a second try is known by
    loader_file_format="typed-jsonl",
    naming_convention="direct",  # the names of fields reach the CRM as they are
    loader_parallelism_strategy="sequential",  # one load uses all that the CRM allows
)
"""The destination: `dlt.pipeline("crm", destination=zoho_crm(load_dirs="/var/lib/loads", dc="eu"))`."""


def reports(load_dirs: str | os.PathLike[str], load_ids: Iterable[str]) -> Iterator[TableReport]:
    """What became of each file of these dlt loads (`info.loads_ids`), by table.

    Raises:
        LoaderError: a log cannot be read or believed.
    """
    for load_id in load_ids:
        for load_dir in sorted((Path(load_dirs) / load_id).glob(f"*{LOAD_SUFFIX}")):
            yield TableReport(load_id, load_dir.name.split(".")[0], status(load_dir))


def _load_dir(load_dirs: Path, path: Path) -> Path:
    job = ParsedLoadJobFileName.parse(path.name)
    # .../<load id>/<state of the job>/<table>.<file id>.<number of the try>.typed-jsonl
    load_id = path.parent.parent.name
    directory = load_dirs / load_id
    directory.mkdir(parents=True, exist_ok=True)
    return directory / f"{job.table_name}.{job.file_id}{LOAD_SUFFIX}"


def _credentials(client_id: str | None, client_secret: str | None, refresh_token: str | None) -> Credentials:
    if not refresh_token:
        return read_credentials(os.environ)
    return Credentials(
        client_id=client_id or "", client_secret=client_secret or "", refresh_token=refresh_token
    )


def _records(path: str, columns: Container[str]) -> Iterator[dict[str, object]]:
    """The records of a file, the same at each try, without the columns that dlt adds."""
    with FileStorage.open_zipsafe_ro(path) as lines:
        for line in lines:
            found = json.typed_loads(line)
            for record in [found] if isinstance(found, dict) else found:
                yield {name: _plain(value) for name, value in record.items() if name in columns}


def _plain(value: object) -> object:
    """dlt's own types of dates and times as the text that the API takes."""
    if isinstance(value, (datetime.datetime, datetime.time)):
        return value.isoformat(timespec="seconds")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return value


def _told(table: str, report: Report) -> str:
    found = report.outcomes
    refused = found.rejected + found.invalid + found.duplicate
    parts = [f"{refused:,} records were not inserted"] if refused else []
    if found.in_doubt:
        parts.append(f"{found.in_doubt:,} are in doubt (loader resolve {report.load_dir})")
    return f"table {table}: {', '.join(parts)}: loader results {report.load_dir} --failed"
