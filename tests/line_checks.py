"""Checks for a cutter, made of what is wrong with one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from loader.schema.problems import Problem
from loader.source.batches import Check


def line_by_line(check: Callable[[bytes], Sequence[Problem]]) -> Check:
    """A check of many lines out of a check of one."""
    return lambda lines: [check(line) for line in lines]


nothing_wrong: Check = line_by_line(lambda _: ())
