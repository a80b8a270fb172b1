"""Where `loader.toml` may be, and what is read of one; what its keys mean is `configuration.py`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from loader.cli.parameters import environment_variable
from loader.errors import UsageError

FILE_NAME = "loader.toml"
DIRECTORY_NAME = "crm-bulk-loader"
LOG_FORMAT = "--log-format"


def paths(environment: Mapping[str, str], here: Path) -> list[Path]:
    """Where settings may be, the weaker first."""
    configured = environment.get("XDG_CONFIG_HOME", "")
    # The base directory specification has a relative path count as none.
    absolute = configured.startswith("/")
    home = Path(configured) if absolute else Path(environment.get("HOME", "/")) / ".config"
    return [home / DIRECTORY_NAME / FILE_NAME, here / FILE_NAME]


def read(path: Path) -> tuple[str, dict[str, Any]]:
    """A file as its text and its keys; of one that is not there, nothing.

    Raises:
        UsageError: it cannot be read, or it is not TOML.
    """
    try:
        text = path.read_text(encoding="utf-8")
        return text, tomllib.loads(text)
    except (FileNotFoundError, NotADirectoryError):
        return "", {}
    except OSError as error:
        raise UsageError(f"cannot read {path}", why=error.strerror or str(error)) from error
    except (ValueError, RecursionError) as error:  # its own error is a ValueError, and not the only one
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UsageError(
            f"{path} is not TOML", why=why, hint='A line of it is: key = "value", or key = 10, or key = true'
        ) from error


def line_of(key: str, text: str) -> int | None:
    """The line of a key; None where more than one line looks like it, as inside a long text."""
    begins = re.compile(rf"\s*(['\"]?){re.escape(key)}\1\s*=")
    found = [number for number, line in enumerate(text.split("\n"), 1) if begins.match(line)]
    return found[0] if len(found) == 1 else None


def log_format(arguments: Sequence[str], environment: Mapping[str, str], here: Path) -> str:
    """How stderr is to be written, of a command whose settings may be wrong; empty: nobody says.

    A file that cannot be read says nothing: that is the error that is to be told.
    """
    said = ""
    for word, after in pairwise([*arguments, ""]):
        if word == "--":
            break
        if word == LOG_FORMAT:
            said = after
        elif word.startswith(f"{LOG_FORMAT}="):
            said = word.partition("=")[2]
    if said or (said := environment.get(environment_variable(LOG_FORMAT), "")):
        return said
    for path in reversed(paths(environment, here)):
        with suppress(UsageError):
            _, content = read(path)
            if isinstance(found := content.get("log-format", content.get("log_format")), str):
                return found
    return ""
