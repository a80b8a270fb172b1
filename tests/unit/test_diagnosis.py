"""What the doctor finds of each thing, and what its findings come to."""

from __future__ import annotations

import re
import resource
import ssl
from pathlib import Path

import pytest

from loader.diagnosis import disk, machine, network
from loader.diagnosis.finding import Finding, State, ok, problem, warning, worst
from loader.errors import ExitCode
from tests.scenario.certificates import self_signed
from tests.scenario.fault_server import Connection, FaultServer, running

NOON_S = 1_767_268_800.0
MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
25 22 0:21 / /mnt/nightly\\040jobs rw - nfs4 server:/jobs rw
26 22 0:22 / /mnt rw - xfs /dev/sdb rw
27 26 0:23 / /mnt rw master:1 - tmpfs tmpfs rw
a line that is none
"""


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ((), ExitCode.OK),
        ((ExitCode.NOT_NOW,), ExitCode.NOT_NOW),
        ((ExitCode.NOT_NOW, ExitCode.CREDENTIALS), ExitCode.CREDENTIALS),
        ((ExitCode.CREDENTIALS, ExitCode.DISK), ExitCode.DISK),
        ((ExitCode.DISK, ExitCode.USAGE, ExitCode.NOT_NOW), ExitCode.USAGE),
    ],
)
def test_the_exit_code_is_that_of_the_problem_to_mend_first(
    codes: tuple[ExitCode, ...], expected: ExitCode
) -> None:
    found = [ok("a", "b"), warning("c", "d"), *(problem("e", "f", "g", code) for code in codes)]
    assert worst(found) is expected


@pytest.mark.parametrize(
    ("ours_s", "state", "words"),
    [
        (NOON_S + 0.5, State.OK, "agrees"),
        (NOON_S + 5.4, State.OK, "agrees"),
        (NOON_S + 90.5, State.WARNING, "90 s ahead of"),
        (NOON_S - 3599.5, State.WARNING, "3,600 s behind"),
    ],
)
def test_a_clock_that_is_off_is_a_warning_in_seconds(ours_s: float, state: State, words: str) -> None:
    found = network.clock(NOON_S, ours_s)
    assert (found.state, words in found.said) == (state, True), found.said


def test_a_server_without_a_date_leaves_the_clock_unknown() -> None:
    assert network.clock(None, NOON_S).state is State.WARNING


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/", "ext4"),
        ("/home/ada", "ext4"),
        ("/mnt/nightly jobs/leads.load", "nfs4"),
        ("/mnt/other", "tmpfs"),
        ("/mntx", "ext4"),
    ],
)
def test_the_file_system_is_that_of_the_innermost_and_latest_mount(place: str, kind: str) -> None:
    assert disk.kind_of(Path(place), MOUNTS) == kind


@pytest.mark.parametrize(("mounts", "state"), [(MOUNTS, State.OK), ("", State.WARNING)])
def test_a_disk_is_looked_at_where_the_load_directory_would_be(
    tmp_path: Path, mounts: str, state: State
) -> None:
    listed = tmp_path / "mounts"
    listed.write_text(mounts)
    before = sorted(tmp_path.iterdir())
    found = {each.check: each for each in disk.look(tmp_path / "no" / "such.load", mounts=listed)}
    assert found["disk: kind"].state is state
    assert "durable in" in found["disk: writing"].said
    assert str(tmp_path) in found["disk: room"].said
    assert sorted(tmp_path.iterdir()) == before, "it leaves nothing behind"


def test_a_place_that_cannot_be_written_to_is_a_problem_of_the_disk() -> None:
    found = list(disk.look(Path("/proc/nowhere/a.load")))
    assert found[-1].state is State.PROBLEM
    assert worst(found) is ExitCode.DISK
    assert "--load-dir" in found[-1].todo


@pytest.mark.parametrize(
    ("hard", "state"), [(31, State.PROBLEM), (32, State.OK), (resource.RLIM_INFINITY, State.OK)]
)
def test_too_few_open_files_are_a_problem(hard: int, state: State) -> None:
    assert machine.open_files(32, 10, hard).state is state


def test_a_proxy_is_named_and_its_address_is_not() -> None:
    found = machine.proxies({"https_proxy": "http://user:canary@proxy:3128", "HTTP_PROXY": ""})
    assert found.state is State.WARNING
    assert "https_proxy" in found.said
    assert "canary" not in found.said + found.todo
    assert machine.proxies({}).state is State.OK


def test_versions_name_the_loader_python_and_each_library() -> None:
    found = {each.check: each for each in machine.look({}, files_needed=1)}
    assert found["versions"].state is State.OK
    assert all(word in found["versions"].said for word in ("loader ", "Python ", "aiohttp ", "msgspec "))
    assert "keyring" in found["extras"].said


async def way(url: str) -> list[Finding]:
    return [each async for each in network.way_to(url, what="API", timeout_s=5.0)]


async def answered(_server: FaultServer, connection: Connection) -> None:
    await connection.reader.read(10)
    await connection.answer(status="400 Bad Request")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    return self_signed(tmp_path_factory.mktemp("tls"))


async def test_each_step_to_a_host_is_told_with_its_time(
    certificate: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[1]))
    async with running(answered, tls=certificate[0]) as server:
        found = await way(server.url)
    assert [each.check for each in found] == ["API: name", "API: connection", "API: TLS"]
    assert all(each.state is State.OK for each in found), found
    assert found[0].said == "127.0.0.1 is an address: there is no name to look up"
    assert all(" ms)" in each.said for each in found[1:]), found


async def test_a_name_is_told_with_its_addresses_and_the_time_it_took() -> None:
    async with running(answered) as server:
        found = await way(server.url.replace("127.0.0.1", "localhost"))
    assert re.fullmatch(r"localhost is .*(127\.0\.0\.1|::1).* \(.* m?s\)", found[0].said)


async def test_a_certificate_that_nobody_vouches_for_is_a_problem(
    certificate: tuple[ssl.SSLContext, Path],
) -> None:
    async with running(answered, tls=certificate[0]) as server:
        found = await way(server.url)
    assert found[-1].check == "API: TLS"
    assert worst(found) is ExitCode.USAGE
    assert "cannot prove who it is" in found[-1].said


async def test_a_host_without_tls_a_closed_port_and_no_host_are_told_apart() -> None:
    async with running(answered) as server:
        without = await way(server.url.replace("http:", "https:"))
        plain = await way(server.url)
    closed = await way(server.url)
    nowhere = await way("https://no..host")  # no resolver is asked for such a name
    assert (without[-1].check, without[-1].exit_code) == ("API: TLS", ExitCode.NOT_NOW)
    assert (plain[-1].check, plain[-1].state) == ("API: TLS", State.WARNING)
    assert (closed[-1].check, closed[-1].exit_code) == ("API: connection", ExitCode.NOT_NOW)
    assert [each.check for each in nowhere] == ["API: name"]
    assert worst(nowhere) is ExitCode.NOT_NOW


async def test_a_host_that_is_not_this_api_is_a_problem_of_the_configuration() -> None:
    async with running(answered) as server:
        found = await network.speaks(server.url, timeout_s=5.0)
    assert worst(found) is ExitCode.USAGE
