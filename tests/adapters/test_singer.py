"""The Singer target against the sandbox: a STATE means settled, and nothing is inserted twice."""

from __future__ import annotations

import io
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loader.adapters.segments import SEAL, OpenSegment, Segment, Segments
from loader.adapters.singer import Config, Stream, Target, UncoveredError, run
from loader.errors import ExitCode, LockedError, NotNowError, UsageError
from loader.settings import Threshold
from tests import canary
from tests.crash.harness import Crm, end, environment, sandbox, wait_for

SCRIPT = Path(sys.executable).with_name("target-crm-loader")
INTERPRETER = "LOADER_ADAPTERS_PYTHON"


@pytest.fixture
def crm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Crm]:
    latency = getattr(request, "param", "10ms")
    with sandbox(tmp_path, "--unique", "Leads.Email", "--latency", latency) as running:
        for name, value in running.credentials.items():
            monkeypatch.setenv(name, value)
        yield running


def config(tmp_path: Path, crm: Crm, **changed: Any) -> Config:
    made = Config(
        load_dirs=str(tmp_path / "received"),
        streams={"people": Stream("Leads", key="Email"), "logins": None},
        api_domain=crm.url,
        quiet_period_s=0.5,
    )
    return msgspec.structs.replace(made, **changed)


def person(number: int) -> bytes:
    record = f'{{"Last_Name":"Person {number}",  "Email":"person.{number}@example.com"}}'
    return f'{{"type":"RECORD","stream":"people","record":{record}}}'.encode()


def state(number: int) -> bytes:
    return f'{{"type":"STATE","value":{{"people":{number}}}}}'.encode()


def people(first: int, last: int) -> Iterator[bytes]:
    """What a tap says that starts behind `first`: a STATE at the end."""
    yield b'{"type":"SCHEMA","stream":"people","schema":{},"key_properties":["Email"]}'
    yield from map(person, range(first + 1, last + 1))
    yield state(last)


def visit(number: int) -> bytes:
    return f'{{"type":"RECORD","stream":"visits","record":{{"Last_Name":"Visit {number}"}}}}'.encode()


def mixed(tmp_path: Path, crm: Crm) -> Config:
    """For a tap that gives a STATE for its people and none for its visits; nothing is unique."""
    streams = {"people": Stream("Contacts"), "visits": Stream("Contacts")}
    return config(tmp_path, crm, streams=streams, without_state=True)


def names(crm: Crm) -> list[str]:
    return sorted(
        json.loads(bytes(raw))["Last_Name"] for (raw,) in crm.database.ask("SELECT raw FROM records")
    )


def split(segments: Segments) -> tuple[Segment, OpenSegment]:
    """A STATE, and a visit behind it."""
    received = segments.begin()
    received.cover(b'{"people":3}')
    received.add("visits", b'{"Last_Name":"Visit 1"}')
    return segments.split(received)


class Cut(io.BytesIO):
    """Whoever reads the STATE; the process ends before it is known whether it arrived."""

    def flush(self) -> None:
        raise KeyboardInterrupt


def take(config: Config, lines: Iterable[bytes], began_at: bytes | None = None) -> tuple[int, list[Any]]:
    """One run of the target: its exit code and the STATEs that it wrote."""
    segments, states = Segments(Path(config.load_dirs)), io.BytesIO()
    with segments.held():
        target = Target(config, segments, states)
        code = target.catch_up(began_at)
        if code is None:
            code = target.take(lines)
    return code, [json.loads(line) for line in states.getvalue().splitlines()]


def test_a_state_comes_when_all_before_it_is_settled_and_records_stay_as_they_are(
    tmp_path: Path, crm: Crm
) -> None:
    class Watched(io.BytesIO):
        rows = -1

        def write(self, _: Any) -> int:
            self.rows = crm.database.rows
            return 0

    made, states = config(tmp_path, crm), Watched()
    segments = Segments(Path(made.load_dirs))
    logins = b'{"type":"RECORD","stream":"logins","record":{"at":1}}'
    with segments.held():
        assert Target(made, segments, states).take([*people(0, 250), logins, state(251)]) == 0
    assert states.rows == 250
    assert bytes(crm.database.ask("SELECT raw FROM records")[0][0]).startswith(b'{"Last_Name":"Person ')
    assert b'",  "Email"' in bytes(crm.database.ask("SELECT raw FROM records")[0][0])


