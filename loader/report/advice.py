"""What to do about a record that was refused or is in doubt, with the command as it can be typed. Pure.

`wire.codes` knows no load: there its directory is DIR.
"""

from __future__ import annotations

import re

from loader.errors import command
from loader.report.text import printable

_COMMAND = re.compile(r"loader (retry|resolve) DIR\b")


def typed(advice: str, *, load_dir: str, retry: str = "") -> str:
    """The advice for a record of the load in `load_dir`.

    `retry`: the load to be named to `loader retry`, where that is another one.
    """
    places = {"retry": retry or load_dir, "resolve": load_dir}
    # A path may be any bytes; those that are no text are escaped, as JSON cannot hold them.
    return _COMMAND.sub(lambda found: printable(command(found[1], places[found[1]])), advice)
