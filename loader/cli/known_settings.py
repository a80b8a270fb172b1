"""Every setting there is: the flags that may also stand in the environment and in `loader.toml`.

All commands are imported for it, so nothing that a load needs asks here unless something is wrong.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import click

from loader.cli.configuration import configured_commands, keys
from loader.cli.parameters import DURATION, example

_TOLD_DEFAULT = re.compile(r"\s*\[default: (.+)\]")


class Setting(NamedTuple):
    """A setting, and where it counts."""

    key: str
    option: click.Option
    commands: list[str]

    @property
    def variable(self) -> str:
        return str(self.option.envvar)

    @property
    def help(self) -> str:
        """What it is, without its default."""
        return _TOLD_DEFAULT.sub("", self.option.help or "").strip()

    @property
    def example(self) -> str:
        """A line of a file."""
        value = example(self.option)
        plain = self.option.is_flag or value.isdecimal()
        return f"{self.key} = {value}" if plain else f'{self.key} = "{value}"'

    @property
    def told_default(self) -> str:
        """What the help says of its default; empty: nothing."""
        told = _TOLD_DEFAULT.search(self.option.help or "")
        return told[1] if told else ""

    @property
    def default(self) -> str | int | float | bool | None:
        """As a file would have it; None: nothing that could stand in one."""
        value = self.option.to_info_dict()["default"]
        if isinstance(value, float) and self.option.type is DURATION:
            return self.told_default or f"{value:g}s"
        if isinstance(self.option.type, click.Choice) and self.told_default:
            return self.told_default
        return value if isinstance(value, (str, int, float)) and value != "" else None


def known() -> dict[str, Setting]:
    """Settings by key, in the order of the commands that have them."""
    found: dict[str, Setting] = {}
    for name, command in configured_commands():
        for key, option in keys(command.params).items():
            if option.hidden:
                continue
            found.setdefault(key, Setting(key, option, [])).commands.append(name)
    return found
