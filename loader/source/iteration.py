"""Going through what may be a plain iterable or an async one, in one loop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from typing import TypeVar

_Item = TypeVar("_Item")


async def each(items: Iterable[_Item] | AsyncIterable[_Item]) -> AsyncGenerator[_Item, None]:
    """The items of either kind of iterable.

    Whoever may leave the loop before its end closes this generator (`contextlib.aclosing`): else it is closed
    when nobody expects it. The iterable itself stays open, for it is its owner's.
    """
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
