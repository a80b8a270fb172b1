"""What holds for every test: no secret of it may be found anywhere afterwards (`canary.py`).

And what a run could not test is said aloud at its end.
"""

from __future__ import annotations

from tests.canary import (
    _directories_of_no_single_test,
    pytest_configure,
    pytest_runtest_makereport,
)
from tests.crash.strace import pytest_terminal_summary

__all__ = [
    "_directories_of_no_single_test",
    "pytest_configure",
    "pytest_runtest_makereport",
    "pytest_terminal_summary",
]
