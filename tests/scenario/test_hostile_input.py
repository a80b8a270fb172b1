"""Input that means harm, or was made without care: each kind as a real load, judged from outside.

docs/reference/input.md is the same as two tables, and a test holds it to the first of them. How lines are
cut, decoded and checked has unit tests; here the whole way counts, from the file to the CRM's own bytes and
back to the reports.
"""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import pty
import sqlite3
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import zstandard

from tests import canary
from tests.crash import oracle
from tests.crash.harness import PYTHON, ROOT, Crm, Desk, Finished, end, environment, sandbox, wait_for
from tests.crash.oracle import stored_lines
from tests.scenario.hostile_crm import Answer, Asked, HostileCrm, as_json, serving

MEBIBYTE = 1024 * 1024
RESIDENT_MAX = 200 * MEBIBYTE
"""A load of nothing needs 70 MiB; what would have to be held, were it held, is 256 MiB and more."""
FLAGS = ("--concurrency", "4")

zst = zstandard.ZstdCompressor().compress


class SinceNow(oracle.Sandbox):
    """A sandbox's tables without what was in them before."""

    def __init__(self, database: Path) -> None:
        super().__init__(database)
        self._before: dict[str, int] = {}
        columns = {"records": "id", "calls": "call", "apply_log": "seq"}
        self._before = {
            f"{table} WHERE {column} >": self.number(f"SELECT max({column}) FROM {table}")
            for table, column in columns.items()
        }

    def open(self) -> sqlite3.Connection:
        connection = super().open()
        for condition, before in self._before.items():
            name = condition.split()[0]
            connection.execute(f"CREATE TEMP VIEW {name} AS SELECT * FROM main.{condition} {before}")
        return connection


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crm]:
    """One sandbox for all of them."""
    flags = ("--unique", "Leads.Email", "--token-grants", "1000")
    with sandbox(tmp_path_factory.mktemp("sandbox"), *flags) as crm:
        yield crm


@pytest.fixture
def desk(tmp_path: Path, running: Crm) -> Desk:
    """A desk that sees of the sandbox only what this test does to it."""
    crm = Crm(running.url, running.credentials, SinceNow(running.database.database), running.pid)
    return Desk(tmp_path, crm, tmp_path / "leads.ndjson", FLAGS)


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def good(number: int) -> bytes:
    return b'{"Last_Name":"Good %d","Company":"%d"}' % (number, number)


def good_lines(first: int, count: int) -> bytes:
    return b"".join(good(number) + b"\n" for number in range(first, first + count))


def raws(desk: Desk) -> set[bytes]:
    """What the CRM holds, byte for byte."""
    return {bytes(raw) for (raw,) in desk.crm.database.ask("SELECT raw FROM records")}


# --- lines ---


class Case(NamedTuple):
    """A line, and what becomes of it."""

    line: bytes
    outcome: str
    code: str = ""


def sent(line: bytes) -> Case:
    return Case(line, "inserted")


def invalid(line: bytes, code: str = "NOT_JSON") -> Case:
    return Case(line, "invalid", code)


def padded(size: int, name: bytes) -> bytes:
    """A record of exactly so many bytes, most of them white space."""
    start, stop = b'{"Last_Name":"' + name + b'"', b"}"
    return start + b" " * (size - len(start) - len(stop)) + stop