def test_refused_records_are_told_and_the_state_goes_on(tmp_path: Path, crm: Crm) -> None:
    nobody = b'{"type":"RECORD","stream":"people","record":{"Email":"nobody@example.com"}}'
    assert take(config(tmp_path, crm), [person(1), nobody, state(2)]) == (3, [{"people": 2}])
    assert take(config(tmp_path, crm), people(2, 5)) == (0, [{"people": 5}])
    assert crm.database.rows == 4


def test_each_full_segment_is_loaded_with_the_next_state(tmp_path: Path, crm: Crm) -> None:
    lines = [person(1), state(1), person(2), person(3), person(4), state(4), person(5), state(5)]
    made = config(tmp_path, crm, segment_records=3)
    assert take(made, lines) == (0, [{"people": 4}, {"people": 5}])
    assert crm.database.rows == 5


def test_many_segments_take_one_access_token(tmp_path: Path, crm: Crm) -> None:
    lines = [line for number in range(1, 13) for line in (person(number), state(number))]
    code, states = take(config(tmp_path, crm, segment_records=1), lines)
    assert (code, len(states), crm.database.rows) == (0, 12, 12)
    summaries = [json.loads(path.read_bytes()) for path in tmp_path.glob("received/**/summary.json")]
    assert len(summaries) == 12
    assert sum(each["refreshes"] for each in summaries) == 1


def test_the_pace_of_the_configuration_is_the_load_s(tmp_path: Path, crm: Crm) -> None:
    written = {
        "load_dirs": str(tmp_path / "received"),
        "streams": {"people": {"module": "Leads", "key": "Email"}},
        "rate": 50,
        "timeout_s": 20,
        "patience_s": 40,
        "quiet_period_s": 3,
        "keep_credits": "10%",
        "daily_credits": 100,
        "wait_s": 60,
        "state_dir": str(tmp_path / "state"),
    }
    pace = msgspec.json.decode(msgspec.json.encode(written), type=Config).options()
    assert pace == {
        "concurrency": 10,
        "rate": 50.0,
        "timeout_s": 20.0,
        "patience_s": 40.0,
        "quiet_period_s": 3.0,
        "keep_credits": Threshold(percent=10.0),
        "daily_credits": 100,
        "wait_s": 60.0,
        "state_dir": tmp_path / "state",
    }
    with pytest.raises(NotNowError, match="the credits of the day are spent"):
        take(config(tmp_path, crm, daily_credits=1000, keep_credits=900), people(0, 2000))
    assert 0 < crm.database.rows <= 1000


@pytest.mark.parametrize("written", ["much", "-1", "10 %%"])
def test_credits_that_are_none_are_refused_before_a_record_is_taken(written: str) -> None:
    with pytest.raises(UsageError, match="keep_credits cannot be used") as raised:
        msgspec.json.decode(
            msgspec.json.encode({"load_dirs": "d", "streams": {}, "keep_credits": written}), type=Config
        )
    assert repr(written) in raised.value.why


def test_records_without_a_state_behind_them_are_not_sent(tmp_path: Path, crm: Crm) -> None:
    made = config(tmp_path, crm)
    with pytest.raises(UncoveredError, match="last 2 records"):
        take(made, [*people(0, 3), person(4), person(5)])
    assert crm.database.rows == 3
    assert take(made, people(3, 6)) == (0, [{"people": 6}])
    assert crm.database.rows == 6
    whole = config(tmp_path, crm, without_state=True)
    assert take(whole, [person(7), person(8)]) == (0, [])
    assert crm.database.rows == 8


def test_a_state_stays_when_records_without_one_come_after_it(tmp_path: Path, crm: Crm) -> None:
    made = mixed(tmp_path, crm)
    assert take(made, [visit(1), *people(0, 3), visit(2), person(4)]) == (0, [{"people": 3}])
    assert names(crm) == ["Person 1", "Person 2", "Person 3", "Person 4", "Visit 1", "Visit 2"]
    assert take(made, people(0, 3), began_at=b"null") == (ExitCode.NOT_NOW, [{"people": 3}])
    assert take(made, [*people(4, 5), visit(3)], began_at=b'{"people":3}') == (0, [{"people": 5}])
    assert len(names(crm)) == 8


def test_a_state_without_a_record_of_its_own_is_written_before_those_behind_it_are_loaded(
    tmp_path: Path, crm: Crm
) -> None:
    assert take(mixed(tmp_path, crm), [state(0), visit(1), person(1)]) == (0, [{"people": 0}])
    assert names(crm) == ["Person 1", "Visit 1"]


