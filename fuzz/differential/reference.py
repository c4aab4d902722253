"""memcached B: it is sent the canonical stream and nothing else, and its replies are cut into one for each frame."""

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fuzz.differential.comparison import CRASH, HANG, OUT_OF_STEP, Fault
from fuzz.differential.pump import unread
from fuzz.differential.replies import NoReply, reply_end
from tests.support.canonical import Frame

PATIENCE = 8.0
"""Seconds in which memcached must move."""


@dataclass(slots=True)
class Piece:
    """What memcached A read at once: its bytes, the frames that end in it, and the kind of link that it came on."""

    data: bytes
    frames: list[Frame]
    binary: bool
    private: bool


class Reference:
    """Connections to memcached B: one for each protocol, and further ones where the program used a link of its own."""

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._connect = connect
        self._connections = {False: connect(), True: connect()}
        for connection in self._connections.values():
            connection.setblocking(False)

    def close(self) -> None:
        """Close both."""
        for connection in self._connections.values():
            connection.close()

    def answers(self, pieces: Sequence[Piece]) -> list[bytes]:
        """The replies to the frames in `pieces`, in order. Raises Fault if memcached is out of step, or gone."""
        received = {False: bytearray(), True: bytearray()}
        alone: dict[int, bytes] = {}
        for piece in pieces:
            if piece.private:
                alone[id(piece)] = self._alone(piece)
            else:
                self._send(piece.binary, piece.data, received[piece.binary])
        replies: list[bytes] = []
        positions = {False: 0, True: 0}
        buffers = {False: bytes(received[False]), True: bytes(received[True])}
        for piece in pieces:
            if piece.private:
                replies.append(alone[id(piece)])
                continue
            binary = piece.binary
            for frame in piece.frames:
                position = positions[binary]
                while (end := _end(frame, buffers[binary], position)) < 0:
                    select.select([self._connections[binary]], [], [], PATIENCE)
                    buffers[binary] = buffers[binary][position:] + self._receive(binary, frame.raw)
                    position = 0
                replies.append(buffers[binary][position:end])
                positions[binary] = end
        for binary, buffer in buffers.items():
            if positions[binary] != len(buffer):
                rest = buffer[positions[binary] :][:200]
                raise Fault(OUT_OF_STEP, f"memcached itself: more than one reply each: {rest!r}")
        return replies

    def _alone(self, piece: Piece) -> bytes:
        """The reply to a single frame on a connection of its own."""
        if len(piece.frames) != 1:
            raise Fault(OUT_OF_STEP, f"on a link of its own: {piece.data[:200]!r}")
        frame = piece.frames[0]
        if frame.verb == "watch":
            # It would never end, and changes nothing.
            return b"OK\r\n"
        received = b""
        with self._connect() as connection:
            connection.settimeout(PATIENCE)
            try:
                connection.sendall(piece.data)
                while (end := _end(frame, received, 0)) < 0:
                    received += self._recv(connection, piece.data)
            except TimeoutError:
                raise Fault(HANG, f"memcached does not answer {piece.data[:200]!r}") from None
        if end != len(received):
            raise Fault(OUT_OF_STEP, f"memcached itself: more than one reply: {received[end : end + 200]!r}")
        return received

    def _send(self, binary: bool, piece: bytes, received: bytearray) -> None:
        """Send a piece and wait until memcached has read it, reading what it says meanwhile."""
        connection = self._connections[binary]
        sent = 0
        deadline = time.monotonic() + PATIENCE
        while sent < len(piece) or unread(connection):
            with contextlib.suppress(BlockingIOError):
                if sent < len(piece):
                    sent += connection.send(piece[sent:])
            with contextlib.suppress(BlockingIOError):
                received += self._recv(connection, piece)
            if time.monotonic() > deadline:
                raise Fault(HANG, f"memcached does not read {piece[:200]!r}")
            os.sched_yield()

    def _receive(self, binary: bool, asked: bytes) -> bytes:
        try:
            return self._recv(self._connections[binary], asked)
        except BlockingIOError:
            raise Fault(HANG, f"memcached does not answer {asked[:200]!r}") from None

    def _recv(self, connection: socket.socket, asked: bytes) -> bytes:
        try:
            data = connection.recv(1 << 18)
        except ConnectionError as error:
            raise Fault(CRASH, f"memcached: {error} at {asked[:200]!r}") from None
        if not data:
            raise Fault(CRASH, f"memcached closed the connection at {asked[:200]!r}")
        return data


def _end(frame: Frame, buffer: bytes, position: int) -> int:
    try:
        return reply_end(frame, buffer, position)
    except NoReply as fault:
        raise Fault(OUT_OF_STEP, f"memcached itself: {fault}") from None
