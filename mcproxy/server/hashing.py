"""Passwords are hashed in threads, few at once; who waits for one waits in a queue (queue.py), and not everybody may.

Logins that are the same and under way at once share one hash, so a thousand clients that reconnect after a restart
cost one. A flood of guesses fills the queue all the same: so who has logged in from there before goes first, then who
comes from a source that hasn't failed lately, and for one of these somebody of less standing has to leave a full queue.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import trio

from mcproxy.auth.throttle import Standing
from mcproxy.auth.verifiers import Verifier
from mcproxy.server.queue import Busy, Queue

__all__ = ["QUEUE", "THREADS", "Busy", "Hashing", "Matching"]

Matching = Callable[[tuple[Verifier, ...], str], Verifier | None]
"""`verifiers.matching`: which of them, if any, the password is the secret of. Slow on purpose."""
THREADS: Final = 2
QUEUE: Final = 256


@dataclass(slots=True)
class _Job:
    """A hash under way, for those who wait for the same one. Without `finished` it was given up."""

    done: trio.Event = field(default_factory=trio.Event)
    finished: bool = False
    matched: Verifier | None = None


class Hashing:
    """`threads` hash at once, and `queue` different logins may wait for them. `match` is what a thread runs."""

    def __init__(self, match: Matching, threads: int, queue: int) -> None:
        self._match = match
        self._limiter = trio.CapacityLimiter(threads)
        self._queue = Queue(threads, queue)
        self._jobs: dict[bytes, _Job] = {}
        self.hashes = 0
        """Passwords hashed since the start."""

    async def matching(
        self, fingerprint: bytes, verifiers: tuple[Verifier, ...], password: str, standing: Standing, username: str
    ) -> Verifier | None:
        """The verifier that the password matches. `fingerprint` is of all but `standing`. Raises Busy."""
        while (job := self._jobs.get(fingerprint)) is not None:
            await job.done.wait()
            if job.finished:
                return job.matched
            # Whoever hashed it went away while waiting for a thread, or had to leave: somebody else has to.
        job = self._jobs[fingerprint] = _Job()
        try:
            await self._queue.turn(standing, username)
            try:
                job.matched = await trio.to_thread.run_sync(self._match, verifiers, password, limiter=self._limiter)
            finally:
                self._queue.give_back()
            job.finished = True
            self.hashes += 1
        finally:
            del self._jobs[fingerprint]
            job.done.set()
        return job.matched