def test_records_behind_a_state_that_was_not_written_are_left_to_the_tap(tmp_path: Path, crm: Crm) -> None:
    made = mixed(tmp_path, crm)
    segments = Segments(Path(made.load_dirs))
    with segments.held(), pytest.raises(KeyboardInterrupt):
        Target(made, segments, Cut()).take([*people(0, 3), visit(1)])
    assert names(crm) == ["Person 1", "Person 2", "Person 3"]
    assert take(made, [*people(0, 3), visit(1)]) == (ExitCode.NOT_NOW, [{"people": 3}])
    assert take(made, [*people(3, 4), visit(1)]) == (0, [{"people": 4}])
    assert names(crm) == ["Person 1", "Person 2", "Person 3", "Person 4", "Visit 1"]


def test_records_behind_a_state_are_finished_by_the_next_run_once_they_are_sealed(
    tmp_path: Path, crm: Crm
) -> None:
    made = mixed(tmp_path, crm)
    segments = Segments(Path(made.load_dirs))
    with segments.held():
        covered, rest = split(segments)
        segments.acknowledge(covered)
        rest.cover(b"null")
        rest.seal()
    assert take(made, [visit(1)]) == (0, [])
    assert names(crm) == ["Visit 1"]
    assert take(made, [], began_at=b"null") == (ExitCode.NOT_NOW, [{"people": 3}])


def test_a_split_that_a_crash_cut_off_before_the_seal_leaves_nothing(tmp_path: Path, crm: Crm) -> None:
    made = mixed(tmp_path, crm)
    segments = Segments(Path(made.load_dirs))
    with segments.held():
        covered, _ = split(segments)
        (covered.directory / SEAL).unlink()
    assert take(made, [*people(0, 1), visit(2)]) == (0, [{"people": 1}])
    assert names(crm) == ["Person 1", "Visit 2"]


def test_a_state_that_got_lost_is_written_again_and_nothing_is_taken(
    tmp_path: Path, crm: Crm, capfd: pytest.CaptureFixture[str]
) -> None:
    made = config(tmp_path, crm, streams={"people": Stream("Contacts")})
    assert take(made, people(0, 3), began_at=b"null") == (0, [{"people": 3}])
    assert take(made, people(0, 3), began_at=b"null") == (ExitCode.NOT_NOW, [{"people": 3}])
    assert 'To begin anew on purpose, and send every record again: another folder for "load_dirs"' in (
        capfd.readouterr().err
    )
    assert take(made, people(3, 5), began_at=b'{ "people": 3 }') == (0, [{"people": 5}])
    assert crm.database.rows == 5


def test_no_state_goes_beyond_a_record_in_doubt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(tmp_path, "--fault", "drop-after-apply=1") as crm:
        for name, value in crm.credentials.items():
            monkeypatch.setenv(name, value)
        made = config(tmp_path, crm, streams={"people": Stream("Leads")}, without_state=True)
        assert take(made, [*people(0, 3), person(4)]) == (ExitCode.IN_DOUBT, [])
        assert take(made, people(0, 3)) == (ExitCode.IN_DOUBT, [])
        assert crm.database.insert_calls == 1
    assert [each.name for each in Path(made.load_dirs).glob("segment-*")] == ["segment-000001"]
    (load_dir,) = Path(made.load_dirs).glob("segment-*/*.load")
    resolve = [sys.executable, "-m", "loader", "resolve", str(load_dir), "--as", "applied"]
    surroundings = environment(tmp_path / "home", {})
    subprocess.run(resolve, check=True, capture_output=True, timeout=40, env=surroundings)
    assert take(made, people(0, 3)) == (ExitCode.NOT_NOW, [{"people": 3}])


