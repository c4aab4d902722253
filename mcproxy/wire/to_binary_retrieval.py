"""get, gets, gat and gats for a binary upstream: a loud GETK or GATK for every key, all of them in one send.

Every key has one reply (R2), in the order asked, under its own opaque and its own name (R3). The replies to the keys of
one line are given out together, in text's words; only what is large is passed on as it arrives.
"""

from typing import Final

from mcproxy.wire import binary_operations as operations
from mcproxy.wire.binary_operations import GATK, GETK, OPERATIONS
from mcproxy.wire.requests import STREAM_FROM
from mcproxy.wire.retrieval import END, Get, Piece, RenamedPiece, Retrieval
from mcproxy.wire.to_binary_replies import OPAQUES, PacketRequest, error_line, expiry, packet

# A hit's only extras.
FLAGS_LENGTH: Final = 4
_SECOND_OF_GAT: Final = ord("a")
_WITH_CAS: Final = ord("s")


class BinaryRetrieval(PacketRequest):
    """A run of retrieval lines of one verb, or one line of a retrieval that was cut.

    The answers to the keys before `_answered` were taken, lines before `_line` have their whole answer; the hits of the
    current line are held until it is answered. An error is the answer to a whole line, instead of its hits and its END.
    """

    __slots__ = (
        *("_answered", "_ends", "_error", "_extras", "_held", "_held_length", "_keys", "_line", "_piece"),
        *("_streaming", "_with_cas"),
    )

    def __init__(self, request: Retrieval) -> None:
        # Spelled out rather than left to Request: this is made for every ordinary request.
        self.sink = request.sink
        self.upstream = b""
        self.cost = self.lookups = request.cost
        self.count = request.count
        self.hits = 0
        self.done = False
        self.opaque = self.status = self.unique = self.start = self.length = 0
        self.opcode = GETK
        self._extras = b""
        self._with_cas = False
        self._piece: Piece | None = None
        run = request.upstream
        # `_ends`: the first key behind each line.
        if isinstance(request, Get):
            # One key in each line.
            self._keys = run[4:-2].split(b"\r\nget ")
            self._ends = list(range(1, request.cost + 1))
        else:
            self._read_lines(request, run)
        self._answered = self._line = 0
        self._held: list[bytes] = []
        self._held_length = 0
        self._error = b""
        # Bytes of a large value that are still to come.
        self._streaming = 0

    def _read_lines(self, request: Retrieval, run: bytes) -> None:
        self._with_cas = run[3] == _WITH_CAS
        if run[1] == _SECOND_OF_GAT:
            self.opcode = GATK
            self._extras = expiry(run[5 if self._with_cas else 4 : request.skip]).to_bytes(4, "big")
        self._keys = []
        self._ends = []
        for line in run[:-2].split(b"\r\n"):
            self._keys += line[request.skip + 1 :].split(b" ")
            self._ends.append(len(self._keys))
        if isinstance(request, Piece):
            self._piece = request

    def packets(self) -> int:
        """One for each key."""
        return len(self._keys)

    def packet(self, upstream_opaque: int) -> bytes:
        """All of them."""
        self.opaque = upstream_opaque
        keys, extras = self._keys, self._extras
        if len(keys) == 1:
            return packet(self.opcode, keys[0], extras, b"", upstream_opaque, 0)
        return b"".join(
            [
                packet(self.opcode, key, extras, b"", (upstream_opaque + index) % OPAQUES, 0)
                for index, key in enumerate(keys)
            ]
        )

    def take(self, buffer: bytes, position: int) -> int:
        """Consume packets. A line's answer is delivered when all of it has come, unless it is large."""
        ready: list[bytes] = []
        try:
            return self._take(buffer, position, ready)
        finally:
            # Out of step or not: the lines before have their whole answer.
            if ready:
                self.sink.deliver(b"".join(ready))

    def fail(self, reason: bytes) -> None:
        """One error for each line that has no answer yet; a value that was cut short ends the connection."""
        piece = self._piece
        if piece is not None and piece.whole.failed:
            return
        if self._streaming and not self._error:
            self.sink.cut_short()
            return
        if piece is not None:
            piece.whole.failed = True
        self.sink.deliver((b"SERVER_ERROR " + reason + b"\r\n") * (len(self._ends) - self._line))

    def _take(self, buffer: bytes, position: int, ready: list[bytes]) -> int:
        """As `take`; `ready` collects what the client may be given."""
        size = len(buffer)
        keys = self._keys
        if self._streaming:
            end = min(size, position + self._streaming)
            self._streaming -= end - position
            if not self._is_answered():
                ready.append(buffer[position:end])
                if not self._streaming:
                    ready.append(b"\r\n")
            position = end
            if self._streaming:
                return position
            self._next(ready)
        while not self.done and self.compare(buffer, position, keys[self._answered], FLAGS_LENGTH):
            end = self.start + self.length
            if end > size and self.length <= STREAM_FROM:
                break
            if self.status == operations.SUCCESS:
                self._hit(buffer, ready)
                if end > size:
                    self._streaming = end - size
                    return size
            elif self.status != operations.KEY_NOT_FOUND:
                line = error_line(OPERATIONS[self.opcode].errors, self.status, buffer[self.start : end])
                self._error = self._error or line
                self._held.clear()
                self._held_length = 0
            self._next(ready)
            position = end
        return position

    def _hit(self, buffer: bytes, ready: list[bytes]) -> None:
        """Hold the hit that `compare` has found, or as much of it as has come; a large one is ready at once."""
        self.hits += 1
        length = self.length
        if length > self.sink.largest_value:
            self.sink.largest_value = length
        if self._is_answered():
            return
        key = self._keys[self._answered]
        start = self.start
        end = start + length
        flags_end = start - len(key)
        flags = int.from_bytes(buffer[flags_end - FLAGS_LENGTH : flags_end], "big")
        if isinstance(self._piece, RenamedPiece):
            key = self._piece.own_name
        unique = b" %d" % self.unique if self._with_cas else b""
        line_end = b"\r\n" if end <= len(buffer) else b""
        self._held.append(b"VALUE %b %d %d%b\r\n%b%b" % (key, flags, length, unique, buffer[start:end], line_end))
        self._held_length += length
        if self._held_length > STREAM_FROM:
            self._release(ready)

    def _next(self, ready: list[bytes]) -> None:
        """The current key has its answer; so has its line, if it was the last one of it."""
        self._answered += 1
        self.opaque = (self.opaque + 1) % OPAQUES
        if self._answered < self._ends[self._line]:
            return
        piece = self._piece
        if piece is None or not piece.whole.failed:
            if self._error:
                ready.append(self._error)
                self._error = b""
                if piece is not None:
                    piece.whole.failed = True
            else:
                self._release(ready)
                if piece is None or piece.last:
                    ready.append(END)
        self._line += 1
        self.done = self._line == len(self._ends)

    def _release(self, ready: list[bytes]) -> None:
        """What is held is ready."""
        ready += self._held
        self._held.clear()
        self._held_length = 0

    def _is_answered(self) -> bool:
        """Whether an error is the answer to the current line, or to the retrieval of which it is a piece."""
        return bool(self._error) or (self._piece is not None and self._piece.whole.failed)
