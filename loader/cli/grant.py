"""A grant code on its way to a kept refresh token: where it is read, and where the token is put."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from loader.credentials import (
    CLIENT_ID,
    CLIENT_SECRET,
    GRANT_CODE,
    KEYRING,
    REFRESH_TOKEN,
    found_values,
    secret_of,
    sound,
)
from loader.errors import CredentialsError, DiskError, UsageError, command, remedy
from loader.settings import Credentials

_CODE_CHARACTERS_MAX = 4096
_UNUSED = "The grant code is not used up"
_USED_UP = "The grant code is used up, and the refresh token that it gave is not kept"
Keep = Callable[[str], None]


def read_code(environment: Mapping[str, str]) -> str:
    """The code from the environment, a file, a person at a terminal, or stdin; never an argument.

    Raises:
        CredentialsError: there is none.
    """
    code = secret_of(GRANT_CODE, environment)
    if code:
        return code
    if sys.stdin is not None and sys.stdin.isatty():
        code = str(click.prompt("Grant code (it is not shown)", hide_input=True, err=True))
    elif sys.stdin is not None:
        code = sys.stdin.readline(_CODE_CHARACTERS_MAX)
    if not code.strip():
        raise CredentialsError(
            "there is no grant code",
            why=f"stdin is empty, and {GRANT_CODE} is not set",
            hint="At a terminal loader auth --grant asks for it; a script pipes it in, or sets"
            f" {GRANT_CODE}_FILE=PATH",
        )
    return sound("the grant code", code.strip())


def read_client(environment: Mapping[str, str], store: str) -> Credentials:
    """The client's id and secret.

    Raises:
        CredentialsError: one of them is not set.
    """
    names = (CLIENT_ID, CLIENT_SECRET)
    held = found_values(environment, store, names)
    # A new client comes by the environment also where a keyring is used afterwards.
    values = {name: held[name] or secret_of(name, environment) for name in names}
    lacking = [name for name, value in values.items() if not value]
    if lacking:
        raise CredentialsError(
            "a grant code needs the client that it was made for",
            why=f"missing: {', '.join(lacking)}",
            hint=f"The API console shows both; set {CLIENT_ID} and {CLIENT_SECRET}_FILE=PATH",
        )
    return Credentials(client_id=values[CLIENT_ID], client_secret=values[CLIENT_SECRET])


@contextmanager
def keeping(
    place: str, client: Credentials, *, replace: bool, target_flags: Sequence[str] = ()
) -> Iterator[Keep]:
    """A place for the refresh token, made ready before the code is used up; call it with the token.

    `place`: `keyring`, `keyring:NAME`, or the path of a file that only its owner will be able to read.
    `target_flags`: what names the data centre that the code is for, to be typed again.

    Raises:
        UsageError: there is something already, or no such directory.
        DiskError, CredentialsError: it cannot be written.
    """
    if place.partition(":")[0] == KEYRING:
        yield _keyring(place, client, replace=replace, target_flags=target_flags)
        return
    path = Path(place).expanduser()
    replaced = path.exists()
    if path.is_dir():
        raise UsageError(
            f"the refresh token cannot be kept in {path}",
            why=f"it is a directory. {_UNUSED}",
            hint=f"Name a file in it: {granting(path / 'refresh-token', *target_flags)}",
        )
    if replaced and not replace:
        raise UsageError(
            f"{path} is there already",
            why=f"the refresh token in it may be in use. {_UNUSED}",
            hint=f"Name another file, or replace it: {granting(path, '--yes', *target_flags)}",
        )
    again = (*(("--yes",) if replace else ()), *target_flags)
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(
            f"the refresh token cannot be kept in {path}",
            why=f"{error.strerror or error}. {_UNUSED}",
            hint=f"Name a file in a directory that is there: {granting('FILE', *target_flags)}",
        ) from None
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:

        def keep(token: str) -> None:
            try:
                stream.write(token + "\n")
                stream.flush()
                os.fsync(stream.fileno())
                beside.replace(path)
            except OSError as error:
                kept = f"; {path} holds what it held before" if replaced else ""
                raise DiskError(
                    f"the refresh token could not be written to {path}",
                    why=f"{error.strerror or error}. {_USED_UP}{kept}",
                    hint=f"{remedy(error, 'Look after the disk')}. {_another(place, again)}",
                ) from None

        try:
            yield keep
        finally:
            beside.unlink(missing_ok=True)


def _keyring(store: str, client: Credentials, *, replace: bool, target_flags: Sequence[str]) -> Keep:
    from loader.keyring_store import read, write  # noqa: PLC0415 - an extra; only who asks needs it

    held = read(store, [REFRESH_TOKEN])[REFRESH_TOKEN]
    if held and not replace:
        raise UsageError(
            f"the {store} holds a refresh token already",
            why=_UNUSED,
            hint=f"Replace it: {granting(store, '--yes', *target_flags)}",
        )

    again = (*(("--yes",) if replace else ()), *target_flags)

    def keep(token: str) -> None:
        # The token first: where the keyring takes nothing, what it holds still belongs together.
        values = {REFRESH_TOKEN: token, CLIENT_ID: client.client_id, CLIENT_SECRET: client.client_secret}
        try:
            write(store, values)
        except CredentialsError as error:
            raise CredentialsError(
                error.what,
                why=f"{error.why}. {_USED_UP}",
                hint=f"{error.hint}\n{_another(store, again)}",
            ) from None

    return keep


def granting(place: str | Path, *flags: str) -> str:
    """The command that takes a grant code for this place."""
    return command("auth", "--grant", "--store", place, *flags)


def _another(place: str, flags: Sequence[str]) -> str:
    """What to type when the token of a code that is used up could not be kept."""
    return f"Generate another code in the API console, then: {granting(place, *flags)}"
