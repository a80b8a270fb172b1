"""The flag that says where the credentials are, and the way from it to reading them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

import click

from loader.cli.parameters import Function, setting
from loader.credentials import ENVIRONMENT, KEYRING, NAMES, aimed, read_credentials
from loader.errors import CredentialsError
from loader.settings import Credentials, Target
from loader.target import flags_of

_CHOSEN = "loader.credentials"


class Store(click.ParamType[str]):
    """Where credentials are: `environment`, `keyring`, or `keyring:NAME` where there are several."""

    name = "store"
    _FORM = re.compile(rf"{ENVIRONMENT}|{KEYRING}(:[A-Za-z0-9._-]{{1,64}})?")

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not self._FORM.fullmatch(str(value)):
            self.fail(f"{value!r} is none of environment, keyring, keyring:NAME", param, ctx)
        return str(value)


def credentials_flag(command: Function) -> Function:
    """Adds `--credentials`; `chosen_store` says what was chosen."""

    def keep(context: click.Context, _: click.Parameter, value: str) -> None:
        context.meta[_CHOSEN] = value

    return setting(
        "--credentials",
        type=Store(),
        default=ENVIRONMENT,
        metavar="STORE",
        expose_value=False,
        callback=keep,
        help="Where they are: environment, keyring, or keyring:NAME.  [default: environment]",
    )(command)


def chosen_store() -> str:
    """What the running command was told of where the credentials are."""
    return str(click.get_current_context().meta.get(_CHOSEN, ENVIRONMENT))


def credentials_reader(target: Target) -> Callable[[], Credentials]:
    """Reads the credentials of the running command where there is need of them; raises as below."""
    store = chosen_store()

    def read() -> Credentials:
        try:
            return read_credentials(os.environ, store)
        except CredentialsError as error:
            raise aimed(error, flags_of(target)) from None

    return read


def credentials_if_any(target: Target) -> Credentials | None:
    """The credentials; None where nothing of them is set.

    Raises:
        CredentialsError: half of them is set, or a file cannot be read.
    """
    if chosen_store() == ENVIRONMENT and not any(
        os.environ.get(name) or os.environ.get(f"{name}_FILE") for name in NAMES
    ):
        return None
    return credentials_reader(target)()
