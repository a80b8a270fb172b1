"""Whole loads as a person runs them, judged from outside: faults on the way, gzip, a pipe, and bad lines."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.harness import (
    BATCH,
    CONCURRENCY,
    Crm,
    Desk,
    lead,
    pack,
    sandbox,
    wait_for,
    wait_until_still,
    write_leads,
)
from tests.crash.oracle import Line, lines_of, stored_lines

SEED = int(os.environ.get("CRASH_SEED", "1"))
IN_FLIGHT = CONCURRENCY * BATCH
FLAGS = ("--concurrency", str(CONCURRENCY))
COUNT = 2_000


@pytest.fixture
def crm(tmp_path: Path) -> Iterator[Crm]:
    with sandbox(tmp_path, "--latency", "60ms", "--seed", str(SEED)) as running:
        yield running


def test_a_file_is_loaded_with_each_line_s_bytes_unchanged(tmp_path: Path, crm: Crm) -> None:
    desk = Desk(tmp_path, crm, write_leads(tmp_path / "leads.ndjson", COUNT, SEED), FLAGS)
    finished = desk.load().ended(0)
    assert finished.stdout == b""
    assert desk.judge() == {"inserted": COUNT}
    assert crm.database.records_taken == COUNT


def test_json_is_the_summary_on_stdout(tmp_path: Path, crm: Crm) -> None:
    desk = Desk(tmp_path, crm, write_leads(tmp_path / "leads.ndjson", 300, SEED), (*FLAGS, "--json"))
    told = json.loads(desk.load().ended(0).stdout)
    assert told == json.loads((desk.load_dir / "summary.json").read_bytes())
    assert told["outcomes"]["inserted"] == told["records"] == 300


def test_throttling_and_answers_lost_before_they_applied_cost_no_record(tmp_path: Path) -> None:
    faults = ("--fault", "429=0.1", "--fault", "drop-before-apply=0.05")
    with sandbox(
        tmp_path, "--unique", "Leads.Email", "--latency", "20ms", "--seed", str(SEED), *faults
    ) as crm:
        flags = (*FLAGS, "--key", "Email", "--quiet-period", "300ms")
        desk = Desk(tmp_path, crm, write_leads(tmp_path / "leads.ndjson", COUNT, SEED), flags)
        desk.load().ended(0)
        assert desk.judge() == {"inserted": COUNT}
        assert crm.database.number("SELECT count(*) FROM calls WHERE status = 429") > 0, "no 429 was met"
        assert crm.database.answers_lost > 0, "no answer was lost"


def test_gzip_is_loaded_as_what_it_unpacks_to(tmp_path: Path, crm: Crm) -> None:
    desk = Desk(tmp_path, crm, pack(write_leads(tmp_path / "leads.ndjson", COUNT, SEED)), FLAGS)
    desk.load().ended(0)
    assert desk.judge() == {"inserted": COUNT}


def test_gzip_is_known_by_its_content_where_the_name_does_not_say_so(tmp_path: Path, crm: Crm) -> None:
    plain = write_leads(tmp_path / "leads.ndjson", 300, SEED)
    disguised = pack(plain).rename(tmp_path / "export")
    desk = Desk(tmp_path, crm, plain, FLAGS)
    desk.load(str(disguised)).ended(0)
    assert desk.judge() == {"inserted": 300}


def test_a_pipe_is_loaded_and_its_second_run_sends_nothing(tmp_path: Path, crm: Crm) -> None:
    desk = Desk(tmp_path, crm, write_leads(tmp_path / "leads.ndjson", COUNT, SEED), FLAGS)
    desk.load("-", stdin=desk.input).ended(0)
    assert desk.judge(piped=True) == {"inserted": COUNT}
    calls = crm.database.insert_calls
    desk.load("-", stdin=desk.input).ended(0)
    assert crm.database.insert_calls == calls


def test_a_killed_pipe_goes_on_when_the_same_bytes_are_piped(tmp_path: Path, crm: Crm) -> None:
    desk = Desk(tmp_path, crm, write_leads(tmp_path / "leads.ndjson", COUNT, SEED), FLAGS)
    kill_a_pipe(desk)
    finished = desk.load("-", stdin=desk.input).ended(0, 4)
    outcomes = desk.judge(held_max=IN_FLIGHT, piped=True)
    assert finished.exit_code == (4 if outcomes.get("in_doubt") else 0)
    assert crm.database.records_taken <= COUNT


def test_a_killed_pipe_does_not_go_on_with_other_bytes(tmp_path: Path, crm: Crm) -> None:
    desk = Desk(tmp_path, crm, write_leads(tmp_path / "leads.ndjson", COUNT, SEED), FLAGS)
    kill_a_pipe(desk)
    calls = crm.database.calls
    other = write_leads(tmp_path / "other.ndjson", COUNT, SEED + 1)
    desk.load("-", stdin=other).ended(8).is_one_screen()
    assert crm.database.calls == calls


def test_a_finished_load_from_stdin_is_resumed_with_its_exit_code_and_nothing_piped(
    tmp_path: Path, crm: Crm
) -> None:
    desk = Desk(tmp_path, crm, write_leads(tmp_path / "leads.ndjson", 120, SEED))
    with desk.input.open("ab") as stream:
        stream.write(b'{"Company": "without a name"}\n')
    desk.load("-", stdin=desk.input).ended(3)
    calls = crm.database.calls
    again = desk.run(desk.resume_command()).ended(3)
    assert "This load has finished before; nothing was sent." in again.stderr
    assert crm.database.calls == calls
    desk.load("-", stdin=desk.input).ended(3)
    desk.load("-").ended(8)  # `load` says what it loads, and that is another input
    desk.run([*desk.resume_command(), "--append"]).ended(8)


def test_stdin_without_a_load_directory_is_a_usage_error(tmp_path: Path, crm: Crm) -> None:
    desk = Desk(tmp_path, crm, write_leads(tmp_path / "leads.ndjson", 10, SEED))
    finished = desk.run(["load", "-", "--module", "Leads", *crm.target], stdin=desk.input)
    finished.ended(2).is_one_screen()
    assert "--load-dir" in finished.stderr


def kill_a_pipe(desk: Desk) -> None:
    database = desk.crm.database
    with desk.spawned(desk.load_command("-"), stdin=desk.input) as process:
        wait_for(lambda: database.insert_calls >= 6 or process.poll() is not None)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the load ended before its kill"
    wait_until_still(lambda: database.calls)


class MixedInput:
    """Good lines, bad lines and repeated e-mails, and what has to become of each."""

    def __init__(self, path: Path, *, bad_every: int, repeated_every: int) -> None:
        random_ = random.Random(SEED)
        self.path = path
        self.bad: set[int] = set()
        self.blank = 0
        self.repeats: dict[str, list[int]] = {}
        number = 0
        with path.open("wb") as stream:
            for record in range(1, COUNT + 1):
                number += 1
                if record % 50 == 0:
                    self.blank += 1
                    number += 1
                    stream.write(b"\n" if record % 100 else b"\r\n")
                content = lead(record, random_)
                if record % bad_every == 0:
                    content = bad_line(record)
                    self.bad.add(number)
                elif record % repeated_every == 0:
                    content = self._repeat(record, number)
                stream.write(content + (b"\r\n" if record % 7 == 0 else b"" if record == COUNT else b"\n"))

    def _repeat(self, record: int, number: int) -> bytes:
        """E-mails differ in case only: to the CRM they are the same."""
        owner = record % 3
        self.repeats.setdefault(str(owner), []).append(number)
        email = f"Shared.{owner}@example.com" if record % 2 else f"shared.{owner}@EXAMPLE.com"
        return json.dumps({"Last_Name": f"Shared {record}", "Email": email}).encode()


def bad_line(record: int) -> bytes:
    """No two alike, and none that a CRM could take."""
    text = str(record).encode()
    kinds = (
        b"not json " + text,
        b'{"Last_Name":"cut ' + text,
        b'["Last_Name", ' + text + b"]",
        text,
        b'{"First_Name":"nobody ' + text + b'"}',
        b'{"Last_Name":"' + b"x" * 81 + text + b'"}',
        b'{"Last_Name":"n","No_of_Employees":"many ' + text + b'"}',
        b'{"Last_Name":"bad utf-8 \xff ' + text + b'"}',
        b'{"Last_Name":"not a number","Annual_Revenue":NaN,"Company":"' + text + b'"}',
        b'{"Last_Name":"too long","Description":"' + text + b"y" * 1_200_000 + b'"}',
        b'{"Last_Name":"two ' + text + b'"} {"Last_Name":"values"}',
    )
    return kinds[(record // 37) % len(kinds)]


@pytest.mark.parametrize("key", [(), ("--key", "Email", "--quiet-period", "300ms")], ids=["no key", "key"])
def test_bad_lines_are_set_aside_byte_for_byte_and_all_adds_up(tmp_path: Path, key: tuple[str, ...]) -> None:
    mixed = MixedInput(tmp_path / "leads.ndjson", bad_every=37, repeated_every=11)
    with sandbox(tmp_path, "--unique", "Leads.Email", "--latency", "20ms", "--seed", str(SEED)) as crm:
        desk = Desk(tmp_path, crm, mixed.path, (*FLAGS, *key))
        desk.load().ended(3)
        outcomes = desk.judge()
        results = {result["line"]: result for result in map(json.loads, desk.results())}
    assert {
        line for line, result in results.items() if result["outcome"] in {"invalid", "rejected"}
    } == mixed.bad
    for numbers in mixed.repeats.values():
        ends = [results[number]["outcome"] for number in numbers]
        assert (ends.count("inserted"), ends.count("duplicate")) == (1, len(numbers) - 1)
    repeated = sum(len(numbers) - 1 for numbers in mixed.repeats.values())
    assert outcomes["inserted"] == COUNT - len(mixed.bad) - repeated
    assert_set_aside(desk, results)


def assert_set_aside(desk: Desk, results: dict[int, dict[str, object]]) -> None:
    """rejected.ndjson holds the lines that are worth mending, as they were; the reasons go along with it."""
    reasons = [json.loads(line) for line in stored_lines(desk.load_dir / "rejected-reasons.ndjson")]
    lines: dict[int, Line] = {line.number: line for line in lines_of(desk.input)}
    told = [reason["line"] for reason in reasons]
    assert told == sorted(set(told))
    assert {line for line in told if results[line]["outcome"] != "duplicate"} == {
        line for line, result in results.items() if result["outcome"] in {"invalid", "rejected"}
    }
    aside = stored_lines(desk.load_dir / "rejected.ndjson")
    assert aside == [lines[number].stored.rstrip(b"\r\n") for number in told]
    for reason in reasons:
        assert reason["code"] == results[reason["line"]]["code"]
