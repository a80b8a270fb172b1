"""The documentation holds together: fresh pages, links that lead somewhere, commands that are run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from loader.cli.main import COMMANDS, loader
from loader.errors import ExitCode
from loader.wire.scopes import FEATURES, wanted

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)")


def test_generated_pages_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_ci_runs_the_readmes_test_command_word_for_word() -> None:
    commands = re.findall(r"```sh\n(python3 .*)\n```", (ROOT / "README.md").read_text())
    assert len(commands) == 2
    assert commands[1] in (ROOT / ".ci" / "run").read_text().splitlines()


def test_each_command_has_a_heading_and_each_exit_code_a_row() -> None:
    page = (ROOT / "docs" / "reference" / "commands.md").read_text()
    for name in COMMANDS:
        assert f"\n## loader {name}\n" in page
    rows = (ROOT / "docs" / "reference" / "exit-codes.md").read_text()
    for code in ExitCode:
        assert re.search(rf"\b{code.value}\b", rows), code


def test_the_guide_to_credentials_names_every_feature_and_asks_for_the_scopes_of_all() -> None:
    guide = (ROOT / "docs" / "guide" / "credentials.md").read_text()
    assert f"\n{wanted()}\n" in guide
    for feature in FEATURES:
        row = next(line for line in guide.splitlines() if line.startswith(f"| {feature.name} |"))
        assert feature.without in row


def typed(page: Path) -> list[str]:
    """The command lines of ours in a page's samples, each up to the next pipe or redirection."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
    lines = (line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines())
    return [line for line in lines if line.startswith("loader ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_command_line_of_a_sample_has_flags_that_there_are(page: Path) -> None:
    for line in typed(page):
        words = shlex.split(re.split(r"[|>&;]", line, maxsplit=1)[0], comments=True)[1:]
        context = click.Context(loader, info_name="loader")
        command: click.Command = loader
        while isinstance(command, click.Group):
            below = command.get_command(context, words[0]) if words else None
            if below is None:
                assert words in (["--help"], ["--version"]), line
                break
            command, words = below, words[1:]
        command.make_parser(context).parse_args(args=words)
