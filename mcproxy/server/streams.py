"""Reading and writing a non-blocking connection, plain or TLS, from a trio task: before and after a session."""

import contextlib
import fcntl
import socket
import sys
import termios

import trio

from mcproxy.relay.secured import Connection, Secured, socket_of

# Seconds, and bytes, that a refused client has for reading why before its connection is closed.
LINGER_SECONDS = 1.0
LINGER_BYTES = 1024 * 1024
# Seconds that the client has for taking what was sent to it.
DELIVERY_SECONDS = 10.0
_LOOK_AGAIN = 0.02


async def receive(connection: Connection, size: int) -> bytes:
    """What can be had, `size` bytes or one TLS read at most; empty at the end. Raises OSError."""
    read = connection.receive if isinstance(connection, Secured) else connection.recv
    sock = socket_of(connection)
    while True:
        try:
            return read(size)
        except BlockingIOError:
            if sock.family != socket.AF_UNIX:
                # Acknowledge at once what came: a client that sends in two parts (the end of its handshake, its login)
                # may hold the second back until then, and the kernel would take its time (tcp(7): 40 ms).
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            await trio.lowlevel.wait_readable(sock)


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


async def close_gently(connection: Connection, *, until_end: bool = True, within: float = DELIVERY_SECONDS) -> None:
    """Close so that the client can still read what was sent to it.

    Closing a socket with unread input makes the kernel send a reset and forget what the client's side hasn't taken
    yet. So input is read and forgotten until all was delivered, for `within` seconds at most; with `until_end` also for
    LINGER_SECONDS or until the client closes, so that it sees an end and not a reset.
    """
    if isinstance(connection, Secured):
        connection.goodbye()
    sock = socket_of(connection)
    started = trio.current_time()
    left = LINGER_BYTES
    try:
        with contextlib.suppress(OSError), trio.move_on_after(within):
            sock.shutdown(socket.SHUT_WR)
            while undelivered(sock) or (until_end and trio.current_time() - started < LINGER_SECONDS):
                with trio.move_on_after(_LOOK_AGAIN):
                    if left <= 0:
                        await trio.sleep_forever()
                    # What comes now isn't looked at, nor decrypted.
                    data = await receive(sock, 65536)
                    left = left - len(data) if data else 0
                    until_end = until_end and left > 0
    finally:
        sock.close()


def undelivered(sock: socket.socket) -> int:
    """Bytes sent that the client's machine has not acknowledged (tcp(7), SIOCOUTQ). A unix socket delivers at once."""
    if sock.family == socket.AF_UNIX:
        return 0
    return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
