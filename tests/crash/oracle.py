"""The judge of a load: what the input, the sandbox's database and the load directory say about each other.

It knows the loader only by what the loader promises to everybody: `results`, `summary.json` and the
files beside it. Nothing of the package may be imported here, or a mistake of the loader's could be a mistake
of its judge too.

The invariants carry the names that docs/design/crash-testing.md gives them. A check gathers every breach
and raises one AssertionError that lists them, so that a failing run shows the pattern and not the first line.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import sqlite3
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tests.log_oracle import check_log
from tests.log_reader import standing_of

FINAL = frozenset({"inserted", "duplicate", "rejected", "invalid"})
OPEN = frozenset({"in_doubt", "pending"})
BREACHES_SHOWN = 12
LOG_BYTES_MAX = 4 * 1024 * 1024
"""The second reader of the log has an entry for each line: larger logs are left to `results`."""


class Line(NamedTuple):
    """One line of the input that holds a record: not blank."""

    number: int
    offset: int
    stored: bytes
    """As in the input, line end included."""

    @property
    def content(self) -> bytes:
        """Without the line end and without the white space around a JSON value, which no API keeps."""
        return self.stored.strip(b" \t\r\n")


def lines_of(path: Path) -> Iterator[Line]:
    """The records of an input file, cut the plain way; `.gz` is read as what it unpacks to."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
        offset = 0
        for number, stored in enumerate(stream, start=1):
            if stored.strip():
                yield Line(number, offset, stored)
            offset += len(stored)


def digest(content: bytes) -> int:
    """64 bits that stand for a record's bytes: small enough to keep a million of them."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")


class Sandbox:
    """The sandbox's database, read by a connection of our own for each question."""

    def __init__(self, database: Path) -> None:
        self.database = database

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(self.open()) as connection:
            return connection.execute(query, values).fetchall()

    def open(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=10)

    def number(self, query: str, *values: object) -> int:
        return int(self.ask(query, *values)[0][0] or 0)

    @property
    def calls(self) -> int:
        """Requests of any kind."""
        return self.number("SELECT count(*) FROM calls")

    @property
    def insert_calls(self) -> int:
        return self.number(f"SELECT count(*) FROM calls WHERE {INSERTS}")

    @property
    def records_taken(self) -> int:
        """Records over all the insert calls that reached the sandbox and were not turned away with a 429.

        Without a key it never exceeds the records of the input, or some were sent again that may have been
        applied.
        """
        return self.number(f"SELECT sum(records) FROM calls WHERE {INSERTS} AND coalesce(status, 0) != 429")

    @property
    def answers_lost(self) -> int:
        """Insert calls that a fault touched or that nobody was there to hear the answer of."""
        lost = "(coalesce(fault, '') != '' OR coalesce(answered, 0) = 0)"
        return self.number(f"SELECT count(*) FROM calls WHERE {INSERTS} AND {lost}")

    @property
    def rows(self) -> int:
        return self.number("SELECT count(*) FROM records")

    @property
    def applied(self) -> int:
        """The last number of the apply-log: what comes later has a higher one."""
        return self.number("SELECT max(seq) FROM apply_log")

    def applied_since(self, seq: int) -> list[bytes]:
        """The bytes of the records that were applied after `seq`."""
        rows = self.ask(
            "SELECT r.raw FROM apply_log a JOIN records r ON r.id = a.record_id WHERE a.seq > ?", seq
        )
        return [bytes(raw).strip() for (raw,) in rows]


INSERTS = "method = 'POST' AND path LIKE '/crm/v%/Leads'"
"""Calls that carry records, as a condition on the sandbox's `calls`."""


@dataclass
class Account:
    """What a load came to, counted by the judge."""

    outcomes: Counter[str] = field(default_factory=Counter)
    records: int = 0
    ids: dict[int, int] = field(default_factory=dict)
    """Line by the id that `results` names for it, of inserted records."""
    open_lines: dict[int, Line] = field(default_factory=dict)
    """By digest: the lines in doubt or pending, which the sandbox may or may not hold."""
    by_word: dict[int, Line] = field(default_factory=dict)
    """By digest: the lines that a person said were applied; they have no id, and the person was right."""
    duplicates: list[tuple[Line, int]] = field(default_factory=list)
    digests: array[int] = field(default_factory=lambda: array("Q", [0]))
    """By line number; 0 for a blank line."""

    def line_with(self, stored: int) -> int:
        """The line of the input that has this digest, 0 for none; slow, for the messages."""
        return next((number for number, each in enumerate(self.digests) if each == stored), 0)


