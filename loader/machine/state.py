"""What the loads of one organisation share on this machine: where it is, and the parts that share it.

    STATE/credits+places of one organisation:  organisations/HOST+ORGANISATION/{credits,places/N}
    STATE/tokens of one refresh token:         credentials/HASH/{grants,turn,organisation}

Folders are 0700, files 0600. Nothing in them is a secret, and no load needs any of it to be right.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from loader.machine.credits import SharedCredits
from loader.machine.files import make_folder, open_private
from loader.machine.grants import SharedGrants
from loader.machine.places import SharedPlaces

NAME_MAX: Final = 200
_ORGANISATION: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")


class SharedState:
    """The shared state as one load uses it. `folder` None: it shares nothing."""

    def __init__(
        self,
        folder: Path | None,
        *,
        host: str,
        credentials: str,
        lasting: bool = True,
        daily_credits: int | None = None,
        keep: Callable[[int], int] = lambda _total: 0,
        warn: Callable[[str], None],
    ) -> None:
        """`host`: of the API, with its port. `credentials`: the secret that tells one account from another;
        a hash of it names a folder, and it goes nowhere else. `lasting`: it is the same for the next load;
        an access token is another one every hour, and would leave a folder each time that nobody opens again.
        """
        self._folder = folder = _usable(folder, warn)
        self._host = host
        identity = _hash(f"{host}\0{credentials}")
        self._own = folder / "credentials" / identity if folder is not None and lasting else None
        self._fallback = f"unknown-{identity}"
        self.credits = SharedCredits(total=daily_credits, keep=keep, warn=warn)
        self.places = SharedPlaces(warn=warn)
        self.grants = None if self._own is None else SharedGrants(self._own, warn=warn)

    def count_token(self) -> None:
        """An access token was granted that nobody took here: it came with a grant code, and counts as any."""
        if self.grants is not None:
            self.grants.add()

    def join_known(self) -> None:
        """Joins the organisation that these credentials belonged to before, if they have been used here."""
        known = self._known_organisation()
        if known:
            self._join(known, total=None)

    def join(self, organisation: str, *, total: int | None) -> None:
        """Joins the organisation that the service names; empty: it does not say, the credentials serve."""
        self._join(organisation or self._fallback, total=total)
        if organisation and organisation != self._known_organisation():
            self._keep_organisation(organisation)

    def close(self) -> None:
        self.credits.close()
        self.places.close()
        if self.grants is not None:
            self.grants.close()

    def _join(self, organisation: str, *, total: int | None) -> None:
        if self._folder is None:
            self.credits.learn(total)
            return
        shared = self._folder / "organisations" / folder_name(self._host, organisation)
        self.credits.join(shared / "credits", total=total)
        self.places.join(shared / "places")

    def _known_organisation(self) -> str:
        if self._own is not None:
            with suppress(OSError, UnicodeDecodeError):
                text = (self._own / "organisation").read_text("ascii")
                if _ORGANISATION.fullmatch(text):
                    return text
        return ""

    def _keep_organisation(self, organisation: str) -> None:
        """For the next load, which would else learn it only after its first calls."""
        if self._own is None or not _ORGANISATION.fullmatch(organisation):
            return
        with suppress(OSError):
            descriptor = open_private(self._own / "organisation")
            try:
                os.pwrite(descriptor, organisation.encode(), 0)
                os.ftruncate(descriptor, len(organisation))
            finally:
                os.close(descriptor)


def default_folder(environment: Mapping[str, str]) -> Path:
    """Where the state is unless somebody says otherwise: where the system keeps the state of programs."""
    if said := environment.get("LOADER_STATE_DIR", ""):
        return Path(said)
    configured = environment.get("XDG_STATE_HOME", "")
    # The base directory specification has a relative path count as none; each directory would have a state.
    absolute = configured.startswith("/")
    home = Path(configured) if absolute else Path(environment.get("HOME") or "/") / ".local" / "state"
    return home / "crm-bulk-loader"


def folder_name(host: str, organisation: str) -> str:
    """A name that no host and no organisation can make a path of."""
    name = f"{quote(host, safe='')}+{quote(organisation, safe='')}"
    return name if len(name) <= NAME_MAX else _hash(name)


def _usable(folder: Path | None, warn: Callable[[str], None]) -> Path | None:
    """The folder; None, and one warning for all that would be in it, where nothing can be kept there."""
    if folder is None:
        return None
    try:
        make_folder(folder)
        reason = "" if os.access(folder, os.W_OK | os.X_OK) else "it cannot be written"
    except OSError as error:
        reason = error.strerror or str(error)
    if not reason:
        return folder
    warn(
        f"what the loads of this machine share cannot be kept in {folder} ({reason}): this load counts its"
        " own alone, and takes all places that --concurrency allows"
    )
    return None


def _hash(text: str) -> str:
    return hashlib.sha256(b"crm-bulk-loader\0" + text.encode()).hexdigest()[:32]
