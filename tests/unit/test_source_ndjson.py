"""What is refused as a whole because it is no NDJSON, and what is loaded though lines of it are bad."""

from __future__ import annotations

from pathlib import Path

import pytest

from loader.errors import UsageError
from loader.source.ndjson import require_objects
from loader.source.streams import open_input

RECORD = b'{"Last_Name":"a"}\n'

OTHER_KINDS = {
    "CSV": (
        b"Last_Name,Company\nAda,Acme\n",
        ", as in CSV: Last_Name,Company",
        "mlr --icsv --ojsonl cat f | ",
    ),
    "CSV with semicolons": (
        b"Last_Name;Company\nAda;Acme\n",
        "as in CSV",
        "mlr --icsv --ifs semicolon --ojsonl",
    ),
    "a table with tabs": (b"Last_Name\tCompany\nAda\tAcme", "as in CSV", "mlr --icsv --ifs tab --ojsonl"),
    "quoted CSV behind a byte order mark": (b'\xef\xbb\xbf"a","b"\n"c","d"\n', 'as in CSV: "a","b"', "mlr"),
    "CSV behind blank lines": (b"\n \r\na,b\r\nc,d\r\n", "as in CSV: a,b", "mlr"),
    "long lines": (b"a," + b"x" * 5000 + b"\nb,c\n", "as in CSV: a," + "x" * 58 + " ...", "mlr"),
}


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_an_input_without_an_object_is_refused_as_what_it_looks_like(kind: str) -> None:
    content, looks, todo = OTHER_KINDS[kind]
    with pytest.raises(UsageError, match="f is not NDJSON") as raised:
        require_objects(content, "f", whole=True)
    assert raised.value.why.endswith(looks) or looks in raised.value.why
    assert todo in raised.value.hint


LOADED = {
    "nothing": b"",
    "blank lines": b"\n \n",
    "records": RECORD * 2,
    "a bad line before a record": b"a,b\n" + RECORD,
    "bad lines before a record that is cut": b"a,b\nc,d\n" + RECORD[:5],
    "a record that is no JSON": b"{'Last_Name':'a'}\n",
    "a list before what may be a record": b'["a"]\n["b"]\n',
    "XML": b"<leads>\n<lead/>\n</leads>\n",
    "one line of text": b"Last_Name",
    "lines of text, with a comma here and there": b"garbage\nmore, of it\n",
    "a byte order mark in the middle": b"a,b\n\xef\xbb\xbf" + RECORD,
}


@pytest.mark.parametrize("kind", LOADED)
def test_an_input_of_which_some_lines_may_be_records_is_loaded(kind: str) -> None:
    require_objects(LOADED[kind], "f", whole=True)


@pytest.mark.parametrize("content", [b"a,b\n", b"starting\nstarted\n", b"a,b\nc"])
def test_the_first_words_of_a_program_are_not_taken_for_all_that_it_will_write(content: bytes) -> None:
    require_objects(content, "-", whole=False)


def test_a_table_that_is_piped_is_told_with_what_makes_lines_of_it() -> None:
    with pytest.raises(UsageError, match="stdin is not NDJSON") as raised:
        require_objects(b"a,b\nc,d\n", "-", whole=False)
    assert "\nmlr --icsv --ojsonl cat | loader load - " in raised.value.hint


async def test_what_was_looked_at_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(RECORD * 3)
    async with await open_input(str(path)) as stream:
        await stream.require_objects()
        assert await stream.read() == RECORD * 3
        assert await stream.read() == b""
