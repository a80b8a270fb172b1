"""A real browser without a screen: opens a page, gives what it made of it, and what it complained about."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NEEDED = pytest.mark.skipif(
    CHROMIUM is None, reason="NO BROWSER: the report is not looked at; install Debian's package `chromium`"
)
OPENS_MAX_S = 100
_COMPLAINT = re.compile(r":CONSOLE\b.*")


class Seen(NamedTuple):
    """A page after the browser has read it."""

    dom: str
    complaints: list[str]
    """What stands on its console."""


def look_at(page: Path, profile: Path, *, dark: bool = False) -> Seen:
    """Opens the page, with a profile of its own and nothing that would reach the network."""
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",  # the tests may run as root
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            "--no-default-browser-check",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--enable-logging=stderr",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            f"--user-data-dir={profile}",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=OPENS_MAX_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Seen(done.stdout, _COMPLAINT.findall(done.stderr))
