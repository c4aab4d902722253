"""The links of one protocol: opened, tried, kept open, and opened again with growing waits.

Opening is ordinary trio. A link is in service once upstream has answered `version` on it, so a memcached that is full,
wants a login or is something else is found out before any client's bytes go there. A session that needs a link in the
meantime is told at once that there is none.
"""

import random
import socket
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from mcproxy.relay.link import BinaryLink, Link, SharedLinks
from mcproxy.relay.poller import Relay
from mcproxy.wire import binary_operations as operations

FIRST_WAIT = 0.05
LONGEST_WAIT = 2.0
# Links of their own that sessions may have open at a time.
PRIVATE_LINKS = 64
_VERSION_REQUEST = operations.HEADER.pack(operations.REQUEST_MAGIC, 0x0B, 0, 0, 0, 0, 0, 0, 0)


class UpstreamRefused(Exception):
    """Upstream accepted the connection and then did not answer as a memcached does."""


class UpstreamObserver(Protocol):
    """Is told when upstream comes and goes."""

    def link_opened(self, protocol: str) -> None: ...
    def link_lost(self, protocol: str, reason: str) -> None: ...
    def link_failed(self, protocol: str, reason: str, wait: float) -> None: ...
    def no_place(self, protocol: str, most: int) -> None: ...


class Pool:
    """Shared links of one protocol, "text" or "binary"; `first_link` is set once there has been one.

    `connect` opens a non-blocking socket; `timeout` in seconds.
    """

    def __init__(
        self,
        relay: Relay,
        protocol: str,
        connect: Callable[[], Awaitable[socket.socket]],
        size: int,
        timeout: float,
        observer: UpstreamObserver,
    ) -> None:
        self.protocol = protocol
        self.shared = SharedLinks()
        self.links = self.shared.links
        self.first_link = trio.Event()
        self._relay = relay
        self._connect = connect
        self._size = size
        self._timeout = timeout
        self._observer = observer
        self._places = trio.Semaphore(PRIVATE_LINKS)
        self._nursery: trio.Nursery | None = None

    def open_private(self, ready: Callable[[Link | None], None]) -> None:
        """Open a link for one request; `ready` is called with it, or with None if that failed.

        If as many are open as may be, it waits for a place, for as long as upstream may take to answer.
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
        wait = 0.0
        while True:
            lost = trio.Event()
            try:
                link = await self._open(lost)
            except (OSError, trio.TooSlowError, UpstreamRefused) as error:
                wait = min(max(FIRST_WAIT, wait * 2), LONGEST_WAIT)
                self._observer.link_failed(self.protocol, describe(error), wait)
            else:
                self.links.append(link)
                self.first_link.set()
                self._observer.link_opened(self.protocol)
                opened = trio.current_time()
                await lost.wait()
                # One that was in service for a while is opened again at once.
                wait = 0.0 if trio.current_time() - opened > LONGEST_WAIT else max(FIRST_WAIT, wait)
            # Not all at the same moment, when many wait for the same upstream.
            await trio.sleep(wait * random.uniform(0.75, 1.0))  # noqa: S311

    async def _open(self, lost: trio.Event) -> Link:
        """Raises OSError, trio.TooSlowError or UpstreamRefused."""
        with trio.fail_after(self._timeout):
            connection = await self._connect()
            try:
                await self._greet(connection)
            except BaseException:
                connection.close()
                raise

        def on_lost(reason: str) -> None:
            if link in self.links:
                # At once: the next request must not be given a link that is gone.
                self.links.remove(link)
                self._observer.link_lost(self.protocol, reason)
            lost.set()
            self._relay.give_way()

        kind = Link if self.protocol == "text" else BinaryLink
        link = kind(self._relay, connection, self._timeout, on_lost)
        return link

    async def _greet(self, connection: socket.socket) -> None:
        """Ask for the version, and let nothing else pass for an answer."""
        request = b"version\r\n" if self.protocol == "text" else _VERSION_REQUEST
        if connection.send(request) != len(request):
            raise UpstreamRefused("it takes no request")
        received = b""
        while not self._greeted(received):
            await trio.lowlevel.wait_readable(connection)
            data = connection.recv(4096)
            if not data:
                raise UpstreamRefused("it closed the connection")
            received += data

    def _greeted(self, received: bytes) -> bool:
        if self.protocol == "text":
            if b"\n" not in received and len(received) < 256:
                return False
            whole = received.startswith(b"VERSION ") and received.endswith(b"\r\n") and received.count(b"\n") == 1
        else:
            if len(received) < operations.HEADER_LENGTH:
                return False
            magic, opcode, _, _, _, status, length, _, _ = operations.HEADER.unpack_from(received)
            if (magic, opcode, status) != (operations.RESPONSE_MAGIC, 0x0B, 0) or length > 256:
                raise UpstreamRefused("it does not speak the binary protocol without a login")
            if len(received) < operations.HEADER_LENGTH + length:
                return False
            whole = len(received) == operations.HEADER_LENGTH + length
        if not whole:
            first = received.split(b"\r\n")[0][:60].decode("ascii", "backslashreplace")
            raise UpstreamRefused(f"it answered version with {first!r}")
        return True

    async def _open_private(self, ready: Callable[[Link | None], None]) -> None:
        with trio.move_on_after(self._timeout) as waiting:
            await self._places.acquire()
        if waiting.cancelled_caught:
            self._observer.no_place(self.protocol, PRIVATE_LINKS)
            ready(None)
            return
        lost = trio.Event()
        try:
            try:
                link = await self._open(lost)
            except (OSError, trio.TooSlowError, UpstreamRefused):
                ready(None)
                return
            link.single_use = True
            ready(link)
            await lost.wait()
        finally:
            self._places.release()


def describe(error: Exception) -> str:
    """An error of opening a link, in a few words."""
    if isinstance(error, trio.TooSlowError):
        return "no answer in time"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error)
