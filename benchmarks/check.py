"""`python -m benchmarks.check [--quick]`: what the check of a record costs, beside one `orjson.loads` of it.

CPU time of this process, medians of rounds in which each case has its turn, so that a noisy machine is as
noisy for one as for the other. Exit code 1 if the check is over its budget.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import orjson

from benchmarks.data import leads
from loader.schema.check import Checker
from loader.schema.fields import TEXT_LENGTH, Field, FieldType, JsonType, Module
from loader.schema.modules import standard_module
from loader.wire.limits import RECORDS_PER_CALL_MAX

OVER_ORJSON_MAX: Final = 2.0
"""The check of a lead with e-mail, phone and website, over `orjson.loads` of the same bytes."""
MANY_FIELDS_MAX: Final = 1.3
"""The same for a module with 500 fields, over that for Leads."""
FIELDS: Final = 500

Case = tuple[Callable[[Sequence[bytes]], object], Sequence[bytes]]

DEALS: Final = tuple(
    b'{"Deal_Name":"Nordwind %d","Stage":"Qualification","Pipeline":"Standard (Standard)","Amount":%d.5,'
    b'"Closing_Date":"2027-03-%02d","Account_Name":{"id":"4252480000001%05d"},"Probability":%d}'
    % (n, 1000 + n, 1 + n % 28, n, n % 100)
    for n in range(500)
)
QUOTES: Final = tuple(
    b'{"Subject":"quote v%d","Quoted_Items":[{"Product_Name":{"id":"3652397000000%06d"},"Quantity":%d,'
    b'"Discount":0,"Description":"first"},{"Product_Name":{"id":"3652397000000%06d"},"Quantity":2}]}'
    % (n, n, 1 + n % 90, n)
    for n in range(500)
)


def lines_with_patterns(records: int) -> list[bytes]:
    """Leads of about 300 bytes, a website in the place of the description."""
    lines = []
    for number, line in enumerate(leads(records, seed=7)):
        head, _, _ = line.partition(b',"Description"')
        lines.append(head + b',"Website":"https://www.kunde-%d.example.com/angebote?von=messe"}' % number)
    return lines


def many_fields() -> Module:
    """Leads and as many custom fields as make 500."""
    module = standard_module("Leads")
    assert module is not None
    custom = (
        Field(f"Custom_{number}", FieldType.TEXT, JsonType.STRING, TEXT_LENGTH)
        for number in range(FIELDS - len(module.fields))
    )
    return msgspec.structs.replace(module, fields=(*module.fields, *custom))


def warm(module: Module, lines: Sequence[bytes]) -> Case:
    """The check of these lines, all fine, by the hundred as in a load, compiled for their keys."""
    problems_of = Checker(module).problems_of
    assert not any(problems_of(lines)), "a line of the benchmark is invalid"

    def check_all(lines: Sequence[bytes]) -> None:
        for start in range(0, len(lines), RECORDS_PER_CALL_MAX):
            problems_of(lines[start : start + RECORDS_PER_CALL_MAX])

    return check_all, lines


def parse_all(lines: Sequence[bytes]) -> None:
    """One `orjson.loads` a line."""
    for line in lines:
        orjson.loads(line)


def cases(records: int) -> dict[str, Case]:
    """What is measured, by name."""
    lines = lines_with_patterns(records)
    module = standard_module("Leads")
    assert module is not None
    found: dict[str, Case] = {
        "orjson.loads": (parse_all, lines),
        "check": warm(module, lines),
        f"check, {FIELDS} fields": warm(many_fields(), lines),
    }
    for name, others in (("Deals", DEALS), ("Quotes", QUOTES)):
        other = standard_module(name)
        if other is not None:
            found[f"orjson.loads, {name}"] = (parse_all, others)
            found[f"check, {name}"] = warm(other, others)
    return found


def cpu_us(case: Case) -> float:
    """CPU microseconds a record, of one pass."""
    run, lines = case
    start = time.process_time_ns()
    run(lines)
    return (time.process_time_ns() - start) / 1000 / len(lines)


def measure(measured: dict[str, Case], rounds: int) -> dict[str, list[float]]:
    """All cases in turn, that many times; collecting garbage is nobody's cost."""
    costs: dict[str, list[float]] = {name: [] for name in measured}
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, case in measured.items():
                costs[name].append(cpu_us(case))
    finally:
        gc.enable()
    return costs


def ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """The median of the rounds' own ratios."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.check", description=__doc__)
    made.add_argument("--quick", action="store_true", help="small, for CI: fewer leads, fewer rounds")
    return made


def main() -> int:
    """Measure, print, compare with the budget."""
    quick = parser().parse_args().quick
    measured = cases(3_000 if quick else 10_000)
    costs = measure(measured, rounds=61 if quick else 101)
    size = statistics.mean(map(len, measured["check"][1]))
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores")
    print(f"leads of {size:.0f} bytes with e-mail, phone and website\n")
    for name, figures in costs.items():
        print(f"{name:24} {statistics.median(figures):6.2f} CPU-us a record")
    for name in ("Deals", "Quotes"):
        if f"check, {name}" in costs:
            share = ratio(costs[f"check, {name}"], costs[f"orjson.loads, {name}"])
            print(f"{name}: {share:.2f} times orjson.loads (no budget: its rules read the record once more)")
    over_orjson = ratio(costs["check"], costs["orjson.loads"])
    many = ratio(costs[f"check, {FIELDS} fields"], costs["check"])
    print(f"\ncheck over orjson.loads {over_orjson:.2f}, budget {OVER_ORJSON_MAX:.2f}")
    print(f"{FIELDS} fields over those of Leads {many:.2f}, budget {MANY_FIELDS_MAX:.2f}")
    return 0 if over_orjson <= OVER_ORJSON_MAX and many <= MANY_FIELDS_MAX else 1


if __name__ == "__main__":
    raise SystemExit(main())
