"""The report of a load that was killed and resumed, as a browser shows it; and of other ends of a load."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loader.report.html import BYTES_MAX
from loader.report.refusals import KINDS_SHOWN
from tests import browser
from tests.crash.harness import Desk, sandbox, wait_for
from tests.report_page import ReadPage, figures_of

pytestmark = pytest.mark.timeout(240)
RECORDS = 2_400
OWNED = '<script>document.title="owned"</script>'


def leads() -> Iterator[bytes]:
    """Good leads, some that repeat an earlier address, and some that no module takes."""
    for number in range(1, RECORDS + 1):
        lead: dict[str, Any] = {"Last_Name": f"Lead {number}", "Email": f"lead.{number}@example.com"}
        if number % 100 == 50:
            lead["Email"] = f"lead.{number // 100 + 1}@example.com"
        elif number % 100 == 7:
            del lead["Last_Name"]
        elif number % 100 == 77:
            lead["No_of_Employees"] = OWNED
        elif number % 100 == 78:
            lead["No_of_Employees"] = "\u202e\x1b[31m"
        yield json.dumps(lead).encode() + b"\n"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A load that met 429s, was killed in its middle and resumed."""
    directory = tmp_path_factory.mktemp("report")
    source = directory / "leads.ndjson"
    source.write_bytes(b"".join(leads()))
    # At six calls a second, whoever waits for the fifth has seconds left for the kill.
    flags = ("--unique", "Leads.Email", "--latency", "40ms", "--seed", "4", "--fault", "429=0.2")
    with sandbox(directory, *flags) as crm:
        desk = Desk(
            directory,
            crm,
            source,
            ("--key", "Email", "--quiet-period", "100ms", "--concurrency", "3", "--rate", "6"),
        )
        with desk.spawned(desk.load_command()) as process:
            wait_for(lambda: crm.database.insert_calls >= 5 or process.poll() is not None)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        desk.run([*desk.resume_command(), "--report", "elsewhere.html"]).ended(3)
        yield desk


def summary_of(desk: Desk) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((desk.load_dir / "summary.json").read_bytes())
    return summary


def test_the_report_tells_the_figures_of_the_summary_and_each_record_once(desk: Desk) -> None:
    content = (desk.load_dir / "report.html").read_text()
    read = ReadPage(content)
    summary = summary_of(desk)
    found = {name: value for name, value in read.figures.items() if not name.startswith("latency")}
    assert found == figures_of(summary, kinds_shown=KINDS_SHOWN)
    assert read.faults == []
    assert sum(read.series["rate"]) == summary["records"] == RECORDS
    assert (
        summary["outcomes"]["duplicate"] == RECORDS // 100 - 1
    )  # lead 7, whose address comes again, is invalid
    assert summary["outcomes"]["invalid"] == 3 * RECORDS // 100
    assert float(read.figures["latency.p50"]) > 0.03
    assert "resume 1" in read.text
    assert "(429)" in read.text
    assert OWNED in read.text
    assert "\\u202e\\x1b[31m" in read.text
    assert len(content.encode()) < BYTES_MAX / 8


@browser.NEEDED
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_browser_shows_the_same_figures_and_complains_of_nothing(
    desk: Desk, tmp_path: Path, dark: bool
) -> None:
    seen = browser.look_at(desk.load_dir / "report.html", tmp_path / "profile", dark=dark)
    assert seen.complaints == []
    read = ReadPage(seen.dom)
    found = {name: value for name, value in read.figures.items() if not name.startswith("latency")}
    assert found == figures_of(summary_of(desk), kinds_shown=KINDS_SHOWN)
    assert "script" not in read.tags
    assert OWNED in read.text
    assert "<title>owned" not in seen.dom


