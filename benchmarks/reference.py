"""The reference loop: the least that an aiohttp client can do with the same file, for the same sink.

It joins 100 lines into a body, posts ten at once and reads no answer. No check, no outcome, no log, no retry.
`python -m benchmarks.reference URL FILE`
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import aiohttp


def bodies(path: Path) -> Iterator[bytes]:
    """The request bodies of a file, 100 lines in each."""
    with path.open("rb", buffering=1024 * 1024) as file:
        while lines := list(islice(file, 100)):
            yield b'{"data":[' + b",".join(lines) + b"]}"


async def post_all(url: str, path: Path) -> None:
    """Post the whole file, ten calls at once."""
    shared = bodies(path)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=10)) as session:

        async def work() -> None:
            for body in shared:
                async with session.post(f"{url}/crm/v8/Leads", data=body) as response:
                    response.raise_for_status()
                    response.release()

        await asyncio.gather(*(work() for _ in range(10)))


if __name__ == "__main__":
    asyncio.run(post_all(sys.argv[1], Path(sys.argv[2])))
