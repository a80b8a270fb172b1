"""The class of commands: rich-click's where a person at a terminal asks for help, else click's own.

rich costs more time than all else that a help text needs, so nobody else pays for it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from loader.report.terminal import redraws, takes_unicode

if TYPE_CHECKING:
    from click import Command
elif {"-h", "--help"} & set(sys.argv) and redraws(sys.stdout) and takes_unicode(sys.stdout):
    from rich_click import RichCommand as Command
else:
    from click import Command

__all__ = ["Command"]
