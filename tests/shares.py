"""What each part of the proof took and what it counted, said at the end of a run.

A test says what it did with `count("kills")`; the figures travel with its report, from the workers too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

PARTS = {
    "state machine against a model": ("tests/property/test_delivery_machine.py",),
    "crash states of the log": ("tests/crash/test_crash_states.py", "tests/crash/test_log_tail.py"),
    "simulation": ("tests/simulation/",),
    "system calls, limits": ("tests/crash/test_syscalls.py", "tests/crash/test_disk_limits.py"),
    "kills": ("tests/crash/test_kill", "tests/crash/test_all_faults.py"),
    "wrong versions": ("tests/wrong_versions/",),
    "verdict rows, answers": (
        "tests/scenario/test_verdict_rows.py",
        "tests/scenario/test_hostile_answers.py",
    ),
    "the rest of the proof": ("tests/crash/", "tests/property/"),
    "scenarios": ("tests/scenario/",),
    "all other tests": ("tests/",),
}
"""Part -> where its tests begin; the first that fits."""

_counted: Counter[str] = Counter()


def count(what: str, number: int = 1) -> None:
    """Adds to what the present test has counted."""
    _counted[what] += number


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Hands the counts of a test to its last report."""
    item.user_properties.extend((f"counted {what}", number) for what, number in _counted.items())
    _counted.clear()


def summarise(reporter: pytest.TerminalReporter) -> None:
    """One line a part: seconds of its tests, and what they counted."""
    seconds: Counter[str] = Counter()
    counts: dict[str, Counter[str]] = {}
    for report in _reports(reporter):
        part = next(name for name, begins in PARTS.items() if report.nodeid.startswith(begins))
        seconds[part] += report.duration  # type: ignore[assignment]
        if report.when == "teardown":
            for name, value in report.user_properties:
                if name.startswith("counted ") and isinstance(value, int):
                    counts.setdefault(part, Counter())[name.removeprefix("counted ")] += value
    if len(seconds) < 3:
        return
    reporter.write_sep("-", "what each part took (seconds of its tests, over all workers) and counted")
    for part in PARTS:
        if part in seconds:
            told = ", ".join(f"{number:,} {what}" for what, number in counts.get(part, Counter()).items())
            reporter.write_line(f"{part:32}{seconds[part]:8.0f} s   {told}")


def _reports(reporter: pytest.TerminalReporter) -> Iterator[pytest.TestReport]:
    for kind, reports in reporter.stats.items():
        if kind != "deselected":
            yield from (one for one in reports if isinstance(one, pytest.TestReport))
