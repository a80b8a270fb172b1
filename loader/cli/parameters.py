"""Kinds of values that flags take, and the flags that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from loader.settings import Threshold

Function = TypeVar("Function", bound=Callable[..., Any])

_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")


class Duration(click.ParamType[float]):
    """A time such as `200ms`, `30s`, `5min`, `2h`, in seconds."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        match = _TIME.fullmatch(str(value).strip())
        if not match:
            self.fail(f"{value!r} is not a time: write it as 200ms, 30s, 5min or 2h", param, ctx)
        return float(match[1]) * _UNIT_S[match[2]]


class CountOrShare(click.ParamType[Threshold]):
    """A number of records or a share of them: `100`, `1%`."""

    name = "N|N%"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Threshold:
        if isinstance(value, Threshold):
            return value
        written = str(value).strip()
        if share := _SHARE.fullmatch(written):
            return Threshold(percent=float(share[1]))
        if not re.fullmatch(r"\d{1,15}", written):
            self.fail(f"{value!r} is neither a number such as 100 nor a share such as 1%", param, ctx)
        return Threshold(count=int(written))


DURATION = Duration()
COUNT_OR_SHARE = CountOrShare()


def environment_variable(flag: str) -> str:
    """`--api-domain` -> `LOADER_API_DOMAIN`."""
    return "LOADER_" + flag.lstrip("-").replace("-", "_").upper()


def setting(flag: str, *other_names: str, **attributes: Any) -> Callable[[Function], Function]:
    """An option that may also come from the environment and, for a configured command, from `loader.toml`."""
    return click.option(
        flag, *other_names, envvar=environment_variable(flag), show_envvar=False, **attributes
    )


def display_flags(command: Function) -> Function:
    """What a load shows while it runs and when it has ended, and to whom: see `cli.watching.Showing`."""
    for option in reversed(
        (
            setting("--json", "as_json", is_flag=True, help="Print the summary as JSON to stdout."),
            setting("--quiet", "-q", is_flag=True, help="Say nothing but warnings and errors."),
            setting(
                "--verbose", "-v", is_flag=True, help="Tell each refused or doubtful call; show tracebacks."
            ),
            setting("--no-progress", is_flag=True, help="Show no progress while it runs."),
            setting(
                "--no-color", is_flag=True, help="No colours; NO_COLOR in the environment does the same."
            ),
            setting(
                "--log-format",
                type=click.Choice(["text", "json"]),
                default="text",
                show_default=True,
                help="How stderr is written.",
            ),
            setting(
                "--metrics-file",
                type=click.Path(path_type=Path, dir_okay=False),
                metavar="FILE",
                help="Write metrics there, for a Prometheus textfile collector.",
            ),
            setting(
                "--metrics-port",
                type=click.IntRange(0, 65535),
                metavar="N",
                help="Serve /metrics at this port (extra: metrics).",
            ),
            setting(
                "--metrics-host",
                default="127.0.0.1",
                show_default=True,
                metavar="ADDRESS",
                help="Where --metrics-port listens.",
            ),
            setting("--otel", is_flag=True, help="Send OpenTelemetry spans (extra: otel)."),
        )
    ):
        command = option(command)
    return command
