"""What holds for every test: no secret of it may be found anywhere afterwards (`canary.py`).

And what a run could not test is said aloud at its end.
"""

from __future__ import annotations

import signal

import pytest
from hypothesis import Phase, settings

from tests.canary import (
    _directories_of_no_single_test,
    pytest_configure,
    pytest_runtest_makereport,
)
from tests.crash import strace
from tests.shares import pytest_runtest_teardown, summarise

settings.register_profile("first-failure", phases=[Phase.explicit, Phase.generate])
"""For a run that only asks whether a mistake is seen: the smallest example of it is nobody's question."""

# Run under `nohup`, the tests would hand its ignored SIGHUP down to each loader that they start.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

__all__ = [
    "_directories_of_no_single_test",
    "pytest_configure",
    "pytest_runtest_makereport",
    "pytest_runtest_teardown",
]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was not tested, and what the rest took."""
    strace.pytest_terminal_summary(terminalreporter)
    summarise(terminalreporter)
