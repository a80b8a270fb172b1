"""`loader retry`: the rejected records once more, each record inserted once however often it is run."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.harness import CONCURRENCY, Crm, Desk, Finished, sandbox, wait_for, write_leads

SEED = int(os.environ.get("CRASH_SEED", "1"))
FLAGS = ("--concurrency", str(CONCURRENCY))
GOOD = 120
BAD = [b'{"Company":"bad %d"}\n' % number for number in range(1, 6)]
"""Without the mandatory Last_Name."""


@pytest.fixture
def crm(tmp_path: Path) -> Iterator[Crm]:
    with sandbox(tmp_path, "--unique", "Leads.Email", "--seed", str(SEED)) as running:
        yield running


@pytest.fixture
def desk(tmp_path: Path, crm: Crm) -> Desk:
    """A finished load that refused five records."""
    path = write_leads(tmp_path / "leads.ndjson", GOOD, SEED)
    with path.open("ab") as stream:
        stream.writelines(BAD)
    desk = Desk(tmp_path, crm, path, FLAGS)
    desk.load().ended(3)
    assert rejected(desk.load_dir).read_bytes() == b"".join(BAD)
    return desk


def rejected(load_dir: Path) -> Path:
    return load_dir / "rejected.ndjson"


def mended(number: int) -> bytes:
    return b'{"Last_Name":"mended","Company":"bad %d"}\n' % number


def mend(load_dir: Path, lines: list[bytes]) -> None:
    time.sleep(0.01)  # what a person does comes later than what a program did
    rejected(load_dir).write_bytes(b"".join(lines))


def retry(desk: Desk, place: Path | None = None) -> Finished:
    return desk.run(["retry", str(place or desk.load_dir)])


def companies(crm: Crm) -> list[str]:
    """Of the records that the CRM has beside the good ones."""
    stored = (json.loads(raw) for (raw,) in crm.database.ask("SELECT raw FROM records"))
    return sorted(one["Company"] for one in stored if one["Company"].startswith("bad"))


def test_mended_records_are_loaded_and_run_twice_they_are_not_doubled(desk: Desk) -> None:
    mend(desk.load_dir, [mended(number) for number in range(1, 6)])
    first = retry(desk).ended(0)
    assert str(desk.load_dir / "retry-1") in first.stderr
    assert companies(desk.crm) == [f"bad {n}" for n in range(1, 6)]
    calls = desk.crm.database.calls
    again = retry(desk).ended(0)
    assert "nothing to retry" in again.said
    as_json = desk.run(["retry", str(desk.load_dir), "--json", "--log-format", "json"]).ended(0)
    summary = json.loads(as_json.stdout)
    assert summary == json.loads((desk.load_dir / "retry-1" / "summary.json").read_bytes())
    assert json.loads(as_json.stderr)["event"] == "load_ended"
    assert desk.crm.database.calls == calls
    assert not (desk.load_dir / "retry-2").exists()


def test_what_a_retry_refuses_goes_into_the_next_one_and_no_record_into_two(desk: Desk) -> None:
    mend(desk.load_dir, [mended(1), mended(2), *BAD[2:]])
    retry(desk).ended(3)
    first = desk.load_dir / "retry-1"
    assert rejected(first).read_bytes() == b"".join(BAD[2:])
    mend(first, [mended(3), *BAD[3:]])
    retry(desk, first).ended(3)  # by the retry's name: the same line of retries
    second = desk.load_dir / "retry-2"
    assert rejected(second).read_bytes() == b"".join(BAD[3:])
    assert companies(desk.crm) == ["bad 1", "bad 2", "bad 3"]
    # Run again by a schedule, say, with nothing mended: the same exit code, and nothing is sent.
    calls = desk.crm.database.calls
    assert "was not mended" in retry(desk).ended(3).stderr
    assert desk.crm.database.calls == calls
    assert not (desk.load_dir / "retry-3").exists()
    # The CRM's fields may be other ones by now: whoever says so has them tried as they are.
    time.sleep(0.01)
    rejected(second).touch()
    retry(desk).ended(3)
    assert (desk.load_dir / "retry-3").exists()
    mend(desk.load_dir / "retry-3", [mended(4), mended(5)])
    retry(desk).ended(0)
    assert companies(desk.crm) == [f"bad {n}" for n in range(1, 6)]
    assert desk.crm.database.rows == GOOD + 5


def test_the_key_and_the_target_are_those_of_the_load(tmp_path: Path, crm: Crm) -> None:
    path = tmp_path / "leads.ndjson"
    path.write_bytes(BAD[0] + b'{"Last_Name":"a","Email":"a@x.eu"}\n')
    desk = Desk(tmp_path, crm, path, (*FLAGS, "--key", "Email", "--limit", "2"))
    desk.load().ended(3)
    mend(
        desk.load_dir, [b'{"Last_Name":"c","Email":"c@x.eu"}\n', b'{"Last_Name":"d","Email":"d@x.eu"}\n'] * 2
    )
    # Three records although the load had --limit 2; the e-mails that come twice are met as duplicates.
    retry(desk).ended(3)
    told = json.loads((desk.load_dir / "retry-1" / "summary.json").read_bytes())
    assert (told["module"], told["records"], told["outcomes"]["inserted"]) == ("Leads", 4, 2)
    keys = desk.run(["results", str(desk.load_dir / "retry-1")]).ended(0).stdout
    assert b'"key":"c@x.eu"' in keys


def test_a_stopped_retry_goes_on_and_its_file_may_not_change_meanwhile(tmp_path: Path) -> None:
    with sandbox(tmp_path, "--latency", "250ms", "--seed", str(SEED)) as crm:
        path = tmp_path / "leads.ndjson"
        path.write_bytes(b'{"Company":"x"}\n' * 1_500)
        desk = Desk(tmp_path, crm, path, FLAGS)
        desk.load().ended(3)
        lines = [b'{"Last_Name":"n %d"}\n' % number for number in range(1_500)]
        mend(desk.load_dir, lines)
        with desk.spawned(["retry", str(desk.load_dir)]) as process:
            wait_for(lambda: crm.database.insert_calls >= 5 or process.poll() is not None)
            os.kill(process.pid, signal.SIGTERM)
            process.wait(timeout=25)
        desk.said(process).ended(143)
        assert 0 < crm.database.rows < 1_500
        mend(desk.load_dir, [b'{"Last_Name":"other"}\n', *lines[1:]])
        calls = crm.database.calls
        refused = retry(desk).ended(8)
        assert "put it back" in refused.said
        assert "--new" not in refused.stderr, "that would insert records twice"
        assert crm.database.calls == calls
        mend(desk.load_dir, lines)
        retry(desk).ended(0)
        assert crm.database.rows == crm.database.records_taken == 1_500
        assert not (desk.load_dir / "retry-2").exists()


def test_mending_the_file_that_a_finished_retry_has_loaded_is_refused(desk: Desk) -> None:
    mend(desk.load_dir, [mended(1), *BAD[1:]])
    retry(desk).ended(3)
    mend(desk.load_dir, [mended(number) for number in range(1, 6)])
    calls = desk.crm.database.calls
    refused = retry(desk).ended(8)
    assert "".join(str(rejected(desk.load_dir / "retry-1")).split()) in "".join(refused.stderr.split())
    assert desk.crm.database.calls == calls
    assert companies(desk.crm) == ["bad 1"]


def test_an_empty_file_and_a_missing_one(desk: Desk) -> None:
    calls = desk.crm.database.calls
    mend(desk.load_dir, [])
    assert "is empty" in retry(desk).ended(0).stderr
    rejected(desk.load_dir).unlink()
    missing = retry(desk).ended(2)
    missing.is_one_screen()
    assert "does not exist" in missing.said
    retry(desk, desk.directory / "no-such-load").ended(2).is_one_screen()
    assert desk.crm.database.calls == calls
    assert not (desk.load_dir / "retry-1").exists()


def test_a_load_that_is_not_finished_is_finished_first(tmp_path: Path) -> None:
    with sandbox(tmp_path, "--latency", "250ms", "--seed", str(SEED)) as crm:
        desk = Desk(tmp_path, crm, write_leads(tmp_path / "leads.ndjson", 2_000, SEED), FLAGS)
        with desk.spawned(desk.load_command()) as process:
            wait_for(lambda: crm.database.insert_calls >= 5 or process.poll() is not None)
            os.kill(process.pid, signal.SIGTERM)
            process.wait(timeout=25)
        desk.said(process).ended(143)
        refused = retry(desk).ended(2)
        refused.is_one_screen()
        assert "is not finished" in refused.said


def test_records_that_were_loaded_by_hand_are_not_loaded_again(desk: Desk) -> None:
    mend(desk.load_dir, [mended(1), *BAD[1:]])
    by_hand = Desk(desk.directory, desk.crm, rejected(desk.load_dir), FLAGS)
    by_hand.load_dir = rejected(desk.load_dir).with_name("rejected.ndjson.load")
    by_hand.load().ended(3)
    told = desk.run(["status", str(desk.load_dir)]).ended(0).said
    assert f"retried in {by_hand.load_dir}: 1 record is in the CRM now, 4 refused again" in told
    assert f"then: loader retry {by_hand.load_dir}" in told
    calls = desk.crm.database.calls
    refused = retry(desk).ended(2)
    assert "has been loaded already" in refused.said
    assert desk.crm.database.calls == calls
    assert companies(desk.crm) == ["bad 1"]


def test_a_finished_load_run_again_leaves_a_mended_file_alone(desk: Desk) -> None:
    mend(desk.load_dir, [mended(1)])
    desk.load().ended(3)
    desk.resume().ended(3)
    assert rejected(desk.load_dir).read_bytes() == mended(1)


def test_a_load_that_goes_on_keeps_a_mended_file_under_another_name(desk: Desk) -> None:
    mend(desk.load_dir, [mended(1)])
    with desk.input.open("ab") as stream:
        stream.write(BAD[0])
    said = desk.run([*desk.load_command(), "--append"]).ended(3).stderr
    assert "rejected.ndjson.mended-1" in "".join(said.split())
    assert (desk.load_dir / "rejected.ndjson.mended-1").read_bytes() == mended(1)
    assert rejected(desk.load_dir).read_bytes() == b"".join([*BAD, BAD[0]])
    with desk.input.open("ab") as stream:
        stream.write(BAD[1])
    desk.run([*desk.load_command(), "--append"]).ended(3)
    assert not (desk.load_dir / "rejected.ndjson.mended-2").exists(), "nobody has touched it since"


def test_records_that_the_load_refuses_after_its_retry_go_on_in_that_retry(desk: Desk) -> None:
    retry(desk).ended(3)  # as they were, for the CRM's fields had been changed, say
    with desk.input.open("ab") as stream:
        stream.write(b'{"Company":"bad 6"}\n')
    desk.run([*desk.load_command(), "--append"]).ended(3)
    refused = retry(desk).ended(8)
    assert f"loaderresume{desk.load_dir}/retry-1--append" in "".join(refused.stderr.split())
    desk.run(["resume", str(desk.load_dir / "retry-1"), "--append"]).ended(3)
    told = json.loads((desk.load_dir / "retry-1" / "summary.json").read_bytes())
    assert told["records"] == 6


def test_a_load_whose_refused_records_were_retried_says_so_and_asks_for_no_retry_again(desk: Desk) -> None:
    first, second = desk.load_dir / "retry-1", desk.load_dir / "retry-2"
    mend(desk.load_dir, [*map(mended, range(1, 4)), *BAD[3:]])
    told = retry(desk).ended(3).said
    assert f"loader retry {desk.load_dir}" in told
    assert f"loader retry {first}" not in told, "the line of retries has one name"
    for said in (desk.run(["status", str(desk.load_dir)]).ended(0), desk.load().ended(3)):
        assert f"retried in {first}: 3 records are in the CRM now, 2 refused again" in said.said
        assert f"fix {first}/rejected.ndjson, then: loader retry {desk.load_dir}" in said.said
        assert "loader load that-file" not in said.said, "it has been loaded: that would send records twice"
    mend(first, [mended(4), mended(5)])
    retry(desk).ended(0)
    report = desk.load_dir / "now.html"
    for said in (
        desk.run(["status", str(desk.load_dir), "--report", str(report)]).ended(0),
        desk.run(["resume", str(desk.load_dir)]).ended(3),
    ):
        assert f"retried in {second}: 5 records are in the CRM now, none is left to retry" in said.said
        assert "loader retry" not in said.said
    assert "none is left to retry; there is nothing left to do" in report.read_text()
    assert "1 record is" not in desk.run(["status", str(second)]).said
    assert f"retried in {second}: 2 records are" in desk.run(["status", str(first)]).ended(0).said


def test_a_retry_that_has_stopped_is_named_by_the_status_of_its_load(desk: Desk) -> None:
    mend(desk.load_dir, [mended(number) for number in range(1, 6)])
    retry(desk).ended(0)
    log = desk.load_dir / "retry-1" / "checkpoint.log"
    whole = log.read_bytes()
    log.write_bytes(whole[: whole.rindex(b"\x00") - 30])  # killed before its end was written
    told = desk.run(["status", str(desk.load_dir)]).ended(0).said
    assert "it is not finished" in told
    assert f"to go on with it: loader retry {desk.load_dir}" in told
    middle = len(whole) // 2
    log.write_bytes(whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :])
    told = desk.run(["status", str(desk.load_dir)]).ended(0).said
    assert f"whose log cannot be read see why: loader status {desk.load_dir / 'retry-1'}" in told


def test_a_retry_whose_log_is_lost_is_not_begun_anew(desk: Desk) -> None:
    retry(desk).ended(3)
    (desk.load_dir / "retry-1" / "checkpoint.log").unlink()
    inserts = desk.crm.database.insert_calls
    lost = retry(desk).ended(9)
    # A long path is broken over two lines.
    assert "retry-1/checkpoint.logisgone" in "".join(lost.stderr.split())
    assert desk.crm.database.insert_calls == inserts
