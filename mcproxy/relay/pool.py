"""The links to one upstream in one protocol: kept open, opened again with growing waits, and opened anew by a reload.

Opening is ordinary trio, and somebody else's (`open_connection`): what it gives is ready for requests. A session that
needs a link when there is none is told so at once.

What links are opened with (certificates, credentials) a reload may replace. Then each link is followed by one that was
opened with the new material, and only then retired, so no request is lost. If that can't be opened, a link of before
serves on, unless what it trusted is not to be trusted any more.
"""

import math
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from mcproxy.relay.binary_link import BinaryLink
from mcproxy.relay.durations import Durations
from mcproxy.relay.interfaces import UpstreamObserver
from mcproxy.relay.link import Link
from mcproxy.relay.link_ends import ASKED_TO_LOG_IN
from mcproxy.relay.login_waits import LoginWaits
from mcproxy.relay.news import News
from mcproxy.relay.obstacle import LOGIN_FORGOTTEN, LOST, OUTDATED, UNAVAILABLE, NotOpened, Obstacle
from mcproxy.relay.opening import Opened, Opening
from mcproxy.relay.poller import Relay
from mcproxy.relay.private_links import PrivateLinks
from mcproxy.relay.retry import Retry
from mcproxy.relay.secured import Connection
from mcproxy.relay.shared_links import SharedLinks
from mcproxy.wire.gathered import Gathering

