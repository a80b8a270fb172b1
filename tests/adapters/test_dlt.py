"""dlt itself loads into the sandbox through the destination, and goes on after errors and kills.

dlt runs under its own interpreter, which LOADER_ADAPTERS_PYTHON names; `.ci/run` makes it. These tests are
asked for with `pytest -m adapters tests/adapters`.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import pytest

from tests import canary
from tests.crash.harness import Crm, end, environment, sandbox, wait_for

pytestmark = [pytest.mark.adapters, pytest.mark.timeout(120)]

PIPELINE: Final = Path(__file__).with_name("dlt_pipeline.py")
GUIDE: Final = Path(__file__).parents[2] / "docs" / "guide" / "adapters.md"


@pytest.fixture
def crm(tmp_path: Path) -> Iterator[Crm]:
    with sandbox(tmp_path, "--unique", "Leads.Email", "--latency", "200ms") as running:
        yield running


def started(
    directory: Path,
    crm: Crm,
    *arguments: str,
    program: Path = PIPELINE,
    variables: Mapping[str, str] = MappingProxyType({}),
    **changed: str,
) -> subprocess.Popen[bytes]:
    """`changed`: settings of the destination; `variables`: of dlt's own."""
    secrets = {name.removeprefix("LOADER_"): value for name, value in crm.credentials.items()}
    own: Mapping[str, str] = {**secrets, "API_DOMAIN": crm.url, "QUIET_PERIOD_S": "1", **changed}
    ours = {f"DESTINATION__ZOHO_CRM__{name}": value for name, value in own.items()}
    return subprocess.Popen(
        [os.environ["LOADER_ADAPTERS_PYTHON"], str(program), str(directory), *arguments],
        env={
            **environment(directory / "home", {**ours, **variables}),
            "RUNTIME__DLTHUB_TELEMETRY": "false",
        },
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=100)
    finally:
        end(process)
    canary.look_at(out + err, "a pipeline of dlt")
    return process.returncode, out.decode(), err.decode()


def test_a_pipeline_inserts_each_record_once_and_tells_of_the_refused_one(tmp_path: Path, crm: Crm) -> None:
    code, out, err = ended(started(tmp_path, crm, "250"))
    assert (code, [json.loads(line) for line in out.splitlines()]) == (0, [["people", 3, 250, 1]]), err
    assert "1 records were not inserted: loader results" in err
    assert crm.database.rows == 250
    raw = crm.database.ask("SELECT raw FROM records")[0][0]
    assert json.loads(raw) == {
        "Last_Name": "Person 0",
        "Email": "person.0@example.com",
        "Annual_Revenue": 1250.5,
        "Next_Call__s": "2027-03-01T09:00:00+00:00",
        "Tag": [{"name": "migrated"}],
    }


def test_a_pipeline_that_is_killed_goes_on_and_inserts_nothing_twice(tmp_path: Path, crm: Crm) -> None:
    process = started(tmp_path, crm, "5000")
    try:
        wait_for(lambda: crm.database.insert_calls >= 5, timeout_s=60)
        process.kill()
    finally:
        code, _, _ = ended(process)
    assert code == -signal.SIGKILL, "it ended before it was killed"
    code, out, err = ended(started(tmp_path, crm))
    assert code == 0, err
    assert crm.database.rows == 5_000
    (line,) = out.splitlines()
    assert json.loads(line) == ["people", 3, 5_000, 1]


def test_what_credentials_kept_back_is_loaded_by_the_next_run(tmp_path: Path, crm: Crm) -> None:
    code, _, err = ended(started(tmp_path, crm, "120", REFRESH_TOKEN=canary.secret()))
    assert code == 1
    assert "CredentialsError" in err or "credentials" in err
    assert crm.database.rows == 0
    code, out, err = ended(started(tmp_path, crm))
    assert code == 0, err
    assert (crm.database.rows, json.loads(out)) == (120, ["people", 3, 120, 1])


def test_many_small_files_take_one_access_token_and_the_pace_that_is_set(tmp_path: Path, crm: Crm) -> None:
    small = {"NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS": "10", "NORMALIZE__DATA_WRITER__BUFFER_MAX_ITEMS": "10"}
    state = tmp_path / "state"
    process = started(
        tmp_path,
        crm,
        "120",
        variables=small,
        RATE="50",
        TIMEOUT_S="20",
        PATIENCE_S="20",
        KEEP_CREDITS="10%",
        DAILY_CREDITS="90000",
        WAIT_S="60",
        STATE_DIR=str(state),
    )
    code, _, err = ended(process)
    assert code == 0, err
    summaries = [json.loads(path.read_bytes()) for path in tmp_path.glob("loads/*/*.load/summary.json")]
    assert len(summaries) > 10
    assert sum(each["refreshes"] for each in summaries) == 1
    assert sum(each["outcomes"]["inserted"] for each in summaries) == crm.database.rows == 120
    assert list(state.glob("credentials/*/grants"))


def test_a_pace_that_cannot_be_kept_is_refused_with_its_reason(tmp_path: Path, crm: Crm) -> None:
    code, _, err = ended(started(tmp_path, crm, "1", KEEP_CREDITS="many"))
    assert code == 1
    assert "'many' is neither a number of credits nor a share of them" in err
    assert crm.database.rows == 0


def test_the_sample_of_the_guide_runs_as_it_stands_there(tmp_path: Path, crm: Crm) -> None:
    (sample,) = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    code = sample.replace('dc="eu"', f'api_domain="{crm.url}"').replace("/var/lib/crm-load", "loads")
    assert code.count("loads") > sample.count("loads")
    people = f"import sys; sys.path.insert(0, {str(PIPELINE.parent)!r})\nimport dlt\n"
    people += "import dlt_pipeline\npeople = dlt.resource(lambda: dlt_pipeline.people(30), name='people')\n"
    (tmp_path / "sample.py").write_text(people + code)
    ended_with, out, err = ended(started(tmp_path, crm, program=tmp_path / "sample.py"))
    assert ended_with == 0, err
    assert out.startswith("people Outcomes(inserted=30")
