"""The control socket between the parent and one worker: lines of JSON, each an array `[number, what, ...]`.

Sending never waits, because what is told (a session has ended, say) is told from within the relay. What the socket
doesn't take is kept and sent later; whoever takes nothing at all is cut off when too much is kept.
"""

import contextlib
import json
import socket
from typing import Any, Final

import trio

MOST: Final = 16 * 2**20
"""Bytes of one line, and bytes that may wait to be sent. A report of metrics is about 20 KiB."""
_READ: Final = 65536

Frame = list[Any]


class Channel:
    """One end. Takes the socket over."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._unsent = bytearray()
        self._something = trio.Event()
        self._nothing = trio.Event()
        self._received = bytearray()
        self._searched = 0

    def send(self, *frame: object) -> None:
        """Send a frame, soon if not now. If the other end is gone, `receive` says so."""
        line = json.dumps(frame, separators=(",", ":")).encode() + b"\n"
        if not self._unsent:
            line = line[self._try(line) :]
        self._unsent += line
        if len(self._unsent) > MOST:
            self.cut()
        if self._unsent:
            self._something.set()

    @property
    def congested(self) -> bool:
        """Whether something is still waiting to be sent."""
        return bool(self._unsent)

    async def all_sent(self) -> None:
        """Returns when nothing is waiting to be sent; send_forever has to be running."""
        while self._unsent:
            await self._nothing.wait()

    async def send_forever(self) -> None:
        """Send what had to wait, until cancelled."""
        while True:
            await self._something.wait()
            self._something = trio.Event()
            while self._unsent:
                await trio.lowlevel.wait_writable(self._socket)
                del self._unsent[: self._try(bytes(self._unsent[:_READ]))]
            self._nothing.set()
            self._nothing = trio.Event()

    async def receive(self) -> Frame | None:
        """The next frame; None at the end, and for what is not a frame."""
        while (end := self._received.find(b"\n", self._searched)) < 0:
            self._searched = len(self._received)
            try:
                data = self._socket.recv(_READ)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._socket)
                continue
            except OSError:
                return None
            self._received += data
            if not data or len(self._received) > MOST:
                return None
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        self._searched = 0
        try:
            frame = json.loads(line)
        except ValueError:
            return None
        return frame if isinstance(frame, list) and len(frame) >= 2 else None

    def cut(self) -> None:
        """Give up: both ends read an end."""
        self._unsent.clear()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

    def _try(self, data: bytes) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            # The other end is gone, and `receive` will tell.
            return len(data)
