"""Passwords are hashed in threads, few at once; who waits for one waits in order of standing, and not everybody may.

Logins that are the same and under way at once share one hash, so a thousand clients that reconnect after a restart
cost one. A flood of guesses fills the queue all the same: so who has logged in from there before goes first, then who
comes from a source that hasn't failed lately, and for one of these somebody of less standing has to leave a full queue.
"""

import heapq
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import trio

from mcproxy.auth.throttle import Standing
from mcproxy.auth.verifiers import Verifier

Matching = Callable[[tuple[Verifier, ...], str], Verifier | None]
"""`verifiers.matching`: which of them, if any, the password is the secret of. Slow on purpose."""
THREADS: Final = 2
QUEUE: Final = 256


class Busy(Exception):
    """Too many others are waiting."""


@dataclass(slots=True)
class _Job:
    """A hash under way, for those who wait for the same one. Without `finished` it was given up."""

    done: trio.Event = field(default_factory=trio.Event)
    finished: bool = False
    matched: Verifier | None = None


@dataclass(slots=True)
class _Waiting:
    woken: trio.Event = field(default_factory=trio.Event)
    """With a thread, or because it had to leave."""
    has_thread: bool = False


class Hashing:
    """`threads` hash at once, and `queue` different logins may wait for them. `match` is what a thread runs."""

    def __init__(self, match: Matching, threads: int, queue: int) -> None:
        self._match = match
        self._most_waiting = queue
        self._idle = threads
        self._limiter = trio.CapacityLimiter(threads)
        self._jobs: dict[bytes, _Job] = {}
        self._order = itertools.count()
        self._waiting: list[tuple[Standing, int, _Waiting]] = []
        self.hashes = 0
        """Passwords hashed since the start."""

    async def matching(
        self, fingerprint: bytes, verifiers: tuple[Verifier, ...], password: str, standing: Standing
    ) -> Verifier | None:
        """The verifier that the password matches. `fingerprint` is of verifiers and password. Raises Busy."""
        while (job := self._jobs.get(fingerprint)) is not None:
            await job.done.wait()
            if job.finished:
                return job.matched
            # Whoever hashed it went away while waiting for a thread, or had to leave: somebody else has to.
        job = self._jobs[fingerprint] = _Job()
        try:
            await self._thread(standing)
            with self._giving_back():
                job.matched = await trio.to_thread.run_sync(self._match, verifiers, password, limiter=self._limiter)
            job.finished = True
            self.hashes += 1
        finally:
            del self._jobs[fingerprint]
            job.done.set()
        return job.matched

    async def _thread(self, standing: Standing) -> None:
        """Returns with one of the threads. Raises Busy."""
        if self._idle:
            self._idle -= 1
            return
        self._make_room(standing)
        place = (standing, next(self._order), _Waiting())
        heapq.heappush(self._waiting, place)
        waiting = place[2]
        try:
            await waiting.woken.wait()
        except trio.Cancelled:
            if waiting.has_thread:
                self._give_back()
            else:
                self._remove(place)
            raise
        if not waiting.has_thread:
            raise Busy

    def _make_room(self, standing: Standing) -> None:
        if len(self._waiting) < self._most_waiting:
            return
        last = max(self._waiting, default=None)
        if last is None or last[0] <= standing:
            raise Busy
        self._remove(last)
        last[2].woken.set()

    def _remove(self, place: tuple[Standing, int, _Waiting]) -> None:
        if place in self._waiting:
            self._waiting.remove(place)
            heapq.heapify(self._waiting)

    @contextmanager
    def _giving_back(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._give_back()

    def _give_back(self) -> None:
        if not self._waiting:
            self._idle += 1
            return
        _, _, waiting = heapq.heappop(self._waiting)
        waiting.has_thread = True
        waiting.woken.set()
