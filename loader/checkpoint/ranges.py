"""Compact sets of line numbers: ascending, non-touching (start, stop) pairs, stop not included.

Pure. A batch's lines are nearly always one pair, so each function is quick for few pairs and correct for
many.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

Ranges = tuple[tuple[int, int], ...]

NONE: Ranges = ()


def from_lines(lines: Sequence[int]) -> Ranges:
    """The set of `lines`, which ascend without repetition.

    Raises:
        ValueError: they do not.
    """
    if not lines:
        return NONE
    if isinstance(lines, range) and lines.step == 1:
        return ((lines.start, lines.stop),)
    pairs: list[tuple[int, int]] = []
    start = previous = lines[0]
    for line in lines[1:]:
        if line <= previous:
            raise ValueError(f"line {line} after line {previous}: lines must ascend")
        if line != previous + 1:
            pairs.append((start, previous + 1))
            start = line
        previous = line
    pairs.append((start, previous + 1))
    return tuple(pairs)


def from_unordered(lines: Iterable[int]) -> Ranges:
    """The set of `lines` in any order, repeated or not."""
    return from_lines(sorted(set(lines)))


def to_lines(ranges: Ranges) -> Sequence[int]:
    """The members, ascending: a `range` where they are contiguous, else a tuple."""
    if not ranges:
        return ()
    if len(ranges) == 1:
        return range(*ranges[0])
    return tuple(chain.from_iterable(range(start, stop) for start, stop in ranges))


def is_sound(ranges: Ranges) -> bool:
    """Whether this is what every other function here may rely on: ascending, not empty, not touching."""
    reached = -1
    for start, stop in ranges:
        if start <= reached or stop <= start:
            return False
        reached = stop
    return True


def count(ranges: Ranges) -> int:
    """How many members the set has."""
    if len(ranges) == 1:
        return ranges[0][1] - ranges[0][0]
    return sum(stop - start for start, stop in ranges)


def contains(ranges: Ranges, line: int) -> bool:
    """Whether `line` is a member."""
    return any(start <= line < stop for start, stop in ranges)


def union(left: Ranges, right: Ranges) -> Ranges:
    """The members of either set."""
    if not left or not right:
        return left or right
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(left + right):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return tuple(merged)


def difference(left: Ranges, right: Ranges) -> Ranges:
    """The members of `left` that are not in `right`."""
    if not right or not left:
        return left
    if left == right:
        return NONE
    kept: list[tuple[int, int]] = []
    cuts = iter(right)
    cut = next(cuts, None)
    for first, stop in left:
        start = first
        while cut is not None and cut[0] < stop:
            if cut[1] > start:
                if cut[0] > start:
                    kept.append((start, cut[0]))
                start = cut[1]
            if cut[1] > stop:
                break  # this cut may reach into the next pair
            cut = next(cuts, None)
        if start < stop:
            kept.append((start, stop))
    return tuple(kept)


def intersection(left: Ranges, right: Ranges) -> Ranges:
    """The members of both sets."""
    if left == right:
        return left
    if not left or not right:
        return NONE
    return difference(left, difference(left, right))


def covers(outer: Ranges, inner: Ranges) -> bool:
    """Whether every member of `inner` is in `outer`."""
    return inner == outer or not difference(inner, outer)


def disjoint(left: Ranges, right: Ranges) -> bool:
    """Whether no member of one set is in the other."""
    return not left or not right or not intersection(left, right)