TRUSTED_ON: Final = 1.0
"""Seconds that links go on without their material being trusted any more, if no new one could be tried before."""


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
        self.durations = Durations()
        self.obstacle: Obstacle | None = None
        """Why the last link that was tried wasn't opened, or was lost; None if neither."""
        self._relay = relay
        self._size = size
        self._timeout = timeout
        self._observer = observer
        self._gathers = gathers
        self._gathering = Gathering(lambda: observer.denied(protocol))
        self._opening = Opening(open_connection, relay.report)
        self._nursery: trio.Nursery | None = None
        # One shared link at a time, so that a wrong password is not sent by all of them at once.
        self._one = trio.Lock()
        self._shared_links: set[Opened] = set()
        # The oldest material with which links may serve.
        self._oldest_trusted = 0
        # Of a reason not to wait any longer for the next try.
        self._news = News()
        self._logins = LoginWaits()
        self._resting = False
        self._private = PrivateLinks(protocol, timeout, observer, self._open, self._may_open_private, self._tried)

    @property
    def unavailable(self) -> bytes:
        """What clients whose requests get no link are told, behind SERVER_ERROR."""
        return UNAVAILABLE if self.obstacle is None else self.obstacle.answer

    def hurry(self) -> None:
        """Wait no longer for the next try."""
        self._logins.reset()
        self._private.hurry()
        self._news.tell()

    def renew(self, *, trusted: bool) -> None:
        """From now on links are opened with other material.

        `trusted`: those of before may serve until one is open; if not, for TRUSTED_ON seconds at most.
        """
        self._opening.renew()
        if not trusted:
            self._oldest_trusted = self._opening.number
            self._relay.refresh()
            self._private.distrust()
            self._relay.settle()
            if self._nursery is not None:
                self._nursery.start_soon(self._distrust, self._opening.number)
        self.hurry()

    def rest(self) -> None:
        """Nobody needs links any more: they answer what is in flight and end, and none is opened until `wake`."""
        if not self._resting:
            self._resting = True
            self._retire_before(self._opening.number + 1)
            self.obstacle = None

    def wake(self) -> None:
        """Links are needed again."""
        if self._resting:
            self._resting = False
            self.hurry()

    def open_private(self, ready: Callable[[Link | None], None]) -> None:
        """Open a link for one request; `ready` is called with it, or with None if that failed.

        If as many are open as may be, it waits for a place, for as long as upstream may take to answer. None is opened
        while no shared link is in service, or soon after one was refused or lost: clients must not make us guess.
        """
        if self._nursery is None:
            ready(None)
        else:
            self._nursery.start_soon(self._serve_private, ready)
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
            if not await self._until_lost_or_replaced(current):
                continue
            now = trio.current_time()
            retry.lost(current.reason, now - current.since, now)
            await self._pause(retry)

    async def _pause(self, retry: Retry) -> None:
        if await self._news.pause(retry.wait):
            retry.begin_anew()

    async def _until_lost_or_replaced(self, opened: Opened) -> bool:
        """Returns whether it is lost. Another may follow one that was retired while that is still owed an answer."""
        while opened.number == self._opening.number and not opened.link.retired and not opened.lost.is_set():
            await self._news.or_event(opened.lost)
        return opened.lost.is_set()

    async def _open_shared(self) -> Opened:
        """Raises NotOpened."""
        async with self._one:
            while (left := self._wait()) > 0:
                await self._news.pause(left)
            return await self._open(self._shared_links)

    def _wait(self) -> float:
        """Seconds until the next one may be opened."""
        return math.inf if self._resting else self._logins.left(trio.current_time())

    async def _open(self, among: set[Opened]) -> Opened:
        """Raises NotOpened."""
        return await self._opening.open(lambda connection, number: self._make(among, connection, number))

    def _make(self, among: set[Opened], connection: Connection, number: int) -> Opened:
        opened = Opened(number)

        def on_lost(reason: str) -> None:
            among.discard(opened)
            if opened.link in self.links:
                # At once: the next request must not be given a link that is gone.
                self.links.remove(opened.link)
                if reason == ASKED_TO_LOG_IN:
                    self.obstacle = LOGIN_FORGOTTEN
                elif self.obstacle is None:
                    self.obstacle = LOST
                self._observer.link_lost(self.protocol, reason)
                self._tell_outdated()
            opened.reason = reason
            opened.lost.set()
            self._relay.give_way()

        kind = Link if self.protocol == "text" else BinaryLink
        gathering = self._gathering if self._gathers() else None
        # A link of one session's own has requests like no other: a dump, or one without an end.
        durations = self.durations if among is self._shared_links else None
        opened.link = kind(self._relay, connection, self._timeout, on_lost, gathering, durations)
        if not opened.lost.is_set():
            among.add(opened)
        return opened

    def _put_in_service(self, opened: Opened, before: Opened | None) -> None:
        """In the place of the one before, if that is still there."""
        self.obstacle = None
        self._logins.accepted()
        if self._resting:
            # It was never in service, so nobody is told.
            self._end(opened)
        elif not opened.lost.is_set():
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
        self._end(opened)

    def _end(self, opened: Opened) -> None:
        self._relay.refresh()
        opened.link.retire()
        self._relay.settle()

    def _failed(self, problem: NotOpened, wait: float) -> None:
        self.obstacle = problem.obstacle
        if problem.obstacle.refused:
            wait = self._logins.refused(trio.current_time())
        self._retire_before(self._oldest_trusted)
        self._observer.link_failed(self.protocol, problem, wait)

    def _tell_outdated(self) -> None:
        number = self._opening.number
        outdated = sum(opened.number < number and opened.link in self.links for opened in self._shared_links)
        self._observer.links_outdated(self.protocol, outdated)

    async def _distrust(self, number: int) -> None:
        """What is being opened may take its time; what isn't trusted any more may not."""
        await trio.sleep(TRUSTED_ON)
        self._retire_before(number)
        if not self.links and self.obstacle is None:
            self.obstacle = OUTDATED

    def _retire_before(self, number: int) -> None:
        for opened in list(self._shared_links):
            if opened.number < number:
                self._retire(opened)
        self._tell_outdated()

    def _may_open_private(self) -> bool:
        return bool(self.links) and self._logins.left(trio.current_time()) <= 0

    def _tried(self, problem: NotOpened | None) -> None:
        if problem is None and self.links:
            self.obstacle = None
        elif problem is not None and problem.obstacle.refused:
            self._failed(problem, 0.0)

    async def _serve_private(self, ready: Callable[[Link | None], None]) -> None:
        try:
            await self._private.serve(ready)
        except Exception as error:
            self._relay.report(error)
