"""What `check` and `load --dry-run` share: check the input, show what was found, say how it ended."""

from __future__ import annotations

import sys

import msgspec

from loader.cli.credentials_flag import credentials_if_any
from loader.cli.screen import color_wanted, give, show, width
from loader.errors import ExitCode, command
from loader.forecast import LATENCY_S
from loader.report import checks
from loader.report.display import display
from loader.report.progress import Progress
from loader.report.text import name_of
from loader.settings import LoadSettings
from loader.target import flags_of


def run_check(
    settings: LoadSettings,
    *,
    users: int | None = None,
    latency_s: float = LATENCY_S,
    as_json: bool = False,
    quiet: bool = False,
    no_color: bool = False,
    dry_run: bool = False,
) -> int:
    """Checks the input to its end; returns the exit code. `dry_run`: the command is `load -n`."""
    import anyio  # noqa: PLC0415 - with `checking` a fifth of a second, which no mistyped flag should cost

    from loader import checking  # noqa: PLC0415 - as above

    credentials = credentials_if_any()

    async def main() -> checking.Checked:
        with display(
            Progress(concurrency=settings.concurrency, rate=None, limit=settings.limit),
            sys.stderr,
            quiet=quiet,
            verbose=False,
            show_progress=False,
            color=color_wanted(no_color=no_color),
        ) as observe:
            schema = await checking.schema_of(settings, credentials, observe=observe)
        return await checking.check(settings, schema, users=users, latency_s=latency_s)

    checked = anyio.run(main)
    code = ExitCode.NOT_ALL_INSERTED if checked.invalid else ExitCode.OK
    if not quiet:
        show(_screen(checked, settings, code, dry_run=dry_run))
    if as_json:
        give(msgspec.json.encode({**msgspec.structs.asdict(checked), "exit_code": int(code)}))
    return code


def _screen(checked: object, settings: LoadSettings, code: ExitCode, *, dry_run: bool) -> list[str]:
    from loader.checking import Checked  # noqa: PLC0415 - as above

    assert isinstance(checked, Checked)
    own = checked.schema == "organisation"
    against = f"the fields of {settings.target.api_url.partition('://')[2]}" if own else "the built-in fields"
    lines = [f"check of {name_of(checked.input)} against {checked.module}, {against}; exit {code.value}"]
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
    lines += ["", _next(checked.invalid, settings, dry_run=dry_run)]
    return lines


def _next(invalid: int, settings: LoadSettings, *, dry_run: bool) -> str:
    """What to type, with the target: without it the next step would go to another organisation."""
    if dry_run:
        return (
            "Mend those lines, then type the same command again."
            if invalid
            else "To load them, type the same command without -n (--dry-run)."
        )
    words = (settings.input, "--module", settings.target.module, *flags_of(settings.target))
    return (
        f"Mend those lines, then: {command('check', *words)}"
        if invalid
        else (f"To load them: {command('load', *words)}")
    )
