"""Shell completion, as bash asks for it, and that asking costs little."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run

ASK = """
eval "$(loader completion bash)"
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
_loader_completion loader
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def surroundings(tmp_path: Path) -> dict[str, str]:
    """With a command `loader` that is this one, whether or not it is installed."""
    command = tmp_path / "bin" / "loader"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m loader "$@"\n')
    command.chmod(0o755)
    path = os.pathsep.join((str(command.parent), os.environ["PATH"]))
    return {**os.environ, "PATH": path, "PYTHONPATH": str(Path(__file__).parents[2])}


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash: its completion was not tested")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("st",), {"status"}),
        (("load", "--conc"), {"--concurrency"}),
        (("load", "--module", "Pr"), {"Products", "Price_Books"}),
        (("load", "--dc", "e"), {"eu"}),
        (("config", ""), {"show"}),
        (("completion", ""), {"bash", "zsh", "fish"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bash_completes_commands_flags_and_values(
    surroundings: dict[str, str], words: tuple[str, ...], expected: set[str]
) -> None:
    # A file of settings that is broken must not keep a shell from completing.
    Path("loader.toml").write_text("= broken")
    done = subprocess.run(
        ["bash", "--norc", "-c", ASK, "bash", "loader", *words],
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert (set(done.stdout.split()), done.stderr) == (expected, "")


@pytest.mark.parametrize(
    ("shell", "mark"), [("bash", "complete -o"), ("zsh", "#compdef loader"), ("fish", "complete --no-files")]
)
def test_each_shell_has_its_script(run: Run, shell: str, mark: str) -> None:
    ran = run("completion", shell)
    assert (ran.code, mark in ran.out, ran.err) == (0, True, "")
    assert "_LOADER_COMPLETE" in ran.out


def test_another_shell_is_a_mistake_that_names_the_ones_there_are(run: Run) -> None:
    ran = run("completion", "tcsh")
    assert (ran.code, "'bash', 'zsh', 'fish'" in " ".join(ran.err.split())) == (2, True)


def test_the_names_of_commands_are_completed_without_importing_one() -> None:
    script = (
        "import sys; from loader.cli.main import loader\n"
        "import click; found = loader.shell_complete(click.Context(loader), 're')\n"
        "assert [one.value for one in found] == ['resume', 'results', 'resolve', 'retry', 'repair'], found\n"
        "assert not [name for name in sys.modules if name.startswith('loader.cli.commands.')]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
