"""Settings from `loader.toml`: here and for the user. Flags and the environment go before them.

A key is a flag's name without its dashes. A key that no flag has is an error: a misspelt limit that is not
obeyed would be found out too late.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from loader.cli.help import Command
from loader.credentials import NAMES as CREDENTIALS
from loader.errors import UsageError

FILE_NAME = "loader.toml"
NOT_IN_FILES = frozenset({"new", "yes", "dry-run"})
"""Flags of one moment: a file that said `new` would start every load over and insert everything twice."""


class ConfiguredCommand(Command):
    """A command whose settings have their defaults in `loader.toml`."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if not {"-h", "--help"} & set(args):
            extra["default_map"] = file_settings(self.params, paths(os.environ, Path()))
        return super().make_context(info_name, args, parent, **extra)


def paths(environment: Mapping[str, str], here: Path) -> list[Path]:
    """Where settings may be, the weaker first."""
    configured = environment.get("XDG_CONFIG_HOME", "")
    home = Path(configured) if configured else Path(environment.get("HOME", "/")) / ".config"
    return [home / "loader" / FILE_NAME, here / FILE_NAME]


def file_settings(parameters: Sequence[click.Parameter], files: Sequence[Path]) -> dict[str, Any]:
    """What the files say, by parameter name; a later file goes before an earlier one.

    Raises:
        UsageError: a file that cannot be read, or a key or value that no flag takes.
    """
    options = _keys(parameters)
    settings: dict[str, Any] = {}
    for path in files:
        for key, value in _read(path).items():
            option = options.get(key.replace("_", "-"))
            if option is None:
                raise _unknown(key, path, options)
            if isinstance(value, (dict, list)) and not (option.multiple and _is_list_of_texts(value)):
                what = "a list of texts" if option.multiple else "a single value"
                raise UsageError(f"{path}: {key} is {what}", why="a table or a list stands there")
            assert option.name is not None, "an option that a flag names has a name"
            settings[option.name] = value
            if option.multiple and not isinstance(value, list):
                settings[option.name] = [value]
            elif value == []:
                # The same as naming nothing on the command line: the option says what it makes of that.
                settings[option.name] = [""]
    return settings


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _keys(parameters: Sequence[click.Parameter]) -> dict[str, click.Option]:
    """Key in the file -> the option."""
    flags = (
        (flag.removeprefix("--"), parameter)
        for parameter in parameters
        if isinstance(parameter, click.Option) and parameter.name
        for flag in parameter.opts
        if flag.startswith("--")
    )
    return {flag: option for flag, option in flags if flag not in NOT_IN_FILES and flag != "help"}


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise UsageError(f"cannot read {path}", why=error.strerror or str(error)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML", why=str(error)) from error


def _unknown(key: str, path: Path, names: Collection[str]) -> UsageError:
    wanted = key.replace("_", "-").lower()
    if wanted in NOT_IN_FILES:
        return UsageError(
            f"{path}: {key} cannot be set for good", why="it is meant for one run: type it as a flag"
        )
    if any(wanted in name.lower().replace("_", "-") for name in CREDENTIALS):
        return UsageError(
            f"{path}: credentials do not belong into this file",
            hint=f"Set {', '.join(CREDENTIALS[:3])} in the environment, or files with ..._FILE",
        )
    near = difflib.get_close_matches(wanted, names, n=1)
    hint = f"Did you mean {near[0]}?" if near else "The keys are the flags of: loader load --help"
    return UsageError(f"{path}: there is no setting {key!r}", hint=hint)
