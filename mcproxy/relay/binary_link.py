"""A link in the binary protocol."""

from collections.abc import Callable

from mcproxy.relay.durations import Durations
from mcproxy.relay.link import Link
from mcproxy.relay.poller import Relay
from mcproxy.relay.secured import Connection
from mcproxy.wire.gathered import Gathering
from mcproxy.wire.requests import Request


class BinaryLink(Link):
    """A link that speaks the binary protocol: it numbers its packets, so that each reply says which one it answers."""

    def __init__(
        self,
        relay: Relay,
        connection: Connection,
        timeout: float,
        on_lost: Callable[[str], None],
        gathering: Gathering | None = None,
        durations: Durations | None = None,
    ) -> None:
        super().__init__(relay, connection, timeout, on_lost, gathering, durations)
        self._opaque = 1

    def submit(self, request: Request) -> None:
        """Send a request at the end of the turn, under the link's own opaque."""
        if not request.local:
            request.upstream = request.packet(self._opaque)
            self._opaque = (self._opaque + request.packets()) & 0xFFFFFFFF
        super().submit(request)
