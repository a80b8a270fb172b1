"""Sentences broken into lines, with commands and paths whole."""

from __future__ import annotations

import pytest

from loader.report.wrapping import wrapped


@pytest.mark.parametrize(
    ("sentence", "whole"),
    [
        ("To load it: loader load a.gz --module Leads --new", "loader load a.gz --module Leads --new"),
        ("First: loader resume a.load, then loader resolve b.load", "loader resume a.load,"),
        ("First: loader resume a.load, then loader resolve b.load", "loader resolve b.load"),
        ("Say it: loader resolve D --as applied --lines 5-9", "loader resolve D --as applied --lines 5-9"),
        ("Look: loader resume '/data/my leads/a.load' and wait", "loader resume '/data/my leads/a.load'"),
        ("Pipe the same bytes again: ... | loader repair a.load", "... | loader repair a.load"),
        ("pipe the same bytes into `loader load` again", "`loader load`"),
        ("An extra: pip install 'crm-bulk-loader[zstd]'", "pip install 'crm-bulk-loader[zstd]'"),
        ("Only for you: chmod 600 /etc/loader/token and again", "chmod 600 /etc/loader/token"),
        ("Raise the limit (ulimit -n 4096), or lower it", "(ulimit -n 4096),"),
        ("To go on: mv /a/b.log /a/c.log", "mv /a/b.log /a/c.log"),
        ("a path /var/spool/customers/2026/leads.ndjson", "/var/spool/customers/2026/leads.ndjson"),
        ("the loader is gone and nothing is lost by that", "nothing"),
    ],
)  # fmt: skip
def test_what_is_there_to_be_copied_stays_whole(sentence: str, whole: str) -> None:
    for width in range(10, 80):
        lines = wrapped(sentence, width=width)
        assert any(whole in line for line in lines), (width, lines)
        assert " ".join(" ".join(lines).split()) == sentence
        assert all(len(line) <= width or len(line) <= len(whole) + 2 or "loader" in line for line in lines)


def test_prose_behind_a_command_is_not_part_of_it() -> None:
    lines = wrapped("loader resume a.load and then something that is long", width=24)
    assert lines[0] == "  loader resume a.load"


def test_a_word_without_end_is_broken_but_loses_nothing() -> None:
    lines = wrapped("w" * 150, width=60)
    assert max(map(len, lines)) == 60
    assert "".join(line.strip() for line in lines) == "w" * 150


def test_nothing_makes_no_line() -> None:
    assert wrapped("", width=80) == wrapped("  ", width=80) == []
