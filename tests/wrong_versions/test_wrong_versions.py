"""Each wrong version is seen by the tests that its row names; the right version passes all of them.

A copy of the package is changed in one place and the named tests run against it, in a process of their own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import shares
from tests.wrong_versions.versions import WRONG_VERSIONS, WrongVersion

ROOT = Path(__file__).resolve().parents[2]
LEAST = 25
FLAGS = ("-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-profile", "first-failure")
TESTS_FAILED = 1
"""pytest's exit code; any other than this and 0 says that the tests did not run."""


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The project as it stands, without what is not needed to test it."""
    root = tmp_path_factory.mktemp("wrong") / "project"
    root.mkdir()
    skip = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in ("loader", "tests", "docs"):
        shutil.copytree(ROOT / name, root / name, ignore=skip)
    shutil.copy(ROOT / "pyproject.toml", root)
    yield root
    shutil.rmtree(root)


def verdict(root: Path, tests: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Those tests, run on the copy."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *FLAGS, *tests],
        cwd=root,
        # A change in the same second and of the same size must not meet the old bytecode.
        env={**kept, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1", "MACHINE_EXAMPLES": "200"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_there_are_enough_of_them_and_each_has_its_own_name() -> None:
    names = [one.name for one in WRONG_VERSIONS]
    assert len(names) >= LEAST
    assert len(set(names)) == len(names)


@pytest.mark.timeout(300)
def test_the_right_version_passes_all_their_tests(copy: Path) -> None:
    tests = sorted({test for one in WRONG_VERSIONS for test in one.seen_by})
    done = verdict(copy, tuple(tests))
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("wrong", WRONG_VERSIONS, ids=lambda one: one.name)
def test_a_wrong_version_is_seen(copy: Path, wrong: WrongVersion) -> None:
    path = copy / "loader" / wrong.file
    right = path.read_text()
    assert right.count(wrong.before) == 1, f"{wrong.file} has changed: bring the row up to date"
    path.write_text(right.replace(wrong.before, wrong.after))
    try:
        done = verdict(copy, wrong.seen_by)
    finally:
        path.write_text(right)
    assert done.returncode == TESTS_FAILED, (
        f"nobody saw that {wrong.name}\n{done.stdout[-3000:]}{done.stderr[-1000:]}"
    )
    shares.count("wrong versions seen")
