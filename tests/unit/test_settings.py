"""Settings that a program hands over, which no command line has looked at before."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from loader.errors import UsageError
from loader.settings import LoadSettings, Target

TARGET = Target("Leads", "http://127.0.0.1:1", "http://127.0.0.1:1")


def settings(**changed: Any) -> LoadSettings:
    return LoadSettings(input="leads.ndjson", target=TARGET, load_dir=Path("leads.ndjson.load"), **changed)


@pytest.mark.parametrize("name", ["timeout_s", "patience_s", "quiet_period_s", "wait_s"])
@pytest.mark.parametrize("number", [-1.0, math.nan])
def test_a_time_that_is_none_is_refused(name: str, number: float) -> None:
    with pytest.raises(UsageError, match="is too small"):
        settings(**{name: number})


@pytest.mark.parametrize("rate", [0.0, -1.0, math.nan, math.inf])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(UsageError, match="--rate is no rate"):
        settings(rate=rate)


def test_no_concurrency_at_all_is_refused() -> None:
    with pytest.raises(UsageError, match="--concurrency is too small"):
        settings(concurrency=0)
