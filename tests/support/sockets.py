"""What the kernel knows of a socket's other end, so that a test can wait for it instead of sleeping."""

import fcntl
import select
import socket
import ssl
import struct
import time
from pathlib import Path

SIOCOUTQ = 0x5411  # <linux/sockios.h>; on a unix socket: bytes that the other side has not read yet


def wait_until_read(sender: socket.socket, within: float = 2.0) -> None:
    """Return when the other side has read all that was sent, is gone, or after `within` seconds.

    The last is no failure: a side that has stopped reading is something that a test may want.
    """
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        unread = _unread_unix(sender) if sender.family == socket.AF_UNIX else _unread_tcp(sender)
        if not unread:
            return
        time.sleep(0.0001)


def _unread_unix(sender: socket.socket) -> int:
    try:
        return int(struct.unpack("i", fcntl.ioctl(sender.fileno(), SIOCOUTQ, b"\0" * 4))[0])
    except OSError:
        return 0


def _unread_tcp(sender: socket.socket) -> int:
    """The receive queue of the other end and what is still on the way there (both ends are on this machine)."""
    try:
        mine, theirs = sender.getsockname()[1], sender.getpeername()[1]
    except OSError:
        return 0
    total = 0
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for row in Path(table).read_text().splitlines()[1:]:
            fields = row.split()
            local, remote = int(fields[1][-4:], 16), int(fields[2][-4:], 16)
            sending, receiving = (int(part, 16) for part in fields[4].split(":"))
            if (local, remote) == (theirs, mine):
                total += receiving
            elif (local, remote) == (mine, theirs):
                total += sending
    return total


def everything_within(connection: socket.socket, quiet: float) -> bytes:
    """What comes until nothing has come for `quiet` seconds: for showing that nothing comes at all."""
    data = b""
    deadline = time.monotonic() + quiet
    while (left := deadline - time.monotonic()) > 0 and select.select([connection], [], [], left)[0]:
        try:
            part = connection.recv(1 << 16)
        except (ConnectionResetError, ssl.SSLError):
            break
        if not part:
            break
        data += part
        deadline = time.monotonic() + quiet
    return data
