"""The source's own key in a record, and which keys are open."""

from __future__ import annotations

import anyio
import pytest

from loader.delivery.keys import KeyReader, OpenKeys, at_lines, fold, subset
from loader.records import Attempt
from tests import virtual_time

FOLDED = {
    "as it stands": ("a@x.eu", "a@x.eu"),
    "blanks around it": (" \ta@x.eu\n", "a@x.eu"),
    "capitals": ("A@X.EU", "a@x.eu"),
    "a letter that case-folds to two": ("STRASSE", fold("straße")),
    "a number": (7, "7"),
    "a number that is zero": (0, "0"),
    "a number with a point that is whole": (7.0, "7"),
    "a number that is not whole": (7.5, "7.5"),
    "nothing": (None, ""),
    "blanks": ("  ", ""),
    "a boolean": (True, ""),
    "a list": (["a"], ""),
    "an object": ({"id": "1"}, ""),
}


@pytest.mark.parametrize("row", FOLDED)
def test_a_key_is_compared_trimmed_and_case_folded(row: str) -> None:
    value, expected = FOLDED[row]
    assert fold(value) == expected


RAW = {
    "text": (b'{"Email":"A@x.eu ","Last_Name":"b"}', "a@x.eu"),
    "number": (b'{"Email":12}', "12"),
    "escaped": (b'{"Email":"\\u0041@x.eu"}', "a@x.eu"),
    "absent": (b'{"Last_Name":"b"}', ""),
    "null": (b'{"Email":null}', ""),
    "another case of the field's name": (b'{"email":"a@x.eu"}', ""),
    "given twice, the last one counts": (b'{"Email":"a@x.eu","Email":"b@x.eu"}', "b@x.eu"),
    "no object": (b'["Email"]', ""),
    "broken": (b'{"Email":"a', ""),
    "invalid UTF-8": (b'{"Email":"\xff"}', ""),
    "nested deeply": (b'{"x":' + b"[" * 100_000, ""),
}


@pytest.mark.parametrize("row", RAW)
def test_the_key_of_a_raw_line(row: str) -> None:
    raw, expected = RAW[row]
    assert KeyReader("Email").read(raw) == expected


def test_a_field_whose_name_is_a_word_of_the_language_can_be_the_key() -> None:
    assert KeyReader("class").read(b'{"class":"x"}') == "x"
    assert KeyReader("value").read(b'{"value":"y"}') == "y"


def attempt(*emails: str | None, first: int = 1) -> Attempt:
    lines = range(first, first + len(emails))
    records = [b"{}" if email is None else b'{"Email":"%s"}' % email.encode() for email in emails]
    return Attempt(1, 1, lines, records)


def test_a_key_that_is_open_waits_and_is_free_again_when_released() -> None:
    async def main() -> None:
        keys = OpenKeys(KeyReader("Email"))
        first, none = keys.claim(attempt("a", "b"))
        assert (list(first.lines), list(none.lines)) == ([1, 2], [])
        now, later = keys.claim(attempt("B", "c", first=3))
        assert (list(now.lines), list(later.lines)) == ([4], [3])
        keys.release(first)
        now, later = keys.claim(later)
        assert (list(now.lines), list(later.lines)) == ([3], [])

    virtual_time.run(main)


def test_within_one_attempt_the_first_record_of_a_key_goes_and_the_others_wait() -> None:
    async def main() -> None:
        now, later = OpenKeys(KeyReader("Email")).claim(attempt("a", "A ", "b", "a"))
        assert (list(now.lines), list(later.lines)) == ([1, 3], [2, 4])
        assert list(later.records) == [b'{"Email":"A "}', b'{"Email":"a"}']

    virtual_time.run(main)


def test_a_record_without_a_key_never_waits() -> None:
    async def main() -> None:
        keys = OpenKeys(KeyReader("Email"))
        for _ in range(2):
            now, later = keys.claim(attempt(None, None))
            assert (len(now.lines), len(later.lines)) == (2, 0)

    virtual_time.run(main)


def test_a_release_wakes_those_that_wait() -> None:
    async def main() -> None:
        keys = OpenKeys(KeyReader("Email"))
        first, _ = keys.claim(attempt("a"))
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(keys.wait_for_release)
            await anyio.sleep(5)
            keys.release(first)
        assert anyio.current_time() == pytest.approx(5, abs=0.01)

    virtual_time.run(main)


def test_a_subset_keeps_lines_and_records_together() -> None:
    whole = attempt("a", "b", "c")
    part = subset(whole, [0, 2])
    assert (list(part.lines), list(part.records)) == ([1, 3], [whole.records[0], whole.records[2]])
    assert at_lines(whole, [3, 1]) == part
    assert subset(whole, range(3)) is whole
    assert list(subset(whole, []).lines) == []


def test_a_subset_of_an_attempt_without_bytes_has_no_lines() -> None:
    assert list(subset(Attempt(1, 2, [4, 5], (), True, 1.0), ()).lines) == []
