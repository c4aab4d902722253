"""Accepting: who may not connect is closed before a byte is read or sent, and counted."""

import errno
import socket

import trio

from mcproxy.observe.log import get_logger
from mcproxy.observe.metrics import ConnectionRefusal
from mcproxy.policy.allowlist import canonical_address
from mcproxy.server.connection import Client
from mcproxy.server.shared import Undecided
from mcproxy.server.state import ListenerState, ServerState

log = get_logger()
# accept(2): the machine is short of something for the moment; the listener itself is fine.
_SHORTAGE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_SHORTAGE_WAIT = 0.1
# Connections accepted before other tasks get their turn.
_AT_ONCE = 64
# Seconds that a worker with more connections than another leaves it to take the next one.
_OTHERS_FIRST = 0.005
_WORDS = {
    ConnectionRefusal.TOO_MANY: "too many connections",
    ConnectionRefusal.TOO_MANY_FROM_ADDRESS: "too many connections from this address",
    ConnectionRefusal.UNDECIDED: "the parent process does not answer",
}


async def accept_forever(server: ServerState, listener: str, sock: socket.socket, *, shared: bool = False) -> None:
    """Accept until cancelled. A shortage of descriptors or memory is waited out.

    `shared` is for a socket that other workers accept from too. The kernel wakes them all, and an idle one is always
    quicker than a busy one; so each takes one connection at a time, and waits a little while it is ahead of others.
    """
    with server.relay.giving_way_to(sock):
        while True:
            await trio.lowlevel.wait_readable(sock)
            if shared and await server.entrance.is_ahead():
                await trio.sleep(_OTHERS_FIRST)
            await _accept_some(server, listener, sock, 1 if shared else _AT_ONCE)


async def _accept_some(server: ServerState, listener: str, sock: socket.socket, most: int) -> None:
    for _ in range(most):
        try:
            connection, peer = sock.accept()
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in _SHORTAGE:
                log.error("accept_failed", listener=listener, reason=error.strerror)
                await trio.sleep(_SHORTAGE_WAIT)
                return
            # Linux hands errors of the new connection (it was reset already, say) to accept.
            continue
        await _admit(server, server.generation.listeners[listener], connection, peer)


async def _admit(server: ServerState, listener: ListenerState, connection: socket.socket, peer: object) -> None:
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
    try:
        # A parent's answer would else wait for the relay, which lingers for more from its sessions.
        with server.relay.busy():
            place = await server.entrance.enter(None if exempt else address)
    except Undecided:
        place = ConnectionRefusal.UNDECIDED
    except BaseException:
        connection.close()
        raise
    if isinstance(place, ConnectionRefusal):
        _refuse(server, listener, connection, address, place, _WORDS[place])
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
