"""A peer: the script with aiohttp and `gather` that comes next. `aiohttp_gather.py URL FILE`

The whole file in memory, all calls begun at once, ten connections. No check, no log, no retry; it counts what
succeeded and forgets which records did not.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import aiohttp


async def main(url: str, path: Path) -> None:
    """Post the whole file, 100 records a call."""
    with path.open() as file:
        records = [json.loads(line) for line in file]
    batches = [records[start : start + 100] for start in range(0, len(records), 100)]
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=10), timeout=timeout) as session:

        async def post(batch: list[dict[str, Any]]) -> Any:
            async with session.post(f"{url}/crm/v8/Leads", json={"data": batch}) as answer:
                answer.raise_for_status()
                return await answer.json()

        answers = await asyncio.gather(*(post(batch) for batch in batches))
    print(sum(item["code"] == "SUCCESS" for answer in answers for item in answer["data"]))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
