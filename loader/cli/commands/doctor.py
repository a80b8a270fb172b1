"""`loader doctor`: network, clock, credentials, disk: what it found and what to do."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loader.cli.configuration import ConfiguredCommand
from loader.cli.credentials_flag import credentials_flag, credentials_reader
from loader.cli.open_files import BESIDE_CALLS
from loader.cli.pace_flags import state_flag, state_folder
from loader.cli.parameters import DURATION, Whole, setting, target_flags
from loader.cli.screen import give, show, width
from loader.settings import LoadSettings
from loader.target import target_of

if TYPE_CHECKING:
    from loader.diagnosis.finding import Finding


@click.command(cls=ConfiguredCommand, short_help="What is wrong, and what to do.")
@target_flags(module_required=False)
@credentials_flag
@setting(
    "--load-dir", type=click.Path(path_type=Path), metavar="DIR", help="Where loads are kept.  [default: .]"
)
@setting("--concurrency", type=Whole(1, 1000), default=10, show_default=True, help="Calls at once.")
@setting("--timeout", type=DURATION, default=10.0, metavar="TIME", help="For each step.  [default: 10s]")
@state_flag
@setting("--json", "as_json", is_flag=True, help="Print the findings as JSON to stdout.")
def doctor(
    *,
    module: str,
    dc: str | None,
    api_domain: str | None,
    accounts_url: str | None,
    load_dir: Path | None,
    concurrency: int,
    timeout: float,
    state_dir: Path | None,
    as_json: bool,
) -> int:
    """Looks at what a load needs and says of each thing whether it is ok, a warning or a problem.

    It sends no record, and it works without credentials and without a network. Exit code 0: no problem;
    else that of the problem to mend first: 2 configuration, 9 disk, 6 credentials, 7 the way to the service.
    """
    import anyio  # noqa: PLC0415 - with `diagnosis` a fifth of a second, which no mistyped flag should cost
    import msgspec  # noqa: PLC0415 - as above

    from loader.diagnosis import disk, machine  # noqa: PLC0415 - as above
    from loader.diagnosis.finding import worst  # noqa: PLC0415 - as above

    settings = LoadSettings(
        input="",
        load_dir=load_dir or Path(),
        target=target_of(module, dc=dc, api_domain=api_domain, accounts_url=accounts_url),
        state_dir=state_folder(state_dir),
        timeout_s=timeout,
        patience_s=timeout,
    )
    files_needed = concurrency + BESIDE_CALLS
    found = [*machine.look(os.environ, files_needed=files_needed), *disk.look(settings.load_dir)]
    if not as_json:
        show(line for each in found for line in _lines(each))
    beyond = anyio.run(partial(_beyond, settings, show_each=not as_json))
    found += beyond
    code = worst(found)
    if as_json:
        give(msgspec.json.encode({"findings": found, "exit_code": int(code)}))
    else:
        problems = sum(each.state == "problem" for each in found)
        warnings = sum(each.state == "warning" for each in found)
        show(["", f"problems: {problems}, warnings: {warnings}; exit {int(code)}"])
    return code


async def _beyond(settings: LoadSettings, *, show_each: bool) -> list[Finding]:
    """What is beyond this machine, shown as it is found: each step may take its time."""
    from loader.diagnosis import account, network  # noqa: PLC0415 - as above
    from loader.diagnosis.finding import State  # noqa: PLC0415 - as above

    found: list[Finding] = []

    def take(each: Finding) -> None:
        found.append(each)
        if show_each:
            show(_lines(each))

    target = settings.target
    hosts = {"API": target.api_url}
    if target.accounts_url != target.api_url:
        hosts["tokens"] = target.accounts_url
    for what, url in hosts.items():
        async for each in network.way_to(url, what=what, timeout_s=settings.timeout_s):
            take(each)
    connected = all(each.state is not State.PROBLEM for each in found)
    if connected:
        for each in await network.speaks(target.api_url, timeout_s=settings.timeout_s):
            take(each)
        connected = all(each.state is not State.PROBLEM for each in found)
    async for each in account.look(settings, credentials_reader(settings.target), connected=connected):
        take(each)
    return found


def _lines(each: Finding) -> list[str]:
    """A finding: state, check and what was said, wrapped; what to do below."""
    import textwrap  # noqa: PLC0415 - as above

    head = f"{each.state:8} {each.check:32} "
    wrapped = textwrap.wrap(each.said, max(width(), 72), initial_indent=head, subsequent_indent=" " * 9)
    todo = textwrap.wrap(
        each.todo, max(width(), 72), initial_indent=" " * 9 + "-> ", subsequent_indent=" " * 12
    )
    return [*wrapped, *todo]
