"""`loader config show`: every setting, its value, and where that came from."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import click
from click.core import ParameterSource

from loader.cli.configuration import Written, file_settings, misspelt, require_typed, told
from loader.cli.credentials_flag import chosen_store
from loader.cli.help import Command
from loader.cli.layers import PARTS, VARIABLE, Said, of_file, set_aside
from loader.cli.screen import give, give_text, show
from loader.cli.settings_files import paths
from loader.credentials import ENVIRONMENT, NAMES
from loader.errors import UsageError
from loader.keyring_store import entry_of

ADDRESS: Final = "URL"
"""The metavar of settings that are addresses."""
_USERINFO: Final = re.compile(r"^((?:[^/@]*:)?//)?.*@", re.DOTALL)
"""What goes before the last @ of an address, which a load refuses: a name, and perhaps a password."""


@click.group(no_args_is_help=False, short_help="Settings: what they are and where they come from.")
def config() -> None:
    """What is set, by what, and where."""


class Value(NamedTuple):
    """A setting as it counts now."""

    key: str
    value: Any
    """As a file would have it; None: not set."""
    origin: str
    """`default`, `environment` or `file`."""
    where: str
    """The variable, or the file."""
    line: int | None
    variable: str
    commands: list[str]
    otherwise: str
    """What holds while it is not set; may be empty."""

    @property
    def name(self) -> str:
        """Of the parameter."""
        return self.key.replace("-", "_")

    @property
    def place(self) -> str:
        return self.where if self.line is None else f"{self.where}, line {self.line}"

    def without(self, why: str) -> Self:
        """The setting as one that does not count."""
        before = "" if self.origin == "default" else f", before {self.place}"
        return self._replace(value=None, otherwise=why + before)


@config.command("show", cls=Command, short_help="Every setting, its value and where it came from.")
@click.option("--origin", is_flag=True, help="As without: where each came from is always said.")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def show_settings(*, origin: bool, as_json: bool) -> int:  # noqa: ARG001 - accepted; it changes nothing
    """Prints every setting as `loader.toml` would have it, with where it came from; if not set, as a comment.

    A flag goes before the environment, the environment before ./loader.toml, that before the user's file, and
    that before the default. Of credentials it only says whether they are set, and a password in an address
    is not shown. The parts of a target (dc, api-domain, accounts-url) come from one layer: the highest that
    has dc or api-domain. Goes to stdout.
    """
    from loader.cli.known_settings import known  # noqa: PLC0415 - it imports every command

    files = paths(os.environ, Path())
    options = [setting.option for setting in known().values()]
    values = list(_values(file_settings(options, files)))
    try:
        require_typed(os.environ)
        values = _of_one_target(values, files)
    except UsageError as error:  # who asks for the settings is looking for this
        show([f"warning: {error.what}, so every command that needs it ends with exit code 2"])
    show(f"warning: {words}" for words in misspelt(os.environ, options))
    credentials = _credentials(os.environ)
    if as_json:
        told_files = [{"path": str(path), "read": path.is_file()} for path in reversed(files)]
        content = {
            "settings": [value._asdict() for value in values],
            "credentials": credentials,
            "files": told_files,
        }
        give(json.dumps(content).encode())
        return 0
    width = max(len(value.key) for value in values)
    lines = [_line(value, width=width) for value in values]
    lines += ["", "# Credentials are read from: " + credentials["store"]]
    lines += [f"# {name}: {how}" for name, how in credentials["variables"].items()]
    lines += ["", "# Files, the first goes before the second:"]
    lines += [f"# {path}{'' if path.is_file() else ' (there is none)'}" for path in reversed(files)]
    give_text("\n".join(lines))
    return 0


def _values(written: Mapping[str, Written]) -> Iterator[Value]:
    from loader.cli.known_settings import known  # noqa: PLC0415 - as above

    for setting in known().values():
        option, name = setting.option, setting.option.name
        assert name is not None, "an option that a flag names has a name"
        context = click.Context(
            click.Command("show"),
            parent=click.get_current_context(),
            default_map={key: one.value for key, one in written.items()},
        )
        try:
            option.handle_parse_result(context, {}, [])
        except click.MissingParameter:
            pass  # it is not set, and a flag may still say it
        except click.BadParameter as error:
            error.ctx, error.param = context, option
            raise told(error, written) from None
        source = context.get_parameter_source(name)
        value, origin, where, line = setting.default, "default", "default", None
        if source is ParameterSource.ENVIRONMENT:
            value, origin, where = os.environ[setting.variable], "environment", setting.variable
        elif source is ParameterSource.DEFAULT_MAP:
            one = written[name]
            value, origin, where, line = one.value, "file", str(one.path), one.line
        if option.metavar == ADDRESS and isinstance(value, str):
            value = _USERINFO.sub(r"\1(secret)@", value)
        yield Value(
            setting.key, value, origin, where, line, setting.variable, setting.commands, setting.told_default
        )


def _of_one_target(values: Sequence[Value], files: Sequence[Path]) -> list[Value]:
    """The values, but for what a layer above sets aside of a target: that is shown as not set.

    Raises:
        UsageError: one layer names two targets.
    """
    said = {
        value.name: Said(_layer(value, files), value.place)
        for value in values
        if value.name in PARTS and value.origin != "default" and value.value
    }
    aside = set_aside(said)
    if "api_domain" in said and "api_domain" not in aside:
        aside["dc"] = said["api_domain"].place
    return [
        value if value.name not in aside else value.without(f"{aside[value.name]} names the target")
        for value in values
    ]


def _layer(value: Value, files: Sequence[Path]) -> int:
    return VARIABLE if value.origin == "environment" else of_file(Path(value.where), files)


def _line(value: Value, *, width: int) -> str:
    """A line of TOML; what is not set is a comment, so that the whole can be a `loader.toml`."""
    if value.value is None:
        line = f"# {value.key} is not set" + (f": {value.otherwise}" if value.otherwise else "")
    else:
        line = f"{value.key:{width}} = {_toml(value.value)}"
    return f"{line:<{width + 24}}  # {value.place}" if value.value is not None else line


def _toml(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    text = str(value)
    if isinstance(value, bool) or text in ("true", "false"):
        return text.lower()
    return (
        text
        if text.isdecimal() and text.isascii() and len(text) < 16
        else json.dumps(text, ensure_ascii=False)
    )


def _credentials(environment: Mapping[str, str]) -> dict[str, Any]:
    """Where each credential is set; never what it is."""
    store = chosen_store()
    variables = {}
    for name in NAMES:
        if store != ENVIRONMENT:
            variables[name] = f"looked for in the {store}, under {entry_of(name)}"
            continue
        path = environment.get(f"{name}_FILE", "")
        in_file = f"in the file that {name}_FILE names" if path else "not set"
        variables[name] = "set, not shown" if environment.get(name) else in_file
    return {"store": store, "variables": variables}
