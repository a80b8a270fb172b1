"""Starts loaders that need not import themselves first: a program that has, and forks for each of them.

Each loader is a process of its own, with its own descriptors, arguments and environment; only the half second
of imports is saved, which is most of what hundreds of small loads cost. It runs as `python -m
tests.crash.launcher`, takes one JSON object a line on stdin and answers each with one on stdout:

- {"arguments", "environment", "directory", "stdout", "stderr", "tracer"}: forks; answers {"pid"}. The new
  process waits. `tracer` is a command to be run on each thread that it starts, THREAD in place of the number.
- {"go": true}: lets it go, and answers {"exit_code"} when it has ended.

`Loaders` is the other end.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from tests.crash.harness import PYTHON, ROOT, Desk, Finished, end
from tests.crash.strace import Strike, attached, is_traced

THREAD = "THREAD"
_IMPORTED = ("loader.cli.main", "loader.job", "loader.run", "loader.cli.running", "loader.cli.commands.load")


class Loaders:
    """One program that forks loaders, one at a time."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.last = 0
        """The process id of the last loader."""

    def run(self, desk: Desk, command: Sequence[str], *, strike: Strike | None = None) -> Finished:
        """A command of the loader from its start to its end; with `strike`, under strace."""
        out, err = desk.directory / "loader.stdout", desk.directory / "loader.stderr"
        began = time.monotonic()
        pid = self._ask(
            arguments=list(command),
            environment=dict(desk.surroundings()),
            directory=str(desk.directory),
            stdout=str(out),
            stderr=str(err),
            tracer=strike.words(THREAD) if strike is not None and strike.others else [],
        )["pid"]
        self.last = pid
        if strike is None or not strike.main:
            exit_code = self._ask(go=True)["exit_code"]
        else:
            with attached(pid, strike):
                exit_code = self._ask(go=True)["exit_code"]
        stderr = err.read_text(errors="replace")
        return Finished(exit_code, out.read_bytes(), stderr, time.monotonic() - began)

    def _ask(self, **question: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the program that starts the loaders has ended"
        found: dict[str, Any] = json.loads(answer)
        return found


@contextmanager
def launched() -> Iterator[Loaders]:
    """The program, for as long as the block lasts."""
    command = [PYTHON, "-m", "tests.crash.launcher"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield Loaders(process)
    finally:
        end(process)
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()


# --- what follows runs in the program ---


def _serve() -> None:
    for name in _IMPORTED:
        importlib.import_module(name)
    while line := sys.stdin.buffer.readline():
        order = json.loads(line)
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(writer)
            _be_a_loader(order, reader)
        os.close(reader)
        _answer(pid=pid)
        sys.stdin.buffer.readline()
        os.write(writer, b"!")
        _, status = os.waitpid(pid, 0)
        os.close(writer)
        _answer(exit_code=os.waitstatus_to_exitcode(status))


def _answer(**answer: int) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _be_a_loader(order: Mapping[str, Any], reader: int) -> NoReturn:
    for descriptor, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, order["stdout"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, order["stderr"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["directory"])
    sys.argv = ["loader", *order["arguments"]]
    if not os.read(reader, 1):
        os._exit(1)  # nobody is there any more
    os.close(reader)
    if order["tracer"]:
        threading.setprofile(lambda *_: _have_traced(order["tracer"]))
    from loader.cli.main import main

    main()
    sys.exit(0)


def _have_traced(tracer: Sequence[str]) -> None:
    """Runs first in each new thread: it waits until its tracer has come."""
    sys.setprofile(None)
    thread = threading.get_native_id()
    with Path(os.devnull).open("r+b") as null:
        command = [word.replace(THREAD, str(thread)) for word in tracer]
        subprocess.Popen(command, stdin=null, stdout=null, stderr=null)
    while not is_traced(thread):
        time.sleep(0.001)


if __name__ == "__main__":
    _serve()
