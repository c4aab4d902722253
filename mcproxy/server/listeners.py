"""Accepting: who may not connect is closed before a byte is read or sent, and counted."""

import errno
import socket

import trio

from mcproxy.observe.log import get_logger
from mcproxy.observe.metrics import ConnectionRefusal
from mcproxy.policy.allowlist import canonical_address
from mcproxy.server.connection import Client
from mcproxy.server.state import ListenerState, ServerState

log = get_logger()
# accept(2): the machine is short of something for the moment; the listener itself is fine.
_SHORTAGE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_SHORTAGE_WAIT = 0.1
# Connections accepted before other tasks get their turn.
_AT_ONCE = 64


async def accept_forever(server: ServerState, listener: ListenerState, sock: socket.socket) -> None:
    """Accept until cancelled. A shortage of descriptors or memory is waited out."""
    while True:
        await trio.lowlevel.wait_readable(sock)
        for _ in range(_AT_ONCE):
            if server.admission.full is not None:
                # The kernel keeps the others waiting: after a restart all clients come back at once.
                await server.admission.full.wait()
            try:
                connection, peer = sock.accept()
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno in _SHORTAGE:
                    log.error("accept_failed", listener=listener.name, reason=error.strerror)
                    await trio.sleep(_SHORTAGE_WAIT)
                    break
                # Linux hands errors of the new connection (it was reset already, say) to accept.
                continue
            _admit(server, listener, connection, peer)


def _admit(server: ServerState, listener: ListenerState, connection: socket.socket, peer: object) -> None:
    address = None
    exempt = True
    if connection.family != socket.AF_UNIX:
        source = peer[0] if isinstance(peer, tuple) else ""
        canonical = canonical_address(source)
        address = str(canonical)
        exempt = canonical is not None and canonical.is_loopback
        if not listener.allowlist.admits(source):
            _refuse(server, listener, connection, address, ConnectionRefusal.NOT_ALLOWED, "not on the allowlist")
            return
    if server.draining:
        _refuse(server, listener, connection, address, ConnectionRefusal.DRAINING, "the proxy is stopping")
        return
    place = server.admission.enter(None if exempt else address)
    if isinstance(place, str):
        _refuse(
            server, listener, connection, address, ConnectionRefusal(place), place.replace("_", " ") + " connections"
        )
        return
    server.metrics.connection_accepted(listener.name)
    connection.setblocking(False)
    if connection.family != socket.AF_UNIX:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    log.debug("connection_accepted", listener=listener.name, source=address or "unix")
    server.start_soon(Client(server, listener, connection, address, place).run)


def _refuse(
    server: ServerState,
    listener: ListenerState,
    connection: socket.socket,
    address: str | None,
    reason: ConnectionRefusal,
    why: str,
) -> None:
    connection.close()
    server.metrics.connection_refused(listener.name, reason)
    log.warning("connection_refused", listener=listener.name, source=address or "unix", reason=why)
