"""Packets of a client, as the requests in text that they become."""

from collections.abc import Callable

from mcproxy.wire.outcome import WireLimits
from mcproxy.wire.requests import Request
from mcproxy.wire.to_text import to_text
from mcproxy.wire.to_text_changes import ChangeAsPacket
from tests.unit.wire.driving import Collector
from tests.unit.wire.granting import binary

LIMITS = WireLimits(value=100_000)
NUMBER = b"7001"
"""The opaque of every meta command here; the program numbers them itself."""


def translated(packet: bytes, sink: Collector | None = None) -> Request:
    """What one packet becomes."""
    asked = binary(limits=LIMITS)(sink or Collector()).next(packet, 0, 10)
    assert isinstance(asked, Request)
    request = to_text(asked)
    assert isinstance(request, Request)
    return request


def line_of(packet: bytes) -> bytes:
    """What goes up for one packet, with NUMBER for the opaque."""
    request = translated(packet)
    if not isinstance(request, ChangeAsPacket):
        return request.upstream
    return request.upstream.replace(b" O" + request.number, b" O" + NUMBER, 1)


def asking(*sent: bytes) -> Callable[[Collector], list[Request]]:
    """Makes the requests for these packets."""

    def make(sink: Collector) -> list[Request]:
        requests = [translated(packet, sink) for packet in sent]
        for request in requests:
            if isinstance(request, ChangeAsPacket):
                request.number = NUMBER
        return requests

    return make
