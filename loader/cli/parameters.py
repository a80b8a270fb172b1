"""Kinds of values that flags take, and the flags that several commands share."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from loader.settings import Threshold
from loader.wire.oauth import DATA_CENTRES

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Function = TypeVar("Function", bound=Callable[..., Any])

_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
_TIME_MAX_S = 366 * 24 * 3600.0


class Duration(click.ParamType[float]):
    """A time such as `200ms`, `30s`, `5min`, `2h`, in seconds."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        match = _TIME.fullmatch(str(value).strip())
        if not match:
            self.fail(f"{value!r} is not a time: write it as 200ms, 30s, 5min or 2h", param, ctx)
        seconds = float(match[1]) * _UNIT_S[match[2]]
        if seconds > _TIME_MAX_S:
            self.fail(f"{str(value)[:40]!r} is more than a year", param, ctx)
        return seconds


class CountOrShare(click.ParamType[Threshold]):
    """A number of records or a share of them: `100`, `1%`."""

    name = "N|N%"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Threshold:
        if isinstance(value, Threshold):
            return value
        threshold = Threshold.read(str(value))
        if threshold is None:
            self.fail(f"{value!r} is neither a number such as 100 nor a share such as 1%", param, ctx)
        return threshold


class Whole(click.IntRange):
    """A whole number of a range, in words of our own where it is none."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            number = int(str(value))
        except ValueError:  # no number, or one of thousands of digits
            number = None
        if number is None or not self._holds(number):
            self.fail(f"{str(value)[:40]!r} is not a whole number {self._range()}", param, ctx)
        return number

    def _holds(self, number: int) -> bool:
        return (self.min is None or number >= self.min) and (self.max is None or number <= self.max)

    def _range(self) -> str:
        least = f"{self.min or 0:,.0f}"
        return f"from {least} on" if self.max is None else f"from {least} to {self.max:,.0f}"


class Rate(click.FloatRange):
    """A number above 0 that has an end: `nan` and `inf` are numbers to Python."""

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = float(str(value))
        except ValueError:
            number = math.nan
        if not 0 < number < math.inf:
            self.fail(f"{str(value)[:40]!r} is not a number of calls: write it as 10 or 0.5", param, ctx)
        return number


DURATION = Duration()
RATE = Rate()
COUNT_OR_SHARE = CountOrShare()
REPORT_FILE = click.Path(path_type=Path)


def environment_variable(flag: str) -> str:
    """`--api-domain` -> `LOADER_API_DOMAIN`."""
    return "LOADER_" + flag.lstrip("-").replace("-", "_").upper()


def setting(flag: str, *other_names: str, **attributes: Any) -> Callable[[Function], Function]:
    """An option that may also come from the environment and, for a configured command, from `loader.toml`."""
    return click.option(
        flag, *other_names, envvar=environment_variable(flag), show_envvar=False, **attributes
    )


def no_dry_run(command: Function) -> Function:
    """For a command that sends records and cannot do without: it refuses to be asked for a dry run."""
    return setting("--dry-run", "-n", is_flag=True, hidden=True)(command)


def complete_file(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """An argument that is a file, or `-`: a shell completes its name."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415 - only for a shell that asks

    return [CompletionItem(incomplete, type="file")]


def complete_module(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The built-in modules that begin so."""
    from loader.schema.modules import STANDARD  # noqa: PLC0415 - only for a shell that asks

    return [name for name in STANDARD if name.lower().startswith(incomplete.lower())]


def is_setting(option: click.Option) -> bool:
    """Whether an option is one that `setting` made."""
    return isinstance(option.envvar, str)


def example(option: click.Option) -> str:
    """A value that this option takes, as one would type it."""
    kind = option.type
    if option.is_flag:
        return "true"
    if isinstance(kind, click.Choice):
        return str(kind.choices[0])
    if isinstance(kind, Duration):
        return "30s"
    if isinstance(kind, CountOrShare):
        return "1%"
    if isinstance(kind, (click.types.IntParamType, click.types.FloatParamType)):
        return "10"
    return _EXAMPLES.get(option.name or "") or _EXAMPLES.get(option.metavar or "", "VALUE")


_EXAMPLES = {
    "trigger": "none",
    "apply_feature": "layout_rules",
    "skip_feature": "cadences",
    "ADDRESS": "127.0.0.1",
    "DIR": "leads.load",
    "FIELD": "Email",
    "FILE": "loader.prom",
    "ID": "554023000002734009",
    "NAME": "Leads",
    "PATH": "Contacts.Account_Name.External_Account_ID",
    "STORE": "keyring",
    "URL": "https://www.zohoapis.eu",
}
"""By an option's name, or by what it calls its value."""


def address_flags(command: Function) -> Function:
    """Which organisation is asked."""
    for option in reversed(
        (
            setting(
                "--dc",
                type=click.Choice(list(DATA_CENTRES)),
                help="Data centre of the organisation.  [default: us]",
            ),
            setting(
                "--api-domain",
                metavar="URL",
                help="The API's address, in place of --dc.",
            ),
            setting(
                "--accounts-url",
                metavar="URL",
                help="Where access tokens come from, with --api-domain."
                "  [default: its data centre's; for http on this machine, the same host]",
            ),
        )
    ):
        command = option(command)
    return command


def target_flags(*, module_required: bool = True) -> Callable[[Function], Function]:
    """Which organisation is asked, and which of its modules."""
    module = setting(
        "--module",
        # A default, even None, would have click take the flag as given.
        **({"required": True} if module_required else {"default": ""}),
        metavar="NAME",
        help="API name of the module, such as Leads.",
        shell_complete=complete_module,
    )
    return lambda command: module(address_flags(command))


def display_flags(command: Function) -> Function:
    """What a load shows while it runs and when it has ended, and to whom: see `cli.watching.Showing`."""
    for option in reversed(
        (
            setting("--json", "as_json", is_flag=True, help="Print the summary as JSON to stdout."),
            setting(
                "--report",
                "report_to",
                type=REPORT_FILE,
                metavar="FILE.html",
                help="Write the report here too.  [always: DIR/report.html]",
            ),
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
                type=Whole(0, 65535),
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
