"""What holds for every test: no secret of it may be found anywhere afterwards (`canary.py`).

And what a run could not test is said aloud at its end.
"""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import Phase, settings

from tests import own_state
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
    "_own_state",
    "_state_of_all_tests",
    "pytest_configure",
    "pytest_runtest_makereport",
    "pytest_runtest_teardown",
]


@pytest.fixture(scope="session", autouse=True)
def _state_of_all_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    own_state.keep_below(tmp_path_factory.mktemp("state"))
    os.environ["LOADER_STATE_DIR"] = own_state.fresh()


@pytest.fixture(autouse=True)
def _own_state(_state_of_all_tests: None) -> None:
    """What loads share on this machine, each test has for itself: no test waits for another's tokens."""
    os.environ["LOADER_STATE_DIR"] = own_state.fresh()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was not tested, and what the rest took."""
    strace.pytest_terminal_summary(terminalreporter)
    summarise(terminalreporter)
