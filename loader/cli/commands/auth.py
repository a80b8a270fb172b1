"""`loader auth`: a grant code becomes a refresh token; who the credentials are and what they may do."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import click
import msgspec

from loader.cli.configuration import ConfiguredCommand
from loader.cli.credentials_flag import chosen_store, credentials_flag, credentials_if_any
from loader.cli.grant import granting, keeping, read_client, read_code
from loader.cli.pace_flags import state_flag, state_folder
from loader.cli.parameters import DURATION, setting, target_flags
from loader.cli.screen import give, show
from loader.cli.way import tell_way
from loader.credentials import ENVIRONMENT, GRANT_CODE, REFRESH_TOKEN
from loader.errors import CredentialsError, ExitCode, UsageError
from loader.settings import Credentials, LoadSettings
from loader.target import flags_of, target_of


@click.command(cls=ConfiguredCommand, short_help="Grant code to refresh token; who the credentials are.")
@target_flags(module_required=False)
@credentials_flag
@click.option(
    "--grant", is_flag=True, help="Take a grant code: asked for at a terminal, else read from stdin."
)
@click.option(
    "--store", metavar="STORE", help="Where the refresh token is kept: a file, keyring or keyring:NAME."
)
@click.option("--yes", "-y", is_flag=True, help="Replace the refresh token that is kept there.")
@setting("--timeout", type=DURATION, default=60.0, metavar="TIME", help="For one call.  [default: 60s]")
@setting(
    "--patience", type=DURATION, default=30.0, metavar="TIME", help="With a dead service.  [default: 30s]"
)
@state_flag
@setting("--json", "as_json", is_flag=True, help="Print what was found as JSON to stdout.")
def auth(
    *,
    module: str,
    dc: str | None,
    api_domain: str | None,
    accounts_url: str | None,
    grant: bool,
    store: str | None,
    yes: bool,
    timeout: float,
    patience: float,
    state_dir: Path | None,
    as_json: bool,
) -> int:
    """Shows whose the credentials are (user, organisation, data centre, edition) and what they allow.

    With --grant, or a code in LOADER_GRANT_CODE or in the file of LOADER_GRANT_CODE_FILE, it first turns that
    code of a self client into a refresh token and keeps it. LOADER_CLIENT_ID and LOADER_CLIENT_SECRET are
    needed for that. No secret is ever printed, and none is taken as an argument.

    Exit code 0: a load is possible; 6: the credentials are missing, refused or lack a scope that it needs.
    """
    import anyio  # noqa: PLC0415 - with `identity` a fifth of a second, which no mistyped flag should cost

    from loader.identity import whose  # noqa: PLC0415 - as above
    from loader.report.identity import may, who  # noqa: PLC0415 - as above
    from loader.wire.scopes import wanted  # noqa: PLC0415 - as above

    settings = LoadSettings(
        input="",
        load_dir=Path(),
        target=target_of(module, dc=dc, api_domain=api_domain, accounts_url=accounts_url),
        state_dir=state_folder(state_dir),
        timeout_s=timeout,
        patience_s=patience,
    )
    if grant or os.environ.get(GRANT_CODE) or os.environ.get(f"{GRANT_CODE}_FILE"):
        credentials = _granted(settings, store, replace=yes)
    elif store is not None:
        hint = granting(store, *_again(settings))
        raise UsageError("--store is for a new refresh token", hint=hint)
    else:
        credentials = _present(settings)
    found = anyio.run(partial(whose, settings, credentials, observe=tell_way))
    show([*who(found), "", *may(found.features)])
    if any(each.missing for each in found.features):
        show(["", "A grant code with all of them is made with these scopes:", f"  {wanted(module)}"])
    if as_json:
        give(msgspec.json.encode(found))
    lacking = [each for each in found.features if each.needed and each.missing]
    return ExitCode.CREDENTIALS if lacking else ExitCode.OK


def _again(settings: LoadSettings) -> tuple[str, ...]:
    """The flags of a command that is typed once more, for the same data centre and the same module."""
    module = settings.target.module
    return (*flags_of(settings.target), *(("--module", module) if module else ()))


def _present(settings: LoadSettings) -> Credentials:
    found = credentials_if_any(settings.target)
    if found is None:
        raise CredentialsError(
            "there are no credentials",
            hint=f"From a grant code of the API console: {granting('FILE', *_again(settings))}\n"
            "with LOADER_CLIENT_ID and LOADER_CLIENT_SECRET in the environment",
        )
    return found


def _granted(settings: LoadSettings, store: str | None, *, replace: bool) -> Credentials:
    """The credentials that the grant code is good for, once they are kept."""
    import anyio  # noqa: PLC0415 - not for --help

    from loader.identity import exchange  # noqa: PLC0415 - as above

    place = store or _usual_place(settings)
    client = read_client(os.environ, chosen_store())
    with keeping(place, client, replace=replace, target_flags=_again(settings)) as keep:
        code = read_code(os.environ)
        granted = anyio.run(partial(exchange, settings, client, code, observe=tell_way))
        keep(granted.refresh_token)
    show([f"The refresh token is kept in {place}", _how_to_use(place), ""])
    return msgspec.structs.replace(client, refresh_token=granted.refresh_token)


def _usual_place(settings: LoadSettings) -> str:
    """Where the credentials are read from, if that says where.

    Raises:
        UsageError: it does not.
    """
    chosen = chosen_store()
    named = os.environ.get(f"{REFRESH_TOKEN}_FILE", "") if chosen == ENVIRONMENT else chosen
    if not named:
        again = _again(settings)
        raise UsageError(
            "where is the refresh token to be kept?",
            why="a grant code is good for one try, so this is settled first",
            hint=f"{granting('FILE', *again)}, or: {granting('keyring', *again)}",
        )
    return named


def _how_to_use(place: str) -> str:
    if place.startswith("keyring"):
        return f'Use it with --credentials {place}, or credentials = "{place}" in loader.toml'
    return f"Use it with {REFRESH_TOKEN}_FILE={Path(place).expanduser().absolute()} in the environment"