@browser.NEEDED
def test_a_script_in_the_page_would_not_run_and_would_be_complained_of(desk: Desk, tmp_path: Path) -> None:
    spoilt = tmp_path / "spoilt.html"
    content = (desk.load_dir / "report.html").read_text()
    spoilt.write_text(content.replace("<main>", f'<main>{OWNED}<p style="color:red">', 1))
    seen = browser.look_at(spoilt, tmp_path / "profile")
    assert len(seen.complaints) >= 2, seen.complaints
    assert "<title>owned" not in seen.dom


def test_the_report_elsewhere_is_the_same_but_for_its_links(desk: Desk) -> None:
    here = ReadPage((desk.load_dir / "report.html").read_text())
    there = ReadPage((desk.directory / "elsewhere.html").read_text())
    assert there.figures == here.figures
    assert here.links == ["rejected.ndjson", "rejected-reasons.ndjson", "summary.json", "checkpoint.log"]
    assert there.links == [f"{desk.load_dir.name}/{link}" for link in here.links]
    for link in there.links:
        assert (desk.directory / link).is_file()
    assert (desk.load_dir / "report.html").stat().st_mode & 0o777 == 0o600


def test_the_closing_screen_and_status_name_the_report(desk: Desk) -> None:
    again = desk.resume().ended(3)
    shown = desk.run(["status", str(desk.load_dir)]).ended(0)
    for said in (again.stderr, shown.stderr):
        assert f"report     {desk.load_dir / 'report.html'}" in said


def test_a_finished_load_whose_report_is_gone_writes_it_again_and_sends_nothing(desk: Desk) -> None:
    report = desk.load_dir / "report.html"
    before, calls = ReadPage(report.read_text()).figures, desk.crm.database.calls
    report.unlink()
    desk.resume().ended(3)
    assert ReadPage(report.read_text()).figures == before
    assert desk.crm.database.calls == calls


def test_status_writes_the_report_of_a_load_that_was_killed(desk: Desk, tmp_path: Path) -> None:
    log = (desk.load_dir / "checkpoint.log").read_bytes()
    killed = tmp_path / "killed.load"
    killed.mkdir()
    (killed / "checkpoint.log").write_bytes(log[: len(log) // 3])
    desk.run(["status", str(killed), "--report", str(tmp_path / "now.html")]).ended(0)
    read = ReadPage((tmp_path / "now.html").read_text())
    assert read.figures["complete"] == "false"
    assert "The load stopped before its end" in read.text
    assert f"loader resume {killed}" in read.text
    assert [path.name for path in killed.iterdir()] == ["checkpoint.log"]


def test_a_load_that_could_not_go_on_says_why_in_its_report(desk: Desk, tmp_path: Path) -> None:
    source = tmp_path / "many-bad.ndjson"
    source.write_bytes(b'{"Company":"no name"}\n' * 500)
    other = Desk(tmp_path, desk.crm, source, ("--max-rejected", "10"))
    other.load().ended(5)
    read = ReadPage((other.load_dir / "report.html").read_text())
    assert read.figures["exit_code"] == "5"
    assert "because more records were refused than --max-rejected allows" in read.text
    assert "See why: loader results" in read.text


@pytest.mark.parametrize("place", ["no-such-directory/report.html", "."])
def test_a_place_where_no_report_can_be_is_refused_before_anything_is_sent(
    desk: Desk, tmp_path: Path, place: str
) -> None:
    source = tmp_path / "one.ndjson"
    source.write_bytes(b'{"Last_Name":"One"}\n')
    other = Desk(tmp_path, desk.crm, source, ("--report", place))
    done = other.load().ended(2)
    done.is_one_screen()
    assert "--report" in done.stderr
    assert not other.load_dir.exists()


def test_a_report_that_cannot_be_written_changes_no_exit_code(desk: Desk, tmp_path: Path) -> None:
    place = tmp_path / "gone"
    place.mkdir()
    report = place / "report.html"
    (place / ".report.html.part").mkdir()  # where the report is prepared
    done = desk.run([*desk.resume_command(), "--report", str(report)]).ended(3)
    assert "warning: cannot write the report" in done.stderr
    assert not report.exists()
    assert [path.name for path in place.iterdir()] == [".report.html.part"]
