"""The command `loader`: which commands there are, and the one place where a run becomes an exit code.

A command is imported when it is called, so that `loader --help` and a mistyped flag stay quick.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import click

from loader.cli import errors
from loader.errors import ExitCode
from loader.report import listeners

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS: Final[Mapping[str, str]] = {
    "load": "Load a file into a module; run again, it continues.",
    "resume": "Continue the load of a load directory.",
    "check": "Judge every record of a file; send none.",
    "fields": "A module's fields: type, length, mandatory, unique.",
    "status": "Where a load stands, without touching it.",
    "results": "What became of each record, one line a record.",
    "resolve": "Settle what is in doubt: ask the CRM, or take a person's word.",
    "retry": "Load the rejected records of a load, mended or not.",
    "repair": "After damage to the log: marks what it covers as in doubt.",
    "auth": "Grant code to refresh token; who the credentials are.",
    "doctor": "Network, clock, credentials, disk: what is wrong, what to do.",
    "config": "Settings: what they are and where they come from.",
    "completion": "The script that completes commands and flags in a shell.",
    "sandbox": "The same API on this machine.",
    "demo": "A load, a crash in the middle and a resume, all on this machine.",
}
"""Name and one line; the code is in `commands/`, in the module and function of that name."""


class Commands(click.Group):
    """A group whose commands are imported one by one, on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"loader.cli.commands.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """As click's, without importing every command for its one line."""
        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - only for a shell that asks

        return [
            CompletionItem(name, help=line) for name, line in COMMANDS.items() if name.startswith(incomplete)
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=False)
@click.version_option(package_name="crm-bulk-loader", prog_name="loader")
def loader() -> None:
    """Loads millions of records into Zoho CRM: each ends in one recorded outcome, none is inserted twice.

    Try it without an account: loader demo
    """


def run(arguments: Sequence[str]) -> int:
    """Runs one command line; returns its exit code and raises nothing."""
    debug = bool(os.environ.get("LOADER_DEBUG")) or bool({"-v", "--verbose"} & set(arguments))
    try:
        return int(loader.main(list(arguments), prog_name="loader", standalone_mode=False) or 0)
    except BrokenPipeError as error:
        if listeners.unread(sys.stdout):
            return _nobody_reads()
        return errors.tell(error, debug=debug, as_json=_wants_json(arguments))
    except SystemExit as ended:  # which click makes of a broken pipe, and of a completed word
        if listeners.unread(sys.stdout):
            return _nobody_reads()
        return ended.code if isinstance(ended.code, int) else int(ExitCode.DEFECT)
    except (Exception, KeyboardInterrupt) as error:
        return errors.tell(error, debug=debug, as_json=_wants_json(arguments))


def _nobody_reads() -> int:
    """Quietly the end where it is stdout that nobody reads any more; another pipe's is a defect."""
    listeners.let_go(sys.stdout)
    return 0


def _wants_json(arguments: Sequence[str]) -> bool:
    """Whether stderr is for a program, as far as that can be read of a command line that may be wrong."""
    name = next((word for word in arguments if not word.startswith("-")), "")
    if name not in COMMANDS:
        return False
    from loader.cli.settings_files import LOG_FORMAT, log_format  # noqa: PLC0415 - only where something is wrong

    command = loader.get_command(click.Context(loader, info_name="loader"), name)
    assert command is not None, "it is one of the commands"
    has_it = any(LOG_FORMAT in parameter.opts for parameter in command.params)
    return has_it and log_format(arguments, os.environ, Path()) == "json"


def main() -> NoReturn:
    """The entry point of the installed command."""
    listeners.fill_closed_streams()
    listeners.accept_everything(sys.stdout)
    sys.exit(run(sys.argv[1:]))
