"""Opening connections with what a reload may replace in between: each with the material of now, and none with older."""

from collections.abc import Awaitable, Callable

import trio

from mcproxy.relay.link import Link
from mcproxy.relay.obstacle import INTERNAL, NotOpened
from mcproxy.relay.secured import Connection, socket_of


class Opened:
    """A link, the number of the material that it was opened with, and when. `reason` is there once it is `lost`."""

    def __init__(self, number: int) -> None:
        self.link: Link
        self.number = number
        self.since = trio.current_time()
        self.lost = trio.Event()
        self.reason = ""


class Opening:
    """`number` is that of the material (certificates, credentials) with which connections are opened now.

    `report` is told of what `open_connection` raises besides NotOpened: a bug, which costs that link and no other.
    """

    def __init__(
        self, open_connection: Callable[[], Awaitable[Connection]], report: Callable[[BaseException], None]
    ) -> None:
        self.number = 0
        self._open_connection = open_connection
        self._report = report
        self._scopes: set[trio.CancelScope] = set()

    def renew(self) -> None:
        """There is new material: what is being opened begins anew."""
        self.number += 1
        for scope in self._scopes:
            scope.cancel()

    async def open(self, make: Callable[[Connection, int], Opened]) -> Opened:
        """What is made of a connection that is ready for requests and the number of its material. Raises NotOpened."""
        try:
            connection, number = await self._open()
            try:
                return make(connection, number)
            except BaseException:
                socket_of(connection).close()
                raise
        except NotOpened:
            raise
        except Exception as error:
            self._report(error)
            raise NotOpened(INTERNAL) from None

    async def _open(self) -> tuple[Connection, int]:
        while True:
            number = self.number
            with trio.CancelScope() as scope:
                self._scopes.add(scope)
                try:
                    connection = await self._open_connection()
                finally:
                    self._scopes.discard(scope)
                if number == self.number:
                    return connection, number
                socket_of(connection).close()
