"""Numbers, times and foreign text on a screen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.report import text


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        pytest.param("plain Łódź 東京", "plain Łódź 東京", id="letters stay"),
        pytest.param("\x1b[31mred\x1b]0;t\x07", "\\x1b[31mred\\x1b]0;t\\x07", id="ansi and osc"),
        pytest.param("a\r\nb\tc\x9bd", "a\\x0d\\x0ab\\x09c\\x9bd", id="controls, C1 too"),
        pytest.param("evil\u202etxt.exe", "evil\\u202etxt.exe", id="bidi override"),
        pytest.param("\ud800", "\\ud800", id="lone surrogate"),
    ],
)
def test_a_terminal_never_gets_what_it_would_obey(given_text: str, shown: str) -> None:
    assert text.printable(given_text) == shown


@given(st.text())
def test_printable_text_is_one_line_without_controls(anything: str) -> None:
    shown = text.printable(anything)
    assert "\x1b" not in shown
    assert len(shown.splitlines()) <= 1
    shown.encode()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0.00 s"),
        (9.99, "9.99 s"),
        (9.996, "10.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 m 00 s"),
        (245, "4 m 05 s"),
        (11464, "3 h 11 m 04 s"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert text.duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (40, "40 s"), (60, "1 m"), (61, "2 m"), (4300, "1 h 12 m"), (270_000, "3 d 3 h")],
)
def test_times_left(seconds: float, words: str) -> None:
    assert text.time_left(seconds) == words


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [
        (1, 4, "25.00 %"),
        (9_999_999, 10_000_000, "99.99 %"),
        (10_000_000, 10_000_000, "100.00 %"),
        (1, 10_000_000, "<0.01 %"),
        (0, 5, "0.00 %"),
        (0, 0, ""),
    ],
)
def test_a_share_never_rounds_to_all_or_to_nothing(part: int, whole: int, words: str) -> None:
    assert text.share(part, whole) == words


@given(st.lists(st.text("abc XYZ", min_size=1), min_size=1), st.integers(20, 80), st.integers(1, 4))
def test_packed_items_keep_to_width_and_lines(items: list[str], width: int, lines_max: int) -> None:
    lines = text.packed(items, width=width, lines_max=lines_max)
    assert 1 <= len(lines) <= lines_max
    assert all(len(line) <= width for line in lines)


def test_packed_items_say_how_many_are_left_out() -> None:
    items = ["one", "two", "three", "four", "five", "six"]
    assert text.packed(items, width=14, lines_max=2) == ["one · two", "three · 3 more"]
