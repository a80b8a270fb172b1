"""Looks for secrets where none may be: in files, in what processes say, in their argument lists.

Every secret of a sandbox bears a mark, and so do those that a test makes with `secret`. Whatever a test
leaves below its temporary directory is searched for that mark when the test ends, and so is what pytest
captured of it; the harness has outputs and argument lists looked at as it goes. A find fails the test. Where
secrets belong, they are let be: a sandbox's database, and files that a test names with `belongs_in`.
"""

from __future__ import annotations

import os
import secrets
import stat
import sys
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

MARK = "5a4db0c5ca4a"
"""As the sandbox has it; a test compares the two."""

_NEEDLE = MARK.encode()
_READ_BYTES = 1024 * 1024
_DATABASES = (".db", ".db-wal", ".db-shm", ".db-journal")

_finds: list[str] = []
_allowed: set[Path] = set()
_searched: set[Path] = set()


def secret() -> str:
    """A credential of the API's form that the canary knows."""
    return f"1000.{MARK}{secrets.token_hex(10)}.{MARK}{secrets.token_hex(10)}"


def belongs_in(path: Path) -> Path:
    """That file, which a test fills with credentials on purpose."""
    _allowed.add(path.resolve())
    return path


def look_at(content: bytes | str, where: str) -> None:
    """Search a text that a process or a test has said."""
    raw = content.encode(errors="replace") if isinstance(content, str) else content
    offset = raw.find(_NEEDLE)
    if offset >= 0:
        _finds.append(f"{where}, byte {offset}")
    elif _NEEDLE in b"".join(raw.split()):
        _finds.append(f"{where}, broken over two lines")


def look_into(path: Path) -> None:
    """Search one file, however large."""
    resolved = path.resolve()
    if resolved in _allowed or path.name.endswith(_DATABASES):
        return
    offset = _first_in(path)
    if offset is not None:
        _finds.append(f"{path}, byte {offset}")
    else:
        _look_at_words(path)


def _look_at_words(path: Path) -> None:
    """A screen of words may have broken the mark; what is larger than a screen is no such thing."""
    try:
        if path.stat().st_size <= _READ_BYTES:
            look_at(path.read_bytes(), str(path))
    except OSError:
        return  # it went while it was looked for


def look_below(directory: Path) -> None:
    """Search everything below a directory that was not searched before."""
    for path in _files_below(directory):
        look_into(path)
    _searched.add(directory)


def look_at_arguments(pid: int) -> None:
    """Search what `ps` shows of a process that was just started."""
    for _ in range(100):
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return  # it has ended; the audit hook has seen what it was started with
        if arguments:  # the kernel lays them out a moment after the program has begun to run
            look_at(arguments, f"the arguments of process {pid}")
            return
        time.sleep(0.001)


def take_finds() -> list[str]:
    """What was found since the last time."""
    found, _finds[:] = list(dict.fromkeys(_finds)), []
    return found


def _files_below(directory: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(directory):
        here = Path(folder)
        folders[:] = [each for each in folders if here / each not in _searched]
        for name in names:
            path = here / name
            try:
                mode = path.lstat().st_mode
            except OSError:
                continue
            if stat.S_ISREG(mode):
                yield path


def _first_in(path: Path) -> int | None:
    """Where the mark stands, searched piece by piece."""
    at, carried = 0, b""
    try:
        with path.open("rb") as stream:
            while piece := stream.read(_READ_BYTES):
                window = carried + piece
                offset = window.find(_NEEDLE)
                if offset >= 0:
                    return at - len(carried) + offset
                at += len(piece)
                carried = window[-len(_NEEDLE) + 1 :]
    except OSError:
        return None  # it went while it was looked for
    return None


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    """Every process that this one starts, whoever starts it, with the arguments that it gets."""
    if event == "subprocess.Popen":
        told = repr(arguments[1])  # executable, arguments, directory, environment
        if MARK in told:
            _finds.append("the arguments of a process that was started")


# --- the plugin ---


def pytest_configure() -> None:
    """Argument lists are heard of from now on; an audit hook cannot be removed."""
    sys.addaudithook(_hear)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """At the end of a test, a find turns it into a failure."""
    report = yield
    if call.when == "teardown":
        for title, text in report.sections:
            look_at(text, f"{item.nodeid}, {title}")
        directory = getattr(item, "funcargs", {}).get("tmp_path")
        if isinstance(directory, Path):
            look_below(directory)
        found = take_finds()
        if found:
            report.outcome = "failed"
            report.longrepr = _complaint(found)
    return report


@pytest.fixture(scope="session", autouse=True)
def _directories_of_no_single_test(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What module and session fixtures left is searched at the end; the last test's report tells."""
    yield
    look_below(tmp_path_factory.getbasetemp())


def _complaint(found: list[str]) -> str:
    return "a secret is where none may be:\n  " + "\n  ".join(found)
