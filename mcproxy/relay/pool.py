"""The links to one upstream in one protocol: kept open, opened again with growing waits, and opened anew by a reload.

Opening is ordinary trio, and somebody else's (`open_connection`): what it gives is ready for requests. A session that
needs a link when there is none is told so at once.

What links are opened with (certificates, credentials) a reload may replace. Then each link is followed by one that was
opened with the new material, and only then retired, so no request is lost. If that can't be opened, a link of before
serves on, unless what it trusted is not to be trusted any more.
"""

import random
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from mcproxy.relay.interfaces import UpstreamObserver
from mcproxy.relay.link import BinaryLink, Link, SharedLinks
from mcproxy.relay.login_waits import LoginWaits
from mcproxy.relay.obstacle import UNAVAILABLE, NotOpened, Obstacle
from mcproxy.relay.poller import Relay
from mcproxy.relay.secured import Connection, socket_of
from mcproxy.wire.requests import LoginWanted

FIRST_WAIT: Final = 0.05
LONGEST_WAIT: Final = 2.0
PRIVATE_LINKS: Final = 64
"""Links of their own that sessions may have open at a time."""
ASKED_TO_LOG_IN: Final = str(LoginWanted())


class Opened:
    """A link, the number of the material that it was opened with, and when. `reason` is there once it is `lost`."""

    def __init__(self, number: int) -> None:
        self.link: Link
        self.number = number
        self.since = trio.current_time()
        self.lost = trio.Event()
        self.reason = ""


class Pool:
    """`size` shared links of one protocol, "text" or "binary"; `first_link` is set once there has been one.

    `open_connection` raises NotOpened; `timeout` of requests in seconds. `gathers` is asked for each link, of which it
    says whether gets of several clients may go up in one line.
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
        self._open_connection = open_connection
        self._size = size
        self._timeout = timeout
        self._observer = observer
        self._gathers = gathers
        self._places = trio.Semaphore(PRIVATE_LINKS)
        self._nursery: trio.Nursery | None = None
        # One shared link at a time, so that a wrong password is not sent by all of them at once.
        self._one = trio.Lock()
        self._shared_links: set[Opened] = set()
        self._private_links: set[Opened] = set()
        # Which material links are opened with now, and the oldest with which they may serve.
        self._number = 0
        self._oldest_trusted = 0
        # Set, and replaced, when whoever waits for the next try is not to wait any longer.
        self._news = trio.Event()
        self._openings: set[trio.CancelScope] = set()
        self._logins = LoginWaits()

    @property
    def unavailable(self) -> bytes:
        """What clients whose requests get no link are told, behind SERVER_ERROR."""
        return UNAVAILABLE if self.obstacle is None else self.obstacle.answer

    def hurry(self) -> None:
        """Wait no longer for the next try."""
        self._logins.reset()
        self._news.set()
        self._news = trio.Event()

    def renew(self, *, trusted: bool) -> None:
        """From now on links are opened with other material. `trusted`: those of before may serve until one is open."""
        self._number += 1
        if not trusted:
            self._oldest_trusted = self._number
            self._relay.refresh()
            for opened in list(self._private_links):
                waiting = opened.link.waiting
                if waiting and waiting[0].endless:
                    opened.link.close("upstream.tls has changed")
                else:
                    opened.link.retire()
            self._relay.settle()
        for scope in self._openings:
            scope.cancel()
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
        wait = 0.0
        current: Opened | None = None
        # The link before was lost because upstream had forgotten the login.
        asked = False
        while True:
            try:
                opened = await self._open_shared()
            except NotOpened as problem:
                wait = min(max(FIRST_WAIT, wait * 2), LONGEST_WAIT)
                self._failed(problem, wait)
                # A refused login is waited for where the next one begins.
                if not problem.obstacle.refused and await self._pause(wait):
                    wait = 0.0
                continue
            self._put_in_service(opened, current)
            current = opened
            if not await self._until_lost_or_outdated(current):
                continue
            if trio.current_time() - current.since > LONGEST_WAIT:
                # One that was in service for a while is opened again at once.
                wait = 0.0
                asked = False
                self._logins.reset()
            elif current.reason != ASKED_TO_LOG_IN:
                wait = max(FIRST_WAIT, wait)
            elif asked:
                self._logins.refused(trio.current_time())
            asked = current.reason == ASKED_TO_LOG_IN
            if asked:
                wait = 0.0
            if await self._pause(wait):
                wait = 0.0

    async def _until_lost_or_outdated(self, opened: Opened) -> bool:
        """Returns whether it is lost."""
        while opened.number == self._number and not opened.lost.is_set():
            news = self._news
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_after, opened.lost, nursery.cancel_scope)
                nursery.start_soon(_cancel_after, news, nursery.cancel_scope)
        return opened.lost.is_set()

    async def _pause(self, seconds: float) -> bool:
        """Returns whether there is no reason to wait any more."""
        news = self._news
        # Not all at the same moment, when many wait for the same upstream.
        with trio.move_on_after(seconds * random.uniform(0.75, 1.0)) as scope:  # noqa: S311
            await news.wait()
        return not scope.cancelled_caught

    async def _open_shared(self) -> Opened:
        """Raises NotOpened."""
        async with self._one:
            while (left := self._logins.left(trio.current_time())) > 0:
                await self._pause(left)
            return await self._open(self._shared_links)

    async def _open(self, among: set[Opened]) -> Opened:
        """Raises NotOpened."""
        while True:
            number = self._number
            with trio.CancelScope() as scope:
                self._openings.add(scope)
                try:
                    connection = await self._open_connection()
                finally:
                    self._openings.discard(scope)
                if number == self._number:
                    break
                socket_of(connection).close()
            # A reload came in between: what is opened now is opened with the new material.
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
        among.add(opened)
        opened.link = kind(self._relay, connection, self._timeout, on_lost, self._gathers())
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
        outdated = [
            opened for opened in self._shared_links if opened.link in self.links and opened.number < self._number
        ]
        self._observer.links_outdated(self.protocol, len(outdated))

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


async def _cancel_after(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
