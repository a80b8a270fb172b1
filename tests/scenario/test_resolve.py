"""`loader resolve`: loads against the sandbox whose doubts are settled afterwards; and the lower rungs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.crash.harness import CONCURRENCY, Crm, Desk, sandbox, write_leads

SEED = int(os.environ.get("CRASH_SEED", "1"))
COUNT = 2_000
LOSSES = ("--fault", "drop-before-apply=0.12", "--fault", "drop-after-apply=0.12", "--seed", str(SEED))
FLAGS = ("--concurrency", str(CONCURRENCY), "--quiet-period", "500ms")


def desk_at(tmp_path: Path, crm: Crm, *flags: str) -> Desk:
    return Desk(tmp_path, crm, write_leads(tmp_path / "leads.ndjson", COUNT, SEED), (*FLAGS, *flags))


def in_doubt(desk: Desk) -> list[int]:
    told = map(json.loads, desk.results())
    return [one["line"] for one in told if one["outcome"] == "in_doubt"]


def there(desk: Desk) -> set[int]:
    """The lines that the sandbox holds: what a person sees who looks them up."""
    rows = {bytes(raw).strip() for (raw,) in desk.crm.database.ask("SELECT raw FROM records")}
    lines = desk.input.read_bytes().splitlines()
    return {number for number, line in enumerate(lines, start=1) if line in rows}


def written(lines: list[int]) -> str:
    return ",".join(map(str, lines))


def test_where_nothing_is_in_doubt_resolve_says_so_and_changes_nothing(tmp_path: Path) -> None:
    with sandbox(tmp_path) as crm:
        desk = Desk(tmp_path, crm, write_leads(tmp_path / "leads.ndjson", 50, SEED), FLAGS)
        desk.load().ended(0, 3)
        before = (desk.load_dir / "checkpoint.log").read_bytes()
        for more in ([], ["--key", "Email"], ["--as", "applied"]):
            told = desk.run(["resolve", str(desk.load_dir), *more]).ended(0, 3)
            assert "is in doubt; nothing was sent or changed" in told.said
        assert (desk.load_dir / "checkpoint.log").read_bytes() == before


def test_by_a_persons_word_each_record_is_there_once(tmp_path: Path) -> None:
    with sandbox(tmp_path, *LOSSES) as crm:
        desk = desk_at(tmp_path, crm)
        stopped = desk.load().ended(4)
        assert "loader resolve" in stopped.said
        doubtful, held = in_doubt(desk), there(desk)
        applied = [line for line in doubtful if line in held]
        missing = [line for line in doubtful if line not in held]
        assert applied
        assert missing
        resolve = ["resolve", str(desk.load_dir), "--as"]
        desk.run([*resolve, "applied", "--lines", written(applied)]).ended(4)
        assert in_doubt(desk) == missing
        word = desk.run([*resolve, "not-applied"]).ended(7)
        assert f"loader resume {desk.load_dir}" in word.said
        assert in_doubt(desk) == []
        code = 4
        while code == 4:  # what is sent again may fall in doubt again
            code = desk.resume().ended(0, 4).exit_code
            if code == 4:
                held = there(desk)
                for sort in ("applied", "not-applied"):
                    lines = [line for line in in_doubt(desk) if (line in held) is (sort == "applied")]
                    if lines:
                        desk.run([*resolve, sort, "--lines", written(lines)]).ended(0, 3, 4, 7)
        outcomes = desk.judge()
        assert outcomes == {"inserted": COUNT}


def test_when_all_were_applied_the_load_is_complete_at_once(tmp_path: Path) -> None:
    with sandbox(tmp_path, "--fault", "drop-after-apply=0.2", "--seed", str(SEED)) as crm:
        desk = desk_at(tmp_path, crm)
        desk.load().ended(4)
        calls = crm.database.calls
        desk.run(["resolve", str(desk.load_dir), "--as", "applied"]).ended(0)
        assert desk.judge() == {"inserted": COUNT}
        again = desk.load().ended(0)
        assert "nothing was sent" in again.said
        assert crm.database.calls == calls


def test_asked_again_with_a_key_that_the_load_did_not_have(tmp_path: Path) -> None:
    with sandbox(tmp_path, *LOSSES, "--unique", "Leads.Email") as crm:
        desk = desk_at(tmp_path, crm)
        desk.load().ended(4)
        refused = desk.run(["resolve", str(desk.load_dir)]).ended(2)
        refused.is_one_screen()
        assert "--key" in refused.stderr
        assert "--as" in refused.stderr
        desk.run(["resolve", str(desk.load_dir), "--key", "Email"]).ended(0)
        assert desk.judge() == {"inserted": COUNT}


def test_what_a_key_cannot_settle_says_why_and_is_left_to_a_persons_word(tmp_path: Path) -> None:
    with sandbox(tmp_path, "--fault", "drop-after-apply=1", "--seed", str(SEED)) as crm:
        desk = desk_at(tmp_path, crm)
        desk.input.write_bytes(
            b'{"Last_Name":"A","Email":"a@x.eu"}\n{"Last_Name":"B","Email":"A@x.eu"}\n{"Last_Name":"C"}\n'
        )
        desk.load().ended(4)
        resolve = f"loader resolve {desk.load_dir}"
        left = desk.run(["resolve", str(desk.load_dir), "--key", "Email"]).ended(4)
        assert "2 records: " in left.said
        assert "another record in doubt has the same Email" in left.said
        assert "it has no Email to ask by" in left.said
        assert f"{resolve} --as applied --lines LINES" in left.said
        assert f"{resolve} --as not-applied" in left.said
        why = [json.loads(line)["message"] for line in desk.results()]
        assert [one.rpartition("; ")[2][:15] for one in why] == [
            "another record ",
            "another record ",
            "it has no Email",
        ]
        again = desk.run(["resolve", str(desk.load_dir)]).ended(2)
        assert "a --key that was given to `loader resolve` before is not kept" in again.said


def test_lines_that_are_not_in_doubt_change_nothing(tmp_path: Path) -> None:
    with sandbox(tmp_path, *LOSSES) as crm:
        desk = desk_at(tmp_path, crm)
        desk.load().ended(4)
        before = desk.results()
        log = desk.load_dir / "checkpoint.log"
        logged = log.read_bytes()
        sound = next(json.loads(line)["line"] for line in before if b'"inserted"' in line)
        wrong = desk.run(
            ["resolve", str(desk.load_dir), "--as", "not-applied", "--lines", f"{in_doubt(desk)[0]},{sound}"]
        ).ended(2)
        wrong.is_one_screen()
        assert f"{sound:,}" in wrong.stderr
        assert desk.results() == before
        assert log.read_bytes() == logged, "it is refused before anything is written"
        desk.run(["resolve", str(desk.load_dir), "--as", "applied", "--lines", "5-x"]).ended(2)
        desk.run(["resolve", str(tmp_path / "nowhere"), "--as", "applied"]).ended(2)


def test_a_key_that_is_not_unique_settles_each_doubt_by_asking(tmp_path: Path) -> None:
    with sandbox(tmp_path, *LOSSES) as crm:
        desk = desk_at(tmp_path, crm, "--key", "Email")
        finished = desk.load().ended(0)
        assert "not known to be unique" in finished.said
        assert "applied nothing later" in finished.said
        assert desk.judge() == {"inserted": COUNT}
        assert json.loads((desk.load_dir / "summary.json").read_bytes())["absent"] > 0


def test_a_stamp_settles_each_doubt_without_a_key_of_the_sources(tmp_path: Path) -> None:
    with sandbox(tmp_path, *LOSSES, "--external", "Leads.Load_Key") as crm:
        desk = desk_at(tmp_path, crm, "--stamp", "Load_Key")
        desk.load().ended(0)
        with desk.spawned(["results", str(desk.load_dir)]) as process:
            process.wait()
        from tests.crash import oracle

        results = (tmp_path / "loader.stdout").read_bytes().splitlines()
        told = oracle.check_load(desk.input, results, desk.load_dir, crm.database, stamp="Load_Key")
        assert told == {"inserted": COUNT}


@pytest.mark.parametrize("field", ["Company", "No_Such_Field"])
def test_a_field_that_cannot_hold_a_stamp_is_refused_before_anything_is_sent(
    tmp_path: Path, field: str
) -> None:
    with sandbox(tmp_path) as crm:
        desk = desk_at(tmp_path, crm, "--stamp", field)
        desk.load().ended(2).is_one_screen()
        assert crm.database.insert_calls == 0


def test_a_record_that_has_the_stamps_field_is_invalid_and_its_neighbours_are_loaded(tmp_path: Path) -> None:
    with sandbox(tmp_path, "--external", "Leads.Load_Key") as crm:
        desk = desk_at(tmp_path, crm, "--stamp", "Load_Key")
        desk.input.write_bytes(b'{"Last_Name":"A"}\n{"Last_Name":"B","Load_Key":"mine"}\n{"Last_Name":"C"}\n')
        desk.load().ended(3)
        told = [json.loads(line) for line in desk.results()]
        assert [one["outcome"] for one in told] == ["inserted", "invalid", "inserted"]
        assert told[1]["code"] == "STAMP_TAKEN"


def test_a_load_that_began_without_a_stamp_does_not_go_on_with_one(tmp_path: Path) -> None:
    with sandbox(tmp_path, *LOSSES, "--external", "Leads.Load_Key") as crm:
        desk = desk_at(tmp_path, crm)
        desk.load().ended(4)
        calls = crm.database.calls
        stamped = desk.run([*desk.load_command(), "--stamp", "Load_Key"]).ended(2)
        assert "--stamp" in stamped.stderr
        assert crm.database.calls == calls