@pytest.mark.parametrize("crm", ["200ms"], indirect=True)
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, ExitCode.SIGTERM)]
)
def test_a_target_that_is_stopped_is_finished_by_the_next_one(
    tmp_path: Path, crm: Crm, number: signal.Signals, code: int
) -> None:
    made = config(tmp_path, crm, concurrency=4)
    path = tmp_path / "config.json"
    path.write_bytes(msgspec.json.encode(made))
    process = subprocess.Popen(
        [str(SCRIPT), "--config", str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(tmp_path / "home", crm.credentials),
    )
    try:
        assert process.stdin is not None
        for line in people(0, 3_000):
            process.stdin.write(line + b"\n")
        process.stdin.close()
        wait_for(lambda: crm.database.insert_calls >= 3, timeout_s=40)
        process.send_signal(number)
        assert process.stdout is not None
        assert process.stdout.read() == b""
        process.stdout.close()
        assert process.wait(timeout=40) == code
    finally:
        end(process)
    assert take(made, people(0, 3_000)) == (ExitCode.NOT_NOW, [{"people": 3_000}])
    assert crm.database.rows == 3_000
    assert take(made, people(3_000, 3_010)) == (0, [{"people": 3_010}])
    assert crm.database.rows == 3_010


def test_a_state_of_which_nobody_knows_whether_it_arrived_is_written_again(tmp_path: Path, crm: Crm) -> None:
    made = config(tmp_path, crm, streams={"people": Stream("Contacts")})
    segments = Segments(Path(made.load_dirs))
    with segments.held(), pytest.raises(KeyboardInterrupt):
        Target(made, segments, Cut()).take(people(0, 3))
    assert take(made, people(0, 3)) == (ExitCode.NOT_NOW, [{"people": 3}])
    assert crm.database.rows == 3


def test_a_state_of_null_and_empty_lines_say_nothing(tmp_path: Path, crm: Crm) -> None:
    lines = [person(1), b"\n", b'{"type":"STATE","value":null}']
    with pytest.raises(UncoveredError):
        take(config(tmp_path, crm), lines)
    assert crm.database.insert_calls == 0


def test_what_was_received_without_a_state_is_thrown_away(tmp_path: Path, crm: Crm) -> None:
    made = config(tmp_path, crm)

    def broken() -> Iterator[bytes]:
        yield person(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take(made, broken())
    assert crm.database.insert_calls == 0
    assert take(made, people(0, 4)) == (0, [{"people": 4}])
    assert crm.database.rows == 4


def test_a_folder_has_one_target(tmp_path: Path) -> None:
    with (
        Segments(tmp_path).held(),
        pytest.raises(LockedError, match="another target"),
        Segments(tmp_path).held(),
    ):
        raise AssertionError("both hold it")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"type":"RECORD","stream":"pets","record":{}}', "stream pets is not in the configuration"),
        (b"people", "line 1 of the input is no message"),
        (b'{"type":"RECORD","stream":"people"}', "line 1 of the input is no message"),
        (b'{"type":"BATCH","stream":"people"}', "BATCH"),
    ],
)
def test_what_cannot_be_taken_is_said(tmp_path: Path, line: bytes, said: str) -> None:
    made = Config(load_dirs=str(tmp_path), streams={})
    with pytest.raises(UsageError, match=said):
        take(made, [line])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"load_dirs":"x","streems":{}}', "unknown field `streems`"),
        ('{"load_dirs":"x","streams":{"people":{}}}', "missing required field `module`"),
        ("{", "no configuration of target-crm-loader"),
    ],
)
def test_a_mistake_in_the_configuration_is_one_screen(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], content: str, said: str
) -> None:
    path = tmp_path / "config.json"
    path.write_text(content)
    assert run(["--config", str(path)]) == ExitCode.USAGE
    told = capfd.readouterr()
    assert (told.out, "Traceback" in told.err) == ("", False)
    assert said in " ".join(told.err.split())
    assert run(["--config", str(tmp_path / "none.json")]) == ExitCode.USAGE
    assert run([]) == ExitCode.USAGE
    path.write_text('{"load_dirs":"x","streams":{}}')
    assert run(["--config", str(path), "--state", str(tmp_path / "none.json")]) == ExitCode.USAGE
    assert run(["--help"]) == 0


@pytest.mark.adapters
@pytest.mark.timeout(120)
def test_a_real_tap_loads_its_records_through_a_pipe(tmp_path: Path, crm: Crm) -> None:
    """With an SDK's tap, as a shell has it; `.ci/run` makes the interpreter beside which it is installed."""
    records = [{"Last_Name": f"Person {n}", "Email": f"p{n}@example.com"} for n in range(250)]
    (tmp_path / "people.jsonl").write_text("\n".join(map(json.dumps, records)))
    made = config(tmp_path, crm)
    (tmp_path / "target.json").write_bytes(msgspec.json.encode(made))
    (tmp_path / "tap.json").write_text(
        json.dumps({"path": str(tmp_path / "people.jsonl"), "stream_name": "people"})
    )
    tap = Path(os.environ[INTERPRETER]).with_name("tap-jsonl")
    line = f"{shlex.quote(str(tap))} --config tap.json | {shlex.quote(str(SCRIPT))} --config target.json"
    ran = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=tmp_path,
        env=environment(tmp_path / "home", crm.credentials),
        capture_output=True,
        timeout=100,
        check=False,
    )
    canary.look_at(ran.stdout + ran.stderr, "a tap and the target")
    assert ran.returncode == 0, ran.stderr.decode()
    assert json.loads(ran.stdout.splitlines()[-1]) is not None
    assert crm.database.rows == 250
