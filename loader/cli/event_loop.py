"""The event loop of a process that does nothing but one load.

Only a command of our own may decide this: a program that uses the loader as a library has its own loop, and
its own garbage.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import Any, Final, TypeVar

import anyio

Result = TypeVar("Result")

GARBAGE_FIRST: Final = 50_000
"""Objects made, and not yet freed, before cycles among them are looked for. A load makes next to none; the
interpreter's own 700 are reached every few calls, and what is found is nothing."""


def run(main: Callable[..., Awaitable[Result]], *arguments: Any) -> Result:
    """Runs `main` to its end, on uvloop where the extra `fast` is installed."""
    # Modules and all they hold live until the end: to look through them again and again finds nothing.
    gc.freeze()
    gc.set_threshold(GARBAGE_FIRST)
    ends: list[Callable[[], Result]] = []

    async def to_its_end() -> None:
        try:
            result = await main(*arguments)
        except Exception as error:
            ends.append(_raising(error))
        else:
            ends.append(lambda: result)

    try:
        anyio.run(to_its_end, backend_options={"use_uvloop": find_spec("uvloop") is not None})
    except Exception:
        # uvloop needs an open file more to be closed. What the load came to counts, not that.
        if not ends:
            raise
    return ends[0]()


def _raising(error: Exception) -> Callable[[], Any]:
    def end() -> Any:
        raise error

    return end
