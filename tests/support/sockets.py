"""What the kernel knows of a socket's other end, so that a test can wait for it instead of sleeping."""

import fcntl
import select
import socket
import ssl
import struct
import time

# <linux/sockios.h>
SIOCOUTQ = 0x5411
"""On a unix socket: bytes that the other side has not read yet."""
SIOCOUTQNSD = 0x894B
"""On TCP: bytes not sent yet. What is sent arrives at once on one machine, but is acknowledged after up to 40 ms."""
# <linux/netlink.h>, <linux/sock_diag.h>, <linux/tcp_states.h>
NETLINK_SOCK_DIAG = 4
NLM_F_REQUEST = 1
SOCK_DIAG_BY_FAMILY = 20
ALL_STATES = 0xFFF
TCP_LISTEN = 10


def wait_until_read(sender: socket.socket, within: float = 2.0) -> None:
    """Return when the other side has read all that was sent, is gone, or after `within` seconds.

    The last is no failure: a side that has stopped reading is something that a test may want.
    """
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if sender.family == socket.AF_UNIX:
            unread = _asked(sender, SIOCOUTQ)
        else:
            unread = _asked(sender, SIOCOUTQNSD) + _received_by_peer(sender)
        if not unread:
            return
        time.sleep(0.0001)


def _asked(sender: socket.socket, request: int) -> int:
    try:
        return int(struct.unpack("i", fcntl.ioctl(sender.fileno(), request, b"\0" * 4))[0])
    except OSError:
        return 0


def _received_by_peer(sender: socket.socket) -> int:
    """The receive queue of a TCP connection's other end, which is on this machine.

    The kernel is asked for this one (sock_diag(7)): reading /proc/net/tcp takes a millisecond for each hundred sockets.
    """
    try:
        mine, theirs = sender.getsockname()[:2], sender.getpeername()[:2]
    except OSError:
        return 0
    ports = struct.pack("!HH", theirs[1], mine[1])
    addresses = b"".join(socket.inet_pton(sender.family, host).ljust(16, b"\0") for host, _ in (theirs, mine))
    any_interface_and_cookie = struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)
    wanted = struct.pack("=BBBxI", sender.family, socket.IPPROTO_TCP, 0, ALL_STATES) + ports + addresses
    wanted += any_interface_and_cookie
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as kernel:
        kernel.send(struct.pack("=IHHII", 16 + len(wanted), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 0, 0) + wanted)
        answer = kernel.recv(8192)
    # Behind the header of 16 bytes: family, state, timer and retransmissions; ports, addresses, interface and cookie;
    # when the timer expires; then the receive queue. An error has a shorter answer: there is no such socket any more.
    kind, state = struct.unpack_from("=4xH11xB", answer)
    if kind != SOCK_DIAG_BY_FAMILY or state == TCP_LISTEN:
        return 0
    return int(struct.unpack_from("=I", answer, 16 + 4 + 48 + 4)[0])


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
