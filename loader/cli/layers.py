"""Which layer names the target: a flag, a variable, ./loader.toml or the user's file. Pure.

Other settings are each taken from the highest layer that has them. The parts of a target belong together: a
data centre of one layer and the address of another would be a target that nobody has named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from loader.errors import UsageError

ACCOUNTS_URL: Final = "accounts_url"
TARGETS: Final = ("dc", "api_domain")
"""Each of them names a target; `accounts_url` completes one."""
PARTS: Final = (*TARGETS, ACCOUNTS_URL)


FLAG: Final = 0
VARIABLE: Final = 1


def of_file(path: Path, files: Sequence[Path]) -> int:
    """The layer of a settings file; of `files` the weaker come first."""
    return VARIABLE + len(files) - files.index(path)


class Said(NamedTuple):
    """Where a part of the target is set."""

    layer: int
    """The lower the number, the sooner it counts."""
    place: str
    """A flag, a variable, or a key with its file."""


def set_aside(said: Mapping[str, Said]) -> dict[str, str]:
    """The parts that do not count, each with the place that names the target in their stead.

    Raises:
        UsageError: the highest layer that names a target names two.
    """
    naming = [said[name] for name in TARGETS if name in said]
    if not naming:
        return {}
    first = min(naming)
    places = [one.place for one in naming if one.layer == first.layer]
    if len(places) > 1:
        raise UsageError(f"{' and '.join(places)} name two targets", hint="Give one of them.")
    return {name: first.place for name, one in said.items() if one.layer > first.layer}
