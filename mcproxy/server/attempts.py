"""A source's turns at trying passwords, and its throttle: counted here for one process or for all workers.

A source gets few turns at once: more would let it make many guesses before the first of them is counted, and fill the
queue that others wait in.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from mcproxy.auth.throttle import Throttle, throttle_key

TURNS: Final = 2


class LocalAttempt:
    """One attempt of one source. `wait` as Throttle.delay has it."""

    __slots__ = ("_source", "_throttle", "wait")

    def __init__(self, throttle: Throttle, source: str, wait: float | None) -> None:
        self.wait = wait
        self._throttle = throttle
        self._source = source

    async def failed(self) -> None:
        """The password was wrong."""
        self.failed_now()

    def failed_now(self) -> None:
        """As failed, which is asynchronous only where somebody else must be told."""
        self._throttle.failed(self._source, trio.current_time())

    def succeeded(self) -> None:
        """The password was right."""
        self._throttle.succeeded(self._source, trio.current_time())


class LocalAttempts:
    """`turns` attempts of one source at a time."""

    def __init__(self, throttle: Throttle, *, turns: int = TURNS) -> None:
        self._throttle = throttle
        self._most = turns
        self._turns: dict[str, trio.CapacityLimiter] = {}

    @asynccontextmanager
    async def attempt(self, source: str, patience: float) -> AsyncIterator[LocalAttempt]:
        """As Attempts.attempt of shared.py."""
        key = throttle_key(source)
        deadline = trio.current_time() + patience
        turns = self._turns.setdefault(key, trio.CapacityLimiter(self._most))
        try:
            async with turns:
                now = trio.current_time()
                yield LocalAttempt(self._throttle, source, self._throttle.delay(source, now, deadline - now))
        finally:
            statistics = turns.statistics()
            if not statistics.borrowed_tokens and not statistics.tasks_waiting:
                self._turns.pop(key, None)
