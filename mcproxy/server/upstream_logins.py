"""What the logins to one upstream, with one set of credentials, have in common."""

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import TypeVar

import trio

Result = TypeVar("Result")


class UpstreamLogins:
    """`refusal`: in which words upstream has refused the last login that it answered, None if it didn't.

    A guard that slows wrong passwords answers them late, or not in our time. So a login without an answer behind a
    refused one is the same refusal.
    """

    def __init__(self) -> None:
        self.refusal: str | None = None
        # A password is hashed as often as upstream asks for. One at a time, also of those that were given up: for the
        # others it is there by then. Each upstream has its own, so that none keeps the links of another waiting.
        self._thread = trio.CapacityLimiter(1)

    async def in_thread(self, clock: trio.CancelScope, function: Callable[..., Result], *arguments: object) -> Result:
        """Run what takes a while. The time of `clock`, which is upstream's, doesn't run meanwhile."""
        with _stopped(clock):
            return await trio.to_thread.run_sync(function, *arguments, limiter=self._thread, abandon_on_cancel=True)


@contextlib.contextmanager
def _stopped(clock: trio.CancelScope) -> Iterator[None]:
    left = clock.deadline - trio.current_time()
    clock.deadline = math.inf
    try:
        yield
    finally:
        clock.deadline = trio.current_time() + left
