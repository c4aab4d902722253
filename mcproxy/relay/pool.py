"""The links to one upstream in one protocol: kept open, opened again with growing waits, and opened anew by a reload.

Opening is ordinary trio, and somebody else's (`open_connection`): what it gives is ready for requests. A session that
needs a link when there is none is told so at once.

What links are opened with (certificates, credentials) a reload may replace. Then each link is followed by one that was
opened with the new material, and only then retired, so no request is lost. If that can't be opened, a link of before
serves on, unless what it trusted is not to be trusted any more.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from mcproxy.relay.binary_link import BinaryLink
from mcproxy.relay.interfaces import UpstreamObserver
from mcproxy.relay.link import Link
from mcproxy.relay.login_waits import LoginWaits
from mcproxy.relay.news import News
from mcproxy.relay.obstacle import UNAVAILABLE, NotOpened, Obstacle
from mcproxy.relay.opening import Opened, Opening
from mcproxy.relay.poller import Relay
from mcproxy.relay.retry import Retry
from mcproxy.relay.secured import Connection
from mcproxy.relay.shared_links import SharedLinks
from mcproxy.wire.gathered import Gathering

PRIVATE_LINKS: Final = 64
"""Links of their own that sessions may have open at a time."""


class Pool:
    """`size` shared links of one protocol, "text" or "binary"; `first_link` is set once there has been one.

    `open_connection` raises NotOpened; `timeout` of requests in seconds. `gathers` is asked for each link, of which it
    says whether gets of several clients may go up in one line; once one is denied, none does any more.
    """

    def __init__(
        self,
        relay: Relay,
        protocol: str,
        open_connection: Callable[[], Awaitable[Connection]],
        size: int,
        timeout: float,
        observer: UpstreamObserver,
        gathers: Callable[[], bool] = lambda: True,
    ) -> None:
        self.protocol = protocol
        self.shared = SharedLinks()
        self.links = self.shared.links
        self.first_link = trio.Event()
        self.obstacle: Obstacle | None = None
        """What stood in the way of the last link that was tried, None if nothing did."""
        self._relay = relay
        self._size = size
        self._timeout = timeout
        self._observer = observer
        self._gathers = gathers
        self._gathering = Gathering(lambda: observer.denied(protocol))
        self._opening = Opening(open_connection)
        self._places = trio.Semaphore(PRIVATE_LINKS)
        self._nursery: trio.Nursery | None = None
        # One shared link at a time, so that a wrong password is not sent by all of them at once.
        self._one = trio.Lock()
        self._shared_links: set[Opened] = set()
        self._private_links: set[Opened] = set()
        # The oldest material with which links may serve.
        self._oldest_trusted = 0
        # Of a reason not to wait any longer for the next try.
        self._news = News()
        self._logins = LoginWaits()

    @property
    def unavailable(self) -> bytes:
        """What clients whose requests get no link are told, behind SERVER_ERROR."""
        return UNAVAILABLE if self.obstacle is None else self.obstacle.answer

    def hurry(self) -> None:
        """Wait no longer for the next try."""
        self._logins.reset()
        self._news.tell()

    def renew(self, *, trusted: bool) -> None:
        """From now on links are opened with other material. `trusted`: those of before may serve until one is open."""
        self._opening.renew()
        if not trusted:
            self._oldest_trusted = self._opening.number
            self._relay.refresh()
            for opened in list(self._private_links):
                waiting = opened.link.waiting
                if waiting and waiting[0].endless:
                    opened.link.close("upstream.tls has changed")
                else:
                    opened.link.retire()
            self._relay.settle()
        self.hurry()

    def open_private(self, ready: Callable[[Link | None], None]) -> None:
        """Open a link for one request; `ready` is called with it, or with None if that failed.

        If as many are open as may be, it waits for a place, for as long as upstream may take to answer. None is opened
        while no shared link is in service, or soon after a refused login: clients must not make us guess.
        """
        if self._nursery is None:
            ready(None)
        else:
            self._nursery.start_soon(self._open_private, ready)
            self._relay.give_way()

    async def run(self) -> None:
        """Keep the links open until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                for _ in range(self._size):
                    nursery.start_soon(self._keep_open)
        finally:
            self._nursery = None

    async def _keep_open(self) -> None:
        """One link, which another follows when it is lost or there is new material."""
        retry = Retry(self._logins)
        current: Opened | None = None
        while True:
            try:
                opened = await self._open_shared()
            except NotOpened as problem:
                self._failed(problem, retry.failed())
                # A refused login is waited for where the next one begins.
                if not problem.obstacle.refused:
                    await self._pause(retry)
                continue
            self._put_in_service(opened, current)
            current = opened
            if not await self._until_lost_or_outdated(current):
                continue
            now = trio.current_time()
            retry.lost(current.reason, now - current.since, now)
            await self._pause(retry)

    async def _pause(self, retry: Retry) -> None:
        if await self._news.pause(retry.wait):
            retry.wait = 0.0

    async def _until_lost_or_outdated(self, opened: Opened) -> bool:
        """Returns whether it is lost."""
        while opened.number == self._opening.number and not opened.lost.is_set():
            await self._news.or_event(opened.lost)
        return opened.lost.is_set()

    async def _open_shared(self) -> Opened:
        """Raises NotOpened."""
        async with self._one:
            while (left := self._logins.left(trio.current_time())) > 0:
                await self._news.pause(left)
            return await self._open(self._shared_links)

    async def _open(self, among: set[Opened]) -> Opened:
        """Raises NotOpened."""
        connection, number = await self._opening.open()
        opened = Opened(number)

        def on_lost(reason: str) -> None:
            among.discard(opened)
            if opened.link in self.links:
                # At once: the next request must not be given a link that is gone.
                self.links.remove(opened.link)
                self._observer.link_lost(self.protocol, reason)
                self._tell_outdated()
            opened.reason = reason
            opened.lost.set()
            self._relay.give_way()

        kind = Link if self.protocol == "text" else BinaryLink
        gathering = self._gathering if self._gathers() else None
        among.add(opened)
        opened.link = kind(self._relay, connection, self._timeout, on_lost, gathering)
        return opened

    def _put_in_service(self, opened: Opened, before: Opened | None) -> None:
        """In the place of the one before, if that is still there."""
        self._accepted()
        if not opened.lost.is_set():
            self.links.append(opened.link)
            self._observer.link_opened(self.protocol)
            self.first_link.set()
        if before is not None:
            self._retire(before)
        self._tell_outdated()

    def _retire(self, opened: Opened) -> None:
        """It answers what is in flight, and nothing more is sent on it."""
        if opened.link not in self.links:
            return
        self.links.remove(opened.link)
        self._observer.link_retired(self.protocol)
        self._relay.refresh()
        opened.link.retire()
        self._relay.settle()

    def _accepted(self) -> None:
        self.obstacle = None
        self._logins.accepted()

    def _failed(self, problem: NotOpened, wait: float) -> None:
        self.obstacle = problem.obstacle
        if problem.obstacle.refused:
            wait = self._logins.refused(trio.current_time())
        for opened in list(self._shared_links):
            if opened.number < self._oldest_trusted:
                self._retire(opened)
        self._tell_outdated()
        self._observer.link_failed(self.protocol, problem, wait)

    def _tell_outdated(self) -> None:
        number = self._opening.number
        outdated = sum(opened.number < number and opened.link in self.links for opened in self._shared_links)
        self._observer.links_outdated(self.protocol, outdated)

    async def _open_private(self, ready: Callable[[Link | None], None]) -> None:
        with trio.move_on_after(self._timeout) as waiting:
            await self._places.acquire()
        if waiting.cancelled_caught:
            self._observer.no_place(self.protocol, PRIVATE_LINKS)
            ready(None)
            return
        try:
            if not self.links or self._logins.left(trio.current_time()) > 0:
                ready(None)
                return
            try:
                opened = await self._open(self._private_links)
            except NotOpened as problem:
                if problem.obstacle.refused:
                    self._failed(problem, 0.0)
                ready(None)
                return
            self._accepted()
            opened.link.single_use = True
            ready(opened.link)
            await opened.lost.wait()
        finally:
            self._places.release()
