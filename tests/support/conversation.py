"""Conversations with a memcached or with the program: what is sent, what must come back, and what did.

A failure shows the whole conversation of that connection, so that it can be read without running it again.
"""

import contextlib
import difflib
import itertools
import select
import socket
import ssl
import struct
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tests.support import packets, sockets

TIMEOUT = 10.0
"""Seconds that a reply may take before a test gives up."""


@dataclass(frozen=True, slots=True)
class Line:
    """An expected reply line of which only the beginning is fixed."""

    start: bytes

    def __str__(self) -> str:
        return f"{shown(self.start)}..."


ERROR = b"ERROR\r\n"
CLIENT_ERROR = Line(b"CLIENT_ERROR ")
SERVER_ERROR = Line(b"SERVER_ERROR ")
DENIED = b"CLIENT_ERROR access denied\r\n"
UNAUTHENTICATED = Line(b"CLIENT_ERROR unauthenticated")

Expected = bytes | Line


class Connection:
    """One client connection, plain or TLS, which keeps what was said on it."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.socket.settimeout(TIMEOUT)
        if connected.family != socket.AF_UNIX:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.transcript: deque[str] = deque(maxlen=60)
        self._received = bytearray()
        self._outgoing = bytearray()
        self.ended = False

    def send(self, data: bytes, pieces: Iterable[int] = ()) -> None:
        """Send `data`, cut at the positions `pieces`; each piece is read by the other side before the next is sent."""
        self.flush()
        self.transcript.append(f"> {shown(data)}")
        cuts = sorted({0, len(data), *(cut for cut in pieces if 0 < cut < len(data))})
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            for start, end in itertools.pairwise(cuts):
                self.socket.sendall(data[start:end])
                if end < len(data):
                    sockets.wait_until_read(self.socket)

    def send_while_reading(self, data: bytes) -> None:
        """Send more than the other side may take before it is read from: whatever reads next sends on.

        One thread does both, since an SSLSocket must not be used by two at once.
        """
        self.transcript.append(f"> {shown(data)}")
        self._outgoing += data

    def flush(self) -> None:
        """Send what `send_while_reading` has left; what comes meanwhile is kept."""
        while self._outgoing and not self.ended and self._more():
            pass

    def receive(self, size: int) -> bytes:
        """Exactly `size` bytes, or fewer if the connection ended or nothing more came in time."""
        while len(self._received) < size and self._more():
            pass
        return self._take(size)

    def line(self) -> bytes:
        """One line with its line end, or what there is when the connection ended or nothing more came in time."""
        while b"\n" not in self._received and self._more():
            pass
        end = self._received.find(b"\n") + 1
        return self._take(end or len(self._received))

    def response(self) -> packets.Response:
        """One binary response. Raises AssertionError when there is none."""
        header = self.receive(packets.HEADER.size)
        assert len(header) == packets.HEADER.size, f"no response, but {header!r}\n{self}"
        response, key_length, body_length = packets.read_header(header)
        body = self.receive(body_length)
        assert len(body) == body_length, f"a response cut short: {header + body!r}\n{self}"
        extras_length = len(response.extras)
        key_end = extras_length + key_length
        return replace(response, extras=body[:extras_length], key=body[extras_length:key_end], value=body[key_end:])

    def ask(self, request: bytes, pieces: Iterable[int] = ()) -> packets.Response:
        """Send one binary request and return its response."""
        self.send(request, pieces)
        return self.response()

    def rest(self) -> bytes:
        """Everything until the other side closes. Raises AssertionError if it doesn't."""
        while self._more():
            pass
        data = self._take(len(self._received))
        assert self.ended, f"not closed within {TIMEOUT:g} s, after {data[:200]!r}\n{self}"
        return data

    def expect_closed(self) -> None:
        """The other side closes, and says nothing more."""
        data = self.rest()
        assert data == b"", f"before the close came {data[:300]!r}\n{self}"

    def in_step(self) -> None:
        """Everything was answered and nothing else comes: the next request gets its own reply at once."""
        self.send(b"mn\r\n")
        answer = self.line()
        assert answer == b"MN\r\n", f"not in step: {answer!r} instead of MN\n{self}"

    def in_step_binary(self) -> None:
        """As `in_step`, with a NOOP."""
        answer = self.ask(packets.packet(packets.NOOP, opaque=packets.IN_STEP))
        assert (answer.opcode, answer.status, answer.opaque) == (packets.NOOP, 0, packets.IN_STEP), f"{answer}\n{self}"

    def finish_sending(self) -> None:
        """Half-close: nothing more comes from this side."""
        self.flush()
        self.transcript.append("> (end)")
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with a TCP reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self.socket.close()

    def _more(self) -> bool:
        """Send what is left to be sent until something comes; False at the end, and when nothing comes in time."""
        timeout = self.socket.gettimeout() or TIMEOUT
        deadline = time.monotonic() + timeout
        self.socket.setblocking(False)
        try:
            while not self.ended:
                sent = self._push()
                try:
                    data = self.socket.recv(1 << 18)
                    self._received += data
                    self.ended = not data
                    return bool(data)
                except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    if sent and not self._outgoing:
                        return True
                except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
                    self.ended = True
                left = deadline - time.monotonic()
                waits = [self.socket] if self._outgoing else []
                if not self.ended and (left <= 0 or not any(select.select([self.socket], waits, [], left))):
                    self.transcript.append("< (nothing more in time)")
                    return False
            return False
        finally:
            with contextlib.suppress(OSError):
                self.socket.settimeout(timeout)

    def _push(self) -> int:
        """How many bytes of what is left were taken now."""
        count = 0
        try:
            while self._outgoing:
                taken = self.socket.send(self._outgoing[: 1 << 14])
                del self._outgoing[:taken]
                count += taken
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
            self._outgoing.clear()  # it doesn't take any more; what it said before can still be read
        return count

    def _take(self, size: int) -> bytes:
        data = bytes(self._received[:size])
        del self._received[:size]
        self.transcript.append(f"< {shown(data)}" if data else "< (closed)" if self.ended else "<")
        return data

    def __str__(self) -> str:
        return "the conversation was\n  " + "\n  ".join(self.transcript)

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def play(
    connection: Connection,
    sent: bytes,
    expected: Sequence[Expected] | bytes,
    *,
    pieces: Iterable[int] = (),
    closes: bool = False,
) -> None:
    """Send, and require exactly the expected replies: bytes as they are, a Line by its beginning.

    Afterwards the connection must be closed (`closes`) or in step, which shows that nothing else was answered.
    """
    expected = [expected] if isinstance(expected, bytes) else list(expected)
    if len(sent) > 1 << 16 and not pieces:
        connection.send_while_reading(sent)
    else:
        connection.send(sent, pieces)
    got: list[bytes] = []
    for item in expected:
        got.append(connection.receive(len(item)) if isinstance(item, bytes) else connection.line())
        if not (got[-1] == item if isinstance(item, bytes) else _is_line(got[-1], item)):
            connection.socket.settimeout(0.2)
            got[-1] += connection.receive(4096)
            raise AssertionError(difference(expected, got) + f"\n{connection}")
    if closes:
        connection.expect_closed()
    elif sent:
        connection.in_step()


def _is_line(data: bytes, line: Line) -> bool:
    return data.startswith(line.start) and data.endswith(b"\r\n") and data.count(b"\n") == 1


def difference(expected: Sequence[Expected], got: Sequence[bytes]) -> str:
    """What should have come against what came, line by line."""
    wanted = [
        part for item in expected for part in ([str(item)] if isinstance(item, Line) else shown(item).split("\u240a"))
    ]
    came = [part for data in got for part in shown(data).split("\u240a")]
    return "the replies differ (- expected, + got):\n" + "\n".join(difflib.ndiff(wanted, came))


def shown(data: bytes, limit: int = 300) -> str:
    """Bytes as a person reads them; long runs are cut."""
    cut = f"... ({len(data)} bytes)" if len(data) > limit else ""
    return repr(bytes(data[:limit]))[2:-1].replace("\\n", "\\n\u240a").removesuffix("\u240a") + cut
