"""One loop for everything that moves: the client's connection, and the tap between the program and memcached A.

The tap forwards both ways and keeps what the program sent, link by link, in the order in which it came. One client is
served at a time, so that order is the order in which memcached sees the requests. Replies are now and then handed to
the program in pieces, each of which it has read before it gets the next.

memcached gets one piece after the other too. Whether `decr` pads a number with spaces depends on what it read at once,
so memcached B must be able to read the same.
"""

import array
import contextlib
import fcntl
import os
import random
import select
import socket
import termios
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from fuzz.differential.comparison import CRASH, HANG, Fault

RECEIVE = 1 << 17
AT_ONCE = 1 << 14
"""What memcached reads at once."""
READ = select.EPOLLIN
READ_WRITE = select.EPOLLIN | select.EPOLLOUT


def unread(connection: socket.socket) -> int:
    """Bytes that the other end of a unix socket has not read yet."""
    count = array.array("i", [0])
    fcntl.ioctl(connection, termios.TIOCOUTQ, count)
    return count[0]


class Side:
    """One end of a link: pieces that wait to be sent to it; as many as `stepwise` says one at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.pieces: deque[bytes] = deque()
        self.stepwise = 0

    def send(self) -> bool:
        """Send what can be sent; whether anything is left."""
        while self.pieces:
            if self.stepwise:
                if unread(self.connection):
                    return True
                self.stepwise -= 1
            piece = self.pieces[0]
            try:
                sent = self.connection.send(piece)
            except BlockingIOError:
                return True
            except OSError:
                self.pieces.clear()  # it is gone; the loop is told so by the next receive
                return False
            if sent == len(piece):
                self.pieces.popleft()
            else:
                self.pieces[0] = piece[sent:]
        self.stepwise = 0
        return False


class Client:
    """A connection to the program: what is to be sent in which pieces, and what came back."""

    def __init__(self, path: str) -> None:
        self.connection = socket.socket(socket.AF_UNIX)
        try:
            self.connection.connect(path)
        except OSError as error:
            self.connection.close()
            raise Fault(CRASH, f"the program does not accept: {error}") from None
        self.connection.setblocking(False)
        self.side = Side(self.connection)
        self.got = bytearray()
        self.closed = False
        self.half_close = False


class Pump:
    """The tap's listener, its links, and the loop.

    `taken` is what the program sent since it was last emptied, `forced` how often memcached's replies were cut.
    """

    def __init__(self, path: Path, upstream: str, choose: random.Random) -> None:
        self.taken: list[tuple[int, bytes]] = []
        self.opened = 0
        self.forced = 0
        self._upstream = upstream
        self._choose = choose
        self._epoll = select.epoll()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._listener.setblocking(False)
        self._epoll.register(self._listener, READ)
        # By descriptor: the side that is read, the one that gets it, and the link's number if it is the program's.
        self._links: dict[int, tuple[Side, Side, int]] = {}
        self._waiting: set[int] = set()
        self._client: Client | None = None

    def close(self) -> None:
        """Close everything."""
        for side, _, _ in self._links.values():
            side.connection.close()
        self._listener.close()
        self._epoll.close()

    def attach(self, client: Client) -> None:
        """From now on this is the client."""
        self._client = client
        self._epoll.register(client.connection, READ)

    def detach(self) -> None:
        """The client's connection is closed."""
        if self._client is not None:
            self._epoll.unregister(self._client.connection)
            self._client.connection.close()
            self._client = None

    def run(self, patience: float, complete: Callable[[], bool]) -> None:
        """Until everything is sent to the client's side, and it was closed by the program or `complete()` is true.

        Raises Fault after `patience` seconds without anything that moves.
        """
        client = self._client
        assert client is not None
        last = time.monotonic()
        sending = True
        while True:
            if sending:
                sending = client.side.send()
                if not sending and client.half_close:
                    with contextlib.suppress(OSError):
                        client.connection.shutdown(socket.SHUT_WR)
            moved = self.turn(0 if sending or self._waiting else 0.05)
            if client.closed or (not sending and complete()):
                return
            if moved:
                last = time.monotonic()
            elif time.monotonic() - last > patience:
                raise Fault(HANG, f"nothing for {patience:g} s; the client got {bytes(client.got[-200:])!r}")
            elif sending or self._waiting:
                os.sched_yield()

    def turn(self, wait: float) -> bool:
        """Handle what is there; whether anything was."""
        events = self._epoll.poll(wait)
        client = self._client
        for descriptor, _ in events:
            if client is not None and descriptor == client.connection.fileno():
                self._client_readable(client)
            elif descriptor == self._listener.fileno():
                self._accept()
            elif descriptor in self._links:
                self._link(descriptor)
        for descriptor in list(self._waiting):
            entry = self._links.get(descriptor)
            if entry is None or not entry[1].send():
                self._waiting.discard(descriptor)
        return bool(events)

    def _client_readable(self, client: Client) -> None:
        try:
            data = client.connection.recv(RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            client.got += data
        elif not client.closed:
            client.closed = True
            self._epoll.modify(client.connection, 0)

    def _accept(self) -> None:
        program, _ = self._listener.accept()
        memcached = socket.socket(socket.AF_UNIX)
        memcached.connect(self._upstream)
        self.opened += 1
        downward, upward = Side(program), Side(memcached)
        for side, other, number in ((downward, upward, self.opened), (upward, downward, 0)):
            side.connection.setblocking(False)
            self._links[side.connection.fileno()] = (side, other, number)
            self._epoll.register(side.connection, READ)

    def _link(self, descriptor: int) -> None:
        side, other, number = self._links[descriptor]
        try:
            data = side.connection.recv(RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end(descriptor)
            return
        if number:
            pieces = [data[start : start + AT_ONCE] for start in range(0, len(data), AT_ONCE)]
            self.taken += [(number, piece) for piece in pieces]
            other.pieces += pieces
            other.stepwise += len(pieces)
        elif len(data) > 1 and self._choose.random() < 0.02:
            at = sorted(self._choose.sample(range(1, len(data)), min(len(data) - 1, self._choose.choice((1, 1, 2, 5)))))
            other.pieces += [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True)]
            other.stepwise += len(at) + 1
            self.forced += len(at)
        else:
            other.pieces.append(data)
        if other.send():
            self._waiting.add(descriptor)

    def _end(self, descriptor: int) -> None:
        """One end closed: so does the other, once it has what was sent before."""
        side, other, _ = self._links[descriptor]
        while other.send():
            os.sched_yield()
        for each in (side, other):
            del self._links[each.connection.fileno()]
            self._waiting.discard(each.connection.fileno())
            each.connection.close()
