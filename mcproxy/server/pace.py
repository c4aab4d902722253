"""Work that takes clients their turn, and that strangers can bring about: how much of the time it may take."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import trio

from mcproxy.auth.throttle import Standing
from mcproxy.server.queue import Queue

LONGEST_REST: Final = 1.0
"""Seconds."""
_REST: Final = 9.0
"""Rests are so many times as long as the work before them, which has a tenth of the time then."""
# More than there are connections whose work this is.
_LONGEST_QUEUE: Final = 1024


def rest_after(seconds: float) -> float:
    """How long to rest after work that took so many seconds."""
    return min(LONGEST_REST, _REST * seconds)


class Pace:
    """One piece of work at a time, and a rest after each. Sources take turns, so none that wants much keeps others
    waiting. `clock` is the processor's time by which the work is measured, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.thread_time) -> None:
        self._clock = clock
        self._queue = Queue(at_once=1, longest=_LONGEST_QUEUE)
        self._rest_until = 0.0

    @asynccontextmanager
    async def piece(self, source: str) -> AsyncIterator[None]:
        """Entered once it is its turn. What is done within must not wait for anybody. Raises Busy."""
        await self._queue.turn(Standing.NEW, source)
        try:
            await trio.sleep_until(self._rest_until)
            start = self._clock()
            try:
                yield
            finally:
                self._rest_until = trio.current_time() + rest_after(self._clock() - start)
        finally:
            self._queue.give_back()
