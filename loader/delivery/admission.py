"""A call on its way into a place in flight: with its access token, never waiting for it there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from loader.throttle.gate import Gate, Place


@asynccontextmanager
async def admitted(gate: Gate, ready: Callable[[], Awaitable[None]]) -> AsyncIterator[Place]:
    """A place for a question that finds its access token ready; `ready` waits until there is one.

    Raises:
        GateClosedError, NotNowError: as the gate does.
        CredentialsError, NotNowError: there is no access token, and nothing of the call has left.
    """
    await ready()
    async with gate.admit() as place:
        await ready_still(place, ready)
        yield place


async def ready_still(place: Place, ready: Callable[[], Awaitable[None]]) -> None:
    """The token may have run out while the call waited for its place: nothing of it has left yet.

    Raises:
        CredentialsError, NotNowError: there is none any more.
    """
    try:
        await ready()
    except BaseException:  # cancelled too: the service never had anything of the call
        place.failed("no access token", reached=False)
        raise
