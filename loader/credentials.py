"""Credentials: from the environment, from files that only their owner may read, or from the system keyring.

Never from arguments: those are seen by everybody on the machine.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from loader.errors import CredentialsError
from loader.settings import Credentials

CLIENT_ID = "LOADER_CLIENT_ID"
CLIENT_SECRET = "LOADER_CLIENT_SECRET"  # noqa: S105 - a name
REFRESH_TOKEN = "LOADER_REFRESH_TOKEN"  # noqa: S105 - a name
ACCESS_TOKEN = "LOADER_ACCESS_TOKEN"  # noqa: S105 - a name
NAMES = (CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, ACCESS_TOKEN)
GRANT_CODE = "LOADER_GRANT_CODE"
OTHER_NAMES = ("LOADER_DEBUG", GRANT_CODE, f"{GRANT_CODE}_FILE")
"""Variables that are read and are neither settings nor credentials."""

ENVIRONMENT = "environment"
KEYRING = "keyring"
_FROM_A_CODE = "\nFrom a grant code: loader auth --grant"
"""It writes the file that LOADER_REFRESH_TOKEN_FILE names; else `--store` says where."""
_GRANT = re.compile(r"loader auth --grant(?: --store \S+)?")
_BYTES_MAX = 8192
_LIKE_A_CREDENTIAL = re.compile(r"[0-9A-Za-z_.+=~-]{24,}")
"""No slash in it, and long: the service's tokens and secrets have 35 characters and more."""


def found_values(environment: Mapping[str, str], store: str, names: Sequence[str] = NAMES) -> dict[str, str]:
    """The credentials by variable, as far as there are any. Raises as `read_credentials`."""
    if store == ENVIRONMENT:
        return {name: secret_of(name, environment) for name in names}
    from loader.keyring_store import read  # noqa: PLC0415 - an extra; only who asks for it needs it

    held = read(store, names)
    return {name: sound(f"{name} in the {store}", value.strip()) for name, value in held.items()}


def read_credentials(environment: Mapping[str, str], store: str = ENVIRONMENT) -> Credentials:
    """The refresh token with its client, or else the access token alone.

    Raises:
        CredentialsError: none, half of them, or a file with them that others may read.
        UsageError: the keyring is asked for and not installed.
    """
    found = found_values(environment, store)
    renewing = (CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN)
    missing = [name for name in renewing if not found[name]]
    if not missing:
        return Credentials(
            client_id=found[CLIENT_ID],
            client_secret=found[CLIENT_SECRET],
            refresh_token=found[REFRESH_TOKEN],
            named=_where(renewing, environment, store),
        )
    if found[ACCESS_TOKEN]:
        where = _where((ACCESS_TOKEN,), environment, store)
        return Credentials(access_token=found[ACCESS_TOKEN], named=where)
    present = _where([name for name in renewing if found[name]], environment, store)
    if store != ENVIRONMENT:
        raise CredentialsError(
            f"there are no credentials in the {store}" if not present else "the credentials are not complete",
            why=f"the {store} does not hold {', '.join(missing)}",
            hint=f"Put them there: loader auth --grant --store {store}",
        )
    if present:
        raise CredentialsError(
            "the credentials are not complete",
            why=f"set: {', '.join(present)}; missing: {', '.join(missing)}",
            hint=f"Each may also be a file that only you may read: {missing[0]}_FILE=PATH"
            + (f"{_FROM_A_CODE} --store FILE" if missing == [REFRESH_TOKEN] else ""),
        )
    raise CredentialsError(
        "there are no credentials",
        why=f"neither {', '.join(renewing)}\nnor {ACCESS_TOKEN} is set",
        hint="Set them in the environment, or name files that only you may read: "
        f"{REFRESH_TOKEN}_FILE=PATH{_FROM_A_CODE} --store FILE\nWithout an account: loader demo",
    )


def _where(names: Sequence[str], environment: Mapping[str, str], store: str) -> tuple[str, ...]:
    """Where each of these was read: the variable itself, or the one that names its file."""
    if store != ENVIRONMENT:
        return (f"what the {store} holds",) if names else ()
    return tuple(name if environment.get(name, "").strip() else f"{name}_FILE" for name in names)


def aimed(error: CredentialsError, target_flags: Sequence[str]) -> CredentialsError:
    """The same error, whose way to new credentials names the target.

    A grant code is good for one try: shown to another data centre it is used up.
    """
    flags = shlex.join(target_flags)
    hint = _GRANT.sub(lambda found: f"{found[0]} {flags}".rstrip(), error.hint)
    return CredentialsError(error.what, why=error.why, hint=hint)


def secret_of(name: str, environment: Mapping[str, str]) -> str:
    """What this variable holds, or the file that `..._FILE` names; empty: neither is set.

    Raises:
        CredentialsError: both are set, or the file cannot be read, or others may read it.
    """
    value, path = environment.get(name, "").strip(), environment.get(f"{name}_FILE", "")
    if value and path:
        raise CredentialsError(f"both {name} and {name}_FILE are set", hint="Unset one of them.")
    if not value and path:
        return sound(f"{name}_FILE", _content(name, Path(path).expanduser()))
    return sound(name, value)


def sound(name: str, value: str) -> str:
    """The value, if it can be a credential.

    Raises:
        CredentialsError: it cannot.
    """
    if not value.isprintable() or not value.isascii():
        raise CredentialsError(
            f"{name} cannot be right", why="it holds a line break or a character that no credential has"
        )
    return value


def _shown(path: Path) -> str:
    """A path that cannot be read may be the credential itself, set in the wrong place."""
    text = str(path)
    return "the file that it names" if _LIKE_A_CREDENTIAL.fullmatch(text) else text


def _content(name: str, path: Path) -> str:
    variable = f"{name}_FILE"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise CredentialsError(f"{variable}: {path} is not a file")
            if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise CredentialsError(
                    f"{variable}: others may read {path}",
                    why=f"its permissions are {stat.S_IMODE(status.st_mode):04o}",
                    hint=f"chmod 600 {path}",
                )
            content = stream.read(_BYTES_MAX)
    except OSError as error:
        raise CredentialsError(
            f"{variable}: cannot read {_shown(path)}",
            why=error.strerror or str(error),
            hint=f"{variable} takes the path of a file; the credential itself goes into {name}"
            + (_FROM_A_CODE if name == REFRESH_TOKEN and isinstance(error, FileNotFoundError) else ""),
        ) from None
    try:
        value = content.decode("ascii").strip()
    except UnicodeDecodeError:
        value = ""
    if not value:
        raise CredentialsError(f"{variable}: {path} holds no credential")
    return value
