"""What a screen can show, by its stream and the environment."""

from __future__ import annotations

import io
import os
import pty
import termios

import pytest

from loader.report import terminal


def stream(encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding)


@pytest.mark.parametrize(
    ("encoding", "environ", "unicode"),
    [
        ("utf-8", {"LANG": "en_GB.UTF-8"}, True),
        ("utf-8", {"LANG": "de_DE.utf8"}, True),
        ("utf-8", {"LC_ALL": "C"}, False),
        ("utf-8", {"LC_ALL": "C", "LANG": "en_GB.UTF-8"}, False),
        ("utf-8", {"LC_ALL": "en_GB.UTF-8", "LANG": "C"}, True),
        ("utf-8", {"LC_CTYPE": "de_DE.UTF-8"}, True),
        ("utf-8", {"LANG": "C", "LC_CTYPE": "C.UTF-8"}, False),
        ("utf-8", {"LANG": "C.UTF-8", "LC_CTYPE": "C.UTF-8"}, True),
        ("utf-8", {}, False),
        ("ascii", {"LANG": "en_GB.UTF-8"}, False),
        ("latin-1", {"LANG": "en_GB.UTF-8"}, False),
        ("utf-8", {"LANG": "de_DE.ISO-8859-1"}, False),
    ],
)
def test_more_than_ascii_needs_a_stream_and_a_locale_of_utf_8(
    encoding: str, environ: dict[str, str], unicode: bool
) -> None:
    assert terminal.takes_unicode(stream(encoding), environ) is unicode


def test_text_in_memory_takes_everything() -> None:
    assert terminal.takes_unicode(io.StringIO(), {})


@pytest.mark.parametrize(
    ("environ", "redraws"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "dumb"}, False),
        ({"TERM": "unknown"}, False),
        ({}, False),
    ],
)
def test_a_block_needs_a_terminal_that_can_move_its_cursor(environ: dict[str, str], redraws: bool) -> None:
    here, there = pty.openpty()
    with os.fdopen(here, "rb"), os.fdopen(there, "w") as opened:
        assert terminal.redraws(opened, environ) is redraws
    assert not terminal.redraws(opened, environ), "closed"
    assert not terminal.redraws(io.StringIO(), environ)


def test_the_terminal_says_its_size_itself() -> None:
    here, there = pty.openpty()
    with os.fdopen(here, "rb"), os.fdopen(there, "w") as opened:
        termios.tcsetwinsize(there, (10, 60))
        assert terminal.size(opened, {"COLUMNS": "200"}) == (60, 10)
        termios.tcsetwinsize(there, (0, 0))
        assert terminal.size(opened, {"COLUMNS": "200", "LINES": "50"}) == (200, 50)
        assert terminal.size(opened, {"COLUMNS": "wide"}) == (80, 24)
    assert terminal.size(io.StringIO(), {}) == (80, 24)


@pytest.mark.parametrize(
    ("environ", "reflows"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "screen", "TMUX": "/a/b,1,2", "STY": "old"}, True),
        ({"TERM": "screen", "STY": "1.tty"}, False),
        ({"TERM": "xterm", "XTERM_VERSION": "XTerm(390)"}, False),
        ({"TERM": "linux"}, False),
    ],
)
def test_terminals_that_break_written_lines_anew(environ: dict[str, str], reflows: bool) -> None:
    assert terminal.reflows(environ) is reflows
