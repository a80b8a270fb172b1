"""The documentation holds together: fresh pages, links that lead somewhere, commands that are run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click
import pytest

from loader import events
from loader.adapters.singer import NAME as TARGET_NAME
from loader.adapters.singer import command as singer_target
from loader.cli.known_settings import known
from loader.cli.main import COMMANDS, loader
from loader.errors import ExitCode
from loader.schema import problems
from loader.wire.codes import CODES
from loader.wire.scopes import FEATURES, wanted
from tests.messages import VARIES, messages

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


def test_the_list_of_decisions_has_each() -> None:
    folder = ROOT / "docs" / "design" / "decisions"
    pages = {page.name for page in folder.glob("0*.md")}
    assert set(LINK.findall((folder / "README.md").read_text())) == pages
    for page in pages:
        number = re.match(r"# 0*(\d+)[.:]", (folder / page).read_text())
        assert number is not None
        assert page.startswith(f"{int(number[1]):04}-")


def test_ci_runs_the_readmes_test_command_word_for_word() -> None:
    commands = re.findall(r"```sh\n(python3 .*)\n```", (ROOT / "README.md").read_text())
    assert len(commands) == 2
    assert commands[1] in (ROOT / ".ci" / "run").read_text().splitlines()


def headings(page: str) -> list[str]:
    text = re.sub(r"```.*?```", "", (ROOT / "docs" / page).read_text(), flags=re.DOTALL)
    return re.findall(r"^#+ (.*)$", text, re.MULTILINE)


def commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


def flags() -> set[str]:
    """Each flag of each command by its long name."""
    every = [loader, singer_target, *(command for _, command in commands(loader, ""))]
    params = [param for command in every for param in command.params]
    return {max(each.opts, key=len) for each in params if isinstance(each, click.Option) and not each.hidden}


def own_codes() -> set[str]:
    """What the check says of lines."""
    return {value for value in vars(problems).values() if isinstance(value, str) and value.isupper()}


def event_names(kind: type[events.Event] = events.Event) -> set[str]:
    return {each.__name__ for each in kind.__subclasses__()}


# Whatever a person or a program can meet, and the page whose heading it is.
HEADINGS: dict[str, Callable[[], Iterable[str]]] = {
    "reference/commands.md": lambda: [TARGET_NAME, *(path for path, _ in commands(loader, "loader"))],
    "reference/flags.md": flags,
    "reference/configuration.md": known,
    "reference/api-codes.md": lambda: CODES.keys() | own_codes(),
    "reference/events.md": event_names,
}


@pytest.mark.parametrize("page", HEADINGS)
def test_each_command_flag_setting_code_and_event_has_its_heading(page: str) -> None:
    wanted_here = set(HEADINGS[page]())
    assert len(wanted_here) >= len(COMMANDS)
    assert not wanted_here - set(headings(page)), f"these have no heading in {page}"


def test_each_exit_code_has_a_row_and_a_heading() -> None:
    rows = (ROOT / "docs" / "reference" / "exit-codes.md").read_text()
    for code in ExitCode:
        assert re.search(rf"^\| {code.value} \|", rows, re.MULTILINE), code
        assert code in SECTIONS, f"{TROUBLESHOOTING} has no heading for exit code {code.value}"


def sections() -> dict[int, list[str]]:
    """The headings of messages, by the exit code that they stand under."""
    found: dict[int, list[str]] = {}
    code = -1
    for heading in headings(TROUBLESHOOTING):
        if told := re.match(r"Exit code (\d+): ", heading):
            code = int(told[1])
            found.setdefault(code, [])
        elif code in found:
            found[code].append(heading)
    return found


TROUBLESHOOTING = "guide/troubleshooting.md"
SECTIONS = sections()


def covers(heading: str, words: str) -> bool:
    """A heading may leave out what a message adds at its end."""
    return words in (heading, heading + VARIES, f"{heading}: {VARIES}")


@pytest.mark.parametrize("code", sorted(ExitCode))
def test_each_message_of_an_error_has_a_heading_under_its_exit_code(code: ExitCode) -> None:
    here = SECTIONS[code]
    met = [message for message in messages() if message.exit_code is code]
    missing = [m for m in met if not any(covers(heading, m.words) for heading in here)]
    assert not missing, f"docs/{TROUBLESHOOTING} has no heading for: {missing}"
    stale = [heading for heading in here if not any(covers(heading, m.words) for m in met)]
    assert not stale, f"docs/{TROUBLESHOOTING} explains what nothing says: {stale}"


def test_each_section_on_messages_begins_with_what_is_certain_about_the_records() -> None:
    page = (ROOT / "docs" / TROUBLESHOOTING).read_text()
    begins = re.findall(r"^## Exit code .*\n\n(.{14})", page, re.MULTILINE)
    assert begins
    assert set(begins) == {"**The records:"[:14]}


def test_messages_are_found_in_the_shapes_in_which_they_are_written() -> None:
    found = messages()
    words = {message.words for message in found}
    assert len(found) > 150
    assert {
        "the credits of the day are spent",
        "... gives no access token",
        "the checkpoint log ... was replaced during the load",  # a condition inside the text
        "LOADER_ACCESS_TOKEN is not an access token",  # one of two texts
        "... is poisoned, and its side file cannot be written either",  # handed over by a caller
        "the checkpoint log was written by a newer loader",  # written by the class itself
    } <= words
    assert all(message.words.replace(VARIES, "").strip(" :") for message in found)


def test_the_index_leads_to_every_guide_reference_and_page_of_the_design() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / target).resolve() for target in LINK.findall(index.read_text())}
    for folder in ("guide", "reference", "design", "."):
        for page in sorted((ROOT / "docs" / folder).glob("*.md")):
            assert page == index or page in linked, f"docs/README.md does not lead to {page.name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_into_a_page_of_ours_lead_to_a_heading(page: Path) -> None:
    for target, fragment in re.findall(r"\[[^\]]*\]\(([^)#\s]*)#([^)\s]+)\)", page.read_text()):
        if not target.startswith("http"):
            into = (page.parent / target).resolve() if target else page
            anchors = {anchor(heading) for heading in headings(str(into.relative_to(ROOT / "docs")))}
            assert fragment in anchors, f"{page.name} links to {target}#{fragment}"


def anchor(heading: str) -> str:
    """As forges make it of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


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
