"""Notices that files have changed, by looking at them again and again.

inotify(7) would have to follow every symbolic link, and doesn't see what others do on a network disk.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from mcproxy.config.look import Look, look

INTERVAL: Final = 1.0
"""Seconds between two looks, and for which nothing more may change before it is acted on."""
LONGEST_WAIT: Final = 10
"""Looks after which it is acted on although files go on changing."""


async def watch(known: Callable[[], Look], changed: Callable[[], Awaitable[None]], interval: float = INTERVAL) -> None:
    """Call `changed` when files are no longer as `known` says and have come to rest. Until cancelled.

    `known` is asked every time, so that which files are watched may change as well.
    """
    last: Look = {}
    unrest = 0
    while True:
        await trio.sleep(interval)
        loaded = known()
        # In a thread: they may be on a disk of the network.
        now = await trio.to_thread.run_sync(look, list(loaded), abandon_on_cancel=True)
        if now == loaded or not loaded:
            unrest = 0
        elif now == last or unrest >= LONGEST_WAIT:
            unrest = 0
            await changed()
        else:
            unrest += 1
        last = now
