"""The admin port: GET and HEAD over HTTP/1.1, one request a connection, with TLS where it is configured.

/healthz says that the process is alive (and that no worker is missing for long), /readyz whether it should get traffic:
a liveness probe that failed while memcached is down or the proxy drains would restart a proxy that is doing its job.
"""

import errno
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from functools import partial
from typing import Final

import h11
import trio

from mcproxy.observe.log import get_logger, log_bug
from mcproxy.relay.secured import Connection
from mcproxy.server.admin_access import Guard
from mcproxy.server.admin_pages import Pages
from mcproxy.server.admin_places import Place, Places, Stage
from mcproxy.server.admin_reply import Reply
from mcproxy.server.connection_notes import explain
from mcproxy.server.pace import Pace
from mcproxy.server.streams import close_gently, receive, send_all
from mcproxy.server.tls import handshake

REQUEST_SECONDS = 5.0
"""For a whole connection: handshake, request, reply and close."""
PROMPT = 0.05
"""How long the relay hurries for a request that is to come. Silent ones must not slow it for longer."""
REQUEST_BYTES = 8192
"""Request line and headers; Prometheus sends about 300."""

_UNIX: Final = "unix"
# accept(2): the machine is short of something for the moment; the socket itself is fine.
_SHORTAGE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_SHORTAGE_WAIT: Final = 0.1

log = get_logger()


def start_admin(
    nursery: trio.Nursery,
    listening: dict[str, list[socket.socket]],
    *,
    pages: Pages,
    guard: Guard,
    busy: Callable[[], AbstractContextManager[object]],
) -> None:
    """Serve on the sockets named "admin", and health alone, to everybody, on those named "health", until cancelled.

    They stay open. `busy` is entered while a request is answered, and while it is waited for, for PROMPT at most.
    """
    pace = Pace()
    for name, served, guarded in (("admin", pages, guard), ("health", pages.health_alone(), None)):
        for sock in listening.get(name, ()):
            nursery.start_soon(serve_admin, sock, Port(served, guarded, busy, pace))


async def serve_admin(sock: socket.socket, port: "Port") -> None:
    """Serve on a bound and listening socket, non-blocking, until cancelled."""
    async with trio.open_nursery() as nursery:
        while True:
            await trio.lowlevel.wait_readable(sock)
            try:
                connection, peer = sock.accept()
            except OSError as error:
                # Others are of the new connection, which was reset already, say.
                if error.errno in _SHORTAGE:
                    log.error("accept_failed", listener="admin", reason=error.strerror)
                    await trio.sleep(_SHORTAGE_WAIT)
                continue
            connection.setblocking(False)
            source = _UNIX if sock.family == socket.AF_UNIX else str(peer[0])
            if (place := port.places.take(source)) is None:
                connection.close()
            else:
                hurry = ExitStack()
                hurry.enter_context(port.busy())
                nursery.start_soon(port.serve, connection, place, hurry)


class Port:
    """One listening socket's connections. Without a `guard` everybody is answered. `pace` is kept by TLS handshakes."""

    def __init__(
        self, pages: Pages, guard: Guard | None, busy: Callable[[], AbstractContextManager[object]], pace: Pace
    ) -> None:
        self._pages = pages
        self._guard = guard
        self.busy = busy
        self._pace = pace
        self.places = Places()

    async def serve(self, connection: socket.socket, place: Place, hurry: ExitStack) -> None:
        """`hurry` is closed when its first byte is there, or PROMPT has passed.

        Never raises for anything that a client does: that would end the server.
        """
        try:
            with trio.move_on_after(REQUEST_SECONDS), place.scope:
                with hurry, trio.move_on_after(PROMPT) as prompt:
                    await trio.lowlevel.wait_readable(connection)
                if prompt.cancelled_caught:
                    await trio.lowlevel.wait_readable(connection)
                await self._converse(connection, place)
        except OSError:
            pass  # the client left; nobody is waiting for an answer
        except Exception as error:
            log_bug(error)
        finally:
            connection.close()
            self.places.give_back(place)

    async def _converse(self, plain: socket.socket, place: Place) -> None:
        """Raises OSError."""
        place.stage = Stage.ASKING
        connection = await self._encrypted(plain, place)
        protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=REQUEST_BYTES)
        try:
            request = await _receive_request(protocol, connection)
        except h11.RemoteProtocolError as refused:
            reply = Reply(refused.error_status_hint, b"not a request that is understood here\n")
            await send_all(connection, _head(protocol, reply) + reply.body)
        else:
            if request is None:
                return
            # Neither before nor after: the relay gives way meanwhile, and a slow client must not slow it.
            with self.busy():
                reply = await self._answer(request, plain, place)
            place.stage = Stage.READING
            body = b"" if request.method == b"HEAD" else reply.body
            await send_all(connection, _head(protocol, reply) + body)
        await close_gently(connection)

    async def _encrypted(self, plain: socket.socket, place: Place) -> Connection:
        """Raises OSError."""
        context = None if self._guard is None else self._guard.context
        if context is None:
            return plain
        try:
            return await handshake(plain, context, partial(self._step, place))
        except ssl.SSLError as error:
            log.warning("admin_connection_refused", reason=explain(error), source=place.source)
            raise

    @asynccontextmanager
    async def _step(self, place: Place) -> AsyncIterator[None]:
        place.stage = Stage.HANDSHAKE
        async with self._pace.piece(place.key):
            yield
        place.stage = Stage.ASKING

    async def _answer(self, request: h11.Request, connection: socket.socket, place: Place) -> Reply:
        path = request.target.partition(b"?")[0]
        if self._guard is not None:
            local = None if connection.family == socket.AF_UNIX else str(connection.getsockname()[0])
            if (refusal := self._guard.refusal(request, path, local, place.source)) is not None:
                return refusal
        if self._pages.takes_time(path):
            self.places.waits(place)
        return await self._pages.answer(path, request)


def _head(protocol: h11.Connection, reply: Reply) -> bytes:
    return protocol.send(h11.Response(status_code=reply.status, headers=reply.all_headers())) or b""


async def _receive_request(protocol: h11.Connection, connection: Connection) -> h11.Request | None:
    """The request without its body, which no path takes; None if the client left before the end of the headers.

    Raises OSError and h11.RemoteProtocolError.
    """
    while True:
        event = protocol.next_event()
        if isinstance(event, h11.Request):
            return event
        if event is h11.NEED_DATA:
            protocol.receive_data(await receive(connection, REQUEST_BYTES))
        else:
            return None
