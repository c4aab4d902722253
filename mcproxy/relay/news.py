"""Waiting that news cuts short."""

import random

import trio


class News:
    """What is told reaches all who wait at that moment, and nobody later."""

    def __init__(self) -> None:
        self._told = trio.Event()

    def tell(self) -> None:
        """Nobody waits any longer."""
        self._told.set()
        self._told = trio.Event()

    async def pause(self, seconds: float) -> bool:
        """Wait for about so long. Returns whether there is no reason to wait any more."""
        told = self._told
        # Not all at the same moment, when many wait for the same upstream.
        with trio.move_on_after(seconds * random.uniform(0.75, 1.0)) as scope:  # noqa: S311
            await told.wait()
        return not scope.cancelled_caught

    async def or_event(self, event: trio.Event) -> None:
        """Wait for either."""
        told = self._told
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_after, event, nursery.cancel_scope)
            nursery.start_soon(_cancel_after, told, nursery.cancel_scope)


async def _cancel_after(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
