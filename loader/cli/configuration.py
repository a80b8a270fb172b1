"""Settings from `loader.toml`: here and for the user. Flags and the environment go before them.

A key is a flag's name without its dashes. A key that no flag has is an error: a misspelt limit that is not
obeyed would be found out too late. A misspelt variable is a warning: the environment is not ours alone.
"""

from __future__ import annotations

import difflib
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
from click.core import ParameterSource

from loader.cli import layers
from loader.cli.help import Command
from loader.cli.parameters import environment_variable, example, is_setting
from loader.cli.screen import show
from loader.cli.settings_files import line_of, paths, read
from loader.credentials import NAMES as CREDENTIALS
from loader.credentials import OTHER_NAMES
from loader.errors import UsageError

FOR_ONE_RUN = ("new", "yes")
"""Flags that are typed: a file that said `new` would start every load over and insert everything twice."""
PREFIX = "LOADER_"
_WRITTEN = f"{__name__}.written"
_NEAR = 0.75


class Written(NamedTuple):
    """A value as a file has it, in the form that a command line would have it in."""

    value: Any
    path: Path
    line: int | None

    @property
    def place(self) -> str:
        return str(self.path) if self.line is None else f"{self.path}, line {self.line}"


class ConfiguredCommand(Command):
    """A command whose settings have their defaults in `loader.toml`."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if extra.get("resilient_parsing") or {"-h", "--help"} & set(args):
            return super().make_context(info_name, args, parent, **extra)
        require_typed(os.environ)
        files = paths(os.environ, Path())
        written = file_settings(self.params, files)
        extra["default_map"] = {name: one.value for name, one in written.items()}
        try:
            context = super().make_context(info_name, args, parent, **extra)
        except click.BadParameter as error:
            raise told(error, written) from None
        context.meta[_WRITTEN] = written
        _require_none_hidden(context)
        for name in layers.set_aside(_said(context, written, files)):
            context.params[name] = None
        _warn(misspelt(os.environ, self.params), as_json=context.params.get("log_format") == "json")
        return context


def place_in(context: click.Context, name: str) -> str:
    """Where the value of a configured command's option is from: a flag, a variable, or a line of a file."""
    written: Mapping[str, Written] = context.meta[_WRITTEN]
    option = next(one for one in context.command.params if one.name == name)
    match context.get_parameter_source(name):
        case ParameterSource.ENVIRONMENT:
            return str(option.envvar)
        case ParameterSource.DEFAULT_MAP:
            return written[name].place
        case _:
            return max(option.opts, key=len)


def _require_none_hidden(context: click.Context) -> None:
    """A setting that a command knows only to refuse it: to pass it over would do what nobody asked for.

    Raises:
        UsageError: it is set.
    """
    for option in context.command.params:
        if isinstance(option, click.Option) and option.hidden and option.name in context.params:
            place = place_in(context, option.name)
            if context.params.pop(option.name):
                flag = max(option.opts, key=len)
                raise UsageError(
                    f"loader {context.info_name} has no {flag}",
                    why=f"{place} asks for one, and this command would go about its work all the same",
                    hint=f"Run it without: take {place} away. Where a load stands: loader status DIR",
                )


def _said(
    context: click.Context, written: Mapping[str, Written], files: Sequence[Path]
) -> dict[str, layers.Said]:
    """The parts of the target that are set, each with its layer."""
    found: dict[str, layers.Said] = {}
    for name in layers.PARTS:
        if context.params.get(name):
            source, place = context.get_parameter_source(name), place_in(context, name)
            if source is ParameterSource.COMMANDLINE:
                found[name] = layers.Said(layers.FLAG, place)
            elif source is ParameterSource.ENVIRONMENT:
                found[name] = layers.Said(layers.VARIABLE, place)
            elif source is ParameterSource.DEFAULT_MAP:
                found[name] = layers.Said(layers.of_file(written[name].path, files), place)
    return found


def require_typed(environment: Mapping[str, str]) -> None:
    """A flag that is meant for one run is not set for all that this shell starts.

    Raises:
        UsageError: one is.
    """
    for key in FOR_ONE_RUN:
        name = environment_variable(key)
        if environment.get(name):
            raise UsageError(
                f"the variable {name} cannot be used",
                why=f"--{key} is meant for one run, and a variable is there for every command",
                hint=f"Type it as a flag: --{key}. And take the variable away: unset {name}",
            )


def _warn(warnings: Iterable[str], *, as_json: bool) -> None:
    """Says them as the load will say the rest."""
    for words in warnings:
        if as_json:
            from loader.events import Warned  # noqa: PLC0415 - only where there is something to say
            from loader.report.journal import of_event  # noqa: PLC0415 - as above

            show([of_event(Warned(words), at=time.time(), verbose=False)])
        else:
            show([f"warning: {words}"])


def file_settings(parameters: Sequence[click.Parameter], files: Sequence[Path]) -> dict[str, Written]:
    """What the files say, by parameter name; a later file goes before an earlier one.

    The keys of other commands are known and left alone: the file is for all of them.

    Raises:
        UsageError: a file that cannot be read, or a key or value that no flag takes.
    """
    options = keys(parameters)
    settings: dict[str, Written] = {}
    for path in files:
        text, content = read(path)
        for key, value in content.items():
            flag = key.replace("_", "-")
            found = Written(value, path, line_of(key, text))
            option = options.get(flag)
            if option is not None:
                assert option.name is not None, "an option that a flag names has a name"
                settings[option.name] = found._replace(value=_as_typed(option, key, found))
            elif flag not in (all_keys := _all_keys()):
                raise _unknown(key, found, all_keys)
    return settings


