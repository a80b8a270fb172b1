"""An input that grew at its end: refused without `--append`, loaded behind the old end with it.

Whole runs against a sandbox, judged by the oracle: it reads the grown input, the checkpoint log and what the
sandbox applied.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.harness import CONCURRENCY, Crm, Desk, lead, pack, sandbox, wait_for, write_leads

SEED = int(os.environ.get("CRASH_SEED", "1"))
FLAGS = ("--concurrency", str(CONCURRENCY))
COUNT, MORE = 230, 150


@pytest.fixture
def crm(tmp_path: Path) -> Iterator[Crm]:
    with sandbox(tmp_path, "--seed", str(SEED)) as running:
        yield running


@pytest.fixture
def desk(tmp_path: Path, crm: Crm) -> Desk:
    return Desk(tmp_path, crm, write_leads(tmp_path / "leads.ndjson", COUNT, SEED), FLAGS)


def more_lines(count: int = MORE) -> bytes:
    random_ = random.Random(SEED + 1)
    return b"".join(lead(number, random_) + b"\n" for number in range(COUNT + 1, COUNT + count + 1))


def grow(path: Path, content: bytes) -> None:
    with path.open("ab") as stream:
        stream.write(content)


def summary(desk: Desk) -> dict[str, int]:
    told: dict[str, int] = json.loads((desk.load_dir / "summary.json").read_bytes())
    return told


def refused(desk: Desk, *command: str, stdin: Path | None = None) -> str:
    """Exit 8, one screen that names `--append`, nothing asked of the service, nothing written."""
    calls, log = desk.crm.database.calls, (desk.load_dir / "checkpoint.log").read_bytes()
    finished = desk.run(command, stdin).ended(8)
    finished.is_one_screen()
    assert "--append" in finished.stderr, finished.stderr
    assert "Nothing was sent" in finished.said
    assert desk.crm.database.calls == calls
    assert (desk.load_dir / "checkpoint.log").read_bytes() == log
    return finished.stderr


def test_a_finished_load_goes_on_with_what_was_appended(desk: Desk) -> None:
    desk.load().ended(0)
    assert summary(desk)["records"] == COUNT
    grow(desk.input, more_lines())
    said = refused(desk, *desk.load_command())
    assert f"lines 1 to {COUNT}, is unchanged" in said
    refused(desk, *desk.resume_command())
    desk.run([*desk.load_command(), "--append"]).ended(0)
    assert desk.judge() == {"inserted": COUNT + MORE}
    assert desk.crm.database.records_taken == COUNT + MORE
    assert summary(desk)["records"] == COUNT + MORE
    calls = desk.crm.database.calls
    assert "nothing was sent" in desk.load().ended(0).stderr, "the grown input is the load's own now"
    desk.run([*desk.load_command(), "--append"]).ended(0)
    assert desk.crm.database.calls == calls


def test_the_command_that_the_refusal_names_goes_on(desk: Desk) -> None:
    desk.load().ended(0)
    grow(desk.input, more_lines())
    said = refused(desk, *desk.resume_command())
    assert f"loaderresume{desk.load_dir}--append" in "".join(said.split()), "on however many lines"
    desk.run(["resume", str(desk.load_dir), "--append"]).ended(0)
    assert desk.judge() == {"inserted": COUNT + MORE}


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_a_last_line_that_gets_its_newline_with_what_follows_keeps_every_line_s_number(
    desk: Desk, newline: bytes
) -> None:
    desk.input.write_bytes(desk.input.read_bytes().rstrip(b"\n"))
    desk.load().ended(0)
    bad = b'{"Company":"no last name"}\n'
    grow(desk.input, newline + more_lines(120) + bad)
    refused(desk, *desk.load_command())
    desk.run([*desk.load_command(), "--append"]).ended(3)
    assert desk.judge() == {"inserted": COUNT + 120, "invalid": 1}
    assert (desk.load_dir / "rejected.ndjson").read_bytes() == bad
    reason = json.loads((desk.load_dir / "rejected-reasons.ndjson").read_bytes())
    assert reason["line"] == COUNT + 121
    assert "accounts for every line" in desk.load().ended(3).stderr


def test_more_on_the_last_line_itself_is_another_input_also_with_append(desk: Desk) -> None:
    desk.input.write_bytes(desk.input.read_bytes().rstrip(b"\n"))
    desk.load().ended(0)
    grow(desk.input, more_lines())
    for flags in ((), ("--append",)):
        assert f"line {COUNT}:" in refused(desk, *desk.load_command(), *flags)


def test_a_change_before_the_end_is_another_input_also_with_append(desk: Desk) -> None:
    desk.load().ended(0)
    content = desk.input.read_bytes()
    desk.input.write_bytes(content.replace(b"lead.7@", b"lead.8@") + more_lines())
    calls = desk.crm.database.calls
    finished = desk.run([*desk.load_command(), "--append"]).ended(8)
    assert "checksum" in finished.stderr
    assert "--append" not in finished.stderr
    assert desk.crm.database.calls == calls


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_a_member_that_was_appended_to_a_compressed_file(tmp_path: Path, crm: Crm, suffix: str) -> None:
    zstandard = pytest.importorskip("zstandard")
    compress = gzip.compress if suffix == "gz" else zstandard.ZstdCompressor().compress
    plain = write_leads(tmp_path / "leads.ndjson", COUNT, SEED)
    desk = Desk(tmp_path, crm, pack(plain) if suffix == "gz" else plain, FLAGS)
    packed = tmp_path / f"leads.ndjson.{suffix}"
    packed.write_bytes(compress(plain.read_bytes()))
    desk.load(str(packed)).ended(0)
    grow(packed, compress(more_lines()))
    grow(plain, more_lines())
    refused(desk, *desk.load_command(str(packed)))
    desk.run([*desk.load_command(str(packed)), "--append"]).ended(0)
    desk.input = plain  # what the oracle reads
    assert desk.judge() == {"inserted": COUNT + MORE}
    assert crm.database.records_taken == COUNT + MORE


def test_a_compressed_file_that_was_packed_anew_is_the_same_input(tmp_path: Path, crm: Crm) -> None:
    plain = write_leads(tmp_path / "leads.ndjson", COUNT, SEED)
    desk = Desk(tmp_path, crm, pack(plain), FLAGS)
    desk.load().ended(0)
    calls = crm.database.calls
    desk.input.write_bytes(gzip.compress(plain.read_bytes(), 0))
    assert "nothing was sent" in desk.load().ended(0).stderr
    assert crm.database.calls == calls


def test_a_pipe_that_gives_more_than_before(desk: Desk) -> None:
    desk.load("-", stdin=desk.input).ended(0)
    grow(desk.input, more_lines())
    refused(desk, *desk.load_command("-"), stdin=desk.input)
    desk.run([*desk.load_command("-"), "--append"], desk.input).ended(0)
    assert desk.judge(piped=True) == {"inserted": COUNT + MORE}
    assert desk.crm.database.records_taken == COUNT + MORE


def test_append_may_stand_in_the_environment_and_in_the_settings_file(desk: Desk) -> None:
    desk.load().ended(0)
    grow(desk.input, more_lines())
    (desk.directory / "loader.toml").write_text("append = true\n")
    desk.load().ended(0)
    assert desk.judge() == {"inserted": COUNT + MORE}
    (desk.directory / "loader.toml").unlink()
    grow(desk.input, b'{"Last_Name":"one more"}\n')
    environment = {**desk.crm.credentials, "LOADER_APPEND": "1"}
    Desk(desk.directory, desk.crm, desk.input, FLAGS, environment).load().ended(0)
    assert summary(desk)["records"] == COUNT + MORE + 1


def test_a_stopped_load_whose_input_grew_and_what_was_in_doubt_stays_held(tmp_path: Path) -> None:
    count = 2_000
    with sandbox(tmp_path, "--latency", "150ms", "--seed", str(SEED)) as crm:
        desk = Desk(tmp_path, crm, write_leads(tmp_path / "leads.ndjson", count, SEED), FLAGS)
        with desk.spawned(desk.load_command()) as process:
            wait_for(lambda: crm.database.insert_calls >= 6 or process.poll() is not None)
            os.kill(process.pid, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL, "the load ended before its kill"
        wait_for(lambda: crm.database.number("SELECT count(*) FROM calls WHERE answered IS NULL") == 0)
        random_ = random.Random(SEED + 1)
        grow(desk.input, b"".join(lead(count + n, random_) + b"\n" for n in range(1, 131)))
        assert "the input grew" in refused(desk, *desk.resume_command())
        desk.run([*desk.load_command(), "--append"]).ended(4)
        outcomes = desk.judge(held_max=CONCURRENCY * 100)
        held = outcomes["in_doubt"]
        assert 0 < held <= CONCURRENCY * 100
        assert outcomes["inserted"] == count + 130 - held
        # The whole input has been seen, but the load is not finished: it may grow once more.
        grow(desk.input, b'{"Last_Name":"one more"}\n')
        refused(desk, *desk.resume_command())
        desk.run(["resume", str(desk.load_dir), "--append"]).ended(4)
        assert summary(desk)["records"] == count + 131
        assert desk.judge(held_max=held)["in_doubt"] == held