LINES = {
    "a byte that is not UTF-8": invalid(b'{"Last_Name":"\xff\xfe"}'),
    "a NUL byte": invalid(b'{"Last_Name":"a\x00b"}'),
    "an escaped NUL, `\\u0000`": sent(b'{"Last_Name":"a\\u0000b"}'),
    "another control character, such as ESC": invalid(b'{"Last_Name":"\x1b[31mred"}'),
    "half of a surrogate pair, `\\ud800`": invalid(b'{"Last_Name":"half \\ud800"}'),
    "a byte order mark at its start, not in line 1": invalid(b'\xef\xbb\xbf{"Last_Name":"bom"}'),
    "a carriage return before its newline": sent(b'{"Last_Name":"windows"}\r'),
    "a carriage return between two objects": invalid(b'{"Last_Name":"a"}\r{"Last_Name":"b"}'),
    "U+2028, U+2029 or U+0085 in a string": sent('{"Last_Name":"a\u2028b\u2029c\u0085d"}'.encode()),
    "`NaN`": invalid(b'{"Last_Name":"n","Score":NaN}'),
    "`Infinity`": invalid(b'{"Last_Name":"n","Score":-Infinity}'),
    "an integer beyond 2^64": sent(b'{"Last_Name":"big","Own":18446744073709551616000000000000000001}'),
    "an integer of 5,000 digits": invalid(
        b'{"Last_Name":"huge","Own":1' + b"0" * 5000 + b"}", "INVALID_DATA"
    ),
    "a fraction of 400 digits": sent(b'{"Last_Name":"long","Own":0.' + b"123456789" * 45 + b"}"),
    "a number that no float holds, `1e999`": sent(b'{"Last_Name":"exp","Own":1e999,"Zero":-0.0E+00}'),
    "a key twice": sent(b'{"Last_Name":"first","Last_Name":"second"}'),
    "a mandatory key twice, the last time null": invalid(
        b'{"Last_Name":"first","Last_Name":null}', "MANDATORY_NOT_FOUND"
    ),
    "an array": invalid(b'["Last_Name"]', "NOT_AN_OBJECT"),
    "an array of objects, not in line 1": invalid(b'[{"Last_Name":"x"}]', "NOT_AN_OBJECT"),
    "a string": invalid(b'"Last_Name"', "NOT_AN_OBJECT"),
    "a number": invalid(b"42", "NOT_AN_OBJECT"),
    "`null`": invalid(b"null", "NOT_AN_OBJECT"),
    "an empty object": invalid(b"{}", "MANDATORY_NOT_FOUND"),
    "two objects": invalid(b'{"Last_Name":"a"} {"Last_Name":"b"}'),
    "a comma after an object": invalid(b'{"Last_Name":"a"},'),
    "single quotes": invalid(b"{'Last_Name':'a'}"),
    "arrays nested 100,000 deep": invalid(
        b'{"Last_Name":"deep","Own":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "NESTED_TOO_DEEPLY"
    ),
    "objects nested 100,000 deep": invalid(
        b'{"Last_Name":"deep","Own":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001, "NESTED_TOO_DEEPLY"
    ),
    "white space around an object": sent(b' \t{"Last_Name":"space"} '),
    "a field of exactly its length": sent(b'{"Last_Name":"' + "ж".encode() * 80 + b'"}'),
    "a field longer by one character": invalid(b'{"Last_Name":"' + "ж".encode() * 81 + b'"}', "INVALID_DATA"),
    "exactly 1 MiB": sent(padded(MEBIBYTE, b"exact")),
    "1 MiB and a byte": invalid(padded(MEBIBYTE + 1, b"over"), "LINE_TOO_LONG"),
    "an escape for a terminal in a string": sent(b'{"Last_Name":"\\u001b]0;owned\\u0007"}'),
    "a formula, `=cmd()`": sent(b'{"Last_Name":"=cmd()"}'),
    "`<script>`": sent(b'{"Last_Name":"<script>alert(1)</script>"}'),
    "odd keys: empty, `__proto__`, with a quote": sent(b'{"Last_Name":"k","":1,"__proto__":{},"a\\"b":2}'),
    "600 keys": sent(b'{"Last_Name":"many"' + b"".join(b',"Own_%d":%d' % (n, n) for n in range(600)) + b"}"),
}


