"""The samples of the documentation: one verdict a record, whoever gives it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loader import job
from loader.events import Event
from loader.sandbox.app import Ready, SandboxSettings, running
from loader.schema.modules import STANDARD
from loader.settings import Credentials, LoadSettings, Target

SAMPLES = Path(__file__).parents[2] / "docs" / "samples"
VERDICTS: dict[str, dict[str, str]] = json.loads((SAMPLES / "verdicts.json").read_text())


def test_each_module_has_its_file_and_each_file_its_verdicts() -> None:
    assert set(VERDICTS) == {*STANDARD, "Vehicles"}
    assert {path.stem for path in SAMPLES.glob("*.ndjson")} == set(VERDICTS)
    for name, wrong in VERDICTS.items():
        lines = len((SAMPLES / f"{name}.ndjson").read_bytes().splitlines())
        assert lines >= 8
        assert 0 < len(wrong) < lines, "good and bad records"


def _settings(ready: Ready, module: str, folder: Path, *, check: bool) -> LoadSettings:
    target = Target(module, ready.url, ready.url)
    source = str(SAMPLES / f"{module}.ndjson")
    return LoadSettings(input=source, load_dir=folder, target=target, check=check)


def _ignore(event: Event) -> None:
    """Nobody watches."""


async def _verdicts(ready: Ready, module: str, folder: Path, *, check: bool) -> dict[str, str]:
    """Line -> code and field of what was refused."""
    credentials = Credentials(
        client_id=ready.client_id, client_secret=ready.client_secret, refresh_token=ready.refresh_token
    )
    settings = _settings(ready, module, folder, check=check)
    finished = await job.load(settings, lambda: credentials, observe=_ignore)
    assert finished.error is None
    assert finished.summary.complete
    refused = finished.summary.outcomes
    assert (refused.rejected == 0) == check, "invalid with the check, rejected without"
    reasons = (folder / "rejected-reasons.ndjson").read_text().splitlines()
    rows = [json.loads(line) for line in reasons]
    assert len(rows) == refused.rejected + refused.invalid
    return {str(row["line"]): f"{row['code']} {row['field'].partition('.')[0]}" for row in rows}


@pytest.mark.parametrize("module", sorted(VERDICTS))
async def test_check_and_sandbox_give_the_same_verdict_record_for_record(module: str, tmp_path: Path) -> None:
    settings = SandboxSettings(db=tmp_path / "sandbox.db", org=SAMPLES / "organisation.toml")
    async with running(settings) as ready:
        checked = await _verdicts(ready, module, tmp_path / "checked", check=True)
        sent = await _verdicts(ready, module, tmp_path / "sent", check=False)
    assert checked == VERDICTS[module]
    assert sent == VERDICTS[module]
