"""`loader demo` keeps what it promises, also where the person who runs it has settings of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from loader.cli import samples
from loader.schema.check import Checker
from loader.schema.modules import standard_module
from tests.cli.conftest import ROOT


@pytest.mark.timeout(120)
def test_the_demo_ends_well_and_in_time(tmp_path: Path) -> None:
    (tmp_path / "loader.toml").write_text('concurrency = 1\nkey = "Nonsense"\n')
    done = subprocess.run(
        [sys.executable, "-m", "loader", "demo", "--dir", "kept"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LOADER_RATE": "0.1", "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "kill -9: the loader is gone" in done.stderr
    assert "has stopped. To go on: loader resume" in " ".join(done.stderr.split())
    assert "1 resume" in done.stderr
    load_dir = tmp_path / "kept" / "leads.ndjson.load"
    summary = json.loads((load_dir / "summary.json").read_bytes())
    assert summary["records"] == samples.LEADS
    assert summary["outcomes"]["in_doubt"] == summary["outcomes"]["pending"] == 0
    assert summary["outcomes"]["duplicate"] > 0
    assert summary["outcomes"]["invalid"] == samples.LEADS // samples.BAD_EVERY


def test_sample_leads_are_the_same_for_the_same_seed() -> None:
    assert list(samples.leads(2_000, seed=5)) == list(samples.leads(2_000, seed=5))
    assert list(samples.leads(2_000, seed=5)) != list(samples.leads(2_000, seed=6))


@pytest.mark.parametrize("seed", [1, 2])
def test_only_the_bad_samples_are_bad(seed: int) -> None:
    leads = standard_module("Leads")
    assert leads is not None
    checker = Checker(leads)
    bad = [
        number
        for number, line in enumerate(samples.leads(4_000, seed=seed), start=1)
        if checker.problems(line.rstrip(b"\n"))
    ]
    assert bad == list(range(samples.BAD_EVERY, 4_001, samples.BAD_EVERY))
