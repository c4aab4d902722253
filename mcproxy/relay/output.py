"""What goes down to one client: written at once where the socket takes it, kept and counted where it doesn't."""

from collections import deque
from typing import Final

from mcproxy.relay.secured import Connection, Secured, socket_of

# Kept pieces are joined up to this many bytes for one call.
_JOIN: Final = 64 * 1024
# Bytes written to one client before others get their turn.
_AT_ONCE: Final = 1024 * 1024


class Output:
    """The bytes on their way to one client. `queued` are those that its socket did not take yet."""

    __slots__ = ("_kept", "_offset", "_secured", "_send", "pieces", "queued")

    def __init__(self, connection: Connection) -> None:
        self.pieces: list[bytes] = []
        self.queued = 0
        self._send = socket_of(connection).send
        self._secured = connection if isinstance(connection, Secured) else None
        self._kept: deque[bytes] = deque()
        # How much of the first kept piece was sent.
        self._offset = 0

    def flush(self) -> int:
        """Send the pieces of this turn; returns their size. Raises OSError when the client is gone."""
        pieces = self.pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        size = len(data)
        if self._secured is not None:
            data = self._secured.encrypt(data)
        if self._kept:
            self._kept.append(data)
            self.queued += len(data)
            return size
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        if sent != len(data):
            self._kept.append(data)
            self._offset = sent
            self.queued = len(data) - sent
        return size

    def drain(self) -> int:
        """Send what was kept; returns the number of bytes sent. Raises OSError when the client is gone."""
        total = 0
        while self._kept and total < _AT_ONCE:
            if len(self._kept) > 1 and len(self._kept[0]) - self._offset < _JOIN:
                self._join()
            try:
                sent = self._send(memoryview(self._kept[0])[self._offset :])
            except BlockingIOError:
                break
            total += sent
            self.queued -= sent
            self._offset += sent
            if self._offset < len(self._kept[0]):
                break
            self._kept.popleft()
            self._offset = 0
        return total

    def discard(self) -> None:
        """Forget everything: the client is gone."""
        self.pieces.clear()
        self._kept.clear()
        self.queued = 0

    def _join(self) -> None:
        parts = [self._kept.popleft()[self._offset :]]
        size = len(parts[0])
        while self._kept and size < _JOIN:
            parts.append(self._kept.popleft())
            size += len(parts[-1])
        self._kept.appendleft(b"".join(parts))
        self._offset = 0
