"""Binary requests for an upstream that speaks only the text protocol."""

from mcproxy.wire.binary_operations import UNKNOWN_COMMAND
from mcproxy.wire.outcome import Refusal
from mcproxy.wire.requests import Request


def to_text(request: Request) -> Request | Refusal:
    """The same request as text lines, whose replies reach the client as packets; or why there is none."""
    raise NotImplementedError(UNKNOWN_COMMAND)