class Breaches:
    """Gathers what is wrong."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.count = 0

    def add(self, text: str) -> None:
        self.count += 1
        if self.count <= BREACHES_SHOWN:
            self.texts.append(text)

    def check(self, holds: bool, text: str) -> None:
        if not holds:
            self.add(text)

    def end(self) -> None:
        shown = "\n  ".join(self.texts)
        more = self.count - len(self.texts)
        assert not self.count, f"{self.count} breaches\n  {shown}" + (f"\n  and {more} more" if more else "")


def check_load(
    input_path: Path,
    results: Iterable[bytes],
    load_dir: Path,
    sandbox: Sandbox,
    *,
    held_max: int = 0,
    key: str = "Email",
    stamp: str = "",
    piped: bool = False,
) -> Counter[str]:
    """Every invariant that can be seen at the end of a load; `results` are the lines of that command.

    The sandbox must have served this one load and nothing else, and no two records of the input may have
    the same bytes. Of what was piped, results need not know the offset: the bytes have gone by. `stamp` is
    the member that the load added to each record.

    Returns: the number of records by outcome.
    """
    breaches = Breaches()
    account = _check_one_outcome_each(input_path, results, breaches, piped=piped)
    _check_rows(account, sandbox, breaches, stamp)
    _check_duplicates(account, sandbox, key, breaches)
    held = account.outcomes["in_doubt"]
    breaches.check(held <= held_max, f"I5: {held} records are held, {held_max} can be explained")
    pending = account.outcomes["pending"]
    breaches.check(pending == 0, f"I1: {pending} records are pending although the load came to its end")
    _check_summary(account, load_dir, breaches)
    _check_held(account, load_dir, breaches)
    _check_log(input_path, account, load_dir, breaches)
    breaches.end()
    return account.outcomes


def _check_one_outcome_each(
    path: Path, results: Iterable[bytes], breaches: Breaches, *, piped: bool
) -> Account:
    """I1: results are the records of the input, in its order, each with its number and one outcome."""
    account = Account()
    told = iter(results)
    for line in lines_of(path):
        account.records += 1
        account.digests.extend([0] * (line.number - len(account.digests)))
        account.digests.append(digest(line.content))
        raw = next(told, None)
        if raw is None:
            breaches.add(f"I1: results end before line {line.number}")
            break
        result = json.loads(raw)
        where = (result.get("line"), result.get("offset", line.offset if piped else None))
        breaches.check(where == (line.number, line.offset), f"I1: results say {where} for {line[:2]}")
        _enter(account, line, result, breaches)
    breaches.check(next(told, None) is None, "I1: results go on after the last record")
    unique = len(set(account.digests) - {0}) == account.records
    breaches.check(unique, "the input repeats a record byte for byte: it cannot be judged")
    return account


def _enter(account: Account, line: Line, result: dict[str, Any], breaches: Breaches) -> None:
    outcome = result.get("outcome")
    account.outcomes[str(outcome)] += 1
    if outcome == "inserted":
        record_id = result.get("id")
        if record_id is None and "a person's word" in str(result.get("message")):
            account.by_word[digest(line.content)] = line
            return
        if not isinstance(record_id, str) or not record_id.isdigit():
            breaches.add(f"I2: line {line.number} is inserted with the id {record_id!r}")
            return
        other = account.ids.setdefault(int(record_id), line.number)
        breaches.check(
            other == line.number, f"I2: lines {other} and {line.number} both have the id {record_id}"
        )
    elif outcome in OPEN:
        account.open_lines[digest(line.content)] = line
    elif outcome == "duplicate":
        account.duplicates.append((line, int(result.get("id") or 0)))
    else:
        breaches.check(outcome in FINAL, f"I1: line {line.number} ends as {outcome!r}")
        breaches.check(bool(result.get("code")), f"line {line.number} is {outcome} and no code says why")


def _check_rows(account: Account, sandbox: Sandbox, breaches: Breaches, stamp: str) -> None:
    """I2: each inserted id has its line's bytes. I3, I4: any other row is the only one of an open line."""
    left = dict(account.open_lines)
    by_word = dict(account.by_word)
    added = re.compile(rb',"%s":"[0-9A-Z-]+:[0-9]+"(?=}$)' % stamp.encode())
    found = 0
    with closing(sandbox.open()) as connection:
        for record_id, raw in connection.execute("SELECT id, raw FROM records"):
            content = bytes(raw).strip()
            if stamp:
                content, stamps = added.subn(b"", content)
                breaches.check(stamps == 1, f"row {record_id} has {stamps} stamps")
            stored = digest(content)
            line = account.ids.get(record_id)
            if line is not None:
                found += 1
                same = account.digests[line] == stored
                breaches.check(same, f"I2: id {record_id} does not have line {line}'s bytes")
            elif by_word.pop(stored, None) is None and left.pop(stored, None) is None:
                origin = account.line_with(stored)
                text = f"line {origin} (once more)" if origin else "a record that the input does not have"
                breaches.add(f"I3/I4: row {record_id} holds {text}, and no outcome accounts for it")
    absent = len(account.ids) - found
    breaches.check(absent == 0, f"I2: {absent} records are called inserted and are not in the sandbox")
    breaches.check(not by_word, f"I2: {len(by_word)} records, inserted by a person's word, are not there")


