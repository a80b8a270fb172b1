from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
import pytest

from loader.schema.check import Checker
from loader.schema.modules import standard_module
from loader.schema.patterns import is_email, is_phone, is_url


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("p.daly@example.com", True),
        ("Mike.O'Leary+crm@mail.example.co.uk", True),
        ("_@a.bc", True),
        ("jörg@müller.de", True),
        ("用户@例子.中国", True),
        ("a@b-c_d.ef", True),
        ("a..b@c.de", True),
        ("", False),
        ("nobody", False),
        (".a@b.cd", False),
        ("a@b", False),
        ("a@b.c", False),
        ("a@b.c1", False),
        ("a@-b.cd", False),
        ("a@b-.cd", False),
        ("a@b..cd", False),
        ("a@@b.cd", False),
        ("a b@c.de", False),
        ("a@b.cd ", False),
        ("a@b.cd\n", False),
        ("a@b.c€", False),
        ("a@" + "b" * 253 + ".cd", True),
        ("a@" + "b" * 254 + ".cd", False),
        ("a@b." + "c" * 22, True),
        ("a@b." + "c" * 23, False),
    ],
)
def test_emails(text: str, fine: bool) -> None:
    assert is_email(text) is fine


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("9900000000", True),
        ("91(987)654321", True),
        ("+49 221 0309677", True),
        ("(555) 123-4567", True),
        ("+1 (555) 123-4567", True),
        ("1-800-FLOWERS", True),
        ("555. 123- 4567", True),
        ("555 1234,,5;6#7#", True),
        ("1;", True),
        ("", False),
        ("+", False),
        (".1", False),
        ("-1", False),
        ("1..2", False),
        ("1--2", False),
        ("1/2", False),
        ("(555", False),
        ("()", False),
        ("(1).2", False),
        ("1#2,3", False),
        ("1\n", False),
        ("\u0663", False),
    ],
)
def test_phones(text: str, fine: bool) -> None:
    assert is_phone(text) is fine


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("www.example.com", True),
        ("example.com", True),
        ("https://example.com/a b?c#d", True),
        ("ftp://www.example.com", True),
        ("http://kunde.example:8080/x", True),
        ("müller.example", True),
        ("example.com?any thing", True),
        ("", False),
        ("localhost", False),
        ("http://localhost/", False),
        ("HTTP://example.com", False),
        ("mailto:a@b.cd", False),
        ("a..b", False),
        ("a.b.", False),
        (".a.b", False),
        ("a.b/\nx", False),
        ("www.com", True),
    ],
)
def test_websites(text: str, fine: bool) -> None:
    assert is_url(text) is fine


HOSTILE = {
    is_email: ("a", "a@", "a.", "a@a.", "a@" + "a-" * 20, "a-", "é", "a@é."),
    is_phone: (
        "1",
        "1 ",
        "1  ",
        "1.",
        "1- ",
        "(1)",
        " (1)-1",
        ",1",
        ",,",
        "1;",
        "  1 1. 1",
        "  1.1.1. 1",
        "1 (",
        "#1",
    ),
    is_url: ("a", "a.", "www.", "a?", "a./", "http://", "a.b?", ".?", "@", "é."),
}
ATTACKS = [(function, unit) for function, units in HOSTILE.items() for unit in units]


def cpu_s(call: Callable[[], object]) -> float:
    """The least of several: what else the machine does only adds."""
    least = 1e9
    for _ in range(7):
        started = time.process_time_ns()
        call()
        least = min(least, (time.process_time_ns() - started) / 1e9)
    return least


def attack(unit: str, length: int) -> str:
    """As far as it can be read, then a character that nothing takes."""
    return ("1a" + unit * length)[:length] + "\n"


@pytest.mark.parametrize(
    ("function", "unit"), ATTACKS, ids=lambda value: getattr(value, "__name__", repr(value))
)
def test_a_hostile_value_costs_no_more_than_its_length(function: Callable[[str], bool], unit: str) -> None:
    short, long = attack(unit, 30_000), attack(unit, 120_000)
    assert not function(short)
    # Four times the length; a square would be sixteen times the cost.
    assert cpu_s(lambda: function(long)) < 8 * cpu_s(lambda: function(short)) + 0.002
    # The reference looks at each character once, in the interpreter.
    assert cpu_s(lambda: function(short)) < 20 * cpu_s(lambda: [ord(char) for char in short])


@pytest.mark.parametrize("name", ["Email", "Phone", "Website", "Referrer"])
def test_a_hostile_value_of_thirty_kilobytes_in_a_record_is_refused_by_its_length(name: str) -> None:
    module = standard_module("Leads")
    assert module is not None
    checker = Checker(module)
    for unit in ("a@", "1  ", "a.", "a@a."):
        hostile = msgspec.json.encode({"Last_Name": "x", name: unit * (30_000 // len(unit))})
        reference = msgspec.json.encode({"Last_Name": "x", "Company": unit * (30_000 // len(unit))})
        assert [problem.maximum_length is not None for problem in checker.problems(hostile)] == [True]
        spent = cpu_s(lambda line=hostile: checker.problems(line))  # type: ignore[misc]
        assert spent < 3 * cpu_s(lambda line=reference: checker.problems(line)) + 0.0005  # type: ignore[misc]
