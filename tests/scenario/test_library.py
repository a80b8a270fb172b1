"""The loader as a library, against a sandbox in another process; and its guide, run as it stands there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest

import loader
from loader.events import BatchAnswered
from loader.source.feed import Records
from tests import canary
from tests.crash.harness import Crm, environment, sandbox

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "python.md"
SAMPLES = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture
def crm(tmp_path: Path) -> Iterator[Crm]:
    with sandbox(tmp_path, "--latency", "5ms") as running:
        yield running


def credentials(crm: Crm) -> loader.Credentials:
    return loader.Credentials(
        client_id=crm.credentials["LOADER_CLIENT_ID"],
        client_secret=crm.credentials["LOADER_CLIENT_SECRET"],
        refresh_token=crm.credentials["LOADER_REFRESH_TOKEN"],
    )


def leads(count: int) -> Iterator[dict[str, object]]:
    return ({"Last_Name": f"Lead {number}", "Company": "Nordwind"} for number in range(count))


def broken_after(count: int) -> Iterator[dict[str, object]]:
    yield from leads(count)
    raise ValueError("the cursor was closed")


async def load(crm: Crm, records: Records, directory: Path, **options: object) -> loader.Report:
    async with loader.Loader(
        "Leads",
        api_domain=crm.url,
        credentials=credentials(crm),
        **options,  # type: ignore[arg-type]
    ) as loads:
        return await loads.load(records, load_dir=directory)


@pytest.mark.parametrize("sample", SAMPLES, ids=[f"sample-{n}" for n in range(1, len(SAMPLES) + 1)])
def test_a_sample_of_the_guide_runs_as_it_stands_there(tmp_path: Path, crm: Crm, sample: str) -> None:
    (tmp_path / "leads.ndjson").write_text(
        '{"Last_Name":"Daly","Company":"Nordwind"}\n{"Company":"Nordwind"}\n'
    )
    code = sample.replace('dc="eu"', f'api_domain="{crm.url}"')
    assert code != sample, "a sample that loads nothing"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env=environment(tmp_path / "home", crm.credentials),
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    canary.look_at(done.stdout + done.stderr, "a sample of the guide")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_there_are_samples() -> None:
    assert len(SAMPLES) >= 5


async def test_small_loads_of_one_loader_take_one_access_token_between_them(tmp_path: Path, crm: Crm) -> None:
    async with loader.Loader("Leads", api_domain=crm.url, credentials=credentials(crm)) as loads:
        reports = [await loads.load(leads(1), load_dir=tmp_path / f"{number}.load") for number in range(13)]
        async with anyio.create_task_group() as tasks:
            for number in (13, 14):
                tasks.start_soon(_into, loads, tmp_path / f"{number}.load", reports)
    assert [report.exit_code for report in reports] == [0] * 15
    assert sum(report.summary.refreshes for report in reports) == 1
    assert crm.database.rows == 15


async def _into(loads: loader.Loader, directory: Path, reports: list[loader.Report]) -> None:
    reports.append(await loads.load(leads(1), load_dir=directory))


def test_plain_loads_that_are_given_one_memory_take_one_access_token(tmp_path: Path, crm: Crm) -> None:
    memory = loader.TokenMemory()
    reports = [
        loader.load(
            leads(1),
            "Leads",
            load_dir=tmp_path / f"{number}.load",
            api_domain=crm.url,
            credentials=credentials(crm),
            token_memory=memory,
        )
        for number in range(3)
    ]
    assert [report.summary.refreshes for report in reports] == [1, 0, 0]


async def test_records_of_a_program_are_each_inserted_once(tmp_path: Path, crm: Crm) -> None:
    report = await load(crm, leads(1_050), tmp_path / "load")
    assert (report.complete, report.exit_code, report.outcomes.inserted) == (True, 0, 1_050)
    assert crm.database.rows == 1_050
    again = await load(crm, leads(1_050), tmp_path / "load")
    assert (again.complete, crm.database.rows) == (True, 1_050)


async def test_a_program_that_fails_has_not_ended_its_records(tmp_path: Path, crm: Crm) -> None:
    with pytest.raises(loader.FeedError, match="the records ended with an error") as raised:
        await load(crm, broken_after(730), tmp_path / "load")
    assert isinstance(raised.value.__cause__, ValueError)
    standing = loader.status(tmp_path / "load")
    assert not standing.complete
    report = await load(crm, leads(900), tmp_path / "load")
    assert (report.complete, report.outcomes.inserted, crm.database.rows) == (True, 900, 900)


async def test_other_records_are_refused_before_anything_is_sent(tmp_path: Path, crm: Crm) -> None:
    await load(crm, leads(500), tmp_path / "load")
    calls = crm.database.insert_calls
    others = ({"Last_Name": f"Other {number}", "Company": "Südwind"} for number in range(900))
    with pytest.raises(loader.InputChangedError) as raised:
        await load(crm, others, tmp_path / "load")
    assert crm.database.insert_calls == calls
    told = raised.value
    assert (told.what, told.why[:16]) == ("the records changed since this load began", "from record 1 on")
    with pytest.raises(loader.InputChangedError) as raised:
        await load(crm, leads(501), tmp_path / "load")
    assert "append=True" in raised.value.hint
    assert not re.search("stdin|pipe|loader load", f"{told}{raised.value}", re.IGNORECASE)
    report = await load(crm, leads(501), tmp_path / "load", append=True)
    assert (report.complete, report.outcomes.inserted) == (True, 501)


async def test_records_for_a_load_of_a_file_are_told_to_be_none_of_its(tmp_path: Path, crm: Crm) -> None:
    path = tmp_path / "leads.ndjson"
    path.write_text('{"Last_Name": "Lovelace", "Company": "Nordwind"}\n')
    async with loader.Loader("Leads", api_domain=crm.url, credentials=credentials(crm)) as loads:
        await loads.load(path)
    with pytest.raises(loader.InputChangedError) as raised:
        await load(crm, leads(1), Path(f"{path}.load"))
    assert "this is what a program hands over" in raised.value.why
    assert "load_dir of their own" in raised.value.hint


class Answer:
    """The first answer of a load, to wait for."""

    def __init__(self) -> None:
        self.came = anyio.Event()

    def __call__(self, event: object) -> None:
        if isinstance(event, BatchAnswered):
            self.came.set()


async def test_a_loader_that_is_stopped_says_how_far_it_came_and_goes_on_later(
    tmp_path: Path, crm: Crm
) -> None:
    answer = Answer()

    async def rows() -> AsyncIterator[dict[str, object]]:
        for lead in leads(900):
            yield lead
        await answer.came.wait()
        loads.stop()
        await anyio.sleep_forever()

    async with loader.Loader(
        "Leads", api_domain=crm.url, credentials=credentials(crm), observe=answer
    ) as loads:
        report = await loads.load(rows(), load_dir=tmp_path / "load")
    assert (report.complete, report.exit_code, report.outcomes.in_doubt) == (False, 143, 0)
    assert report.outcomes.inserted == crm.database.rows > 0
    went_on = await load(crm, leads(2_000), tmp_path / "load")
    assert (went_on.outcomes.inserted, crm.database.rows) == (2_000, 2_000)


async def test_a_load_that_is_stopped_before_it_began_says_so(tmp_path: Path, crm: Crm) -> None:
    def rows() -> Iterator[bytes]:
        loads.stop()
        yield b"{}"

    async with loader.Loader("Leads", api_domain=crm.url, credentials=credentials(crm)) as loads:
        with pytest.raises(loader.LoaderError, match="before a record was sent"):
            await loads.load(rows(), load_dir=tmp_path / "load")
    assert crm.database.rows == 0


async def test_a_cancelled_load_can_be_gone_on_with(tmp_path: Path, crm: Crm) -> None:
    answer = Answer()

    async def rows() -> AsyncIterator[dict[str, object]]:
        for lead in leads(900):
            yield lead
        await answer.came.wait()
        scope.cancel()
        await anyio.sleep_forever()

    with anyio.CancelScope() as scope:
        await load(crm, rows(), tmp_path / "load", observe=answer)
    assert scope.cancelled_caught
    standing = loader.status(tmp_path / "load")
    assert not standing.complete
    assert standing.outcomes.inserted > 0
    went_on = await load(crm, leads(900), tmp_path / "load")
    assert crm.database.rows <= 900, "a record was inserted twice"
    assert went_on.outcomes.inserted + went_on.outcomes.in_doubt == 900
    assert went_on.outcomes.inserted <= crm.database.rows


async def test_two_loads_of_one_loader_run_beside_each_other(tmp_path: Path, crm: Crm) -> None:
    reports: dict[str, loader.Report] = {}

    async def one(loads: loader.Loader, name: str) -> None:
        reports[name] = await loads.load(leads(500), load_dir=tmp_path / name)

    async with (
        loader.Loader("Leads", api_domain=crm.url, credentials=credentials(crm), concurrency=4) as loads,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(one, loads, "first")
        tasks.start_soon(one, loads, "second")
    assert [report.outcomes.inserted for report in reports.values()] == [500, 500]
    assert crm.database.rows == 1_000


async def test_the_library_leaves_signals_to_its_program(tmp_path: Path, crm: Crm) -> None:
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    seen: list[object] = []

    def watch(event: object) -> None:
        seen.append([signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)])

    await load(crm, leads(150), tmp_path / "load", observe=watch)
    assert seen
    assert all(one == before for one in seen)


def test_records_need_a_load_directory() -> None:
    with pytest.raises(loader.UsageError, match="load directory"):
        loader.load([b"{}"], "Leads", credentials=loader.Credentials(access_token="1000.x"))


def test_credentials_come_from_the_environment_and_their_lack_is_said(tmp_path: Path) -> None:
    assert [name for name in os.environ if name.startswith("LOADER_")] == ["LOADER_STATE_DIR"]
    with pytest.raises(loader.CredentialsError, match="no credentials"):
        loader.load([b"{}"], "Leads", load_dir=tmp_path / "load", api_domain="http://127.0.0.1:9")


def test_each_public_name_is_there() -> None:
    assert {name for name in loader.__all__ if getattr(loader, name) is None} == set()
    with pytest.raises(AttributeError, match="no attribute 'loads'"):
        getattr(loader, "loads")  # noqa: B009 - the type checker knows as well