def _check_duplicates(account: Account, sandbox: Sandbox, key: str, breaches: Breaches) -> None:
    """A duplicate names a record that exists and has its key."""
    for line, record_id in account.duplicates:
        rows = sandbox.ask("SELECT raw FROM records WHERE id = ?", record_id)
        mine = str(json.loads(line.content).get(key)).strip().casefold()
        theirs = [str(json.loads(bytes(raw)).get(key)).strip().casefold() for (raw,) in rows]
        breaches.check(
            theirs == [mine], f"line {line.number} is a duplicate of {record_id}, which has {theirs}"
        )


def _check_summary(account: Account, load_dir: Path, breaches: Breaches) -> None:
    """I1 again: summary.json adds up, and to the same figures."""
    summary = json.loads((load_dir / "summary.json").read_bytes())
    told = {name: count for name, count in summary["outcomes"].items() if count}
    counted = {name: count for name, count in account.outcomes.items() if count}
    breaches.check(told == counted, f"summary.json says {told}, results say {counted}")
    breaches.check(summary["records"] == account.records, f"summary.json: {summary['records']} records")
    refused = account.outcomes["rejected"] + account.outcomes["invalid"] + account.outcomes["duplicate"]
    code = 4 if account.open_lines else 3 if refused else 0
    breaches.check(
        summary["exit_code"] == code, f"summary.json: exit code {summary['exit_code']}, not {code}"
    )
    breaches.check(summary["complete"] is (code != 4), f"summary.json: complete is {summary['complete']}")


def _check_held(account: Account, load_dir: Path, breaches: Breaches) -> None:
    """in-doubt.ndjson lists what is held, byte for byte and in input order."""
    held = [line.stored.rstrip(b"\r\n") for line in sorted(account.open_lines.values())]
    listed = stored_lines(load_dir / "in-doubt.ndjson")
    breaches.check(listed == held, f"in-doubt.ndjson lists {len(listed)} records, {len(held)} are held")


def _check_log(path: Path, account: Account, load_dir: Path, breaches: Breaches) -> None:
    """I1 from the checkpoint log itself, by a reader of its own; and `results` say what the log says."""
    log = load_dir / "checkpoint.log"
    if not log.exists() or log.stat().st_size > LOG_BYTES_MAX:
        return
    standing = standing_of(log.read_bytes())
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    for text in check_log(content, standing):
        breaches.add(text)
    logged = {end.id: line for line, end in standing.ends.items() if end.outcome == "inserted" and end.id}
    told = {str(record_id): line for record_id, line in account.ids.items()}
    breaches.check(logged == told, f"I2: the log names {len(logged)} inserted records, results {len(told)}")
    undone = {line.number for line in account.open_lines.values()}
    breaches.check(standing.unsettled == undone, f"I1: the log leaves {len(standing.unsettled)} records open")


def stored_lines(path: Path) -> list[bytes]:
    """The lines of a file without their line ends; none, where there is no such file."""
    if not path.exists():
        return []
    with path.open("rb") as stream:
        return [line.rstrip(b"\r\n") for line in stream]


class Watch:
    """I6: looks at a load between its kills and says when something final did not stay as it was.

    Fit for inputs that fit into memory: it keeps every line's digest.
    """

    def __init__(self, input_path: Path, sandbox: Sandbox) -> None:
        self._line_of = {digest(line.content): line.number for line in lines_of(input_path)}
        self._sandbox = sandbox
        self._final: dict[int, tuple[str, str]] = {}
        self._applied = 0
        self.in_doubt = 0

    def look(self, results: Iterable[bytes]) -> int:
        """Compares with the look before.

        Returns: by how many records the doubt grew since then.
        """
        self._check_applied()
        applied = self._sandbox.applied
        final, in_doubt = _standing(results)
        breaches = Breaches()
        for line, end in self._final.items():
            breaches.check(final.get(line) == end, f"I6: line {line} was {end} and now is {final.get(line)}")
        breaches.end()
        grown, self.in_doubt = in_doubt - self.in_doubt, in_doubt
        self._final, self._applied = final, applied
        return grown

    def _check_applied(self) -> None:
        """Nothing that was final at the last look has been applied since."""
        breaches = Breaches()
        for raw in self._sandbox.applied_since(self._applied):
            line = self._line_of.get(digest(raw))
            breaches.check(line is not None, "I4: the sandbox applied a record that the input does not have")
            end = self._final.get(line or 0)
            breaches.check(end is None, f"I6: line {line} was {end} and was applied again")
        breaches.end()


def _standing(results: Iterable[bytes]) -> tuple[dict[int, tuple[str, str]], int]:
    """The final outcomes by line, and how many records are in doubt."""
    final: dict[int, tuple[str, str]] = {}
    in_doubt = 0
    last = 0
    for raw in results:
        result = json.loads(raw)
        line, outcome = int(result["line"]), str(result["outcome"])
        assert line > last, f"I1: results come to line {line} after line {last}"
        last = line
        if outcome in FINAL:
            final[line] = (outcome, str(result.get("id", "")))
        in_doubt += outcome == "in_doubt"
    return final, in_doubt
