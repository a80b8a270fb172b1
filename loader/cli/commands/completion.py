"""`loader completion`: the script with which a shell completes commands, flags and their values."""

from __future__ import annotations

import click

from loader.cli.help import Command
from loader.cli.screen import give_text

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_LOADER_COMPLETE"
"""click's: the script sets it, and then the command answers what may come next."""


@click.command(cls=Command, short_help="The script that completes commands and flags in a shell.")
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> int:
    """Prints the script for SHELL; it does nothing but ask `loader` what may come next.

    bash, in ~/.bashrc: eval "$(loader completion bash)"

    zsh, in ~/.zshrc: eval "$(loader completion zsh)"

    fish, once: loader completion fish > ~/.config/fish/completions/loader.fish
    """
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - only here

    from loader.cli.main import loader  # noqa: PLC0415 - it imports this module by name

    kind = get_completion_class(shell)
    assert kind is not None, "click has all of these"
    give_text(kind(loader, {}, "loader", VARIABLE).source().strip())
    return 0
