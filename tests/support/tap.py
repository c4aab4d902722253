"""A recording tap between the program under test and its upstream.

It forwards bytes both ways on threads of its own, and keeps what the program sent until somebody asks: then the
independent judge of canonical.py reads all of it. A request is recorded before it is passed on, so whoever has
seen a reply finds its request recorded.
"""

import contextlib
import socket
import threading
from pathlib import Path
from typing import Self

from tests.support.canonical import Frame, NotCanonical, Stream
from tests.support.memcached import Memcached

PROBES = {"version", "VERSION", "mn", "NOOP"}
"""What the program may send of its own accord, to see whether a link is in step."""


class Recording:
    """What arrived at upstream, connection by connection, and the judge's reading of it."""

    def __init__(self, value_limit: int = 1 << 20) -> None:
        self.value_limit = value_limit
        self._lock = threading.Lock()
        self._streams: dict[int, Stream] = {}
        self._unread: list[tuple[int, bytes | None]] = []
        self._frames: list[tuple[int, Frame]] = []
        self._connections = 0

    def opened(self) -> int:
        """A new connection; returns its number."""
        with self._lock:
            self._connections += 1
            self._streams[self._connections] = Stream(self.value_limit)
            return self._connections

    def received(self, connection: int, data: bytes | None) -> None:
        """Bytes that the program sent; None when it closed the connection in good order."""
        with self._lock:
            self._unread.append((connection, data))

    def check(self) -> None:
        """Raise NotCanonical unless every byte recorded so far is canonical."""
        with self._lock:
            unread, self._unread = self._unread, []
            pending: dict[int, list[bytes]] = {}
            ended = {connection for connection, data in unread if data is None}
            for connection, data in unread:
                if data is not None:
                    pending.setdefault(connection, []).append(data)
            for connection, parts in pending.items():
                self._frames += [(connection, frame) for frame in self._streams[connection].feed(b"".join(parts))]
            for connection in ended:
                self._streams[connection].end()

    def forget(self) -> None:
        """Judge what is there and start a new list of frames."""
        self.check()
        self._frames.clear()

    def frames(self) -> list[Frame]:
        """Every frame since the last `forget`, connection by connection in the order of arrival."""
        self.check()
        return [frame for _, frame in self._frames]

    def requests(self) -> list[Frame]:
        """`frames` without the probes that the program sends of its own accord."""
        return [frame for frame in self.frames() if frame.verb not in PROBES]

    def links(self, verb: str) -> list[int]:
        """The numbers of the connections on which frames of this verb came."""
        self.check()
        return [connection for connection, frame in self._frames if frame.verb == verb]

    @property
    def connections(self) -> int:
        """How many connections were opened in all."""
        return self._connections


class Tap:
    """Listens on a unix socket, connects to `upstream` once for each connection, and records."""

    def __init__(self, directory: Path, upstream: Memcached, value_limit: int = 1 << 20) -> None:
        self.path = directory / "tap.sock"
        self.upstream = upstream
        self.recording = Recording(value_limit)
        self._listener: socket.socket | None = None
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        """The address as the configuration file writes it."""
        return f"unix:{self.path}"

    def start(self) -> Self:
        self.path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(128)
        self._spawn(self._accept, self._listener)
        return self

    def stop(self) -> None:
        """Close everything; the recording stays and can still be read."""
        assert self._listener is not None
        with self._lock:
            sockets = [self._listener, *self._open]
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=10)
            assert not thread.is_alive(), "a thread of the tap does not end"
        self._listener.close()

    def _spawn(self, *call: object) -> None:
        thread = threading.Thread(target=call[0], args=call[1:], daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                downward, _ = listener.accept()
            except OSError:
                return
            number = self.recording.opened()
            try:
                upward = self.upstream.connect()
            except OSError:
                downward.close()  # upstream is down: the program sees a connection that ends at once
                continue
            upward.settimeout(None)
            with self._lock:
                self._open |= {downward, upward}
            self._spawn(self._carry, downward, upward, number)

    def _carry(self, downward: socket.socket, upward: socket.socket, number: int) -> None:
        """Both directions of one connection: replies on a second thread, requests here."""
        back = threading.Thread(target=self._pump, args=(upward, downward, None), daemon=True)
        back.start()
        self._pump(downward, upward, number)
        back.join()
        with self._lock:
            self._open -= {downward, upward}
        downward.close()
        upward.close()

    def _pump(self, source: socket.socket, sink: socket.socket, number: int | None) -> None:
        try:
            while data := source.recv(1 << 16):
                if number is not None:
                    self.recording.received(number, data)
                sink.sendall(data)
            if number is not None:
                self.recording.received(number, None)
        except OSError:
            pass  # reset by either side; the other is told below
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
        if number is None:
            # Upstream is gone: the program's side must see it even while it has more to say.
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


__all__ = ["PROBES", "NotCanonical", "Recording", "Tap"]
