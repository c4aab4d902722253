"""Turns at trying passwords, and the throttle: counted here for one process or for all workers.

A source gets few turns at once: more would let it make many guesses before the first of them is counted, and fill the
queue that others wait in. A name that has logged in from there before has turns of its own, and need not queue behind
whoever else uses that address.

Clients log in with several connections at once, and a new source has one chance to get past the slots of a name that is
guessed at. So while somebody is trying his, others from there wait for what comes of it: where it was right they are
known, and where nobody checked it, it is theirs.
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
        self._chances: dict[str, trio.Event] = {}

    @asynccontextmanager
    async def attempt(self, source: str, username: str, patience: float, seconds: float) -> AsyncIterator[LocalAttempt]:
        """As Attempts.attempt of shared.py."""
        now = trio.current_time()
        deadline = now + patience
        key = self._throttle.turns_key(source, username, now)
        turns = self._turns.setdefault(key, trio.CapacityLimiter(self._most))
        try:
            async with turns:
                now, chance = await self._chance(source, username)
                slot = self._throttle.attempt(source, username, now, deadline - now)
                under_way = trio.Event()
                if chance is not None and slot.is_chance:
                    self._chances[chance] = under_way
                try:
                    yield LocalAttempt(slot)
                finally:
                    slot.left()
                    if chance is not None and slot.is_chance:
                        del self._chances[chance]
                    under_way.set()
        finally:
            statistics = turns.statistics()
            if not statistics.borrowed_tokens and not statistics.tasks_waiting:
                self._turns.pop(key, None)

    async def _chance(self, source: str, username: str) -> tuple[float, str | None]:
        """What time it is once nobody else tries the chance that this would take, and whose that is, if any.

        Each that has waited looks again in its turn, and nothing happens between that and its slot.
        """
        while True:
            now = trio.current_time()
            key = self._throttle.chance_key(source, username, now)
            if key is None or (under_way := self._chances.get(key)) is None:
                return now, key
            await under_way.wait()
