"""What holds for every test: no secret of it may be found anywhere afterwards (`canary.py`)."""

from __future__ import annotations

from tests.canary import (
    _directories_of_no_single_test,
    pytest_configure,
    pytest_runtest_makereport,
)

__all__ = ["_directories_of_no_single_test", "pytest_configure", "pytest_runtest_makereport"]
