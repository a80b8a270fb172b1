"""The command `loader`: which commands there are, and the one place where a run becomes an exit code.

A command is imported when it is called, so that `loader --help` and a mistyped flag stay quick.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
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
        return _broken_pipe(error, debug=debug)
    except SystemExit as ended:  # which click makes of a broken pipe, and of a completed word
        if listeners.unread(sys.stdout):
            return _broken_pipe(ended, debug=debug)
        return ended.code if isinstance(ended.code, int) else int(ExitCode.DEFECT)
    except (Exception, KeyboardInterrupt) as error:
        return errors.tell(error, debug=debug)


def _broken_pipe(error: BaseException, *, debug: bool) -> int:
    """Quietly the end where it is stdout that nobody reads any more; a defect where it is another pipe."""
    if listeners.unread(sys.stdout):
        listeners.let_go(sys.stdout)
        return 0
    return errors.tell(error, debug=debug)


def main() -> NoReturn:
    """The entry point of the installed command."""
    listeners.fill_closed_streams()
    listeners.accept_everything(sys.stdout)
    sys.exit(run(sys.argv[1:]))
