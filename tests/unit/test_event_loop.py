"""The loop of a command: what the load came to is what counts."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from loader.cli import event_loop


@pytest.fixture(autouse=True)
def garbage_as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


async def doubled(number: int) -> int:
    return 2 * number


async def refused() -> None:
    raise ValueError("refused")


async def leaves_a_loop_that_cannot_be_closed() -> str:
    loop = asyncio.get_running_loop()
    loop.call_soon(loop.set_debug, False)
    loop.shutdown_asyncgens = fails  # type: ignore[method-assign]
    return "done"


async def fails() -> None:
    raise OSError("too many open files")


def test_the_result_comes_back() -> None:
    assert event_loop.run(doubled, 4) == 8


def test_an_error_comes_back_as_itself() -> None:
    with pytest.raises(ValueError, match="refused"):
        event_loop.run(refused)


def test_a_loop_that_cannot_be_closed_hides_no_result() -> None:
    assert event_loop.run(leaves_a_loop_that_cannot_be_closed) == "done"
