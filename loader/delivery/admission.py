"""A question on its way into a place in flight: with its access token, never waiting for it there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from loader.throttle.gate import Gate, Place


@asynccontextmanager
async def admitted(gate: Gate, ready: Callable[[], Awaitable[None]]) -> AsyncIterator[Place]:
    """A place for a call that finds its access token ready; `ready` waits until there is one.

    Raises:
        GateClosedError, NotNowError: as the gate does.
        CredentialsError, NotNowError: there is no access token, and nothing of the call has left.
    """
    await ready()
    async with gate.admit() as place:
        try:
            # It may have run out while the call waited for its place.
            await ready()
        except BaseException:  # cancelled too: the service never had anything of the call
            place.failed("no access token", reached=False)
            raise
        yield place
