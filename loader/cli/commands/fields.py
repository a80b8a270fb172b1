"""`loader fields`: the schema that records are held against."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from loader.cli.checks import credentials_if_any
from loader.cli.configuration import ConfiguredCommand
from loader.cli.parameters import setting
from loader.cli.screen import show
from loader.errors import DiskError
from loader.events import Event, Warned
from loader.report.listeners import let_go
from loader.report.schema import table
from loader.settings import LoadSettings
from loader.target import target_of
from loader.wire.oauth import DATA_CENTRES


@click.command(cls=ConfiguredCommand, short_help="A module's fields: type, length, mandatory, unique.")
@click.argument("module", metavar="MODULE")
@setting(
    "--dc", type=click.Choice(list(DATA_CENTRES)), help="Data centre of the organisation.  [default: us]"
)
@setting("--api-domain", metavar="URL", help="The API's address, in place of --dc.")
@setting("--accounts-url", metavar="URL", help="Where access tokens come from, with --api-domain.")
@setting("--json", "as_json", is_flag=True, help="Print the module as JSON.")
def fields(
    module: str, *, dc: str | None, api_domain: str | None, accounts_url: str | None, as_json: bool
) -> int:
    """Shows MODULE's fields: what an insert may set, of which type and length, and what it must set.

    With credentials in the environment they are the organisation's own, with its layouts; without, the
    built-in ones. Goes to stdout.
    """
    import anyio  # noqa: PLC0415 - with `checking` a fifth of a second, which no mistyped flag should cost

    from loader import checking  # noqa: PLC0415 - as above

    target = target_of(module, dc=dc, api_domain=api_domain, accounts_url=accounts_url)
    settings = LoadSettings(input="", load_dir=Path(), target=target)
    credentials = credentials_if_any()

    async def ask() -> checking.Schema:
        return await checking.schema_of(settings, credentials, observe=_tell)

    schema = anyio.run(ask)
    source = target.api_url.partition("://")[2] if schema.own else "built-in"
    if as_json:
        _print(msgspec.json.encode({"source": source, "module": schema.module}).decode())
    else:
        _print("\n".join(table(schema.module, source=source)))
    return 0


def _tell(event: Event) -> None:
    if isinstance(event, Warned):
        show([f"warning: {event.text}"])


def _print(text: str) -> None:
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        let_go(sys.stdout)
    except OSError as error:
        let_go(sys.stdout)
        raise DiskError("the fields could not be printed", why=error.strerror or str(error)) from error
