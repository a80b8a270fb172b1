"""Every row of the two verdict tables, end to end: real transport, judge and loop against a raw server.

The server meets the first insert with the row's fault and is an honest CRM before and after. Each row runs on
a fresh and on a reused connection, with and without a unique key, and where it leaves a doubt, with all, some
and none of the records applied.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import aiohttp.connector
import pytest

from loader.wire.messages import HttpReply
from tests.scenario.fake_crm import Record, World, attempt_of, lead, leads
from tests.scenario.raw_crm import (
    ORGANISATION,
    Insert,
    RawCrm,
    own_rows,
    shorten_pauses,
    until,
    wired,
    world_before,
)
from tests.scenario.verdict_rows import (
    AGAIN,
    BODY_NOT_WHOLE,
    IN_DOUBT,
    RECORDS,
    ROWS,
    SETTLED,
    USAGE,
    NoName,
    Row,
    ShortPatience,
    ShortTotal,
    never_reached,
    raw,
)

# --- each row, run -----------------------------------------------------------------------------------------


class Case(NamedTuple):
    """How a row is met."""

    reused: bool
    key: bool
    applied: int | None


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_pauses(monkeypatch)


def some_leads(row: Row) -> list[Record]:
    return [{**lead(line), "Description": "x" * row.bytes} for line in range(1, row.records + 1)]


async def run_row(row: Row, case: Case, patch: pytest.MonkeyPatch) -> tuple[World, RawCrm]:
    crm = RawCrm(unique="Email" if case.key else "", step=row.step, applied=case.applied)
    crm.refused, crm.locked[row.locked] = dict(row.refused), 1
    world = world_before(crm, key=case.key)
    way = row.way(crm, patch) if row.way else None
    async with wired(crm, host=way.host if way else "127.0.0.1"):
        if case.reused:
            crm.closes_after_read = way is not None and not way.reuses
            await crm.transport.send(ORGANISATION)
            crm.closes_after_read = False
        if way is not None:
            crm.before_first, crm.after_first = way.bar, way.clear
        async with asyncio.timeout(30):
            await world.load([some_leads(row)])
        if case.reused and (way is None or row.way in (ShortPatience, ShortTotal)):
            assert crm.connection_of_insert == 1, "it was to be the same connection"
    return world, crm


def require_verdict(row: Row, case: Case, world: World, crm: RawCrm) -> None:
    everyone = tuple(range(1, row.records + 1))
    lines = row.lines or everyone
    said = world.recorder.said
    assert said[0] == ("sent", 1, everyone)
    after = [one for one in said[1:] if one[0] != "settled"] if row.lines else said[1:]
    assert after[0] == (row.verdict, 1, lines)
    assert (world.pipeline.error.exit_code if world.pipeline.error else None) == row.exit
    arrived = [] if row.way is not None and row.step is never_reached else [everyone]
    if row.step in {one.step for one in BODY_NOT_WHOLE.values()}:
        arrived = []
    assert [tuple(one) for one in crm.inserts] == [*arrived, *expected_inserts(row, case, lines)]


def expected_inserts(row: Row, case: Case, lines: tuple[int, ...]) -> Sequence[tuple[int, ...]]:
    """What may be sent after the first insert: nothing but what is proved not applied, or has a key."""
    if row.exit is not None or row.verdict == SETTLED or (row.verdict == IN_DOUBT and not case.key):
        return []
    if row.outcomes:
        return []
    if not row.then:
        return [lines]
    starts = [0, *itertools.accumulate(row.then)]
    return [lines[start:end] for start, end in itertools.pairwise(starts)]


def require_ends(row: Row, case: Case, world: World, crm: RawCrm) -> None:
    """What became of each record, and that the CRM and the recorder say the same."""
    recorder = world.recorder
    everyone = range(1, row.records + 1)
    about = set(row.lines or everyone)
    open_lines = about if row.exit is not None or (row.verdict == IN_DOUBT and not case.key) else set()
    assert set(recorder.final) == set(everyone) - open_lines
    doubtful = open_lines if row.verdict == IN_DOUBT else set()
    assert doubtful <= recorder.may_be_applied
    assert set(recorder.held) == (doubtful if row.exit is None else set())
    for line in everyone:
        rows = own_rows(crm, line)
        assert len(rows) <= 1, "twice in the CRM"
        if line in recorder.final:
            outcome = recorder.final[line]
            assert outcome.outcome.value == row.outcomes.get(line, "inserted")
            assert rows == ([outcome.id] if outcome.outcome.value == "inserted" else [])
        elif row.verdict == AGAIN:
            assert rows == [], "it was not applied, and is not sent any more"


def cases() -> list[Any]:
    return [
        pytest.param(
            name,
            Case(reused, key, applied),
            id=f"{name}-{'reused' if reused else 'fresh'}-{'key' if key else 'no key'}-"
            f"{'all' if applied is None else applied} applied",
        )
        for name, row in ROWS.items()
        for reused in (False, True)
        for key in (False, True)
        for applied in row.ways_to_apply(reused=reused, key=key)
    ]


@pytest.mark.parametrize(("name", "case"), cases())
async def test_row(name: str, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    row = ROWS[name]
    world, crm = await run_row(row, case, monkeypatch)
    assert crm.defects == []
    require_verdict(row, case, world, crm)
    require_ends(row, case, world, crm)
    assert crm.elsewhere.connections == 0, "nothing is ever sent elsewhere"
    assert crm.refreshes == 1 + row.refreshes


# --- certificates ------------------------------------------------------------------------------------------

NAME = NoName.host


class Certificates(NamedTuple):
    """Files with a key and a certificate each, and what vouches for the first two."""

    right: Path
    another_name: Path
    unknown: Path
    trusted: Path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    made = {}
    for name, host in {"right": NAME, "another_name": "another.test", "unknown": NAME}.items():
        key, certificate, both = (folder / f"{name}.{end}" for end in ("key", "crt", "pem"))
        subprocess.run(
            f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {key}"
            f" -out {certificate} -days 2 -subj /CN={host} -addext subjectAltName=DNS:{host}".split(),
            check=True,
            capture_output=True,
            timeout=30,
        )
        both.write_bytes(key.read_bytes() + certificate.read_bytes())
        made[name] = both
    trusted = folder / "trusted.crt"
    trusted.write_bytes(b"".join((folder / f"{name}.crt").read_bytes() for name in ("right", "another_name")))
    return Certificates(**made, trusted=trusted)


@pytest.mark.parametrize("shown", ["another_name", "unknown"])
@pytest.mark.parametrize("key", [False, True], ids=["no key", "key"])
@pytest.mark.parametrize("reused", [False, True], ids=["fresh", "after a call"])
async def test_a_certificate_that_does_not_prove_the_host_stops_the_load_before_a_byte_leaves(
    certificates: Certificates, reused: bool, key: bool, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusting = ssl.create_default_context(cafile=certificates.trusted)
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", trusting)
    of_the_server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    of_the_server.load_cert_chain(certificates.right)
    crm = RawCrm(unique="Email" if key else "")
    NoName(crm, monkeypatch)
    world = world_before(crm, key=key)
    async with wired(crm, tls=of_the_server, host=NAME), asyncio.timeout(30):
        if reused:
            crm.closes_after_read = True
            reply = await crm.transport.send(ORGANISATION)
            assert isinstance(reply, HttpReply), "the right certificate is accepted"
        of_the_server.load_cert_chain(getattr(certificates, shown))
        await world.load([leads(1, 2)])
    assert [word for word, _, _ in world.recorder.said] == ["sent", "not applied"]
    assert world.pipeline.error is not None
    assert world.pipeline.error.exit_code is USAGE
    assert len(crm.server.heard) == reused
    assert world.recorder.may_be_applied == set()


# --- cancelled ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("applied", [None, 2, 0])
@pytest.mark.parametrize("key", [False, True], ids=["no key", "key"])
@pytest.mark.parametrize("reused", [False, True], ids=["fresh", "reused"])
async def test_an_insert_that_is_cancelled_in_flight_is_in_doubt_for_the_next_run(
    reused: bool, key: bool, applied: int | None
) -> None:
    crm = RawCrm(unique="Email" if key else "", step=raw(b"", ending="silence"), applied=applied)
    first = world_before(crm, key=key)
    records = leads(1, RECORDS)
    async with wired(crm), asyncio.timeout(30):
        if reused:
            await crm.transport.send(ORGANISATION)
        began = crm.now()
        loading = asyncio.create_task(first.load([records]))
        await until(lambda: bool(crm.inserts))
        first.pipeline.abandon()
        await loading
        assert first.recorder.said == [("sent", 1, (1, 2, 3, 4))]
        assert first.recorder.may_be_applied == {1, 2, 3, 4}
        second = world_before(crm, key=key)
        await second.load([], first=[attempt_of(records, in_doubt=True, since=began)])
    assert crm.defects == []
    assert second.pipeline.error is None
    assert len(crm.inserts) == (2 if key else 1)
    assert set(second.recorder.held) == (set() if key else {1, 2, 3, 4})
    for line in range(1, RECORDS + 1):
        rows = own_rows(crm, line)
        assert len(rows) <= 1
        if key:
            assert rows == [second.recorder.final[line].id]


async def test_an_answer_that_is_on_its_way_when_the_load_stops_is_taken_in() -> None:
    go_on = asyncio.Event()

    async def late(insert: Insert) -> None:
        await insert.read()
        await go_on.wait()
        await insert.answer(201, {"data": insert.items})

    crm = RawCrm(step=late)
    world = world_before(crm, key=False)
    async with wired(crm), asyncio.timeout(30):
        loading = asyncio.create_task(world.load([leads(1, 2), leads(3, 2)]))
        await until(lambda: bool(crm.inserts))
        world.pipeline.stop()
        go_on.set()
        await loading
    assert world.recorder.outcomes() == {1: "inserted", 2: "inserted"}
    assert crm.inserts == [[1, 2]]


# --- halving -----------------------------------------------------------------------------------------------


def refused_by_its_value(crm: RawCrm, bad: int) -> tuple[list[Record], str]:
    crm.poison = {bad}
    return leads(1, 100), "INVALID_DATA"


def refused_by_its_size(crm: RawCrm, bad: int) -> tuple[list[Record], str]:
    crm.body_bytes_max = 100_000
    records = leads(1, 100)
    records[bad - 1] = {**records[bad - 1], "Description": "x" * 200_000}
    return records, "HTTP 413"


@pytest.mark.parametrize("key", [False, True], ids=["no key", "key"])
@pytest.mark.parametrize("bad", [1, 37, 100])
@pytest.mark.parametrize(
    "refused", [refused_by_its_value, refused_by_its_size], ids=["bare 400", "413 in HTML"]
)
async def test_one_bad_record_of_a_hundred_is_found_and_its_99_neighbours_are_loaded(
    refused: Callable[[RawCrm, int], tuple[list[Record], str]], bad: int, key: bool
) -> None:
    crm = RawCrm(unique="Email" if key else "")
    records, code = refused(crm, bad)
    world = world_before(crm, key=key)
    async with wired(crm), asyncio.timeout(30):
        await world.load([records])
    assert crm.defects == []
    assert world.pipeline.error is None
    assert {line: one.code for line, one in world.recorder.final.items() if one.code} == {bad: code}
    for line in range(1, 101):
        final = world.recorder.final[line]
        assert final.outcome.value == ("rejected" if line == bad else "inserted")
        assert own_rows(crm, line) == ([] if line == bad else [final.id])
    # Refused alone before anything has passed, it is tried once more when something has.
    assert len(crm.inserts) <= 15 + (bad == 1), "1 call, and 2 for each of 7 halvings"
