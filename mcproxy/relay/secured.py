"""A TLS connection over a non-blocking socket, through memory buffers.

`ssl.SSLSocket` would do, but OpenSSL reads a record's header and body by a system call each and writes one record of
16 KiB a call. Here the socket is read and written as if it were plain, 64 KiB at a time, and OpenSSL works on memory: a
system call less for each request, and a fraction of them for pipelines and large values. Nor can a write have to wait
for a read, so what is queued towards a peer is plain bytes, whether they are encrypted or not.
"""

import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final

RECEIVE_SIZE: Final = 64 * 1024
# What one read returns at most: a TLS record (RFC 8446 section 5.1).
_RECORD: Final = 16 * 1024
# What a record holds towards memcached, which has 16 KiB to read into, some of it taken by the beginning of a line that
# came in the record before (at most 2 KiB), and forgets what it has not read until more comes (1.6.18, measured).
_WHOLE_FRAMES: Final = _RECORD - 2048
# What sockets received, until it is decrypted. One for all: nothing of it is kept.
_received: Final = memoryview(bytearray(RECEIVE_SIZE))
# Bytes that may come without bringing data: twice the longest record, which may come in small parts. A peer of TLS 1.3
# could send key updates without end, and one of 1.2 requests for renegotiation. A server's session tickets come once,
# behind the handshake: two of some hundred bytes, or of some thousand if they hold a client's certificates.
_WITHOUT_DATA: Final = 2 * (_RECORD + 2048)
# Bytes of answers to these, such as key updates in return, that wait for data to go out with.
TLS_UNSENT: Final = 4096
NO_DATA: Final = "sends TLS messages that carry no data"
"""What stands against a peer that goes over either bound, as the `reason` of the ssl.SSLError too."""


class Secured:
    """One side of TLS. After `handshake` returned True, `receive` and `encrypt` carry the data.

    The client's side if there is a `server_hostname`, which the server's certificate is held against (or an address),
    as the context wants it; else the server's. `ended`: the peer has said goodbye, though the end of the stream may not
    have come yet. `presented` is for whoever reads the peer's certificate to keep what it says.
    """

    def __init__(self, connection: socket.socket, context: ssl.SSLContext, server_hostname: str | None = None) -> None:
        self.socket = connection
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_hostname is None, server_hostname=server_hostname
        )
        self._receive_into = connection.recv_into
        self._feed = self._incoming.write
        # The C object's own methods, where it can be had: those of ssl.SSLObject only call them.
        inner = getattr(self._tls, "_sslobj", self._tls)
        self._read: Callable[[int], bytes] = inner.read
        self._write: Callable[[bytes | memoryview], int] = inner.write
        self._take = self._outgoing.read
        self.ended = False
        self.presented: Any = None
        # Bytes that came since there was data.
        self._without_data = 0

    def handshake(self) -> tuple[bool, bytes]:
        """One step: whether it is done, and bytes to send first. Before the next, `feed` more. Raises ssl.SSLError."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False, self._take()
        except ssl.SSLError:
            # The alert that tells the peer why.
            with contextlib.suppress(OSError):
                self.socket.send(self._take())
            raise
        return True, self._take()

    def feed(self, data: bytes) -> None:
        """What the socket received during the handshake."""
        self._feed(data)

    @property
    def pending(self) -> bool:
        """Whether `receive` has something without the socket's being readable."""
        return self._incoming.pending > 0 or self.ended

    @property
    def unsent(self) -> int:
        """Bytes that TLS itself has to say, and nobody has taken with data yet."""
        return self._outgoing.pending

    def receive(self, size: int) -> bytes:
        """All that can be had now; empty at the end.

        Raises BlockingIOError, or OSError if the connection is broken. Who sends TLS messages without end but no data
        is no use to anybody: that is an ssl.SSLError.
        """
        if self.ended:
            return b""
        wanted = _RECORD
        received = 0
        if not self._incoming.pending:
            received = self._receive_into(_received, size)
            if not received:
                # The end of the stream ends the connection, with a goodbye or without: an unfinished frame is dropped.
                return b""
            self._feed(_received[:received])
            # Asking for 16 KiB would allocate as much. This is enough unless a part of the record had come before.
            wanted = min(received, _RECORD)
        try:
            first = self._read(wanted)
        except ssl.SSLWantReadError:
            self._without_data += received
            if self._without_data > _WITHOUT_DATA or self._outgoing.pending > TLS_UNSENT:
                raise _no_data() from None
            raise BlockingIOError from None
        self._without_data = 0
        if len(first) < wanted and not self._incoming.pending:
            if not first:
                self.ended = True
            return first
        return self._receive_more(first)

    def _receive_more(self, first: bytes) -> bytes:
        parts = []
        part = first
        with contextlib.suppress(ssl.SSLWantReadError):
            while part:
                parts.append(part)
                part = self._read(_RECORD)
            self.ended = True
        return b"".join(parts)

    def encrypt(self, data: bytes) -> bytes:
        """The records that carry `data`, behind what TLS itself has to say (the answer to a key update, say).

        Raises OSError on a broken connection.
        """
        size = len(data)
        written = self._write(data)
        if written < size:
            view = memoryview(data)
            while written < size:
                written += self._write(view[written:])
        return self._take()

    def encrypt_each(self, frames: list[bytes]) -> bytes:
        """As `encrypt`; a frame is either whole in a record with others, or has all of its records for itself.

        Without any frame it is what TLS itself has to say. memcached leaves the rest of a record unread when a data
        block that began in an earlier record ends in it.
        """
        batch: list[bytes] = []
        size = 0
        for frame in frames:
            length = len(frame)
            if size and size + length > _WHOLE_FRAMES:
                self._write(b"".join(batch))
                batch = []
                size = 0
            if length > _WHOLE_FRAMES:
                view = memoryview(frame)
                for start in range(0, length, _WHOLE_FRAMES):
                    self._write(view[start : start + _WHOLE_FRAMES])
            else:
                batch.append(frame)
                size += length
        if size:
            self._write(b"".join(batch))
        return self._take()

    def goodbye(self) -> None:
        """Tell the peer that the connection ends here (close_notify), if the socket takes it at once."""
        with contextlib.suppress(OSError, ValueError):
            # Raises, as the peer's own goodbye has mostly not come yet; ours is written by then.
            self._tls.unwrap()
        with contextlib.suppress(OSError):
            self.socket.send(self._take())

    def certificate(self) -> bytes | None:
        """The verified certificate of the peer, in DER; None without one."""
        return self._tls.getpeercert(binary_form=True)

    @property
    def tls(self) -> ssl.SSLObject:
        """For what is asked once in a connection's life; the data goes through the methods above."""
        return self._tls


def _no_data() -> ssl.SSLError:
    error = ssl.SSLError(ssl.SSL_ERROR_SSL, NO_DATA)
    error.reason = NO_DATA
    return error


Connection = socket.socket | Secured


def socket_of(connection: Connection) -> socket.socket:
    """The socket underneath."""
    return connection.socket if isinstance(connection, Secured) else connection
