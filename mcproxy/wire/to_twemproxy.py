"""Text requests for an upstream that is a twemproxy, which spreads them over several memcacheds.

twemproxy 0.5 closes the connection at everything that it doesn't know, and at a negative exptime of a storage command:
on a shared link that would be at everybody's expense. It answers a multi-get in the order of its servers and not of the
keys, and with one error if any of them is gone. So only what it knows goes up, and one key in each line.
"""

from collections import deque
from typing import Final

from mcproxy.wire.outcome import Refusal
from mcproxy.wire.requests import LineRequest, Request
from mcproxy.wire.retrieval import Get, MultiGet, Piece, RenamedPiece, Retrieval
from mcproxy.wire.text_rules import STORAGE

NOT_AVAILABLE: Final = b"CLIENT_ERROR not available: upstream is a twemproxy\r\n"
REASON: Final = "not available upstream"
_KNOWN: Final = frozenset([*STORAGE, b"incr", b"decr", b"delete", b"touch", b"version"])
_MEANS_EXPIRED: Final = b"2592001"
"""A Unix time, of 1970: what is over 30 days is one (protocol.txt, "Expiration times")."""


class OneKeyPerLine(Request):
    """A retrieval whose keys go up in a line each; the client sees one answer for each of its own lines."""

    __slots__ = ("_pieces",)

    def __init__(self, request: Retrieval, pieces: list[Piece]) -> None:
        super().__init__(request.sink, b"".join([piece.upstream for piece in pieces]), request.cost, request.count)
        self.lookups = request.lookups
        self._pieces: deque[Piece] = deque(pieces)

    def take(self, buffer: bytes, position: int) -> int:
        """Consume the answers of as many lines as have come."""
        pieces = self._pieces
        while pieces:
            piece = pieces[0]
            position = piece.take(buffer, position)
            if not piece.done:
                return position
            self.hits += piece.hits
            pieces.popleft()
        self.done = True
        return position

    def fail(self, reason: bytes) -> None:
        """One error for each of the client's lines that has no answer yet."""
        for piece in self._pieces:
            piece.fail(reason)


def to_twemproxy(request: Request) -> Request | Refusal:
    """The same request as twemproxy takes it, or that there is none."""
    if isinstance(request, Retrieval):
        return _retrieval(request)
    if isinstance(request, LineRequest) and not request.private:
        line, end, block = request.upstream.partition(b"\r\n")
        words = line.split(b" ")
        verb = words[0]
        if verb == b"mn":
            # What it is for, telling that all before it is answered, needs no upstream.
            return Refusal(b"MN\r\n")
        if verb in _KNOWN:
            if verb in STORAGE and words[3] == b"-1":
                words[3] = _MEANS_EXPIRED
                request.upstream = b" ".join(words) + end + block
            return request
        if request.silent:
            return Refusal(b"", REASON)
    return Refusal(NOT_AVAILABLE, REASON)


def _retrieval(request: Retrieval) -> Request | Refusal:
    run = request.upstream
    if not run.startswith(b"get"):
        if isinstance(request, Piece):
            # What is left of it is not refused once more.
            request.whole.failed = True
        return Refusal(NOT_AVAILABLE * run.count(b"\n"), REASON)
    if isinstance(request, Get):
        # It must not be gathered into one line with those of other clients.
        return Retrieval(request.sink, run, request.skip, request.cost, request.count, request.header)
    if isinstance(request, RenamedPiece) or run.count(b"\n") == request.cost:
        return request
    pieces = []
    for line in run[:-2].split(b"\r\n"):
        verb, *keys = line.split(b" ")
        whole = request.whole if isinstance(request, Piece) else MultiGet()
        is_end = request.last if isinstance(request, Piece) else True
        for number, key in enumerate(keys, 1):
            last = is_end and number == len(keys)
            one = verb + b" " + key + b"\r\n"
            pieces.append(Piece(request.sink, one, request.skip, 1, request.count, request.header, whole, last))
    return OneKeyPerLine(request, pieces)
