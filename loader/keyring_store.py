"""Credentials in the system keyring, an extra: `pip install 'crm-bulk-loader[keyring]'`.

Each credential is one entry, so that a person can see and change it with the tools of the keyring.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType

from loader.errors import CredentialsError, UsageError

SERVICE = "crm-bulk-loader"


def read(store: str, names: Sequence[str]) -> dict[str, str]:
    """What the keyring holds, by variable; an entry that there is not is empty.

    Raises:
        CredentialsError: the keyring cannot be read.
        UsageError: the package is not installed.
    """
    keyring = _keyring()
    with _told("read"):
        return {name: keyring.get_password(service_of(store), entry_of(name)) or "" for name in names}


def write(store: str, values: Mapping[str, str]) -> None:
    """Keeps credentials, by variable. Raises as `read`."""
    keyring = _keyring()
    with _told("written"):
        for name, value in values.items():
            keyring.set_password(service_of(store), entry_of(name), value)


def service_of(store: str) -> str:
    """`keyring:acme` -> `crm-bulk-loader:acme`."""
    _, colon, name = store.partition(":")
    return SERVICE + colon + name


def entry_of(name: str) -> str:
    """`LOADER_CLIENT_ID` -> `client-id`."""
    return name.removeprefix("LOADER_").lower().replace("_", "-")


def _keyring() -> ModuleType:
    try:
        import keyring  # noqa: PLC0415 - an extra, and half a second
    except ModuleNotFoundError as error:
        raise UsageError(
            "the credentials are to be in the system keyring, and it cannot be reached",
            why=f"the package {error.name} is not installed",
            hint="pip install 'crm-bulk-loader[keyring]'",
        ) from None
    return keyring


@contextmanager
def _told(done: str) -> Iterator[None]:
    """Whatever a backend raises, as one screen; its words are left out, for nobody knows what they hold."""
    try:
        yield
    except Exception as error:
        kind = type(error).__name__
        raise CredentialsError(
            f"the system keyring cannot be {done}",
            why="there is no keyring on this machine" if kind == "NoKeyringError" else f"it says {kind}",
            hint="See what there is: keyring --list-backends\n"
            "Without a keyring: files that only you may read, LOADER_REFRESH_TOKEN_FILE=PATH",
        ) from None
