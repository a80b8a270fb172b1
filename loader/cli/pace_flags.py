"""The flags about credits, and where the loads of a machine keep what they share."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from loader.cli.parameters import COUNT_OR_SHARE, DURATION, Function, Whole, setting
from loader.machine.state import default_folder
from loader.settings import LoadSettings


def credit_flags(command: Function) -> Function:
    """Adds the flags of a command that sends records; `paced` reads them."""
    for option in reversed(
        (
            setting("--keep-credits", type=COUNT_OR_SHARE, help="Credits of a day left to other programs."),
            setting(
                "--daily-credits",
                type=Whole(1),
                metavar="N",
                help="Credits of the organisation in 24 hours.  [default: its edition's]",
            ),
            setting("--wait", type=DURATION, metavar="TIME", help="For credits, at most.  [default: stop]"),
            state_flag,
        )
    ):
        command = option(command)
    return command


patience_from_the_start = setting(
    "--patience", type=DURATION, default=300.0, metavar="TIME", help="With a dead service.  [default: 5min]"
)

patience_flag = setting(
    "--patience", type=DURATION, metavar="TIME", help="With a dead service.  [default: as the load began]"
)

state_flag = setting(
    "--state-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="What the loads of this machine share.  [default: below ~/.local/state]",
)


def state_folder(given: Path | None) -> Path:
    """Where the shared state is."""
    return given or default_folder(os.environ)


_NAMES: Final = {
    "keep_credits": "keep_credits",
    "daily_credits": "daily_credits",
    "wait": "wait_s",
    "patience": "patience_s",
}


def paced(settings: LoadSettings, flags: Mapping[str, Any]) -> LoadSettings:
    """The settings with what these flags say; what they leave open stays as it is.

    Raises:
        UsageError: together they allow no call.
    """
    said = {name: flags[flag] for flag, name in _NAMES.items() if flags.get(flag) is not None}
    return msgspec.structs.replace(settings, state_dir=state_folder(flags["state_dir"]), **said)