def keys(parameters: Sequence[click.Parameter]) -> dict[str, click.Option]:
    """Key in the file -> the option."""
    return {
        flag.removeprefix("--"): option
        for option in parameters
        if isinstance(option, click.Option) and is_setting(option)
        for flag in option.opts
        if flag.startswith("--")
    }


def told(error: click.BadParameter, written: Mapping[str, Written]) -> Exception:
    """The same error with the place that the value is from, and what to write there."""
    context, option = error.ctx, error.param
    if context is None or not isinstance(option, click.Option) or option.name is None:
        return error
    source = context.get_parameter_source(option.name)
    flag = option.opts[0]
    sample = example(option)
    why = "it is true or false" if option.is_flag else error.message
    if source is ParameterSource.ENVIRONMENT:
        name = str(option.envvar)
        return UsageError(
            f"the variable {name} cannot be used",
            why=why,
            hint=f"Write it as {name}={sample}; it stands for the flag {flag}.",
        )
    if source is ParameterSource.DEFAULT_MAP:
        key = flag.removeprefix("--")
        toml = sample if option.is_flag or sample.isdecimal() else f'"{sample}"'
        return UsageError(
            f"{written[option.name].place}: {key} cannot be used",
            why=why,
            hint=f"Write it as {key} = {toml}; it stands for the flag {flag}.",
        )
    return error


def misspelt(environment: Mapping[str, str], parameters: Sequence[click.Parameter]) -> Iterator[str]:
    """Variables that are none of ours, but nearly; one that resembles nothing may be somebody else's."""
    foreign = {name for name in environment if name.startswith(PREFIX)} - variables(parameters)
    if not foreign:
        return
    known = variables(list(_all_keys().values()))
    by_rest = {name.removeprefix(PREFIX): name for name in known}
    for name in sorted(foreign - known):
        near = difflib.get_close_matches(name.removeprefix(PREFIX), by_rest, n=1, cutoff=_NEAR)
        if near:
            yield f"the variable {name} is not read: did you mean {by_rest[near[0]]}?"


def variables(parameters: Sequence[click.Parameter]) -> set[str]:
    """The variables of these options, and those that every command knows."""
    credentials = {f"{name}{end}" for name in CREDENTIALS for end in ("", "_FILE")}
    return credentials | {*OTHER_NAMES} | {str(option.envvar) for option in keys(parameters).values()}


def configured_commands() -> Iterator[tuple[str, ConfiguredCommand]]:
    """Every command that has settings. All are imported for it: only what a command lacks is worth that."""
    from loader.cli.main import COMMANDS, loader  # noqa: PLC0415 - it need not know the settings

    context = click.Context(loader, info_name="loader")
    for name in COMMANDS:
        command = loader.get_command(context, name)
        if isinstance(command, ConfiguredCommand):
            yield name, command


def _all_keys() -> dict[str, click.Option]:
    return {
        key: option for _, command in configured_commands() for key, option in keys(command.params).items()
    }


def _as_typed(option: click.Option, key: str, found: Written) -> Any:
    """The value as a command line would have it, so that both are judged alike.

    Raises:
        UsageError: it is of a kind that no command line has.
    """
    value = found.value
    if option.multiple:
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            # An empty list is the same as naming nothing: the option says what it makes of that.
            return [_text(key, found, one) for one in value] or [""]
        if isinstance(value, (dict, list)):
            raise UsageError(f"{found.place}: {key} is a list of texts", why="something else stands there")
        return [_text(key, found, value)]
    if isinstance(value, (dict, list)):
        raise UsageError(f"{found.place}: {key} is a single value", why="a table or a list stands there")
    if option.is_flag and not isinstance(value, (bool, str)):
        raise UsageError(f"{found.place}: {key} is true or false", hint=f"Write it as {key} = true")
    if isinstance(value, bool):
        if not option.is_flag:
            raise UsageError(
                f"{found.place}: {key} is a value, not true or false",
                hint=f'Write it as {key} = "{example(option)}"',
            )
        return value
    return _text(key, found, value)


def _text(key: str, found: Written, value: object) -> str:
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            text = str(value)
        except ValueError:  # an integer of thousands of digits
            raise UsageError(f"{found.place}: {key} is too large") from None
        if text.isprintable() or not text:
            return text
        raise UsageError(
            f"{found.place}: {key} cannot be used",
            why="it holds a line break or another character that no setting has",
        )
    raise UsageError(f"{found.place}: {key} is a text or a number", why="another kind of value stands there")


def _unknown(key: str, found: Written, names: Collection[str]) -> UsageError:
    wanted = key.replace("_", "-").lower()
    if wanted in FOR_ONE_RUN:
        return UsageError(
            f"{found.place}: {key} cannot be set for good",
            why="it is meant for one run",
            hint=f"Take that line out, and type it as a flag: --{wanted}",
        )
    if any(wanted in name.lower().replace("_", "-") for name in CREDENTIALS if wanted):
        return UsageError(
            f"{found.place}: credentials do not belong into this file",
            hint=f"Set {', '.join(CREDENTIALS[:3])} in the environment, or files with ..._FILE",
        )
    near = difflib.get_close_matches(wanted, names, n=1)
    hint = f"Did you mean {near[0]}?" if near else "All of them: loader config show"
    return UsageError(f"{found.place}: there is no setting {key!r}", hint=hint)
