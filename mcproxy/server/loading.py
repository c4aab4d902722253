"""Work that takes long and makes many objects, such as thousands of users: in a thread, and out of the relay's way."""

import gc
from collections.abc import Callable
from typing import TypeVar

import trio

Result = TypeVar("Result")

_ONE = trio.CapacityLimiter(1)


async def in_thread(work: Callable[[], Result]) -> Result:
    """What `work` returns. Who is cancelled doesn't wait for it."""
    return await trio.to_thread.run_sync(_without_collections, work, abandon_on_cancel=True, limiter=_ONE)


def _without_collections(work: Callable[[], Result]) -> Result:
    """Garbage would be looked for again and again as the objects become more, each time with everything at a halt."""
    gc.disable()
    try:
        return work()
    finally:
        gc.enable()
