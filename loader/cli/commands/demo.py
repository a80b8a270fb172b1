"""`loader demo`: the promise, shown on this machine and checked against what the sandbox really holds."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from loader.cli.demonstration import demonstrate
from loader.cli.help import Command
from loader.errors import UsageError


@click.command(cls=Command, short_help="A load, a crash in the middle and a resume, all on this machine.")
@click.option("--dir", "folder", type=click.Path(path_type=Path), help="[default: a new temporary one]")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the sample records.")
def demo(folder: Path | None, seed: int) -> int:
    """Loads 20,000 sample leads into a sandbox, is killed in the middle, resumes, and checks the result.

    Needs no account and no network. The files are kept, to look at.
    """
    if folder is not None:
        try:
            folder.mkdir(mode=0o700, parents=True)
        except OSError as error:
            raise UsageError(
                f"cannot make the directory {folder}",
                why=error.strerror or str(error),
                hint="Name a new one.",
            ) from None
    kept = folder.resolve() if folder else Path(tempfile.mkdtemp(prefix="loader-demo-"))
    demonstrate(kept, seed=seed)
    return 0
