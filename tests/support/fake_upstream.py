"""A memcached that misbehaves on request, for what a real one can't be made to do.

It reads requests with the independent judge, so everything that the program sends is checked here as well, keeps a
small store, and answers honestly unless its script says otherwise. The script is asked at every request:
`script(frame, honest)` returns what to do instead of sending the honest reply, a list of these:

    bytes     send them
    HANG      leave this and every later request of the connection without an answer
    CLOSE     close the connection
    RESET     reset it (RST; on a unix socket the other side gets ECONNRESET if it had sent more)
    Event     wait until the test sets it, then go on
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from typing import Final, Self

from tests.support import packets
from tests.support.canonical import Frame, NotCanonical, Stream
from tests.support.tap import Recording

HANG: Final = "hang"
CLOSE: Final = "close"
RESET: Final = "reset"

Action = bytes | str | threading.Event
Script = Callable[[Frame, bytes], Sequence[Action]]


def honest_script(frame: Frame, honest: bytes) -> Sequence[Action]:
    return [honest]


def on(verb: str, *actions: Action) -> Callable[[Frame, bytes], Sequence[Action]]:
    """The script that does `actions` at requests of this verb and is honest otherwise."""
    return lambda frame, honest: actions if frame.verb == verb else [honest]


class Asked(threading.Event):
    """The script that does `actions` when asked for this key alone and is honest otherwise; set once it was asked.

    To be waited for where a request must not go up in one line with the next: the gets of one turn do.
    """

    def __init__(self, key: bytes, *actions: Action) -> None:
        super().__init__()
        self._key = key
        self._actions = actions

    def __call__(self, frame: Frame, honest: bytes) -> Sequence[Action]:
        if frame.keys != (self._key,):
            return [honest]
        self.set()
        return self._actions


class FakeUpstream:
    """Listens on a port of 127.0.0.1; `script` may be changed at any time, `recording` holds what arrived."""

    def __init__(self, script: Script = honest_script) -> None:
        self.script = script
        self.recording = Recording()
        self.store: dict[bytes, bytes] = {}
        self.closed_by_program = 0
        """How many connections the program has ended."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    @property
    def address(self) -> str:
        """The address as the configuration file writes it."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def start(self) -> Self:
        self._spawn(self._accept)
        return self

    def stop(self) -> None:
        self._stopping.set()
        for each in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=10)
            assert not thread.is_alive(), "a thread of the fake upstream does not end"
        self._listener.close()

    def _spawn(self, function: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.add(connection)
            self._spawn(self._serve, connection, self.recording.opened())

    def _serve(self, connection: socket.socket, number: int) -> None:
        stream = Stream()
        try:
            with contextlib.suppress(OSError, NotCanonical):  # `recording` tells the test of the latter
                while data := connection.recv(1 << 16):
                    self.recording.received(number, data)
                    for frame in stream.feed(data):
                        if not self._answer(connection, frame):
                            return
                self.closed_by_program += 1
                return
            self.closed_by_program += 1
        finally:
            self._open.discard(connection)
            connection.close()

    def _answer(self, connection: socket.socket, frame: Frame) -> bool:
        """Do what the script says; False ends the connection."""
        for action in self.script(frame, self.honest(frame)):
            if isinstance(action, bytes):
                connection.sendall(action)
            elif isinstance(action, threading.Event):
                while not action.wait(0.05):
                    if self._stopping.is_set():
                        return False
            elif action == HANG:
                while data := connection.recv(1 << 16):
                    assert data
                self.closed_by_program += 1
                return False
            else:
                if action == RESET:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return False
        return True

    def honest(self, frame: Frame) -> bytes:
        """What a memcached would answer, as far as the tests need it."""
        return self._honest_binary(frame) if frame.raw[0] == 0x80 else self._honest_text(frame)

    def _honest_text(self, frame: Frame) -> bytes:
        match frame.verb:
            case "get" | "gets":
                cas = b" 7" if frame.verb == "gets" else b""
                found = [(key, self.store[key]) for key in frame.keys if key in self.store]
                values = [b"VALUE %s 0 %d%s\r\n%s\r\n" % (key, len(value), cas, value) for key, value in found]
                return b"".join(values) + b"END\r\n"
            case "set":
                self.store[frame.keys[0]] = frame.body
                return b"STORED\r\n"
            case "delete":
                return b"NOT_FOUND\r\n" if self.store.pop(frame.keys[0], None) is None else b"DELETED\r\n"
            case "version":
                return b"VERSION 1.6.18\r\n"
            case "mn":
                return b"MN\r\n"
        return b"SERVER_ERROR the fake does not know this\r\n"

    def _honest_binary(self, frame: Frame) -> bytes:
        opcode = frame.raw[1]
        match frame.verb:
            case "GET" | "GETK":
                key = frame.keys[0] if frame.verb == "GETK" else b""
                if frame.keys[0] in self.store:
                    return reply(opcode, frame.opaque, key=key, value=self.store[frame.keys[0]], extras=b"\0" * 4)
                value = b"" if key else b"Not found"
                return reply(opcode, frame.opaque, status=packets.NOT_FOUND, key=key, value=value)
            case "SET":
                self.store[frame.keys[0]] = frame.body
                return reply(opcode, frame.opaque, cas=7)
            case "NOOP":
                return reply(opcode, frame.opaque)
            case "VERSION":
                return reply(opcode, frame.opaque, value=b"1.6.18")
        return reply(opcode, frame.opaque, status=packets.UNKNOWN, value=b"Unknown command")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def reply(
    opcode: int,
    opaque: int,
    *,
    status: int = 0,
    key: bytes = b"",
    value: bytes = b"",
    extras: bytes = b"",
    cas: int = 0,
) -> bytes:
    """A binary response."""
    length = len(extras) + len(key) + len(value)
    header = packets.HEADER.pack(0x81, opcode, len(key), len(extras), 0, status, length, opaque, cas)
    return header + extras + key + value