def test_each_kind_of_line_ends_as_the_documentation_says_and_its_neighbours_are_loaded(desk: Desk) -> None:
    # Line 1 is a good one, and so is each second line after it.
    pieces = [good(0), *(piece for n, case in enumerate(LINES.values(), 1) for piece in (case.line, good(n)))]
    desk.input.write_bytes(b"\n".join(pieces) + b"\n")
    desk.load().ended(3)
    results = [json.loads(line) for line in desk.results()]
    told = [(each["outcome"], each.get("code", "")) for each in results]
    assert told[0::2] == [("inserted", "")] * (len(LINES) + 1)
    ends = dict(zip(LINES, told[1::2], strict=True))
    assert ends == {name: (case.outcome, case.code) for name, case in LINES.items()}
    as_sent = {case.line.strip(b" \t\r") for case in LINES.values() if case.outcome == "inserted"}
    assert as_sent | {good(number) for number in range(len(LINES) + 1)} == raws(desk)
    aside = [case.line for case in LINES.values() if case.outcome == "invalid"]
    assert stored_lines(desk.load_dir / "rejected.ndjson") == aside
    desk.judge()


def test_the_documentation_has_a_row_for_each_kind_of_line() -> None:
    page = (Path(ROOT) / "docs" / "reference" / "input.md").read_text(encoding="utf-8")
    for name, case in LINES.items():
        end_of_it = f"invalid, `{case.code}`" if case.code else "sent"
        assert f"\n| {name} | {end_of_it}" in page, name


def test_reasons_are_json_whatever_the_lines_are(desk: Desk) -> None:
    lines = [case.line for case in LINES.values() if case.outcome == "invalid"]
    desk.input.write_bytes(good(0) + b"\n" + b"\n".join(lines))
    desk.load().ended(3)
    reasons = stored_lines(desk.load_dir / "rejected-reasons.ndjson")
    assert [json.loads(reason)["line"] for reason in reasons] == list(range(2, len(lines) + 2))
    assert all(reason.isascii() or "\x9b" not in reason.decode() for reason in reasons)
    assert not any(byte in b"".join(reasons) for byte in (*range(32), 127))


# --- files ---


def test_an_empty_file_is_a_finished_load_of_nothing(desk: Desk) -> None:
    desk.input.touch()
    desk.load().ended(0)
    assert desk.judge() == {}
    assert desk.crm.database.insert_calls == 0
    quiet = desk.run([*desk.load_command(), "--quiet"]).ended(0)
    assert quiet.stderr == "warning: the input held no record\n", "a broken export has to be seen"


def test_the_null_device_is_an_empty_input(desk: Desk) -> None:
    finished = desk.load(os.devnull).ended(0)
    assert "accounts for every line" in finished.said


def test_a_file_of_blank_lines_holds_no_record_and_the_summary_counts_them(desk: Desk) -> None:
    desk.input.write_bytes(b"\n" * 30_000 + b"\r\n \t\n\x0b\x0c\n  ")
    finished = desk.load().ended(0)
    assert desk.judge() == {}
    assert "30,004 blank lines" in finished.said
    assert desk.crm.database.insert_calls == 0


def test_a_file_without_a_final_newline_is_loaded_to_its_last_line(desk: Desk) -> None:
    desk.input.write_bytes(good_lines(1, 3) + good(4))
    desk.load().ended(0)
    assert desk.judge() == {"inserted": 4}


def test_a_byte_order_mark_at_the_start_is_not_part_of_line_1(desk: Desk) -> None:
    desk.input.write_bytes(b"\xef\xbb\xbf" + good_lines(1, 2))
    desk.load().ended(0)
    assert raws(desk) == {good(1), good(2)}
    assert [json.loads(line)["offset"] for line in desk.results()] == [3, 3 + len(good(1)) + 1]


def test_crlf_reaches_no_record(desk: Desk) -> None:
    desk.input.write_bytes(good_lines(1, 250).replace(b"\n", b"\r\n"))
    desk.load().ended(0)
    assert desk.judge() == {"inserted": 250}
    assert not any(raw.endswith(b"\r") for raw in raws(desk))


def test_a_named_pipe_is_read_like_a_file_to_its_end(desk: Desk) -> None:
    fifo = desk.directory / "pipe"
    os.mkfifo(fifo)
    content = good_lines(1, 120)
    desk.input.write_bytes(content)
    with fed(fifo, lambda write: write(content)):
        desk.load(str(fifo)).ended(0)
    assert raws(desk) == {good(number) for number in range(1, 121)}


