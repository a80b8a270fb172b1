"""The guide for other programs does what it says: its commands run here as they stand there."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests import canary
from tests.clients.served import Sandbox, sandbox_with

pytestmark = pytest.mark.timeout(60)

GUIDE: Final = Path(__file__).parents[2] / "docs" / "guide" / "sandbox-clients.md"
ADDRESS: Final = "http://127.0.0.1:8080"
COMMANDS_MAX_S: Final = 40

# Where there is no curl: what the guide asks of it, and not a word more.
STAND_IN: Final = f"""#!{sys.executable}
import sys, urllib.error, urllib.request
arguments, data, headers, url = iter(sys.argv[1:]), [], {{}}, ""
for each in arguments:
    if each == "-d":
        data.append(next(arguments))
    elif each == "-H":
        name, _, value = next(arguments).partition(": ")
        headers[name] = value
    elif each != "-s":
        assert not url and each.startswith("http://127.0.0.1:"), each
        url = each
request = urllib.request.Request(url, "&".join(data).encode(), headers, method="POST")
try:
    answer = urllib.request.urlopen(request, timeout=20)
except urllib.error.HTTPError as error:
    answer = error
sys.stdout.buffer.write(answer.read())
"""


def blocks() -> list[str]:
    """The guide's shell commands, block by block."""
    return re.findall(r"^```sh\n(.*?)^```$", GUIDE.read_text(), re.DOTALL | re.MULTILINE)


def with_credentials(commands: str, sandbox: Sandbox) -> str:
    """The commands of the guide with what a reader puts in: the words in capitals."""
    ready = sandbox.ready
    filled = {
        f"{ADDRESS}/": f"{ready['url']}/",
        "client_id=ID": f"client_id={ready['client_id']}",
        "client_secret=SECRET": f"client_secret={ready['client_secret']}",
        "refresh_token=REFRESH_TOKEN": f"refresh_token={ready['refresh_token']}",
    }
    for words, value in filled.items():
        assert words in commands, f"the guide has no {words!r} any more"
        commands = commands.replace(words, value)
    return commands


def path_with_curl(directory: Path, *, stand_in: bool) -> str:
    """A PATH whose `curl` is the system's, or the stand-in."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    if not stand_in:
        return path
    directory.mkdir()
    (directory / "curl").write_text(STAND_IN)
    (directory / "curl").chmod(0o755)
    return f"{directory}{os.pathsep}{path}"


def start_flags() -> list[str]:
    """Of the guide's sandbox, but for the port and the database, which are others here."""
    program, subcommand, *flags = shlex.split(blocks()[0])
    assert (program, subcommand) == ("loader", "sandbox")
    kept = dict(zip(flags[::2], flags[1::2], strict=True))
    assert kept.pop("--port") == ADDRESS.rpartition(":")[2]
    assert kept.pop("--db") == "crm.db"
    return [word for pair in kept.items() for word in pair]


@pytest.mark.parametrize("stand_in", [shutil.which("curl") is None, True], ids=["what there is", "stand-in"])
def test_the_commands_for_curl_insert_a_record(tmp_path: Path, stand_in: bool) -> None:
    commands = blocks()[1]
    with sandbox_with(tmp_path, *start_flags()) as sandbox:
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-s"],
            input=with_credentials(commands, sandbox),
            capture_output=True,
            text=True,
            env={"PATH": path_with_curl(tmp_path / "bin", stand_in=stand_in), "NO_PROXY": "127.0.0.1"},
            cwd=tmp_path,
            timeout=COMMANDS_MAX_S,
            check=False,
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        canary.look_at(ran.stdout, "what the guide's commands say")
        (item,) = json.loads(ran.stdout)["data"]
        assert item["code"] == "SUCCESS"
        assert sandbox.applied("Leads") == {item["details"]["id"]: (0, {"Last_Name": "Daly"})}


def test_the_guide_names_files_that_there_are() -> None:
    text = GUIDE.read_text()
    named = set(re.findall(r"tests/clients/[a-z_]+\.(?:py|txt)", text))
    assert named, "the guide names the SDK's test and its requirements"
    assert all((GUIDE.parents[2] / each).is_file() for each in named)
    links = re.findall(r"\]\((\S+\.md)\)", text)
    assert all((GUIDE.parent / each).is_file() for each in links)
