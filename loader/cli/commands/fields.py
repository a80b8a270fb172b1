"""`loader fields`: the schema that records are held against."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from loader.cli.configuration import ConfiguredCommand
from loader.cli.credentials_flag import credentials_flag, credentials_if_any
from loader.cli.pace_flags import state_flag, state_folder
from loader.cli.parameters import address_flags, setting
from loader.cli.screen import give_text
from loader.cli.way import tell_way
from loader.report.schema import table
from loader.settings import LoadSettings
from loader.target import target_of


@click.command(cls=ConfiguredCommand, short_help="A module's fields: type, length, mandatory, unique.")
@click.argument("module", metavar="MODULE")
@address_flags
@credentials_flag
@state_flag
@setting("--json", "as_json", is_flag=True, help="Print the module as JSON.")
def fields(
    module: str,
    *,
    dc: str | None,
    api_domain: str | None,
    accounts_url: str | None,
    state_dir: Path | None,
    as_json: bool,
) -> int:
    """Shows MODULE's fields: what an insert may set, of which type and length, and what it must set.

    With credentials in the environment they are the organisation's own, with its layouts; without, the
    built-in ones. Goes to stdout.
    """
    import anyio  # noqa: PLC0415 - with `checking` a fifth of a second, which no mistyped flag should cost

    from loader import checking  # noqa: PLC0415 - as above

    target = target_of(module, dc=dc, api_domain=api_domain, accounts_url=accounts_url)
    settings = LoadSettings(input="", load_dir=Path(), target=target, state_dir=state_folder(state_dir))
    credentials = credentials_if_any(settings.target)

    async def ask() -> checking.Schema:
        return await checking.schema_of(settings, credentials, observe=tell_way)

    schema = anyio.run(ask)
    source = target.api_url.partition("://")[2] if schema.own else "built-in"
    if as_json:
        give_text(msgspec.json.encode({"source": source, "module": schema.module}).decode())
    else:
        give_text("\n".join(table(schema.module, source=source)))
    return 0
