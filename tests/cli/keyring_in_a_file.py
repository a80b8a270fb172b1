"""A keyring that is a JSON file: the keyring package finds it by PYTHON_KEYRING_BACKEND, as any other."""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend


class Keyring(KeyringBackend):
    """Keeps its entries in the file that TEST_KEYRING names."""

    priority = 1.0

    def get_password(self, service: str, username: str) -> str | None:
        entry = self._entries().get(f"{service}/{username}")
        return None if entry is None else str(entry)

    def set_password(self, service: str, username: str, password: str) -> None:
        self._path.write_text(json.dumps({**self._entries(), f"{service}/{username}": password}))

    def delete_password(self, service: str, username: str) -> None:
        entries = self._entries()
        entries.pop(f"{service}/{username}")
        self._path.write_text(json.dumps(entries))

    @property
    def _path(self) -> Path:
        return Path(os.environ["TEST_KEYRING"])

    def _entries(self) -> dict[str, str]:
        return dict(json.loads(self._path.read_text())) if self._path.exists() else {}


class Full(Keyring):
    """One that can be read and takes nothing more."""

    priority = 1.0

    def set_password(self, service: str, username: str, password: str) -> None:
        raise OSError("canary-secret")


class Locked(KeyringBackend):
    """A keyring that nobody can open; its words hold a secret, as some do."""

    priority = 1.0

    def get_password(self, service: str, username: str) -> str | None:
        raise RuntimeError("canary-secret")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise RuntimeError("canary-secret")
