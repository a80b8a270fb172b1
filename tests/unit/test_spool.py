"""The spool of stdin's lines: what was kept comes back, what is torn does not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from loader.errors import DiskError
from loader.source.spool import Spool, spooled


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stdin-lines"


def keep(path: Path, *lines: tuple[int, bytes]) -> None:
    spool = Spool(path)
    for line, raw in lines:
        spool.keep(line, raw)
    spool.close()


def read(path: Path, *wanted: int) -> dict[int, bytes]:
    return {one.line: one.raw for one in spooled(path, wanted)}


def test_lines_come_back_byte_for_byte_in_the_order_that_is_asked_for(path: Path) -> None:
    keep(path, (7, b'{"a":1}'), (3, b"\xff\x00\r"), (9, b""))
    assert list(read(path, 3, 7, 9).items()) == [(3, b"\xff\x00\r\n"), (7, b'{"a":1}\n'), (9, b"\n")]


def test_lines_that_were_not_kept_are_left_out(path: Path) -> None:
    keep(path, (2, b"two"))
    assert read(path, 1, 2, 3) == {2: b"two\n"}


def test_the_last_copy_of_a_line_counts(path: Path) -> None:
    keep(path, (1, b"first"), (1, b"second"))
    assert read(path, 1) == {1: b"second\n"}


def test_a_later_run_adds_to_what_is_there(path: Path) -> None:
    keep(path, (1, b"one"))
    keep(path, (2, b"two"))
    assert read(path, 1, 2) == {1: b"one\n", 2: b"two\n"}


def test_only_its_owner_may_read_it(path: Path) -> None:
    keep(path, (1, b"one"))
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("cut", range(1, 19))
def test_a_torn_last_line_is_not_given_out_and_hides_no_line_kept_later(path: Path, cut: int) -> None:
    keep(path, (1, b"one"), (2, b"two"))
    assert path.stat().st_size == 2 * 19
    os.truncate(path, path.stat().st_size - cut)
    assert read(path, 1, 2) == {1: b"one\n"}
    keep(path, (3, b"three"))
    assert read(path, 1, 2, 3) == {1: b"one\n", 3: b"three\n"}


@pytest.mark.parametrize("place", [0, 8, 12, 18])
def test_a_damaged_line_is_never_given_out_wrong(path: Path, place: int) -> None:
    keep(path, (1, b"one"))
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(raw)
    assert read(path, 0, 1) == {}


def test_a_full_disk_is_told_with_a_way_on(path: Path) -> None:
    spool = Spool(path)
    spool.close()
    full = os.open("/dev/full", os.O_WRONLY)
    spool._descriptor = full
    with pytest.raises(DiskError, match="cannot keep lines of stdin") as raised:
        spool.keep(1, b"one")
    assert "No space" in raised.value.why
    assert raised.value.hint
    os.close(full)


def test_a_short_write_is_completed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    spool = Spool(path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:5]))
        spool.keep(1, b"a line that takes several writes")
    spool.close()
    assert read(path, 1) == {1: b"a line that takes several writes\n"}


def test_lines_are_read_while_they_are_asked_for(path: Path) -> None:
    keep(path, *((line, b"x" * line) for line in range(1, 50)))
    asked: list[int] = []

    def wanted() -> Iterator[int]:
        for line in range(1, 50):
            asked.append(line)
            yield line

    given = spooled(path, wanted())
    assert next(given).line == 1
    assert asked == [1]


def test_a_place_that_cannot_be_written_is_a_disk_error(tmp_path: Path) -> None:
    with pytest.raises(DiskError):
        Spool(tmp_path / "missing" / "stdin-lines")