REFUSED: dict[str, tuple[bytes, str]] = {
    "one array on one line": (b'[{"Last_Name":"a"},{"Last_Name":"b"}]\n', "jq -c '.[]'"),
    "one array, one object a line": (b'[\n{"Last_Name":"a"},\n{"Last_Name":"b"}\n]\n', "jq -c '.[]'"),
    "one array after white space": (b'\xef\xbb\xbf\n\n  [\r\n  {\n "Last_Name":"a"}]', "jq -c '.[]'"),
    "one array in gzip": (gzip.compress(b'[ {"Last_Name":"a"}]'), "jq -c '.[]'"),
    "UTF-16": ('{"Last_Name":"a"}\n'.encode("utf-16"), "iconv -f UTF-16 "),
    "UTF-16 without its mark": ('{"Last_Name":"a"}\n'.encode("utf-16-le"), "iconv -f UTF-16LE"),
    "big-endian UTF-16 without its mark": ('{"Last_Name":"a"}\n'.encode("utf-16-be"), "iconv -f UTF-16BE"),
    "CSV": (b"Last_Name,Company\nAda,Acme\n", "mlr --icsv --ojsonl cat"),
    "CSV in gzip": (gzip.compress(b"Last_Name,Company\nAda,Acme\n"), "mlr --icsv --ojsonl cat"),
    "a zip archive": (b"PK\x03\x04rest", "unzip -p"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_file_that_is_no_file_of_lines_is_refused_with_what_makes_lines_of_it(
    desk: Desk, kind: str
) -> None:
    content, command = REFUSED[kind]
    desk.input.write_bytes(content)
    finished = desk.load().ended(2)
    # However long the path is, and wherever it had to be broken.
    assert command.replace(" ", "") in "".join(finished.stderr.split())
    assert "leads.ndjson" in "".join(finished.stderr.split())
    assert desk.crm.database.insert_calls == 0
    assert "array in gzip" in kind or not desk.load_dir.exists(), "nothing was begun"


def test_a_directory_is_refused(desk: Desk) -> None:
    desk.input.mkdir()
    finished = desk.load().ended(2)
    finished.is_one_screen()
    assert "it is a directory" in words_of(finished)


def test_an_array_that_is_piped_is_refused_too(desk: Desk) -> None:
    desk.input.write_bytes(b'[{"Last_Name":"a"}]')
    assert "jq -c '.[]' |" in words_of(desk.load("-", stdin=desk.input).ended(2))
    assert desk.crm.database.insert_calls == 0


# --- compressed files ---

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda content: gzip.compress(content, 1),
    "zstd": zst,
}


@pytest.mark.parametrize("kind", PACKERS)
def test_a_truncated_file_loads_what_is_whole_and_goes_on_when_the_rest_is_there(
    desk: Desk, kind: str
) -> None:
    desk.input.write_bytes(noisy_lines(3_000))
    whole = PACKERS[kind](desk.input.read_bytes())
    packed = desk.directory / "packed"
    packed.write_bytes(whole[: len(whole) * 2 // 3])
    finished = desk.load(str(packed)).ended(2)
    assert f"damaged or incomplete {kind} stream" in words_of(finished)
    arrived = desk.crm.database.rows
    assert 0 < arrived < 3_000
    packed.write_bytes(whole)
    desk.load(str(packed)).ended(0)
    assert desk.judge() == {"inserted": 3_000}


@pytest.mark.parametrize("kind", PACKERS)
def test_what_follows_a_member_and_is_none_is_damage_after_what_came_before(desk: Desk, kind: str) -> None:
    packed = desk.directory / "packed"
    packed.write_bytes(PACKERS[kind](good_lines(1, 500)) + b'{"Last_Name":"garbage"}\n')
    finished = desk.load(str(packed)).ended(2)
    assert f"damaged or incomplete {kind} stream" in words_of(finished)
    assert raws(desk) <= {good(number) for number in range(1, 501)}
    summary = json.loads((desk.load_dir / "summary.json").read_bytes())
    assert not summary["complete"]


@pytest.mark.parametrize("kind", PACKERS)
def test_members_one_after_the_other_are_one_input_wherever_they_are_cut(desk: Desk, kind: str) -> None:
    content = good_lines(1, 400)
    desk.input.write_bytes(content)
    pack, packed = PACKERS[kind], desk.directory / "packed"
    cuts = range(0, len(content), 3_001)
    packed.write_bytes(b"".join(pack(content[cut : cut + 3_001]) for cut in cuts) + pack(b""))
    desk.load(str(packed)).ended(0)
    assert desk.judge() == {"inserted": 400}


@pytest.mark.parametrize("kind", PACKERS)
def test_a_bomb_is_one_invalid_line_and_memory_stays_flat(desk: Desk, kind: str) -> None:
    """Through a pipe: of a file's bomb the line would be kept, byte for byte, among the rejected."""
    pack, fifo = PACKERS[kind], desk.directory / "pipe"
    os.mkfifo(fifo)
    bomb = pack(good(1) + b"\n" + bytes(256 * MEBIBYTE) + b"\n" + good(2) + b"\n")
    with fed(fifo, lambda write: write(bomb)):
        finished, resident = watched(desk, desk.load_command("-"), stdin=fifo)
    finished.ended(3)
    assert resident < RESIDENT_MAX
    assert raws(desk) == {good(1), good(2)}
    assert codes(desk) == ["", "LINE_TOO_LONG", ""]


# --- size ---


@pytest.mark.timeout(120)
def test_a_line_of_a_gibibyte_is_invalid_its_neighbours_are_loaded_and_memory_stays_flat(desk: Desk) -> None:
    fifo = desk.directory / "pipe"
    os.mkfifo(fifo)

    def feed(write: Callable[[bytes], object]) -> None:
        write(good(1) + b'\n{"Last_Name":"')
        piece = b"x" * MEBIBYTE
        for _ in range(1024):
            write(piece)
        write(b'"}\n' + good(2) + b"\n")

    with fed(fifo, feed):
        finished, resident = watched(desk, desk.load_command("-"), stdin=fifo)
    finished.ended(3)
    assert resident < RESIDENT_MAX
    assert raws(desk) == {good(1), good(2)}
    assert codes(desk) == ["", "LINE_TOO_LONG", ""]
    told = [json.loads(line) for line in desk.results()]
    assert "1,073,741,840 bytes" in told[1]["message"]


def test_a_long_line_of_a_file_is_kept_byte_for_byte_among_the_rejected(desk: Desk) -> None:
    """A hole in a file, 40 MiB of NUL bytes, as a crash of whoever wrote it leaves one."""
    with desk.input.open("wb") as stream:
        stream.write(good(1) + b"\n")
        stream.seek(40 * MEBIBYTE, os.SEEK_CUR)
        stream.write(b"\n" + good(2) + b"\n")
    finished, resident = watched(desk, desk.load_command())
    finished.ended(3)
    assert resident < RESIDENT_MAX
    assert desk.judge() == {"inserted": 2, "invalid": 1}
    aside = (desk.load_dir / "rejected.ndjson").read_bytes()
    assert (len(aside), aside.strip(b"\0\n")) == (40 * MEBIBYTE + 1, b"")


def test_a_hundred_lines_of_exactly_the_limit_travel_in_calls_of_bounded_size(desk: Desk) -> None:
    lines = [padded(MEBIBYTE, b"limit %d" % number) for number in range(12)]
    desk.input.write_bytes(b"\n".join(lines) + b"\n")
    desk.load().ended(0)
    assert desk.judge() == {"inserted": 12}
    most = desk.crm.database.number("SELECT max(records) FROM calls")
    assert most == 3, "four such lines with their line ends are more than 4 MiB"


# --- a file that does not stand still ---


def test_a_file_that_shrinks_while_it_is_read_is_never_taken_for_whole(desk: Desk) -> None:
    lines = [
        b'{"Last_Name":"Wide %d","Description":"%s"}\n' % (number, b"d" * 10_000) for number in range(1000)
    ]
    content = b"".join(lines)
    desk.input.write_bytes(content)
    desk.flags = ("--concurrency", "1", "--rate", "8")
    with desk.spawned(desk.load_command()) as process:
        wait_for(lambda: desk.crm.database.insert_calls >= 2 or process.poll() is not None)
        os.truncate(desk.input, len(content) * 7 // 10)
        process.wait(timeout=30)
    finished = desk.said(process).ended(8)
    assert "became shorter while it was read" in words_of(finished)
    cut = len(content) * 7 // 10
    assert raws(desk) <= {line.rstrip() for line in lines[: cut // len(lines[-1])]}
    desk.input.write_bytes(content)
    desk.load().ended(0)
    assert desk.judge() == {"inserted": 1000}


# --- keys ---


def test_of_a_key_that_a_record_bears_twice_the_last_counts_for_loader_and_crm(desk: Desk) -> None:
    lines = [
        b'{"Last_Name":"a","Email":"one@twice.example","Email":"two@twice.example"}',
        b'{"Last_Name":"b","Email":"ONE@twice.example"}',
        b'{"Last_Name":"c","Email":"Two@twice.example"}',
        b'{"Last_Name":"d","Email":"three@twice.example","Email":null}',
        b'{"Last_Name":"e","Email":"+cmd@twice.example"}',
        b'{"Last_Name":"f","Email":"bad \xff@twice.example"}',
    ]
    desk.input.write_bytes(b"\n".join(lines))
    desk.flags = (*FLAGS, "--key", "Email")
    desk.load().ended(3)
    assert desk.judge() == {"inserted": 4, "duplicate": 1, "invalid": 1}
    told = [json.loads(line) for line in desk.results()]
    assert [each.get("key", "") for each in told] == [
        "two@twice.example",
        "ONE@twice.example",
        "Two@twice.example",
        "",
        "+cmd@twice.example",
        "",
    ]
    table = desk.run(["results", str(desk.load_dir), "--format", "csv"]).ended(0).stdout.decode()
    assert "'+cmd@twice.example" in table
    assert ",+cmd" not in table


# --- terminals ---

ESCAPES = ("\x1b]0;owned\x07", "\x1b[31mred", "\x9b2J", "\x7f", "\r", "\u202egnp.")
OWNED = "".join(ESCAPES)


def test_nothing_that_a_server_says_or_a_file_is_called_is_obeyed_by_a_terminal(tmp_path: Path) -> None:
    place = tmp_path / OWNED
    place.mkdir()
    source = written(place / f"{OWNED}.ndjson", good_lines(1, 3) + b'{"Last_Name":"\x1b]0;owned\x07"}\n')
    crm = HostileCrm(insert=rude)
    access = {"LOADER_ACCESS_TOKEN": canary.secret(), "TERM": "xterm-256color"}
    with serving(crm):
        command = ["load", str(source), "--module", "Leads", *crm.target]
        quick = ("--quiet-period", "10ms", "-v")
        load_dir = f"{source}.load"
        shown = {
            "load": on_a_terminal(tmp_path, [*command, *quick], access, code=4),
            "plain": on_a_terminal(tmp_path, ["load", str(source), "--module", "Leads"], {}, code=2),
        }
        source.write_bytes(good_lines(1, 2))
        for name in ("status", "results"):
            shown[name] = on_a_terminal(tmp_path, [name, load_dir], {})
        shown["csv"] = on_a_terminal(tmp_path, ["results", load_dir, "--format", "csv"], {})
        shown["missing"] = on_a_terminal(tmp_path, ["results", load_dir + OWNED], {}, code=2)
    for name, screen in shown.items():
        for escape in ESCAPES:
            rows = screen.replace(b"\r\n", b"\n")  # the terminal's own line ends
            if name == "csv":
                rows = rows.replace(b"\r\n", b"\n")  # and those of CSV
            if escape == "\r":
                rows = rows.replace(b"\r\x1b[", b"")  # and the live block's way back to its start
            assert escape.encode() not in rows, (name, escape)
    assert b"\\x1b]0;owned\\x07" in shown["load"]
    assert b"\\x1b]0;owned\\x07" in shown["csv"]
    assert b"\\u001b]0;owned\\u0007" in shown["results"]
    assert b"\\u009b2J" in shown["results"]


def rude(asked: Asked) -> Answer:
    """One record refused with such words, and the others in doubt with such words."""
    refusal = {
        "code": "INVALID_DATA" + OWNED,
        "details": {"api_name": OWNED},
        "message": OWNED + "=cmd() <script>",
        "status": "error",
    }
    bad = refusal | {"code": "INVALID_DATA"}
    return as_json(207, {"data": [bad, *[refusal] * (asked.records - 1)]})


def on_a_terminal(directory: Path, command: list[str], extra: dict[str, str], *, code: int = 0) -> bytes:
    """What a terminal of 80 x 24 gets of a command, stdout and stderr."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    surroundings = environment(directory / "home", extra)
    del surroundings["NO_COLOR"]
    process = subprocess.Popen(
        [PYTHON, "-m", "loader", *command],
        cwd=directory,
        env=surroundings,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = bytearray()
    try:
        while True:
            try:
                shown += os.read(ours, 65536)
            except OSError:
                break  # EIO: the last of its writers has closed it
    finally:
        os.close(ours)
        end(process)
    canary.look_at(bytes(shown), "a terminal")
    assert process.returncode == code, shown.decode(errors="replace")
    return bytes(shown)


# --- the surroundings ---

JUMPING_CLOCK = """
import os, time
_real = time.time
def _jumping():
    return _real() + (float(os.environ["JUMP_S"]) if os.path.exists(os.environ["JUMP_WHEN"]) else 0.0)
time.time = _jumping
"""


def test_a_wall_clock_that_is_set_during_a_load_changes_no_outcome(tmp_path: Path) -> None:
    """Whose a duplicate is hangs on when it was created: two hours off, and ours would be another's."""
    faults = ("--fault", "drop-after-apply=0.3", "--unique", "Leads.Email", "--seed", "5")
    (tmp_path / "patch").mkdir()
    written(tmp_path / "patch" / "sitecustomize.py", JUMPING_CLOCK.encode())
    set_now = tmp_path / "now"
    with sandbox(tmp_path, "--latency", "20ms", *faults) as crm:
        patched = {
            **crm.credentials,
            "PYTHONPATH": f"{tmp_path / 'patch'}{os.pathsep}{ROOT}",
            "JUMP_S": "7200",
            "JUMP_WHEN": str(set_now),
        }
        keyed = (b'{"Last_Name":"K","Email":"k%d@example.com"}\n' % number for number in range(2_000))
        source = written(tmp_path / "leads.ndjson", b"".join(keyed))
        # Slow enough that most calls come after the clock is set, however late this test notices the third.
        flags = (*FLAGS, "--key", "Email", "--quiet-period", "200ms", "--rate", "8")
        desk = Desk(tmp_path, crm, source, flags, credentials=patched)
        with desk.spawned(desk.load_command()) as process:
            wait_for(lambda: crm.database.insert_calls >= 3 or process.poll() is not None)
            assert process.poll() is None, "the load ended before the clock was set"
            set_now.touch()
            process.wait(timeout=40)
        desk.said(process).ended(0)
        assert desk.judge() == {"inserted": 2_000}
        lost = "SELECT count(*) FROM calls WHERE fault IS NOT NULL AND at > ?"
        assert crm.database.number(lost, set_now.stat().st_mtime) > 0, "no answer was lost after the jump"
        summary = json.loads((desk.load_dir / "summary.json").read_bytes())
        assert summary["recovered"] > 0
        assert 0 < summary["seconds"] < 60


FLAPPING_RESOLVER = """
import itertools, os, socket, sys
sys.modules["uvloop"] = None  # it has a resolver of its own
import aiohttp
_real, _calls = socket.getaddrinfo, itertools.count(1)
def _flapping(host, *arguments, **named):
    if host == "localhost":
        number = next(_calls)
        with open(os.environ["LOOKUPS"], "a") as log:
            failed = 8 < number <= 13
            log.write("failed\\n" if failed else "found\\n")
        if failed:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    return _real(host, *arguments, **named)
socket.getaddrinfo = _flapping
_connector = aiohttp.TCPConnector.__init__
def _forgetful(self, *arguments, **named):
    named.pop("keepalive_timeout", None)
    _connector(self, *arguments, use_dns_cache=False, force_close=True, **named)
aiohttp.TCPConnector.__init__ = _forgetful
"""


def test_a_resolver_that_fails_for_a_while_costs_time_and_no_record(desk: Desk) -> None:
    patch = desk.directory / "patch"
    patch.mkdir()
    written(patch / "sitecustomize.py", FLAPPING_RESOLVER.encode())
    lookups = desk.directory / "lookups"
    desk.credentials = {
        **desk.crm.credentials,
        "PYTHONPATH": f"{patch}{os.pathsep}{ROOT}",
        "LOOKUPS": str(lookups),
    }
    desk.input.write_bytes(good_lines(1, 1_500))
    port = desk.crm.url.rpartition(":")[2]
    address = f"http://localhost:{port}"
    command = desk.load_command()
    finished = desk.run([address if each == desk.crm.url else each for each in (*command, "-v")]).ended(0)
    assert "not applied, no connection" in finished.said
    assert "the host name cannot be resolved" in finished.said
    assert desk.judge() == {"inserted": 1_500}
    assert desk.crm.database.records_taken == 1_500
    told = lookups.read_text().split()
    assert told.count("failed") == 5, "the resolver failed in the middle of the load"
    assert told[-1] == "found"


# --- how it is done ---


class fed:  # noqa: N801 - reads as a word of the test
    """A named pipe into which a thread writes for as long as the block lasts."""

    def __init__(self, fifo: Path, feed: Callable[[Callable[[bytes], object]], object]) -> None:
        self._fifo = fifo
        self._feed = feed
        self._thread = threading.Thread(target=self._write, daemon=True)

    def _write(self) -> None:
        try:
            with self._fifo.open("wb", buffering=0) as stream:
                self._feed(lambda data: _write_all(stream.fileno(), data))
        except BrokenPipeError:
            pass  # whoever read has seen enough

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join(timeout=10)
        assert not self._thread.is_alive(), "nobody read the pipe to its end"


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def watched(desk: Desk, command: list[str], stdin: Path | None = None) -> tuple[Finished, int]:
    """A command from start to end, and the most memory that it held, as the kernel counts it."""
    resident = 0
    with desk.spawned(command, stdin) as process:
        while process.poll() is None:
            resident = max(resident, _resident_most(process.pid))
            time.sleep(0.02)
    assert resident > 10 * MEBIBYTE, "its memory was not seen"
    return desk.said(process), resident


def _resident_most(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(found[0].split()[1]) * 1024 if found else 0


def words_of(finished: Finished) -> str:
    """What it said, wherever lines were broken."""
    return " ".join(finished.stderr.split())


def codes(desk: Desk) -> list[str]:
    """The code of each record's outcome, in input order."""
    return [json.loads(line).get("code", "") for line in desk.results()]


def noisy_lines(count: int) -> bytes:
    """Lines that hardly shrink, so that a cut file lacks lines in proportion."""
    noise = (os.urandom(120).hex() for _ in range(count))
    return b"".join(
        b'{"Last_Name":"Noise %d","Description":"%s"}\n' % (number, one.encode())
        for number, one in enumerate(noise)
    )
