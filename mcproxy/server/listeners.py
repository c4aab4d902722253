"""Accepting: who may not connect is closed before a byte is read or sent, and counted."""

import errno
import socket

import trio

from mcproxy.observe.log import get_logger
from mcproxy.server.arrival import arrive
from mcproxy.server.state import ServerState

log = get_logger()
# accept(2): the machine is short of something for the moment; the listener itself is fine.
_SHORTAGE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_SHORTAGE_WAIT = 0.1
# Connections accepted before other tasks get their turn.
_AT_ONCE = 64
# Seconds that a worker with more connections than another leaves it to take the next one.
_OTHERS_FIRST = 0.005


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


async def accept_waiting(server: ServerState, listener: str, sock: socket.socket) -> None:
    """Accept whoever waits by now."""
    while await _accept_some(server, listener, sock, _AT_ONCE):
        await trio.lowlevel.checkpoint()


async def _accept_some(server: ServerState, listener: str, sock: socket.socket, most: int) -> bool:
    """Whether more may wait."""
    for _ in range(most):
        try:
            connection, peer = sock.accept()
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in _SHORTAGE:
                log.error("accept_failed", listener=listener, reason=error.strerror)
                await trio.sleep(_SHORTAGE_WAIT)
                return True
            # Linux hands errors of the new connection (it was reset already, say) to accept.
            continue
        # Who is accepted comes in: to stop accepting is no reason to drop somebody half-way.
        with trio.CancelScope(shield=True):
            await arrive(server, server.generation.listeners[listener], connection, peer)
    return True
