"""Reading and writing a non-blocking connection, plain or TLS, from a trio task: before and after a session."""

import contextlib
import socket

import trio

from mcproxy.relay.secured import Connection, Secured, socket_of

# Seconds, and bytes, that a refused client has for reading why before its connection is closed.
LINGER_SECONDS = 1.0
LINGER_BYTES = 1024 * 1024


async def receive(connection: Connection, size: int) -> bytes:
    """What can be had, `size` bytes or one TLS read at most; empty at the end. Raises OSError."""
    read = connection.receive if isinstance(connection, Secured) else connection.recv
    while True:
        try:
            return read(size)
        except BlockingIOError:
            await trio.lowlevel.wait_readable(socket_of(connection))


async def send_all(connection: Connection, data: bytes) -> None:
    """Raises OSError."""
    if isinstance(connection, Secured):
        data = connection.encrypt(data)
    await send_plain(socket_of(connection), data)


async def send_plain(connection: socket.socket, data: bytes) -> None:
    """Send bytes as they are. Raises OSError."""
    sent = 0
    while sent < len(data):
        try:
            sent += connection.send(data[sent:])
        except BlockingIOError:
            await trio.lowlevel.wait_writable(connection)


async def close_gently(connection: Connection) -> None:
    """Close so that the client can still read what was sent to it.

    Closing a socket with unread input makes the kernel send a reset, which may overtake the last reply.
    """
    if isinstance(connection, Secured):
        connection.goodbye()
    sock = socket_of(connection)
    try:
        with contextlib.suppress(OSError), trio.move_on_after(LINGER_SECONDS):
            sock.shutdown(socket.SHUT_WR)
            left = LINGER_BYTES
            # What comes now isn't looked at, nor decrypted.
            while left > 0 and (data := await receive(sock, 65536)):
                left -= len(data)
    finally:
        sock.close()
