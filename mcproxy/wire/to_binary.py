"""Text requests for an upstream that speaks only the binary protocol.

They come vetted and canonical. What binary has no operation for is refused, in step: see docs/protocol.md.
"""

from typing import Final

from mcproxy.wire import binary_operations as operations
from mcproxy.wire.administration_requests import LinesRequest, Metadump
from mcproxy.wire.meta_requests import MetaRequest
from mcproxy.wire.outcome import Refusal
from mcproxy.wire.requests import LineRequest, Request
from mcproxy.wire.retrieval import Retrieval
from mcproxy.wire.to_binary_lines import VERBS, BinaryLine
from mcproxy.wire.to_binary_meta import meta_to_binary
from mcproxy.wire.to_binary_retrieval import BinaryRetrieval
from mcproxy.wire.to_binary_statistics import BinaryStatistics

NOT_TRANSLATABLE: Final = "not translatable"
_NOT_AVAILABLE: Final = b"CLIENT_ERROR not available: upstream speaks only the binary protocol\r\n"
_STATS: Final = b"stats"


def to_binary(request: Request) -> Request | Refusal:
    """The same request as binary packets, whose replies reach the client as text; or why there is none."""
    if isinstance(request, Retrieval):
        return BinaryRetrieval(request)
    if isinstance(request, LineRequest):
        return _line(request)
    if isinstance(request, MetaRequest):
        return meta_to_binary(request)
    if isinstance(request, LinesRequest) and not isinstance(request, Metadump):
        # Compiled by mypyc, a slice must not begin behind its end: without words, at the end.
        words = request.upstream[len(_STATS) : -2].removeprefix(b" ")
        if words in operations.STATISTICS:
            return BinaryStatistics(request, words)
    return Refusal(_NOT_AVAILABLE, NOT_TRANSLATABLE)


def _line(request: LineRequest) -> Request | Refusal:
    line = request.upstream
    end = line.index(b"\r\n")
    words = line[:end].split(b" ")
    verb = VERBS.get(words[0])
    if verb is not None:
        return BinaryLine(request, verb, words, end + 2)
    if words[0] == b"verbosity":
        # Binary once had an operation for it, which no memcached knows; clients take OK for granted.
        return Refusal(b"" if request.silent else b"OK\r\n")
    return Refusal(b"" if request.silent else _NOT_AVAILABLE, NOT_TRANSLATABLE)
