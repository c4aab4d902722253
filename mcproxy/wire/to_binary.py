"""Text requests for an upstream that speaks only the binary protocol."""

from mcproxy.wire.outcome import Refusal
from mcproxy.wire.requests import Request


def to_binary(request: Request) -> Request | Refusal:
    """The same request as binary packets, whose replies reach the client as text; or why there is none."""
    return Refusal(b"CLIENT_ERROR not available: upstream speaks only the binary protocol\r\n", "not translatable")
