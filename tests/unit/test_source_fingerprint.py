from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from loader.errors import UsageError
from loader.source.fingerprint import InputIdentity, mtime_as_kept


def test_a_file_is_itself_and_known_by_its_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "leads.ndjson"
    path.write_bytes(b"{}\n")
    monkeypatch.chdir(tmp_path)
    identity = InputIdentity.of_path("leads.ndjson")
    assert (identity.kind, identity.name, identity.size) == ("path", str(path), 3)
    assert identity == InputIdentity.of_path(str(path))
    assert msgspec.json.decode(msgspec.json.encode(identity), type=InputIdentity) == identity


def test_a_link_or_another_name_leads_to_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "leads.ndjson"
    path.write_bytes(b"{}\n")
    (tmp_path / "link").symlink_to(path)
    linked = InputIdentity.of_path(str(tmp_path / "link"))
    assert linked.name == str(tmp_path / "link"), "the name that the operator knows"
    assert msgspec.structs.replace(linked, name=str(path)) == InputIdentity.of_path(str(path))


@pytest.mark.parametrize("change", ["append", "touch", "replace"])
def test_a_file_that_was_touched_is_not_taken_for_the_same(tmp_path: Path, change: str) -> None:
    path = tmp_path / "leads.ndjson"
    path.write_bytes(b"{}\n")
    os.utime(path, ns=(10**18, 10**18))
    before = InputIdentity.of_path(str(path))
    match change:
        case "append":
            with path.open("ab") as file:
                file.write(b"\n")
            os.utime(path, ns=(10**18, 10**18))
        case "touch":
            os.utime(path, ns=(10**18, 10**18 + 1))
        case _:
            other = tmp_path / "other"
            other.write_bytes(b"[]\n")
            os.utime(other, ns=(10**18, 10**18))
            other.replace(path)
    assert before != InputIdentity.of_path(str(path))


def test_of_what_cannot_be_read_again_nothing_is_known_but_its_name(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert InputIdentity.of_path(str(fifo)) == InputIdentity("path", str(fifo), 0, 0, 0, 0)
    assert InputIdentity.of_stdin() == InputIdentity("stdin", "-", 0, 0, 0, 0)


@pytest.mark.parametrize("path", ["/nowhere/leads.ndjson", "a\0b"])
def test_a_missing_file_says_so(path: str) -> None:
    with pytest.raises(UsageError) as raised:
        InputIdentity.of_path(path)
    assert raised.value.why
    assert raised.value.hint


def test_a_path_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "leads-\udcff.ndjson"
    path.write_bytes(b"{}\n")
    with pytest.raises(UsageError, match="the name of the input is no text"):
        InputIdentity.of_path(str(path))


@pytest.mark.parametrize("seconds", [10**11, 10**9, 0, -(10**11)])
def test_the_time_of_a_file_fits_into_64_bits_whatever_somebody_set_it_to(seconds: int) -> None:
    told = mtime_as_kept(seconds * 10**9)
    assert -(2**63) < told < 2**63
    assert told == seconds * 10**9 or abs(seconds) == 10**11
