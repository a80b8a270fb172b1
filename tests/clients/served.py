"""A sandbox as a process of its own, as another program meets it, and what it wrote down."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ENDING_S: Final = 20


@dataclass(frozen=True)
class Sandbox:
    """A sandbox that serves: what it printed when it was ready, and its database."""

    ready: dict[str, Any] = field(repr=False)
    database: Path

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as reader:
            return reader.execute(query, values).fetchall()

    def inserts(self) -> list[tuple[str, int, int]]:
        """Path, records and status of each insert, in the order in which they came."""
        return self.rows(
            "SELECT path, records, status FROM calls"
            " WHERE method = 'POST' AND path LIKE '/crm/%' ORDER BY call"
        )

    def applied(self, module: str) -> dict[str, tuple[int, dict[str, Any]]]:
        """By id: the record's place in its call, as the apply-log has it, and what was sent."""
        rows = self.rows(
            "SELECT record_id, position, raw FROM apply_log JOIN records ON records.id = record_id"
            " WHERE module = ? ORDER BY seq",
            module,
        )
        return {str(record_id): (position, json.loads(raw)) for record_id, position, raw in rows}


@contextmanager
def sandbox_with(directory: Path, *flags: str) -> Iterator[Sandbox]:
    """A sandbox for as long as the context lasts."""
    database = directory / "sandbox.db"
    command = [sys.executable, "-m", "loader", "sandbox", "--db", str(database), *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            line = process.stdout.readline()
            assert line, f"the sandbox did not start: {process.stderr.read().decode()}"
            yield Sandbox(json.loads(line), database)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=ENDING_S)
