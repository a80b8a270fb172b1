"""Damage to the log of a real load: the loader stops, `loader repair` mends, and the load goes on."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.crash.harness import BATCH, CONCURRENCY, Desk, Killer, sandbox, wait_until_still, write_leads

RECORDS = 3_000
KEYED = ("--concurrency", str(CONCURRENCY), "--key", "Email", "--quiet-period", "300ms")
PLAIN = ("--concurrency", str(CONCURRENCY))


def flip(content: bytearray, at: int) -> None:
    content[at] ^= 0x10


def zero_512(content: bytearray, at: int) -> None:
    content[at : at + 512] = bytes(512)


def zero_4096(content: bytearray, at: int) -> None:
    content[at : at + 4096] = bytes(4096)


def cut_out(content: bytearray, at: int) -> None:
    del content[at : at + 700]


DAMAGES = {"flip": flip, "zero 512": zero_512, "zero 4096": zero_4096, "cut out": cut_out}


def killed(desk: Desk, seed: int) -> None:
    """A load that was killed when half of it was sent."""
    with desk.spawned(desk.load_command()) as process:
        database, aim = desk.crm.database, RECORDS // BATCH // 2
        assert Killer(seed).strike(process, lambda: database.insert_calls >= aim), "it ended before its kill"
    wait_until_still(lambda: database.calls)


def damage(desk: Desk, kind: str, seed: int) -> None:
    """Spoils the log somewhere behind HEAD, with enough left behind for it to be noticed."""
    log = desk.load_dir / "checkpoint.log"
    content = bytearray(log.read_bytes().rstrip(b"\0"))
    at = random.Random(seed).randrange(1_000, len(content) - 6_000)
    DAMAGES[kind](content, at)
    log.write_bytes(content)


def stops_at_the_damage(desk: Desk) -> None:
    """Each command that reads the log says where it is damaged and what to type; nothing is sent."""
    calls = desk.crm.database.calls
    load_dir = str(desk.load_dir)
    others = ([name, load_dir] for name in ("resume", "status", "results", "resolve", "retry"))
    for command in (desk.load_command(), *others):
        said = desk.run(command).ended(9)
        assert "is damaged at byte" in said.said
        assert f"loader repair {load_dir}" in said.said
    assert desk.crm.database.calls == calls


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", DAMAGES)
def test_with_a_key_a_repaired_load_ends_with_each_record_once(tmp_path: Path, kind: str) -> None:
    seed = 11 + list(DAMAGES).index(kind)
    print(f"seed {seed}")
    with sandbox(tmp_path, "--unique", "Leads.Email", "--latency", "20ms", "--seed", str(seed)) as crm:
        desk = Desk(tmp_path, crm, write_leads(tmp_path / "leads.ndjson", RECORDS, seed), KEYED)
        killed(desk, seed)
        damage(desk, kind, seed)
        if kind == "flip":
            stops_at_the_damage(desk)
        calls = crm.database.calls
        said = desk.run(["repair", str(desk.load_dir)]).ended(4)
        assert "in doubt" in said.said
        assert f"loader resume {desk.load_dir}" in said.said
        assert said.stdout == b""
        assert crm.database.calls == calls, "a repair sends nothing"
        desk.resume().ended(0)
        assert desk.judge() == {"inserted": RECORDS}
        assert crm.database.rows == RECORDS


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["zero 512", "cut out"])
def test_without_a_key_a_repaired_load_doubles_nothing_and_holds_what_it_cannot_know(
    tmp_path: Path, kind: str
) -> None:
    seed = 31 + len(kind)
    print(f"seed {seed}")
    with sandbox(tmp_path, "--latency", "20ms", "--seed", str(seed)) as crm:
        desk = Desk(tmp_path, crm, write_leads(tmp_path / "leads.ndjson", RECORDS, seed), PLAIN)
        killed(desk, seed)
        damage(desk, kind, seed)
        said = desk.run(["repair", str(desk.load_dir)]).ended(4)
        assert f"loader resolve {desk.load_dir}" in said.said
        desk.resume().ended(4)
        desk.judge(held_max=RECORDS // 2)
        assert crm.database.records_taken <= RECORDS, "what may have been applied is not sent again"


@pytest.mark.timeout(60)
def test_a_piped_load_is_repaired_with_the_same_bytes_and_with_no_others(tmp_path: Path) -> None:
    with sandbox(tmp_path, "--unique", "Leads.Email") as crm:
        source = write_leads(tmp_path / "leads.ndjson", 1_000, 5)
        desk = Desk(tmp_path, crm, source, KEYED)
        desk.load("-", stdin=source).ended(0)
        log = desk.load_dir / "checkpoint.log"
        content = bytearray(log.read_bytes())
        window = content.index(b"\xc5\x1d\x03\x00")
        content[window + 30] ^= 1
        log.write_bytes(content)
        repair = ["repair", str(desk.load_dir)]
        refused = desk.run(repair).ended(8)  # its stdin is empty
        refused.is_one_screen()
        assert "... | loader repair" in refused.said
        assert log.read_bytes() == bytes(content)
        said = desk.run(repair, stdin=source)
        said.ended(0)
        assert "read again" in said.said
        desk.load("-", stdin=source).ended(0)
        assert desk.judge(piped=True) == {"inserted": 1_000}


@pytest.mark.timeout(60)
def test_a_sound_log_is_called_sound_and_a_lost_head_beyond_repair(tmp_path: Path) -> None:
    with sandbox(tmp_path) as crm:
        desk = Desk(tmp_path, crm, write_leads(tmp_path / "leads.ndjson", 300, 5))
        desk.load().ended(0)
        log = desk.load_dir / "checkpoint.log"
        content = log.read_bytes()
        repair = ["repair", str(desk.load_dir)]
        assert "is sound" in desk.run(repair).ended(0).stderr
        assert log.read_bytes() == content
        log.write_bytes(content[:30] + b"\0" + content[31:])
        refused = desk.run(repair).ended(9)
        refused.is_one_screen()
        assert "HEAD" in refused.stderr
        assert not list(desk.load_dir.glob("*.damaged-*"))
