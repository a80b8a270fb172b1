"""`loader status`: where a load stands, without touching it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from loader.cli.help import Command
from loader.cli.parameters import REPORT_FILE
from loader.cli.running import closing_screen
from loader.cli.screen import give, show, width
from loader.errors import UsageError, command
from loader.settings import how_to_go_on


@click.command(cls=Command, short_help="Where a load stands, without touching it.")
@click.argument("load_dir", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON to stdout.")
@click.option(
    "--report", "report_to", type=REPORT_FILE, metavar="FILE.html", help="Write the report of it there."
)
def status(load_dir: Path | None, *, as_json: bool, report_to: Path | None) -> int:
    """Tells where the load of DIR stands: running, stopped or finished, and what it has come to so far.

    Without DIR: the one load directory in the present directory. Exits 0 whatever the load came to.
    """
    import msgspec  # noqa: PLC0415 - not for --help

    from loader.directory import is_there  # noqa: PLC0415 - not for --help
    from loader.report.export import IN_DOUBT, REJECTED  # noqa: PLC0415 - as above
    from loader.report.summary import at_its_end  # noqa: PLC0415 - as above
    from loader.report.wrapping import wrapped  # noqa: PLC0415 - as above
    from loader.reporting import require_writable, write_report  # noqa: PLC0415 - as above
    from loader.standing import standing_of  # noqa: PLC0415 - as above

    where = load_dir or only_load_in(Path.cwd())
    standing = standing_of(where)
    summary = standing.summary
    written = any(is_there(where / name) for name in (REJECTED, IN_DOUBT))
    if report_to is not None:
        require_writable(report_to)
        write_report(standing.settings, summary, to=report_to)
    lines = closing_screen(summary, standing.settings, standing.doubts, report=report_to, files=written)
    if standing.process is not None or (not summary.complete and not at_its_end(summary)):
        stands = (
            _running(standing.process, standing.since)
            if standing.process is not None
            else f"has stopped. To go on: {how_to_go_on(standing.settings)}"
        )
        lines[:1] = wrapped(f"load {summary.load_id} {stands}", width=width(), first="", rest="  ")
    show(lines)
    if as_json:
        give(msgspec.json.encode({**msgspec.to_builtins(summary), "exit_code": standing.exit_code}))
    return 0


def _running(process: int, since: float) -> str:
    began = datetime.fromtimestamp(since).astimezone()
    return f"is running: process {process}, since {began:%Y-%m-%d %H:%M:%S %Z}"


def only_load_in(directory: Path) -> Path:
    """The one load directory here.

    Raises:
        UsageError: there is none, or more than one.
    """
    found = sorted(path.parent for path in directory.glob("*/checkpoint.log"))
    if len(found) == 1:
        return found[0].relative_to(directory)
    if not found:
        raise UsageError("there is no load directory here", hint="loader status DIR")
    names = "\n".join(command("status", path.name) for path in found[:8])
    raise UsageError(f"there are {len(found)} load directories here", hint=names)
