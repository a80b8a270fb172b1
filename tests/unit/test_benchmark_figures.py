"""What the benchmarks make of what they measured, without measuring anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks import __main__ as suite
from benchmarks import instructions
from benchmarks.cases import CASES
from benchmarks.clients import INSTALL_PEERS, Contender, Task, compare
from benchmarks.figures import (
    START_RECORDS,
    Budget,
    Client,
    Cost,
    Figure,
    Report,
    Section,
    cpu_us,
    marginal_cpu_us,
    paired_ratio,
    peak_mib,
    records_per_s,
    server_share,
    verdicts,
)
from benchmarks.machine import described
from benchmarks.peers import syslog_ng
from benchmarks.process import Sink, measure
from benchmarks.render import number, rendered

BUDGETS = {"ratio": Budget(4.0, 2.5, "one over the other"), "peak": Budget(80, 60, "memory")}


def client(records: int = 1_000_100, *, cpu_s: tuple[float, ...] = (2.5, 3.5, 2.5)) -> Client:
    """A second and a half a million records, half a second to start."""
    return Client(
        "a client",
        "the check",
        records,
        runs=[Cost(one, 4.0, 50.0 + place, 1.0) for place, one in enumerate(cpu_s)],
        starts=[Cost(0.5, 1.0, 40.0, 0.25)] * len(cpu_s),
    )


def report(*sections: Section, all_of_them: bool = True) -> Report:
    judged = verdicts(sections, BUDGETS, all_of_them=all_of_them)
    return Report("2026-11-28T14:00+00:00", "python -m benchmarks", {"cores": "2"}, sections, judged)


def test_a_record_costs_its_share_of_the_run() -> None:
    assert cpu_us(client(1_000_000)) == pytest.approx(2.5)


def test_one_record_more_costs_no_start_up() -> None:
    assert marginal_cpu_us(client()) == pytest.approx([2.0, 3.0, 2.0])
    assert records_per_s(client()) == pytest.approx(1_000_000 / 3)
    assert server_share(client()) == pytest.approx(0.25)


def test_the_highest_peak_counts() -> None:
    assert peak_mib(client()) == 52.0


def test_a_round_in_which_all_is_slow_does_not_move_the_ratio() -> None:
    assert paired_ratio([2.0, 20.0, 2.2], [1.0, 10.0, 1.0]) == 2.0


def test_rounds_that_are_no_pairs_have_no_ratio() -> None:
    with pytest.raises(ValueError, match="zip"):
        paired_ratio([1.0], [1.0, 2.0])


@pytest.mark.parametrize(
    ("values", "kept"), [([3.9], True), ([4.0], True), ([4.1], False), ([1, 9, 3], True)]
)
def test_a_budget_is_kept_up_to_its_bound_by_the_median(values: list[float], kept: bool) -> None:
    section = Section("case", figures=[Figure("ratio", "times", values)])
    assert report(section, all_of_them=False).kept is kept


def test_a_budget_that_nobody_measured_fails_a_whole_run_but_not_a_part() -> None:
    section = Section("case", figures=[Figure("ratio", "times", [1.0])])
    assert report(section, all_of_them=False).kept
    whole = report(section)
    assert not whole.kept
    assert [verdict.name for verdict in whole.verdicts if not verdict.kept] == ["peak"]
    assert "NOT MEASURED" in rendered(whole)


def test_a_report_shows_figures_verdicts_and_who_is_missing() -> None:
    absent = Client("other", "everything", missing="apt-get install other")
    section = Section(
        "Case", [client(), absent], [Figure("ratio", "times", [5.0, 6.0, 5.5], "a over b")], ["a note"]
    )
    text = rendered(report(section, all_of_them=False))
    assert "not installed: apt-get install other" in text
    row = next(line for line in text.splitlines() if line.startswith("| a client "))
    assert [cell.strip() for cell in row.strip("|").split("|")][1:8] == [
        "1,000,100", "2.50", "2.00", "0.50", "333,333", "52", "25%",
    ]  # fmt: skip
    assert "| ratio  | 5.50   | 5.00 | 6.00 | times | a over b |" in text
    assert "EXCEEDED" in text
    assert "a note" in text


def test_a_report_is_kept_for_machines_and_for_people(tmp_path: Path) -> None:
    made = report(Section("Case", [client()]))
    name = suite.keep(made, tmp_path)
    assert name.name == "2026-11-28-1400"
    read = msgspec.json.decode(name.with_suffix(".json").read_bytes(), type=Report)
    assert rendered(read) == rendered(made)
    assert name.with_suffix(".md").read_text() == rendered(made)


@pytest.mark.parametrize(
    ("value", "text"), [(1234.5, "1,234"), (123.45, "123.5"), (1.234, "1.23"), (0.0, "0.00")]
)
def test_numbers_have_the_digits_that_mean_something(value: float, text: str) -> None:
    assert number(value) == text


def test_instructions_of_one_record_more() -> None:
    assert instructions.a_record({2_000: 2_300_000_000, 12_000: 2_700_000_000}) == 40_000


def test_every_budget_says_what_it_is_and_has_a_goal_within_it() -> None:
    budgets = msgspec.json.decode(suite.BUDGET.read_bytes(), type=dict[str, Budget])
    for budget in budgets.values():
        assert budget.what
        assert 0 < budget.goal <= budget.at_most


def test_the_quick_run_leaves_out_what_takes_minutes() -> None:
    assert not any(CASES[name].in_quick for name in ("resume", "memory-10m"))


def test_the_machine_is_described() -> None:
    machine = described()
    assert machine["cores"].isdigit()
    assert "msgspec" in machine["libraries"]


# --- clients ---


def test_a_client_that_is_not_installed_is_named_and_not_run(tmp_path: Path) -> None:
    def never(_task: Task) -> list[str]:
        raise AssertionError("it was run")

    absent = Contender("absent", "all", never, missing=lambda: INSTALL_PEERS)
    server = Sink("http://127.0.0.1:1", 1)
    [found] = compare([absent], server, {START_RECORDS: tmp_path}, tmp_path / "runs", pairs=3)
    assert found.missing == INSTALL_PEERS
    assert not found.runs


def test_a_process_is_measured_from_outside() -> None:
    cost = measure([sys.executable, "-S", "-c", "sum(range(10**6))"])
    assert 0 < cost.cpu_s < 30
    assert cost.wall_s > 0
    assert cost.peak_mib > 1


def test_a_client_that_fails_is_no_measurement() -> None:
    with pytest.raises(SystemExit, match="ended with 3"):
        measure([sys.executable, "-S", "-c", "raise SystemExit(3)"])


def test_syslog_ng_is_told_to_send_a_hundred_lines_a_call_and_whom_to_trust() -> None:
    plain = syslog_ng.configuration("http://127.0.0.1:1", Path("in.ndjson"), None)
    assert "batch-lines(100)" in plain
    assert "read-old-records(yes)" in plain
    assert "ca-file" not in plain
    assert 'ca-file("ca.pem")' in syslog_ng.configuration(
        "https://127.0.0.1:1", Path("in.ndjson"), Path("ca.pem")
    )


@pytest.mark.parametrize("script", ["requests_session", "aiohttp_gather", "official_sdk"])
def test_each_peer_says_what_it_leaves_out(script: str) -> None:
    text = (Path(suite.__file__).parent / "peers" / f"{script}.py").read_text()
    assert "No " in text[: text.index("from __future__")]


def test_the_command_line_knows_its_cases(capsys: pytest.CaptureFixture[Any]) -> None:
    with pytest.raises(SystemExit):
        suite.main(["--only", "no-such-case"])
    assert "invalid choice" in capsys.readouterr().err


def test_the_parts_have_a_command_line_of_their_own() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.stages", "split", "--records", "1000", "--rounds", "2"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert len(msgspec.json.decode(done.stdout, type=list[float])) == 2
