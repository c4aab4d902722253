"""Links that serve one request of one session: stats, watch and the like."""

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from mcproxy.relay import retry
from mcproxy.relay.interfaces import UpstreamObserver
from mcproxy.relay.link import Link
from mcproxy.relay.link_ends import DONE, is_turned_away
from mcproxy.relay.login_waits import LoginWaits
from mcproxy.relay.obstacle import NotOpened
from mcproxy.relay.opening import Opened

PRIVATE_LINKS: Final = 64
"""Links of their own that sessions may have open at a time."""

OPENED_AT_ONCE: Final = 4
"""Of these, and after one has failed, one. As many wrong passwords are shown before one is known to be wrong."""


class PrivateLinks:
    """`opened` are those that are open. Clients decide how many are asked for, so they are opened with waits of their
    own as soon as one fails, or is lost through upstream; nobody stands in line during a wait.

    `open_link` opens one in a set, or raises NotOpened. `may_open` says whether any may be opened now. `outcome` is
    told of each try: why it failed, or None. `timeout` in seconds, for a place.
    """

    def __init__(
        self,
        protocol: str,
        timeout: float,
        observer: UpstreamObserver,
        open_link: Callable[[set[Opened]], Awaitable[Opened]],
        may_open: Callable[[], bool],
        outcome: Callable[[NotOpened | None], None],
    ) -> None:
        self.opened: set[Opened] = set()
        self._protocol = protocol
        self._timeout = timeout
        self._observer = observer
        self._open_link = open_link
        self._may_open = may_open
        self._outcome = outcome
        self._places = trio.Semaphore(PRIVATE_LINKS)
        self._turns = trio.Semaphore(OPENED_AT_ONCE)
        self._turns_after_failures = trio.Semaphore(1)
        self._waits = LoginWaits(retry.FIRST_WAIT, retry.LONGEST_WAIT)

    def hurry(self) -> None:
        """Wait no longer for the next try."""
        self._waits.reset()

    def distrust(self) -> None:
        """None takes any more requests; those that would never end do so now."""
        for opened in list(self.opened):
            waiting = opened.link.waiting
            if waiting and waiting[0].endless:
                opened.link.close("upstream.tls has changed")
            else:
                opened.link.retire()

    async def serve(self, ready: Callable[[Link | None], None]) -> None:
        """Open one and see it to its end. `ready` is called with it, or with None if there is none to be had."""
        with trio.move_on_after(self._timeout) as waiting:
            await self._places.acquire()
        if waiting.cancelled_caught:
            self._observer.no_place(self._protocol, PRIVATE_LINKS)
            ready(None)
            return
        try:
            opened = await self._open()
            if opened is None:
                ready(None)
                return
            opened.link.single_use = True
            try:
                ready(opened.link)
            except BaseException:
                opened.link.close("internal error")
                raise
            await opened.lost.wait()
            if is_turned_away(opened.reason):
                self._waits.refused(trio.current_time())
            elif opened.reason == DONE:
                self._waits.reset()
        finally:
            self._places.release()

    async def _open(self) -> Opened | None:
        turns = self._turns_after_failures if self._waits.failing else self._turns
        with trio.move_on_after(self._timeout) as waiting:
            await turns.acquire()
        if waiting.cancelled_caught:
            return None
        try:
            if not self._may_open() or self._waits.left(trio.current_time()) > 0:
                return None
            opened = await self._open_link(self.opened)
        except NotOpened as problem:
            self._waits.refused(trio.current_time())
            self._outcome(problem)
            return None
        finally:
            turns.release()
        self._outcome(None)
        return opened
