"""Sending without reading, until the other side takes no more."""

import select
import time

import pytest

from tests.support.conversation import Connection


def push_until_refused(connection: Connection, data: bytes, quiet: float = 0.5) -> int:
    """Send without reading until nothing more is taken for `quiet` seconds; returns how many bytes were."""
    taken = 0
    connection.socket.setblocking(False)
    deadline = time.monotonic() + 30
    while taken < len(data) and select.select([], [connection.socket], [], quiet)[1]:
        taken += connection.socket.send(data[taken : taken + (1 << 16)])
        assert time.monotonic() < deadline, "the other side takes bytes without end"
    connection.socket.settimeout(10)
    return taken


def push_until_refused_tls(connection: Connection, data: bytes) -> None:
    """As push_until_refused, for any connection: a send that is still waiting after half a second is refused."""
    connection.socket.settimeout(0.5)
    try:
        for start in range(0, len(data), 1 << 14):
            connection.socket.sendall(data[start : start + (1 << 14)])
    except TimeoutError:
        return
    pytest.fail("the proxy took everything although nobody read")
