"""Original lines once more: byte for byte, however the file is stored and wherever its reads end."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from loader.errors import DiskError
from loader.source import lookup
from loader.source.lines import BOM
from loader.source.lookup import lines_of

CONTENT = b'{"a":1}\n{"b":2}\r\n\n{"c":3}\n{"d":4}'


def read(path: Path, *wanted: int, line_bytes_max: int = 1000) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for one in lines_of(str(path), line_bytes_max=line_bytes_max)(wanted):
        found[one.line] = found.get(one.line, b"") + one.raw
    return found


def offsets(path: Path, *wanted: int, line_bytes_max: int = 1000) -> dict[int, int]:
    found: dict[int, int] = {}
    for one in lines_of(str(path), line_bytes_max=line_bytes_max)(wanted):
        found.setdefault(one.line, one.offset)
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "leads.ndjson"


@pytest.fixture(params=[1, 2, 3, 7, 262_144], ids=lambda size: f"reads of {size}")
def read_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(lookup, "COMPRESSED_READ_BYTES", request.param)
    size: int = request.param
    return size


@pytest.mark.usefixtures("read_size")
class TestWhereverReadsEnd:
    def test_each_line_comes_with_its_own_line_end_if_it_has_one(self, path: Path) -> None:
        path.write_bytes(CONTENT)
        assert read(path, 1, 2, 3, 4, 5) == {
            1: b'{"a":1}\n',
            2: b'{"b":2}\r\n',
            3: b"\n",
            4: b'{"c":3}\n',
            5: b'{"d":4}',
        }
        assert offsets(path, 1, 2, 3, 4, 5) == {1: 0, 2: 8, 3: 17, 4: 18, 5: 26}

    def test_only_the_wanted_lines_are_given(self, path: Path) -> None:
        path.write_bytes(CONTENT)
        assert read(path, 2, 5, 6, 900) == {2: b'{"b":2}\r\n', 5: b'{"d":4}'}
        assert offsets(path, 2, 5, 6, 900) == {2: 8, 5: 26}
        assert offsets(path, 4) == {4: 18}

    def test_gzip_gives_the_content(self, path: Path) -> None:
        path.write_bytes(gzip.compress(CONTENT[:3]) + gzip.compress(CONTENT[3:]))
        assert read(path, 1, 4) == {1: b'{"a":1}\n', 4: b'{"c":3}\n'}

    def test_a_byte_order_mark_belongs_to_no_line(self, path: Path) -> None:
        path.write_bytes(BOM + CONTENT)
        assert read(path, 1, 2) == {1: b'{"a":1}\n', 2: b'{"b":2}\r\n'}
        assert offsets(path, 1, 2) == {1: 3, 2: 11}

    def test_an_overlong_line_comes_in_pieces_that_are_all_of_it(self, path: Path) -> None:
        path.write_bytes(b'{"a":1}\n' + b"x" * 5000 + b"\r\n" + b"last\n")
        assert read(path, 1, 2, 3, line_bytes_max=50) == {
            1: b'{"a":1}\n',
            2: b"x" * 5000 + b"\r\n",
            3: b"last\n",
        }
        assert offsets(path, 1, 2, 3, line_bytes_max=50) == {1: 0, 2: 8, 3: 5010}

    def test_an_overlong_line_may_be_the_first_the_last_and_the_only_one(self, path: Path) -> None:
        path.write_bytes(b"y" * 300)
        assert read(path, 1, line_bytes_max=50) == {1: b"y" * 300}

    def test_an_overlong_line_behind_a_byte_order_mark_starts_after_it(self, path: Path) -> None:
        path.write_bytes(BOM + b"y" * 300 + b"\nz\n")
        assert read(path, 1, 2, line_bytes_max=50) == {1: b"y" * 300 + b"\n", 2: b"z\n"}
        assert offsets(path, 1, 2, line_bytes_max=50) == {1: 3, 2: 304}


def test_a_first_gzip_member_of_two_bytes_loses_none_of_them(path: Path) -> None:
    line = b'{"a":"' + b"x" * 500 + b'"}\n'
    path.write_bytes(gzip.compress(line[:2]) + gzip.compress(line[2:]))
    assert read(path, 1, line_bytes_max=50) == {1: line}


def test_an_empty_file_has_no_line(path: Path) -> None:
    path.write_bytes(b"")
    assert read(path, 1) == {}


def test_a_file_is_not_opened_where_nothing_is_wanted(path: Path) -> None:
    assert read(path) == {}


def test_a_file_that_is_gone_is_a_disk_error_that_names_it(path: Path) -> None:
    with pytest.raises(DiskError, match=r"leads\.ndjson") as raised:
        read(path, 1)
    assert "No such file" in raised.value.why
