"""Bytes from here to there on the relay's own poller, and nothing looked at: what the other steps are measured from.

Copied into the relay package of each cut copy, so that it is compiled where they are.
"""

from __future__ import annotations

import select
import socket
import sys

import trio

from mcproxy.relay.poller import READ, Handler, Relay

RECEIVE_SIZE = 64 * 1024
TOTAL_BUFFER = 256 * 1024 * 1024


class Side(Handler):
    """One of the two connections of a client: the client's own, or the one upstream that nobody else uses."""

    def __init__(self, relay: Relay, connection: socket.socket) -> None:
        self.held = 0
        self.stalled_since = relay.now
        self.closed = False
        self.other: Side = self
        self._relay = relay
        self._connection = connection
        self._queued = b""

    def start(self, other: Side) -> None:
        self.other = other
        self._relay.register(self._connection.fileno(), self, READ)

    def readable(self) -> None:
        try:
            data = self._connection.recv(RECEIVE_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.other.send(data)
        else:
            self.close("closed")

    def send(self, data: bytes) -> None:
        """Now, as far as it is taken; whoever sent it is not read until the rest is."""
        try:
            sent = self._connection.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close("reset")
            return
        self._queued = data[sent:]
        if self._queued:
            self._listen(READ | select.EPOLLOUT)
            self.other._listen(0)

    def on_events(self, events: int) -> None:
        if events & (select.EPOLLERR | select.EPOLLHUP):
            self.close("reset")
            return
        if events & select.EPOLLOUT:
            self._listen(READ)
            self.other._listen(READ)
            self.send(self._queued)
        if events & READ and not self.closed:
            self.readable()

    def sweep(self, now: float) -> None:
        """Nothing times out."""

    def close(self, reason: str) -> None:
        for side in (self, self.other):
            if not side.closed:
                side.closed = True
                side._relay.unregister(side._connection.fileno())
                side._connection.close()

    def _listen(self, events: int) -> None:
        if not self.closed:
            self._relay.modify(self._connection.fileno(), events)


def report(error: BaseException) -> None:
    print(repr(error), file=sys.stderr)


def connect(address: str) -> socket.socket:
    if address.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(address.removeprefix("unix:"))
    else:
        host, _, port = address.rpartition(":")
        connection = socket.create_connection((host, int(port)))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setblocking(False)
    return connection


async def serve(address: str, upstream: str) -> None:
    host, _, port = address.rpartition(":")
    relay = Relay(TOTAL_BUFFER, report)
    listening = await trio.open_tcp_listeners(int(port), host=host, backlog=4096)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(relay.run)
        while True:
            accepted, _ = await listening[0].socket.accept()
            client = socket.socket(fileno=accepted.detach())
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            one, two = Side(relay, client), Side(relay, connect(upstream))
            one.start(two)
            two.start(one)


def main() -> None:
    address, upstream = sys.argv[1:]
    trio.run(serve, address, upstream)
