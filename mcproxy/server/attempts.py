"""Turns at trying passwords, and the throttle: counted here for one process or for all workers.

A source gets few turns at once: more would let it make many guesses before the first of them is counted, and fill the
queue that others wait in. A name that has logged in from there before has turns of its own, and need not queue behind
whoever else uses that address.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from mcproxy.auth.throttle import Slot, Standing, Throttle

TURNS: Final = 2


class LocalAttempt:
    """One attempt. `wait` as Slot has it."""

    __slots__ = ("_slot",)

    def __init__(self, slot: Slot) -> None:
        self._slot = slot

    @property
    def wait(self) -> float | None:
        return self._slot.wait

    @property
    def standing(self) -> Standing:
        return self._slot.standing

    async def failed(self) -> None:
        """The password was wrong."""
        self.failed_now()

    def failed_now(self) -> None:
        """As failed, which is asynchronous only where somebody else must be told."""
        self._slot.failed(trio.current_time())

    def succeeded(self) -> None:
        """The password was right."""
        self._slot.succeeded(trio.current_time())


class LocalAttempts:
    """`turns` attempts at a time of one source, or of a name that is known there."""

    def __init__(self, throttle: Throttle, *, turns: int = TURNS) -> None:
        self._throttle = throttle
        self._most = turns
        self._turns: dict[str | bytes, trio.CapacityLimiter] = {}

    @asynccontextmanager
    async def attempt(self, source: str, username: str, patience: float) -> AsyncIterator[LocalAttempt]:
        """As Attempts.attempt of shared.py."""
        now = trio.current_time()
        deadline = now + patience
        key = self._throttle.turns_key(source, username, now)
        turns = self._turns.setdefault(key, trio.CapacityLimiter(self._most))
        try:
            async with turns:
                now = trio.current_time()
                slot = self._throttle.attempt(source, username, now, deadline - now)
                try:
                    yield LocalAttempt(slot)
                finally:
                    slot.left()
        finally:
            statistics = turns.statistics()
            if not statistics.borrowed_tokens and not statistics.tasks_waiting:
                self._turns.pop(key, None)
