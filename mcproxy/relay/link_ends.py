"""How links end: what is noted, and what clients are told behind SERVER_ERROR."""

import ssl
from typing import Final

from mcproxy.relay.secured import NO_DATA

LOST: Final = b"upstream connection lost"
TIMED_OUT: Final = b"upstream timed out"
CLOSED: Final = "upstream closed the connection"


def why(error: OSError) -> str:
    """Why a link was lost, in a few words."""
    if isinstance(error, ssl.SSLError):
        reason = error.reason or "broken"
        return f"upstream {reason}" if reason == NO_DATA else f"upstream's TLS: {reason.replace('_', ' ').lower()}"
    return f"upstream: {error.strerror}"
