"""Small parts that keep hostile input, servers and clocks from doing harm; whole loads are a scenario."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest

from loader.connection import SteadyClock
from loader.errors import InputChangedError, UsageError
from loader.outcomes import Outcome
from loader.report import export, formats
from loader.report.text import printable
from loader.source.streams import open_input
from loader.wire.messages import HttpReply
from loader.wire.oauth import TokenRefused, TokenThrottled, read_token


@pytest.mark.parametrize("jump_s", [-86_400, -1, 1, 86_400])
def test_a_wall_clock_that_is_set_does_not_move_the_steady_clock(jump_s: float) -> None:
    wall, running = [1_700_000_000.0], [50.0]
    clock = SteadyClock(wall=lambda: wall[0], running=lambda: running[0])
    assert clock() == 1_700_000_000.0
    wall[0] += jump_s
    assert clock() == 1_700_000_000.0
    running[0] += 30
    assert clock() == 1_700_000_030.0


def test_the_steady_clock_of_this_machine_goes_on() -> None:
    clock = SteadyClock()
    assert 0 <= clock() - clock() + 1 <= 1


@pytest.mark.parametrize(
    "content",
    [b"[1]\n", b"[", b"[]", b'["{"]\n', b'{"a":[{}]}\n', b"\n\n{}\n[{}]\n", b" " * 5000 + b"[{}]", b""],
)
async def test_what_does_not_begin_an_array_of_objects_is_lines(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "leads.ndjson"
    path.write_bytes(content)
    async with await open_input(str(path)) as stream:
        assert await stream.read() == content


async def test_an_array_is_refused_at_the_start_of_the_input_only(tmp_path: Path) -> None:
    path = tmp_path / "leads.ndjson"
    path.write_bytes(b"{}\n" + b"[{}]\n")
    async with await open_input(str(path)) as stream:
        await stream.seek(3)
        assert await stream.read() == b"[{}]\n"
    path.write_bytes(b"[{}]\n")
    with pytest.raises(UsageError, match="cannot read"):
        await open_input(str(path))


async def test_a_file_that_shrank_never_ends(tmp_path: Path) -> None:
    path = tmp_path / "leads.ndjson"
    path.write_bytes(b"x" * 3_000_000)
    async with await open_input(str(path)) as stream:
        got = len(await stream.read())
        os.truncate(path, got + 10)
        assert len(await stream.read()) == 10
        for _ in range(2):
            with pytest.raises(InputChangedError) as raised:
                await stream.read()
    assert f"had 3,000,000 bytes, and now ends after {got + 10:,}" in raised.value.why


async def test_a_file_that_grows_is_read_to_where_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "leads.ndjson"
    path.write_bytes(b"a\n")
    async with await open_input(str(path)) as stream:
        with path.open("ab") as more:
            more.write(b"b\n")
        assert await stream.read() + await stream.read() == b"a\nb\n"


FOREIGN = "".join(map(chr, (*range(0x20), 0x22, 0x5C, *range(0x7F, 0xA1), 0x61C, *range(0x2000, 0x2070))))
FOREIGN += "\ufeffжш語😀"


def test_results_hold_nothing_that_a_terminal_would_obey_and_every_text_comes_back() -> None:
    row = export.Result(line=1, outcome=Outcome.REJECTED, message=FOREIGN, key=FOREIGN)
    for form, line_end in ((formats.Format.NDJSON, "\n"), (formats.Format.CSV, "\r\n")):
        out = io.BytesIO()
        formats.write_results([row, row], out, form)
        lines = out.getvalue().decode()
        assert printable(lines.replace(line_end, "")) == lines.replace(line_end, "")
        if form is formats.Format.NDJSON:
            assert [json.loads(line)["message"] for line in lines.splitlines()] == [FOREIGN] * 2


@pytest.mark.parametrize("error", ["invalid_code", "Access Denied", "unauthorized-client"])
def test_the_token_service_s_own_words_are_told(error: str) -> None:
    answer = read_token(HttpReply(200, json.dumps({"error": error}).encode(), {}, 0.0))
    assert error in (answer.error if isinstance(answer, TokenRefused) else str(answer))


@pytest.mark.parametrize("error", ["1000.aa.bb", "x" * 61, "an\nend", "secret=abc"])
@pytest.mark.parametrize("status", [200, 503])
def test_what_is_no_word_of_the_token_service_is_not_told(error: str, status: int) -> None:
    answer = read_token(HttpReply(status, json.dumps({"error": error}).encode(), {}, 0.0))
    assert isinstance(answer, TokenRefused | TokenThrottled)
    assert error not in repr(answer)
    assert isinstance(answer, TokenThrottled) is (status == 503)
