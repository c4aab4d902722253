"""How links end: what is noted, and what clients are told behind SERVER_ERROR."""

import ssl
from typing import Final

from mcproxy.relay.secured import NO_DATA
from mcproxy.wire.requests import LoginWanted

LOST: Final = b"upstream connection lost"
TIMED_OUT: Final = b"upstream timed out"
CLOSED: Final = "upstream closed the connection"
CLIENT_LEFT: Final = "the client has left"
DONE: Final = "done"
RETIRED: Final = "retired"
ASKED_TO_LOG_IN: Final = str(LoginWanted())
_TLS: Final = "upstream's TLS: "
_BROKEN: Final = "upstream: "


def why(error: OSError) -> str:
    """Why a link was lost, in a few words."""
    if isinstance(error, ssl.SSLError):
        reason = error.reason or "broken"
        return f"upstream {reason}" if reason == NO_DATA else f"{_TLS}{reason.replace('_', ' ').lower()}"
    return f"{_BROKEN}{error.strerror}"


def is_turned_away(reason: str) -> bool:
    """Whether upstream didn't want the link, for all that one can know."""
    return reason in (ASKED_TO_LOG_IN, CLOSED) or reason.startswith((_TLS, _BROKEN))
