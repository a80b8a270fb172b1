"""`python -m benchmarks [--quick] [--only CASE ...]`: what a load costs, beside other clients.

Each client is a process of its own, measured from outside by the operating system's accounting, in turn with
the others. Budgets compare CPU times of the same run, or count instructions, never a time by the clock: these
hold on a busy machine too. Exit code 1 if a budget is exceeded. What is measured and how to repeat each
figure: docs/design/performance.md.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks.cases import CASES, Setting
from benchmarks.figures import Budget, Report, Section, verdicts
from benchmarks.machine import described
from benchmarks.render import rendered, section_lines

BUDGET = Path(__file__).with_name("budget.json")
RESULTS = Path(__file__).with_name("results")
COMPILED = ("loader", "benchmarks")
QUICK_RECORDS, QUICK_PAIRS = 100_000, 3


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    made.add_argument("--quick", action="store_true", help="what CI runs: small, the budgets and no more")
    made.add_argument("--records", type=int, help="of the whole load (default 1,000,000; quick 100,000)")
    made.add_argument("--pairs", type=int, help="rounds of the whole load (default 5; quick 3)")
    made.add_argument("--only", nargs="+", choices=CASES, metavar="CASE", help=", ".join(CASES))
    made.add_argument(
        "--keep", action=argparse.BooleanOptionalAction, help="write the results to benchmarks/results"
    )
    made.add_argument("--folder", type=Path, help="where the files are made (default: the system's)")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Read the arguments, measure, compare with the budget."""
    asked = parser().parse_args(arguments)
    names = asked.only or [
        name for name, case in CASES.items() if (case.in_quick if asked.quick else case.in_full)
    ]
    # As an installation does; else a source tree may be compiled anew at each start, and starts are measured.
    subprocess.run([sys.executable, "-m", "compileall", "-q", *COMPILED], check=True, cwd=BUDGET.parents[1])
    budgets = msgspec.json.decode(BUDGET.read_bytes(), type=dict[str, Budget])
    with tempfile.TemporaryDirectory(prefix="loader-benchmark-", dir=asked.folder) as folder:
        setting = Setting(
            Path(folder),
            asked.records or (QUICK_RECORDS if asked.quick else 1_000_000),
            asked.pairs or (QUICK_PAIRS if asked.quick else 5),
            asked.quick,
        )
        report = run(setting, names, budgets, all_of_them=not asked.only)
    print(rendered(msgspec.structs.replace(report, sections=())))
    if asked.keep if asked.keep is not None else not (asked.quick or asked.only):
        print(f"kept as {keep(report, RESULTS)}.json and .md")
    return 0 if report.kept else 1


def run(setting: Setting, names: list[str], budgets: dict[str, Budget], *, all_of_them: bool) -> Report:
    """Those cases one after the other, each shown when it is done."""
    date, machine = datetime.now(UTC).isoformat(timespec="minutes"), described()
    sections: list[Section] = []
    for name in names:
        section = CASES[name].run(setting)
        sections.append(section)
        print("\n".join(section_lines(section)), flush=True)
    own_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    machine["smallest peak that can be seen"] = f"{own_mib:.0f} MiB, the benchmarks' own"
    command = " ".join(["python -m benchmarks", *sys.argv[1:]])
    return Report(date, command, machine, sections, verdicts(sections, budgets, all_of_them=all_of_them))


def keep(report: Report, results: Path) -> Path:
    """Written for machines and for people, under its date; says under what name."""
    results.mkdir(exist_ok=True)
    name = report.date[:16].replace("T", "-").replace(":", "")
    (results / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    (results / f"{name}.md").write_text(rendered(report))
    return results / name


if __name__ == "__main__":
    raise SystemExit(main())
