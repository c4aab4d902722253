"""Reading and writing a non-blocking socket, plain or TLS, from a trio task: before and after a session."""

import contextlib
import socket
import ssl

import trio

# Seconds, and bytes, that a refused client has for reading why before its connection is closed.
LINGER_SECONDS = 1.0
LINGER_BYTES = 1024 * 1024


async def receive(connection: socket.socket, size: int) -> bytes:
    """Up to `size` bytes; empty at the end. Raises OSError."""
    while True:
        try:
            return connection.recv(size)
        except (BlockingIOError, ssl.SSLWantReadError):
            await trio.lowlevel.wait_readable(connection)
        except ssl.SSLWantWriteError:
            await trio.lowlevel.wait_writable(connection)


async def send_all(connection: socket.socket, data: bytes) -> None:
    """Raises OSError."""
    sent = 0
    while sent < len(data):
        try:
            sent += connection.send(data[sent:])
        except (BlockingIOError, ssl.SSLWantWriteError):
            await trio.lowlevel.wait_writable(connection)
        except ssl.SSLWantReadError:
            await trio.lowlevel.wait_readable(connection)


async def close_gently(connection: socket.socket) -> None:
    """Close so that the client can still read what was sent to it.

    Closing a socket with unread input makes the kernel send a reset, which may overtake the last reply.
    """
    with contextlib.suppress(OSError, ValueError), trio.move_on_after(LINGER_SECONDS):
        if isinstance(connection, ssl.SSLSocket):
            with contextlib.suppress(OSError, ValueError):
                connection.unwrap()
            # What comes now isn't looked at; TLS need not be undone for that.
            connection = plain(connection)
        connection.shutdown(socket.SHUT_WR)
        left = LINGER_BYTES
        while left > 0 and (data := await receive(connection, 65536)):
            left -= len(data)
    connection.close()


def plain(connection: ssl.SSLSocket) -> socket.socket:
    """The socket without its TLS layer. The TLS socket is not to be used any more."""
    return socket.socket(connection.family, connection.type, connection.proto, fileno=connection.detach())
