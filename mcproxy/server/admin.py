"""The admin port: GET and HEAD of /metrics, /healthz and /readyz over HTTP/1.1, one request a connection.

/healthz says that the process is alive (and that no worker is missing for long), /readyz whether it should get traffic:
a liveness probe that failed while memcached is down or the proxy drains would restart a proxy that is doing its job.
"""

import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import NamedTuple

import h11
import trio

from mcproxy.observe.log import get_logger

REQUEST_SECONDS = 5.0
"""For a whole connection: request, reply and close."""
REQUEST_BYTES = 8192
"""Request line and headers; Prometheus sends about 300."""
CONNECTIONS = 32
"""At once, on all sockets of one call. More are closed unanswered: probes and scrapers try again."""

_TEXT = "text/plain; charset=utf-8"

log = get_logger()


class Reply(NamedTuple):
    status: int
    body: bytes
    content_type: str = _TEXT
    allow: str = ""


async def no_obstacle() -> str | None:
    """What a process that can answer says of its own health."""
    return None


class _Admin(NamedTuple):
    metrics: Callable[[str], Awaitable[tuple[bytes, str]]]
    ready: Callable[[], Awaitable[str | None]]
    healthy: Callable[[], Awaitable[str | None]]
    health_only: bool
    busy: Callable[[], AbstractContextManager[object]]
    places: trio.CapacityLimiter


async def serve_admin(
    listeners: list[trio.SocketListener],
    *,
    metrics: Callable[[str], Awaitable[tuple[bytes, str]]],
    ready: Callable[[], Awaitable[str | None]],
    health_only: bool,
    busy: Callable[[], AbstractContextManager[object]],
    healthy: Callable[[], Awaitable[str | None]] = no_obstacle,
) -> None:
    """Serves on bound and listening sockets until cancelled, and closes them then.

    `metrics` takes an Accept header and returns body and content type. `ready` and `healthy` return None, or why not,
    in one line. With `health_only`, /metrics is not found. `busy` is entered while a connection is open.
    """
    admin = _Admin(metrics, ready, healthy, health_only, busy, trio.CapacityLimiter(CONNECTIONS))
    await trio.serve_listeners(partial(_serve_connection, admin), listeners)


def start_admin(
    nursery: trio.Nursery,
    listening: dict[str, list[socket.socket]],
    *,
    metrics: Callable[[str], Awaitable[tuple[bytes, str]]],
    ready: Callable[[], Awaitable[str | None]],
    healthy: Callable[[], Awaitable[str | None]] = no_obstacle,
    busy: Callable[[], AbstractContextManager[object]],
) -> None:
    """Start serve_admin on the sockets named "admin", and on those named "health" without the metrics."""
    for name, health_only in (("admin", False), ("health", True)):
        if name in listening:
            # A copy of the socket, whose own closing takes a unix socket's file along.
            copies = [trio.SocketListener(trio.socket.from_stdlib_socket(sock.dup())) for sock in listening[name]]
            nursery.start_soon(
                partial(
                    serve_admin,
                    copies,
                    metrics=metrics,
                    ready=ready,
                    healthy=healthy,
                    health_only=health_only,
                    busy=busy,
                )
            )


async def _serve_connection(admin: _Admin, stream: trio.SocketStream) -> None:
    """Never raises for anything that a client does: that would end the server."""
    async with stream:
        try:
            admin.places.acquire_on_behalf_of_nowait(stream)
        except trio.WouldBlock:
            log.warning("admin_connection_refused", reason="too many connections")
            return
        try:
            with trio.move_on_after(REQUEST_SECONDS), admin.busy():
                await _converse(admin, stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client left; nobody is waiting for an answer
        finally:
            admin.places.release_on_behalf_of(stream)


async def _converse(admin: _Admin, stream: trio.SocketStream) -> None:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=REQUEST_BYTES)
    try:
        request = await _receive_request(connection, stream)
        if request is None:
            return
        reply, head = await _answer(admin, request), request.method == b"HEAD"
    except h11.RemoteProtocolError as refused:
        reply, head = Reply(refused.error_status_hint, b"not a request that is understood here\n"), False
    headers = [("Content-Type", reply.content_type), ("Content-Length", str(len(reply.body))), ("Connection", "close")]
    if reply.allow:
        headers.append(("Allow", reply.allow))
    sent = connection.send(h11.Response(status_code=reply.status, headers=headers)) or b""
    await stream.send_all(sent if head else sent + reply.body)
    # Closing while the client's bytes lie unread would reset the connection and could take the reply with it.
    await stream.send_eof()
    while await stream.receive_some(REQUEST_BYTES):
        pass


async def _receive_request(connection: h11.Connection, stream: trio.SocketStream) -> h11.Request | None:
    """The request without its body, which no path takes; None if the client left before the end of the headers."""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            return event
        if event is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some(REQUEST_BYTES))
        else:
            return None


async def _answer(admin: _Admin, request: h11.Request) -> Reply:
    path = request.target.partition(b"?")[0]
    known = (b"/healthz", b"/readyz") if admin.health_only else (b"/healthz", b"/readyz", b"/metrics")
    if path not in known:
        return Reply(404, b"not found; there are " + b", ".join(known) + b"\n")
    if request.method not in (b"GET", b"HEAD"):
        return Reply(405, b"only GET and HEAD\n", allow="GET, HEAD")
    try:
        return await _page(admin, path, request)
    except Exception as failure:  # a fault of ours must neither end the server nor show its insides
        log.error("admin_request_failed", path=path.decode(), error=f"{type(failure).__name__}: {failure}")
        return Reply(500, b"internal error; the log says more\n")


async def _page(admin: _Admin, path: bytes, request: h11.Request) -> Reply:
    if path == b"/healthz":
        return _verdict(await admin.healthy(), b"ok\n")
    if path == b"/readyz":
        return _verdict(await admin.ready(), b"ready\n")
    accept = b", ".join(value for name, value in request.headers if name == b"accept")
    body, content_type = await admin.metrics(accept.decode("latin-1"))
    return Reply(200, body, content_type)


def _verdict(obstacle: str | None, fine: bytes) -> Reply:
    return Reply(200, fine) if obstacle is None else Reply(503, " ".join(obstacle.split()).encode() + b"\n")
