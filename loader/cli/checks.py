"""What `check` and `load --dry-run` share: check the input, show what was found, say how it ended."""

from __future__ import annotations

import sys
import time

import msgspec

from loader.begun import flags_of_load
from loader.cli.credentials_flag import credentials_if_any
from loader.cli.screen import color_wanted, give, show, width
from loader.errors import ExitCode, command
from loader.forecast import LATENCY_S
from loader.report import checks
from loader.report.closing import NO_RECORD
from loader.report.display import display
from loader.report.journal import of_check
from loader.report.progress import Progress
from loader.report.text import name_of
from loader.settings import LoadSettings


def run_check(
    settings: LoadSettings,
    *,
    users: int | None = None,
    latency_s: float = LATENCY_S,
    as_json: bool = False,
    quiet: bool = False,
    no_color: bool = False,
    dry_run_by: str = "",
    as_lines_of_json: bool = False,
) -> int:
    """Checks the input to its end; returns the exit code.

    `dry_run_by`: the command is `load`, and this flag, variable or line of a file makes a dry run of it.
    `as_lines_of_json`: nothing but JSON goes to stderr.
    """
    import anyio  # noqa: PLC0415 - with `checking` a fifth of a second, which no mistyped flag should cost

    from loader import checking  # noqa: PLC0415 - as above

    credentials = credentials_if_any(settings.target)

    async def main() -> checking.Checked:
        with display(
            Progress(concurrency=settings.concurrency, rate=None, limit=settings.limit),
            sys.stderr,
            quiet=quiet,
            verbose=False,
            show_progress=False,
            color=color_wanted(no_color=no_color),
            as_json=as_lines_of_json,
        ) as observe:
            schema = await checking.schema_of(settings, credentials, observe=observe)
        return await checking.check(settings, schema, users=users, latency_s=latency_s)

    checked = anyio.run(main)
    code = ExitCode.NOT_ALL_INSERTED if checked.invalid else ExitCode.OK
    if not (checked.records or as_lines_of_json):
        show([f"warning: {NO_RECORD}"])
    if as_lines_of_json:
        show([of_check(msgspec.to_builtins(checked), at=time.time(), dry_run_by=dry_run_by, exit_code=code)])
    elif not quiet:
        show(_screen(checked, settings, code, dry_run_by=dry_run_by))
    elif dry_run_by not in ("", "--dry-run"):
        show([f"warning: a dry run, by {dry_run_by}: no record was sent"])
    if as_json:
        give(msgspec.json.encode({**msgspec.structs.asdict(checked), "exit_code": int(code)}))
    return code


def _screen(checked: object, settings: LoadSettings, code: ExitCode, *, dry_run_by: str) -> list[str]:
    from loader.checking import Checked  # noqa: PLC0415 - as above

    assert isinstance(checked, Checked)
    own = checked.schema == "organisation"
    against = f"the fields of {settings.target.api_url.partition('://')[2]}" if own else "the built-in fields"
    lines = [f"dry run, by {dry_run_by}: each record was checked, none was sent"] if dry_run_by else []
    lines += [f"check of {name_of(checked.input)} against {checked.module}, {against}; exit {code.value}"]
    lines += checks.counted(checked.records, checked.invalid, checked.blank_lines)
    if checked.problems:
        lines += ["", "These records would be refused; they are never sent:"]
        lines += checks.found(checked.problems, width=width())
    if checked.notes:
        lines += ["", "Worth a look; these records would be sent:"]
        lines += checks.found(checked.notes, width=width())
    if checked.left_out:
        lines.append(f"  and {checked.left_out:,} findings of kinds that no list has room for")
    lines += ["", *checks.foreseen(checked.forecast, own_edition=checked.edition)]
    if checked.today is not None:
        lines += checks.today(checked.today)
    if not own:
        lines += [
            "",
            "Custom fields, layouts and options are an organisation's own: with credentials in the",
            "environment that may read settings, the check reads them.",
        ]
    lines += ["", _next(checked.invalid, settings, dry_run_by=dry_run_by)]
    return lines


def _next(invalid: int, settings: LoadSettings, *, dry_run_by: str) -> str:
    """What to type, with the target: without it the next step would go to another organisation."""
    if dry_run_by:
        if invalid:
            return "Mend those lines, then type the same command again."
        without = "without -n (--dry-run)" if dry_run_by == "--dry-run" else f"without {dry_run_by}"
        return f"To load them, type the same command {without}."
    words = (settings.input, *flags_of_load(settings))
    if invalid:
        return f"Mend those lines, then: {command('check', *words)}"
    return f"To load them: {command('load', *words)}"
